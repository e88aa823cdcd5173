/* What mse-enclave and libmse_python.so agree on.
 *
 * The enclave loads the image's libpython3.X.so.1.0 with dlopen(RTLD_NOW | RTLD_GLOBAL), then libmse_python.so, whose only
 * symbol is mse_python_main(). The module links nothing but libc: everything it needs from the enclave comes through this
 * table, so that the two can be linked apart from each other and each be measured by itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/request.h"

#define MSE_PYTHON_ABI 1
#define MSE_PYTHON_MAIN "mse_python_main"
#define MSE_PYTHON_MAX_THREADS 256

struct mse_python_host {
	uint32_t abi;  /* MSE_PYTHON_ABI */
	uint32_t size; /* sizeof(struct mse_python_host) */
	void *context; /* handed back to the functions that take it */

	/* All strings are UTF-8, and live until the process ends, as this table does. */
	const char *module_path; /* the folder of the code, first in sys.path: "/mse-app" */
	const char *application; /* "module:attribute", both may be dotted; "module:factory()" is called once, without arguments */
	const char *server_name; /* SERVER_NAME: what a client that sends no Host would call this server */
	uint16_t server_port;    /* SERVER_PORT */
	unsigned threads;        /* requests handled at a time, 1 to MSE_PYTHON_MAX_THREADS */
	unsigned drain_ms;       /* how long requests may go on once next_request() says MSE_ERR_CLOSED; the same time again for atexit handlers */
	/* What Python takes for its program, as argv[0]: it finds its library, or a virtual environment, beside it. A path, or a name
	 * that is looked up in PATH; NULL for "python3". It is never run. */
	const char *executable;
	/* More options for the interpreter, NULL-terminated, or NULL: "-X", "dev" in tests. */
	const char *const *options;
	/* Finalise the interpreter before returning: for leak checks only, since extension modules crash in it. */
	bool finalize;

	/* Once the application is imported and the workers run. Called on threads of this module, never while they hold Python's lock. */
	void (*on_serving)(void *context);
	/* The application cannot be served. `what` is one line for the operator and the owner, and holds nothing that comes from the
	 * application's code: its traceback went to stderr. mse_python_main() returns soon after. */
	void (*on_failed)(void *context, const char *what);
	/* One line of the host's own, without a newline, about a request or a response: for the owner, as it may speak of paths and headers. */
	void (*log)(void *context, const char *line);

	/* Waits up to timeout_ms (negative: for ever) for a request, whose reference the caller gets. MSE_ERR_TIMEOUT; MSE_ERR_CLOSED
	 * when there will be none any more, to every caller. As mse_http_queue_pop(). */
	int (*next_request)(void *context, int timeout_ms, struct mse_http_request **ret_request, struct mse_error_info *err);

	/* The functions of http/request.h, under their names without "mse_http_". */
	void (*request_unref)(struct mse_http_request *request);
	const char *(*request_method)(const struct mse_http_request *request);
	const char *(*request_target)(const struct mse_http_request *request);
	const char *(*request_path)(const struct mse_http_request *request);
	const char *(*request_query)(const struct mse_http_request *request);
	unsigned (*request_minor_version)(const struct mse_http_request *request);
	size_t (*request_header_count)(const struct mse_http_request *request);
	const struct mse_http_header *(*request_header_at)(const struct mse_http_request *request, size_t index);
	const char *(*request_host)(const struct mse_http_request *request);
	const char *(*request_scheme)(const struct mse_http_request *request);
	const char *(*request_peer_address)(const struct mse_http_request *request);
	uint16_t (*request_peer_port)(const struct mse_http_request *request);
	int64_t (*request_content_length)(const struct mse_http_request *request);
	bool (*request_has_body)(const struct mse_http_request *request);
	bool (*request_is_closed)(struct mse_http_request *request);
	int (*request_read)(struct mse_http_request *request, void *to, size_t size, size_t *ret_got, struct mse_error_info *err);
	void (*request_abort)(struct mse_http_request *request);
	int (*response_start)(struct mse_http_request *request, unsigned status, const char *reason, const struct mse_http_header *headers,
		size_t count, struct mse_error_info *err);
	int (*response_write)(struct mse_http_request *request, const void *data, size_t size, struct mse_error_info *err);
	int (*response_end)(struct mse_http_request *request, struct mse_error_info *err);
};

/* Runs the application until next_request() gives MSE_ERR_CLOSED: imports it, calls on_serving() or on_failed(), handles
 * requests in host->threads threads, waits for them up to drain_ms, runs Python's atexit handlers and flushes its streams.
 *
 * Called once per process, on its main thread, in the working directory and with the environment that the application is to
 * see. Signals that the enclave handles itself should be blocked in the calling thread, whose mask all of Python's threads
 * inherit; the dispositions found at the call are put back after the application is imported, SIGPIPE is ignored.
 *
 * Afterwards the interpreter is still there, frozen (no Python code runs any more; a thread that was waiting in C may still call into this
 * table): free nothing that the table refers to, and _exit().
 *
 * 0; MSE_ERR_INPUT: the application cannot be imported or is none; MSE_ERR_UNSUPPORTED: an ASGI application, or a Python
 * that is too old or free-threaded; MSE_ERR_STATE: another ABI, or a second call; MSE_ERR_INTERNAL. */
int mse_python_main(const struct mse_python_host *host);
