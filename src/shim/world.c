#include "shim/world.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static int write_map(const char *path, const char *text, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? mse_fail_errno(err, "cannot open '%s'", path) : mse_fd_write(fd, text, strlen(text), err);
}

/* user_namespaces(7): who writes its own maps may map itself alone, once it has given up setgroups(2). */
int mse_world_become_root(struct mse_error_info *err)
{
	char users[32], groups[32];
	int result;

	snprintf(users, sizeof users, "0 %u 1", geteuid());
	snprintf(groups, sizeof groups, "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return mse_fail(err, MSE_ERR_DENIED,
			"this machine gives ordinary users no user namespace (%s): run msed as root, or allow them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)",
			strerror(errno));
	if ((result = write_map("/proc/self/setgroups", "deny", err)) < 0 || (result = write_map("/proc/self/uid_map", users, err)) < 0)
		return result;
	return write_map("/proc/self/gid_map", groups, err);
}

int mse_world_enter(bool *ret_host_root, struct mse_error_info *err)
{
	bool host_root = geteuid() == 0;
	int result;

	if (!host_root && (result = mse_world_become_root(err)) < 0)
		return mse_context(err, "cannot enter a user namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return mse_fail_errno(err, "cannot make a mount namespace");
	if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return mse_fail_errno(err, "cannot keep mounts from the host");
	*ret_host_root = host_root;
	return 0;
}
