/* HTTP/1.x requests out of bytes (RFC 9112), without any I/O: the head is found, checked and parsed once it is there as a whole; the
 * body goes through piece by piece. Refusals are HTTP status codes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp/llhttp.h>

#include "http/request.h"

/* A parsed head; everything points into the storage given to mse_http1_head(). */
struct mse_http_head {
	const char *method;
	const char *target;
	const char *path;
	const char *query;
	const char *host;
	struct mse_http_header *headers;
	size_t header_count;
	int64_t content_length; /* -1: not announced */
	unsigned minor_version;
	bool is_head;
	bool has_body;
	bool keep_alive;
	bool expects_continue;
};

struct mse_http1 {
	llhttp_t llhttp;
	/* Set by mse_http1_init(). */
	size_t max_head_size;
	unsigned max_header_count;
	uint64_t max_body_size;
	/* Given every piece of the body's content; false stops with 500. */
	bool (*on_body)(void *ctx, const uint8_t *data, size_t size);
	void *ctx;
	/* The head. */
	size_t blank_size; /* empty lines dropped before the request line */
	size_t scanned;
	size_t line_start;
	size_t head_size;
	size_t request_line_size;
	unsigned line_count; /* lines before the empty one */
	struct mse_http_head *head;
	uint16_t flags;
	/* The body. */
	uint64_t body_size;
	uint64_t framing_size;  /* bytes of chunk headers, trailers and the like */
	const uint8_t *framing; /* in the current piece: where they begin that were not looked at yet */
	bool after_cr;          /* the last of them was a CR */
	int status;
	bool complete; /* the whole message has been parsed */
};

struct mse_http_limits;

void mse_http1_init(struct mse_http1 *parser, const struct mse_http_limits *limits, bool (*on_body)(void *ctx, const uint8_t *data, size_t size),
	void *ctx);
/* Prepares for the connection's next message. */
void mse_http1_reset(struct mse_http1 *parser);

enum mse_http1_scan { MSE_HTTP1_MORE, MSE_HTTP1_FOUND, MSE_HTTP1_REFUSED };

/* Looks for the end of a head in data, which begins where the message does: each call gets all of it from there, more each time. FOUND sets
 * parser->head_size; REFUSED sets parser->status. */
enum mse_http1_scan mse_http1_scan(struct mse_http1 *parser, const uint8_t *data, size_t size);
/* How much storage the head that was found needs. */
size_t mse_http1_storage_size(const struct mse_http1 *parser);
/* Parses the head that was found; storage, aligned as malloc() does, must live as long as *head. 0, or the status to refuse with. is_tls
 * tells which scheme a target in absolute form may have. */
int mse_http1_head(struct mse_http1 *parser, const uint8_t *data, bool is_tls, void *storage, struct mse_http_head *head);
/* The next bytes of the body, until parser->complete; *ret_consumed says how many belonged to it. 0, or the status to refuse with. */
int mse_http1_body(struct mse_http1 *parser, const uint8_t *data, size_t size, size_t *ret_consumed);

/* RFC 9110 section 5.6.2; not empty. */
bool mse_http1_is_token(const char *text, size_t size);
