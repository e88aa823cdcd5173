#include "shim/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "shim/config.h"
#include "shim/program.h"
#include "shim/storage_disk.h"

#define OPEN_TIMEOUT_S 120
#define CLOSE_TIMEOUT_S 120
/* gocryptfs leaves by itself when nothing is mounted any more. */
#define LEAVE_TIMEOUT_S 5
/* The filesystem turns read-only by itself when it meets an error; the enclave is to be started again then. */
#define LOOK_INTERVAL_S 2
#define MAX_COUNT_SIZE 24
#define MAX_SAID ((size_t)4096)
#define FUSE_FD "/dev/fd/3"
#define FOLDER_FD "/proc/self/fd/4"

enum state {
	CLOSED,
	OPENING, /* a worker prepares and mounts the disk */
	OPEN,
	CLOSING, /* a worker unmounts it */
	LEAVING, /* gocryptfs is to end */
};

struct mse_storage {
	struct mse_storage_setting setting;
	enum state state;
	struct mse_disk disk;
	pid_t gocryptfs; /* 0: not there, or reaped */
	pid_t worker;
	int lock; /* this and the next until gocryptfs and the worker have them */
	int fuse;
	int said_fd; /* what gocryptfs says */
	struct event *said;
	size_t said_size;
	int word_fd; /* how the worker's work ended: nothing is success */
	char failure[MSE_ERROR_MESSAGE_SIZE];
	int errors_fd; /* where the kernel counts errors of the filesystem; -1: it does not */
	char errors[MAX_COUNT_SIZE]; /* how many there were when it was opened */
	struct event *look;
	struct event *timer;
	bool close_wanted; /* while it is being opened */
	bool discard;
	bool reserved; /* an empty file waits to be opened */
};

static void set_timer(struct mse_storage *storage, unsigned seconds)
{
	const struct timeval wait = { .tv_sec = seconds };

	event_add(storage->timer, &wait);
}

static void kill_process(pid_t pid)
{
	if (pid > 0 && kill(pid, SIGKILL) < 0)
		mse_log("cannot kill process %d: %m", (int)pid);
}

/* ---- the place ---- */

/* A mount that is shared with the sandbox's copy of it, which receives what is mounted here later. */
static int make_place(const struct mse_storage_setting *setting, struct mse_error_info *err)
{
	mse_autofree char *options = NULL;
	int result = mse_format(&options, err, "mode=0700,uid=%" PRIu32 ",gid=%" PRIu32 ",size=%" PRIu64, setting->uid, setting->gid,
		setting->host_root ? BUFSIZ : setting->memory_size);

	if (result < 0)
		return result;
	if (mount("mse", MSE_SHIM_STORAGE_DIR, "tmpfs", MS_NOSUID | MS_NODEV | (setting->host_root ? MS_RDONLY : 0), options) < 0 ||
	    mount(NULL, MSE_SHIM_STORAGE_DIR, NULL, MS_PRIVATE, NULL) < 0 || mount(NULL, MSE_SHIM_STORAGE_DIR, NULL, MS_SHARED, NULL) < 0)
		return mse_fail_errno(err, "cannot make the place where $HOME is mounted");
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *argument);
static void on_look(evutil_socket_t fd, short what, void *argument);

int mse_storage_new(const struct mse_storage_setting *setting, struct mse_storage **ret_storage, struct mse_error_info *err)
{
	mse_cleanup(mse_storage_freep) struct mse_storage *storage = calloc(1, sizeof *storage);
	int result;

	if (storage == NULL)
		return mse_fail_nomem(err);
	storage->setting = *setting;
	storage->lock = storage->fuse = storage->said_fd = storage->word_fd = storage->errors_fd = -1;
	storage->disk = (struct mse_disk){ .folder = -1, .plain = -1, .uid = setting->uid, .gid = setting->gid, .size = mse_shim_storage_size(setting->size),
		.mount_point = MSE_SHIM_STORAGE_DIR };
	storage->timer = evtimer_new(setting->base, on_timer, storage);
	storage->look = event_new(setting->base, -1, EV_PERSIST, on_look, storage);
	if (storage->timer == NULL || storage->look == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_dir_make(MSE_SHIM_STORAGE_DIR, 0700, err)) < 0)
		return result;
	/* Behind what will be mounted over it. The file is the app's user's, the folder is not: msed removes both without any privilege. */
	storage->disk.folder = open(MSE_SHIM_STORAGE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (storage->disk.folder < 0 || fchmod(storage->disk.folder, 0711) < 0)
		return mse_fail_errno(err, "cannot prepare the folder of the app's storage");
	if ((result = make_place(setting, err)) < 0)
		return result;
	*ret_storage = mse_steal(storage);
	return 0;
}

static void forget_said(struct mse_storage *storage)
{
	if (storage->said != NULL)
		event_free(mse_steal(storage->said));
	mse_close(mse_steal_fd(&storage->said_fd));
}

static void forget_errors(struct mse_storage *storage)
{
	event_del(storage->look);
	mse_close(mse_steal_fd(&storage->errors_fd));
}

void mse_storage_free(struct mse_storage *storage)
{
	if (storage == NULL)
		return;
	forget_said(storage);
	mse_close(storage->errors_fd);
	mse_close(storage->word_fd);
	mse_close(storage->lock);
	mse_close(storage->fuse);
	mse_close(storage->disk.plain);
	mse_close(storage->disk.folder);
	if (storage->timer != NULL)
		event_free(storage->timer);
	if (storage->look != NULL)
		event_free(storage->look);
	free(storage);
}

int mse_storage_reserve(struct mse_storage *storage, struct mse_error_info *err)
{
	int result = storage->setting.host_root ? mse_disk_reserve(&storage->disk, err) : 0;

	storage->reserved = result == 0;
	return result;
}

int mse_storage_destroy(struct mse_error_info *err)
{
	/* The place may be there, or not; a mount that is still busy goes with this process. */
	(void)umount2(MSE_SHIM_STORAGE_DIR, MNT_DETACH | UMOUNT_NOFOLLOW);
	return mse_tree_remove(MSE_SHIM_STORAGE_DIR, err);
}

bool mse_storage_is_active(const struct mse_storage *storage)
{
	return storage->state != CLOSED;
}

/* ---- workers ---- */

/* The loop's own handlers would tell the parent of the child's signals. */
static void leave_event_loop(void)
{
	static const int numbers[] = { SIGCHLD, SIGTERM, SIGINT };
	const struct sigaction ordinary = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		sigaction(numbers[i], &ordinary, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_worker(const struct mse_storage *storage, bool fresh, pid_t parent, int word)
{
	struct mse_error_info err = { 0 };
	int result;

	leave_event_loop();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	result = storage->state == OPENING ? mse_disk_attach(&storage->disk, fresh, &err) :
					     mse_disk_detach(storage->disk.mount_point, storage->discard, &err);
	if (result < 0)
		(void)mse_fd_write(word, err.message, strlen(err.message), NULL);
	_exit(result < 0);
}

static int start_worker(struct mse_storage *storage, bool fresh, struct mse_error_info *err)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run_worker(storage, fresh, parent, ends[1]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	mse_close(ends[1]);
	if (pid < 0) {
		mse_close(ends[0]);
		return mse_fail_errno(err, "cannot make a process for storage");
	}
	storage->worker = pid;
	storage->word_fd = ends[0];
	return 0;
}

/* ---- gocryptfs ---- */

/* In its process, before it gives up what the shim may do. It has mounts of its own, where the disk never comes: were it the last to leave
 * the shim's, the kernel would have it unmount the disk, and wait for ever for what it alone can write. And an earlier shim's gocryptfs may
 * not be quite gone: two on one file would be its ruin. The lock stays with this process, however it ends. */
static int prepare_gocryptfs(void *context, struct mse_error_info *err)
{
	const struct mse_storage *storage = context;
	/* Among the app's helpers, where none of the memory is that waits for gocryptfs to be written: short of memory, control groups v1 would
	 * have it wait for itself. */
	int result = mse_cgroup_enter_helpers(storage->setting.group, err);

	if (result < 0)
		return result;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    umount2(MSE_SHIM_STORAGE_DIR, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return mse_fail_errno(err, "cannot take gocryptfs off mounts and network");
	while (flock(storage->lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return mse_fail_errno(err, "cannot lock the storage");
	return 0;
}

/* What it says of damaged blocks could be without end. */
static void on_said(evutil_socket_t fd, short what, void *argument)
{
	struct mse_storage *storage = argument;
	char text[512];
	ssize_t got = read(fd, text, sizeof text - 1);

	(void)what;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		forget_said(storage);
		return;
	}
	if (storage->said_size >= MAX_SAID)
		return;
	storage->said_size += (size_t)got;
	for (ssize_t i = 0; i < got; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = ' ';
	text[got] = 0;
	mse_log("from gocryptfs: %s", text);
	if (storage->said_size >= MAX_SAID)
		mse_log("what else gocryptfs says is not kept");
}

static int watch_said(struct mse_storage *storage, int *ret_end, struct mse_error_info *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	*ret_end = ends[1];
	forget_said(storage);
	storage->said_fd = ends[0];
	storage->said_size = 0;
	storage->said = event_new(storage->setting.base, ends[0], EV_READ | EV_PERSIST, on_said, storage);
	if (evutil_make_socket_nonblocking(ends[0]) < 0 || storage->said == NULL || event_add(storage->said, NULL) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot listen to gocryptfs");
	return 0;
}

static int start_gocryptfs(struct mse_storage *storage, const uint8_t key[static MSE_STORAGE_KEY_SIZE], struct mse_error_info *err)
{
	static const char *const argv[] = { MSE_GOCRYPTFS, "-fg", "-q", "-nosyslog", "-masterkey=stdin", "-plaintextnames", FOLDER_FD, FUSE_FD, NULL };
	char text[2 * MSE_STORAGE_KEY_SIZE + 2];
	mse_autoclose int messages = -1;
	struct mse_program program = { .argv = argv, .what = "gocryptfs", .input = text, .input_size = sizeof text - 1, .fd_count = 3,
		.fds = { storage->fuse, storage->disk.folder, storage->lock }, .uid = storage->setting.uid, .gid = storage->setting.gid,
		.enter = prepare_gocryptfs, .context = storage };
	int result = watch_said(storage, &messages, err);

	if (result < 0)
		return result;
	program.messages = messages;
	mse_hex_encode(text, key, MSE_STORAGE_KEY_SIZE);
	text[sizeof text - 2] = '\n';
	result = mse_program_start(&program, &storage->gocryptfs, err);
	mse_wipe(text, sizeof text);
	return result;
}

/* A mount that has no place: it is reached by its descriptor alone. Other users than the one who mounts are allowed, since mkfs and
 * e2fsck do not run as root. */
static int mount_gocryptfs(struct mse_storage *storage, struct mse_error_info *err)
{
	mse_autoclose int context = -1;
	char number[16];

	storage->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (storage->fuse < 0)
		return mse_fail_errno(err, "FUSE is needed for storage on disk (modprobe fuse), and '/dev/fuse' cannot be opened");
	snprintf(number, sizeof number, "%d", storage->fuse);
	context = fsopen("fuse", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "source", "gocryptfs", 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_STRING, "fd", number, 0) < 0 || fsconfig(context, FSCONFIG_SET_STRING, "rootmode", "40000", 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_STRING, "user_id", "0", 0) < 0 || fsconfig(context, FSCONFIG_SET_STRING, "group_id", "0", 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
	    (storage->disk.plain = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)) < 0)
		return mse_fail_errno(err, "cannot mount gocryptfs");
	return 0;
}

static int take_lock_file(struct mse_storage *storage, struct mse_error_info *err)
{
	storage->lock = open(MSE_SHIM_STORAGE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return storage->lock < 0 ? mse_fail_errno(err, "cannot open '" MSE_SHIM_STORAGE_LOCK "'") : 0;
}

/* What others have been given, and what no longer serves when they are done. */
static void let_go(struct mse_storage *storage)
{
	mse_close(mse_steal_fd(&storage->lock));
	mse_close(mse_steal_fd(&storage->fuse));
	mse_close(mse_steal_fd(&storage->disk.plain));
}

/* ---- errors of the filesystem ---- */

static int read_errors(const struct mse_storage *storage, char text[static MAX_COUNT_SIZE])
{
	ssize_t got = pread(storage->errors_fd, text, sizeof storage->errors - 1, 0);

	text[got > 0 ? got : 0] = 0;
	return got > 0 ? 0 : -1;
}

static void on_look(evutil_socket_t fd, short what, void *argument)
{
	struct mse_storage *storage = argument;
	char now[sizeof storage->errors];

	(void)fd;
	(void)what;
	if (read_errors(storage, now) == 0 && strcmp(now, storage->errors) == 0)
		return;
	forget_errors(storage);
	mse_log("the filesystem of the app's storage is damaged, or could not be written");
	storage->setting.events->lost(storage->setting.context);
}

/* Named by its loop device. */
static int open_errors(void)
{
	char link[64], target[PATH_MAX], path[PATH_MAX + 64];
	struct stat status;
	const char *name;
	ssize_t size;

	if (stat(MSE_SHIM_STORAGE_DIR, &status) < 0)
		return -1;
	snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(status.st_dev), minor(status.st_dev));
	size = readlink(link, target, sizeof target - 1);
	if (size < 0)
		return -1;
	target[size] = 0;
	name = strrchr(target, '/');
	snprintf(path, sizeof path, "/sys/fs/ext4/%s/errors_count", name == NULL ? target : name + 1);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Where the kernel does not count, the app meets the errors, and the enclave goes on. */
static void look_for_errors(struct mse_storage *storage)
{
	const struct timeval interval = { .tv_sec = LOOK_INTERVAL_S };

	storage->errors_fd = open_errors();
	if (storage->errors_fd < 0 || read_errors(storage, storage->errors) < 0 || event_add(storage->look, &interval) < 0) {
		mse_log("the errors of the app's storage are not counted here");
		forget_errors(storage);
	}
}

/* ---- from closed to open and back ---- */

static void fail(struct mse_storage *storage, const char *why)
{
	if (storage->failure[0] == 0)
		snprintf(storage->failure, sizeof storage->failure, "%s", why);
}

static void check_left(struct mse_storage *storage)
{
	bool opening = storage->failure[0] != 0;

	if (storage->state != LEAVING || storage->gocryptfs != 0)
		return;
	event_del(storage->timer);
	storage->state = CLOSED;
	if (opening)
		storage->setting.events->opened(storage->setting.context, storage->failure);
	if (storage->close_wanted || !opening)
		storage->setting.events->closed(storage->setting.context);
}

/* Nothing is mounted any more, or nothing can be done about it. */
static void leave(struct mse_storage *storage)
{
	let_go(storage);
	storage->state = LEAVING;
	if (storage->discard || storage->failure[0] != 0)
		kill_process(storage->gocryptfs);
	set_timer(storage, LEAVE_TIMEOUT_S);
	check_left(storage);
}

static void detach(struct mse_storage *storage)
{
	struct mse_error_info err;

	forget_errors(storage);
	storage->state = CLOSING;
	set_timer(storage, CLOSE_TIMEOUT_S);
	if (start_worker(storage, false, &err) < 0) {
		mse_log("%s", err.message);
		leave(storage);
	}
}

static int start_opening(struct mse_storage *storage, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE], struct mse_error_info *err)
{
	int result;

	/* An enclave that has lost its state begins anew, whatever the shim had expected. */
	if (fresh && !storage->reserved && (result = mse_storage_reserve(storage, err)) < 0)
		return result;
	storage->reserved = false;
	if ((result = take_lock_file(storage, err)) < 0 || (result = mount_gocryptfs(storage, err)) < 0 ||
	    (result = start_gocryptfs(storage, key, err)) < 0)
		return result;
	/* So that the kernel sees gocryptfs end. */
	mse_close(mse_steal_fd(&storage->fuse));
	mse_close(mse_steal_fd(&storage->lock));
	return start_worker(storage, fresh, err);
}

void mse_storage_open(struct mse_storage *storage, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE])
{
	struct mse_error_info err;

	storage->failure[0] = 0;
	storage->close_wanted = storage->discard = false;
	if (!storage->setting.host_root) {
		storage->state = OPEN;
		storage->setting.events->opened(storage->setting.context, NULL);
		return;
	}
	storage->state = OPENING;
	set_timer(storage, OPEN_TIMEOUT_S);
	if (start_opening(storage, fresh, key, &err) < 0) {
		fail(storage, err.message);
		leave(storage);
	}
}

/* Kept in memory, nothing of it survives its enclave. */
static void close_memory(struct mse_storage *storage)
{
	struct mse_error_info err;

	if (umount2(MSE_SHIM_STORAGE_DIR, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 || make_place(&storage->setting, &err) < 0)
		mse_log("$HOME in memory is not renewed");
	storage->state = CLOSED;
	storage->setting.events->closed(storage->setting.context);
}

void mse_storage_close(struct mse_storage *storage, bool discard)
{
	storage->discard |= discard;
	switch (storage->state) {
	case CLOSED:
		storage->setting.events->closed(storage->setting.context);
		break;
	case OPEN:
		if (storage->setting.host_root)
			detach(storage);
		else
			close_memory(storage);
		break;
	case OPENING:
	case LEAVING:
		storage->close_wanted = true;
		/* Whatever is being done then fails soon. */
		if (discard)
			kill_process(storage->gocryptfs);
		break;
	case CLOSING:
		if (discard)
			kill_process(storage->gocryptfs);
		break;
	}
}

static void worker_ended(struct mse_storage *storage, int status)
{
	char word[MSE_ERROR_MESSAGE_SIZE] = "";
	ssize_t got = read(storage->word_fd, word, sizeof word - 1);
	bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	word[got > 0 ? got : 0] = 0;
	mse_close(mse_steal_fd(&storage->word_fd));
	event_del(storage->timer);
	if (!done && word[0] == 0)
		snprintf(word, sizeof word, "its work was ended");
	if (storage->state == CLOSING) {
		if (!done)
			mse_log("the app's storage is not closed as it should be: %s", word);
		leave(storage);
		return;
	}
	let_go(storage);
	if (!done)
		fail(storage, word);
	else if (storage->gocryptfs == 0)
		fail(storage, "gocryptfs has ended");
	if (storage->failure[0] != 0 || storage->close_wanted) {
		detach(storage);
		return;
	}
	storage->state = OPEN;
	look_for_errors(storage);
	storage->setting.events->opened(storage->setting.context, NULL);
}

static void gocryptfs_ended(struct mse_storage *storage, int status)
{
	if (storage->state == OPENING || storage->state == OPEN)
		mse_log("gocryptfs has ended with %s %d", WIFEXITED(status) ? "exit status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	if (storage->state == OPEN)
		storage->setting.events->lost(storage->setting.context);
	check_left(storage);
}

static bool reap(pid_t *pid, int *ret_status)
{
	if (*pid <= 0 || waitpid(*pid, ret_status, WNOHANG) != *pid)
		return false;
	*pid = 0;
	return true;
}

void mse_storage_reap(struct mse_storage *storage)
{
	int status;

	if (reap(&storage->worker, &status))
		worker_ended(storage, status);
	if (reap(&storage->gocryptfs, &status))
		gocryptfs_ended(storage, status);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct mse_storage *storage = argument;

	(void)fd;
	(void)what;
	if (storage->state == OPENING)
		fail(storage, "the storage could not be opened in time");
	if (storage->state != LEAVING)
		mse_log("the app's storage takes too long");
	/* What waits for it in the kernel goes on, with an error. */
	kill_process(storage->worker);
	kill_process(storage->gocryptfs);
}
