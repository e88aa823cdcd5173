#include "folder.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "bundle/walk.h"

static void assert_refused(int code, const char *text)
{
	struct mse_walk *walk = NULL;

	assert_fails(mse_walk_open(in_top("code"), &walk, &err), code, text);
	assert_null(walk);
}

static struct mse_walk *open_walk(void)
{
	struct mse_walk *walk = NULL;

	assert_works(mse_walk_open(in_top("code"), &walk, &err));
	return walk;
}

static void entries_come_sorted_by_bytes_and_without_what_is_ignored(void **state)
{
	static const char *const expected[] = { ".hidden", "a", "a-b", "a/b", "a/run", "a/sub", "empty", "h\xc3\xa9", "link" };
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;

	(void)state;
	put("code/a/b", "12345");
	put("code/a/run", "#!");
	put("code/a-b", "1");
	put("code/a/sub/.mseignore", "*\n");
	put("code/a/sub/x/y", "1");
	put("code/empty/.mseignore", "");
	put("code/.hidden", "1");
	put("code/h\xc3\xa9", "1");
	put("code/.git/config", "1");
	put("code/a/.git", "gitdir: elsewhere");
	put("code/x.pyc", "1");
	put("code/.mseignore", "*.pyc\n");
	put("code/requirements.txt.pyc", "1");
	link_to("a/b", "code/link");
	assert_int_equal(chmod(in_top("code/a/run"), 0700), 0);
	walk = open_walk();
	assert_int_equal(mse_walk_count(walk), sizeof expected / sizeof expected[0]);
	for (size_t i = 0; i < mse_walk_count(walk); i++)
		assert_string_equal(mse_walk_at(walk, i)->path, expected[i]);
	assert_true(mse_walk_find(walk, "a/run")->executable);
	assert_false(mse_walk_find(walk, "a/b")->executable);
	assert_int_equal(mse_walk_find(walk, "a")->type, MSE_TREE_DIR);
	assert_string_equal(mse_walk_find(walk, "link")->target, "a/b");
	assert_int_equal(mse_walk_total_size(walk), 5 + 2 + 1 + 1 + 1);
	assert_null(mse_walk_find(walk, "x.pyc"));
	assert_false(mse_walk_has_requirements(walk));
}

static void requirements_at_the_top_are_reported_even_when_ignored(void **state)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;

	(void)state;
	put("code/requirements.txt", "flask\n");
	put("code/.mseignore", "*.txt");
	walk = open_walk();
	assert_true(mse_walk_has_requirements(walk));
	assert_int_equal(mse_walk_count(walk), 0);
}

static void links_that_lead_out_are_refused_by_name(void **state)
{
	static const char *const targets[] = { "/etc/passwd", "..", "../code", "../../x", "sub/../../outside", "sub/up/../..", "sub/up/../../code/a", "ignored/x" };

	(void)state;
	put("code/a", "1");
	put("code/sub/b", "1");
	put("outside", "1");
	put("code/.mseignore", "/ignored\n");
	link_to("..", "code/sub/up");
	link_to("..", "code/ignored");
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		link_to(targets[i], "code/bad-link");
		assert_refused(MSE_ERR_DENIED, "the symbolic link 'bad-link' -> '");
		assert_int_equal(unlink(in_top("code/bad-link")), 0);
	}
}

static void links_that_stay_inside_are_packed_even_when_they_lead_nowhere(void **state)
{
	static const char *const targets[] = { "a", "sub/b", "./sub/../a", "sub/up/a", "nowhere", "sub", ".", "loop", "sub/up/sub/up" };
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;

	(void)state;
	put("code/a", "1");
	put("code/sub/b", "1");
	link_to("..", "code/sub/up");
	link_to("loop", "code/loop");
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		char name[32];

		snprintf(name, sizeof name, "code/link%zu", i);
		link_to(targets[i], name);
	}
	walk = open_walk();
	assert_non_null(mse_walk_find(walk, "link8"));
}

static void what_is_no_file_is_refused_by_name_unless_ignored(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mse_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;

	(void)state;
	put("code/a", "1");
	assert_int_equal(mkfifo(in_top("code/pipe"), 0600), 0);
	assert_refused(MSE_ERR_UNSUPPORTED, "'pipe' is a fifo");
	assert_int_equal(unlink(in_top("code/pipe")), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", in_top("code/sock"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_refused(MSE_ERR_UNSUPPORTED, "'sock' is a socket");
	if (mknod(in_top("code/sock2"), S_IFCHR | 0600, makedev(1, 3)) == 0)
		assert_refused(MSE_ERR_UNSUPPORTED, "'sock");
	put("code/.mseignore", "sock*\n");
	walk = open_walk();
	assert_int_equal(mse_walk_count(walk), 1);
}

static void names_must_be_utf8_and_the_reserved_one_is_refused(void **state)
{
	(void)state;
	put("code/bad\xff", "1");
	assert_refused(MSE_ERR_INPUT, "is not UTF-8");
	assert_int_equal(unlink(in_top("code/bad\xff")), 0);
	put("code/sub/.mse/x", "1");
	mse_walk_free(open_walk());
	put("code/.mse/x", "1");
	assert_refused(MSE_ERR_DENIED, "the name '.mse' at the top");
}

static void an_ignore_file_that_is_no_file_is_refused(void **state)
{
	(void)state;
	put("code/rules", "*\n");
	put("code/sub/x", "1");
	link_to("../rules", "code/sub/.mseignore");
	assert_refused(MSE_ERR_DENIED, "'sub/.mseignore' is a symbolic link");
	assert_int_equal(unlink(in_top("code/sub/.mseignore")), 0);
	assert_int_equal(mkdir(in_top("code/sub/.mseignore"), 0700), 0);
	assert_refused(MSE_ERR_INPUT, "'sub/.mseignore' is not a regular file");
}

static void too_deep_and_too_long_are_refused(void **state)
{
	char path[2048] = "code";

	(void)state;
	for (size_t i = 0; i < MSE_CODE_MAX_DEPTH; i++)
		strncat(path, "/d", 3);
	assert_works(mse_dir_make(in_top(path), 0755, &err));
	mse_walk_free(open_walk());
	strncat(path, "/d", 3);
	assert_works(mse_dir_make(in_top(path), 0755, &err));
	assert_refused(MSE_ERR_LIMIT, "lies deeper than the limit of 64");
	assert_works(mse_tree_remove(in_top("code"), &err));
	snprintf(path, sizeof path, "code");
	for (unsigned i = 0; i < 5; i++)
		snprintf(path + strlen(path), 256, "/%0250d", 7);
	assert_works(mse_dir_make(in_top(path), 0755, &err));
	assert_refused(MSE_ERR_LIMIT, "is longer than the limit of 1024 bytes");
	assert_works(mse_tree_remove(in_top("code"), &err));
	put("code/big", "");
	assert_int_equal(truncate(in_top("code/big"), (off_t)MSE_CODE_MAX_TOTAL_SIZE + 1), 0);
	assert_refused(MSE_ERR_LIMIT, "the files have more than 1073741824 bytes in all (at 'big')");
}

static void what_would_be_sent_is_recognised_under_any_name(void **state)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	const char *entry = NULL;

	(void)state;
	put("code/.mseignore", "ignored.json\n");
	put("code/sub/secrets.json", "1");
	put("code/ignored.json", "1");
	put("secrets.json", "1");
	put("key.pem", "1");
	assert_int_equal(link(in_top("key.pem"), in_top("code/hard.pem")), 0);
	link_to("code/sub/secrets.json", "link.json");
	link_to("sub/secrets.json", "code/inside.json");
	link_to("code/ignored.json", "link-to-ignored.json");
	walk = open_walk();
	assert_int_equal(mse_walk_contains(walk, in_top("code/sub/secrets.json"), &entry, &err), 1);
	assert_string_equal(entry, "sub/secrets.json");
	assert_int_equal(mse_walk_contains(walk, in_top("code/./sub/../sub/secrets.json"), &entry, &err), 1);
	assert_int_equal(mse_walk_contains(walk, in_top("link.json"), &entry, &err), 1);
	assert_string_equal(entry, "sub/secrets.json");
	assert_int_equal(mse_walk_contains(walk, in_top("code/inside.json"), &entry, &err), 1);
	assert_int_equal(mse_walk_contains(walk, in_top("key.pem"), &entry, &err), 1);
	assert_string_equal(entry, "hard.pem");
	assert_int_equal(mse_walk_contains(walk, in_top("secrets.json"), &entry, &err), 0);
	assert_int_equal(mse_walk_contains(walk, in_top("code/ignored.json"), &entry, &err), 0);
	assert_int_equal(mse_walk_contains(walk, in_top("link-to-ignored.json"), &entry, &err), 0);
	assert_int_equal(mse_walk_contains(walk, in_top("nowhere"), &entry, &err), 0);
	/* Another file under the same path: replaced since the walk. */
	put("code/sub/secrets.json", "22");
	assert_int_equal(mse_walk_contains(walk, in_top("code/sub/secrets.json"), &entry, &err), 1);
}

static void a_file_that_changed_since_the_walk_is_not_opened(void **state)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	const struct mse_walk_entry *entry;
	mse_autoclose int fd = -1;

	(void)state;
	put("code/sub/a", "1");
	put("code/b", "1");
	put("outside", "1");
	walk = open_walk();
	entry = mse_walk_find(walk, "sub/a");
	assert_works(mse_walk_open_file(walk, entry, &fd, &err));
	put("code/sub/a", "22");
	assert_fails(mse_walk_open_file(walk, entry, &fd, &err), MSE_ERR_STATE, "'sub/a' changed while it was packed");
	assert_works(mse_tree_remove(in_top("code/sub"), &err));
	put("sub/a", "1");
	link_to("../sub", "code/sub");
	assert_true(mse_walk_open_file(walk, entry, &(int){ -1 }, &err) < 0);
	assert_int_equal(unlink(in_top("code/b")), 0);
	link_to("../outside", "code/b");
	assert_true(mse_walk_open_file(walk, mse_walk_find(walk, "b"), &(int){ -1 }, &err) < 0);
}

static void what_is_no_folder_cannot_be_walked(void **state)
{
	struct mse_walk *walk = NULL;

	(void)state;
	put("file", "1");
	assert_fails(mse_walk_open(in_top("file"), &walk, &err), MSE_ERR_IO, "cannot open the code folder");
	assert_fails(mse_walk_open(in_top("nowhere"), &walk, &err), MSE_ERR_NOT_FOUND, "cannot open the code folder");
}

#define walk_test(name) cmocka_unit_test_setup_teardown(name, make_top, remove_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		walk_test(entries_come_sorted_by_bytes_and_without_what_is_ignored),
		walk_test(requirements_at_the_top_are_reported_even_when_ignored),
		walk_test(links_that_lead_out_are_refused_by_name),
		walk_test(links_that_stay_inside_are_packed_even_when_they_lead_nowhere),
		walk_test(what_is_no_file_is_refused_by_name_unless_ignored),
		walk_test(names_must_be_utf8_and_the_reserved_one_is_refused),
		walk_test(an_ignore_file_that_is_no_file_is_refused),
		walk_test(too_deep_and_too_long_are_refused),
		walk_test(what_would_be_sent_is_recognised_under_any_name),
		walk_test(a_file_that_changed_since_the_walk_is_not_opened),
		walk_test(what_is_no_folder_cannot_be_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
