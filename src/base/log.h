/* The log of a program: lines on standard error, "2026-01-31T12:00:00Z msed: …". Only the four programs call it. */
#pragma once

#include <stdarg.h>

void mse_log_open(const char *program);
/* For a log whose lines others can bring about: a file that has grown beyond so many bytes is emptied before the next line. */
void mse_log_limit(long max_size);
void mse_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
