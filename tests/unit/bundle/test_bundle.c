#include "folder.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/secret.h"
#include "bundle/bundle.h"
#include "bundle/stream.h"
#include "bundle/walk.h"

#define JSON "{\"python_application\":\"app:app\"}"

static struct mse_secret *key;

static int open_dir(const char *name)
{
	int fd = open(in_top(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Opens a sealed file into top/out, which is made. */
static int open_file(int bundle, const struct mse_secret *with, const struct mse_tree_limits *limits, struct mse_bundle_opened *opened)
{
	mse_autoclose int out = -1;

	assert_works(mse_dir_make(in_top("out"), 0755, &err));
	out = open_dir("out");
	return mse_bundle_open(bundle, with, out, limits, opened, &err);
}

static void assert_out_is_empty(void)
{
	DIR *dir = opendir(in_top("out"));
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		assert_true(strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	closedir(dir);
}

static void assert_file(const char *name, const char *text, mode_t mode)
{
	mse_autofree uint8_t *data = NULL;
	struct stat status;
	size_t size;

	assert_works(mse_file_read(in_top(name), 1 << 20, &data, &size, &err));
	assert_string_equal((char *)data, text);
	assert_int_equal(lstat(in_top(name), &status), 0);
	assert_int_equal(status.st_mode & 07777, mode);
}

static void make_code(void)
{
	put("code/app.py", "app = 1\n");
	put("code/pkg/__init__.py", "");
	put("code/pkg/run", "#!/bin/sh\n");
	put("code/h\xc3\xa9llo", "caf\xc3\xa9");
	assert_int_equal(chmod(in_top("code/pkg/run"), 0711), 0);
	assert_int_equal(chmod(in_top("code/app.py"), 0600), 0);
	assert_int_equal(mkdir(in_top("code/empty"), 0700), 0);
	link_to("pkg/run", "code/link");
}

static struct mse_bundle_summary seal(struct mse_secret **ret_key)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	struct mse_bundle_summary summary;

	assert_works(mse_walk_open(in_top("code"), &walk, &err));
	assert_works(mse_bundle_seal(walk, JSON, strlen(JSON), in_top("bundle"), ret_key, &summary, &err));
	return summary;
}

static void a_bundle_opens_to_what_was_packed(void **state)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *code_key = NULL;
	struct mse_bundle_opened opened = { 0 };
	mse_autoclose int bundle = -1;
	struct mse_bundle_summary summary;
	char target[32] = "";
	mode_t mask = umask(077);

	(void)state;
	make_code();
	summary = seal(&code_key);
	bundle = open(in_top("bundle"), O_RDONLY);
	assert_works(open_file(bundle, code_key, NULL, &opened));
	umask(mask);
	assert_memory_equal(opened.tree_digest, summary.tree_digest, 32);
	assert_string_equal((char *)opened.app_json, JSON);
	assert_int_equal(opened.app_json_size, strlen(JSON));
	assert_int_equal(opened.entry_count, 7);
	assert_file("out/app.py", "app = 1\n", 0644);
	assert_file("out/pkg/run", "#!/bin/sh\n", 0755);
	assert_file("out/h\xc3\xa9llo", "caf\xc3\xa9", 0644);
	assert_int_equal(readlink(in_top("out/link"), target, sizeof target - 1), 7);
	assert_string_equal(target, "pkg/run");
	assert_false(mse_path_exists(in_top("out/.mse")));
	assert_int_equal(rmdir(in_top("out/empty")), 0);
	mse_bundle_opened_clear(&opened);
	/* A destination that holds something is not touched. */
	assert_int_equal(lseek(bundle, 0, SEEK_SET), 0);
	assert_fails(open_file(bundle, code_key, NULL, &opened), MSE_ERR_STATE, "is not empty");
	assert_file("out/app.py", "app = 1\n", 0644);
}

static void a_bundle_with_one_byte_changed_or_cut_does_not_open(void **state)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *code_key = NULL;
	struct mse_bundle_opened opened = { 0 };
	mse_autofree uint8_t *data = NULL;
	size_t size;

	(void)state;
	make_code();
	/* Three chunks and a bit. */
	put("code/big", "");
	assert_int_equal(truncate(in_top("code/big"), 3 * 65536), 0);
	seal(&code_key);
	assert_works(mse_file_read(in_top("bundle"), 1 << 20, &data, &size, &err));
	assert_true(size > 3 * 65552);
	for (size_t at = 0; at < size; at += at < 64 ? 1 : 4999) {
		mse_autoclose int fd = memfd_create("bundle", MFD_CLOEXEC);
		int result;

		data[at] ^= 0x10;
		assert_works(mse_fd_write(fd, data, size, &err));
		data[at] ^= 0x10;
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		result = open_file(fd, code_key, NULL, &opened);
		assert_int_equal(result, at < 11 ? MSE_ERR_INPUT : at < 13 ? MSE_ERR_UNSUPPORTED : MSE_ERR_CRYPTO);
		assert_out_is_empty();
	}
	/* Cut at the edges of chunks, too, where each chunk before is whole. */
	for (size_t cut = 1; cut < size; cut += cut < 100 ? 1 : 0) {
		mse_autoclose int fd = memfd_create("bundle", MFD_CLOEXEC);

		assert_works(mse_fd_write(fd, data, size - cut, &err));
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_true(open_file(fd, code_key, NULL, &opened) < 0);
		assert_out_is_empty();
		if (cut >= 100)
			cut = (size - cut) % 65552 == 32 ? cut + 65552 : cut + (size - cut - 32) % 65552;
	}
	for (unsigned part = 0; part < 2; part++) {
		/* One byte, or a repetition of the last chunk, behind the end. */
		mse_autoclose int fd = memfd_create("bundle", MFD_CLOEXEC);

		assert_works(mse_fd_write(fd, data, size, &err));
		assert_works(mse_fd_write(fd, data + (part == 0 ? size - 1 : 32 + 3 * 65552), part == 0 ? 1 : size - 32 - 3 * 65552, &err));
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_fails(open_file(fd, code_key, NULL, &opened), MSE_ERR_CRYPTO, "at chunk 3");
		assert_out_is_empty();
	}
}

static void chunks_cannot_change_places(void **state)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *code_key = NULL;
	struct mse_bundle_opened opened = { 0 };
	mse_autoclose int fd = memfd_create("bundle", MFD_CLOEXEC);
	mse_autofree uint8_t *data = NULL;
	size_t size;

	(void)state;
	put("code/big", "");
	assert_int_equal(truncate(in_top("code/big"), 3 * 65536), 0);
	seal(&code_key);
	assert_works(mse_file_read(in_top("bundle"), 1 << 20, &data, &size, &err));
	assert_works(mse_fd_write(fd, data, 32 + 65552, &err));
	assert_works(mse_fd_write(fd, data + 32 + 2 * 65552, 65552, &err));
	assert_works(mse_fd_write(fd, data + 32 + 65552, 65552, &err));
	assert_works(mse_fd_write(fd, data + 32 + 3 * 65552, size - 32 - 3 * 65552, &err));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_fails(open_file(fd, code_key, NULL, &opened), MSE_ERR_CRYPTO, "at chunk 1");
	assert_out_is_empty();
}

static void another_key_opens_nothing(void **state)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *code_key = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *short_key = NULL;
	struct mse_bundle_opened opened = { 0 };
	mse_autoclose int bundle = -1;

	(void)state;
	make_code();
	seal(&code_key);
	bundle = open(in_top("bundle"), O_RDONLY);
	assert_fails(open_file(bundle, key, NULL, &opened), MSE_ERR_CRYPTO, "another key sealed it");
	assert_works(mse_secret_random(16, &short_key, &err));
	assert_fails(open_file(bundle, short_key, NULL, &opened), MSE_ERR_INPUT, "has 32 bytes, not 16");
	assert_out_is_empty();
}

/* One entry of a bundle made by somebody who has the key. */
struct forged {
	const char *path;
	unsigned type; /* AE_IF…; 0: a hard link */
	unsigned mode;
	const char *content; /* or target */
	int64_t size;        /* 0: that of the content */
};

#define APP_JSON { ".mse/app.json", AE_IFREG, 0644, "{}", 0 }

/* Of an entry with a size of its own, which is a lie, nothing but the content follows. */
static void *make_archive(const struct forged *entries, size_t count, size_t *ret_size)
{
	size_t room = 1 << 20, used = 0, honest = 0;
	void *memory = calloc(1, room);
	struct archive *archive = archive_write_new();

	assert_non_null(memory);
	archive_write_set_format_gnutar(archive);
	archive_write_set_bytes_per_block(archive, 0);
	assert_int_equal(archive_write_open_memory(archive, memory, room, &used), ARCHIVE_OK);
	for (size_t i = 0; i < count; i++) {
		const struct forged *forged = &entries[i];
		struct archive_entry *entry = archive_entry_new();

		archive_entry_set_pathname(entry, forged->path);
		archive_entry_set_perm(entry, forged->mode);
		if (forged->type != 0)
			archive_entry_set_filetype(entry, forged->type);
		else
			archive_entry_set_hardlink(entry, forged->content);
		if (forged->type == AE_IFLNK)
			archive_entry_set_symlink(entry, forged->content);
		if (forged->type == AE_IFREG)
			archive_entry_set_size(entry, forged->size != 0 ? forged->size : (int64_t)strlen(forged->content));
		assert_true(archive_write_header(archive, entry) >= ARCHIVE_WARN);
		if (forged->type == AE_IFREG)
			archive_write_data(archive, forged->content, strlen(forged->content));
		archive_entry_free(entry);
		if (forged->size != 0)
			honest = used;
	}
	archive_write_free(archive);
	*ret_size = honest != 0 ? honest : used;
	return memory;
}

static int sealed(const void *inner, size_t size)
{
	mse_cleanup(mse_stream_writer_freep) struct mse_stream_writer *writer = NULL;
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	uint8_t sha256[32];
	uint64_t sealed_size;

	assert_true(fd >= 0);
	assert_works(mse_stream_writer_new(fd, key, &writer, &err));
	assert_works(mse_stream_write(writer, inner, size, &err));
	assert_works(mse_stream_finish(writer, sha256, &sealed_size, &err));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int open_forged(const struct forged *entries, size_t count, const struct mse_tree_limits *limits)
{
	struct mse_bundle_opened opened = { 0 };
	size_t size = 0;
	mse_autofree void *archive = make_archive(entries, count, &size);
	mse_autoclose int fd = sealed(archive, size);
	int result = open_file(fd, key, limits, &opened);

	mse_bundle_opened_clear(&opened);
	return result;
}

#define open_entries(...) open_forged((const struct forged[]){ __VA_ARGS__ }, sizeof((const struct forged[]){ __VA_ARGS__ }) / sizeof(struct forged), NULL)
#define assert_forgery_fails(code, text, ...)                        \
	do {                                                         \
		assert_fails(open_entries(__VA_ARGS__), code, text); \
		assert_out_is_empty();                               \
		assert_file("secret", "untouched", 0644);            \
	} while (0)

static void a_forged_bundle_in_good_order_opens(void **state)
{
	(void)state;
	put("secret", "untouched");
	assert_works(open_entries(APP_JSON, { "a", AE_IFDIR, 0755, "", 0 }, { "a/b", AE_IFREG, 0644, "b", 0 }, { "c", AE_IFLNK, 0755, "a/b", 0 }));
	assert_file("out/a/b", "b", 0644);
}

static void paths_that_lead_out_are_refused(void **state)
{
	(void)state;
	put("secret", "untouched");
	assert_forgery_fails(MSE_ERR_INPUT, "'../secret' is not a plain relative path", APP_JSON, { "../secret", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "is not a plain", APP_JSON, { "a", AE_IFDIR, 0755, "", 0 }, { "a/../../secret", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "is not a plain", APP_JSON, { "/tmp/x", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "is not a plain", APP_JSON, { "./a", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "is not a plain", APP_JSON, { "a", AE_IFDIR, 0755, "", 0 }, { "a//b", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "is not a plain", APP_JSON, { "..", AE_IFDIR, 0755, "x", 0 });
}

static void links_that_lead_out_are_not_made(void **state)
{
	(void)state;
	put("secret", "untouched");
	assert_forgery_fails(MSE_ERR_DENIED, "'l' -> '../secret' leads out", APP_JSON, { "l", AE_IFLNK, 0755, "../secret", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'l' -> '/etc/passwd' is absolute", APP_JSON, { "a", AE_IFREG, 0644, "x", 0 }, { "l", AE_IFLNK, 0755, "/etc/passwd", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'z' -> 'd/up/../secret' leads out", APP_JSON, { "d", AE_IFDIR, 0755, "", 0 }, { "d/up", AE_IFLNK, 0755, "..", 0 },
		{ "z", AE_IFLNK, 0755, "d/up/../secret", 0 });
	/* Nothing goes through a link, not even one that stays inside. */
	assert_forgery_fails(MSE_ERR_NOT_FOUND, "cannot open the folder 'l'", APP_JSON, { "d", AE_IFDIR, 0755, "", 0 }, { "l", AE_IFLNK, 0755, "d", 0 },
		{ "l/x", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_NOT_FOUND, "cannot open the folder 'l'", APP_JSON, { "l", AE_IFLNK, 0755, "..", 0 }, { "l/secret", AE_IFREG, 0644, "x", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'h' in the bundle is a hard link", APP_JSON, { "h", 0, 0644, "../secret", 0 });
}

static void names_twice_out_of_order_or_reserved_are_refused(void **state)
{
	(void)state;
	put("secret", "untouched");
	assert_forgery_fails(MSE_ERR_INPUT, "'a' follows 'a' in the bundle", APP_JSON, { "a", AE_IFREG, 0644, "1", 0 }, { "a", AE_IFREG, 0644, "2", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "'a' follows 'a' in the bundle", APP_JSON, { "a", AE_IFDIR, 0755, "", 0 }, { "a", AE_IFREG, 0644, "2", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "'a' follows 'b' in the bundle", APP_JSON, { "b", AE_IFREG, 0644, "1", 0 }, { "a", AE_IFREG, 0644, "2", 0 });
	assert_forgery_fails(MSE_ERR_NOT_FOUND, "cannot open the folder 'd'", APP_JSON, { "d/a", AE_IFREG, 0644, "1", 0 });
	assert_forgery_fails(MSE_ERR_IO, "cannot open the folder 'f'", APP_JSON, { "f", AE_IFREG, 0644, "1", 0 }, { "f/a", AE_IFREG, 0644, "1", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'.mse' in the bundle has a reserved name", APP_JSON, { ".mse", AE_IFDIR, 0755, "", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'.mse/x' in the bundle has a reserved name", APP_JSON, { ".mse/x", AE_IFREG, 0644, "1", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'.mse/app.json' in the bundle has a reserved name", APP_JSON, APP_JSON);
	assert_forgery_fails(MSE_ERR_INPUT, "begins with 'a', not with the file .mse/app.json", { "a", AE_IFREG, 0644, "1", 0 }, APP_JSON);
	assert_forgery_fails(MSE_ERR_INPUT, "not with the file .mse/app.json", { ".mse/app.json", AE_IFDIR, 0755, "", 0 });
	assert_forgery_fails(MSE_ERR_INPUT, "a name that is not UTF-8", APP_JSON, { "a\xff", AE_IFREG, 0644, "1", 0 });
}

static void other_types_and_modes_are_refused(void **state)
{
	(void)state;
	put("secret", "untouched");
	assert_forgery_fails(MSE_ERR_DENIED, "'null' in the bundle is no file", APP_JSON, { "null", AE_IFCHR, 0644, "", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'pipe' in the bundle is no file", APP_JSON, { "pipe", AE_IFIFO, 0644, "", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'set' in the bundle has mode 4755", APP_JSON, { "set", AE_IFREG, 04755, "x", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'d' in the bundle has mode 0777", APP_JSON, { "d", AE_IFDIR, 0777, "x", 0 });
	assert_forgery_fails(MSE_ERR_DENIED, "'x' in the bundle has mode 0600", APP_JSON, { "x", AE_IFREG, 0600, "x", 0 });
}

static void sizes_beyond_the_limits_are_refused_before_anything_is_written(void **state)
{
	static const struct mse_tree_limits small = { .entries = 4, .total_size = 10, .path_size = 8, .depth = 2 };
	const struct forged total[] = { APP_JSON, { "a", AE_IFREG, 0644, "12345678", 0 }, { "b", AE_IFREG, 0644, "9", 0 } };
	const struct forged many[] = { APP_JSON, { "a", AE_IFREG, 0644, "1", 0 }, { "b", AE_IFREG, 0644, "2", 0 }, { "c", AE_IFREG, 0644, "3", 0 } };
	const struct forged deep[] = { APP_JSON, { "a", AE_IFDIR, 0755, "", 0 }, { "a/b", AE_IFDIR, 0755, "", 0 }, { "a/b/c", AE_IFREG, 0644, "1", 0 } };
	const struct forged name[] = { APP_JSON, { "123456789", AE_IFREG, 0644, "1", 0 } };
	static const struct mse_tree_limits larger = { .entries = 100, .total_size = 10, .path_size = 20, .depth = 2 };

	(void)state;
	put("secret", "untouched");
	assert_forgery_fails(MSE_ERR_LIMIT, "1073741824 bytes in all (at 'huge')", APP_JSON, { "huge", AE_IFREG, 0644, "x", (int64_t)1 << 40 });
	assert_forgery_fails(MSE_ERR_LIMIT, ".mse/app.json has 70000 bytes", { ".mse/app.json", AE_IFREG, 0644, "x", 70000 });
	assert_forgery_fails(MSE_ERR_INPUT, "malformed", APP_JSON, { "cut", AE_IFREG, 0644, "x", 100000 });
	assert_fails(open_forged(total, 3, &larger), MSE_ERR_LIMIT, "more than 10 bytes in all (at 'b')");
	assert_fails(open_forged(many, 4, &(struct mse_tree_limits){ 4, 100, 20, 2 }), MSE_ERR_LIMIT, "more than 4 files and folders (at 'c')");
	assert_fails(open_forged(deep, 4, &larger), MSE_ERR_LIMIT, "'a/b/c");
	assert_fails(open_forged(name, 2, &(struct mse_tree_limits){ 100, 100, 8, 2 }), MSE_ERR_LIMIT, "longer than the limit of 8");
	assert_true(open_forged(total, 3, &small) == MSE_ERR_LIMIT);
	assert_out_is_empty();
}

static void what_is_no_archive_or_holds_more_is_refused(void **state)
{
	const struct forged good[] = { APP_JSON, { "a", AE_IFREG, 0644, "1", 0 } };
	struct mse_bundle_opened opened = { 0 };
	size_t size = 0;
	mse_autofree uint8_t *archive = make_archive(good, 2, &size);
	mse_autofree uint8_t *padded = calloc(1, 3 * 65536);

	(void)state;
	assert_non_null(padded);
	for (unsigned i = 0; i < 4; i++) {
		mse_autoclose int fd = -1;

		memset(padded, i == 0 ? 'x' : 0, 3 * 65536);
		if (i >= 2)
			memcpy(padded, archive, size);
		if (i == 3)
			padded[3 * 65536 - 1] = 1;
		fd = sealed(padded, 3 * 65536);
		if (i == 2) {
			assert_works(open_file(fd, key, NULL, &opened));
			mse_bundle_opened_clear(&opened);
			assert_works(mse_tree_remove(in_top("out"), &err));
			continue;
		}
		assert_fails(open_file(fd, key, NULL, &opened), MSE_ERR_INPUT,
			i == 0 ? "the bundle's archive is malformed" : i == 1 ? "the bundle" : "content behind its archive");
		assert_out_is_empty();
	}
}

static void padding_cannot_be_cut_off_at_the_edge_of_a_chunk(void **state)
{
	const struct forged good[] = { APP_JSON, { "a", AE_IFREG, 0644, "1", 0 } };
	struct mse_bundle_opened opened = { 0 };
	size_t size = 0;
	mse_autofree uint8_t *archive = make_archive(good, 2, &size);
	mse_autofree uint8_t *padded = calloc(1, 3 * 65536);
	mse_autoclose int fd = -1;

	(void)state;
	assert_non_null(padded);
	memcpy(padded, archive, size);
	fd = sealed(padded, 3 * 65536);
	/* The archive in the first chunk is whole, and so is every chunk that is left. */
	assert_int_equal(ftruncate(fd, 32 + 2 * 65552), 0);
	assert_fails(open_file(fd, key, NULL, &opened), MSE_ERR_CRYPTO, "at chunk 1");
	assert_out_is_empty();
}

static void a_file_that_changes_while_it_is_packed_leaves_no_bundle(void **state)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *code_key = NULL;
	struct mse_bundle_summary summary;

	(void)state;
	put("code/app.py", "1");
	assert_works(mse_walk_open(in_top("code"), &walk, &err));
	put("code/app.py", "22");
	assert_fails(mse_bundle_seal(walk, JSON, strlen(JSON), in_top("bundle"), &code_key, &summary, &err), MSE_ERR_STATE, "'app.py' changed");
	assert_null(code_key);
	assert_works(mse_tree_remove(in_top("code"), &err));
	assert_int_equal(rmdir(top), 0); /* no left-over */
	assert_int_equal(mkdir(top, 0700), 0);
}

static void an_app_json_that_is_too_large_is_refused(void **state)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	mse_autofree char *json = calloc(1, MSE_BUNDLE_MAX_APP_JSON_SIZE + 1);
	struct mse_bundle_summary summary;
	struct mse_secret *code_key = NULL;

	(void)state;
	put("code/app.py", "1");
	assert_works(mse_walk_open(in_top("code"), &walk, &err));
	assert_fails(mse_bundle_seal(walk, json, MSE_BUNDLE_MAX_APP_JSON_SIZE + 1, in_top("bundle"), &code_key, &summary, &err), MSE_ERR_LIMIT, ".mse/app.json has");
}

static void memory_does_not_grow_with_the_code(void **state)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *code_key = NULL;
	struct mse_bundle_opened opened = { 0 };
	mse_autoclose int bundle = -1;
	struct rusage before, after;

	(void)state;
	put("code/big", "");
	assert_int_equal(truncate(in_top("code/big"), 128 << 20), 0);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	seal(&code_key);
	bundle = open(in_top("bundle"), O_RDONLY);
	assert_works(open_file(bundle, code_key, NULL, &opened));
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10);
	mse_bundle_opened_clear(&opened);
}

static void the_padded_size_follows_the_paper(void **state)
{
	/* L and Padmé(L) as the paper's formula gives them: E = floor(log2 L), S = floor(log2 E) + 1, the last E - S bits zero. */
	static const uint64_t sizes[][2] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 3 }, { 7, 7 }, { 9, 10 }, { 100, 104 }, { 1000, 1024 }, { 22528, 22528 },
		{ 22529, 23552 }, { 1000000, 1015808 }, { 1073741825, 1107296256 } };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_int_equal(mse_bundle_padded_size(sizes[i][0]), sizes[i][1]);
	for (uint64_t size = 8; size < 100000; size += 7) {
		assert_true(mse_bundle_padded_size(size) >= size);
		assert_true(mse_bundle_padded_size(size) - size <= size * 12 / 100 + 1);
	}
}

static void the_commitment_covers_salt_and_digest(void **state)
{
	/* sha256 of: 0000000b "mse-code-v1" 00000020 (32 x 01) 00000020 (32 x 02), made with coreutils. */
	static const char expected[] = "eef328c814e551b9230b2ec03c84d1a95840ba775aac3c9a695b3dd4ebd70d08";
	uint8_t salt[32], digest[32], commitment[32];
	char text[65];

	(void)state;
	memset(salt, 1, sizeof salt);
	memset(digest, 2, sizeof digest);
	assert_works(mse_code_commitment(salt, digest, commitment, &err));
	mse_hex_encode(text, commitment, sizeof commitment);
	assert_string_equal(text, expected);
}

static int make_key(void **state)
{
	(void)state;
	return mse_secret_init(&err) < 0 ? -1 : mse_secret_random(32, &key, &err);
}

static int free_key(void **state)
{
	(void)state;
	mse_secret_free(key);
	return 0;
}

#define bundle_test(name) cmocka_unit_test_setup_teardown(name, make_top, remove_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bundle_test(memory_does_not_grow_with_the_code),
		bundle_test(a_bundle_opens_to_what_was_packed),
		bundle_test(a_bundle_with_one_byte_changed_or_cut_does_not_open),
		bundle_test(chunks_cannot_change_places),
		bundle_test(another_key_opens_nothing),
		bundle_test(a_forged_bundle_in_good_order_opens),
		bundle_test(paths_that_lead_out_are_refused),
		bundle_test(links_that_lead_out_are_not_made),
		bundle_test(names_twice_out_of_order_or_reserved_are_refused),
		bundle_test(other_types_and_modes_are_refused),
		bundle_test(sizes_beyond_the_limits_are_refused_before_anything_is_written),
		bundle_test(what_is_no_archive_or_holds_more_is_refused),
		bundle_test(padding_cannot_be_cut_off_at_the_edge_of_a_chunk),
		bundle_test(a_file_that_changes_while_it_is_packed_leaves_no_bundle),
		bundle_test(an_app_json_that_is_too_large_is_refused),
		cmocka_unit_test(the_padded_size_follows_the_paper),
		cmocka_unit_test(the_commitment_covers_salt_and_digest),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
