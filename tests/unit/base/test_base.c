#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/allowance.h"
#include "base/address.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/view.h"

static struct mse_error_info err;

static void buffer_refuses_to_pass_its_maximum(void **state)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *buffer = mse_buffer_new(10);

	(void)state;
	assert_works(mse_buffer_append(buffer, "12345678", 8, &err));
	assert_fails(mse_buffer_append(buffer, "abc", 3, &err), MSE_ERR_LIMIT, "10 bytes");
	assert_string_equal(mse_buffer_text(buffer), "12345678");
	mse_buffer_consume(buffer, 6);
	assert_works(mse_buffer_printf(buffer, &err, "%d-%s", 7, "abcde"));
	assert_string_equal(mse_buffer_text(buffer), "787-abcde");
}

static void buffer_keeps_content_over_many_appends_and_consumes(void **state)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *buffer = mse_buffer_new(1u << 20);
	unsigned char next_in = 0, next_out = 0;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		for (unsigned i = 0; i < round % 61; i++, next_in++)
			assert_works(mse_buffer_append(buffer, &next_in, 1, &err));
		for (unsigned i = 0; i < round % 59 && mse_buffer_size(buffer) > 0; i++, next_out++) {
			assert_int_equal(mse_buffer_data(buffer)[0], next_out);
			mse_buffer_consume(buffer, 1);
		}
	}
	assert_true(mse_buffer_size(buffer) > 0);
}

static void numbers_are_parsed_strictly(void **state)
{
	uint64_t value;
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "01", "0x1", "1e3", "18446744073709551616", "184467440737095516150" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_true(mse_parse_u64(bad[i], 0, UINT64_MAX, &value, "it", &err) < 0);
	assert_works(mse_parse_u64("18446744073709551615", 0, UINT64_MAX, &value, "it", &err));
	assert_true(value == UINT64_MAX);
	assert_works(mse_parse_u64("0", 0, 0, &value, "it", &err));
	assert_fails(mse_parse_u64("11", 1, 10, &value, "the port", &err), MSE_ERR_LIMIT, "the port is 11");
}

static void times_are_real_dates_only(void **state)
{
	static const char *const bad[] = { "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:00:00", "2026-01-01T00:00:00Zx", "" };
	char text[MSE_TIME_TEXT_SIZE];
	int64_t seconds;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_true(mse_time_parse(bad[i], &seconds, "it", &err) < 0);
	assert_works(mse_time_parse("2024-02-29T12:34:56Z", &seconds, "it", &err));
	assert_true(seconds == 1709210096);
	mse_time_format(text, seconds);
	assert_string_equal(text, "2024-02-29T12:34:56Z");
}

static void base64_is_canonical_only(void **state)
{
	static const char *const bad[] = { "YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "YQ-_", "=", "Y\xc1==", "\xc1Q==" };
	uint8_t byte[1], bytes[3];
	mse_cleanup(mse_secret_freep) struct mse_secret *secret = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_true(mse_base64_decode_fixed(bad[i], byte, 1, "it", &err) < 0);
	assert_true(mse_base64_decode_fixed("YWJ\xff", bytes, 3, "it", &err) < 0);
	assert_true(mse_secret_from_base64("YWJ\xff", 4, 3, &secret, &err) < 0);
	assert_works(mse_base64_decode_fixed("YQ==", byte, 1, "it", &err));
	assert_int_equal(byte[0], 'a');
	assert_works(mse_secret_from_base64("YQ==", 4, 1, &secret, &err));
	assert_int_equal(mse_secret_view(secret)[0], 'a');
}

static void utf8_refuses_overlong_surrogate_and_cut_forms(void **state)
{
	static const char *const bad[] = { "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80", "\x80", "\xf4\x90\x80\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(mse_utf8_is_valid(bad[i], strlen(bad[i])));
	assert_false(mse_utf8_is_valid("a\0b", 3));
	assert_true(mse_utf8_is_valid("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 12));
}

static void json_refuses_duplicates_and_says_where(void **state)
{
	mse_autojson *json = NULL;

	(void)state;
	assert_fails(mse_json_parse("{\"a\":1,\n\"a\":2}", 14, "the thing", &json, &err), MSE_ERR_INPUT, "the thing is not valid JSON: line 2");
	assert_fails(mse_json_parse("{} x", 4, "the thing", &json, &err), MSE_ERR_INPUT, "the thing");
}

static void json_is_written_canonically(void **state)
{
	/* RFC 8785 section 3.2.3's sorting example, without its real numbers. */
	static const char input[] = "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\","
				    "\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
				    "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}";
	static const char expected[] = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":"
				       "\"Latin Small Letter O With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":"
				       "\"Emoji: Grinning Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}";
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(4096);
	mse_autojson *json = NULL;
	mse_autojson *real = NULL;

	(void)state;
	assert_works(mse_json_parse(input, strlen(input), "it", &json, &err));
	assert_works(mse_json_canonical(json, text, &err));
	assert_string_equal(mse_buffer_text(text), expected);
	assert_works(mse_json_parse("[1.5]", 5, "it", &real, &err));
	assert_fails(mse_json_canonical(real, text, &err), MSE_ERR_INPUT, "whole numbers");
}

static void files_are_replaced_at_once_and_read_with_a_limit(void **state)
{
	char dir[] = "/tmp/mse-test-XXXXXX";
	mse_autofree char *path = NULL;
	mse_autofree char *fifo = NULL;
	mse_autofree uint8_t *data = NULL;
	struct stat status;
	size_t size;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_works(mse_path_join(dir, "file", &path, &err));
	assert_works(mse_path_join(dir, "fifo", &fifo, &err));
	assert_works(mse_file_write(path, "one", 3, 0600, &err));
	assert_works(mse_file_write(path, "three", 5, 0640, &err));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
	assert_fails(mse_file_read(path, 4, &data, &size, &err), MSE_ERR_LIMIT, path);
	assert_works(mse_file_read(path, 5, &data, &size, &err));
	assert_string_equal((char *)data, "three");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	free(mse_steal(data));
	assert_fails(mse_file_read(fifo, 4, &data, &size, &err), MSE_ERR_INPUT, "not a regular file");
	assert_works(mse_tree_remove(dir, &err));
	assert_fails(mse_file_read(path, 5, &data, &size, &err), MSE_ERR_NOT_FOUND, path);
}

static void views_never_read_past_their_end(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5 };
	struct mse_view view = mse_view_of(bytes, sizeof bytes);
	uint32_t number;
	uint16_t small;

	(void)state;
	assert_true(mse_view_be32(&view, &number));
	assert_int_equal(number, 0x01020304);
	assert_false(mse_view_le16(&view, &small));
	assert_int_equal(view.size, 1);
	view = mse_view_of(bytes, sizeof bytes);
	assert_true(mse_view_le16(&view, &small));
	assert_int_equal(small, 0x0201);
}

static void errors_gain_context(void **state)
{
	(void)state;
	mse_fail(&err, MSE_ERR_INPUT, "line %d", 3);
	assert_int_equal(mse_context(&err, "reading '%s'", "x"), MSE_ERR_INPUT);
	assert_string_equal(err.message, "reading 'x': line 3");
}

static void errors_are_text_whatever_they_quote(void **state)
{
	char longest[MSE_ERROR_MESSAGE_SIZE + 10];

	(void)state;
	mse_fail(&err, MSE_ERR_INPUT, "'%s'\n\tend", "\x1b[31m\x7f\xe9 \xc2\x9b \xc3\xa9 \xe2\x82\xac \xe2\x82");
	assert_string_equal(err.message, "'?[31m?? ?? \xc3\xa9 \xe2\x82\xac ?" "?'\n\tend");
	mse_context(&err, "\r%s", "\xff");
	assert_string_equal(err.message, "??: '?[31m?? ?? \xc3\xa9 \xe2\x82\xac ?" "?'\n\tend");
	/* Cut off within a character. */
	memset(longest, 'x', sizeof longest);
	memcpy(longest + MSE_ERROR_MESSAGE_SIZE - 2, "\xc3\xa9", 3);
	mse_fail(&err, MSE_ERR_INPUT, "%s", longest);
	assert_int_equal(strlen(err.message), MSE_ERROR_MESSAGE_SIZE - 1);
	assert_true(mse_utf8_is_valid(err.message, strlen(err.message)));
}

static void a_socket_says_whose_it_is(void **state)
{
	int ends[2], alone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uid_t user = (uid_t)-1;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_works(mse_peer_user(ends[0], &user, &err));
	assert_int_equal(user, geteuid());
	assert_fails(mse_peer_user(alone, &user, &err), MSE_ERR_DENIED, "does not say who");
	assert_true(mse_peer_user(-1, &user, &err) < 0);
	close(ends[0]);
	close(ends[1]);
	close(alone);
}

static void an_allowance_is_used_up_and_fills_again(void **state)
{
	struct mse_allowance allowance = mse_allowance_of(10, 4, 1000);

	(void)state;
	assert_true(mse_allowance_take(&allowance, 10, 1000));
	assert_false(mse_allowance_take(&allowance, 1, 1100));
	/* What is earned in small pieces is not lost. */
	assert_true(mse_allowance_take(&allowance, 1, 1250));
	/* Not more than it holds, however long nothing was taken, and even when the clock is not steady. */
	assert_false(mse_allowance_take(&allowance, 11, UINT64_MAX));
	assert_true(mse_allowance_take(&allowance, 10, 0));
	allowance = mse_allowance_of(10, 4, 0);
	mse_allowance_charge(&allowance, 14, 0);
	assert_int_equal(mse_allowance_wait_ms(&allowance, 0), 1001);
	assert_int_equal(mse_allowance_wait_ms(&allowance, 2000), 0);
}

static void a_log_whose_lines_others_bring_about_does_not_grow_without_end(void **state)
{
	char path[] = "/tmp/mse-test-log-XXXXXX";
	mse_autofree uint8_t *text = NULL;
	int fd = mkostemp(path, O_APPEND), before = dup(STDERR_FILENO);
	size_t size;

	(void)state;
	assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	mse_log_limit(5000);
	for (int i = 0; i < 1000; i++)
		mse_log("%d \x1b[2J \xff \xc2\x9b two\nlines", i);
	mse_log_limit(0);
	dup2(before, STDERR_FILENO);
	assert_works(mse_file_read(path, 7000, &text, &size, &err));
	assert_non_null(strstr((char *)text, "the lines before this one were dropped\n"));
	assert_non_null(strstr((char *)text, "999 ?[2J ? ?? two lines\n"));
	close(fd);
	close(before);
	unlink(path);
}

#ifndef __SANITIZE_ADDRESS__ /* which locks no memory */
static void keys_that_cannot_be_locked_are_refused_and_larger_secrets_are_told(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit none = { 0, 0 };
		struct mse_secret *secret = NULL;

		if ((geteuid() == 0 && setresuid(65534, 65534, 65534) < 0) || setrlimit(RLIMIT_MEMLOCK, &none) < 0)
			_exit(1);
		if (mse_secret_new(32, &secret, &err) >= 0)
			_exit(2);
		if (strstr(err.message, "raise the limit of locked memory") == NULL || mse_secret_some_unlocked())
			_exit(3);
		if (mse_secret_new(MSE_SECRET_ALWAYS_LOCKED + 1, &secret, &err) < 0 || !mse_secret_some_unlocked())
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}
#endif

static void hosts_and_ports_have_one_form(void **state)
{
	static const char *const good[][2] = { { "api.example.com:443", "api.example.com:443" }, { "API.Example.COM:1", "api.example.com:1" }, { "db:5432", "db:5432" },
		{ "198.51.100.7:65535", "198.51.100.7:65535" }, { "[2001:DB8:0:0::5]:80", "[2001:db8::5]:80" }, { "0x7f.example:1", "0x7f.example:1" },
		{ "xn--bcher-kva.example:443", "xn--bcher-kva.example:443" }, { "1.example:1", "1.example:1" }, { "[::1:2:3:4:5:6:7]:1", "[0:1:2:3:4:5:6:7]:1" } };
	static const char *const bad[] = { "", ":", ":1", "a:", "a", "a:0", "a:65536", "a:01", "a:-1", "a:1-2", "a:*", "*:1", "*.a:1", "a.:1", ".a:1", "a..b:1", "-a:1", "a-:1", "a_b:1",
		"a b:1", "a/b:1", "a\n:1", "a#b:1", "a;b:1", "a\"b:1", "a{b:1", "\xc3\xa9:1", "2001:db8::5:80", "[2001:db8::5]", "[2001:db8::5]80", "[a.example]:1", "[]:1",
		"[2001:db8::5%eth0]:1", "198.51.100:1", "198.51.100.07:1", "198.51.100.256:1", "2130706433:1", "127.1:1", "a.0x7f:1", "0x7f:1", "[198.51.100.7]:1",
		"198.51.100.0/24:1", "http://a:80", "a.1:1" };
	static const char *const own[] = { "localhost:1", "LOCALHOST:1", "a.localhost:1", "127.0.0.1:1", "127.255.255.255:1", "0.0.0.0:1", "169.254.169.254:80", "224.0.0.1:1",
		"255.255.255.255:1", "[::1]:1", "[::]:1", "[::ffff:127.0.0.1]:1", "[::ffff:198.51.100.7]:1", "[fe80::1]:1", "[ff02::1]:1", "[::127.0.0.1]:1" };
	char longest[300], form[MSE_HOST_PORT_TEXT_SIZE];
	struct mse_host_port parsed, again;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_works(mse_host_port_parse(good[i][0], &parsed, &err));
		mse_host_port_format(&parsed, form);
		assert_string_equal(form, good[i][1]);
		assert_works(mse_host_port_parse(form, &again, &err));
		assert_memory_equal(&parsed, &again, sizeof parsed);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (mse_host_port_parse(bad[i], &parsed, &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		assert_fails(mse_host_port_parse(own[i], &parsed, &err), MSE_ERR_DENIED, "the machine itself");
	memset(longest, 'a', sizeof longest);
	for (size_t i = 50; i < 253; i += 51)
		longest[i] = '.';
	strcpy(longest + 253, ":65535");
	assert_works(mse_host_port_parse(longest, &parsed, &err));
	mse_host_port_format(&parsed, form);
	assert_string_equal(form, longest);
	strcpy(longest + 253, "a:1");
	assert_fails(mse_host_port_parse(longest, &parsed, &err), MSE_ERR_INPUT, "1 to 253");
}

static void prefixes_have_one_form_and_know_what_is_in_them(void **state)
{
	static const char *const good[][2] = { { "10.0.0.0/8", "10.0.0.0/8" }, { "198.51.100.7", "198.51.100.7/32" }, { "0.0.0.0/0", "0.0.0.0/0" }, { "2001:DB8::/32", "2001:db8::/32" },
		{ "::1", "::1/128" }, { "fe80::/10", "fe80::/10" } };
	static const char *const bad[] = { "::ffff:10.0.0.0/104", "::ffff:10.1.2.3", "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.1/8", "10.0.0.0/-1", "10/8", "::/129", "2001:db8::1/64", "example.com/8", "10.0.0.0/8/8" };
	struct mse_prefix prefix;
	char form[MSE_PREFIX_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_works(mse_prefix_parse(good[i][0], &prefix, &err));
		mse_prefix_format(&prefix, form);
		assert_string_equal(form, good[i][1]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (mse_prefix_parse(bad[i], &prefix, &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
	assert_works(mse_prefix_parse("10.128.0.0/9", &prefix, &err));
	assert_true(mse_prefix_has(&prefix, MSE_ADDRESS_IPV4, (const uint8_t[16]){ 10, 255, 1, 1 }));
	assert_false(mse_prefix_has(&prefix, MSE_ADDRESS_IPV4, (const uint8_t[16]){ 10, 127, 1, 1 }));
	assert_false(mse_prefix_has(&prefix, MSE_ADDRESS_IPV6, (const uint8_t[16]){ 10, 255, 1, 1 }));
	assert_works(mse_prefix_parse("0.0.0.0/0", &prefix, &err));
	assert_true(mse_prefix_has(&prefix, MSE_ADDRESS_IPV4, (const uint8_t[16]){ 10, 127, 1, 1 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_refuses_to_pass_its_maximum),
		cmocka_unit_test(buffer_keeps_content_over_many_appends_and_consumes),
		cmocka_unit_test(numbers_are_parsed_strictly),
		cmocka_unit_test(times_are_real_dates_only),
		cmocka_unit_test(base64_is_canonical_only),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(keys_that_cannot_be_locked_are_refused_and_larger_secrets_are_told),
#endif
		cmocka_unit_test(utf8_refuses_overlong_surrogate_and_cut_forms),
		cmocka_unit_test(json_refuses_duplicates_and_says_where),
		cmocka_unit_test(json_is_written_canonically),
		cmocka_unit_test(files_are_replaced_at_once_and_read_with_a_limit),
		cmocka_unit_test(views_never_read_past_their_end),
		cmocka_unit_test(errors_gain_context),
		cmocka_unit_test(errors_are_text_whatever_they_quote),
		cmocka_unit_test(hosts_and_ports_have_one_form),
		cmocka_unit_test(prefixes_have_one_form_and_know_what_is_in_them),
		cmocka_unit_test(a_socket_says_whose_it_is),
		cmocka_unit_test(an_allowance_is_used_up_and_fills_again),
		cmocka_unit_test(a_log_whose_lines_others_bring_about_does_not_grow_without_end),
	};

	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
