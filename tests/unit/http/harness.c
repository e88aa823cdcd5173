#include "harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void write_pattern(struct mse_http_request *request, size_t size)
{
	char block[10000];

	for (size_t at = 0; at < size;) {
		size_t piece = size - at < sizeof block ? size - at : sizeof block;

		for (size_t i = 0; i < piece; i++)
			block[i] = (char)('a' + (at + i) % 26);
		if (mse_http_response_write(request, block, piece, NULL) < 0)
			return;
		at += piece;
	}
}

static void echo(struct mse_http_request *request)
{
	char block[7000];
	size_t got;

	if (mse_http_response_start(request, 200, NULL, NULL, 0, NULL) < 0)
		return;
	for (;;) {
		if (mse_http_request_read(request, block, sizeof block, &got, NULL) < 0)
			return;
		if (got == 0)
			break;
		if (mse_http_response_write(request, block, got, NULL) < 0)
			return;
	}
	(void)mse_http_response_end(request, NULL);
}

static void count_body(struct mse_http_request *request)
{
	char block[30000], text[32];
	size_t got, total = 0;

	do {
		if (mse_http_request_read(request, block, sizeof block, &got, NULL) < 0)
			return;
		total += got;
	} while (got > 0);
	(void)snprintf(text, sizeof text, "%zu", total);
	(void)mse_http_respond(request, 200, "text/plain", text, strlen(text), NULL);
}

void usual_handler(struct mse_http_request *request)
{
	const char *path = mse_http_request_path(request);

	if (strcmp(path, "/hello") == 0) {
		(void)mse_http_respond(request, 200, "text/plain", "hello", 5, NULL);
	} else if (strcmp(path, "/echo") == 0) {
		echo(request);
	} else if (strcmp(path, "/count") == 0) {
		count_body(request);
	} else if (strncmp(path, "/big/", 5) == 0) {
		if (mse_http_response_start(request, 200, NULL, NULL, 0, NULL) < 0)
			return;
		write_pattern(request, strtoul(path + 5, NULL, 10));
		(void)mse_http_response_end(request, NULL);
	} else if (strcmp(path, "/chunks") == 0) {
		(void)mse_http_response_start(request, 200, NULL, NULL, 0, NULL);
		(void)mse_http_response_write(request, "one,", 4, NULL);
		(void)mse_http_response_write(request, "", 0, NULL);
		(void)mse_http_response_write(request, "two", 3, NULL);
		(void)mse_http_response_end(request, NULL);
	} else {
		(void)mse_http_respond(request, 404, NULL, path, strlen(path), NULL);
	}
}

static void *work(void *arg)
{
	struct site *site = arg;
	struct mse_http_request *request;

	while (mse_http_queue_pop(site->queue, -1, &request, NULL) == 0) {
		site->handle(request);
		mse_http_request_unref(request);
	}
	return NULL;
}

static void enqueue(void *ctx, struct mse_http_request *request)
{
	struct site *site = ctx;

	(void)mse_http_queue_push(site->queue, request, NULL);
}

static void dispatch(void *ctx, struct mse_http_request *request)
{
	struct site *site = ctx;

	site->on_request(site, request);
}

static void on_closed(void *ctx, unsigned mark)
{
	struct site *site = ctx;

	pthread_mutex_lock(&site->mutex);
	site->closed_count++;
	site->last_mark = mark;
	pthread_mutex_unlock(&site->mutex);
}

struct site_options site_defaults(void (*handle)(struct mse_http_request *request))
{
	return (struct site_options){ .limits = mse_http_limits_default(), .handle = handle, .threads = 1, .workers = 2, .queue_capacity = 64 };
}

static void listen_on_unix(struct site *site)
{
	static unsigned number;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(site->unix_name, sizeof site->unix_name, "mse-http-%d-%u", (int)getpid(), number++);
	(void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", site->unix_name);
	site->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(site->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(site->listen_fd, 64), 0);
}

static void listen_on_tcp(struct site *site)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;

	site->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(site->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(site->listen_fd, 64), 0);
	assert_int_equal(getsockname(site->listen_fd, (struct sockaddr *)&address, &size), 0);
	site->port = ntohs(address.sin_port);
}

struct site *site_start(const struct site_options *options)
{
	struct mse_error_info err;
	struct site *site = calloc(1, sizeof *site);
	struct mse_http_server_params params = { .listen_count = 1, .ssl_ctx = options->ssl_ctx, .limits = options->limits, .threads = options->threads,
		.on_request = dispatch, .on_connection_closed = on_closed, .ctx = site };

	assert_non_null(site);
	site->descriptors_before = count_descriptors();
	pthread_mutex_init(&site->mutex, NULL);
	site->handle = options->handle;
	site->on_request = options->on_request != NULL ? options->on_request : enqueue;
	if (options->unix_socket)
		listen_on_unix(site);
	else
		listen_on_tcp(site);
	params.listen_fds = &site->listen_fd;
	assert_works(mse_http_queue_new(options->queue_capacity, &site->queue, &err));
	assert_works(mse_http_server_new(&params, &site->server, &err));
	assert_works(mse_http_server_start(site->server, &err));
	for (; site->worker_count < options->workers; site->worker_count++)
		assert_int_equal(pthread_create(&site->workers[site->worker_count], NULL, work, site), 0);
	return site;
}

void site_stop(struct site *site)
{
	unsigned before = site->descriptors_before;

	mse_http_server_stop(site->server, 0);
	mse_http_queue_close(site->queue);
	for (unsigned i = 0; i < site->worker_count; i++)
		assert_int_equal(pthread_join(site->workers[i], NULL), 0);
	assert_int_equal(mse_http_server_connection_count(site->server), 0);
	mse_http_server_free(site->server);
	mse_http_queue_free(site->queue);
	close(site->listen_fd);
	pthread_mutex_destroy(&site->mutex);
	free(site);
	assert_int_equal(count_descriptors(), before);
}

int client_connect(const struct site *site)
{
	struct timeval limit = { .tv_sec = 10 };
	int fd;

	if (site->port != 0) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(site->port) };

		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	} else {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		(void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", site->unix_name);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return fd;
}

void client_send_bytes(int fd, const void *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t sent = send(fd, (const char *)data + at, size - at, MSG_NOSIGNAL);

		if (sent <= 0)
			fail_msg("the server took only %zu of %zu bytes: %s", at, size, strerror(errno));
		at += (size_t)sent;
	}
}

void client_send(int fd, const char *text)
{
	client_send_bytes(fd, text, strlen(text));
}

char *client_read_all(int fd, size_t *ret_size)
{
	size_t size = 0, capacity = 65536;
	char *all = malloc(capacity + 1);

	for (;;) {
		ssize_t got;

		if (size == capacity)
			all = realloc(all, (capacity *= 2) + 1);
		assert_non_null(all);
		got = recv(fd, all + size, capacity - size, 0);
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			fail_msg("the server neither sent nor closed in 10 s after: %.*s", (int)size, all);
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	all[size] = 0;
	if (ret_size != NULL)
		*ret_size = size;
	return all;
}

static void read_exactly(int fd, void *to, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t got = recv(fd, (char *)to + at, size - at, 0);

		if (got <= 0)
			fail_msg("the server sent only %zu of %zu bytes: %s", at, size, got < 0 ? strerror(errno) : "end");
		at += (size_t)got;
	}
}

static void read_line(int fd, char *to, size_t size)
{
	size_t at = 0;

	do {
		assert_true(at + 1 < size);
		read_exactly(fd, to + at, 1);
	} while (to[at++] != '\n');
	to[at] = 0;
	assert_true(at >= 2 && to[at - 2] == '\r');
}

static void grow_body(struct answer *answer, size_t size)
{
	if (answer->body_size + size + 1 > answer->body_capacity) {
		answer->body_capacity = 2 * (answer->body_size + size + 1);
		answer->body = realloc(answer->body, answer->body_capacity);
		assert_non_null(answer->body);
	}
	answer->body[answer->body_size + size] = 0;
}

static void read_chunks(int fd, struct answer *answer)
{
	char line[64];

	for (;;) {
		size_t size;

		read_line(fd, line, sizeof line);
		size = strtoul(line, NULL, 16);
		if (size == 0)
			break;
		grow_body(answer, size);
		read_exactly(fd, answer->body + answer->body_size, size);
		answer->body_size += size;
		read_line(fd, line, sizeof line);
		assert_string_equal(line, "\r\n");
	}
	read_line(fd, line, sizeof line);
	assert_string_equal(line, "\r\n");
}

void client_read_answer(int fd, bool is_head, struct answer *ret_answer)
{
	size_t at = 0;
	const char *length;

	*ret_answer = (struct answer){ 0 };
	do {
		read_line(fd, ret_answer->head + at, sizeof ret_answer->head - at);
		at += strlen(ret_answer->head + at);
	} while (at < 4 || strcmp(ret_answer->head + at - 4, "\r\n\r\n") != 0);
	assert_int_equal(sscanf(ret_answer->head, "HTTP/1.1 %3u ", &ret_answer->status), 1);
	grow_body(ret_answer, 0);
	if (is_head || ret_answer->status < 200 || ret_answer->status == 204 || ret_answer->status == 304)
		return;
	length = strcasestr(ret_answer->head, "\r\ncontent-length:");
	if (strcasestr(ret_answer->head, "\r\ntransfer-encoding: chunked\r\n") != NULL) {
		assert_null(length);
		ret_answer->chunked = true;
		read_chunks(fd, ret_answer);
	} else if (length != NULL) {
		size_t size = strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);

		grow_body(ret_answer, size);
		read_exactly(fd, ret_answer->body, size);
		ret_answer->body_size = size;
	} else {
		assert_non_null(strcasestr(ret_answer->head, "\r\nconnection: close\r\n"));
		free(ret_answer->body);
		ret_answer->body = client_read_all(fd, &ret_answer->body_size);
	}
}

void answer_free(struct answer *answer)
{
	free(answer->body);
	answer->body = NULL;
}

void client_expect(int fd, const char *request, unsigned status, const char *body)
{
	struct answer answer;

	client_send(fd, request);
	client_read_answer(fd, false, &answer);
	if (answer.status != status)
		fail_msg("expected %u, got %u with '%s' for: %s", status, answer.status, answer.body, request);
	if (body != NULL)
		assert_string_equal(answer.body, body);
	answer_free(&answer);
}

void client_expect_end(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	if (got > 0)
		fail_msg("a byte (%c) came where the end was expected", byte);
	if (got < 0 && errno != ECONNRESET)
		fail_msg("the connection stays open: %s", strerror(errno));
}

void client_expect_silence(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&poll_fd, 1, ms), 0);
}
