#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

#define HOST "Host: h\r\n"

/* What handlers leave for their tests. */
static sem_t handler_waits, handler_may_go;
static atomic_int last_result;
static atomic_size_t bytes_done;
static struct mse_http_request *kept;

static int set_up(void **state)
{
	(void)state;
	sem_init(&handler_waits, 0, 0);
	sem_init(&handler_may_go, 0, 0);
	atomic_store(&last_result, 0);
	atomic_store(&bytes_done, 0);
	kept = NULL;
	return 0;
}

static void wait_for(sem_t *semaphore)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	assert_int_equal(sem_timedwait(semaphore, &until), 0);
}

static void a_connection_serves_many_requests(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		client_read_answer(fd, false, &answer);
		assert_int_equal(answer.status, 200);
		assert_string_equal(answer.body, "hello");
		assert_non_null(strstr(answer.head, "\r\nDate: "));
		assert_non_null(strstr(answer.head, "\r\nContent-Length: 5\r\n"));
		assert_null(strcasestr(answer.head, "connection:"));
		answer_free(&answer);
	}
	client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_non_null(strstr(answer.head, "\r\nConnection: close\r\n"));
	answer_free(&answer);
	client_expect_end(fd);
	close(fd);
	site_stop(site);
}

static void the_date_is_now(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;
	struct tm tm = { 0 };
	time_t before = time(NULL), given;

	(void)state;
	client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, false, &answer);
	assert_non_null(strptime(strstr(answer.head, "\r\nDate: ") + 8, "%a, %d %b %Y %H:%M:%S GMT", &tm));
	given = timegm(&tm);
	assert_in_range((uintmax_t)given, (uintmax_t)before - 1, (uintmax_t)time(NULL));
	{
		char again[64];
		struct tm same;

		gmtime_r(&given, &same);
		strftime(again, sizeof again, "\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", &same);
		assert_non_null(strstr(answer.head, again));
	}
	answer_free(&answer);
	close(fd);
	site_stop(site);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	int fd;
	char text[16384];
	size_t size = 0;

	(void)state;
	options.workers = 4;
	site = site_start(&options);
	fd = client_connect(site);
	for (unsigned i = 0; i < 40; i++)
		size += (size_t)snprintf(text + size, sizeof text - size,
			i % 2 == 0 ? "GET /n%u HTTP/1.1\r\n" HOST "\r\n" : "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%04u", i);
	client_send(fd, text);
	for (unsigned i = 0; i < 40; i++) {
		struct answer answer;
		char expected[16];

		client_read_answer(fd, false, &answer);
		(void)snprintf(expected, sizeof expected, i % 2 == 0 ? "/n%u" : "%04u", i);
		assert_string_equal(answer.body, expected);
		answer_free(&answer);
	}
	client_expect_silence(fd, 50);
	close(fd);
	site_stop(site);
}

static void requests_before_a_half_close_are_all_answered(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	char *all;

	(void)state;
	client_send(fd, "GET /n1 HTTP/1.1\r\n" HOST "\r\nGET /n2 HTTP/1.1\r\n" HOST "\r\nGET /n3 HTT");
	shutdown(fd, SHUT_WR);
	all = client_read_all(fd, NULL);
	assert_non_null(strstr(all, "/n1"));
	assert_non_null(strstr(all, "/n2"));
	assert_null(strstr(all, "/n3"));
	free(all);
	close(fd);
	site_stop(site);
}

static void chunked_bodies_go_both_ways(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;

	(void)state;
	client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	usleep(20000);
	client_send(fd, "4;x=y\r\ndefg\r\n0\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_true(answer.chunked);
	assert_string_equal(answer.body, "abcdefg");
	answer_free(&answer);
	client_send(fd, "GET /chunks HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, false, &answer);
	assert_true(answer.chunked);
	assert_string_equal(answer.body, "one,two");
	answer_free(&answer);
	/* A response without any body needs no chunks. */
	client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_false(answer.chunked);
	assert_non_null(strstr(answer.head, "\r\nContent-Length: 0\r\n"));
	answer_free(&answer);
	close(fd);
	site_stop(site);
}

static void http_1_0_clients_get_what_they_understand(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;

	(void)state;
	client_send(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_string_equal(answer.body, "hello");
	assert_non_null(strstr(answer.head, "\r\nConnection: keep-alive\r\n"));
	answer_free(&answer);
	client_send(fd, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_false(answer.chunked);
	assert_string_equal(answer.body, "one,two");
	answer_free(&answer);
	close(fd);
	fd = client_connect(site);
	client_expect(fd, "GET /hello HTTP/1.0\r\n\r\n", 200, "hello");
	client_expect_end(fd);
	close(fd);
	site_stop(site);
}

static void ignore_body(struct mse_http_request *request)
{
	(void)mse_http_respond(request, 200, NULL, "ignored", 7, NULL);
}

static void continue_is_sent_when_the_handler_first_reads_and_not_before(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;

	(void)state;
	client_send(fd, "POST /count HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.status, 100);
	answer_free(&answer);
	client_expect(fd, "abc", 200, "3");
	/* Who sends the body without waiting needs no 100. */
	client_expect(fd, "POST /count HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", 200, "3");
	close(fd);
	site_stop(site);

	options.handle = ignore_body;
	site = site_start(&options);
	fd = client_connect(site);
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.head, "\r\nConnection: close\r\n"));
	answer_free(&answer);
	client_expect_end(fd);
	close(fd);
	site_stop(site);
}

static void start_then_read(struct mse_http_request *request)
{
	char block[16];
	size_t got;

	(void)mse_http_response_start(request, 200, NULL, NULL, 0, NULL);
	atomic_store(&last_result, mse_http_request_read(request, block, sizeof block, &got, NULL));
	(void)mse_http_response_write(request, block, got, NULL);
	(void)mse_http_response_end(request, NULL);
}

static void continue_comes_before_a_response_that_was_started_first(void **state)
{
	struct site_options options = site_defaults(start_then_read);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;

	(void)state;
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.status, 100);
	answer_free(&answer);
	client_expect(fd, "abc", 200, "abc");
	close(fd);
	site_stop(site);
}

static void respond_by_path(struct mse_http_request *request)
{
	const struct mse_http_header length = MSE_HTTP_HEADER("Content-Length", "10");
	unsigned status = (unsigned)strtoul(mse_http_request_path(request) + 1, NULL, 10);

	(void)mse_http_response_start(request, status, NULL, &length, status == 200 ? 1 : 0, NULL);
	(void)mse_http_response_write(request, "0123456789", 10, NULL);
	(void)mse_http_response_end(request, NULL);
}

static void responses_without_a_body_swallow_it(void **state)
{
	struct site_options options = site_defaults(respond_by_path);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	struct answer answer;

	(void)state;
	client_send(fd, "HEAD /200 HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, true, &answer);
	assert_non_null(strstr(answer.head, "\r\nContent-Length: 10\r\n"));
	answer_free(&answer);
	client_send(fd, "HEAD /404 HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, true, &answer);
	assert_null(strstr(answer.head, "Transfer-Encoding"));
	answer_free(&answer);
	client_send(fd, "GET /204 HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.status, 204);
	assert_null(strstr(answer.head, "Content-Length"));
	assert_null(strstr(answer.head, "Transfer-Encoding"));
	answer_free(&answer);
	client_send(fd, "GET /304 HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.status, 304);
	answer_free(&answer);
	client_expect(fd, "GET /200 HTTP/1.1\r\n" HOST "\r\n", 200, "0123456789");
	close(fd);
	site_stop(site);
}

static void write_in_steps(struct mse_http_request *request)
{
	(void)mse_http_response_start(request, 200, NULL, NULL, 0, NULL);
	sem_post(&handler_waits);
	sem_wait(&handler_may_go);
	(void)mse_http_response_write(request, "abc", 3, NULL);
	sem_post(&handler_waits);
	sem_wait(&handler_may_go);
	(void)mse_http_response_end(request, NULL);
}

static void the_head_leaves_together_with_the_first_bytes_and_these_at_once(void **state)
{
	struct site_options options = site_defaults(write_in_steps);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	char block[4096] = { 0 };

	(void)state;
	client_send(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	wait_for(&handler_waits);
	client_expect_silence(fd, 50);
	sem_post(&handler_may_go);
	wait_for(&handler_waits);
	assert_true(recv(fd, block, sizeof block - 1, 0) > 0);
	assert_non_null(strstr(block, "\r\n\r\n3\r\nabc\r\n"));
	sem_post(&handler_may_go);
	memset(block, 0, sizeof block);
	assert_true(recv(fd, block, sizeof block - 1, 0) > 0);
	assert_string_equal(block, "0\r\n\r\n");
	close(fd);
	site_stop(site);
}

#define BIG ((size_t)8 * 1024 * 1024)

static void write_big(struct mse_http_request *request)
{
	static const char block[8192];

	if (mse_http_response_start(request, 200, NULL, NULL, 0, NULL) < 0)
		return;
	for (size_t at = 0; at < BIG; at += sizeof block) {
		int result = mse_http_response_write(request, block, sizeof block, NULL);

		if (result < 0) {
			atomic_store(&last_result, result);
			sem_post(&handler_waits);
			return;
		}
		atomic_fetch_add(&bytes_done, sizeof block);
	}
	atomic_store(&last_result, mse_http_response_end(request, NULL));
	sem_post(&handler_waits);
}

static size_t settled_bytes(void)
{
	size_t before;

	do {
		before = atomic_load(&bytes_done);
		usleep(200000);
	} while (atomic_load(&bytes_done) != before);
	return before;
}

static void a_slow_reader_holds_its_writer_within_bounds(void **state)
{
	struct site_options options = site_defaults(write_big);
	struct site *site;
	int fd, other;
	struct answer answer;

	(void)state;
	options.unix_socket = true;
	options.limits.max_buffered_output = 65536;
	site = site_start(&options);
	fd = client_connect(site);
	client_send(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	eventually(atomic_load(&bytes_done) > 0);
	/* A Unix socket holds some 200 KB itself. */
	assert_in_range(settled_bytes(), 65536, 65536 + 400000);
	/* Others are served meanwhile. */
	other = client_connect(site);
	client_send(other, "GET / HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(other, false, &answer);
	assert_int_equal(answer.body_size, BIG);
	answer_free(&answer);
	close(other);
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.body_size, BIG);
	answer_free(&answer);
	close(fd);
	site_stop(site);
}

static void read_slowly(struct mse_http_request *request)
{
	static char block[65536];
	size_t got, total = 0;
	char text[32];
	int result;

	sem_wait(&handler_may_go);
	do {
		result = mse_http_request_read(request, block, sizeof block, &got, NULL);
		for (size_t i = 0; i < got; i++)
			if (block[i] != (char)((total + i) % 251))
				result = MSE_ERR_INTERNAL;
		total += got;
	} while (result == 0 && got > 0);
	atomic_store(&last_result, result);
	(void)snprintf(text, sizeof text, "%zu", total);
	(void)mse_http_respond(request, 200, NULL, text, strlen(text), NULL);
}

static void a_slow_handler_holds_its_client_within_bounds(void **state)
{
	struct site_options options = site_defaults(read_slowly);
	struct site *site;
	char *data = malloc(BIG), head[128];
	size_t sent = 0;
	int fd;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < BIG; i++)
		data[i] = (char)(i % 251);
	options.unix_socket = true;
	options.limits.max_buffered_input = 65536;
	site = site_start(&options);
	fd = client_connect(site);
	(void)snprintf(head, sizeof head, "POST / HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", BIG);
	client_send(fd, head);
	for (unsigned idle = 0; idle < 10;) {
		ssize_t got = send(fd, data + sent, BIG - sent < 8192 ? BIG - sent : 8192, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (got > 0) {
			sent += (size_t)got;
			idle = 0;
		} else {
			usleep(20000);
			idle++;
		}
	}
	assert_in_range(sent, 65536, 65536 + 500000);
	sem_post(&handler_may_go);
	client_send_bytes(fd, data + sent, BIG - sent);
	client_expect(fd, "", 200, "8388608");
	assert_int_equal(atomic_load(&last_result), 0);
	free(data);
	close(fd);
	site_stop(site);
}

static void read_to_the_end(struct mse_http_request *request)
{
	char block[4096];
	size_t got;
	int result;

	do {
		result = mse_http_request_read(request, block, sizeof block, &got, NULL);
		sem_post(&handler_may_go);
	} while (result == 0 && got > 0);
	atomic_store(&last_result, result);
	sem_post(&handler_waits);
}

static void a_client_that_leaves_in_its_body_is_noticed(void **state)
{
	struct site_options options = site_defaults(read_to_the_end);
	struct site *site = site_start(&options);
	int fd = client_connect(site);

	(void)state;
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
	wait_for(&handler_may_go);
	close(fd);
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), MSE_ERR_CLOSED);
	site_stop(site);
}

static void a_client_that_leaves_in_the_response_is_noticed(void **state)
{
	struct site_options options = site_defaults(write_big);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	char byte;

	(void)state;
	client_send(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	close(fd);
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), MSE_ERR_CLOSED);
	site_stop(site);
}

static void slow_heads_bodies_and_readers_run_out_of_time(void **state)
{
	struct site_options options = site_defaults(read_to_the_end);
	struct site *site;
	struct answer answer;
	int slow_head, silent, body, idle;

	(void)state;
	options.limits.head_timeout_ms = options.limits.body_timeout_ms = options.limits.idle_timeout_ms = 400;
	options.unix_socket = true;
	site = site_start(&options);
	silent = client_connect(site);
	slow_head = client_connect(site);
	client_send(slow_head, "GET / HTT");
	body = client_connect(site);
	client_send(body, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
	client_read_answer(slow_head, false, &answer);
	assert_int_equal(answer.status, 408);
	answer_free(&answer);
	client_expect_end(slow_head);
	client_expect_end(silent);
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), MSE_ERR_TIMEOUT);
	client_read_answer(body, false, &answer);
	assert_int_equal(answer.status, 408);
	answer_free(&answer);
	client_expect_end(body);
	close(slow_head);
	close(silent);
	close(body);
	site_stop(site);

	options.handle = usual_handler;
	site = site_start(&options);
	idle = client_connect(site);
	client_expect(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n", 200, "hello");
	client_expect_end(idle);
	close(idle);
	site_stop(site);

	options.handle = write_big;
	site = site_start(&options);
	idle = client_connect(site);
	client_send(idle, "GET / HTTP/1.1\r\n" HOST "\r\n");
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), MSE_ERR_TIMEOUT);
	close(idle);
	site_stop(site);
}

static void a_slow_handler_is_not_the_clients_fault(void **state)
{
	struct site_options options = site_defaults(write_in_steps);
	struct site *site;
	int fd;

	(void)state;
	options.limits.head_timeout_ms = options.limits.body_timeout_ms = options.limits.idle_timeout_ms = 200;
	site = site_start(&options);
	fd = client_connect(site);
	client_send(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	wait_for(&handler_waits);
	client_expect_silence(fd, 700);
	sem_post(&handler_may_go);
	sem_post(&handler_may_go);
	client_expect(fd, "", 200, "abc");
	close(fd);
	site_stop(site);
}

static void a_refused_request_ends_its_connection(void **state)
{
	static const char *const bad[] = {
		"POST /hello HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n",
		"GET /hello HTTP/1.1\r\n\r\n",
		"GET /hello HTTP/1.1\n" HOST "\n",
		"GET /hello HTTP/1.1\r\nX : y\r\n" HOST "\r\n",
		"POST /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	struct site_options options = site_defaults(usual_handler);
	struct site *site = site_start(&options);

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int fd = client_connect(site);
		char *all;

		client_expect(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n", 200, "hello");
		client_send(fd, bad[i]);
		client_send(fd, "GET /smuggled HTTP/1.1\r\n" HOST "\r\n");
		all = client_read_all(fd, NULL);
		assert_memory_equal(all, "HTTP/1.1 400 Bad Request\r\n", 26);
		assert_non_null(strstr(all, "\r\nConnection: close\r\n"));
		assert_null(strstr(all, "smuggled"));
		free(all);
		close(fd);
	}
	site_stop(site);
}

static void what_is_too_large_is_refused_before_it_is_read(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	char text[2048];
	int fd;

	(void)state;
	options.limits.max_body_size = 1000;
	options.limits.max_head_size = 1024;
	site = site_start(&options);
	fd = client_connect(site);
	client_expect(fd, "POST /count HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413, NULL);
	client_expect_end(fd);
	close(fd);
	fd = client_connect(site);
	client_send(fd, "POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(text, sizeof text, "190\r\n%0400d\r\n", 0);
		client_send(fd, text);
		usleep(10000);
	}
	client_expect(fd, "", 413, NULL);
	client_expect_end(fd);
	close(fd);
	fd = client_connect(site);
	(void)snprintf(text, sizeof text, "GET /%01100d HTTP/1.1\r\n" HOST "\r\n", 0);
	client_expect(fd, text, 414, NULL);
	client_expect_end(fd);
	close(fd);
	fd = client_connect(site);
	(void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nA: %01100d\r\n" HOST "\r\n", 0);
	client_expect(fd, text, 431, NULL);
	client_expect_end(fd);
	close(fd);
	site_stop(site);
}

static void the_refusal_arrives_although_the_client_goes_on_sending(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	static char block[100000];
	int fd;
	char *all;

	(void)state;
	options.limits.max_body_size = 1000;
	site = site_start(&options);
	fd = client_connect(site);
	client_send(fd, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
	usleep(50000);
	client_send_bytes(fd, block, sizeof block);
	all = client_read_all(fd, NULL);
	assert_memory_equal(all, "HTTP/1.1 413 ", 13);
	free(all);
	close(fd);
	site_stop(site);
}

static void an_unread_body_is_swallowed_or_ends_the_connection(void **state)
{
	struct site_options options = site_defaults(ignore_body);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	static char block[200000];
	struct answer answer;

	(void)state;
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_null(strstr(answer.head, "Connection: close"));
	answer_free(&answer);
	client_send_bytes(fd, block, sizeof block);
	client_expect(fd, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "ignored");
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\n\r\n");
	client_read_answer(fd, false, &answer);
	assert_non_null(strstr(answer.head, "Connection: close"));
	answer_free(&answer);
	client_expect_end(fd);
	close(fd);
	site_stop(site);
}

static void keep_first(struct mse_http_request *request)
{
	if (strcmp(mse_http_request_path(request), "/first") == 0)
		kept = mse_http_request_ref(request);
	mse_http_connection_set_mark(request, mse_http_connection_mark(request) + 7);
	(void)mse_http_respond(request, 200, NULL, "first", 5, NULL);
	sem_post(&handler_waits);
}

static void hold_second(void *ctx, struct mse_http_request *request)
{
	struct site *site = ctx;

	if (strcmp(mse_http_request_path(request), "/second") == 0) {
		sem_post(&handler_waits);
		(void)mse_http_response_start(request, 200, NULL, NULL, 0, NULL);
	}
	(void)mse_http_queue_push(site->queue, request, NULL);
}

static void answer_second(struct mse_http_request *request)
{
	if (strcmp(mse_http_request_path(request), "/second") != 0) {
		keep_first(request);
		return;
	}
	sem_wait(&handler_may_go);
	(void)mse_http_response_write(request, "second", 6, NULL);
	(void)mse_http_response_end(request, NULL);
}

static void a_kept_request_cannot_touch_the_next_one(void **state)
{
	struct mse_error_info err;
	struct site_options options = site_defaults(answer_second);
	struct site *site;
	char block[16];
	size_t got;
	int fd;

	(void)state;
	options.on_request = hold_second;
	site = site_start(&options);
	fd = client_connect(site);
	client_expect(fd, "POST /first?q HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 200, "first");
	wait_for(&handler_waits);
	client_send(fd, "POST /second HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nsecret");
	wait_for(&handler_waits);
	assert_fails(mse_http_request_read(kept, block, sizeof block, &got, &err), MSE_ERR_STATE, "ended");
	assert_int_equal(got, 0);
	assert_fails(mse_http_response_start(kept, 200, NULL, NULL, 0, &err), MSE_ERR_STATE, "ended");
	assert_true(mse_http_response_write(kept, "evil", 4, &err) < 0);
	assert_true(mse_http_respond(kept, 200, NULL, "evil", 4, &err) < 0);
	mse_http_connection_set_mark(kept, 99);
	mse_http_request_abort(kept);
	sem_post(&handler_may_go);
	client_expect(fd, "", 200, "second");
	close(fd);
	eventually(mse_http_server_connection_count(site->server) == 0);
	assert_int_equal(site->last_mark, 7);
	assert_true(mse_http_request_read(kept, block, sizeof block, &got, &err) < 0);
	assert_string_equal(mse_http_request_path(kept), "/first");
	assert_string_equal(mse_http_request_query(kept), "q");
	site_stop(site);
	/* Nor does it need the server. */
	assert_true(mse_http_request_read(kept, block, sizeof block, &got, &err) < 0);
	mse_http_request_abort(kept);
	mse_http_request_unref(kept);
}

static void hold(struct mse_http_request *request)
{
	sem_post(&handler_waits);
	sem_wait(&handler_may_go);
	(void)mse_http_respond(request, 200, NULL, "held", 4, NULL);
}

static void a_full_queue_answers_503(void **state)
{
	struct site_options options = site_defaults(hold);
	struct site *site;
	struct answer answer;
	int first, second, third;

	(void)state;
	options.workers = 1;
	options.queue_capacity = 1;
	site = site_start(&options);
	first = client_connect(site);
	second = client_connect(site);
	third = client_connect(site);
	client_send(first, "GET / HTTP/1.1\r\n" HOST "\r\n");
	wait_for(&handler_waits);
	client_send(second, "GET / HTTP/1.1\r\n" HOST "\r\n");
	eventually(mse_http_queue_size(site->queue) == 1);
	client_send(third, "GET / HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(third, false, &answer);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.head, "\r\nRetry-After: 1\r\n"));
	answer_free(&answer);
	sem_post(&handler_may_go);
	client_expect(first, "", 200, "held");
	sem_post(&handler_may_go);
	client_expect(second, "", 200, "held");
	close(first);
	close(second);
	close(third);
	site_stop(site);
}

static void requests_of_clients_that_left_are_not_handled(void **state)
{
	struct site_options options = site_defaults(hold);
	struct site *site;
	int first, second;

	(void)state;
	options.workers = 1;
	site = site_start(&options);
	first = client_connect(site);
	second = client_connect(site);
	client_send(first, "GET / HTTP/1.1\r\n" HOST "\r\n");
	wait_for(&handler_waits);
	client_send(second, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n");
	eventually(mse_http_queue_size(site->queue) == 1);
	close(second);
	eventually(mse_http_server_connection_count(site->server) == 1);
	sem_post(&handler_may_go);
	client_expect(first, "", 200, "held");
	eventually(mse_http_queue_size(site->queue) == 0);
	usleep(50000);
	assert_int_equal(sem_trywait(&handler_waits), -1);
	close(first);
	site_stop(site);
}

static void *stop_with_grace(void *arg)
{
	struct site *site = arg;

	mse_http_server_stop(site->server, 10000);
	return NULL;
}

static void stopping_lets_requests_finish(void **state)
{
	struct site_options options = site_defaults(hold);
	struct site *site = site_start(&options);
	int busy = client_connect(site), idle = client_connect(site);
	struct answer answer;
	pthread_t thread;
	uint64_t before;

	(void)state;
	client_send(busy, "GET / HTTP/1.1\r\n" HOST "\r\n");
	wait_for(&handler_waits);
	eventually(mse_http_server_connection_count(site->server) == 2);
	before = mse_monotonic_ms();
	assert_int_equal(pthread_create(&thread, NULL, stop_with_grace, site), 0);
	client_expect_end(idle);
	client_expect_silence(busy, 100);
	sem_post(&handler_may_go);
	client_read_answer(busy, false, &answer);
	assert_string_equal(answer.body, "held");
	assert_non_null(strstr(answer.head, "\r\nConnection: close\r\n"));
	answer_free(&answer);
	client_expect_end(busy);
	close(busy);
	close(idle);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(mse_monotonic_ms() - before < 8000);
	site_stop(site);
}

static void stopping_without_grace_wakes_those_who_wait(void **state)
{
	struct site_options options = site_defaults(read_to_the_end);
	struct site *site = site_start(&options);
	int fd = client_connect(site);

	(void)state;
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
	wait_for(&handler_may_go);
	mse_http_server_stop(site->server, 50);
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), MSE_ERR_CLOSED);
	close(fd);
	site_stop(site);
}

static void no_more_connections_than_allowed_are_served(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	int first, second, third;

	(void)state;
	options.limits.max_connections = 2;
	options.threads = 2;
	site = site_start(&options);
	first = client_connect(site);
	client_expect(first, "GET /hello HTTP/1.1\r\n" HOST "\r\n", 200, "hello");
	second = client_connect(site);
	client_expect(second, "GET /hello HTTP/1.1\r\n" HOST "\r\n", 200, "hello");
	third = client_connect(site);
	client_send(third, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	client_expect_silence(third, 200);
	assert_int_equal(mse_http_server_connection_count(site->server), 2);
	close(second);
	client_expect(third, "", 200, "hello");
	close(first);
	close(third);
	site_stop(site);
}

static void drop(struct mse_http_request *request)
{
	if (strcmp(mse_http_request_path(request), "/started") == 0) {
		(void)mse_http_response_start(request, 200, NULL, NULL, 0, NULL);
		(void)mse_http_response_write(request, "part", 4, NULL);
	}
}

static void a_request_that_nobody_answers_gets_500(void **state)
{
	struct site_options options = site_defaults(drop);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	char *all;

	(void)state;
	client_expect(fd, "GET / HTTP/1.1\r\n" HOST "\r\n", 500, "500 Internal Server Error\n");
	/* A response that was begun cannot be taken back: the client sees it break off. */
	client_send(fd, "GET /started HTTP/1.1\r\n" HOST "\r\n");
	all = client_read_all(fd, NULL);
	assert_null(strstr(all, "0\r\n\r\n"));
	free(all);
	close(fd);
	site_stop(site);
}

static void answer_badly(struct mse_http_request *request)
{
	struct mse_error_info err;
	static const struct {
		struct mse_http_header header;
		size_t name_size, value_size;
	} bad[] = {
		{ { .name = "X", .value = "a\r\nSet-Cookie: b" }, 1, 16 }, { { .name = "X", .value = "a\nb" }, 1, 3 }, { { .name = "X", .value = "a\0b" }, 1, 3 },
		{ { .name = "X", .value = "a\x7f" }, 1, 2 }, { { .name = "X Y", .value = "a" }, 3, 1 }, { { .name = "X:", .value = "a" }, 2, 1 }, { { .name = "", .value = "a" }, 0, 1 },
		{ { .name = "Connection", .value = "close" }, 10, 5 }, { { .name = "TRANSFER-ENCODING", .value = "chunked" }, 17, 7 }, { { .name = "Upgrade", .value = "h2c" }, 7, 3 },
		{ { .name = "Keep-Alive", .value = "1" }, 10, 1 }, { { .name = "Content-Length", .value = "-1" }, 14, 2 }, { { .name = "Content-Length", .value = "" }, 14, 0 },
		{ { .name = "Content-Length", .value = "99999999999999999999" }, 14, 20 },
	};
	const struct mse_http_header twice[] = { MSE_HTTP_HEADER("Content-Length", "5"), MSE_HTTP_HEADER("content-length", "5") };
	int wrong = 0;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct mse_http_header header = bad[i].header;

		header.name_size = bad[i].name_size;
		header.value_size = bad[i].value_size;
		wrong += mse_http_response_start(request, 200, NULL, &header, 1, &err) != MSE_ERR_INPUT;
	}
	wrong += mse_http_response_start(request, 200, NULL, twice, 2, &err) != MSE_ERR_INPUT;
	wrong += mse_http_response_start(request, 200, "OK\r\nX: y", NULL, 0, &err) != MSE_ERR_INPUT;
	wrong += mse_http_response_start(request, 100, NULL, NULL, 0, &err) != MSE_ERR_INPUT;
	wrong += mse_http_response_start(request, 1000, NULL, NULL, 0, &err) != MSE_ERR_INPUT;
	wrong += mse_http_response_write(request, "x", 1, &err) != MSE_ERR_STATE;
	wrong += mse_http_response_end(request, &err) != MSE_ERR_STATE;
	wrong += mse_http_response_start(request, 200, NULL, twice, 1, &err) != 0;
	wrong += mse_http_response_start(request, 200, NULL, NULL, 0, &err) != MSE_ERR_STATE;
	wrong += mse_http_response_write(request, "toolong", 7, &err) != MSE_ERR_INPUT;
	wrong += mse_http_response_write(request, "exact", 5, &err) != 0;
	wrong += mse_http_response_write(request, "x", 1, &err) != MSE_ERR_INPUT;
	wrong += mse_http_response_end(request, &err) != 0;
	atomic_store(&last_result, wrong);
	sem_post(&handler_waits);
}

static void responses_are_checked_before_anything_is_sent(void **state)
{
	struct site_options options = site_defaults(answer_badly);
	struct site *site = site_start(&options);
	int fd = client_connect(site);

	(void)state;
	client_expect(fd, "GET / HTTP/1.1\r\n" HOST "\r\n", 200, "exact");
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), 0);
	client_expect(fd, "GET / HTTP/1.1\r\n" HOST "\r\n", 200, "exact");
	close(fd);
	site_stop(site);
}

static void write_too_little(struct mse_http_request *request)
{
	const struct mse_http_header length = MSE_HTTP_HEADER("Content-Length", "10");

	(void)mse_http_response_start(request, 200, NULL, &length, 1, NULL);
	(void)mse_http_response_write(request, "12345", 5, NULL);
	atomic_store(&last_result, mse_http_response_end(request, NULL));
	sem_post(&handler_waits);
}

static void a_response_shorter_than_announced_aborts_the_connection(void **state)
{
	struct site_options options = site_defaults(write_too_little);
	struct site *site = site_start(&options);
	int fd = client_connect(site);
	char *all;

	(void)state;
	client_send(fd, "GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	all = client_read_all(fd, NULL);
	assert_true(strstr(all, "\r\n\r\n") == NULL || strlen(strstr(all, "\r\n\r\n") + 4) <= 5);
	free(all);
	wait_for(&handler_waits);
	assert_int_equal(atomic_load(&last_result), MSE_ERR_INPUT);
	close(fd);
	site_stop(site);
}

static void answer_at_once(void *ctx, struct mse_http_request *request)
{
	static char big[1000000];
	size_t got, size = strcmp(mse_http_request_path(request), "/big") == 0 ? sizeof big : 2;
	char byte;

	(void)ctx;
	memset(big, 'x', sizeof big);
	atomic_store(&last_result, mse_http_request_read(request, &byte, 1, &got, NULL));
	(void)mse_http_respond(request, 200, NULL, big, size, NULL);
}

static void the_network_thread_can_answer_but_not_wait(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	struct answer answer;
	int fd;

	(void)state;
	options.on_request = answer_at_once;
	site = site_start(&options);
	fd = client_connect(site);
	client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
	client_expect(fd, "", 200, "xx");
	client_expect(fd, "", 200, "xx");
	assert_int_equal(atomic_load(&last_result), MSE_ERR_STATE);
	client_send(fd, "GET /big HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	client_read_answer(fd, false, &answer);
	assert_int_equal(answer.body_size, 1000000);
	answer_free(&answer);
	client_expect(fd, "", 200, "xx");
	close(fd);
	site_stop(site);
}

static void describe(struct mse_http_request *request)
{
	char text[2048];
	const struct mse_http_header *second = mse_http_request_header_at(request, 1);
	uint8_t value[MSE_HTTP_EXPORTER_SIZE];

	(void)snprintf(text, sizeof text, "%s %s %s %s %u|%zu %s=%s|%s %s|%s %s %d|%lld %d %d|%d %s|%d", mse_http_request_method(request),
		mse_http_request_target(request), mse_http_request_path(request), mse_http_request_query(request), mse_http_request_minor_version(request),
		mse_http_request_header_count(request), second->name, second->value, mse_http_request_header(request, "X-THING"),
		mse_http_request_header(request, "absent") == NULL ? "-" : "?", mse_http_request_host(request), mse_http_request_scheme(request),
		mse_http_request_is_tls(request), (long long)mse_http_request_content_length(request), mse_http_request_has_body(request),
		mse_http_request_keep_alive(request), mse_http_request_peer_port(request) > 0, mse_http_request_peer_address(request),
		mse_http_request_exporter(request, "EXPORTER-test", NULL, 0, false, value, NULL));
	(void)mse_http_respond(request, 200, NULL, text, strlen(text), NULL);
}

static void handlers_see_the_head_as_it_was_sent(void **state)
{
	struct site_options options = site_defaults(describe);
	struct site *site = site_start(&options);
	int fd = client_connect(site);

	(void)state;
	client_expect(fd, "PUT http://h/a%2fb?c=d HTTP/1.1\r\n" HOST "X-Thing:  Some Thing \r\nContent-Length: 0\r\n\r\n", 200,
		"PUT http://h/a%2fb?c=d /a%2fb c=d 1|3 x-thing=Some Thing|Some Thing -|h http 0|0 0 1|1 127.0.0.1|-11");
	close(fd);
	site_stop(site);
	options.unix_socket = true;
	site = site_start(&options);
	fd = client_connect(site);
	client_expect(fd, "POST / HTTP/1.0\r\nA:b\r\nX-Thing: t\r\nContent-Length: 1\r\n\r\nx", 200, "POST / /  0|3 x-thing=t|t -| http 0|1 1 0|0 |-11");
	close(fd);
	site_stop(site);
}

static void read_all(struct mse_http_request *request)
{
	struct mse_error_info err;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	int result = mse_http_request_read_all(request, 100000, &body, &err);

	if (result < 0)
		(void)mse_http_respond(request, 413, NULL, err.message, strlen(err.message), NULL);
	else
		(void)mse_http_respond(request, 200, NULL, mse_buffer_data(body), mse_buffer_size(body), NULL);
}

static void whole_bodies_are_read_up_to_a_limit(void **state)
{
	struct site_options options = site_defaults(read_all);
	struct site *site = site_start(&options);
	static char text[120000];
	struct answer answer;
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 100000, 100001 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
		size_t size = sizes[i / 2], at;
		int fd = client_connect(site);

		if (i % 2 == 0)
			at = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n%0*d", size, (int)size, 0);
		else
			at = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%0*d\r\n0\r\n\r\n", size, (int)size, 0);
		if (size == 0)
			at = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s", i % 2 == 0 ? "Content-Length: 0\r\n\r\n" : "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
		client_send_bytes(fd, text, at);
		client_read_answer(fd, false, &answer);
		assert_int_equal(answer.status, size <= 100000 ? 200 : 413);
		if (size <= 100000)
			assert_int_equal(answer.body_size, size);
		answer_free(&answer);
		close(fd);
	}
	site_stop(site);
}

static void *use_site(void *arg)
{
	struct site *site = arg;

	for (unsigned i = 0; i < 15; i++) {
		int fd = client_connect(site);
		static const char *const requests[] = { "GET /hello HTTP/1.1\r\n" HOST "\r\n",
			"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "GET /big/300000 HTTP/1.1\r\n" HOST "\r\n" };
		struct answer answer;

		for (unsigned k = 0; k < 6; k++) {
			client_send(fd, requests[k % 3]);
			if (i % 5 == 4 && k == 5)
				break; /* leaves in the middle */
			client_read_answer(fd, false, &answer);
			atomic_fetch_add(&bytes_done, answer.body_size);
			answer_free(&answer);
		}
		close(fd);
	}
	return NULL;
}

static void many_clients_are_served_by_several_network_threads(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	pthread_t clients[6];

	(void)state;
	options.threads = 3;
	options.workers = 4;
	site = site_start(&options);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&clients[i], NULL, use_site, site), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pthread_join(clients[i], NULL), 0);
	assert_int_equal(atomic_load(&bytes_done), 6 * (15 * 2 * (5 + 5 + 300000) - 3 * 300000));
	eventually(mse_http_server_connection_count(site->server) == 0);
	assert_int_equal(site->closed_count, 6 * 15);
	site_stop(site);
}

static void servers_with_senseless_limits_are_not_made(void **state)
{
	struct mse_error_info err;
	struct mse_http_server *server = NULL;
	struct mse_http_server_params params = { .listen_fds = (int[]){ 0 }, .listen_count = 1, .limits = mse_http_limits_default(), .on_request = answer_at_once };

	(void)state;
	params.limits.max_head_size = 10;
	assert_fails(mse_http_server_new(&params, &server, &err), MSE_ERR_LIMIT, "256 bytes");
	params.limits = mse_http_limits_default();
	params.limits.idle_timeout_ms = 0;
	assert_fails(mse_http_server_new(&params, &server, &err), MSE_ERR_LIMIT, "time-outs");
	params.limits = mse_http_limits_default();
	params.listen_fds = (int[]){ -1 };
	assert_fails(mse_http_server_new(&params, &server, &err), MSE_ERR_IO, "descriptor -1");
	assert_null(server);
	assert_fails(mse_http_queue_new(0, &(struct mse_http_queue *){ NULL }, &err), MSE_ERR_LIMIT, "1 to");
}

static void a_closed_queue_gives_out_what_it_has_and_then_ends(void **state)
{
	struct mse_error_info err;
	struct mse_http_queue *queue;
	struct mse_http_request *request;

	(void)state;
	assert_works(mse_http_queue_new(2, &queue, &err));
	assert_fails(mse_http_queue_pop(queue, 20, &request, &err), MSE_ERR_TIMEOUT, "none came");
	mse_http_queue_close(queue);
	assert_fails(mse_http_queue_pop(queue, -1, &request, &err), MSE_ERR_CLOSED, "closed");
	assert_null(request);
	mse_http_queue_free(queue);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_serves_many_requests),
		TEST(the_date_is_now),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(requests_before_a_half_close_are_all_answered),
		TEST(chunked_bodies_go_both_ways),
		TEST(http_1_0_clients_get_what_they_understand),
		TEST(continue_is_sent_when_the_handler_first_reads_and_not_before),
		TEST(continue_comes_before_a_response_that_was_started_first),
		TEST(responses_without_a_body_swallow_it),
		TEST(the_head_leaves_together_with_the_first_bytes_and_these_at_once),
		TEST(a_slow_reader_holds_its_writer_within_bounds),
		TEST(a_slow_handler_holds_its_client_within_bounds),
		TEST(a_client_that_leaves_in_its_body_is_noticed),
		TEST(a_client_that_leaves_in_the_response_is_noticed),
		TEST(slow_heads_bodies_and_readers_run_out_of_time),
		TEST(a_slow_handler_is_not_the_clients_fault),
		TEST(a_refused_request_ends_its_connection),
		TEST(what_is_too_large_is_refused_before_it_is_read),
		TEST(the_refusal_arrives_although_the_client_goes_on_sending),
		TEST(an_unread_body_is_swallowed_or_ends_the_connection),
		TEST(a_kept_request_cannot_touch_the_next_one),
		TEST(a_full_queue_answers_503),
		TEST(requests_of_clients_that_left_are_not_handled),
		TEST(stopping_lets_requests_finish),
		TEST(stopping_without_grace_wakes_those_who_wait),
		TEST(no_more_connections_than_allowed_are_served),
		TEST(a_request_that_nobody_answers_gets_500),
		TEST(responses_are_checked_before_anything_is_sent),
		TEST(a_response_shorter_than_announced_aborts_the_connection),
		TEST(the_network_thread_can_answer_but_not_wait),
		TEST(handlers_see_the_head_as_it_was_sent),
		TEST(whole_bodies_are_read_up_to_a_limit),
		TEST(many_clients_are_served_by_several_network_threads),
		TEST(servers_with_senseless_limits_are_not_made),
		TEST(a_closed_queue_gives_out_what_it_has_and_then_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
