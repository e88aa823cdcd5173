#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Messages quote names and texts of others, and end up on terminals and in JSON: no control characters, and UTF-8 only, also
 * where the end was cut off. */
void mse_make_printable(char *message)
{
	for (char *p = message; *p != 0;) {
		size_t left = strnlen(p, 4), size = 1;

		while (size <= left && !mse_utf8_is_valid(p, size))
			size++;
		if (size > left || ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) {
			*p++ = '?';
			continue;
		}
		/* The control characters of C1 travel as c2 80 to c2 9f. */
		if (size == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0)
			p[0] = p[1] = '?';
		p += size;
	}
}

int mse_fail(struct mse_error_info *err, int code, const char *format, ...)
{
	if (err != NULL) {
		va_list args;

		va_start(args, format);
		vsnprintf(err->message, sizeof err->message, format, args);
		va_end(args);
		mse_make_printable(err->message);
		err->code = code;
	}
	return code;
}

static int code_of_errno(int number)
{
	switch (number) {
	case ENOENT:
		return MSE_ERR_NOT_FOUND;
	case EEXIST:
		return MSE_ERR_EXISTS;
	case ENOMEM:
		return MSE_ERR_NOMEM;
	case EACCES:
	case EPERM:
		return MSE_ERR_DENIED;
	default:
		return MSE_ERR_IO;
	}
}

int mse_fail_errno(struct mse_error_info *err, const char *format, ...)
{
	int number = errno;
	int code = code_of_errno(number);

	if (err != NULL) {
		va_list args;
		size_t used;

		va_start(args, format);
		vsnprintf(err->message, sizeof err->message, format, args);
		va_end(args);
		used = strlen(err->message);
		snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(number));
		mse_make_printable(err->message);
		err->code = code;
	}
	return code;
}

int mse_fail_nomem(struct mse_error_info *err)
{
	return mse_fail(err, MSE_ERR_NOMEM, "out of memory");
}

int mse_context(struct mse_error_info *err, const char *format, ...)
{
	char before[MSE_ERROR_MESSAGE_SIZE];
	char whole[MSE_ERROR_MESSAGE_SIZE];
	va_list args;

	if (err == NULL)
		return MSE_ERR_INTERNAL;
	va_start(args, format);
	vsnprintf(before, sizeof before, format, args);
	va_end(args);
	/* Where both do not fit, the end of the message is what is lost: the context names the thing. */
	if (snprintf(whole, sizeof whole, "%s: %s", before, err->message) < 0)
		return err->code;
	memcpy(err->message, whole, sizeof err->message);
	mse_make_printable(err->message);
	return err->code;
}

const char *mse_error_name(int code)
{
	switch (code) {
	case MSE_OK:
		return "ok";
	case MSE_ERR_INTERNAL:
		return "internal";
	case MSE_ERR_NOMEM:
		return "no-memory";
	case MSE_ERR_IO:
		return "io";
	case MSE_ERR_NOT_FOUND:
		return "not-found";
	case MSE_ERR_EXISTS:
		return "exists";
	case MSE_ERR_INPUT:
		return "input";
	case MSE_ERR_LIMIT:
		return "limit";
	case MSE_ERR_UNSUPPORTED:
		return "unsupported";
	case MSE_ERR_CRYPTO:
		return "crypto";
	case MSE_ERR_DENIED:
		return "denied";
	case MSE_ERR_STATE:
		return "state";
	case MSE_ERR_TIMEOUT:
		return "timeout";
	case MSE_ERR_VERIFY:
		return "verify";
	case MSE_ERR_CLOSED:
		return "closed";
	default:
		return "unknown";
	}
}
