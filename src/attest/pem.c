#include "attest/pem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

#define MARK_SIZE 64

static void skip_blank(struct mse_view *text, const char *blank)
{
	while (text->size > 0 && memchr(blank, text->data[0], strlen(blank) + 1) != NULL)
		*text = mse_view_of(text->data + 1, text->size - 1);
}

static bool take_text(struct mse_view *text, const char *expected)
{
	struct mse_view rest = *text, part;

	if (!mse_view_take(&rest, strlen(expected), &part) || !mse_view_equals_text(part, expected))
		return false;
	*text = rest;
	return true;
}

int mse_pem_next(struct mse_view *text, const char *label, size_t max_size, uint8_t **ret_der, size_t *ret_size, struct mse_error_info *err)
{
	char begin[MARK_SIZE], end[MARK_SIZE];
	mse_autofree char *base64 = NULL;
	struct mse_view rest = *text;
	const uint8_t *dash;
	size_t count = 0;
	int result;

	snprintf(begin, sizeof begin, "-----BEGIN %s-----", label);
	snprintf(end, sizeof end, "-----END %s-----", label);
	skip_blank(&rest, " \t\r\n"); /* and NUL */
	if (rest.size == 0) {
		*text = rest;
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no further PEM block");
	}
	if (!take_text(&rest, begin))
		return mse_fail(err, MSE_ERR_INPUT, "not PEM: '%s' expected", begin);
	dash = memchr(rest.data, '-', rest.size);
	if (dash == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "a PEM block ends before its '%s'", end);
	if ((size_t)(dash - rest.data) > max_size * 2 + MARK_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "a PEM block has more than %zu bytes", max_size);
	base64 = malloc((size_t)(dash - rest.data) + 1);
	if (base64 == NULL)
		return mse_fail_nomem(err);
	for (const uint8_t *p = rest.data; p < dash; p++)
		if (*p == 0)
			return mse_fail(err, MSE_ERR_INPUT, "a PEM block has a NUL byte in it");
		else if (*p != '\n' && *p != '\r')
			base64[count++] = (char)*p;
	base64[count] = '\0';
	rest = mse_view_of(dash, rest.size - (size_t)(dash - rest.data));
	if (!take_text(&rest, end))
		return mse_fail(err, MSE_ERR_INPUT, "not PEM: '%s' expected", end);
	result = mse_base64_decode(base64, max_size, ret_der, ret_size, "a PEM block", err);
	if (result < 0)
		return result;
	*text = rest;
	return 0;
}
