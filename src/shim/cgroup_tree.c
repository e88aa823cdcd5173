#include "shim/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

/* Killed processes leave within milliseconds, unless they hold much memory. */
#define DESTROY_WAIT_MS 3000u
#define DESTROY_PAUSE_US 2000u

static int write_file(int group, const char *file, const char *value, bool optional, struct mse_error_info *err)
{
	mse_autoclose int fd = openat(group, file, O_WRONLY | O_CLOEXEC);
	ssize_t written;

	if (fd < 0 && errno == ENOENT && optional)
		return 0;
	if (fd < 0)
		return mse_fail_errno(err, "cannot open the control group's '%s'", file);
	/* In one piece: each write is one command. */
	do
		written = write(fd, value, strlen(value));
	while (written < 0 && errno == EINTR);
	return written < 0 ? mse_fail_errno(err, "cannot write '%s' to the control group's '%s'", value, file) : 0;
}

int mse_cgroup_write(int group, const char *file, const char *value, struct mse_error_info *err)
{
	return write_file(group, file, value, false, err);
}

int mse_cgroup_write_if_there(int group, const char *file, const char *value, struct mse_error_info *err)
{
	return write_file(group, file, value, true, err);
}

int mse_cgroup_read(int group, const char *file, char text[static MSE_CGROUP_TEXT_SIZE], struct mse_error_info *err)
{
	mse_autoclose int fd = openat(group, file, O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t got = 1;

	if (fd < 0)
		return mse_fail_errno(err, "cannot open the control group's '%s'", file);
	while (got > 0 && size < MSE_CGROUP_TEXT_SIZE - 1) {
		got = read(fd, text + size, MSE_CGROUP_TEXT_SIZE - 1 - size);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got < 0)
			return mse_fail_errno(err, "cannot read the control group's '%s'", file);
		else
			size += (size_t)got;
	}
	text[size] = 0;
	return 0;
}

int mse_cgroup_make(int parent, const char *name, int *ret_group, struct mse_error_info *err)
{
	/* Who may open a group's folder may also lock it. */
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return mse_fail_errno(err, "cannot make the control group '%s'", name);
	*ret_group = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_group < 0 ? mse_fail_errno(err, "cannot open the control group '%s'", name) : 0;
}

static void kill_all(int group)
{
	char text[MSE_CGROUP_TEXT_SIZE], *rest = text, *line;
	uint64_t pid;

	/* Nothing new comes while the old goes. */
	mse_cgroup_write_if_there(group, "pids.max", "0", NULL);
	if (faccessat(group, "cgroup.kill", W_OK, 0) == 0 && mse_cgroup_write(group, "cgroup.kill", "1", NULL) == 0)
		return;
	if (mse_cgroup_read(group, "cgroup.procs", text, NULL) < 0)
		return;
	/* A number that was cut off at the end stands for another process; the next round has it whole. */
	if (strlen(text) == sizeof text - 1)
		*(strrchr(text, '\n') == NULL ? text : strrchr(text, '\n')) = 0;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (mse_parse_u64(line, 2, INT32_MAX, &pid, "a process", NULL) == 0)
			kill((pid_t)pid, SIGKILL);
}

int mse_cgroup_destroy(int parent, const char *name, struct mse_error_info *err)
{
	uint64_t deadline = mse_monotonic_ms() + DESTROY_WAIT_MS;

	while (unlinkat(parent, name, AT_REMOVEDIR) < 0) {
		mse_autoclose int group = -1;

		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return mse_fail_errno(err, "cannot remove the control group '%s'", name);
		if (mse_monotonic_ms() > deadline)
			return mse_fail(err, MSE_ERR_TIMEOUT, "the processes of the control group '%s' do not end", name);
		group = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (group >= 0)
			kill_all(group);
		usleep(DESTROY_PAUSE_US);
	}
	return 0;
}
