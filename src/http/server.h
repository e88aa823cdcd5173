/* An HTTP/1.1 server: loop threads do the network, TLS and parsing; handlers run elsewhere, fed through a bounded queue.
 *
 * The program ignores nothing and blocks nothing for it: loop threads have all signals blocked, and SIGPIPE is never raised. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "http/request.h"

struct mse_http_server;

struct mse_http_limits {
	size_t max_head_size;         /* bytes of request line and headers: 414 or 431 beyond */
	unsigned max_header_count;    /* 431 beyond */
	uint64_t max_body_size;       /* bytes of a request's body: 413 beyond */
	unsigned head_timeout_ms;     /* TLS handshake and first head together; each further head from its first byte */
	unsigned body_timeout_ms;     /* longest wait for the next bytes of a body, and for the client to take any of a response */
	unsigned idle_timeout_ms;     /* between the requests of a connection */
	unsigned max_connections;     /* further clients wait in the listening socket's backlog */
	size_t max_buffered_output;   /* bytes of a response that wait for a slow client */
	size_t max_buffered_input;    /* bytes of a body that wait for a slow handler */
};

/* 32 KiB, 128 headers, 2 GiB, 20 s, 30 s, 60 s, 4096 connections, 256 KiB, 256 KiB. */
struct mse_http_limits mse_http_limits_default(void);

struct mse_http_server_params {
	const int *listen_fds; /* bound and listening stream sockets (TCP or Unix), which stay the caller's and must outlive the server; made non-blocking */
	size_t listen_count;
	SSL_CTX *ssl_ctx;      /* as mse_http_tls_server_ctx() makes it; the server takes a reference. NULL: plain HTTP */
	struct mse_http_limits limits;
	unsigned threads;      /* loop threads; 0 means 1 */
	/* Called on a loop thread when a request's head is complete. It must not wait: it answers at once, or pushes the request into a queue. */
	void (*on_request)(void *ctx, struct mse_http_request *request);
	/* May be NULL. Called on a loop thread with each new connection's socket; false: it is closed unheard. */
	bool (*admit)(void *ctx, int fd);
	/* May be NULL. Called before on_request() when a body is still to come: how much of it, at most max_buffered_input, the server
	 * waits for first, so that a slow sender holds no handler. on_request() is called when that is here, or the whole body, or an error. */
	size_t (*await_body)(void *ctx, struct mse_http_request *request);
	/* May be NULL. Called on a loop thread when a connection is gone, with its mark. */
	void (*on_connection_closed)(void *ctx, unsigned mark);
	void *ctx;
};

/* Checks the parameters and prepares everything but threads; *ret_server is freed with mse_http_server_free(). */
int mse_http_server_new(const struct mse_http_server_params *params, struct mse_http_server **ret_server, struct mse_error_info *err);
/* Starts the loop threads. Once per server. */
int mse_http_server_start(struct mse_http_server *server, struct mse_error_info *err);
/* Accepts no more, closes idle connections, lets requests that handlers have finish for up to grace_ms, then closes what is
 * left and joins the loop threads: afterwards no callback runs any more. Not from a loop thread. Harmless when repeated. */
void mse_http_server_stop(struct mse_http_server *server, unsigned grace_ms);
/* Stops without grace first. Requests that somebody still holds stay valid objects, of a closed connection. Accepts NULL. */
void mse_http_server_free(struct mse_http_server *server);
MSE_DEFINE_CLEANUP(struct mse_http_server, mse_http_server_free)

/* Connections open now. */
unsigned mse_http_server_connection_count(struct mse_http_server *server);
