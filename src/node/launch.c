#include "node/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "shim/cgroup.h"
#include "shim/config.h"

#define PAUSE_MS 20
#define END_TIMEOUT_MS 2000u
#define MAX_SHIM_LOG (1024 * 1024)

static void pause_ms(long ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000 };

	nanosleep(&time, NULL);
}

static int open_shim_log(const char *app_dir, int *ret_fd, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_path_join(app_dir, MSE_APP_SHIM_LOG, &path, err);
	mse_autoclose int fd = -1;
	struct stat status;

	if (result < 0)
		return result;
	/* O_NONBLOCK: a fifo put in place of the file must not hold us up. */
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file; remove it", path);
	/* A shim that fails again and again must not fill the disk. */
	if (status.st_size > MAX_SHIM_LOG && ftruncate(fd, 0) < 0)
		return mse_fail_errno(err, "cannot cut '%s'", path);
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

static int spawn(const char *program, const char *app_dir, int log_fd)
{
	const char *const argv[] = { program, "--dir", app_dir, NULL };
	const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	pid_t pid;
	int status;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	if ((status = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
	    (status = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)) == 0 &&
	    (status = posix_spawn_file_actions_adddup2(&actions, log_fd, 2)) == 0 &&
	    (status = posix_spawnattr_setsigmask(&attributes, &none)) == 0 && (status = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
	    (status = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0)
		status = posix_spawn(&pid, program, &actions, &attributes, (char *const *)argv, (char *const *)env);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return status;
}

int mse_shim_start(const struct mse_runtime *runtime, const char *app_dir, struct mse_error_info *err)
{
	mse_autoclose int log_fd = -1;
	int result = open_shim_log(app_dir, &log_fd, err);

	if (result < 0)
		return result;
	/* Nobody waits for it: this program ignores SIGCHLD, so that it leaves nothing behind. */
	errno = spawn(mse_runtime_shim(runtime), app_dir, log_fd);
	return errno != 0 ? mse_fail_errno(err, "cannot start '%s'", mse_runtime_shim(runtime)) : 0;
}

/* After the final status: until the shim has let go of the folder and of the port, which takes it no time at all. */
static void await_end(int fd, struct mse_buffer *pending)
{
	uint64_t deadline = mse_monotonic_ms() + END_TIMEOUT_MS, now;
	struct mse_error_info ignored;
	struct mse_shim_status status;
	int result = 0;

	while (result == 0 && (now = mse_monotonic_ms()) < deadline)
		result = mse_shim_receive(fd, deadline - now, pending, &status, &ignored);
}

/* The next status, of this app's own shim. */
static int receive(const struct mse_app *app, int fd, uint64_t deadline, struct mse_buffer *pending, struct mse_shim_status *ret_status,
	struct mse_error_info *err)
{
	uint64_t now = mse_monotonic_ms();
	int result;

	if (now >= deadline)
		return mse_fail(err, MSE_ERR_TIMEOUT, "the app did not end within %llu seconds; see '" MSE_APP_SHIM_LOG "' in its folder",
			(unsigned long long)MSE_STOP_TIMEOUT_MS / 1000);
	if ((result = mse_shim_receive(fd, deadline - now, pending, ret_status, err)) < 0)
		return result;
	return mse_shim_status_check(ret_status, app->id, err);
}

/* 1: the shim said that it ended it; 0: there is no shim, or it went without a word. */
static int ask_shim(const struct mse_app *app, const char *app_dir, const char *reason, uint64_t deadline, struct mse_shim_status *ret_status,
	struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *pending = mse_buffer_new(4 * MSE_SHIM_LINE_MAX_SIZE);
	mse_autoclose int fd = -1;
	int result;

	if (pending == NULL)
		return mse_fail_nomem(err);
	result = mse_shim_connect(app_dir, &fd, err);
	/* A stranger's socket goes with what else is left there. */
	if (result == MSE_ERR_NOT_FOUND || result == MSE_ERR_CLOSED || result == MSE_ERR_DENIED)
		return 0;
	if (result < 0)
		return result;
	/* It speaks first, and says whose it is: another app's, whose socket somebody has put here, is not to be stopped. */
	if ((result = receive(app, fd, deadline, pending, ret_status, err)) == 0)
		result = mse_shim_send_stop(fd, reason, err);
	while (result == 0 && (result = receive(app, fd, deadline, pending, ret_status, err)) == 0)
		if (ret_status->final) {
			await_end(fd, pending);
			return 1;
		}
	return result == MSE_ERR_CLOSED || result == MSE_ERR_DENIED ? 0 : result;
}

static int remove_file(const char *app_dir, const char *name, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_path_join(app_dir, name, &path, err);

	if (result < 0)
		return result;
	/* Whatever somebody has put in its place. */
	return mse_tree_remove(path, err);
}

static int remove_storage(const char *app_dir, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_path_join(app_dir, MSE_SHIM_STORAGE_DIR, &path, err);

	return result < 0 ? result : mse_tree_remove(path, err);
}

int mse_app_bury(struct mse_node *node, const struct mse_app *app, const char *reason, struct mse_error_info *err)
{
	struct mse_shim_status status = { .state = MSE_SHIM_STOPPED, .final = true, .provisioned = app->provisioned, .restarts = app->restarts,
		.weaker = app->weaker };
	struct mse_error_info ignored;
	struct mse_shim_status last;
	mse_autofree char *app_dir = NULL;
	mse_autofree char *lock = NULL;
	mse_autoclose int lock_fd = -1;
	int result;

	if ((result = mse_node_app_dir(node, app->id, &app_dir, err)) < 0)
		return result;
	snprintf(status.reason, sizeof status.reason, "%s", reason);
	if (mse_path_exists(app_dir)) {
		if ((result = mse_path_join(app_dir, MSE_SHIM_LOCK_FILE, &lock, err)) < 0)
			return result;
		result = mse_file_lock(lock, &lock_fd, err);
		if (result == MSE_ERR_EXISTS)
			return mse_fail(err, MSE_ERR_STATE, "the app's shim runs and does not answer");
		/* Without its configuration, a shim that was started and is not yet so far as to hold the lock ends at once. */
		if (result < 0 || (result = remove_file(app_dir, MSE_SHIM_CONFIG_FILE, err)) < 0 ||
		    (result = remove_file(app_dir, MSE_SHIM_SEALED_FILE, err)) < 0 ||
		    (result = remove_storage(app_dir, err)) < 0 || (result = remove_file(app_dir, MSE_SHIM_STORAGE_LOCK, err)) < 0 ||
		    (result = remove_file(app_dir, MSE_SHIM_BUNDLE_FILE, err)) < 0 || (result = remove_file(app_dir, MSE_SHIM_CONTROL_SOCKET, err)) < 0)
			return result;
		/* What the shim has said at its end is truer than what we were about to say. */
		if (mse_shim_status_read(app_dir, app->id, &last, &ignored) == 0 && last.final)
			status = last;
	}
	/* A shim that was killed has left them; what does not go now is tried again, and reported, later. */
	if (node->groups != NULL)
		mse_cgroups_sweep(node->groups, &ignored);
	return mse_store_status(node->store, app->id, &status, err);
}

int mse_app_stop(struct mse_node *node, const struct mse_app *app, const char *reason, struct mse_error_info *err)
{
	uint64_t deadline = mse_monotonic_ms() + MSE_STOP_TIMEOUT_MS;
	struct mse_shim_status status;
	mse_autofree char *app_dir = NULL;
	int result = mse_node_app_dir(node, app->id, &app_dir, err);

	if (result < 0)
		return result;
	for (;;) {
		result = ask_shim(app, app_dir, reason, deadline, &status, err);
		if (result == 1)
			return mse_store_status(node->store, app->id, &status, err);
		if (result < 0)
			return result;
		/* A shim that is just starting has the lock before it has its socket. */
		result = mse_app_bury(node, app, reason, err);
		if (result != MSE_ERR_STATE)
			return result;
		if (mse_monotonic_ms() >= deadline)
			return mse_fail(err, MSE_ERR_TIMEOUT, "the app's shim runs and does not answer; see '%s/" MSE_APP_SHIM_LOG "'", app_dir);
		pause_ms(PAUSE_MS);
	}
}
