/* PEP 3333 as the applications in tests/apps see it. */
#include "../test.h"
#include "fake_host.h"
#include "tests.h"

#include <unistd.h>

#define SERVER_ERROR "Internal Server Error\n"

static struct mse_http_request *post(const char *target, const char *body, size_t size, bool chunked)
{
	struct mse_http_request *request = request_new("POST", target);

	request_set_body(request, body, size, chunked);
	request_start(request);
	request_finish(request);
	return request;
}

static void check_post(const char *target, const char *body, const char *answer)
{
	for (int chunked = 0; chunked < 2; chunked++) {
		struct mse_http_request *request = post(target, body, strlen(body), chunked);

		if (request->status != 200 || strcmp(request->response, answer) != 0)
			check_failed(target, chunked, request->response);
		request_free(request);
	}
}

static void validated(void)
{
	struct mse_http_request *request;

	check_get("/", 200, "ok\n");
	check_get("/pieces?a=b&c", 200, "ok\n");
	check_get("/with%20blank/%C3%A9", 200, "ok\n");
	request = get("/empty");
	check(request->status == 204 && request->ended && request->response_size == 0);
	request_free(request);
	check_post("/", "first line\nsecond\nthird", "first line\nsecond\nthird");
	request = request_new("HEAD", "/");
	request_add_header(request, "content-type", "text/plain");
	request_add_header(request, "x-a", "1");
	request_start(request);
	request_finish(request);
	check(request->status == 200 && request->announced == 3 && request->ended);
	request_free(request);
	request = request_new("OPTIONS", "*");
	request_start(request);
	request_finish(request);
	check(request->status == 200 && request->ended);
	request_free(request);
	check_logged("seen POST /\n");
	check_not_logged("AssertionError");
	check_not_logged("Traceback");
}

void app_that_validates_every_call_is_content(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "validated", .scenario = validated});
}

static void reads(void)
{
	check_post("/read", "hello", "hello");
	check_post("/read?3", "hello", "hel");
	check_post("/read?0", "hello", "");
	check_post("/read?5000", "hello", "hello");
	check_post("/read?99999999999999999999999", "hello", "hello");
	check_post("/read-none", "hello", "hello");
	check_post("/read-twice?2", "hello", "[\"he\", \"llo\", \"\", \"\"]");
	check_post("/pieces?2", "hello", "[2, 2, 1]");
	check_post("/readline?-1", "ab\ncd\nefgh\nij", "[\"ab\\n\", \"cd\\n\", \"ef\", \"gh\\n\", \"ij\", \"\"]");
	check_post("/readline?1", "ab\ncd\nefgh\nij", "[\"a\", \"b\\n\", \"cd\", \"\\n\", \"efgh\\nij\", \"\"]");
	check_post("/readline?0", "ab\n", "[\"\", \"ab\\n\", \"\", \"\", \"\", \"\"]");
	check_post("/readlines", "a\nb\n\nc", "[\"a\\n\", \"b\\n\", \"\\n\", \"c\", \"rest\", \"\"]");
	check_post("/readlines?3", "a\nb\nc\n", "[\"a\\n\", \"b\\n\", \"rest\", \"c\\n\"]");
	check_post("/readlines?0", "a\nb", "[\"a\\n\", \"b\", \"rest\", \"\"]");
	check_post("/iterate", "a\nb\n\nc", "[\"a\\n\", \"b\\n\", \"\\n\", \"c\"]");
	check_post("/stream", "some bytes", "some bytes");
	check_post("/wrong-size", "some bytes", "TypeError");
	check_post("/read", "", "");
	check_post("/ignored", "a body that nobody reads", "");
	/* No body at all. */
	check_get("/read", 200, "");
	check_get("/readline?-1", 200, "[\"\", \"\", \"\", \"\", \"\", \"\"]");
	check_get("/iterate", 200, "[]");
	check_not_logged("Traceback");
}

void body_is_read_in_every_way(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "echo", .scenario = reads});
}

static void long_lines(void)
{
	enum { LINE = 100000, COUNT = 3 };
	static char body[LINE * COUNT];
	struct mse_http_request *request;

	memset(body, 'x', sizeof body);
	for (int i = 1; i < COUNT; i++)
		body[i * LINE - 1] = '\n';
	for (int chunked = 0; chunked < 2; chunked++) {
		request = request_new("POST", "/readlines");
		request_set_body(request, body, sizeof body, chunked);
		request->piece = 7777;
		request_start(request);
		request_finish(request);
		/* Two lines with "\n" as two characters, the third without, in JSON with quotes, commas and "rest". */
		check(request->status == 200 && request->response_size == sizeof body + 2 + strlen("[\"\", \"\", \"\", \"rest\", \"\"]"));
		request_free(request);
	}
}

void lines_longer_than_the_read_ahead_stay_whole(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "echo", .scenario = long_lines});
}

static void large_bodies(void)
{
	const size_t size = (size_t)40 * 1024 * 1024 + 17;
	char *body = malloc(size);
	struct mse_http_request *request;
	uint32_t number = 1;

	check(body != NULL);
	for (size_t i = 0; i < size; i++) {
		number = number * 1664525 + 1013904223;
		body[i] = (char)(number >> 24);
	}
	for (int i = 0; i < 4; i++) {
		request = request_new("POST", i < 2 ? "/read" : "/stream");
		request_set_body(request, body, size, i & 1);
		request->piece = 50000;
		request_start(request);
		request_finish(request);
		check(request->status == 200 && request->response_size == size && memcmp(request->response, body, size) == 0);
		check(request->announced == (i < 2 ? (int64_t)size : -1));
		request_free(request);
	}
	free(body);
}

void large_bodies_pass_unharmed(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "echo", .scenario = large_bodies});
}

static struct mse_http_request *post_broken(const char *target, int error, bool chunked)
{
	struct mse_http_request *request = request_new("POST", target);

	request_set_body(request, "0123456789", 10, chunked);
	request->read_fails_at = 4;
	request->read_error = error;
	request_start(request);
	request_finish(request);
	return request;
}

static void broken_bodies(void)
{
	static const struct {
		int error;
		const char *raised;
	} cases[] = {{MSE_ERR_CLOSED, "ConnectionResetError 104"}, {MSE_ERR_TIMEOUT, "TimeoutError 110"}, {MSE_ERR_LIMIT, "OSError 27"},
		{MSE_ERR_INPUT, "OSError 74"}};

	for (size_t i = 0; i < 4; i++) {
		struct mse_http_request *request = post_broken("/errors", cases[i].error, i & 1);

		check(request->status == 200 && strcmp(request->response, cases[i].raised) == 0);
		request_free(request);
		/* Not caught: no response, so that the server's own says what was wrong. Nothing else is read or sent. */
		request = post_broken("/iterate", cases[i].error, i & 1);
		check(!request->started);
		request_free(request);
		/* In the middle of a response: broken off. */
		request = post_broken("/stream", cases[i].error, i & 1);
		check(!request->ended && !request->started);
		request_free(request);
	}
	check_logged("log: mse: POST /iterate: the request's body was not received whole");
	check_not_logged("Traceback");
	check_post("/read", "still here", "still here");
}

void broken_bodies_raise_and_are_answered_for_what_they_are(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "echo", .scenario = broken_bodies});
}

static void streaming(void)
{
	struct mse_http_request *waiting = request_new("GET", "/waiting"), *request;

	request_start(waiting);
	request_wait_bytes(waiting, 6);
	check(strcmp(waiting->response, "first ") == 0 && !waiting->ended);
	check_get("/release", 200, "released");
	request_finish(waiting);
	check(strcmp(waiting->response, "first second") == 0 && waiting->writes == 2 && waiting->ended && waiting->announced == -1);
	request_free(waiting);

	request = get("/large");
	check(request->response_size == (size_t)4096 * 1024 && request->writes == 1024 && request->ended);
	request_free(request);
	request = get("/empty-generator");
	check(request->status == 200 && request->response_size == 0 && request->writes == 0 && request->ended);
	request_free(request);
}

void pieces_are_sent_before_the_next_is_made(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "streaming", .threads = 2, .scenario = streaming});
}

static void lists(void)
{
	struct mse_http_request *request = get("/list");

	check(request->announced == 100004 && request->response_size == 100004 && request->ended && strncmp(request->response, "abcd", 4) == 0 &&
		request->response[100003] == 'e');
	request_free(request);
	request = get("/small-list");
	check(request->announced == 3 && strcmp(request->response, "abc") == 0 && request->writes == 1);
	request_free(request);
	request = get("/nothing");
	check(request->announced == 0 && request->ended && request->response_size == 0);
	request_free(request);
}

void lists_get_their_content_length(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "streaming", .scenario = lists});
}

static void write_call(void)
{
	struct mse_http_request *request = get("/");

	check(strcmp(request->response, "written twice and returned") == 0 && request->writes == 3 && request->ended && request->announced == -1);
	request_free(request);
	check_get("/wrong", 500, SERVER_ERROR);
	check_logged("TypeError: mse: write() takes bytes, not str");
}

void write_sends_at_once(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "write_call", .scenario = write_call});
}

static void exc_info(void)
{
	struct mse_http_request *request = get("/before");

	check(request->status == 503 && strcmp(request->reason, "Service Unavailable") == 0 && strcmp(request->response, "replaced") == 0 &&
		strcmp(request->response_headers, "X-Second: 2\nContent-Length: 8\n") == 0);
	request_free(request);
	check_not_logged("Traceback");
	request = get("/after");
	check(request->status == 200 && strcmp(request->response, "some of the body") == 0 && request->aborted && !request->ended);
	request_free(request);
	check_logged("ValueError: found out too late");
	check_not_logged("SystemError");
	check_get("/twice", 500, SERVER_ERROR);
	check_logged("start_response() was called a second time without exc_info");
	check_get("/none", 200, "ok");
	check_get("/named", 200, "ok");
	request = get("/no-exception");
	check(request->status == 200 && request->aborted);
	request_free(request);
	check_logged("exc_info must be what sys.exc_info() gives");
}

void exc_info_replaces_or_raises(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "exc_info", .scenario = exc_info});
}

static void closing(void)
{
	struct mse_http_request *request;

	check_get("/good", 200, "ok");
	check_get("/fails-early", 500, SERVER_ERROR);
	check_get("/no-start", 500, SERVER_ERROR);
	check_get("/close-fails", 200, "ok");
	request = get("/fails-late");
	check(request->aborted && strcmp(request->response, "some") == 0);
	request_free(request);
	request = request_new("GET", "/disconnect");
	request->write_fails_at = 5000;
	request->write_error = MSE_ERR_CLOSED;
	request_start(request);
	request_finish(request);
	check(request->writes == 5 && !request->ended);
	request_free(request);
	check_get("/counts", 200, "{\"/good\": 1, \"/fails-early\": 1, \"/no-start\": 1, \"/close-fails\": 1, \"/fails-late\": 1, \"/disconnect\": 1}");
	check_logged("mse: GET /close-fails: close() of the application's iterable failed");
	check_logged("ValueError: close() failed");
	check_not_logged("/disconnect");
}

void close_is_called_once_whatever_happens(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "closing", .scenario = closing});
}

static void errors(void)
{
	static const char *const early[][2] = {
		{"/raises", "ValueError: secret-detail"}, {"/exits", "SystemExit: 3"}, {"/interrupts", "KeyboardInterrupt"},
		{"/unprintable", "Unprintable"}, {"/no-start", "without having called start_response()"},
		{"/no-start-empty", "mse: GET /no-start-empty: the application failed"}, {"/raises-after-start", "after-start-detail"},
		{"/generator", "secret-detail-of-a-generator"}, {"/none", "TypeError: 'NoneType' object is not iterable"},
		{"/str", "must give bytes, not str"}, {"/only-str", "mse: GET /only-str: the application failed"},
		{"/bytearray", "must give bytes, not bytearray"},
	};
	struct mse_http_request *request;

	for (size_t i = 0; i < sizeof early / sizeof early[0]; i++) {
		check_not_logged(early[i][1]);
		check_get(early[i][0], 500, SERVER_ERROR);
		check_logged(early[i][1]);
		check_get("/health", 200, "ok");
	}
	request = get("/raises");
	check(strcmp(request->response_headers, "Content-Type: text/plain; charset=utf-8\nContent-Length: 22\n") == 0);
	request_free(request);
	for (int i = 0; i < 3; i++) {
		static const char *const late[] = {"/late", "/late-exit", "/generator-str"};

		request = get(late[i]);
		check(request->status == 200 && request->aborted && !request->ended);
		request_free(request);
	}
	check_logged("mse: GET /late: the application failed in the middle of its response\nTraceback");
	check_logged("late-detail");
	check_logged("SystemExit: 4");
	check_not_logged("<mse>");
	check_get("/health", 200, "ok");
}

void errors_give_500_without_details_or_abort(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "errors", .scenario = errors});
}

static void lengths(void)
{
	struct mse_http_request *request;

	check_get("/length-good", 200, "fine!");
	check_get("/length-long", 500, SERVER_ERROR);
	check_logged("gave more than the 5 bytes");
	request = get("/length-long-late");
	check(strcmp(request->response, "123") == 0 && request->aborted && !request->ended);
	request_free(request);
	request = get("/length-short");
	check(strcmp(request->response, "1234") == 0 && request->aborted && !request->ended);
	request_free(request);
	check_logged("fewer bytes than Content-Length");
	/* The client has all that was announced; the rest is dropped, and said in the log. */
	request = get("/length-extra");
	check(strcmp(request->response, "12345") == 0 && request->ended && !request->aborted);
	request_free(request);
	check_logged("mse: GET /length-extra: the application failed in the middle");
}

void wrong_content_lengths_never_reach_the_client_as_complete(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "errors", .scenario = lengths});
}

static void bad_headers(void)
{
	static const char *const cases[] = {
		"crlf-value", "lf-value", "cr-value", "nul-value", "del-value", "crlf-name", "blank-name", "empty-name", "colon-name", "non-ascii-name",
		"wide-value", "surrogate-value", "bytes-value", "bytes-name", "number-value", "connection", "transfer-encoding", "upgrade", "keep-alive",
		"two-lengths", "bad-length", "negative-length", "empty-length", "huge-length", "pair", "triple", "dict", "none", "status-crlf",
		"status-number", "status-bytes", "status-word", "status-empty", "status-100", "status-101", "status-600", "status-glued", "many", "large",
		"refused-by-server",
	};
	char target[64];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mse_http_request *request;

		snprintf(target, sizeof target, "/?%s", cases[i]);
		request = get(target);
		if (request->status != 500 || !request->ended || strcmp(request->response, SERVER_ERROR) != 0)
			check_failed(__FILE__, __LINE__, target);
		request_free(request);
	}
	check_logged("the value of 'X-A' has a control character: '1\\r\\nSet-Cookie: stolen=1'");
	check_logged("'Connection' is about the connection, which is the server's");
	check_logged("the header 'X-Refuse-Me' is refused");
	check_logged("Content-Length is given twice");
	check_logged("has characters that Latin-1 does not have");
	check_not_logged("SystemError");
	check_get("/health", 200, "ok");
}

void bad_statuses_and_headers_are_refused(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "response_headers", .scenario = bad_headers});
}

static void check_head(const char *target, unsigned status, const char *reason, const char *headers)
{
	struct mse_http_request *request = get(target);

	if (request->status != status || strcmp(request->reason, reason) != 0 || strcmp(request->response_headers, headers) != 0 || !request->ended)
		check_failed(__FILE__, __LINE__, target);
	request_free(request);
}

static void good_headers(void)
{
	check_head("/?obs-text", 200, "OK", "X-A: caf\xe9\nContent-Length: 2\n");
	check_head("/?tab", 299, "Fine\ttoo", "X-A: 1\t2\nX-B: \nContent-Length: 2\n");
	check_head("/?bare-status", 404, "", "Content-Length: 2\n");
	check_head("/?list-pair", 200, "OK", "X-A: 1\nContent-Length: 2\n");
	check_head("/?tuple", 200, "OK", "X-A: 1\nContent-Length: 2\n");
	check_head("/?no-content", 204, "No Content", "");
	check_head("/?not-modified", 304, "Not Modified", "ETag: \"1\"\n");
	check_not_logged("Traceback");
}

void good_statuses_and_headers_pass(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "response_headers", .scenario = good_headers});
}

static void without_body(void)
{
	static const char *const targets[] = {"/small-list", "/nothing", "/list", "/large", "/waiting"};

	check_get("/release", 200, "released");
	for (size_t i = 0; i < 5; i++) {
		struct mse_http_request *request = request_new("HEAD", targets[i]);

		request_start(request);
		request_finish(request);
		check(request->status == 200 && request->response_size == 0 && request->ended && !request->aborted);
		check(request->announced == (i == 0 ? 3 : i == 2 ? 100004 : -1));
		request_free(request);
	}
	check_not_logged("Traceback");
}

void head_204_and_304_have_no_body(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "streaming", .scenario = without_body});
}

static void disconnects(void)
{
	struct mse_http_request *request;

	for (int i = 0; i < 2; i++) {
		request = request_new("GET", "/endless");
		request->write_fails_at = 1000000;
		request->write_error = i == 0 ? MSE_ERR_CLOSED : MSE_ERR_TIMEOUT;
		request_start(request);
		request_finish(request);
		check(!request->ended && request->response_size <= 1000000);
		request_free(request);
	}
	check_get("/was-closed", 200, "closed");
	request = request_new("GET", "/idle");
	request_start(request);
	usleep(50000);
	check(!request->dropped);
	request->is_gone = true;
	request_finish(request);
	check(!request->ended && !request->started);
	request_free(request);
	check_get("/was-idle-closed", 200, "closed");
	check_not_logged("Traceback");
}

void clients_that_go_away_disturb_nobody(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "streaming", .scenario = disconnects});
}

static void check_has(const struct mse_http_request *request, const char *text)
{
	if (strstr(request->response, text) == NULL)
		check_failed(request->response, 0, text);
}

static void check_lacks(const struct mse_http_request *request, const char *text)
{
	if (strstr(request->response, text) != NULL)
		check_failed(request->response, 0, text);
}

static void environ_request_line(void)
{
	struct mse_http_request *request = request_new("BREW", "/a%20b/%C3%A9%2f%zz%4/%00?x=%20&y");

	request->minor_version = 0;
	request->scheme = "http";
	request->peer = "2001:db8::1";
	request_start(request);
	request_finish(request);
	check_has(request, "\"REQUEST_METHOD\": \"BREW\"");
	check_has(request, "\"SCRIPT_NAME\": \"\"");
	check_has(request, "\"PATH_INFO\": \"/a b/\\u00c3\\u00a9/%zz%4/\\u0000\"");
	check_has(request, "\"QUERY_STRING\": \"x=%20&y\"");
	check_has(request, "\"REQUEST_URI\": \"/a%20b/%C3%A9%2f%zz%4/%00?x=%20&y\"");
	check_has(request, "\"SERVER_PROTOCOL\": \"HTTP/1.0\"");
	check_has(request, "\"wsgi.url_scheme\": \"http\"");
	check_has(request, "\"REMOTE_ADDR\": \"2001:db8::1\"");
	check_has(request, "\"REMOTE_PORT\": \"40000\"");
	check_has(request, "\"SERVER_NAME\": \"localhost\"");
	check_has(request, "\"SERVER_PORT\": \"8443\"");
	check_has(request, "\"wsgi.version\": \"<class 'tuple'>\"");
	check_has(request, "\"wsgi.multithread\": true");
	check_has(request, "\"wsgi.multiprocess\": false");
	check_has(request, "\"wsgi.run_once\": false");
	check_has(request, "\"wsgi.input_terminated\": true");
	check_lacks(request, "CONTENT_TYPE");
	check_lacks(request, "CONTENT_LENGTH");
	request_free(request);
}

static void environ_headers(void)
{
	static const char *const sent[][2] = {
		{"accept", "a"}, {"x-forwarded-for", "1"}, {"accept", "b"}, {"x-own-header", "caf\xe9"}, {"x_own_header", "forged"}, {"x_other", "forged"},
		{"cookie", "a=1"}, {"cookie", "b=2"}, {"proxy", "http://evil.example"}, {"host", "forged.example"}, {"content-type", "text/x"},
		{"content-length", "2"}, {"x-empty", ""}, {"x-forwarded-for", "2"}, {"x-a.b!c", "odd"}, {"content_length", "7"},
	};
	struct mse_http_request *request = request_new("POST", "/");
	static char long_name[2000];

	memset(long_name, 'n', sizeof long_name - 1);
	for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++)
		request_add_header(request, sent[i][0], sent[i][1]);
	request_add_header(request, long_name, "long");
	request_set_body(request, "ab", 2, false);
	request_start(request);
	request_finish(request);
	check_has(request, "\"HTTP_ACCEPT\": \"a,b\"");
	check_has(request, "\"HTTP_X_FORWARDED_FOR\": \"1,2\"");
	check_has(request, "\"HTTP_X_OWN_HEADER\": \"caf\\u00e9\"");
	check_has(request, "\"HTTP_COOKIE\": \"a=1; b=2\"");
	check_has(request, "\"HTTP_HOST\": \"app.example:8443\"");
	check_has(request, "\"CONTENT_TYPE\": \"text/x\"");
	check_has(request, "\"CONTENT_LENGTH\": \"2\"");
	check_has(request, "\"HTTP_X_EMPTY\": \"\"");
	check_has(request, "\"HTTP_X_A.B!C\": \"odd\"");
	check_has(request, "NNNN\": \"long\"");
	check_lacks(request, "forged");
	check_lacks(request, "evil");
	check_lacks(request, "HTTP_PROXY");
	check_lacks(request, "HTTP_CONTENT");
	request_free(request);
}

static void environ_scenario(void)
{
	environ_request_line();
	environ_headers();
}

void environ_is_as_pep_3333_says(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "environ", .scenario = environ_scenario});
}

static void environ_new(void)
{
	struct mse_http_request *request = request_new("GET", "/one");

	request_add_header(request, "x-secret", "of the first client");
	request_start(request);
	request_finish(request);
	check_has(request, "of the first client");
	request_free(request);
	request = get("/two");
	check_lacks(request, "of the first client");
	check_lacks(request, "polluted");
	request_free(request);
}

void environ_is_new_for_every_request(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "environ", .scenario = environ_new});
}

static void kept(void)
{
	struct mse_http_request *request = post("/keep", "line\nof the first client", 24, false), *late;

	request_free(request);
	request = post("/use", "of the second client", 20, false);
	check(strcmp(request->response, "read: ValueError\nreadline: ValueError\niterate: ValueError\nreadlines: ValueError\nstart_response: ValueError\n"
					"write: ValueError\nnew: TypeError\nsame: False\npath: /keep") == 0);
	request_free(request);

	/* A thread of the application's still reads when the request ends: it gets what it asked for, then nothing more. */
	late = request_new("POST", "/reader");
	request_set_body(late, "0123456789", 10, true);
	late->read_delay_ms = 200;
	late->piece = 4;
	request_start(late);
	request_wait_bytes(late, 7);
	check_get("/joined", 200, "late: ValueError");
	request_finish(late);
	check(late->body_position == 4);
	request_free(late);
}

void what_is_kept_of_a_request_is_of_no_use(void **state)
{
	(void)state;
	run_app(&(struct app_run){.folder = "kept", .scenario = kept});
}

static void flask(void)
{
	static const char form[] = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAda\r\n"
				   "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\r\nthe file\r\n--b--\r\n";
	struct mse_http_request *request;
	char length[16];

	snprintf(length, sizeof length, "%zu", strlen(form));
	check_get("/health", 200, "ok");
	check_get("/", 200, "Hello, world!");
	request = get("/absent");
	check(request->status == 404);
	request_free(request);
	request = request_new("POST", "/json");
	request_add_header(request, "content-type", "application/json");
	request_set_body(request, "{\"a\": [1]}", 10, true);
	request_start(request);
	request_finish(request);
	check(request->status == 200 && strcmp(request->response, "{\"a\":[1]}\n") == 0);
	request_free(request);
	for (int chunked = 0; chunked < 2; chunked++) {
		request = request_new("POST", "/form");
		request_add_header(request, "content-type", "multipart/form-data; boundary=b");
		if (!chunked)
			request_add_header(request, "content-length", length);
		request_set_body(request, form, strlen(form), chunked);
		request->piece = 10;
		request_start(request);
		request_finish(request);
		check(request->status == 200 && strcmp(request->response, "Ada the file") == 0);
		request_free(request);
	}
	request = get("/fails");
	check(request->status == 500 && strstr(request->response, "flask-detail") == NULL);
	request_free(request);
	check_logged("ValueError: flask-detail");
}

void flask_works(void **state)
{
	(void)state;
	if (getenv("MSE_TEST_LIBPYTHON") != NULL) /* Debian's flask is for Debian's Python */
		return;
	run_app(&(struct app_run){.folder = "flask_hello", .threads = 2, .scenario = flask});
}
