/* Text forms of bytes, numbers and times: strict in what they read, one form in what they write. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Lower-case hex; `to` takes 2 * size + 1 bytes. */
void mse_hex_encode(char *to, const uint8_t *data, size_t size);
/* Exactly `size` bytes from exactly 2 * size hex digits of either case; what names the thing in the error message. */
int mse_hex_decode(uint8_t *to, size_t size, const char *text, const char *what, struct mse_error_info *err);

/* Standard base64 with padding (RFC 4648 section 4); the caller frees *ret_text. */
int mse_base64_encode(const void *data, size_t size, char **ret_text, struct mse_error_info *err);
/* At most max_size bytes, newly allocated; MSE_ERR_INPUT for anything but canonical standard base64. */
int mse_base64_decode(const char *text, size_t max_size, uint8_t **ret_data, size_t *ret_size, const char *what, struct mse_error_info *err);
/* Exactly size bytes into `to`. */
int mse_base64_decode_fixed(const char *text, uint8_t *to, size_t size, const char *what, struct mse_error_info *err);

/* A decimal number without sign, space or needless zeros, from min to max. */
int mse_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, const char *what, struct mse_error_info *err);

/* Seconds since 1970-01-01T00:00:00Z. "2026-01-31T12:00:00Z": RFC 3339, UTC, whole seconds. */
#define MSE_TIME_TEXT_SIZE 21
#define MSE_TIME_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
void mse_time_format(char to[static MSE_TIME_TEXT_SIZE], int64_t seconds);
int mse_time_parse(const char *text, int64_t *ret_seconds, const char *what, struct mse_error_info *err);
int64_t mse_time_now(void);
/* A clock that only goes forward, for measuring and for time-outs. */
uint64_t mse_monotonic_ms(void);
uint64_t mse_monotonic_us(void);

/* A name of an app, project, image or plan: 1 to 63 of [a-z0-9._-] beginning with a letter or digit (letters of either case for names of apps and projects). */
bool mse_name_is_valid(const char *name);

/* Valid UTF-8 without NUL (RFC 3629: no surrogates, no over-long forms). */
bool mse_utf8_is_valid(const char *text, size_t size);

/* strdup() and asprintf() that report; the caller frees. */
int mse_strdup(const char *text, char **ret_text, struct mse_error_info *err);
int mse_format(char **ret_text, struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
