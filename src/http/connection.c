#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/text.h"
#include "http/internal.h"

/* Pipelined requests wait in this much memory, then in the client. */
#define MAX_PIPELINED ((size_t)16 * 1024)
/* So many steps in a row, then other connections have their turn. */
#define MAX_STEPS 32u
#define MAX_LINGER_SIZE ((size_t)4 * 1024 * 1024)

static bool take_body(void *ctx, const uint8_t *data, size_t size);

struct mse_http_connection *mse_http_connection_new(struct mse_http_server *server, struct mse_http_loop *loop, int fd)
{
	struct mse_http_connection *connection = malloc(sizeof *connection);

	if (connection == NULL)
		return NULL;
	*connection = (struct mse_http_connection){ .server = server, .loop = loop, .tls_version = "", .fd = fd, .phase = MSE_HTTP_NEW, .maybe_more = true };
	if (pthread_mutex_init(&connection->mutex, NULL) != 0) {
		free(connection);
		return NULL;
	}
	atomic_init(&connection->refs, 1);
	atomic_init(&connection->mark, 0);
	connection->read_timer.connection = connection->write_timer.connection = connection;
	return connection;
}

void mse_http_connection_unref(struct mse_http_connection *connection)
{
	if (atomic_fetch_sub_explicit(&connection->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&connection->mutex);
	free(connection);
}

void mse_http_connection_notify(struct mse_http_connection *connection)
{
	struct mse_http_loop *loop = connection->loop;

	/* Who is being driven is looked at once more anyway. */
	if (mse_http_loop_is_current(loop) && loop->current == connection)
		return;
	mse_http_loop_wake(loop, connection);
}

/* Ends the connection's work on its request. */
static void detach(struct mse_http_connection *connection)
{
	struct mse_http_request *request = connection->request;

	if (request == NULL)
		return;
	pthread_mutex_lock(&connection->mutex);
	connection->request = NULL;
	request->attached = false;
	if (connection->job != NULL) {
		connection->job->result = MSE_ERR_CLOSED;
		connection->job->done = true;
		connection->job = NULL;
	}
	mse_http_bytes_free(&request->body);
	pthread_cond_broadcast(&request->changed);
	pthread_mutex_unlock(&connection->mutex);
	/* The handlers' reference of one that none has seen. */
	if (request->awaited > 0)
		mse_http_request_unref(request);
	mse_http_request_release(request);
}

void mse_http_connection_destroy(struct mse_http_connection *connection, int code, bool reset)
{
	struct mse_http_loop *loop = connection->loop;
	struct mse_http_server *server = connection->server;

	if (connection->phase == MSE_HTTP_GONE)
		return;
	pthread_mutex_lock(&connection->mutex);
	connection->closed = true;
	connection->close_code = code;
	mse_http_bytes_free(&connection->output);
	connection->sending_size = 0;
	pthread_mutex_unlock(&connection->mutex);
	mse_http_loop_forget(loop, connection);
	detach(connection);
	if (connection->phase != MSE_HTTP_NEW) {
		if (connection->reading)
			(void)event_del(&connection->read_event);
		if (connection->writing)
			(void)event_del(&connection->write_event);
		TAILQ_REMOVE(&loop->connections, connection, entry);
	}
	mse_http_timer_disarm(&connection->read_timer);
	mse_http_timer_disarm(&connection->write_timer);
	mse_http_transport_close(connection, reset);
	mse_http_bytes_free(&connection->input);
	mse_http_bytes_free(&connection->sending);
	connection->phase = MSE_HTTP_GONE;
	if (server->on_connection_closed != NULL)
		server->on_connection_closed(server->ctx, atomic_load(&connection->mark));
	mse_http_server_connection_gone(server);
	mse_http_connection_unref(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct mse_http_connection *connection = arg;

	(void)fd;
	(void)what;
	connection->maybe_more = true;
	mse_http_connection_drive(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct mse_http_connection *connection = arg;

	(void)fd;
	(void)what;
	if (connection->read_wants_write)
		connection->maybe_more = true;
	mse_http_connection_drive(connection);
}

static void take_over(struct mse_http_connection *connection)
{
	struct mse_http_loop *loop = connection->loop;

	TAILQ_INSERT_TAIL(&loop->connections, connection, entry);
	connection->phase = MSE_HTTP_HEAD;
	(void)event_assign(&connection->read_event, loop->base, connection->fd, EV_READ | EV_PERSIST, on_readable, connection);
	(void)event_assign(&connection->write_event, loop->base, connection->fd, EV_WRITE | EV_PERSIST, on_writable, connection);
	mse_http1_init(&connection->parser, &connection->server->limits, take_body, connection);
	mse_http_timer_arm(&connection->read_timer, MSE_HTTP_TIMER_HEAD);
	if (connection->server->ssl_ctx == NULL)
		return;
	if (mse_http_transport_open(connection) != 0)
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
	else
		connection->phase = MSE_HTTP_HANDSHAKE;
}

static void begin_close(struct mse_http_connection *connection, bool linger)
{
	mse_http_timer_disarm(&connection->read_timer);
	mse_http_bytes_free(&connection->input);
	connection->phase = MSE_HTTP_CLOSING;
	connection->linger = linger && !connection->eof;
	connection->input_dead = true;
}

/* Everything is sent. */
static void end_close(struct mse_http_connection *connection)
{
	mse_http_transport_shutdown(connection);
	if (!connection->linger) {
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
		return;
	}
	connection->phase = MSE_HTTP_LINGER;
	connection->drained = 0;
	connection->maybe_more = true;
	mse_http_timer_arm(&connection->read_timer, MSE_HTTP_TIMER_LINGER);
}

/* Answers what is no request that a handler should see. */
static void refuse(struct mse_http_connection *connection, int status)
{
	bool ok;

	detach(connection);
	pthread_mutex_lock(&connection->mutex);
	ok = mse_http_response_refusal(&connection->output, (unsigned)status);
	pthread_mutex_unlock(&connection->mutex);
	begin_close(connection, ok);
}

static bool take_body(void *ctx, const uint8_t *data, size_t size)
{
	struct mse_http_connection *connection = ctx;
	struct mse_http_request *request = connection->request;

	request->received += size;
	if (request->ended) {
		connection->drained += size;
		return true;
	}
	return mse_http_bytes_append(&request->body, data, size);
}

/* How much of its body the handler has room for. With the mutex held. */
static size_t body_room(const struct mse_http_connection *connection)
{
	const struct mse_http_request *request = connection->request;
	size_t max = request->ended ? MSE_HTTP_MAX_DRAIN : connection->server->limits.max_buffered_input,
	       held = request->ended ? connection->drained : mse_http_bytes_size(&request->body);

	return held < max ? max - held : 0;
}

static size_t feed_body(struct mse_http_connection *connection, const uint8_t *data, size_t size)
{
	struct mse_http_request *request = connection->request;
	size_t consumed = 0, room;
	int status;

	pthread_mutex_lock(&connection->mutex);
	room = body_room(connection);
	status = mse_http1_body(&connection->parser, data, size < room ? size : room, &consumed);
	if (status != 0) {
		request->body_error = status == 413 ? MSE_ERR_LIMIT : status == 500 ? MSE_ERR_NOMEM : MSE_ERR_INPUT;
		connection->keep_alive = false;
		connection->input_dead = true;
		consumed = size;
	}
	request->body_complete = connection->parser.complete;
	pthread_cond_broadcast(&request->changed);
	pthread_mutex_unlock(&connection->mutex);
	if (consumed > 0 && connection->read_timer.armed && connection->read_timer.kind == MSE_HTTP_TIMER_BODY)
		mse_http_timer_arm(&connection->read_timer, MSE_HTTP_TIMER_BODY);
	return consumed;
}

/* Shows the request to the handler, unless more of its body is to come first. */
static void show_request(struct mse_http_connection *connection)
{
	struct mse_http_request *request = connection->request;
	struct mse_http_server *server = connection->server;
	bool ready;

	pthread_mutex_lock(&connection->mutex);
	ready = request->body_complete || request->body_error != 0 || mse_http_bytes_size(&request->body) >= request->awaited;
	pthread_mutex_unlock(&connection->mutex);
	if (!ready)
		return;
	request->awaited = 0;
	server->on_request(server->ctx, request);
	mse_http_request_unref(request);
}

/* How much of the body is to come before a handler sees the request; who waits for a 100 Continue gets it. */
static bool await_body(struct mse_http_connection *connection, struct mse_http_request *request)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct mse_http_server *server = connection->server;
	size_t most = server->limits.max_buffered_input;
	bool good = true;

	if (server->await_body == NULL || request->body_complete)
		return true;
	request->awaited = server->await_body(server->ctx, request);
	request->awaited = request->awaited < most ? request->awaited : most;
	pthread_mutex_lock(&connection->mutex);
	if (request->awaited > 0 && request->continue_wanted && request->received == 0)
		good = mse_http_bytes_append(&connection->output, go_on, sizeof go_on - 1);
	if (request->awaited > 0)
		request->continue_wanted = false;
	pthread_mutex_unlock(&connection->mutex);
	return good;
}

/* The head at data is complete: makes a request of it and shows it to the handler, with as much of its body as is here. */
static size_t begin_request(struct mse_http_connection *connection, const uint8_t *data, size_t size)
{
	struct mse_http_server *server = connection->server;
	struct mse_http1 *parser = &connection->parser;
	struct mse_http_request *request = mse_http_request_new(connection, mse_http1_storage_size(parser));
	size_t consumed = parser->head_size;
	int status;

	if (request == NULL) {
		refuse(connection, 503);
		return size;
	}
	status = mse_http1_head(parser, data, server->ssl_ctx != NULL, request->storage, &request->head);
	if (status != 0) {
		mse_http_request_release(request);
		mse_http_request_release(request);
		refuse(connection, status);
		return size;
	}
	mse_http_timer_disarm(&connection->read_timer);
	request->body_complete = parser->complete;
	request->continue_wanted = request->head.expects_continue;
	pthread_mutex_lock(&connection->mutex);
	connection->request = request;
	connection->keep_alive = request->head.keep_alive;
	connection->input_paused = false;
	pthread_mutex_unlock(&connection->mutex);
	connection->drained = 0;
	connection->phase = MSE_HTTP_REQUEST;
	if (!request->body_complete && size > consumed)
		consumed += feed_body(connection, data + consumed, size - consumed);
	if (request->body_error != 0) {
		mse_http_request_release(request);
		refuse(connection, parser->status);
		return size;
	}
	if (!await_body(connection, request)) {
		refuse(connection, 503);
		return size;
	}
	show_request(connection);
	return consumed;
}

/* How many of the bytes could be used now. */
static size_t process(struct mse_http_connection *connection, const uint8_t *data, size_t size)
{
	if (connection->phase == MSE_HTTP_REQUEST) {
		size_t consumed = connection->request->body_complete || connection->request->body_error != 0 ? 0 : feed_body(connection, data, size);

		if (connection->request->awaited > 0)
			show_request(connection);
		return consumed;
	}
	if (connection->phase != MSE_HTTP_HEAD)
		return size;
	if (!connection->read_timer.armed || connection->read_timer.kind != MSE_HTTP_TIMER_HEAD)
		mse_http_timer_arm(&connection->read_timer, MSE_HTTP_TIMER_HEAD);
	switch (mse_http1_scan(&connection->parser, data, size)) {
	case MSE_HTTP1_MORE:
		return 0;
	case MSE_HTTP1_FOUND:
		return begin_request(connection, data, size);
	default:
		refuse(connection, connection->parser.status);
		return size;
	}
}

/* How many bytes may be read from the client now. */
static size_t wanted(struct mse_http_connection *connection)
{
	size_t room;

	if (connection->eof || connection->input_dead)
		return 0;
	if (connection->phase == MSE_HTTP_HEAD)
		return MSE_HTTP_SCRATCH_SIZE;
	if (connection->phase != MSE_HTTP_REQUEST)
		return 0;
	if (connection->request->body_complete)
		return mse_http_bytes_size(&connection->input) < MAX_PIPELINED ? MAX_PIPELINED : 0;
	pthread_mutex_lock(&connection->mutex);
	room = body_room(connection);
	if (room == 0 && !connection->request->ended)
		connection->input_paused = true;
	pthread_mutex_unlock(&connection->mutex);
	return room < MSE_HTTP_SCRATCH_SIZE ? room : MSE_HTTP_SCRATCH_SIZE;
}

static void end_of_input(struct mse_http_connection *connection)
{
	connection->eof = true;
	/* After a whole request the client has said all it wanted, and the answer may still be welcome. */
	if (connection->phase == MSE_HTTP_HEAD)
		begin_close(connection, false);
	else if (!connection->request->body_complete)
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
}

static bool step_input(struct mse_http_connection *connection)
{
	struct mse_http_loop *loop = connection->loop;
	size_t held = mse_http_bytes_size(&connection->input), consumed, size;
	ssize_t got;

	if (held > 0 && !connection->input_dead) {
		consumed = process(connection, mse_http_bytes_front(&connection->input), held);
		if (consumed > 0) {
			held = mse_http_bytes_size(&connection->input); /* nothing when the connection is being closed */
			mse_http_bytes_consume(&connection->input, consumed < held ? consumed : held);
			if (mse_http_bytes_size(&connection->input) == 0)
				mse_http_bytes_free(&connection->input);
			return true;
		}
		if (connection->eof && (connection->phase == MSE_HTTP_HEAD || !connection->request->body_complete)) {
			end_of_input(connection); /* the rest of it will never come */
			return true;
		}
	}
	size = wanted(connection);
	if (size == 0 || !connection->maybe_more)
		return false;
	got = mse_http_transport_read(connection, loop->scratch, size);
	if (got == MSE_HTTP_AGAIN)
		return false;
	if (got == MSE_HTTP_DEAD) {
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
		return false;
	}
	if (got == 0) {
		end_of_input(connection);
		return true;
	}
	consumed = held > 0 ? 0 : process(connection, loop->scratch, (size_t)got);
	if (consumed < (size_t)got && !connection->input_dead &&
		!mse_http_bytes_append(&connection->input, loop->scratch + consumed, (size_t)got - consumed))
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
	/* It may have been a secret. */
	explicit_bzero(loop->scratch, (size_t)got);
	return true;
}

/* Takes what handlers have left: an abort, an exporter to compute, output. */
static void collect(struct mse_http_connection *connection)
{
	struct mse_http_request *request = connection->request;
	bool abort;

	pthread_mutex_lock(&connection->mutex);
	abort = connection->abort;
	if (connection->job != NULL && !abort) {
		connection->job->result = mse_http_transport_export(connection, connection->job);
		connection->job->done = true;
		connection->job = NULL;
		pthread_cond_broadcast(&request->changed);
	}
	if (mse_http_bytes_size(&connection->sending) == 0 && mse_http_bytes_size(&connection->output) > 0 &&
		(request == NULL || !request->head_open)) {
		struct mse_http_bytes empty = connection->sending;

		connection->sending = connection->output;
		connection->output = empty;
		connection->sending_size = mse_http_bytes_size(&connection->sending);
	}
	pthread_mutex_unlock(&connection->mutex);
	if (abort)
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, true);
}

static bool step_output(struct mse_http_connection *connection)
{
	bool progress = false;

	collect(connection);
	while (connection->phase != MSE_HTTP_GONE && mse_http_bytes_size(&connection->sending) > 0) {
		ssize_t sent = mse_http_transport_write(connection, mse_http_bytes_front(&connection->sending), mse_http_bytes_size(&connection->sending));

		if (sent == MSE_HTTP_DEAD) {
			mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
			return false;
		}
		if (sent == MSE_HTTP_AGAIN)
			break;
		mse_http_bytes_consume(&connection->sending, (size_t)sent);
		progress = true;
	}
	if (!progress)
		return false;
	pthread_mutex_lock(&connection->mutex);
	connection->sending_size = mse_http_bytes_size(&connection->sending);
	if (connection->request != NULL && mse_http_connection_pending(connection) <= connection->server->limits.max_buffered_output / 2)
		pthread_cond_broadcast(&connection->request->changed);
	pthread_mutex_unlock(&connection->mutex);
	if (mse_http_bytes_size(&connection->sending) == 0)
		mse_http_bytes_free(&connection->sending);
	else
		mse_http_timer_arm(&connection->write_timer, MSE_HTTP_TIMER_WRITE);
	return true;
}

static bool is_all_sent(struct mse_http_connection *connection)
{
	bool all;

	pthread_mutex_lock(&connection->mutex);
	all = mse_http_connection_pending(connection) == 0;
	pthread_mutex_unlock(&connection->mutex);
	return all;
}

/* Whether the response is complete and sent; then the next request can be looked at, once the body of this one is out of the way. */
static bool step_request(struct mse_http_connection *connection)
{
	struct mse_http_request *request = connection->request;
	bool done, keep_alive;

	pthread_mutex_lock(&connection->mutex);
	done = request->ended && mse_http_connection_pending(connection) == 0;
	keep_alive = connection->keep_alive;
	pthread_mutex_unlock(&connection->mutex);
	if (!done)
		return false;
	keep_alive = keep_alive && (!connection->eof || mse_http_bytes_size(&connection->input) > 0) && !connection->input_dead && !atomic_load(&connection->server->stopping);
	if (keep_alive && !request->body_complete && connection->drained < MSE_HTTP_MAX_DRAIN)
		return false;
	keep_alive = keep_alive && request->body_complete;
	detach(connection);
	if (!keep_alive) {
		begin_close(connection, true);
		return true;
	}
	mse_http1_reset(&connection->parser);
	connection->phase = MSE_HTTP_HEAD;
	mse_http_timer_arm(&connection->read_timer, mse_http_bytes_size(&connection->input) > 0 ? MSE_HTTP_TIMER_HEAD : MSE_HTTP_TIMER_IDLE);
	return true;
}

static bool step_linger(struct mse_http_connection *connection)
{
	struct mse_http_loop *loop = connection->loop;
	ssize_t got = recv(connection->fd, loop->scratch, MSE_HTTP_SCRATCH_SIZE, 0);

	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	if (got > 0)
		connection->drained += (size_t)got;
	if (got <= 0 || connection->drained > MAX_LINGER_SIZE)
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
	return true;
}

/* One thing that can be done without waiting; false when there is none. */
static bool step(struct mse_http_connection *connection)
{
	bool progress;
	int result;

	switch (connection->phase) {
	case MSE_HTTP_NEW:
		take_over(connection);
		return true;
	case MSE_HTTP_HANDSHAKE:
		result = mse_http_transport_handshake(connection);
		if (result == MSE_HTTP_AGAIN)
			return false;
		if (result == 0)
			connection->phase = MSE_HTTP_HEAD;
		else
			mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
		return true;
	case MSE_HTTP_LINGER:
		return step_linger(connection);
	default:
		break;
	}
	progress = step_output(connection);
	if (connection->phase == MSE_HTTP_REQUEST)
		progress = step_request(connection) || progress;
	if (connection->phase == MSE_HTTP_CLOSING) {
		if (!is_all_sent(connection))
			return progress;
		end_close(connection);
		return true;
	}
	if (connection->phase == MSE_HTTP_REQUEST || connection->phase == MSE_HTTP_HEAD)
		progress = step_input(connection) || progress;
	return progress;
}

static void set_event(struct event *event, bool *is_added, bool is_wanted)
{
	if (*is_added == is_wanted)
		return;
	if (is_wanted ? event_add(event, NULL) == 0 : event_del(event) == 0)
		*is_added = is_wanted;
}

/* The clock that runs while a request is being served: only while it is the client's turn. */
static void update_body_timer(struct mse_http_connection *connection, bool reads)
{
	struct mse_http_request *request = connection->request;
	bool ended, waits;

	pthread_mutex_lock(&connection->mutex);
	ended = request->ended;
	waits = request->continue_wanted && request->received == 0;
	pthread_mutex_unlock(&connection->mutex);
	if (request->body_complete || request->body_error != 0)
		mse_http_timer_disarm(&connection->read_timer);
	else if (ended)
		mse_http_timer_ensure(&connection->read_timer, MSE_HTTP_TIMER_LINGER);
	else if (reads && !waits)
		mse_http_timer_ensure(&connection->read_timer, MSE_HTTP_TIMER_BODY);
	else
		mse_http_timer_disarm(&connection->read_timer);
}

/* Sets events and timers to what is waited for. */
static void settle(struct mse_http_connection *connection)
{
	bool reads = connection->phase == MSE_HTTP_HANDSHAKE || connection->phase == MSE_HTTP_LINGER || wanted(connection) > 0;
	bool writes = mse_http_bytes_size(&connection->sending) > 0;

	if (connection->phase == MSE_HTTP_REQUEST)
		update_body_timer(connection, reads);
	if (writes)
		mse_http_timer_ensure(&connection->write_timer, MSE_HTTP_TIMER_WRITE);
	else
		mse_http_timer_disarm(&connection->write_timer);
	/* TLS may have to write in order to read, and the other way round. */
	set_event(&connection->read_event, &connection->reading, (reads && !connection->read_wants_write) || (writes && connection->write_wants_read));
	set_event(&connection->write_event, &connection->writing, (writes && !connection->write_wants_read) || (reads && connection->read_wants_write));
}

void mse_http_connection_drive(struct mse_http_connection *connection)
{
	struct mse_http_loop *loop = connection->loop;
	unsigned steps = 0;

	loop->current = connection;
	loop->now_ms = mse_monotonic_ms();
	/* destroy() drops the loop's reference. */
	atomic_fetch_add_explicit(&connection->refs, 1, memory_order_relaxed);
	while (connection->phase != MSE_HTTP_GONE && step(connection)) {
		if (++steps == MAX_STEPS) {
			mse_http_loop_wake(loop, connection);
			break;
		}
	}
	if (connection->phase != MSE_HTTP_GONE)
		settle(connection);
	loop->current = NULL;
	mse_http_connection_unref(connection);
}

static void expire_body(struct mse_http_connection *connection)
{
	struct mse_http_request *request = connection->request;

	connection->input_dead = true;
	pthread_mutex_lock(&connection->mutex);
	connection->keep_alive = false;
	request->body_error = MSE_ERR_TIMEOUT;
	pthread_cond_broadcast(&request->changed);
	pthread_mutex_unlock(&connection->mutex);
	if (request->awaited > 0)
		show_request(connection);
}

void mse_http_connection_expire(struct mse_http_connection *connection, enum mse_http_timer_kind kind)
{
	switch (kind) {
	case MSE_HTTP_TIMER_BODY:
		expire_body(connection);
		break;
	case MSE_HTTP_TIMER_WRITE:
		mse_http_connection_destroy(connection, MSE_ERR_TIMEOUT, true);
		return;
	case MSE_HTTP_TIMER_LINGER:
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
		return;
	default:
		if (connection->phase != MSE_HTTP_HEAD) {
			mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
			return;
		}
		/* Only who has begun a request is told. */
		if (mse_http_bytes_size(&connection->input) > 0)
			refuse(connection, 408);
		else
			begin_close(connection, false);
		break;
	}
	mse_http_connection_drive(connection);
}

void mse_http_connection_retire(struct mse_http_connection *connection)
{
	switch (connection->phase) {
	case MSE_HTTP_HEAD:
		begin_close(connection, false);
		mse_http_connection_drive(connection);
		break;
	case MSE_HTTP_REQUEST:
	case MSE_HTTP_CLOSING:
		break;
	default:
		mse_http_connection_destroy(connection, MSE_ERR_CLOSED, false);
		break;
	}
}
