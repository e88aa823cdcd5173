/* The log of a program: lines on standard error, "2026-01-31T12:00:00Z msed: …". Only the four programs call it. */
#pragma once

#include <stdarg.h>

void mse_log_open(const char *program);
void mse_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
