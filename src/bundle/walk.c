#include "bundle/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "bundle/beneath.h"
#include "bundle/ignore.h"

#define MAX_LINK_RETRIES 16

struct mse_walk {
	int root;
	char *root_path; /* as the kernel resolves it */
	struct mse_tree *tree;
	struct mse_walk_entry *entries;
	size_t count;
	size_t room;
	uint64_t total_size;
	bool has_requirements;
};

/* A folder on the way down. */
struct folder {
	int fd;
	const char *path; /* "" for the root */
	const struct mse_ignore *ignore;
};

void mse_walk_free(struct mse_walk *walk)
{
	if (walk == NULL)
		return;
	mse_close(walk->root);
	free(walk->root_path);
	mse_tree_free(walk->tree);
	free(walk->entries);
	free(walk);
}

static int read_ignore_file(const struct folder *folder, struct mse_ignore **ret_ignore, struct mse_error_info *err)
{
	mse_autoclose int fd = openat(folder->fd, MSE_IGNORE_FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	mse_autofree char *path = NULL;
	mse_autofree uint8_t *text = NULL;
	struct stat status;
	int result;

	if (fd < 0 && errno == ENOENT)
		return 0;
	result = mse_path_join(folder->path, MSE_IGNORE_FILE_NAME, &path, err);
	if (result < 0)
		return result;
	if (fd < 0 && errno == ELOOP)
		return mse_fail(err, MSE_ERR_DENIED, "'%s' is a symbolic link; make it a regular file", path);
	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file", path);
	if ((uint64_t)status.st_size > MSE_IGNORE_MAX_FILE_SIZE) {
		return mse_fail(err, MSE_ERR_LIMIT, "'%s' has %jd bytes, the limit is %zu", path, (intmax_t)status.st_size, MSE_IGNORE_MAX_FILE_SIZE);
	}
	text = malloc((size_t)status.st_size + 1);
	if (text == NULL)
		return mse_fail_nomem(err);
	result = mse_fd_read(fd, text, (size_t)status.st_size, err);
	if (result < 0)
		return mse_context(err, "cannot read '%s'", path);
	return mse_ignore_parse(text, (size_t)status.st_size, folder->path, folder->ignore, ret_ignore, err);
}

static int read_target(int folder_fd, const char *name, const char *path, char **ret_target, struct mse_error_info *err)
{
	char target[MSE_CODE_MAX_PATH_SIZE + 2];
	ssize_t size = readlinkat(folder_fd, name, target, sizeof target - 1);

	if (size < 0)
		return mse_fail_errno(err, "cannot read the symbolic link '%s'", path);
	target[size] = 0;
	if (!mse_utf8_is_valid(target, (size_t)size))
		return mse_fail(err, MSE_ERR_INPUT, "the target of the symbolic link '%s' is not UTF-8", path);
	return mse_strdup(target, ret_target, err);
}

static const char *type_name(mode_t mode)
{
	return S_ISFIFO(mode) ? "a fifo" : S_ISSOCK(mode) ? "a socket" : S_ISBLK(mode) || S_ISCHR(mode) ? "a device" : "of an unknown type";
}

static int add_entry(struct mse_walk *walk, int folder_fd, const char *name, const char *path, const struct stat *status, struct mse_error_info *err)
{
	mse_autofree char *target = NULL;
	struct mse_walk_entry entry = { .device = status->st_dev, .inode = status->st_ino };
	struct mse_tree_entry *added;
	int result;

	if (!mse_utf8_is_valid(path, strlen(path)))
		return mse_fail(err, MSE_ERR_INPUT, "the name of '%s' is not UTF-8; rename it or put it into " MSE_IGNORE_FILE_NAME, path);
	if (S_ISDIR(status->st_mode)) {
		entry.type = MSE_TREE_DIR;
	} else if (S_ISREG(status->st_mode)) {
		entry.type = MSE_TREE_FILE;
		entry.executable = (status->st_mode & S_IXUSR) != 0;
		entry.size = (uint64_t)status->st_size;
	} else if (S_ISLNK(status->st_mode)) {
		entry.type = MSE_TREE_LINK;
		result = read_target(folder_fd, name, path, &target, err);
		if (result < 0)
			return result;
	} else {
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "'%s' is %s and cannot be packed; remove it or put it into " MSE_IGNORE_FILE_NAME, path,
			type_name(status->st_mode));
	}
	if (walk->count == walk->room) {
		size_t room = walk->room == 0 ? 64 : walk->room * 2;
		struct mse_walk_entry *entries = reallocarray(walk->entries, room, sizeof *entries);

		if (entries == NULL)
			return mse_fail_nomem(err);
		walk->entries = entries;
		walk->room = room;
	}
	result = mse_tree_add(walk->tree, path, entry.type, 0, entry.size, target, &added, err);
	if (result < 0)
		return result;
	entry.path = added->path;
	entry.target = added->target;
	walk->entries[walk->count++] = entry;
	walk->total_size += entry.size;
	return 0;
}

static int walk_folder(struct mse_walk *walk, int fd, const char *path, const struct mse_ignore *ignore, struct mse_error_info *err);

static int visit(struct mse_walk *walk, const struct folder *folder, const char *name, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autoclose int fd = -1;
	struct stat status;
	int result = mse_path_join(folder->path, name, &path, err);

	if (result < 0)
		return result;
	if (fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return mse_fail_errno(err, "cannot examine '%s'", path);
	if (strcmp(path, "requirements.txt") == 0)
		walk->has_requirements = true;
	if (mse_ignore_match(folder->ignore, path, S_ISDIR(status.st_mode), NULL) == MSE_IGNORE_EXCLUDE)
		return 0;
	if (strcmp(path, ".mse") == 0)
		return mse_fail(err, MSE_ERR_DENIED, "the name '.mse' at the top of the code folder is taken; rename it or put it into " MSE_IGNORE_FILE_NAME);
	if (S_ISDIR(status.st_mode)) {
		fd = openat(folder->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* What the listing says is then what was opened. */
		if (fd < 0 || fstat(fd, &status) < 0)
			return mse_fail_errno(err, "cannot open the folder '%s'", path);
	}
	result = add_entry(walk, folder->fd, name, path, &status, err);
	if (result < 0 || fd < 0)
		return result;
	return walk_folder(walk, mse_steal_fd(&fd), path, folder->ignore, err);
}

/* Takes fd. The depth of the recursion is bounded by the depth that mse_tree_add() lets in. */
static int walk_folder(struct mse_walk *walk, int fd, const char *path, const struct mse_ignore *ignore, struct mse_error_info *err)
{
	mse_cleanup(mse_ignore_freep) struct mse_ignore *own = NULL;
	mse_autoclosedir DIR *dir = fdopendir(fd);
	struct folder folder = { .fd = fd, .path = path, .ignore = ignore };
	int result;

	if (dir == NULL) {
		mse_close(fd);
		return mse_fail_errno(err, "cannot list the folder '%s'", path);
	}
	result = read_ignore_file(&folder, &own, err);
	if (result < 0)
		return result;
	if (own != NULL)
		folder.ignore = own;
	for (;;) {
		struct dirent *found;

		errno = 0;
		found = readdir(dir);
		if (found == NULL && errno != 0)
			return mse_fail_errno(err, "cannot list the folder '%s'", path);
		if (found == NULL)
			return 0;
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0 || strcmp(found->d_name, ".git") == 0 ||
			strcmp(found->d_name, MSE_IGNORE_FILE_NAME) == 0)
			continue;
		result = visit(walk, &folder, found->d_name, err);
		if (result < 0)
			return result;
	}
}

/* Whether the kernel, too, sees the link stay inside: what is ignored may hold links of its own. */
static int check_real_link(const struct mse_walk *walk, const struct mse_walk_entry *entry, struct mse_error_info *err)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	for (unsigned i = 0; i < MAX_LINK_RETRIES; i++) {
		long fd = syscall(SYS_openat2, walk->root, entry->path, &how, sizeof how);

		if (fd >= 0) {
			mse_close((int)fd);
			return 0;
		}
		if (errno == EAGAIN)
			continue;
		if (errno == EXDEV) {
			return mse_fail(err, MSE_ERR_DENIED, "the symbolic link '%s' -> '%s' leads out of the folder; make it a copy or put it into "
				MSE_IGNORE_FILE_NAME, entry->path, entry->target);
		}
		/* It leads nowhere, or the kernel has no openat2 (EPERM: a sandbox hides it); then mse_tree_check_links() has to do. */
		return 0;
	}
	return mse_fail(err, MSE_ERR_STATE, "the symbolic link '%s' cannot be followed: the folder changes all the time", entry->path);
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct mse_walk_entry *)a)->path, ((const struct mse_walk_entry *)b)->path);
}

static int finish(struct mse_walk *walk, struct mse_error_info *err)
{
	int result = mse_tree_sort(walk->tree, err);

	if (result == 0)
		result = mse_tree_check_links(walk->tree, err);
	if (result < 0)
		return result;
	if (walk->count > 0)
		qsort(walk->entries, walk->count, sizeof *walk->entries, compare_entries);
	for (size_t i = 0; result == 0 && i < walk->count; i++) {
		if (walk->entries[i].type == MSE_TREE_LINK)
			result = check_real_link(walk, &walk->entries[i], err);
	}
	return result;
}

int mse_walk_open(const char *path, struct mse_walk **ret_walk, struct mse_error_info *err)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = calloc(1, sizeof *walk);
	mse_autoclose int fd = -1;
	int result;

	if (walk == NULL)
		return mse_fail_nomem(err);
	walk->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (walk->root < 0)
		return mse_fail_errno(err, "cannot open the code folder '%s'", path);
	walk->root_path = realpath(path, NULL);
	fd = openat(walk->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (walk->root_path == NULL || fd < 0)
		return mse_fail_errno(err, "cannot open the code folder '%s'", path);
	result = mse_tree_new(&mse_code_limits, &walk->tree, err);
	if (result == 0)
		result = walk_folder(walk, mse_steal_fd(&fd), "", NULL, err);
	if (result == 0)
		result = finish(walk, err);
	if (result < 0)
		return mse_context(err, "cannot pack the code folder '%s'", path);
	*ret_walk = mse_steal(walk);
	return 0;
}

size_t mse_walk_count(const struct mse_walk *walk)
{
	return walk->count;
}

const struct mse_walk_entry *mse_walk_at(const struct mse_walk *walk, size_t index)
{
	return &walk->entries[index];
}

uint64_t mse_walk_total_size(const struct mse_walk *walk)
{
	return walk->total_size;
}

const struct mse_walk_entry *mse_walk_find(const struct mse_walk *walk, const char *path)
{
	struct mse_walk_entry key = { .path = path };

	return walk->count == 0 ? NULL : bsearch(&key, walk->entries, walk->count, sizeof key, compare_entries);
}

bool mse_walk_has_requirements(const struct mse_walk *walk)
{
	return walk->has_requirements;
}

static const struct mse_walk_entry *find_inode(const struct mse_walk *walk, const struct stat *status)
{
	for (size_t i = 0; i < walk->count; i++) {
		if (walk->entries[i].inode == status->st_ino && walk->entries[i].device == status->st_dev)
			return &walk->entries[i];
	}
	return NULL;
}

int mse_walk_contains(const struct mse_walk *walk, const char *path, const char **ret_entry, struct mse_error_info *err)
{
	mse_autofree char *resolved = NULL;
	const struct mse_walk_entry *entry;
	struct stat file, link;
	size_t root_size = strlen(walk->root_path);

	if (lstat(path, &link) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return mse_fail_errno(err, "cannot examine '%s'", path);
	}
	entry = find_inode(walk, &link);
	if (entry == NULL && stat(path, &file) == 0)
		entry = find_inode(walk, &file);
	if (entry == NULL && (resolved = realpath(path, NULL)) != NULL && strncmp(resolved, walk->root_path, root_size) == 0) {
		const char *relative = resolved + root_size;

		relative += strspn(relative, "/");
		if (relative > resolved + root_size || root_size == 1)
			entry = mse_walk_find(walk, relative);
	}
	if (entry == NULL)
		return 0;
	*ret_entry = entry->path;
	return 1;
}

int mse_walk_open_file(const struct mse_walk *walk, const struct mse_walk_entry *entry, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;
	struct stat status;
	int result = mse_beneath_open(walk->root, entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);

	if (result < 0)
		return result;
	if (fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot examine '%s'", entry->path);
	if (!S_ISREG(status.st_mode) || status.st_dev != entry->device || status.st_ino != entry->inode || (uint64_t)status.st_size != entry->size ||
		((status.st_mode & S_IXUSR) != 0) != entry->executable)
		return mse_fail(err, MSE_ERR_STATE, "'%s' changed while it was packed; try again", entry->path);
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}
