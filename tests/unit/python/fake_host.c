#include "fake_host.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "python/host.h"
#include "tee/tee.h"
#include "../test.h"

static const struct app_run *running;
static int output = -1;     /* stdout and stderr of the application */
static int real_stderr = -1;
static atomic_bool was_served;
static char failure[1024];

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_changed = PTHREAD_COND_INITIALIZER;
static struct mse_http_request *queue_first, **queue_last = &queue_first;
static bool queue_is_closed;

/* The output so far, in a new string. */
static char *output_text(int fd)
{
	struct stat status;
	char *text;

	if (fstat(fd, &status) < 0)
		abort();
	text = calloc(1, (size_t)status.st_size + 1);
	if (text == NULL || pread(fd, text, (size_t)status.st_size, 0) != status.st_size)
		abort();
	return text;
}

_Noreturn void check_failed(const char *file, int line, const char *what)
{
	dprintf(real_stderr, "%s:%d: not so: %s\n--- the application's output ---\n%s---\n", file, line, what, output_text(output));
	_exit(99);
}

void check_logged(const char *text)
{
	mse_autofree char *all = output_text(output);

	if (strstr(all, text) == NULL)
		check_failed(__FILE__, __LINE__, text);
}

void check_not_logged(const char *text)
{
	mse_autofree char *all = output_text(output);

	if (strstr(all, text) != NULL)
		check_failed(__FILE__, __LINE__, text);
}

struct mse_http_request *request_new(const char *method, const char *target)
{
	struct mse_http_request *request = calloc(1, sizeof *request);

	check(request != NULL);
	request->method = method;
	request->target = target;
	request->query = strchr(target, '?') != NULL ? strchr(target, '?') + 1 : "";
	snprintf(request->path, sizeof request->path, "%.*s", (int)strcspn(target, "?"), target);
	request->minor_version = 1;
	request->host = "app.example:8443";
	request->scheme = "https";
	request->peer = "192.0.2.7";
	request->announced = -1;
	pthread_mutex_init(&request->mutex, NULL);
	pthread_cond_init(&request->changed, NULL);
	request_add_header(request, "host", "app.example:8443");
	return request;
}

void request_add_header(struct mse_http_request *request, const char *name, const char *value)
{
	check(request->header_count < FAKE_MAX_HEADERS);
	request->headers[request->header_count++] = (struct mse_http_header)MSE_HTTP_HEADER(name, value);
}

void request_set_body(struct mse_http_request *request, const char *body, size_t size, bool chunked)
{
	request->body = body;
	request->body_size = size;
	request->chunked = chunked;
	if (chunked)
		request_add_header(request, "transfer-encoding", "chunked");
}

void request_start(struct mse_http_request *request)
{
	pthread_mutex_lock(&queue_mutex);
	*queue_last = request;
	queue_last = &request->next;
	pthread_cond_signal(&queue_changed);
	pthread_mutex_unlock(&queue_mutex);
}

static void wait_a_little(struct mse_http_request *request, struct timespec *deadline)
{
	if (deadline->tv_sec == 0) {
		clock_gettime(CLOCK_REALTIME, deadline);
		deadline->tv_sec += 30;
	}
	if (pthread_cond_timedwait(&request->changed, &request->mutex, deadline) == ETIMEDOUT)
		check_failed(__FILE__, __LINE__, request->target);
}

void request_finish(struct mse_http_request *request)
{
	struct timespec deadline = {0};

	pthread_mutex_lock(&request->mutex);
	while (!request->dropped)
		wait_a_little(request, &deadline);
	pthread_mutex_unlock(&request->mutex);
}

void request_wait_bytes(struct mse_http_request *request, size_t size)
{
	struct timespec deadline = {0};

	pthread_mutex_lock(&request->mutex);
	while (request->response_size < size)
		wait_a_little(request, &deadline);
	pthread_mutex_unlock(&request->mutex);
}

void request_free(struct mse_http_request *request)
{
	check(request->dropped);
	free(request->reason);
	free(request->response_headers);
	free(request->response);
	free(request);
}

struct mse_http_request *get(const char *target)
{
	struct mse_http_request *request = request_new("GET", target);

	request_start(request);
	request_finish(request);
	return request;
}

void check_get(const char *target, unsigned status, const char *body)
{
	struct mse_http_request *request = get(target);

	if (request->status != status || !request->ended || request->aborted || strcmp(request->response, body) != 0) {
		dprintf(real_stderr, "%s: %u, %s%s: %s\n", target, request->status, request->ended ? "ended" : "not ended",
			request->aborted ? ", aborted" : "", request->response == NULL ? "" : request->response);
		check_failed(__FILE__, __LINE__, body);
	}
	request_free(request);
}

/* --- what the module sees --- */

static int host_next_request(void *context, int timeout_ms, struct mse_http_request **ret_request, struct mse_error_info *err)
{
	(void)context;
	(void)timeout_ms;
	pthread_mutex_lock(&queue_mutex);
	while (queue_first == NULL && !queue_is_closed)
		pthread_cond_wait(&queue_changed, &queue_mutex);
	*ret_request = queue_first;
	if (queue_first != NULL) {
		queue_first = queue_first->next;
		if (queue_first == NULL)
			queue_last = &queue_first;
	}
	pthread_mutex_unlock(&queue_mutex);
	return *ret_request != NULL ? 0 : mse_fail(err, MSE_ERR_CLOSED, "there are no more requests");
}

static void host_unref(struct mse_http_request *request)
{
	if (request == NULL)
		return;
	pthread_mutex_lock(&request->mutex);
	check(!request->dropped);
	request->dropped = true;
	pthread_cond_broadcast(&request->changed);
	pthread_mutex_unlock(&request->mutex);
}

static const char *host_method(const struct mse_http_request *request)
{
	return request->method;
}

static const char *host_target(const struct mse_http_request *request)
{
	return request->target;
}

static const char *host_path(const struct mse_http_request *request)
{
	return request->path;
}

static const char *host_query(const struct mse_http_request *request)
{
	return request->query;
}

static unsigned host_minor_version(const struct mse_http_request *request)
{
	return request->minor_version;
}

static size_t host_header_count(const struct mse_http_request *request)
{
	return request->header_count;
}

static const struct mse_http_header *host_header_at(const struct mse_http_request *request, size_t index)
{
	return index < request->header_count ? &request->headers[index] : NULL;
}

static const char *host_host(const struct mse_http_request *request)
{
	return request->host;
}

static const char *host_scheme(const struct mse_http_request *request)
{
	return request->scheme;
}

static const char *host_peer_address(const struct mse_http_request *request)
{
	return request->peer;
}

static uint16_t host_peer_port(const struct mse_http_request *request)
{
	(void)request;
	return 40000;
}

static int64_t host_content_length(const struct mse_http_request *request)
{
	return request->body == NULL || request->chunked ? -1 : (int64_t)request->body_size;
}

static bool host_has_body(const struct mse_http_request *request)
{
	return request->body != NULL;
}

static bool host_is_closed(struct mse_http_request *request)
{
	return request->is_gone;
}

static int host_read(struct mse_http_request *request, void *to, size_t size, size_t *ret_got, struct mse_error_info *err)
{
	size_t limit = request->read_error != 0 ? request->read_fails_at : request->body_size;

	check(!request->dropped);
	if (request->read_delay_ms > 0)
		usleep(request->read_delay_ms * 1000);
	check(!request->dropped);
	if (request->piece > 0 && size > request->piece)
		size = request->piece;
	if (size > limit - request->body_position)
		size = limit - request->body_position;
	if (size == 0 && request->read_error != 0)
		return mse_fail(err, request->read_error, "the body breaks off");
	memcpy(to, request->body + request->body_position, size);
	request->body_position += size;
	*ret_got = size;
	return 0;
}

static void host_abort(struct mse_http_request *request)
{
	check(!request->dropped);
	request->aborted = true;
}

static int host_response_start(struct mse_http_request *request, unsigned status, const char *reason, const struct mse_http_header *headers,
	size_t count, struct mse_error_info *err)
{
	size_t size = 1;

	check(!request->dropped && status >= 200 && status <= 599);
	if (request->started)
		return mse_fail(err, MSE_ERR_STATE, "a response was started before");
	for (size_t i = 0; i < count; i++) {
		check(strlen(headers[i].name) == headers[i].name_size && strlen(headers[i].value) == headers[i].value_size);
		if (strcmp(headers[i].name, "X-Refuse-Me") == 0)
			return mse_fail(err, MSE_ERR_INPUT, "the header 'X-Refuse-Me' is refused");
		size += headers[i].name_size + headers[i].value_size + 3;
	}
	request->status = status;
	request->reason = strdup(reason == NULL ? "" : reason);
	request->response_headers = calloc(1, size);
	for (size_t i = 0, used = 0; i < count; i++) {
		used += (size_t)snprintf(request->response_headers + used, size - used, "%s: %s\n", headers[i].name, headers[i].value);
		if (strcasecmp(headers[i].name, "content-length") == 0)
			request->announced = strtoll(headers[i].value, NULL, 10);
	}
	request->response = calloc(1, 1);
	request->started = true;
	return 0;
}

static bool swallows(const struct mse_http_request *request)
{
	return strcmp(request->method, "HEAD") == 0 || request->status == 204 || request->status == 304;
}

static int host_response_write(struct mse_http_request *request, const void *data, size_t size, struct mse_error_info *err)
{
	check(!request->dropped && request->started && !request->ended);
	if (request->write_delay_ms > 0)
		usleep(request->write_delay_ms * 1000);
	if (request->write_error != 0 && request->response_size + size > request->write_fails_at)
		return mse_fail(err, request->write_error, "the client takes nothing more");
	if (swallows(request))
		return 0;
	if (request->announced >= 0 && request->response_size + size > (size_t)request->announced)
		return mse_fail(err, MSE_ERR_INPUT, "more than Content-Length");
	pthread_mutex_lock(&request->mutex);
	if (request->response_size + size + 1 > request->response_capacity) {
		request->response_capacity = 2 * (request->response_size + size + 1);
		request->response = realloc(request->response, request->response_capacity);
		check(request->response != NULL);
	}
	memcpy(request->response + request->response_size, data, size);
	request->response_size += size;
	request->response[request->response_size] = '\0';
	request->writes++;
	pthread_cond_broadcast(&request->changed);
	pthread_mutex_unlock(&request->mutex);
	return 0;
}

static int host_response_end(struct mse_http_request *request, struct mse_error_info *err)
{
	check(!request->dropped && request->started && !request->ended);
	if (!swallows(request) && request->announced >= 0 && request->response_size < (size_t)request->announced) {
		request->aborted = true;
		return mse_fail(err, MSE_ERR_INPUT, "fewer bytes than Content-Length");
	}
	request->ended = true;
	return 0;
}

static void close_queue(void)
{
	pthread_mutex_lock(&queue_mutex);
	queue_is_closed = true;
	pthread_cond_broadcast(&queue_changed);
	pthread_mutex_unlock(&queue_mutex);
}

static void *play(void *ignored)
{
	(void)ignored;
	running->scenario();
	close_queue();
	return NULL;
}

static void host_on_serving(void *context)
{
	pthread_t thread;

	(void)context;
	check(running->scenario != NULL && !was_served);
	was_served = true;
	check(pthread_create(&thread, NULL, play, NULL) == 0);
	pthread_detach(thread);
}

static void host_on_failed(void *context, const char *what)
{
	(void)context;
	snprintf(failure, sizeof failure, "%s", what);
}

static void host_log(void *context, const char *line)
{
	(void)context;
	dprintf(output, "log: %s\n", line);
}

/* What the application meets in an enclave. */
static void lock_down(void)
{
	struct mse_error_info err;

	check(mse_tee_seccomp(&err) == 0);
}

const char *python_library(void)
{
	const char *library = getenv("MSE_TEST_LIBPYTHON");

	return library != NULL ? library : "libpython3.11.so.1.0";
}

static _Noreturn void run_child(const struct app_run *run)
{
	static char folder[4096];
	static struct mse_python_host host;
	const char *module = getenv("MSE_PYTHON_MODULE"), *apps = getenv("MSE_TEST_APPS");
	int (*python_main)(const struct mse_python_host *);
	void *library;
	int result;

	running = run;
	real_stderr = dup(STDERR_FILENO);
	check(real_stderr >= 0 && dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0);
	check(module != NULL && apps != NULL);
	snprintf(folder, sizeof folder, "%s/%s", apps, run->folder);
	check(chdir(folder) == 0);
	host = (struct mse_python_host){
		.abi = MSE_PYTHON_ABI, .size = sizeof host, .module_path = folder, .application = run->application != NULL ? run->application : "app:app",
		.server_name = "localhost", .server_port = 8443, .threads = run->threads > 0 ? run->threads : 1,
		.drain_ms = run->drain_ms > 0 ? run->drain_ms : 20000, .options = run->options, .finalize = run->finalize,
		.on_serving = host_on_serving, .on_failed = host_on_failed, .log = host_log, .next_request = host_next_request, .request_unref = host_unref,
		.request_method = host_method, .request_target = host_target, .request_path = host_path, .request_query = host_query,
		.request_minor_version = host_minor_version, .request_header_count = host_header_count, .request_header_at = host_header_at,
		.request_host = host_host, .request_scheme = host_scheme, .request_peer_address = host_peer_address,
		.request_peer_port = host_peer_port, .request_content_length = host_content_length, .request_has_body = host_has_body,
		.request_is_closed = host_is_closed, .request_read = host_read, .request_abort = host_abort, .response_start = host_response_start,
		.response_write = host_response_write, .response_end = host_response_end,
	};
	if (run->no_processes)
		lock_down();
	if (dlopen(python_library(), RTLD_NOW | RTLD_GLOBAL) == NULL)
		check_failed(__FILE__, __LINE__, dlerror());
	library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		check_failed(__FILE__, __LINE__, dlerror());
	python_main = (int (*)(const struct mse_python_host *))dlsym(library, MSE_PYTHON_MAIN);
	check(python_main != NULL);
	result = python_main(&host);
	if (result != run->expected)
		dprintf(real_stderr, "mse_python_main() gave %d: %s\n", result, failure);
	check(result == run->expected);
	check(was_served == (run->scenario != NULL));
	if (run->failure == NULL ? failure[0] != '\0' : strstr(failure, run->failure) == NULL)
		check_failed(__FILE__, __LINE__, failure);
	if (run->logged != NULL)
		check_logged(run->logged);
	check_not_logged("AddressSanitizer");
	_exit(0);
}

void run_app(const struct app_run *run)
{
	int status;
	pid_t child;

	output = memfd_create("output", MFD_CLOEXEC);
	assert_true(output >= 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		run_child(run);
	while (waitpid(child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		char *text = output_text(output);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != 99)
			fprintf(stderr, "the child ended with status 0x%x:\n%s\n", (unsigned)status, text);
		free(text);
		fail_msg("the scenario of '%s' failed", run->folder);
	}
	close(output);
}
