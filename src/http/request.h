/* One HTTP request and its response, as the handler sees them.
 *
 * Every function here may be called from any thread; those that wait say so. One request is meant to be handled by one
 * thread at a time: concurrent calls on it are safe, but their order is undefined.
 *
 * A request is reference counted. When its connection is gone, the functions that return int fail with MSE_ERR_CLOSED; when
 * its response has ended, they fail with MSE_ERR_STATE: a reference that is kept too long never touches the connection's next
 * request. The accessors of the head stay valid as long as a reference is held. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

struct mse_http_request;

/* In requests: the name in lower case, the value without white space around it, each with a NUL behind it, outside its size.
 * Header values may hold bytes of 0x80 and above (obs-text, RFC 9110 section 5.5), never controls other than tab. */
struct mse_http_header {
	const char *name;
	size_t name_size;
	const char *value;
	size_t value_size;
};

/* An initialiser from two NUL-terminated strings. */
#define MSE_HTTP_HEADER(name_text, value_text) \
	{ .name = (name_text), .name_size = strlen(name_text), .value = (value_text), .value_size = strlen(value_text) }

/* on_request() only borrows its request: who keeps it longer takes a reference. When the last reference is dropped and no
 * response was made, the client gets 500 (or 408, 413, 400 when that is what was wrong with the body); a response left
 * unfinished aborts the connection. unref accepts NULL. */
struct mse_http_request *mse_http_request_ref(struct mse_http_request *request);
void mse_http_request_unref(struct mse_http_request *request);
MSE_DEFINE_CLEANUP(struct mse_http_request, mse_http_request_unref)

/* The head. All strings are NUL-terminated, never NULL unless said, and live as long as the request. */
const char *mse_http_request_method(const struct mse_http_request *request);
/* As received: "/a%20b?c", "http://host/a" or "*". Printable ASCII only, no fragment. */
const char *mse_http_request_target(const struct mse_http_request *request);
/* The target's path, begins with '/' (or is "*"), not percent-decoded; and what follows its first '?', or "". */
const char *mse_http_request_path(const struct mse_http_request *request);
const char *mse_http_request_query(const struct mse_http_request *request);
/* 0 or 1: HTTP/1.<minor>. */
unsigned mse_http_request_minor_version(const struct mse_http_request *request);
size_t mse_http_request_header_count(const struct mse_http_request *request);
/* In the order received; NULL when index is past the end. */
const struct mse_http_header *mse_http_request_header_at(const struct mse_http_request *request, size_t index);
/* The value of the first header with this name in any case, or NULL. */
const char *mse_http_request_header(const struct mse_http_request *request, const char *name);
/* What the client calls this server, "name" or "name:port" (checked for syntax only); "" when HTTP/1.0 names none. */
const char *mse_http_request_host(const struct mse_http_request *request);
/* "https" or "http". */
const char *mse_http_request_scheme(const struct mse_http_request *request);
bool mse_http_request_is_tls(const struct mse_http_request *request);
/* The client's IP address as text, without brackets, IPv4 inside IPv6 as IPv4; "" and 0 for a Unix socket. */
const char *mse_http_request_peer_address(const struct mse_http_request *request);
uint16_t mse_http_request_peer_port(const struct mse_http_request *request);
/* The announced size of the body, or -1 when the request has no Content-Length (no body, or a chunked one). */
int64_t mse_http_request_content_length(const struct mse_http_request *request);
bool mse_http_request_has_body(const struct mse_http_request *request);
/* Whether the client wishes to keep the connection after this request. */
bool mse_http_request_keep_alive(const struct mse_http_request *request);
/* Whether the connection is gone, so that nothing more can be read or sent. */
bool mse_http_request_is_closed(struct mse_http_request *request);

/* The body: waits until there is some, then gives at most size bytes; *ret_got is 0 only at its end (or when size is 0).
 * The first call answers "Expect: 100-continue". MSE_ERR_CLOSED: the client went away before the end; MSE_ERR_LIMIT: larger than
 * max_body_size; MSE_ERR_TIMEOUT: nothing came for body_timeout_ms; MSE_ERR_INPUT: malformed chunks. Not on a loop thread (MSE_ERR_STATE). */
int mse_http_request_read(struct mse_http_request *request, void *to, size_t size, size_t *ret_got, struct mse_error_info *err);
/* The rest of the body in a new buffer, which the caller frees; MSE_ERR_LIMIT when it is larger than max_size bytes, at once where
 * Content-Length says so. */
int mse_http_request_read_all(struct mse_http_request *request, size_t max_size, struct mse_buffer **ret_body, struct mse_error_info *err);

/* The response: start, any number of writes, end.
 *
 * start: status 200 to 599; reason NULL for the usual one. MSE_ERR_INPUT, naming the header, for a name that is no token, a value
 * with controls, a second or malformed Content-Length, or a header that belongs to the connection (Connection, Keep-Alive,
 * Transfer-Encoding, Upgrade, ...): then nothing has been started. MSE_ERR_STATE when a response was started before. Date is added
 * when missing. With Content-Length, exactly that many bytes must be written; without, the body is sent chunked (HTTP/1.0:
 * until the connection closes). The head is sent together with the first bytes of the body, or at the end.
 *
 * write: takes all of data, waiting while more than max_buffered_output bytes are unsent; MSE_ERR_TIMEOUT when the client
 * took nothing for body_timeout_ms, MSE_ERR_INPUT when Content-Length would be passed (nothing is taken then). On a loop thread
 * it never waits. Responses to HEAD, 204 and 304 swallow it.
 *
 * end: fewer bytes than Content-Length abort the connection, MSE_ERR_INPUT. */
int mse_http_response_start(struct mse_http_request *request, unsigned status, const char *reason, const struct mse_http_header *headers,
	size_t count, struct mse_error_info *err);
int mse_http_response_write(struct mse_http_request *request, const void *data, size_t size, struct mse_error_info *err);
int mse_http_response_end(struct mse_http_request *request, struct mse_error_info *err);
bool mse_http_response_started(struct mse_http_request *request);

/* Start, write and end in one call, never waiting on a loop thread; content_type NULL sends none. */
int mse_http_respond(struct mse_http_request *request, unsigned status, const char *content_type, const void *body, size_t size,
	struct mse_error_info *err);
/* The same with more headers (no Content-Length among them). */
int mse_http_respond_with(struct mse_http_request *request, unsigned status, const struct mse_http_header *headers, size_t count,
	const void *body, size_t size, struct mse_error_info *err);

/* Closes the connection at once, so that the client sees the response as broken. Harmless when it has ended or the connection is gone. */
void mse_http_request_abort(struct mse_http_request *request);

/* 32 bytes that only the two ends of this very TLS 1.3 connection can compute (RFC 5705, RFC 8446 section 7.5). use_context false
 * leaves the context out. MSE_ERR_STATE without TLS or with TLS 1.2. Waits for the loop thread, which owns the TLS state. */
#define MSE_HTTP_EXPORTER_SIZE 32
int mse_http_request_exporter(struct mse_http_request *request, const char *label, const void *context, size_t context_size, bool use_context,
	uint8_t ret_value[static MSE_HTTP_EXPORTER_SIZE], struct mse_error_info *err);
/* "TLSv1.3", "TLSv1.2", or "" without TLS. */
const char *mse_http_request_tls_version(const struct mse_http_request *request);

/* A number that stays with the connection from request to request, 0 at first. Ignored once the response has ended. */
void mse_http_connection_set_mark(struct mse_http_request *request, unsigned mark);
unsigned mse_http_connection_mark(struct mse_http_request *request);
