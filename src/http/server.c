#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/text.h"
#include "http/internal.h"

#define MAX_THREADS 64u
#define MAX_LISTEN 64u
#define MAX_ACCEPTS 64u /* in a row, then connections have their turn */
#define LINGER_MS 1000u
#define MIN_TICK_MS 5u
#define MAX_TICK_MS 250u

struct mse_http_limits mse_http_limits_default(void)
{
	return (struct mse_http_limits){
		.max_head_size = 32 * 1024,
		.max_header_count = 128,
		.max_body_size = UINT64_C(2) * 1024 * 1024 * 1024,
		.head_timeout_ms = 20000,
		.body_timeout_ms = 30000,
		.idle_timeout_ms = 60000,
		.max_connections = 4096,
		.max_buffered_output = 256 * 1024,
		.max_buffered_input = 256 * 1024,
	};
}

bool mse_http_loop_is_current(const struct mse_http_loop *loop)
{
	return pthread_equal(loop->self, pthread_self()) != 0;
}

static void poke(struct mse_http_loop *loop)
{
	uint64_t one = 1;

	/* It fails only when the counter is near its end: then the loop is awake anyway. */
	if (write(loop->wake_fd, &one, sizeof one) < 0)
		return;
}

void mse_http_loop_wake(struct mse_http_loop *loop, struct mse_http_connection *connection)
{
	bool asleep = false;

	pthread_mutex_lock(&loop->mutex);
	if (!connection->in_wake_list) {
		connection->in_wake_list = true;
		TAILQ_INSERT_TAIL(&loop->wake_list, connection, wake_entry);
		loop->wake_count++;
		asleep = !loop->awake;
		loop->awake = true;
	}
	pthread_mutex_unlock(&loop->mutex);
	if (asleep)
		poke(loop);
}

static void remove_from_wake_list(struct mse_http_loop *loop, struct mse_http_connection *connection)
{
	TAILQ_REMOVE(&loop->wake_list, connection, wake_entry);
	connection->in_wake_list = false;
	loop->wake_count--;
}

void mse_http_loop_forget(struct mse_http_loop *loop, struct mse_http_connection *connection)
{
	pthread_mutex_lock(&loop->mutex);
	if (connection->in_wake_list)
		remove_from_wake_list(loop, connection);
	pthread_mutex_unlock(&loop->mutex);
}

/* Drives those that were in the list when it was called, not those that come in meanwhile. */
static void drain_wake_list(struct mse_http_loop *loop)
{
	size_t count;

	pthread_mutex_lock(&loop->mutex);
	for (count = loop->wake_count; count > 0 && !TAILQ_EMPTY(&loop->wake_list); count--) {
		struct mse_http_connection *connection = TAILQ_FIRST(&loop->wake_list);

		remove_from_wake_list(loop, connection);
		pthread_mutex_unlock(&loop->mutex);
		mse_http_connection_drive(connection);
		pthread_mutex_lock(&loop->mutex);
	}
	pthread_mutex_unlock(&loop->mutex);
}

/* The timers of a loop share one clock that ticks while any is armed. */
static void set_ticking(struct mse_http_loop *loop)
{
	struct mse_http_server *server = loop->server;
	bool wanted = loop->timer_count > 0 || (loop == &server->loops[0] && server->accept_failed);
	unsigned ms = MAX_TICK_MS;

	if (wanted == loop->ticking)
		return;
	for (size_t i = 0; i < MSE_HTTP_TIMER_KINDS; i++)
		if (server->durations_ms[i] / 4 < ms)
			ms = server->durations_ms[i] / 4;
	if (ms < MIN_TICK_MS)
		ms = MIN_TICK_MS;
	loop->ticking = wanted;
	if (wanted)
		(void)event_add(loop->tick_event, &(struct timeval){ .tv_usec = (suseconds_t)ms * 1000 });
	else
		(void)event_del(loop->tick_event);
}

void mse_http_timer_disarm(struct mse_http_timer *timer)
{
	struct mse_http_loop *loop = timer->connection->loop;

	if (!timer->armed)
		return;
	timer->armed = false;
	TAILQ_REMOVE(&loop->timers[timer->kind], timer, entry);
	loop->timer_count--;
}

void mse_http_timer_arm(struct mse_http_timer *timer, enum mse_http_timer_kind kind)
{
	struct mse_http_loop *loop = timer->connection->loop;

	mse_http_timer_disarm(timer);
	timer->kind = kind;
	timer->deadline_ms = loop->now_ms + loop->server->durations_ms[kind];
	timer->armed = true;
	TAILQ_INSERT_TAIL(&loop->timers[kind], timer, entry);
	loop->timer_count++;
	set_ticking(loop);
}

void mse_http_timer_ensure(struct mse_http_timer *timer, enum mse_http_timer_kind kind)
{
	if (!timer->armed || timer->kind != kind)
		mse_http_timer_arm(timer, kind);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct mse_http_loop *loop = arg;

	(void)fd;
	(void)what;
	loop->now_ms = mse_monotonic_ms();
	if (loop == &loop->server->loops[0])
		loop->server->accept_failed = false;
	for (int kind = 0; kind < MSE_HTTP_TIMER_KINDS; kind++) {
		uint64_t now = loop->now_ms;

		while (!TAILQ_EMPTY(&loop->timers[kind])) {
			struct mse_http_timer *timer = TAILQ_FIRST(&loop->timers[kind]);

			if (timer->deadline_ms > now)
				break;
			mse_http_timer_disarm(timer);
			mse_http_connection_expire(timer->connection, (enum mse_http_timer_kind)kind);
		}
	}
	set_ticking(loop);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	(void)arg;
	/* The list is looked at by run_loop(); a count of zero is no error. */
	if (read(fd, &count, sizeof count) < 0)
		return;
}

static bool has_room(struct mse_http_server *server)
{
	if (atomic_load(&server->connection_count) < server->limits.max_connections)
		return true;
	atomic_store(&server->accept_waits, true);
	/* A connection that went between the two looks would not wake us. */
	return atomic_load(&server->connection_count) < server->limits.max_connections;
}

static void set_accepting(struct mse_http_server *server)
{
	bool wanted = !atomic_load(&server->stopping) && !server->accept_failed && has_room(server);

	if (wanted == server->accepting)
		return;
	for (size_t i = 0; i < server->listen_count; i++)
		if (wanted)
			(void)event_add(server->listen_events[i], NULL);
		else
			(void)event_del(server->listen_events[i]);
	server->accepting = wanted;
}

void mse_http_server_connection_gone(struct mse_http_server *server)
{
	atomic_fetch_sub(&server->connection_count, 1);
	if (atomic_exchange(&server->accept_waits, false))
		poke(&server->loops[0]);
}

static void set_peer(struct mse_http_connection *connection, const struct sockaddr_storage *peer)
{
	int one = 1;

	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)peer;

		(void)inet_ntop(AF_INET, &in->sin_addr, connection->peer_address, sizeof connection->peer_address);
		connection->peer_port = ntohs(in->sin_port);
	} else if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)peer;

		if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
			(void)inet_ntop(AF_INET, &in->sin6_addr.s6_addr[12], connection->peer_address, sizeof connection->peer_address);
		else
			(void)inet_ntop(AF_INET6, &in->sin6_addr, connection->peer_address, sizeof connection->peer_address);
		connection->peer_port = ntohs(in->sin6_port);
	} else {
		return;
	}
	connection->is_tcp = true;
	/* Responses leave in whole writes: waiting to fill packets only delays them. */
	(void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* False when no more can be accepted now. */
static bool accept_one(struct mse_http_server *server, int listen_fd)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t size = sizeof peer;
	struct mse_http_loop *loop = &server->loops[server->next_loop];
	struct mse_http_connection *connection;
	int fd = accept4(listen_fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			server->accept_failed = true;
		return errno == EINTR || errno == ECONNABORTED || errno == EPROTO;
	}
	if (server->admit != NULL && !server->admit(server->ctx, fd)) {
		mse_close(fd);
		return true;
	}
	connection = mse_http_connection_new(server, loop, fd);
	if (connection == NULL) {
		mse_close(fd);
		server->accept_failed = true;
		return false;
	}
	set_peer(connection, &peer);
	atomic_fetch_add(&server->connection_count, 1);
	server->next_loop = (server->next_loop + 1) % server->loop_count;
	if (loop == &server->loops[0])
		mse_http_connection_drive(connection);
	else
		mse_http_loop_wake(loop, connection);
	return true;
}

static void on_connectable(evutil_socket_t fd, short what, void *arg)
{
	struct mse_http_server *server = arg;

	(void)what;
	for (unsigned i = 0; i < MAX_ACCEPTS && has_room(server) && accept_one(server, fd); i++)
		continue;
	set_accepting(server);
	set_ticking(&server->loops[0]);
}

/* False when the loop has nothing left to do. */
static bool go_on(struct mse_http_loop *loop)
{
	struct mse_http_server *server = loop->server;
	bool stopping = atomic_load(&server->stopping), force = atomic_load(&server->force);

	if (!stopping)
		return true;
	if (!loop->stop_seen || force) {
		struct mse_http_connection *next;

		for (struct mse_http_connection *connection = TAILQ_FIRST(&loop->connections); connection != NULL; connection = next) {
			next = TAILQ_NEXT(connection, entry);
			if (force)
				mse_http_connection_destroy(connection, MSE_ERR_CLOSED, true);
			else
				mse_http_connection_retire(connection);
		}
		loop->stop_seen = true;
	}
	return !TAILQ_EMPTY(&loop->connections);
}

static void *run_loop(void *arg)
{
	struct mse_http_loop *loop = arg;
	struct mse_http_server *server = loop->server;

	loop->self = pthread_self();
	while (go_on(loop)) {
		bool busy;

		if (loop == &server->loops[0])
			set_accepting(server);
		pthread_mutex_lock(&loop->mutex);
		busy = loop->awake = loop->wake_count > 0;
		pthread_mutex_unlock(&loop->mutex);
		if (event_base_loop(loop->base, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0)) < 0)
			break;
		pthread_mutex_lock(&loop->mutex);
		loop->awake = true;
		pthread_mutex_unlock(&loop->mutex);
		drain_wake_list(loop);
	}
	if (loop == &server->loops[0])
		set_accepting(server);
	pthread_mutex_lock(&server->stop_mutex);
	server->running_loops--;
	pthread_cond_broadcast(&server->stop_cond);
	pthread_mutex_unlock(&server->stop_mutex);
	return NULL;
}

static int check_params(const struct mse_http_server_params *params, struct mse_error_info *err)
{
	const struct mse_http_limits *limits = &params->limits;

	if (params->on_request == NULL || params->listen_count < 1 || params->listen_count > MAX_LISTEN || params->threads > MAX_THREADS)
		return mse_fail(err, MSE_ERR_INTERNAL, "an HTTP server needs a handler, 1 to %u sockets and at most %u threads", MAX_LISTEN, MAX_THREADS);
	if (limits->max_head_size < 256 || limits->max_head_size > 1024 * 1024 || limits->max_header_count < 1 || limits->max_header_count > 10000)
		return mse_fail(err, MSE_ERR_LIMIT, "an HTTP server's heads are limited to 256 bytes to 1 MiB and 1 to 10000 headers, not to %zu and %u",
			limits->max_head_size, limits->max_header_count);
	if (limits->max_body_size > INT64_MAX || limits->max_connections < 1 || limits->max_connections > 1000000)
		return mse_fail(err, MSE_ERR_LIMIT, "an HTTP server takes 1 to 1000000 connections and bodies of less than 2^63 bytes");
	if (limits->max_buffered_input < 4096 || limits->max_buffered_output < 4096 || limits->max_buffered_input > (size_t)1 << 30 ||
		limits->max_buffered_output > (size_t)1 << 30)
		return mse_fail(err, MSE_ERR_LIMIT, "an HTTP server's buffers hold 4 KiB to 1 GiB, not %zu and %zu bytes", limits->max_buffered_input,
			limits->max_buffered_output);
	if (limits->head_timeout_ms < 1 || limits->body_timeout_ms < 1 || limits->idle_timeout_ms < 1)
		return mse_fail(err, MSE_ERR_LIMIT, "an HTTP server's time-outs are 1 ms at least");
	return 0;
}

static void close_loop(struct mse_http_loop *loop)
{
	if (loop->wake_event != NULL)
		event_free(loop->wake_event);
	if (loop->tick_event != NULL)
		event_free(loop->tick_event);
	if (loop->base != NULL)
		event_base_free(loop->base);
	mse_close(loop->wake_fd);
	free(loop->scratch);
	pthread_mutex_destroy(&loop->mutex);
}

static int open_loop(struct mse_http_server *server, struct mse_http_loop *loop, struct mse_error_info *err)
{
	struct event_config *config = event_config_new();

	loop->server = server;
	TAILQ_INIT(&loop->connections);
	TAILQ_INIT(&loop->wake_list);
	for (size_t i = 0; i < MSE_HTTP_TIMER_KINDS; i++)
		TAILQ_INIT(&loop->timers[i]);
	/* Only its own thread touches a base: no locks, and no need for libevent's global set-up of threads. */
	if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		loop->base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	if (loop->base == NULL)
		return mse_fail(err, MSE_ERR_IO, "making an event loop of the HTTP server: out of memory or descriptors");
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->wake_fd < 0)
		return mse_fail_errno(err, "making an eventfd of the HTTP server");
	loop->wake_event = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	loop->tick_event = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
	loop->scratch = malloc(MSE_HTTP_SCRATCH_SIZE);
	if (loop->wake_event == NULL || loop->tick_event == NULL || loop->scratch == NULL || event_add(loop->wake_event, NULL) != 0)
		return mse_fail_nomem(err);
	return 0;
}

static int open_listeners(struct mse_http_server *server, const struct mse_http_server_params *params, struct mse_error_info *err)
{
	server->listen_events = calloc(params->listen_count, sizeof *server->listen_events);
	if (server->listen_events == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < params->listen_count; i++) {
		int fd = params->listen_fds[i], flags = fcntl(fd, F_GETFL);

		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return mse_fail_errno(err, "preparing the listening socket, descriptor %d", fd);
		server->listen_events[i] = event_new(server->loops[0].base, fd, EV_READ | EV_PERSIST, on_connectable, server);
		if (server->listen_events[i] == NULL)
			return mse_fail_nomem(err);
		server->listen_count = i + 1;
	}
	return 0;
}

int mse_http_server_new(const struct mse_http_server_params *params, struct mse_http_server **ret_server, struct mse_error_info *err)
{
	mse_cleanup(mse_http_server_freep) struct mse_http_server *server = NULL;
	pthread_condattr_t attributes;
	int result = check_params(params, err);

	*ret_server = NULL;
	if (result < 0)
		return result;
	server = calloc(1, sizeof *server);
	if (server == NULL)
		return mse_fail_nomem(err);
	*server = (struct mse_http_server){ .limits = params->limits, .admit = params->admit, .on_request = params->on_request, .await_body = params->await_body,
		.on_connection_closed = params->on_connection_closed, .ctx = params->ctx };
	server->durations_ms[MSE_HTTP_TIMER_HEAD] = params->limits.head_timeout_ms;
	server->durations_ms[MSE_HTTP_TIMER_IDLE] = params->limits.idle_timeout_ms;
	server->durations_ms[MSE_HTTP_TIMER_BODY] = params->limits.body_timeout_ms;
	server->durations_ms[MSE_HTTP_TIMER_WRITE] = params->limits.body_timeout_ms;
	server->durations_ms[MSE_HTTP_TIMER_LINGER] = LINGER_MS;
	pthread_mutex_init(&server->stop_mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&server->stop_cond, &attributes);
	pthread_condattr_destroy(&attributes);
	if (params->ssl_ctx != NULL && SSL_CTX_up_ref(params->ssl_ctx) == 1)
		server->ssl_ctx = params->ssl_ctx;
	if (params->ssl_ctx != server->ssl_ctx)
		return mse_fail(err, MSE_ERR_INTERNAL, "preparing the HTTP server: its TLS context cannot be referenced");
	server->loops = calloc(params->threads > 0 ? params->threads : 1, sizeof *server->loops);
	if (server->loops == NULL)
		return mse_fail_nomem(err);
	while (server->loop_count < (params->threads > 0 ? params->threads : 1)) {
		struct mse_http_loop *loop = &server->loops[server->loop_count++];

		loop->wake_fd = -1;
		pthread_mutex_init(&loop->mutex, NULL);
		result = open_loop(server, loop, err);
		if (result < 0)
			return result;
	}
	result = open_listeners(server, params, err);
	if (result < 0)
		return result;
	*ret_server = mse_steal(server);
	return 0;
}

int mse_http_server_start(struct mse_http_server *server, struct mse_error_info *err)
{
	sigset_t all, before;
	int error = 0;

	if (server->started || server->joined)
		return mse_fail(err, MSE_ERR_STATE, "starting an HTTP server for the second time");
	server->started = true;
	/* Signals are the program's business; SIGPIPE, which OpenSSL's writes may raise, stays pending and harmless in the loop threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < server->loop_count && error == 0; i++) {
		pthread_mutex_lock(&server->stop_mutex);
		error = pthread_create(&server->loops[i].handle, NULL, run_loop, &server->loops[i]);
		server->loops[i].started = error == 0;
		server->running_loops += error == 0;
		pthread_mutex_unlock(&server->stop_mutex);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		return 0;
	mse_http_server_stop(server, 0);
	errno = error;
	return mse_fail_errno(err, "starting a thread of the HTTP server");
}

static void wait_for_loops(struct mse_http_server *server, unsigned grace_ms)
{
	struct timespec until;
	int result = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += grace_ms / 1000;
	until.tv_nsec += (long)(grace_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&server->stop_mutex);
	while (server->running_loops > 0 && result != ETIMEDOUT)
		result = pthread_cond_timedwait(&server->stop_cond, &server->stop_mutex, &until);
	pthread_mutex_unlock(&server->stop_mutex);
}

void mse_http_server_stop(struct mse_http_server *server, unsigned grace_ms)
{
	if (!server->started || server->joined)
		return;
	atomic_store(&server->stopping, true);
	for (unsigned i = 0; i < server->loop_count; i++)
		poke(&server->loops[i]);
	wait_for_loops(server, grace_ms);
	atomic_store(&server->force, true);
	for (unsigned i = 0; i < server->loop_count; i++)
		poke(&server->loops[i]);
	for (unsigned i = 0; i < server->loop_count; i++) {
		struct mse_http_loop *loop = &server->loops[i];

		if (loop->started)
			(void)pthread_join(loop->handle, NULL);
		loop->started = false;
	}
	/* Connections that were handed over after their loop had ended, or that it left when it failed. */
	for (unsigned i = 0; i < server->loop_count; i++) {
		struct mse_http_loop *loop = &server->loops[i];

		while (!TAILQ_EMPTY(&loop->connections))
			mse_http_connection_destroy(TAILQ_FIRST(&loop->connections), MSE_ERR_CLOSED, true);
		while (!TAILQ_EMPTY(&loop->wake_list))
			mse_http_connection_destroy(TAILQ_FIRST(&loop->wake_list), MSE_ERR_CLOSED, true);
	}
	server->joined = true;
}

void mse_http_server_free(struct mse_http_server *server)
{
	if (server == NULL)
		return;
	mse_http_server_stop(server, 0);
	for (size_t i = 0; i < server->listen_count; i++)
		event_free(server->listen_events[i]);
	free(server->listen_events);
	for (unsigned i = 0; i < server->loop_count; i++)
		close_loop(&server->loops[i]);
	free(server->loops);
	SSL_CTX_free(server->ssl_ctx);
	pthread_cond_destroy(&server->stop_cond);
	pthread_mutex_destroy(&server->stop_mutex);
	free(server);
}

unsigned mse_http_server_connection_count(struct mse_http_server *server)
{
	return atomic_load(&server->connection_count);
}
