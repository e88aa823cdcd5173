#include "bundle/tree_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/view.h"
#include "crypto/hash.h"

#define CACHE_TAG "mse-tree-cache-v1"
/* Two changes closer together than this may leave the same times behind. */
#define CACHE_SETTLED_NS ((int64_t)1000000000)

static const struct mse_tree_limits *limits_of(enum mse_tree_flags flags)
{
	return flags == MSE_TREE_CODE ? &mse_code_limits : &mse_image_limits;
}

static uint32_t mode_of(enum mse_tree_type type, mode_t mode, enum mse_tree_flags flags)
{
	if (flags == MSE_TREE_CODE)
		return type == MSE_TREE_FILE && (mode & S_IXUSR) == 0 ? 0644 : 0755;
	return mode & 07777;
}

/* One entry of a folder on disk and, beside it in the tree, what its inode said. */
struct found {
	char *path;
	struct stat status;
};

struct scan {
	const struct mse_tree_limits *limits;
	int root;
	struct stat root_status;
	struct found *found;
	size_t count;
	size_t room;
};

static void clear_scan(struct scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		free(scan->found[i].path);
	free(scan->found);
	mse_close(scan->root);
}

static int remember(struct scan *scan, char *path, const struct stat *status, struct mse_error_info *err)
{
	if (scan->count == scan->limits->entries)
		return mse_fail(err, MSE_ERR_LIMIT, "there are more than %zu files and folders (at '%s')", scan->limits->entries, path);
	if (scan->count == scan->room) {
		size_t room = scan->room == 0 ? 1024 : scan->room * 2;
		struct found *found = reallocarray(scan->found, room, sizeof *found);

		if (found == NULL)
			return mse_fail_nomem(err);
		scan->found = found;
		scan->room = room;
	}
	scan->found[scan->count++] = (struct found){ .path = path, .status = *status };
	return 0;
}

/* Takes fd. */
static int scan_folder(struct scan *scan, int fd, const char *folder, size_t depth, struct mse_error_info *err)
{
	mse_autoclosedir DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		mse_close(fd);
		return mse_fail_errno(err, "cannot list the folder '%s'", folder);
	}
	if (depth > scan->limits->depth)
		return mse_fail(err, MSE_ERR_LIMIT, "'%.80s…' lies deeper than the limit of %zu folders", folder, scan->limits->depth);
	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		mse_autofree char *path = NULL;
		const char *kept;
		struct stat status;
		int result;
		int below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		result = mse_path_join(folder, entry->d_name, &path, err);
		if (result < 0)
			return result;
		if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			return mse_fail_errno(err, "cannot examine '%s'", path);
		kept = path;
		result = remember(scan, path, &status, err);
		if (result < 0)
			return result;
		path = NULL;
		if (!S_ISDIR(status.st_mode))
			continue;
		below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			return mse_fail_errno(err, "cannot open the folder '%s'", kept);
		result = scan_folder(scan, below, kept, depth + 1, err);
		if (result < 0)
			return result;
	}
	return errno != 0 ? mse_fail_errno(err, "cannot list the folder '%s'", folder) : 0;
}

static int compare_found(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

/* Fills a scan that holds only limits and a root of -1. */
static int scan_all(struct scan *scan, const char *path, struct mse_error_info *err)
{
	int fd = -1;
	int result;

	scan->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scan->root < 0 || fstat(scan->root, &scan->root_status) < 0 || (fd = openat(scan->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return mse_fail_errno(err, "cannot open the folder '%s'", path);
	result = scan_folder(scan, fd, "", 0, err);
	if (result < 0)
		return result;
	if (scan->count > 0)
		qsort(scan->found, scan->count, sizeof *scan->found, compare_found);
	return 0;
}

static int read_target(int root, const char *path, char target[static MSE_IMAGE_MAX_PATH_SIZE + 2], struct mse_error_info *err)
{
	ssize_t size = readlinkat(root, path, target, MSE_IMAGE_MAX_PATH_SIZE + 1);

	if (size < 0)
		return mse_fail_errno(err, "cannot read the symbolic link '%s'", path);
	target[size] = 0;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_size == b->st_size &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
		a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int hash_found(int root, const struct found *found, uint8_t content[static 32], struct mse_error_info *err)
{
	/* Paths beneath the root are opened in one step: a link put in the way meanwhile shows as another inode. */
	mse_autoclose int fd = openat(root, found->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;
	uint64_t size;
	int result;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open '%s'", found->path);
	if (!same_file(&status, &found->status))
		return mse_fail(err, MSE_ERR_STATE, "'%s' changes while it is read", found->path);
	result = mse_sha256_fd(fd, content, &size, err);
	if (result < 0)
		return mse_context(err, "'%s'", found->path);
	if (fstat(fd, &status) < 0 || size != (uint64_t)found->status.st_size || !same_file(&status, &found->status))
		return mse_fail(err, MSE_ERR_STATE, "'%s' changes while it is read", found->path);
	return 0;
}

static int add_found(struct mse_tree *tree, int root, const struct found *found, enum mse_tree_flags flags, struct mse_error_info *err)
{
	char target[MSE_IMAGE_MAX_PATH_SIZE + 2];
	mode_t mode = found->status.st_mode;
	struct mse_tree_entry *entry;
	int result;

	if (S_ISDIR(mode))
		return mse_tree_add(tree, found->path, MSE_TREE_DIR, mode_of(MSE_TREE_DIR, mode, flags), 0, NULL, NULL, err);
	if (S_ISLNK(mode)) {
		result = read_target(root, found->path, target, err);
		return result < 0 ? result : mse_tree_add(tree, found->path, MSE_TREE_LINK, 0, 0, target, NULL, err);
	}
	if (!S_ISREG(mode))
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "'%s' is neither a file nor a folder nor a symbolic link", found->path);
	result = mse_tree_add(tree, found->path, MSE_TREE_FILE, mode_of(MSE_TREE_FILE, mode, flags), (uint64_t)found->status.st_size, NULL, &entry, err);
	return result < 0 ? result : hash_found(root, found, entry->content, err);
}

static int digest_scan(const struct scan *scan, enum mse_tree_flags flags, uint8_t *ret_digest, struct mse_error_info *err)
{
	mse_cleanup(mse_tree_freep) struct mse_tree *tree = NULL;
	int result = mse_tree_new(scan->limits, &tree, err);

	for (size_t i = 0; result == 0 && i < scan->count; i++)
		result = add_found(tree, scan->root, &scan->found[i], flags, err);
	return result < 0 ? result : mse_tree_digest(tree, ret_digest, err);
}

int mse_tree_digest_dir(const char *path, enum mse_tree_flags flags, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err)
{
	mse_cleanup(clear_scan) struct scan scan = { .limits = limits_of(flags), .root = -1 };
	int result = scan_all(&scan, path, err);

	if (result == 0)
		result = digest_scan(&scan, flags, ret_digest, err);
	return result < 0 ? mse_context(err, "cannot digest the folder '%s'", path) : 0;
}

/* --- the cache --- */

#define STAT_FIELDS 8

static void put_status(uint8_t to[static STAT_FIELDS * 8], const struct stat *status)
{
	const uint64_t fields[STAT_FIELDS] = { status->st_mode, (uint64_t)status->st_size, (uint64_t)status->st_mtim.tv_sec,
		(uint64_t)status->st_mtim.tv_nsec, (uint64_t)status->st_ctim.tv_sec, (uint64_t)status->st_ctim.tv_nsec, status->st_ino, status->st_dev };

	for (size_t i = 0; i < STAT_FIELDS; i++)
		mse_put_be64(to + i * 8, fields[i]);
}

static int64_t time_ns(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* A hash over everything that stat() says of the tree, and the newest time in it. */
static int scan_key(const struct scan *scan, uint8_t key[static 32], int64_t *ret_newest, struct mse_error_info *err)
{
	mse_cleanup(mse_hash_freep) EVP_MD_CTX *hash = EVP_MD_CTX_new();
	uint8_t status[STAT_FIELDS * 8];
	bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

	put_status(status, &scan->root_status);
	ok = ok && EVP_DigestUpdate(hash, CACHE_TAG, sizeof CACHE_TAG) == 1 && EVP_DigestUpdate(hash, status, sizeof status) == 1;
	*ret_newest = time_ns(&scan->root_status.st_ctim);
	for (size_t i = 0; ok && i < scan->count; i++) {
		const struct found *found = &scan->found[i];
		int64_t changed = time_ns(&found->status.st_ctim);

		put_status(status, &found->status);
		/* With the NUL behind the path, no two lists make the same bytes. */
		ok = EVP_DigestUpdate(hash, found->path, strlen(found->path) + 1) == 1 && EVP_DigestUpdate(hash, status, sizeof status) == 1;
		if (changed > *ret_newest)
			*ret_newest = changed;
	}
	ok = ok && EVP_DigestFinal_ex(hash, key, NULL) == 1;
	return ok ? 0 : mse_fail(err, MSE_ERR_INTERNAL, "cannot hash the state of a folder");
}

/* "mse-tree-cache-v1 <key> <digest>\n", nothing else. */
#define CACHE_SIZE (sizeof CACHE_TAG - 1 + 1 + 64 + 1 + 64 + 1)

static void format_cache(char to[static CACHE_SIZE + 1], const uint8_t key[static 32], const uint8_t digest[static 32])
{
	char *at = to;

	memcpy(at, CACHE_TAG " ", sizeof CACHE_TAG);
	at += sizeof CACHE_TAG;
	mse_hex_encode(at, key, 32);
	at[64] = ' ';
	mse_hex_encode(at + 65, digest, 32);
	at[129] = '\n';
	at[130] = 0;
}

static bool read_cache(const char *path, const uint8_t key[static 32], uint8_t ret_digest[static 32])
{
	mse_autofree uint8_t *data = NULL;
	char expected[CACHE_SIZE + 1];
	uint8_t digest[32];
	size_t size;
	struct mse_error_info ignored;

	if (mse_file_read(path, CACHE_SIZE, &data, &size, &ignored) < 0 || size != CACHE_SIZE || data[CACHE_SIZE - 1] != '\n')
		return false;
	data[CACHE_SIZE - 1] = 0;
	if (mse_hex_decode(digest, sizeof digest, (const char *)data + CACHE_SIZE - 65, "the cached digest", &ignored) < 0)
		return false;
	data[CACHE_SIZE - 1] = '\n';
	format_cache(expected, key, digest);
	if (memcmp(data, expected, CACHE_SIZE) != 0)
		return false;
	memcpy(ret_digest, digest, sizeof digest);
	return true;
}

int mse_tree_digest_dir_cached(const char *path, const char *cache_file, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], bool *ret_from_cache,
	struct mse_error_info *err)
{
	mse_cleanup(clear_scan) struct scan scan = { .limits = &mse_image_limits, .root = -1 };
	mse_cleanup(clear_scan) struct scan after = { .limits = &mse_image_limits, .root = -1 };
	uint8_t key[32], key_after[32];
	char text[CACHE_SIZE + 1];
	struct timespec now;
	int64_t newest;
	bool cached;
	int result = scan_all(&scan, path, err);

	if (result == 0)
		result = scan_key(&scan, key, &newest, err);
	if (result < 0)
		return mse_context(err, "cannot digest the folder '%s'", path);
	cached = read_cache(cache_file, key, ret_digest);
	if (ret_from_cache != NULL)
		*ret_from_cache = cached;
	if (cached)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	result = digest_scan(&scan, MSE_TREE_IMAGE, ret_digest, err);
	if (result == 0)
		result = scan_all(&after, path, err);
	if (result == 0)
		result = scan_key(&after, key_after, &(int64_t){ 0 }, err);
	if (result == 0 && memcmp(key, key_after, sizeof key) != 0)
		result = mse_fail(err, MSE_ERR_STATE, "it changes while it is read");
	if (result < 0)
		return mse_context(err, "cannot digest the folder '%s'", path);
	if (newest > time_ns(&now) - CACHE_SETTLED_NS)
		return 0;
	format_cache(text, key, ret_digest);
	return mse_file_write(cache_file, text, CACHE_SIZE, 0600, err);
}
