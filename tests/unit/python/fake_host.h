/* Plays mse-enclave for libmse_python.so, without a network: requests are made by the test, and show afterwards what became of them.
 *
 * An interpreter can be started once per process, so that each scenario runs in a child of its own: see run_app(). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/request.h"

#define FAKE_MAX_HEADERS 64

struct mse_http_request {
	/* What the test sends. */
	const char *method;
	const char *target;
	char path[1024];
	const char *query;
	unsigned minor_version;
	struct mse_http_header headers[FAKE_MAX_HEADERS];
	size_t header_count;
	const char *host;
	const char *scheme;
	const char *peer;
	bool chunked;
	const char *body;
	size_t body_size;
	size_t piece;           /* at most so many bytes per read, 0: as many as asked for */
	unsigned read_delay_ms; /* before every read */
	size_t read_fails_at;   /* after so many bytes, with read_error if that is not 0 */
	int read_error;
	unsigned write_delay_ms; /* before every write */
	size_t write_fails_at;
	int write_error;
	atomic_bool is_gone;

	/* What came back. */
	size_t body_position;
	unsigned status;
	char *reason;
	char *response_headers; /* "name: value\n" each */
	int64_t announced;
	char *response;
	size_t response_size;
	size_t response_capacity;
	unsigned writes;
	bool started;
	bool ended;
	bool aborted;
	bool dropped;

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct mse_http_request *next;
};

/* In the child. A failed check ends it, and with it the test. */
#define check(condition)                                            \
	do {                                                        \
		if (!(condition))                                   \
			check_failed(__FILE__, __LINE__, #condition); \
	} while (0)
_Noreturn void check_failed(const char *file, int line, const char *what);
/* The output of the application contains this text. */
void check_logged(const char *text);
void check_not_logged(const char *text);

struct mse_http_request *request_new(const char *method, const char *target);
void request_add_header(struct mse_http_request *request, const char *name, const char *value);
/* With Content-Length; chunked as the flag says. The body is borrowed. */
void request_set_body(struct mse_http_request *request, const char *body, size_t size, bool chunked);
/* Queues it; waits until it is dropped. */
void request_start(struct mse_http_request *request);
void request_finish(struct mse_http_request *request);
/* Waits until at least so many bytes of the response came. */
void request_wait_bytes(struct mse_http_request *request, size_t size);
/* Both, and frees what request_new() gave. */
void request_free(struct mse_http_request *request);
/* A GET without more. */
struct mse_http_request *get(const char *target);
/* GET, and check the status and the whole body. */
void check_get(const char *target, unsigned status, const char *body);

struct app_run {
	const char *folder;      /* under tests/apps */
	const char *application; /* NULL: "app:app" */
	unsigned threads;        /* 0: 1 */
	unsigned drain_ms;       /* 0: 20 s */
	bool finalize;           /* as host.finalize */
	bool no_processes;       /* under a seccomp filter like the enclave's */
	const char *const *options;
	void (*scenario)(void); /* NULL: the application is expected not to be served */
	int expected;           /* of mse_python_main() */
	const char *failure;    /* part of what on_failed() is told, or NULL when it must not be called */
	const char *logged;     /* part of the output when all is over, or NULL */
};

/* Runs the app in a child process, the scenario beside it, and fails the (cmocka) test when anything is not as expected. */
void run_app(const struct app_run *run);
/* The module under test and the interpreter's library, as the environment names them. */
const char *python_library(void);
