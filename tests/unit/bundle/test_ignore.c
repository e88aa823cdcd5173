#include "../test.h"

#include "base/text.h"
#include "bundle/ignore.h"

static struct mse_error_info err;

static enum mse_ignore_verdict ask(const char *patterns, const char *path, bool is_dir)
{
	mse_cleanup(mse_ignore_freep) struct mse_ignore *ignore = NULL;

	assert_works(mse_ignore_parse(patterns, strlen(patterns), "", NULL, &ignore, &err));
	return mse_ignore_match(ignore, path, is_dir, NULL);
}

#define assert_excluded(patterns, path) assert_int_equal(ask(patterns, path, false), MSE_IGNORE_EXCLUDE)
#define assert_kept(patterns, path) assert_int_not_equal(ask(patterns, path, false), MSE_IGNORE_EXCLUDE)

/* Each sentence of gitignore(5), "PATTERN FORMAT". What git does beyond its words: compare_with_git.py. */
static void the_manual_pages_sentences_hold(void **state)
{
	(void)state;
	assert_kept("\n\n", "a");
	assert_kept("# a\n#a\n", "#a");
	assert_excluded("\\#a\n", "#a");
	assert_excluded("a  \n", "a");
	assert_kept("a\\ \n", "a");
	assert_excluded("a\\ \n", "a ");
	assert_int_equal(ask("*.txt\n!keep.txt\n", "keep.txt", false), MSE_IGNORE_INCLUDE);
	assert_excluded("\\!important!.txt", "!important!.txt");
	assert_excluded("doc/frotz", "doc/frotz");
	assert_kept("doc/frotz", "a/doc/frotz");
	assert_excluded("frotz", "a/doc/frotz");
	assert_kept("/frotz", "a/frotz");
	assert_int_equal(ask("frotz/\n", "a/frotz", true), MSE_IGNORE_EXCLUDE);
	assert_kept("frotz/\n", "a/frotz");
	assert_excluded("foo/*", "foo/test.json");
	assert_kept("foo/*", "foo/bar/hello.c");
	assert_excluded("f?o", "fro");
	assert_kept("a?b/c", "a/b/c");
	assert_excluded("[a-c]x[[:digit:]]", "bx7");
	assert_excluded("[!a-c]x[^0-9]", "dxy");
	assert_excluded("**/foo", "a/b/foo");
	assert_excluded("**/foo", "foo");
	assert_excluded("**/foo/bar", "a/foo/bar");
	assert_excluded("abc/**", "abc/x/y");
	assert_excluded("a/**/b", "a/b");
	assert_excluded("a/**/b", "a/x/y/b");
	assert_kept("a/**/b", "ab");
	assert_excluded("a\r\n", "a");
	assert_excluded("\xef\xbb\xbf" "a\n", "a");
}

static void a_nearer_list_decides_before_one_further_up(void **state)
{
	mse_cleanup(mse_ignore_freep) struct mse_ignore *above = NULL;
	mse_cleanup(mse_ignore_freep) struct mse_ignore *below = NULL;
	struct mse_ignore_reason reason;

	(void)state;
	assert_works(mse_ignore_parse("*.txt\n*.log\n", 12, "", NULL, &above, &err));
	assert_works(mse_ignore_parse("# here\n!a.txt\n/b\n", 17, "sub", above, &below, &err));
	assert_int_equal(mse_ignore_match(below, "sub/a.txt", false, &reason), MSE_IGNORE_INCLUDE);
	assert_string_equal(reason.folder, "sub");
	assert_int_equal(reason.line, 2);
	assert_int_equal(mse_ignore_match(below, "sub/c.log", false, &reason), MSE_IGNORE_EXCLUDE);
	assert_string_equal(reason.folder, "");
	assert_int_equal(reason.line, 2);
	assert_int_equal(mse_ignore_match(below, "sub/b", false, NULL), MSE_IGNORE_EXCLUDE);
	assert_int_equal(mse_ignore_match(below, "sub/x/b", false, NULL), MSE_IGNORE_SILENT);
	assert_int_equal(mse_ignore_match(below, "subb/b", false, NULL), MSE_IGNORE_SILENT);
	assert_int_equal(mse_ignore_match(NULL, "a", false, NULL), MSE_IGNORE_SILENT);
}

static void a_pattern_made_to_backtrack_takes_no_time(void **state)
{
	char patterns[4096] = "";
	char path[1024];
	uint64_t start = mse_monotonic_ms();

	(void)state;
	for (size_t i = 0; i + 8 < sizeof patterns / 2; i += 4)
		memcpy(patterns + i, "*a**", 5);
	strncat(patterns, "b", 2);
	memset(path, 'a', sizeof path - 1);
	path[sizeof path - 1] = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_kept(patterns, path);
	assert_true(mse_monotonic_ms() - start < 5000);
}

static void what_is_too_large_is_refused(void **state)
{
	mse_cleanup(mse_ignore_freep) struct mse_ignore *ignore = NULL;
	char *text = malloc(MSE_IGNORE_MAX_FILE_SIZE + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', MSE_IGNORE_MAX_FILE_SIZE + 1);
	assert_fails(mse_ignore_parse(text, MSE_IGNORE_MAX_FILE_SIZE + 1, "x", NULL, &ignore, &err), MSE_ERR_LIMIT, "x/.mseignore has");
	text[0] = '\n';
	assert_fails(mse_ignore_parse(text, MSE_IGNORE_MAX_FILE_SIZE, "", NULL, &ignore, &err), MSE_ERR_LIMIT, ".mseignore:2: a pattern of");
	assert_works(mse_ignore_parse(text, MSE_IGNORE_MAX_PATTERN_SIZE + 1, "", NULL, &ignore, &err));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manual_pages_sentences_hold),
		cmocka_unit_test(a_nearer_list_decides_before_one_further_up),
		cmocka_unit_test(a_pattern_made_to_backtrack_takes_no_time),
		cmocka_unit_test(what_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
