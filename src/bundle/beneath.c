#include "bundle/beneath.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"

int mse_beneath_parent(int root_fd, const char *path, int *ret_fd, const char **ret_name, struct mse_error_info *err)
{
	mse_autoclose int folder = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *at = path;

	if (folder < 0)
		return mse_fail_errno(err, "cannot open the folder that holds '%s'", path);
	for (const char *slash = strchr(at, '/'); slash != NULL; slash = strchr(at, '/')) {
		char name[NAME_MAX + 1];
		size_t size = (size_t)(slash - at);
		int next;

		if (size == 0 || size > NAME_MAX || strncmp(at, "..", size) == 0)
			return mse_fail(err, MSE_ERR_INPUT, "'%s' is no path beneath a folder", path);
		memcpy(name, at, size);
		name[size] = 0;
		next = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return mse_fail_errno(err, "cannot open the folder '%.*s'", (int)(slash - path), path);
		mse_close(folder);
		folder = next;
		at = slash + 1;
	}
	if (at[0] == 0 || strcmp(at, ".") == 0 || strcmp(at, "..") == 0)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is no path beneath a folder", path);
	*ret_fd = mse_steal_fd(&folder);
	*ret_name = at;
	return 0;
}

int mse_beneath_open(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int folder = -1;
	const char *name;
	int result = mse_beneath_parent(root_fd, path, &folder, &name, err);

	if (result < 0)
		return result;
	*ret_fd = openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	if (*ret_fd < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	return 0;
}
