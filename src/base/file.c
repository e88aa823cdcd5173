#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static int open_regular(const char *path, size_t max_size, int *ret_fd, size_t *ret_size, struct mse_error_info *err)
{
	/* O_NONBLOCK: a fifo put in place of the file must not hold us up. */
	mse_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	if (fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot examine '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file", path);
	if ((uintmax_t)status.st_size > max_size)
		return mse_fail(err, MSE_ERR_LIMIT, "'%s' has %jd bytes, the limit is %zu", path, (intmax_t)status.st_size, max_size);
	*ret_fd = mse_steal_fd(&fd);
	*ret_size = (size_t)status.st_size;
	return 0;
}

int mse_file_read(const char *path, size_t max_size, uint8_t **ret_data, size_t *ret_size, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;
	mse_autofree uint8_t *data = NULL;
	size_t size;
	int result = open_regular(path, max_size, &fd, &size, err);

	if (result < 0)
		return result;
	data = malloc(size + 1);
	if (data == NULL)
		return mse_fail_nomem(err);
	result = mse_fd_read(fd, data, size, err);
	if (result < 0)
		return mse_context(err, "cannot read '%s'", path);
	data[size] = 0;
	*ret_data = mse_steal(data);
	*ret_size = size;
	return 0;
}

int mse_file_read_secret(const char *path, size_t max_size, struct mse_secret **ret_secret, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;
	mse_cleanup(mse_secret_freep) struct mse_secret *secret = NULL;
	size_t size;
	int result = open_regular(path, max_size, &fd, &size, err);

	if (result < 0)
		return result;
	result = mse_secret_new(size, &secret, err);
	if (result < 0)
		return result;
	result = mse_fd_read(fd, mse_secret_data(secret), size, err);
	if (result < 0)
		return mse_context(err, "cannot read '%s'", path);
	*ret_secret = mse_steal(secret);
	return 0;
}

int mse_fd_write(int fd, const void *data, size_t size, struct mse_error_info *err)
{
	const uint8_t *p = data;

	while (size > 0) {
		ssize_t written = write(fd, p, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return mse_fail_errno(err, "cannot write");
		p += written;
		size -= (size_t)written;
	}
	return 0;
}

int mse_fd_read(int fd, void *to, size_t size, struct mse_error_info *err)
{
	uint8_t *p = to;

	while (size > 0) {
		ssize_t got = read(fd, p, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mse_fail_errno(err, "cannot read");
		if (got == 0)
			return mse_fail(err, MSE_ERR_CLOSED, "the data ends %zu bytes early", size);
		p += got;
		size -= (size_t)got;
	}
	return 0;
}

/* The folder part of path: "." for a bare name. */
static int parent_of(const char *path, char **ret_parent, struct mse_error_info *err)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mse_strdup(".", ret_parent, err);
	if (slash == path)
		return mse_strdup("/", ret_parent, err);
	return mse_format(ret_parent, err, "%.*s", (int)(slash - path), path);
}

int mse_dir_sync(const char *path, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return mse_fail_errno(err, "cannot sync folder '%s'", path);
	return 0;
}

int mse_file_write(const char *path, const void *data, size_t size, mode_t mode, struct mse_error_info *err)
{
	mse_autofree char *temporary = NULL;
	mse_autofree char *parent = NULL;
	mse_autoclose int fd = -1;
	int result = mse_format(&temporary, err, "%s.XXXXXX", path);

	if (result < 0 || (result = parent_of(path, &parent, err)) < 0)
		return result;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create a file beside '%s'", path);
	result = mse_fd_write(fd, data, size, err);
	if (result == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		result = mse_fail_errno(err, "cannot finish");
	if (result == 0 && rename(temporary, path) < 0)
		result = mse_fail_errno(err, "cannot put it in place");
	if (result < 0) {
		unlink(temporary);
		return mse_context(err, "cannot write '%s'", path);
	}
	return mse_dir_sync(parent, err);
}

int mse_dir_make(const char *path, mode_t mode, struct mse_error_info *err)
{
	mse_autofree char *copy = NULL;
	int result = mse_strdup(path, &copy, err);
	struct stat status;

	if (result < 0)
		return result;
	for (char *p = copy + 1; copy[0] != 0; p++) {
		char kept = *p;

		if (kept != '/' && kept != 0)
			continue;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return mse_fail_errno(err, "cannot make folder '%s'", copy);
		*p = kept;
		if (kept == 0)
			break;
	}
	if (stat(path, &status) < 0)
		return mse_fail_errno(err, "cannot make folder '%s'", path);
	if (!S_ISDIR(status.st_mode))
		return mse_fail(err, MSE_ERR_EXISTS, "'%s' is there and is not a folder", path);
	return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int mse_tree_remove(const char *path, struct mse_error_info *err)
{
	if (nftw(path, remove_entry, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return mse_fail_errno(err, "cannot remove '%s'", path);
	return 0;
}

bool mse_path_exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

int mse_path_join(const char *dir, const char *name, char **ret_path, struct mse_error_info *err)
{
	if (dir == NULL || dir[0] == 0)
		return mse_strdup(name, ret_path, err);
	return mse_format(ret_path, err, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
}

int mse_file_lock(const char *path, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open lock '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "lock '%s' is not a regular file; remove it", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return mse_fail(err, MSE_ERR_EXISTS, "another process holds '%s'", path);
		return mse_fail_errno(err, "cannot lock '%s'", path);
	}
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}
