#include "bundle/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/view.h"
#include "bundle/beneath.h"
#include "bundle/stream.h"
#include "crypto/hash.h"

#define READ_SIZE ((size_t)64 * 1024)

struct opener {
	int destination;
	struct mse_tree *tree;
	struct archive *archive;
	struct mse_stream_reader *reader;
	int read_result; /* of the last read callback, which fills read_err */
	struct mse_error_info read_err;
	uint8_t *app_json;
	size_t app_json_size;
	char *previous; /* path of the entry before */
	uint8_t room[READ_SIZE];
};

static void free_opener(struct opener **opener)
{
	struct opener *it = *opener;

	if (it == NULL)
		return;
	if (it->archive != NULL)
		archive_read_free(it->archive);
	mse_stream_reader_free(it->reader);
	mse_tree_free(it->tree);
	if (it->app_json != NULL)
		mse_wipe(it->app_json, it->app_json_size);
	free(it->app_json);
	free(it->previous);
	mse_wipe(it->room, sizeof it->room);
	free(it);
}

void mse_bundle_opened_clear(struct mse_bundle_opened *opened)
{
	if (opened->app_json != NULL)
		mse_wipe(opened->app_json, opened->app_json_size);
	free(opened->app_json);
	*opened = (struct mse_bundle_opened){ 0 };
}

static ssize_t read_inner(struct archive *archive, void *context, const void **ret_data)
{
	struct opener *opener = context;
	const uint8_t *data;
	size_t size;

	opener->read_result = mse_stream_read(opener->reader, &data, &size, &opener->read_err);
	if (opener->read_result < 0) {
		archive_set_error(archive, EIO, "cannot read");
		return -1;
	}
	*ret_data = data;
	return (ssize_t)size;
}

static int archive_failed(struct opener *opener, struct mse_error_info *err)
{
	const char *text = archive_error_string(opener->archive);

	if (opener->read_result < 0 && err != NULL)
		*err = opener->read_err;
	if (opener->read_result < 0)
		return opener->read_result;
	return mse_fail(err, MSE_ERR_INPUT, "the bundle's archive is malformed: %s", text != NULL ? text : "unknown error");
}

/* All of the entry's content: counted and hashed, and written to fd unless that is -1, or kept in `keep` unless that is NULL. */
static int read_content(struct opener *opener, struct mse_tree_entry *entry, int fd, uint8_t *keep, struct mse_error_info *err)
{
	mse_cleanup(mse_hash_freep) EVP_MD_CTX *hash = EVP_MD_CTX_new();
	uint64_t done = 0;

	if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", entry->path);
	for (;;) {
		ssize_t got = archive_read_data(opener->archive, opener->room, sizeof opener->room);
		int result = 0;

		if (got < 0)
			return archive_failed(opener, err);
		if (got == 0)
			break;
		if ((uint64_t)got > entry->size - done)
			return mse_fail(err, MSE_ERR_INPUT, "'%s' has more content than its size says", entry->path);
		if (EVP_DigestUpdate(hash, opener->room, (size_t)got) != 1)
			return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", entry->path);
		if (keep != NULL)
			memcpy(keep + done, opener->room, (size_t)got);
		if (fd >= 0)
			result = mse_fd_write(fd, opener->room, (size_t)got, err);
		if (result < 0)
			return mse_context(err, "'%s'", entry->path);
		done += (uint64_t)got;
	}
	if (done != entry->size)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' has less content than its size says", entry->path);
	if (EVP_DigestFinal_ex(hash, entry->content, NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", entry->path);
	return 0;
}

/* What the archive says of an entry, copied and checked. */
struct header {
	char *path;
	char *target;
	enum mse_tree_type type;
	uint32_t mode;
	uint64_t size;
};

static void clear_header(struct header *header)
{
	free(header->path);
	free(header->target);
}

static int copy_text(const char *text, const char *what, char **ret_copy, struct mse_error_info *err)
{
	size_t size = text != NULL ? strnlen(text, MSE_CODE_MAX_PATH_SIZE + 2) : 0;

	if (size == 0)
		return mse_fail(err, MSE_ERR_INPUT, "the bundle has an entry without %s", what);
	if (size > MSE_CODE_MAX_PATH_SIZE + 1)
		return mse_fail(err, MSE_ERR_LIMIT, "the bundle has %s longer than the limit of %zu bytes", what, MSE_CODE_MAX_PATH_SIZE);
	if (!mse_utf8_is_valid(text, size))
		return mse_fail(err, MSE_ERR_INPUT, "the bundle has %s that is not UTF-8", what);
	return mse_strdup(text, ret_copy, err);
}

static int read_header(struct archive_entry *entry, struct header *ret_header, struct mse_error_info *err)
{
	int result = copy_text(archive_entry_pathname(entry), "a name", &ret_header->path, err);
	const char *path = ret_header->path;
	int64_t size = archive_entry_size(entry);
	uint32_t file_mode = (uint32_t)archive_entry_perm(entry) & 07777;

	if (result < 0)
		return result;
	if (archive_entry_hardlink(entry) != NULL)
		return mse_fail(err, MSE_ERR_DENIED, "'%s' in the bundle is a hard link", path);
	switch (archive_entry_filetype(entry)) {
	case AE_IFDIR:
		ret_header->type = MSE_TREE_DIR;
		if (path[strlen(path) - 1] == '/')
			ret_header->path[strlen(path) - 1] = 0;
		break;
	case AE_IFREG:
		ret_header->type = MSE_TREE_FILE;
		break;
	case AE_IFLNK:
		ret_header->type = MSE_TREE_LINK;
		result = copy_text(archive_entry_symlink(entry), "a link's target", &ret_header->target, err);
		if (result < 0)
			return mse_context(err, "'%s'", path);
		break;
	default:
		return mse_fail(err, MSE_ERR_DENIED, "'%s' in the bundle is no file, folder or symbolic link", path);
	}
	if (size < 0 || (ret_header->type != MSE_TREE_FILE && size != 0))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' in the bundle has a wrong size", path);
	ret_header->size = (uint64_t)size;
	if (file_mode != 0755 && (file_mode != 0644 || ret_header->type != MSE_TREE_FILE))
		return mse_fail(err, MSE_ERR_DENIED, "'%s' in the bundle has mode %04o; only 0644 and 0755 are allowed", path, file_mode);
	ret_header->mode = file_mode;
	return 0;
}

static int take_app_json(struct opener *opener, const struct header *header, struct mse_error_info *err)
{
	struct mse_tree_entry *entry;
	int result;

	if (strcmp(header->path, MSE_BUNDLE_APP_JSON) != 0 || header->type != MSE_TREE_FILE || header->mode != 0644)
		return mse_fail(err, MSE_ERR_INPUT, "the bundle begins with '%s', not with the file " MSE_BUNDLE_APP_JSON, header->path);
	if (header->size > MSE_BUNDLE_MAX_APP_JSON_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, MSE_BUNDLE_APP_JSON " has %ju bytes, the limit is %zu", (uintmax_t)header->size,
			MSE_BUNDLE_MAX_APP_JSON_SIZE);
	opener->app_json_size = (size_t)header->size;
	opener->app_json = calloc(1, opener->app_json_size + 1);
	if (opener->app_json == NULL)
		return mse_fail_nomem(err);
	result = mse_tree_add(opener->tree, MSE_BUNDLE_DIR, MSE_TREE_DIR, 0755, 0, NULL, NULL, err);
	if (result == 0)
		result = mse_tree_add(opener->tree, header->path, MSE_TREE_FILE, 0644, header->size, NULL, &entry, err);
	return result < 0 ? result : read_content(opener, entry, -1, opener->app_json, err);
}

/* The packer's order makes each path occur once and each folder come before what is in it. */
static int check_order(struct opener *opener, const char *path, struct mse_error_info *err)
{
	if (strcmp(path, MSE_BUNDLE_DIR) == 0 || strncmp(path, MSE_BUNDLE_DIR "/", strlen(MSE_BUNDLE_DIR "/")) == 0)
		return mse_fail(err, MSE_ERR_DENIED, "'%s' in the bundle has a reserved name", path);
	if (opener->previous != NULL && strcmp(opener->previous, path) >= 0)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' follows '%s' in the bundle: the entries are not sorted, or one occurs twice", path, opener->previous);
	free(opener->previous);
	opener->previous = NULL;
	return mse_strdup(path, &opener->previous, err);
}

static int take_file(struct opener *opener, struct mse_tree_entry *entry, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;
	int result = mse_beneath_open(opener->destination, entry->path, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err);

	if (result == 0)
		result = read_content(opener, entry, fd, NULL, err);
	if (result < 0)
		return result;
	if (fchmod(fd, entry->mode) < 0)
		return mse_fail_errno(err, "cannot set the mode of '%s'", entry->path);
	return 0;
}

static int take_folder(struct opener *opener, const struct mse_tree_entry *entry, struct mse_error_info *err)
{
	mse_autoclose int parent = -1;
	const char *name;
	int result = mse_beneath_parent(opener->destination, entry->path, &parent, &name, err);

	if (result < 0)
		return result;
	/* fchmodat() because the umask may have taken bits away; nothing but us is in the destination, and no links yet. */
	if (mkdirat(parent, name, 0700) < 0 || fchmodat(parent, name, 0755, 0) < 0)
		return mse_fail_errno(err, "cannot make the folder '%s'", entry->path);
	return 0;
}

static int take_entry(struct opener *opener, struct archive_entry *archive_entry, struct mse_error_info *err)
{
	mse_cleanup(clear_header) struct header header = { 0 };
	struct mse_tree_entry *entry;
	int result = read_header(archive_entry, &header, err);

	if (result < 0)
		return result;
	if (opener->app_json == NULL)
		return take_app_json(opener, &header, err);
	/* Every form and limit of a path is checked before anything is done with it. */
	result = mse_tree_add(opener->tree, header.path, header.type, header.mode, header.size, header.target, &entry, err);
	if (result == 0)
		result = check_order(opener, header.path, err);
	if (result < 0)
		return result;
	switch (entry->type) {
	case MSE_TREE_FILE:
		return take_file(opener, entry, err);
	case MSE_TREE_DIR:
		return take_folder(opener, entry, err);
	case MSE_TREE_LINK:
		return 0;
	}
	return mse_fail(err, MSE_ERR_INTERNAL, "an entry of no type");
}

/* Links come last, when it is known where they all lead, and nothing is written through one. */
static int make_links(struct opener *opener, struct mse_error_info *err)
{
	int result = mse_tree_check_links(opener->tree, err);

	for (size_t i = 0; result == 0 && i < mse_tree_count(opener->tree); i++) {
		const struct mse_tree_entry *entry = mse_tree_at(opener->tree, i);
		mse_autoclose int parent = -1;
		const char *name;

		if (entry->type != MSE_TREE_LINK)
			continue;
		result = mse_beneath_parent(opener->destination, entry->path, &parent, &name, err);
		if (result == 0 && symlinkat(entry->target, parent, name) < 0)
			result = mse_fail_errno(err, "cannot make the symbolic link '%s'", entry->path);
	}
	return result;
}

static int take_all(struct opener *opener, uint8_t *ret_digest, struct mse_error_info *err)
{
	struct archive_entry *entry;
	const uint8_t *rest;
	size_t rest_size;
	int result;

	opener->archive = archive_read_new();
	if (opener->archive == NULL)
		return mse_fail_nomem(err);
	if (archive_read_support_format_tar(opener->archive) != ARCHIVE_OK || archive_read_open(opener->archive, opener, NULL, read_inner, NULL) != ARCHIVE_OK)
		return archive_failed(opener, err);
	while ((result = archive_read_next_header(opener->archive, &entry)) == ARCHIVE_OK) {
		result = take_entry(opener, entry, err);
		if (result < 0)
			return result;
	}
	if (result != ARCHIVE_EOF)
		return archive_failed(opener, err);
	if (opener->app_json == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "the bundle is empty");
	/* The padding, to its authenticated end. */
	do {
		result = mse_stream_read(opener->reader, &rest, &rest_size, err);
		if (result < 0)
			return result;
		for (size_t i = 0; i < rest_size; i++) {
			if (rest[i] != 0)
				return mse_fail(err, MSE_ERR_INPUT, "the bundle has content behind its archive");
		}
	} while (rest_size > 0);
	result = mse_tree_digest(opener->tree, ret_digest, err);
	return result < 0 ? result : make_links(opener, err);
}

/* Removes whatever of the tree is there; the destination was empty, so all of it is ours. */
static void undo(struct opener *opener)
{
	struct mse_error_info ignored;

	/* Sorted or as they came, folders stand before what is in them. */
	for (size_t i = mse_tree_count(opener->tree); i-- > 0;) {
		const struct mse_tree_entry *entry = mse_tree_at(opener->tree, i);
		mse_autoclose int parent = -1;
		const char *name;

		if (mse_beneath_parent(opener->destination, entry->path, &parent, &name, &ignored) == 0)
			unlinkat(parent, name, entry->type == MSE_TREE_DIR ? AT_REMOVEDIR : 0);
	}
}

static int check_empty(int folder, struct mse_error_info *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool empty = true;

	if (dir == NULL) {
		mse_close(fd);
		return mse_fail_errno(err, "cannot list the destination of the bundle");
	}
	while (empty && (entry = readdir(dir)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(dir);
	return empty ? 0 : mse_fail(err, MSE_ERR_STATE, "the destination of the bundle is not empty");
}

int mse_bundle_open(int bundle_fd, const struct mse_secret *key, int dest_fd, const struct mse_tree_limits *limits,
	struct mse_bundle_opened *ret_opened, struct mse_error_info *err)
{
	mse_cleanup(free_opener) struct opener *opener = calloc(1, sizeof *opener);
	uint8_t digest[MSE_TREE_DIGEST_SIZE];
	int result;

	if (opener == NULL)
		return mse_fail_nomem(err);
	opener->destination = dest_fd;
	result = check_empty(dest_fd, err);
	if (result == 0)
		result = mse_tree_new(limits != NULL ? limits : &mse_code_limits, &opener->tree, err);
	if (result == 0)
		result = mse_stream_reader_new(bundle_fd, key, &opener->reader, err);
	if (result < 0)
		return result;
	result = take_all(opener, digest, err);
	if (result < 0) {
		undo(opener);
		return result;
	}
	memcpy(ret_opened->tree_digest, digest, sizeof digest);
	ret_opened->entry_count = mse_tree_count(opener->tree) - 2;
	ret_opened->app_json_size = opener->app_json_size;
	ret_opened->app_json = mse_steal(opener->app_json);
	return 0;
}

int mse_code_commitment(const uint8_t salt[static MSE_BUNDLE_SALT_SIZE], const uint8_t tree_digest[static MSE_TREE_DIGEST_SIZE],
	uint8_t ret_commitment[static 32], struct mse_error_info *err)
{
	const struct mse_view fields[] = { mse_view_of(salt, MSE_BUNDLE_SALT_SIZE), mse_view_of(tree_digest, MSE_TREE_DIGEST_SIZE) };

	return mse_fields_sha256("mse-code-v1", fields, 2, ret_commitment, err);
}
