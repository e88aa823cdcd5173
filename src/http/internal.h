/* What the files of this folder share. Who may touch what:
 *
 * - a connection's network half (descriptor, TLS, parser, timers, input, sending) belongs to its loop thread alone;
 * - its shared half (current request, its body and response state, output, job) is guarded by connection->mutex;
 * - a loop's list of connections to be looked at is guarded by loop->mutex, which is taken last;
 * - a request's head never changes once a handler has seen it.
 *
 * A connection object outlives its socket as long as a request of it is referenced; `closed` then stands between the two. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "base/error.h"
#include "http/bytes.h"
#include "http/http1.h"
#include "http/request.h"
#include "http/server.h"

struct mse_http_connection;
struct mse_http_loop;

/* Each kind has one duration, so that its list is in the order of expiry and a timer costs nothing to restart. */
enum mse_http_timer_kind {
	MSE_HTTP_TIMER_HEAD,
	MSE_HTTP_TIMER_IDLE,
	MSE_HTTP_TIMER_BODY,
	MSE_HTTP_TIMER_WRITE,
	MSE_HTTP_TIMER_LINGER,
	MSE_HTTP_TIMER_KINDS,
};

struct mse_http_timer {
	TAILQ_ENTRY(mse_http_timer) entry;
	struct mse_http_connection *connection;
	uint64_t deadline_ms;
	enum mse_http_timer_kind kind;
	bool armed;
};
TAILQ_HEAD(mse_http_timer_list, mse_http_timer);

/* A value of the TLS state that a worker waits for; lives on its stack. Guarded by connection->mutex. */
struct mse_http_exporter_job {
	const char *label;
	const void *context;
	size_t context_size;
	bool use_context;
	uint8_t *value;
	int result;
	bool done;
};

struct mse_http_request {
	struct mse_http_connection *connection; /* referenced */
	atomic_uint refs;                       /* of the object: the connection's, and one for all handlers */
	atomic_uint handler_refs;
	struct mse_http_head head;
	size_t awaited; /* no handler has seen it: so much of its body comes first; 0: shown. The loop's thread's alone */

	/* Guarded by connection->mutex. */
	pthread_cond_t changed; /* body, room for output, job, end of the connection */
	bool attached;          /* the connection still works on it */
	/* the body */
	struct mse_http_bytes body;
	bool body_complete;
	int body_error;         /* 0, or why no more of it will come */
	bool continue_wanted;   /* the client waits for 100 Continue */
	uint64_t received;
	/* the response */
	bool started;
	bool head_open; /* its head is in connection->output, but for the lines that say how the body is sent */
	bool no_body;   /* HEAD, 204, 304 */
	bool chunked;
	bool ended;
	int64_t length; /* as announced; -1: not */
	uint64_t written;

	max_align_t storage[]; /* of the head */
};

/* Where a connection stands. A PROXY header would be one more phase before the handshake; HTTP/2 another protocol after it. */
enum mse_http_phase {
	MSE_HTTP_NEW,       /* accepted, not yet taken over by its loop */
	MSE_HTTP_HANDSHAKE,
	MSE_HTTP_HEAD,      /* waits for, or reads, a head */
	MSE_HTTP_REQUEST,   /* a request is with its handler, or its body is being drained */
	MSE_HTTP_CLOSING,   /* sends what is left */
	MSE_HTTP_LINGER,    /* has sent everything; swallows what the client still sends, lest a reset destroys our answer on its way */
	MSE_HTTP_GONE,
};

struct mse_http_connection {
	/* Set before anybody else can see it. */
	struct mse_http_server *server;
	struct mse_http_loop *loop;
	char peer_address[46];
	uint16_t peer_port;
	bool is_tcp;
	const char *tls_version; /* set before the first request */

	atomic_uint refs;
	atomic_uint mark;

	pthread_mutex_t mutex;
	bool closed;
	int close_code; /* what blocked callers get: MSE_ERR_CLOSED or MSE_ERR_TIMEOUT */
	struct mse_http_request *request;
	struct mse_http_bytes output; /* not yet taken by the loop thread */
	size_t held_from;             /* where the open head begins in it */
	size_t sending_size;          /* taken, not yet sent */
	bool keep_alive;
	bool abort;
	bool input_paused;            /* reading has stopped because the handler has enough */
	struct mse_http_exporter_job *job;

	/* Guarded by loop->mutex. */
	TAILQ_ENTRY(mse_http_connection) wake_entry;
	bool in_wake_list;

	/* The loop thread's own. */
	TAILQ_ENTRY(mse_http_connection) entry;
	int fd;
	SSL *ssl;
	enum mse_http_phase phase;
	struct event read_event;
	struct event write_event;
	bool reading;        /* read_event is added */
	bool writing;        /* write_event is added */
	bool maybe_more;     /* a read may give something without waiting for an event */
	bool read_wants_write;
	bool write_wants_read;
	bool tls_broken;     /* no close_notify may be sent any more */
	bool eof;            /* the client has ended its side */
	bool input_dead;     /* nothing that still comes can be trusted to be a message */
	bool linger;         /* wait for the client's end after ours */
	struct mse_http_bytes input;   /* a head not yet complete, or pipelined bytes */
	struct mse_http_bytes sending;
	struct mse_http1 parser;
	size_t drained;      /* bytes of body dropped after the response, or bytes swallowed while lingering */
	struct mse_http_timer read_timer;
	struct mse_http_timer write_timer;
};
TAILQ_HEAD(mse_http_connection_list, mse_http_connection);

#define MSE_HTTP_SCRATCH_SIZE ((size_t)64 * 1024)

struct mse_http_loop {
	struct mse_http_server *server;
	pthread_t handle;         /* the starter's */
	pthread_t self;           /* set by the loop thread before it serves anything */
	struct event_base *base;
	int wake_fd;
	struct event *wake_event;
	struct event *tick_event;
	bool started;             /* the thread; guarded by server->stop_mutex */
	bool ticking;
	bool stop_seen;
	uint64_t now_ms;
	struct mse_http_connection_list connections;
	struct mse_http_connection *current; /* being driven */
	struct mse_http_timer_list timers[MSE_HTTP_TIMER_KINDS];
	unsigned timer_count;
	uint8_t *scratch;

	pthread_mutex_t mutex;
	struct mse_http_connection_list wake_list;
	size_t wake_count;
	bool awake; /* will look at the list before it waits: no need to write to wake_fd */
};

struct mse_http_server {
	struct mse_http_limits limits;
	SSL_CTX *ssl_ctx;
	bool (*admit)(void *ctx, int fd);
	void (*on_request)(void *ctx, struct mse_http_request *request);
	size_t (*await_body)(void *ctx, struct mse_http_request *request);
	void (*on_connection_closed)(void *ctx, unsigned mark);
	void *ctx;
	unsigned durations_ms[MSE_HTTP_TIMER_KINDS];

	struct mse_http_loop *loops;
	unsigned loop_count;
	bool started;
	bool joined;
	atomic_bool stopping;
	atomic_bool force;
	atomic_uint connection_count;

	/* The first loop accepts for all. */
	struct event **listen_events;
	size_t listen_count;
	bool accepting;
	bool accept_failed; /* out of descriptors or memory: tried again at the next tick */
	unsigned next_loop;
	atomic_bool accept_waits; /* for a connection to close */

	pthread_mutex_t stop_mutex; /* running_loops */
	pthread_cond_t stop_cond;
	unsigned running_loops;
};

/* server.c */
void mse_http_loop_wake(struct mse_http_loop *loop, struct mse_http_connection *connection);
void mse_http_loop_forget(struct mse_http_loop *loop, struct mse_http_connection *connection);
bool mse_http_loop_is_current(const struct mse_http_loop *loop);
void mse_http_timer_arm(struct mse_http_timer *timer, enum mse_http_timer_kind kind);
void mse_http_timer_ensure(struct mse_http_timer *timer, enum mse_http_timer_kind kind);
void mse_http_timer_disarm(struct mse_http_timer *timer);
void mse_http_server_connection_gone(struct mse_http_server *server);

/* connection.c: all but ref, unref and notify on the loop thread only. */
struct mse_http_connection *mse_http_connection_new(struct mse_http_server *server, struct mse_http_loop *loop, int fd);
void mse_http_connection_unref(struct mse_http_connection *connection);
/* Looks at everything that may have changed, until nothing can be done without waiting. May destroy the connection. */
void mse_http_connection_drive(struct mse_http_connection *connection);
void mse_http_connection_expire(struct mse_http_connection *connection, enum mse_http_timer_kind kind);
/* The server stops: idle connections end, others after their request. */
void mse_http_connection_retire(struct mse_http_connection *connection);
/* code is what blocked callers get; reset makes a TCP client notice that its response is broken. */
void mse_http_connection_destroy(struct mse_http_connection *connection, int code, bool reset);
/* With connection->mutex held, not closed: makes the loop thread drive it. */
void mse_http_connection_notify(struct mse_http_connection *connection);
static inline size_t mse_http_connection_pending(const struct mse_http_connection *connection)
{
	return mse_http_bytes_size(&connection->output) + connection->sending_size;
}

/* transport.c: bytes through the socket or TLS, never waiting. read: > 0, 0 at the client's end, AGAIN or DEAD; write: > 0, AGAIN or DEAD. */
#define MSE_HTTP_AGAIN (-1)
#define MSE_HTTP_DEAD (-2)
int mse_http_transport_open(struct mse_http_connection *connection);
/* 0 when done. */
int mse_http_transport_handshake(struct mse_http_connection *connection);
ssize_t mse_http_transport_read(struct mse_http_connection *connection, void *to, size_t size);
ssize_t mse_http_transport_write(struct mse_http_connection *connection, const void *data, size_t size);
/* Tells the client that nothing more comes. */
void mse_http_transport_shutdown(struct mse_http_connection *connection);
void mse_http_transport_close(struct mse_http_connection *connection, bool reset);
int mse_http_transport_export(struct mse_http_connection *connection, const struct mse_http_exporter_job *job);

/* request.c */
/* One reference for the connection, one for the caller as its first handler. NULL when memory is out. */
struct mse_http_request *mse_http_request_new(struct mse_http_connection *connection, size_t storage_size);
/* Drops the connection's reference. */
void mse_http_request_release(struct mse_http_request *request);
/* With the mutex held: 0, or why this request can do nothing any more. */
int mse_http_request_check(const struct mse_http_request *request, struct mse_error_info *err);

/* response.c */
/* With the mutex held: the last lines of an open head. has_body_bytes false: nothing was written, and nothing will be. */
bool mse_http_response_close_head(struct mse_http_request *request, bool has_body_bytes);
/* A whole error response made by the library, for `output`, after which the connection closes. */
bool mse_http_response_refusal(struct mse_http_bytes *output, unsigned status);
const char *mse_http_status_reason(unsigned status);

/* After its response, this much of a request's body is swallowed for the sake of the connection; with more to come it is closed. */
#define MSE_HTTP_MAX_DRAIN ((size_t)256 * 1024)
