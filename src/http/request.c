#include "http/request.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "http/internal.h"

/* One read copies at most this much, because it holds the connection's mutex meanwhile. */
#define MAX_READ ((size_t)64 * 1024)
static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

struct mse_http_request *mse_http_request_new(struct mse_http_connection *connection, size_t storage_size)
{
	struct mse_http_request *request = malloc(sizeof *request + storage_size);

	if (request == NULL)
		return NULL;
	*request = (struct mse_http_request){ .connection = connection, .attached = true, .length = -1 };
	if (pthread_cond_init(&request->changed, NULL) != 0) {
		free(request);
		return NULL;
	}
	atomic_init(&request->refs, 2);
	atomic_init(&request->handler_refs, 1);
	atomic_fetch_add_explicit(&connection->refs, 1, memory_order_relaxed);
	return request;
}

void mse_http_request_release(struct mse_http_request *request)
{
	if (atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) != 1)
		return;
	mse_http_bytes_free(&request->body);
	pthread_cond_destroy(&request->changed);
	mse_http_connection_unref(request->connection);
	free(request);
}

struct mse_http_request *mse_http_request_ref(struct mse_http_request *request)
{
	unsigned before = atomic_fetch_add_explicit(&request->handler_refs, 1, memory_order_relaxed);

	assert(before > 0);
	return request;
}

/* No handler is left to answer. */
static void abandon(struct mse_http_request *request)
{
	struct mse_http_connection *connection = request->connection;
	char body[64];
	unsigned status = 0;

	pthread_mutex_lock(&connection->mutex);
	if (request->attached && !connection->closed && !request->ended && !request->started)
		status = request->body_error == MSE_ERR_LIMIT ? 413 : request->body_error == MSE_ERR_TIMEOUT ? 408 : request->body_error != 0 ? 400 : 500;
	pthread_mutex_unlock(&connection->mutex);
	if (status != 0) {
		(void)snprintf(body, sizeof body, "%u %s\n", status, mse_http_status_reason(status));
		(void)mse_http_respond(request, status, "text/plain; charset=utf-8", body, strlen(body), NULL);
	}
	mse_http_request_abort(request);
}

void mse_http_request_unref(struct mse_http_request *request)
{
	if (request == NULL || atomic_fetch_sub_explicit(&request->handler_refs, 1, memory_order_acq_rel) != 1)
		return;
	abandon(request);
	mse_http_request_release(request);
}

const char *mse_http_request_method(const struct mse_http_request *request)
{
	return request->head.method;
}

const char *mse_http_request_target(const struct mse_http_request *request)
{
	return request->head.target;
}

const char *mse_http_request_path(const struct mse_http_request *request)
{
	return request->head.path;
}

const char *mse_http_request_query(const struct mse_http_request *request)
{
	return request->head.query;
}

unsigned mse_http_request_minor_version(const struct mse_http_request *request)
{
	return request->head.minor_version;
}

size_t mse_http_request_header_count(const struct mse_http_request *request)
{
	return request->head.header_count;
}

const struct mse_http_header *mse_http_request_header_at(const struct mse_http_request *request, size_t index)
{
	return index < request->head.header_count ? &request->head.headers[index] : NULL;
}

const char *mse_http_request_header(const struct mse_http_request *request, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < request->head.header_count; i++) {
		const struct mse_http_header *header = &request->head.headers[i];

		if (header->name_size == size && strcasecmp(header->name, name) == 0)
			return header->value;
	}
	return NULL;
}

const char *mse_http_request_host(const struct mse_http_request *request)
{
	return request->head.host;
}

const char *mse_http_request_scheme(const struct mse_http_request *request)
{
	return mse_http_request_is_tls(request) ? "https" : "http";
}

bool mse_http_request_is_tls(const struct mse_http_request *request)
{
	return request->connection->tls_version[0] != 0;
}

const char *mse_http_request_tls_version(const struct mse_http_request *request)
{
	return request->connection->tls_version;
}

const char *mse_http_request_peer_address(const struct mse_http_request *request)
{
	return request->connection->peer_address;
}

uint16_t mse_http_request_peer_port(const struct mse_http_request *request)
{
	return request->connection->peer_port;
}

int64_t mse_http_request_content_length(const struct mse_http_request *request)
{
	return request->head.content_length;
}

bool mse_http_request_has_body(const struct mse_http_request *request)
{
	return request->head.has_body;
}

bool mse_http_request_keep_alive(const struct mse_http_request *request)
{
	return request->head.keep_alive;
}

bool mse_http_request_is_closed(struct mse_http_request *request)
{
	struct mse_http_connection *connection = request->connection;
	bool closed;

	pthread_mutex_lock(&connection->mutex);
	closed = connection->closed || connection->abort;
	pthread_mutex_unlock(&connection->mutex);
	return closed;
}

int mse_http_request_check(const struct mse_http_request *request, struct mse_error_info *err)
{
	const struct mse_http_connection *connection = request->connection;

	if (request->ended)
		return mse_fail(err, MSE_ERR_STATE, "using a request whose response has ended");
	if (connection->closed || connection->abort || !request->attached)
		return mse_fail(err, MSE_ERR_CLOSED, "using a request whose connection is closed");
	return 0;
}

/* Answers Expect: 100-continue before the body is waited for. */
static int send_continue(struct mse_http_request *request, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	size_t at = mse_http_bytes_size(&connection->output);

	request->continue_wanted = false;
	if (request->received > 0 || request->body_complete)
		return 0;
	if (request->head_open) {
		at = connection->held_from;
		if (!mse_http_response_close_head(request, true))
			return mse_fail_nomem(err);
	} else if (request->started) {
		return 0; /* the final response is on its way already: no interim one may follow (RFC 9110 section 15.2) */
	}
	if (!mse_http_bytes_insert(&connection->output, at, continue_line, sizeof continue_line - 1))
		return mse_fail_nomem(err);
	mse_http_connection_notify(connection);
	return 0;
}

static int fail_body(int code, struct mse_error_info *err)
{
	switch (code) {
	case MSE_ERR_LIMIT:
		return mse_fail(err, code, "reading the body of a request: it is larger than the server allows");
	case MSE_ERR_TIMEOUT:
		return mse_fail(err, code, "reading the body of a request: the client sent nothing in time");
	case MSE_ERR_NOMEM:
		return mse_fail_nomem(err);
	default:
		return mse_fail(err, code, "reading the body of a request: its chunked coding is malformed");
	}
}

/* With the mutex held: until there is something to read, or the end, or an error. */
static int wait_for_body(struct mse_http_request *request, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	int result = mse_http_request_check(request, err);

	if (result < 0)
		return result;
	if (mse_http_loop_is_current(connection->loop))
		return mse_fail(err, MSE_ERR_STATE, "reading the body of a request on a network thread, which must not wait");
	if (request->continue_wanted) {
		result = send_continue(request, err);
		if (result < 0)
			return result;
	}
	while (mse_http_bytes_size(&request->body) == 0 && !request->body_complete) {
		if (request->body_error != 0)
			return fail_body(request->body_error, err);
		pthread_cond_wait(&request->changed, &connection->mutex);
		result = mse_http_request_check(request, err);
		if (result < 0)
			return result;
	}
	return 0;
}

int mse_http_request_read(struct mse_http_request *request, void *to, size_t size, size_t *ret_got, struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	int result = 0;

	*ret_got = 0;
	if (size == 0)
		return 0;
	pthread_mutex_lock(&connection->mutex);
	result = wait_for_body(request, err);
	if (result == 0) {
		size_t held = mse_http_bytes_size(&request->body), got = size < held ? size : held;

		if (got > MAX_READ)
			got = MAX_READ;
		if (got > 0) {
			memcpy(to, mse_http_bytes_front(&request->body), got);
			mse_http_bytes_consume(&request->body, got);
			*ret_got = got;
		}
		if (connection->input_paused && held - got <= connection->server->limits.max_buffered_input / 2) {
			connection->input_paused = false;
			mse_http_connection_notify(connection);
		}
	}
	pthread_mutex_unlock(&connection->mutex);
	return result;
}

int mse_http_request_read_all(struct mse_http_request *request, size_t max_size, struct mse_buffer **ret_body, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	int64_t announced = request->head.content_length;
	size_t piece = announced >= 0 && announced < (int64_t)MAX_READ ? (size_t)announced : MAX_READ;

	*ret_body = NULL;
	if (announced >= 0 && (uint64_t)announced > max_size)
		return mse_fail(err, MSE_ERR_LIMIT, "reading the body of a request: it has %lld bytes where %zu is the limit", (long long)announced, max_size);
	/* One byte beyond the limit tells a body that ends there from one that goes on. */
	body = mse_buffer_new(max_size < SIZE_MAX ? max_size + 1 : max_size);
	if (body == NULL)
		return mse_fail_nomem(err);
	for (;;) {
		uint8_t *room, one[1];
		size_t held = mse_buffer_size(body), left = max_size - held + (max_size < SIZE_MAX ? 1 : 0), got, wanted = piece < left ? piece : left;
		int result = 0;

		if (announced >= 0 && held == (size_t)announced) { /* what is read now can only be the end */
			room = one;
			wanted = 1;
		} else {
			result = mse_buffer_reserve(body, wanted, &room, err);
			if (result < 0)
				return result;
		}
		result = mse_http_request_read(request, room, wanted, &got, err);
		if (result < 0)
			return result;
		if (got == 0)
			break;
		if (mse_buffer_size(body) + got > max_size)
			return mse_fail(err, MSE_ERR_LIMIT, "reading the body of a request: it has more than %zu bytes, which is the limit", max_size);
		mse_buffer_commit(body, got);
	}
	*ret_body = mse_steal(body);
	return 0;
}

void mse_http_request_abort(struct mse_http_request *request)
{
	struct mse_http_connection *connection = request->connection;

	pthread_mutex_lock(&connection->mutex);
	if (request->attached && !connection->closed && !request->ended) {
		connection->abort = true;
		pthread_cond_broadcast(&request->changed);
		mse_http_connection_notify(connection);
	}
	pthread_mutex_unlock(&connection->mutex);
}

/* With the mutex held. */
static int run_exporter(struct mse_http_connection *connection, struct mse_http_request *request, struct mse_http_exporter_job *job)
{
	if (mse_http_loop_is_current(connection->loop))
		return mse_http_transport_export(connection, job);
	while (connection->job != NULL && mse_http_request_check(request, NULL) == 0)
		pthread_cond_wait(&request->changed, &connection->mutex);
	if (mse_http_request_check(request, NULL) < 0)
		return MSE_ERR_CLOSED;
	connection->job = job;
	mse_http_connection_notify(connection);
	while (!job->done)
		pthread_cond_wait(&request->changed, &connection->mutex);
	return job->result;
}

int mse_http_request_exporter(struct mse_http_request *request, const char *label, const void *context, size_t context_size, bool use_context,
	uint8_t ret_value[static MSE_HTTP_EXPORTER_SIZE], struct mse_error_info *err)
{
	struct mse_http_connection *connection = request->connection;
	struct mse_http_exporter_job job = { .label = label, .context = context, .context_size = context_size, .use_context = use_context, .value = ret_value };
	int result;

	memset(ret_value, 0, MSE_HTTP_EXPORTER_SIZE);
	pthread_mutex_lock(&connection->mutex);
	result = mse_http_request_check(request, err);
	if (result < 0) {
		pthread_mutex_unlock(&connection->mutex);
		return result;
	}
	result = run_exporter(connection, request, &job);
	pthread_mutex_unlock(&connection->mutex);
	switch (result) {
	case 0:
		return 0;
	case MSE_ERR_CLOSED:
		return mse_fail(err, result, "binding to the TLS connection: it is closed");
	case MSE_ERR_STATE:
		return mse_fail(err, result, "binding to the connection: that takes TLS 1.3, and this one is %s",
			connection->tls_version[0] != 0 ? connection->tls_version : "not encrypted");
	default:
		return mse_fail(err, result, "binding to the TLS connection: the exporter '%s' failed", label);
	}
}

void mse_http_connection_set_mark(struct mse_http_request *request, unsigned mark)
{
	struct mse_http_connection *connection = request->connection;

	pthread_mutex_lock(&connection->mutex);
	if (request->attached && !request->ended && !connection->closed)
		atomic_store(&connection->mark, mark);
	pthread_mutex_unlock(&connection->mutex);
}

unsigned mse_http_connection_mark(struct mse_http_request *request)
{
	return atomic_load(&request->connection->mark);
}
