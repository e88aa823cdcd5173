/* What all our HTTP requests have in common: libcurl with limits, without proxies, redirects or anything implicit. */
#pragma once

#include <curl/curl.h>

#include "base/buffer.h"
#include "cli/cli.h"

struct mse_http_answer {
	long status;
	bool unreachable; /* no connection could be made */
	struct mse_buffer *body; /* capped at birth; emptied before each request */
};
void mse_http_answer_clear(struct mse_http_answer *answer);
int mse_http_answer_new(size_t max_size, struct mse_http_answer *ret_answer, struct mse_error_info *err);

__attribute__((unused)) static inline void mse_curl_freep(CURL **handle)
{
	curl_easy_cleanup(*handle);
}

__attribute__((unused)) static inline void mse_slist_freep(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* A new handle, or the given one reset but with its connections kept: https or http alone, HTTP/1.1, no proxy, no redirect, no signals,
 * time-outs; interrupts end it. */
int mse_http_prepare(CURL **handle, const char *protocol, const char *url, struct mse_error_info *err);
/* Sets one option; the long and pointer forms of curl_easy_setopt() that fail. */
#define mse_http_set(handle, option, value, err)                                                                                \
	(curl_easy_setopt(handle, option, value) == CURLE_OK ? 0 : mse_fail(err, MSE_ERR_INTERNAL, "libcurl refuses the option " #option))
/* Adds "name: value" to the headers of a request. */
int mse_http_header(struct curl_slist **headers, struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Makes the request; what names the other side in errors. MSE_ERR_CLOSED: no connection, or lost; MSE_ERR_TIMEOUT; MSE_ERR_LIMIT: too large an
 * answer; MSE_ERR_STATE: interrupted, or stopped by one of our callbacks. */
int mse_http_perform(CURL *handle, const char *what, struct mse_http_answer *answer, struct mse_error_info *err);
/* A number in a header of the answer; -1: it is not there or not a number. */
int64_t mse_http_header_number(CURL *handle, const char *name);
