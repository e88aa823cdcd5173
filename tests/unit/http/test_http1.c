#include "../test.h"

#include <dirent.h>

#include "base/file.h"
#include "http/server.h"
#include "stream.h"

/* Parses whole and cut in every way; all must agree. */
static const char *outcome_of(const char *bytes, size_t size, const struct mse_http_limits *limits)
{
	static struct outcome whole, cut;

	stream_parse(bytes, size, 0, limits, &whole);
	for (size_t i = 1; i < size && i < 70; i++) {
		stream_parse(bytes, size, i, limits, &cut);
		if (!stream_agrees(&whole, &cut))
			fail_msg("cut into pieces of %zu: %s", i, cut.text);
	}
	return whole.text;
}

static const char *result_of(const char *text)
{
	struct mse_http_limits limits = mse_http_limits_default();

	return outcome_of(text, strlen(text), &limits);
}

#define HOST "Host: h\r\n"

static void heads_and_bodies_are_understood_however_they_are_cut(void **state)
{
	static const struct {
		const char *text, *result;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "GET /|host=h|+;" },
		{ "GET /a%20b?c=d?e HTTP/1.1\r\n" HOST "\r\n", "GET /a%20b?c=d?e|host=h|+;" },
		{ "\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "GET /|host=h|+;" },
		{ "GET / HTTP/1.0\r\n\r\n", "GET /|-;" },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /|connection=Keep-Alive|+;" },
		{ "GET / HTTP/1.1\r\nConnection: foo, close\r\n" HOST "\r\n", "GET /|connection=foo, close|host=h|-;" },
		{ "GET / HTTP/1.1\r\nX-Empty:\r\nX-Spaces: \t a b \t \r\n" HOST "\r\n", "GET /|x-empty=|x-spaces=a b|host=h|+;" },
		{ "GET / HTTP/1.1\r\nX: \xc3\xa4\r\n" HOST "\r\n", "GET /|x=\xc3\xa4|host=h|+;" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "POST /|host=h|content-length=5|+hello;" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "POST /|host=h|content-length=0|+;GET /|host=h|+;" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;c=\"d\"\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
			"POST /|host=h|transfer-encoding=Chunked|+hello world;GET /|host=h|+;" },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST /|host=h|transfer-encoding=chunked|+;" },
		{ "GET http://h/x?y HTTP/1.1\r\n" HOST "\r\n", "GET /x?y|host=h|+;" },
		{ "GET http://H HTTP/1.1\r\n" HOST "\r\n", "GET /|host=h|+;" },
		{ "GET http://h?q HTTP/1.1\r\n" HOST "\r\n", "GET /?q|host=h|+;" },
		{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS *|host=h|+;" },
		{ "GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", "GET /|host=[::1]:8000|+;" },
		{ "GET /chat HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
			"GET /chat|host=h|upgrade=websocket|connection=upgrade|+;GET /|host=h|+;" },
		{ "POST / HTTP/1.1\r\n" HOST "Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nab", "POST /|host=h|upgrade=x|connection=upgrade|content-length=2|+ab;" },
		{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nab", "POST /|host=h|expect=100-Continue|content-length=2|+ab;" },
		{ "DELETE / HTTP/1.1\r\n" HOST "\r\n", "DELETE /|host=h|+;" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(result_of(cases[i].text), cases[i].result);
}

static void every_ambiguous_head_is_refused(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		/* line ends */
		{ "GET / HTTP/1.1\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: h\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: h\r\n\n", 400 },
		{ "GET / HTTP/1.1\r\nA: b\rC: d\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: b\r\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\rX\r\n" HOST "\r\n", 400 },
		{ "\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
		/* white space */
		{ "GET / HTTP/1.1\r\nA: b\r\n c\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\n " HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost\t: h\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\nhello", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /  HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400 },
		{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400 },
		/* names and values */
		{ "GET / HTTP/1.1\r\n: b\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nno colon\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nnocolon\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA(b): c\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA\x80: c\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: b\x01\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: b\x7f\r\n" HOST "\r\n", 400 },
		/* the request line */
		{ "GET /\r\n" HOST "\r\n", 400 },
		{ "GET\r\n" HOST "\r\n", 400 },
		{ "GET / \r\n" HOST "\r\n", 400 },
		{ "GET HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "G(T / HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET / http/1.1\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/1.11\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/11\r\n" HOST "\r\n", 400 },
		{ "OPTIONS / RTSP/1.0\r\n" HOST "\r\n", 400 },
		{ "SOURCE / ICE/1.0\r\n" HOST "\r\n", 400 },
		{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
		{ "GET / HTTP/1.2\r\n" HOST "\r\n", 505 },
		{ "GET / HTTP/0.9\r\n" HOST "\r\n", 505 },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
		{ "PRI * HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "FOO / HTTP/1.1\r\n" HOST "\r\n", 501 },
		{ "get / HTTP/1.1\r\n" HOST "\r\n", 501 },
		{ "DESCRIBE / HTTP/1.1\r\n" HOST "\r\n", 501 },
		{ "CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n", 501 },
		/* targets */
		{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET a HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "OPTIONS *x HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET http://other/ HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET http://u@h/ HTTP/1.1\r\nHost: u@h\r\n\r\n", 400 },
		{ "GET https://h/ HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET http:///x HTTP/1.1\r\nHost: \r\n\r\n", 400 },
		/* Host */
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
		{ "GET / HTTP/1.0\r\n" HOST "Host: i\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400 },
		/* lengths */
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5a\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551621\r\n\r\nhello", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400 },
		/* codings */
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		/* expectations */
		{ "POST / HTTP/1.1\r\n" HOST "Expect: everything\r\nContent-Length: 5\r\n\r\nhello", 417 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char expected[16];
		const char *result = result_of(cases[i].text);

		(void)snprintf(expected, sizeof expected, "{%d}", cases[i].status);
		if (strcmp(result, expected) != 0)
			fail_msg("case %zu: expected %s, got %s for: %s", i, expected, result, cases[i].text);
	}
}

static void a_nul_byte_is_refused_anywhere_in_a_head(void **state)
{
	static const char text[] = "GET /abc HTTP/1.1\r\nHost: h\r\nA: bcd\r\n\r\n";
	struct mse_http_limits limits = mse_http_limits_default();

	(void)state;
	for (size_t i = 0; i < sizeof text - 1; i++) {
		char copy[sizeof text];

		memcpy(copy, text, sizeof text);
		copy[i] = 0;
		assert_string_equal(outcome_of(copy, sizeof text - 1, &limits), "{400}");
	}
}

static void every_malformed_chunk_is_refused(void **state)
{
	static const char *const bodies[] = {
		"5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n",
		"5 \r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
		"\r\nhello\r\n0\r\n\r\n", "g\r\nhello\r\n0\r\n\r\n", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n", "5;a=b\nhello\r\n0\r\n\r\n", "5;a\n;b\r\nhello\r\n0\r\n\r\n", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
		"5;\x01\r\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n", "0\n\n", "0\r\n\n", "0\r\nA: b\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\nA: b\rc\r\n\r\n", "0\r\nno colon\r\n\r\n", "0\r\n\rX",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		char text[512];
		const char *result;

		(void)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
		result = result_of(text);
		if (strstr(result, "{400}") == NULL)
			fail_msg("chunks %zu (%s) gave: %s", i, bodies[i], result);
	}
}

static void limits_have_their_own_statuses(void **state)
{
	struct mse_http_limits limits = mse_http_limits_default();
	char text[4096];
	size_t size;

	(void)state;
	limits.max_head_size = 256;
	limits.max_header_count = 4;
	limits.max_body_size = 10;
	size = (size_t)snprintf(text, sizeof text, "GET /%0300d HTTP/1.1\r\n" HOST "\r\n", 0);
	assert_string_equal(outcome_of(text, size, &limits), "{414}");
	size = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nA: %0300d\r\n" HOST "\r\n", 0);
	assert_string_equal(outcome_of(text, size, &limits), "{431}");
	size = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nA: 1\r\nA: 2\r\nA: 3\r\n" HOST "\r\n");
	assert_string_equal(outcome_of(text, size, &limits), "GET /|a=1|a=2|a=3|host=h|+;");
	size = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n" HOST "\r\n");
	assert_string_equal(outcome_of(text, size, &limits), "{431}");
	size = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789");
	assert_string_equal(outcome_of(text, size, &limits), "POST /|host=h|content-length=10|+0123456789;");
	size = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n");
	assert_string_equal(outcome_of(text, size, &limits), "{413}");
	size = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n");
	assert_string_equal(outcome_of(text, size, &limits), "{413}");
	size = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n");
	assert_non_null(strstr(outcome_of(text, size, &limits), "{413}"));
}

static void chunk_framing_cannot_outweigh_the_body_without_bound(void **state)
{
	struct mse_http_limits limits = mse_http_limits_default();
	static char text[40000];
	size_t size = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5;a=");

	(void)state;
	limits.max_head_size = 1024;
	memset(text + size, 'x', 20000);
	assert_non_null(strstr(outcome_of(text, size + 20000, &limits), "{413}"));
	size = (size_t)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n");
	for (unsigned i = 0; i < 200; i++)
		size += (size_t)snprintf(text + size, sizeof text - size, "Trailer: 0123456789\r\n");
	assert_non_null(strstr(outcome_of(text, size, &limits), "{413}"));
}

static void what_fuzzing_found_stays_fixed(void **state)
{
	static const char folder[] = "fuzz/corpus/http1";
	const char *root = getenv("MSE_SOURCE_ROOT");
	struct mse_http_limits limits = mse_http_limits_default();
	unsigned count = 0;
	struct dirent *entry;
	char path[4096];
	DIR *dir;

	(void)state;
	assert_non_null(root);
	(void)snprintf(path, sizeof path, "%s/%s", root, folder);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct mse_error_info err;
		mse_autofree uint8_t *data = NULL;
		size_t size;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s/%s", root, folder, entry->d_name);
		assert_works(mse_file_read(path, STREAM_MAX / 2, &data, &size, &err));
		assert_true(size > 1); /* the first byte is the fuzzer's own */
		(void)outcome_of((const char *)data + 1, size - 1, &limits);
		count++;
	}
	closedir(dir);
	assert_true(count > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_and_bodies_are_understood_however_they_are_cut),
		cmocka_unit_test(every_ambiguous_head_is_refused),
		cmocka_unit_test(a_nul_byte_is_refused_anywhere_in_a_head),
		cmocka_unit_test(every_malformed_chunk_is_refused),
		cmocka_unit_test(limits_have_their_own_statuses),
		cmocka_unit_test(chunk_framing_cannot_outweigh_the_body_without_bound),
		cmocka_unit_test(what_fuzzing_found_stays_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
