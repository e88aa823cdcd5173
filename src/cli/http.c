#include "cli/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define CONNECT_SECONDS 30L
#define LOW_SPEED_SECONDS 60L

void mse_http_answer_clear(struct mse_http_answer *answer)
{
	mse_buffer_free(mse_steal(answer->body));
}

int mse_http_answer_new(size_t max_size, struct mse_http_answer *ret_answer, struct mse_error_info *err)
{
	*ret_answer = (struct mse_http_answer){ .body = mse_buffer_new(max_size) };
	return ret_answer->body == NULL ? mse_fail_nomem(err) : 0;
}

static size_t take_body(char *data, size_t unit, size_t count, void *context)
{
	struct mse_buffer *body = context;
	struct mse_error_info ignored;

	return mse_buffer_append(body, data, unit * count, &ignored) < 0 ? CURL_WRITEFUNC_ERROR : unit * count;
}

static int watch_interrupts(void *context, curl_off_t download, curl_off_t downloaded, curl_off_t upload, curl_off_t uploaded)
{
	(void)context;
	(void)download;
	(void)downloaded;
	(void)upload;
	(void)uploaded;
	return mse_interrupted() ? 1 : 0;
}

int mse_http_prepare(CURL **handle, const char *protocol, const char *url, struct mse_error_info *err)
{
	int result;

	if (*handle == NULL && (*handle = curl_easy_init()) == NULL)
		return mse_fail_nomem(err);
	curl_easy_reset(*handle);
	if ((result = mse_http_set(*handle, CURLOPT_URL, url, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_PROTOCOLS_STR, protocol, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_PROXY, "", err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_FOLLOWLOCATION, 0L, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_NOSIGNAL, 1L, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_LOW_SPEED_LIMIT, 1L, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_NOPROGRESS, 0L, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_XFERINFOFUNCTION, watch_interrupts, err)) < 0 ||
	    (result = mse_http_set(*handle, CURLOPT_USERAGENT, "mse/" MSE_VERSION, err)) < 0)
		return result;
	return 0;
}

int mse_http_header(struct curl_slist **headers, struct mse_error_info *err, const char *format, ...)
{
	char line[1024];
	struct curl_slist *longer;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof line)
		return mse_fail(err, MSE_ERR_INTERNAL, "a header of %d bytes", size);
	longer = curl_slist_append(*headers, line);
	if (longer == NULL)
		return mse_fail_nomem(err);
	*headers = longer;
	return 0;
}

static int fail_curl(CURLcode code, const char *detail, const char *what, struct mse_error_info *err)
{
	const char *reason = detail[0] != 0 ? detail : curl_easy_strerror(code);

	switch (code) {
	case CURLE_ABORTED_BY_CALLBACK:
		return mse_fail(err, MSE_ERR_STATE, "%s: %s", what, mse_interrupted() ? "interrupted" : reason);
	case CURLE_OPERATION_TIMEDOUT:
		return mse_fail(err, MSE_ERR_TIMEOUT, "%s did not answer in time: %s", what, reason);
	case CURLE_WRITE_ERROR:
		return mse_fail(err, MSE_ERR_LIMIT, "%s sent a larger answer than is accepted here", what);
	case CURLE_OUT_OF_MEMORY:
		return mse_fail_nomem(err);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return mse_fail(err, MSE_ERR_INPUT, "%s: %s", what, reason);
	case CURLE_READ_ERROR:
		return mse_fail(err, MSE_ERR_IO, "%s: what is to be sent cannot be read", what);
	default:
		return mse_fail(err, MSE_ERR_CLOSED, "%s: %s", what, reason);
	}
}

int mse_http_perform(CURL *handle, const char *what, struct mse_http_answer *answer, struct mse_error_info *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode code;
	int result;

	mse_buffer_clear(answer->body);
	answer->status = 0;
	if ((result = mse_http_set(handle, CURLOPT_ERRORBUFFER, detail, err)) < 0 ||
	    (result = mse_http_set(handle, CURLOPT_WRITEFUNCTION, take_body, err)) < 0 ||
	    (result = mse_http_set(handle, CURLOPT_WRITEDATA, answer->body, err)) < 0)
		return result;
	code = curl_easy_perform(handle);
	answer->unreachable = code == CURLE_COULDNT_CONNECT;
	curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, NULL);
	if (code != CURLE_OK)
		return fail_curl(code, mse_cli_printable(detail), what, err);
	curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer->status);
	return 0;
}

int64_t mse_http_header_number(CURL *handle, const char *name)
{
	struct curl_header *header;
	struct mse_error_info ignored;
	uint64_t value;

	if (curl_easy_header(handle, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return -1;
	return mse_parse_u64(header->value, 0, INT64_MAX, &value, name, &ignored) < 0 ? -1 : (int64_t)value;
}
