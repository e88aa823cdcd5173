/* A server on a loopback or Unix socket with worker threads, and a client that sends and reads raw bytes. */
#pragma once

#include "../test.h"

#include <pthread.h>
#include <stdbool.h>
#include <semaphore.h>

#include "http/queue.h"
#include "http/request.h"
#include "http/server.h"

struct site {
	struct mse_http_server *server;
	struct mse_http_queue *queue;
	SSL_CTX *ssl_ctx;
	int listen_fd;
	uint16_t port; /* 0: Unix socket */
	char unix_name[32];
	pthread_t workers[8];
	unsigned worker_count;
	unsigned descriptors_before;
	void (*handle)(struct mse_http_request *request); /* on a worker thread */
	void (*on_request)(void *ctx, struct mse_http_request *request);
	unsigned closed_count;
	unsigned last_mark;
	pthread_mutex_t mutex;
};

struct site_options {
	struct mse_http_limits limits;
	void (*handle)(struct mse_http_request *request);
	void (*on_request)(void *ctx, struct mse_http_request *request); /* instead of pushing into the queue */
	SSL_CTX *ssl_ctx;
	unsigned threads, workers;
	size_t queue_capacity;
	bool unix_socket;
};

struct site_options site_defaults(void (*handle)(struct mse_http_request *request));
struct site *site_start(const struct site_options *options);
/* Checks that nothing leaked. */
void site_stop(struct site *site);

/* The usual worker's answers, by path: /hello, /echo, /count, /big/<n>, /chunks, /method. */
void usual_handler(struct mse_http_request *request);

int client_connect(const struct site *site);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *data, size_t size);
/* Everything up to the end of the stream, NUL-terminated; the caller frees. Fails after 10 s. */
char *client_read_all(int fd, size_t *ret_size);

struct answer {
	unsigned status;
	char head[16384];
	char *body;
	size_t body_size;
	size_t body_capacity;
	bool chunked;
};
/* One response; is_head: none has a body. */
void client_read_answer(int fd, bool is_head, struct answer *ret_answer);
void answer_free(struct answer *answer);
/* Sends, reads one answer, and checks its status. */
void client_expect(int fd, const char *request, unsigned status, const char *body);
/* The server has closed: nothing but the end (or a reset) comes. */
void client_expect_end(int fd);
/* Nothing comes for a while. */
void client_expect_silence(int fd, int ms);

unsigned count_descriptors(void);
/* Waits up to 10 s for something to become true. */
#define eventually(condition)                                          \
	do {                                                           \
		unsigned waited_ = 0;                                  \
		while (!(condition) && waited_++ < 2000)               \
			usleep(5000);                                  \
		if (!(condition))                                      \
			fail_msg("in 10 s, never: %s", #condition);    \
	} while (0)
