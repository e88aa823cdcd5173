/* Runs the HTTP/1 parser over a stream of messages that arrives in pieces, for the unit tests and the fuzzer. */
#pragma once

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http1.h"
#include "http/server.h"

#define STREAM_MAX ((size_t)1 << 18)

/* What a parser made of some bytes, as text, so that two runs can be compared. */
struct outcome {
	char text[STREAM_MAX];
	size_t size;
	size_t given; /* size without the refusal, and the refusal itself */
	int status;
};

static bool add(void *ctx, const uint8_t *data, size_t size)
{
	struct outcome *outcome = ctx;

	assert(outcome->size + size < sizeof outcome->text);
	memcpy(outcome->text + outcome->size, data, size);
	outcome->size += size;
	outcome->text[outcome->size] = 0;
	return true;
}

static void say(struct outcome *outcome, const char *text)
{
	add(outcome, (const uint8_t *)text, strlen(text));
}

static void say_status(struct outcome *outcome, int status)
{
	char text[32];

	outcome->given = outcome->size;
	outcome->status = status;
	(void)snprintf(text, sizeof text, "{%d}", status);
	say(outcome, text);
}

/* Parses messages from bytes that arrive in pieces of `cut` bytes (0: all at once). */
static void stream_parse(const char *bytes, size_t size, size_t cut, const struct mse_http_limits *limits, struct outcome *outcome)
{
	struct mse_http1 parser;
	size_t start = 0, end = cut == 0 || cut > size ? size : cut;
	bool in_body = false;

	outcome->size = outcome->given = 0;
	outcome->status = 0;
	outcome->text[0] = 0;
	mse_http1_init(&parser, limits, add, outcome);
	for (;;) {
		/* A copy of the exact size lets the address sanitizer see every byte too many. */
		size_t here = end - start, consumed = 0;
		uint8_t *data = malloc(here + (here == 0));
		bool more = true;

		assert(data);
		memcpy(data, bytes + start, here);
		if (!in_body) {
			enum mse_http1_scan result = mse_http1_scan(&parser, data, here);

			if (result == MSE_HTTP1_FOUND) {
				struct mse_http_head head;
				void *storage = malloc(mse_http1_storage_size(&parser));
				int status = mse_http1_head(&parser, data, false, storage, &head);

				if (status == 0) {
					say(outcome, head.method);
					say(outcome, " ");
					say(outcome, head.path);
					say(outcome, head.query[0] != 0 ? "?" : "");
					say(outcome, head.query);
					for (size_t i = 0; i < head.header_count; i++) {
						say(outcome, "|");
						say(outcome, head.headers[i].name);
						say(outcome, "=");
						say(outcome, head.headers[i].value);
						assert(strlen(head.headers[i].value) == head.headers[i].value_size);
					}
					say(outcome, head.keep_alive ? "|+" : "|-");
					in_body = true;
				} else {
					say_status(outcome, status);
				}
				free(storage);
				consumed = parser.head_size;
				more = status != 0;
			} else if (result == MSE_HTTP1_REFUSED) {
				say_status(outcome, parser.status);
			}
			if (parser.status != 0) {
				free(data);
				return;
			}
		} else {
			int status = mse_http1_body(&parser, data, here, &consumed);

			if (status != 0) {
				say_status(outcome, status);
				free(data);
				return;
			}
			more = consumed == 0;
		}
		free(data);
		start += consumed;
		if (in_body && parser.complete) {
			say(outcome, ";");
			mse_http1_reset(&parser);
			in_body = false;
			more = start == end;
		}
		if (more) {
			if (end == size)
				return;
			end = cut == 0 || size - end < cut ? size : end + cut;
		}
	}
}

/* Whether a stream means the same however it was cut. */
static bool stream_agrees(const struct outcome *whole, const struct outcome *cut)
{
	/* A malformed body that is too long as well can be refused for either. */
	if (whole->status != cut->status && !((whole->status == 400 && cut->status == 413) || (whole->status == 413 && cut->status == 400)))
		return false;
	if (whole->status == 0)
		return cut->size == whole->size && memcmp(cut->text, whole->text, whole->size) == 0;
	/* More or less of a body may have been given out before it was refused. */
	return memcmp(cut->text, whole->text, whole->given < cut->given ? whole->given : cut->given) == 0;
}
