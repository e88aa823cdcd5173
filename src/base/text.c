#include "base/text.h"

#include <ctype.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

void mse_hex_encode(char *to, const uint8_t *data, size_t size)
{
	sodium_bin2hex(to, 2 * size + 1, data, size);
}

int mse_hex_decode(uint8_t *to, size_t size, const char *text, const char *what, struct mse_error_info *err)
{
	size_t decoded = 0;

	if (strlen(text) != 2 * size)
		return mse_fail(err, MSE_ERR_INPUT, "%s has %zu characters, expected %zu hex digits", what, strlen(text), 2 * size);
	if (sodium_hex2bin(to, size, text, 2 * size, NULL, &decoded, NULL) != 0 || decoded != size)
		return mse_fail(err, MSE_ERR_INPUT, "%s is not hex", what);
	return 0;
}

int mse_base64_encode(const void *data, size_t size, char **ret_text, struct mse_error_info *err)
{
	size_t room = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(room);

	if (text == NULL)
		return mse_fail_nomem(err);
	sodium_bin2base64(text, room, data, size, sodium_base64_VARIANT_ORIGINAL);
	*ret_text = text;
	return 0;
}

int mse_base64_decode(const char *text, size_t max_size, uint8_t **ret_data, size_t *ret_size, const char *what, struct mse_error_info *err)
{
	size_t text_size = strlen(text), decoded = 0;
	mse_autofree uint8_t *data = NULL;

	/* libsodium takes every byte above 0x7f for a '/'. */
	for (size_t i = 0; i < text_size; i++)
		if ((unsigned char)text[i] > 0x7f)
			return mse_fail(err, MSE_ERR_INPUT, "%s is not standard base64", what);
	if (text_size / 4 * 3 > max_size + 2)
		return mse_fail(err, MSE_ERR_LIMIT, "%s is larger than %zu bytes", what, max_size);
	data = malloc(text_size / 4 * 3 + 1);
	if (data == NULL)
		return mse_fail_nomem(err);
	if (sodium_base642bin(data, text_size / 4 * 3 + 1, text, text_size, NULL, &decoded, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "%s is not standard base64", what);
	if (decoded > max_size)
		return mse_fail(err, MSE_ERR_LIMIT, "%s is larger than %zu bytes", what, max_size);
	*ret_data = mse_steal(data);
	*ret_size = decoded;
	return 0;
}

int mse_base64_decode_fixed(const char *text, uint8_t *to, size_t size, const char *what, struct mse_error_info *err)
{
	mse_autofree uint8_t *data = NULL;
	size_t decoded;
	int result = mse_base64_decode(text, size, &data, &decoded, what, err);

	if (result < 0)
		return result;
	if (decoded != size)
		return mse_fail(err, MSE_ERR_INPUT, "%s has %zu bytes, expected %zu", what, decoded, size);
	memcpy(to, data, size);
	return 0;
}

int mse_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, const char *what, struct mse_error_info *err)
{
	uint64_t value = 0;
	size_t size = strlen(text);

	if (size == 0 || (size > 1 && text[0] == '0'))
		return mse_fail(err, MSE_ERR_INPUT, "%s is not a decimal number: '%s'", what, text);
	for (size_t i = 0; i < size; i++) {
		unsigned digit = (unsigned)text[i] - '0';

		if (digit > 9)
			return mse_fail(err, MSE_ERR_INPUT, "%s is not a decimal number: '%s'", what, text);
		if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value))
			return mse_fail(err, MSE_ERR_LIMIT, "%s is too large: '%s'", what, text);
	}
	if (value < min || value > max)
		return mse_fail(err, MSE_ERR_LIMIT, "%s is %llu, allowed are %llu to %llu", what, (unsigned long long)value,
			(unsigned long long)min, (unsigned long long)max);
	*ret_value = value;
	return 0;
}

void mse_time_format(char to[static MSE_TIME_TEXT_SIZE], int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm parts;

	if (gmtime_r(&time, &parts) == NULL || parts.tm_year > 9999 - 1900 || parts.tm_year < -1900 ||
	    strftime(to, MSE_TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) != MSE_TIME_TEXT_SIZE - 1)
		snprintf(to, MSE_TIME_TEXT_SIZE, "%s", seconds < 0 ? "0000-01-01T00:00:00Z" : "9999-12-31T23:59:59Z");
}

int mse_time_parse(const char *text, int64_t *ret_seconds, const char *what, struct mse_error_info *err)
{
	static const char pattern[] = "dddd-dd-ddTdd:dd:ddZ";
	struct tm parts = { 0 };
	struct tm again;
	time_t time;

	for (size_t i = 0; i < sizeof pattern; i++) {
		bool matches = pattern[i] == 'd' ? isdigit((unsigned char)text[i]) != 0 : text[i] == pattern[i];

		if (!matches)
			return mse_fail(err, MSE_ERR_INPUT, "%s is not a time like 2026-01-31T12:00:00Z", what);
	}
	sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec);
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	again = parts;
	time = timegm(&again);
	/* timegm() carries 31 February over to March: a date that changes was none. */
	if (again.tm_year != parts.tm_year || again.tm_mon != parts.tm_mon || again.tm_mday != parts.tm_mday ||
	    again.tm_hour != parts.tm_hour || again.tm_min != parts.tm_min || again.tm_sec != parts.tm_sec)
		return mse_fail(err, MSE_ERR_INPUT, "%s is not a real date: %s", what, text);
	*ret_seconds = time;
	return 0;
}

int64_t mse_time_now(void)
{
	return (int64_t)time(NULL);
}

uint64_t mse_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t mse_monotonic_ms(void)
{
	return mse_monotonic_us() / 1000u;
}

bool mse_name_is_valid(const char *name)
{
	size_t size = strlen(name);

	if (size < 1 || size > 63 || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
			return false;
	return true;
}

bool mse_utf8_is_valid(const char *text, size_t size)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + size;

	while (p < end) {
		unsigned extra;
		uint32_t point, smallest;

		if (*p == 0)
			return false;
		if (*p < 0x80) {
			p++;
			continue;
		}
		if ((*p & 0xe0) == 0xc0) {
			extra = 1, point = *p & 0x1fu, smallest = 0x80;
		} else if ((*p & 0xf0) == 0xe0) {
			extra = 2, point = *p & 0x0fu, smallest = 0x800;
		} else if ((*p & 0xf8) == 0xf0) {
			extra = 3, point = *p & 0x07u, smallest = 0x10000;
		} else {
			return false;
		}
		if ((size_t)(end - p) <= extra)
			return false;
		for (unsigned i = 1; i <= extra; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			point = point << 6 | (p[i] & 0x3fu);
		}
		if (point < smallest || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
			return false;
		p += extra + 1;
	}
	return true;
}

int mse_strdup(const char *text, char **ret_text, struct mse_error_info *err)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return mse_fail_nomem(err);
	*ret_text = copy;
	return 0;
}

int mse_format(char **ret_text, struct mse_error_info *err, const char *format, ...)
{
	va_list args;
	char *text;
	int size;

	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	if (size < 0)
		return mse_fail_nomem(err);
	*ret_text = text;
	return 0;
}
