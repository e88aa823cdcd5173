#include "shim/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "shim/sandbox_mounts.h"
#include "tee/channel.h"

/* bubblewrap's arguments. */
#define ARGUMENTS_FD 6
#define DESCRIPTORS 7
/* Above every descriptor that has a fixed number. */
#define PARKING_FD 64
#define DEV_SIZE ((uint64_t)64 * 1024)
#define STACK_SIZE ((rlim_t)8 * 1024 * 1024)
#define MAX_PENDING_SIGNALS 1024
#define MIN_VOLUME_SIZE ((uint64_t)1024 * 1024)
#define RUN_SIZE ((uint64_t)4 * 1024 * 1024)

/* A sandbox in the making, in the child. */
struct sandbox {
	const struct mse_shim_config *config;
	const struct mse_shim_inputs *inputs;
	const struct mse_network *network;
	struct mse_sandbox_volume volumes[MSE_SANDBOX_VOLUMES];
	struct mse_buffer *args; /* NUL after each */
	int result; /* the first failure while arguments are gathered */
	struct mse_error_info *err;
};

static void add(struct sandbox *box, const char *first, ...) __attribute__((sentinel));
static void add(struct sandbox *box, const char *first, ...)
{
	va_list args;

	va_start(args, first);
	for (const char *arg = first; arg != NULL && box->result == 0; arg = va_arg(args, const char *))
		box->result = mse_buffer_append(box->args, arg, strlen(arg) + 1, box->err);
	va_end(args);
}

/* bubblewrap's --size is said before the --tmpfs that it is about. */
static void add_tmpfs(struct sandbox *box, const char *path, unsigned mode, uint64_t size)
{
	char mode_text[16], size_text[32];

	snprintf(mode_text, sizeof mode_text, "%04o", mode);
	snprintf(size_text, sizeof size_text, "%" PRIu64, size);
	add(box, "--perms", mode_text, "--size", size_text, "--tmpfs", path, NULL);
}

static bool is_one_of(const char *name, const char *const names[])
{
	for (size_t i = 0; names[i] != NULL; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void add_volumes(struct sandbox *box)
{
	for (size_t i = 0; i < MSE_SANDBOX_VOLUMES; i++) {
		const struct mse_sandbox_volume *volume = &box->volumes[i];
		mse_autofree char *source = NULL;

		if (box->result == 0 && (box->result = mse_path_join(MSE_SANDBOX_STAGING, volume->name, &source, box->err)) == 0)
			add(box, "--bind", source, volume->path, NULL);
	}
	add(box, "--bind", MSE_SANDBOX_HOME, MSE_ENCLAVE_HOME_DIR, NULL);
}

static uint64_t at_least_minimum(uint64_t size)
{
	return size < MIN_VOLUME_SIZE ? MIN_VOLUME_SIZE : size;
}

/* No terminals, no console, no /dev/fuse, no tunnels. */
static void add_devices(struct sandbox *box)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom" };
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" }, { "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" },
	};

	add_tmpfs(box, "/dev", 0755, DEV_SIZE);
	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
		add(box, "--dev-bind", devices[i], devices[i], NULL);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		add(box, "--symlink", links[i][0], links[i][1], NULL);
	add(box, "--dir", "/dev/shm", NULL);
	add(box, "--remount-ro", "/dev", NULL);
}

/* Covers one entry of /proc unless it is about the process itself, or about what CPUID and uname() tell anyway. */
static void add_proc_entry(struct sandbox *box, const struct dirent *entry)
{
	static const char *const shown[] = { ".", "..", "self", "thread-self", "mounts", "net", "cpuinfo", "filesystems", "version", NULL };
	static const char *const replaced[] = { "meminfo", "loadavg", "stat", NULL };
	mse_autofree char *dest = NULL;
	mse_autofree char *source = NULL;

	if (is_one_of(entry->d_name, shown) || (entry->d_name[0] >= '0' && entry->d_name[0] <= '9'))
		return;
	if ((box->result = mse_path_join("/proc", entry->d_name, &dest, box->err)) < 0)
		return;
	if (!is_one_of(entry->d_name, replaced))
		add(box, "--ro-bind", entry->d_type == DT_DIR ? MSE_SANDBOX_NO_FOLDER : MSE_SANDBOX_NO_FILE, dest, NULL);
	else if ((box->result = mse_path_join(MSE_SANDBOX_PROC, entry->d_name, &source, box->err)) == 0)
		add(box, "--ro-bind", source, dest, NULL);
}

/* A fresh one, of this process namespace. What it has beside processes is the host's, and is covered: all of it but what is known to be harmless,
 * since every kernel has something more. Read-only, so that none of its files is a door, /proc/self/mem among them. */
static void add_proc(struct sandbox *box)
{
	DIR *stream = opendir("/proc");
	const struct dirent *entry;

	add(box, "--proc", "/proc", NULL);
	if (box->result == 0 && stream == NULL)
		box->result = mse_fail_errno(box->err, "cannot read /proc");
	while (box->result == 0 && (entry = readdir(stream)) != NULL)
		add_proc_entry(box, entry);
	if (stream != NULL)
		closedir(stream);
	add(box, "--remount-ro", "/proc", NULL);
}

/* All of bubblewrap's options, in the order in which it acts on them. */
static int gather(struct sandbox *box)
{
	add(box, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--disable-userns", NULL);
	if (mse_network_namespace(box->network) < 0)
		add(box, "--unshare-net", NULL);
	add(box, "--uid", "0", "--gid", "0", "--hostname", MSE_SANDBOX_HOSTNAME, "--die-with-parent", "--new-session", "--cap-drop", "ALL", NULL);
	/* No process of bubblewrap's beside the enclave: it would have no filter, and the app, of the same user, could write its memory. */
	add(box, "--as-pid-1", NULL);
	add(box, "--ro-bind", MSE_SANDBOX_ROOT, "/", "--ro-bind", MSE_SANDBOX_MSE, "/mse", NULL);
	add_devices(box);
	add_volumes(box);
	add_proc(box);
	/* What the app sees of an environment is the enclave's to say, which is measured. */
	add(box, "--clearenv", "--chdir", "/", NULL);
	return box->result;
}

/* Opened anew: the shim's own descriptor would share its position with that of every enclave. */
static int open_bundle(const struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", inputs->bundle.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? mse_fail_errno(err, "cannot open the bundle") : fd;
}

static int arguments_in_memory(const struct sandbox *box, struct mse_error_info *err)
{
	mse_autoclose int fd = memfd_create("mse-shim", MFD_CLOEXEC);
	int result;

	if (fd < 0)
		return mse_fail_errno(err, "cannot hand over arguments in memory");
	if ((result = mse_fd_write(fd, mse_buffer_data(box->args), mse_buffer_size(box->args), err)) < 0)
		return result;
	return lseek(fd, 0, SEEK_SET) < 0 ? mse_fail_errno(err, "cannot hand over arguments in memory") : mse_steal_fd(&fd);
}

/* Gives every descriptor its number and closes all others. */
static int arrange_descriptors(const struct sandbox *box, const struct mse_sandbox_descriptors *descriptors, struct mse_error_info *err)
{
	int bundle = open_bundle(box->inputs, err), arguments = bundle < 0 ? bundle : arguments_in_memory(box, err);
	const int fixed[DESCRIPTORS] = {
		[0] = open("/dev/null", O_RDONLY | O_CLOEXEC),
		[1] = descriptors->messages,
		[2] = descriptors->messages,
		[MSE_ENCLAVE_CHANNEL_FD] = descriptors->channel,
		[MSE_ENCLAVE_LISTEN_FD] = descriptors->listener,
		[MSE_ENCLAVE_BUNDLE_FD] = bundle,
		[ARGUMENTS_FD] = arguments,
	};
	int parked[DESCRIPTORS];

	if (arguments < 0)
		return arguments;
	for (int i = 0; i < DESCRIPTORS; i++)
		if ((parked[i] = fcntl(fixed[i], F_DUPFD_CLOEXEC, PARKING_FD)) < 0)
			return mse_fail_errno(err, "cannot arrange the sandbox's descriptors");
	for (int i = 0; i < DESCRIPTORS; i++)
		if (dup2(parked[i], i) < 0)
			return mse_fail_errno(err, "cannot arrange the sandbox's descriptors");
	if (close_range(DESCRIPTORS, ~0u, 0) < 0)
		return mse_fail_errno(err, "cannot close the other descriptors");
	return 0;
}

static int drop_privileges(const struct mse_shim_config *config, pid_t parent, struct mse_error_info *err)
{
	if (config->uid != 0 && (setgroups(0, NULL) < 0 || setresgid(config->gid, config->gid, config->gid) < 0 ||
				      setresuid(config->uid, config->uid, config->uid) < 0))
		return mse_fail_errno(err, "cannot become the app's user %" PRIu32, config->uid);
	/* A change of user clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return mse_fail_errno(err, "cannot tie the sandbox to its shim");
	if (getppid() != parent)
		return mse_fail(err, MSE_ERR_CLOSED, "the shim ended");
	return 0;
}

/* What neither control groups nor the filter of system calls bound. */
static int lower_limits(const struct mse_shim_config *config, struct mse_error_info *err)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_NOFILE, config->open_files },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_SIGPENDING, MAX_PENDING_SIGNALS },
		{ RLIMIT_MSGQUEUE, 0 },
		{ RLIMIT_NICE, 0 },
		{ RLIMIT_RTPRIO, 0 },
		{ RLIMIT_STACK, STACK_SIZE },
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit limit;

		if (getrlimit(limits[i].what, &limit) < 0)
			return mse_fail_errno(err, "cannot read a limit");
		if (limit.rlim_max > limits[i].most)
			limit.rlim_max = limits[i].most;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(limits[i].what, &limit) < 0)
			return mse_fail_errno(err, "cannot lower limits");
	}
	return 0;
}

static void reset_signals(void)
{
	struct sigaction ordinary = { .sa_handler = SIG_DFL };
	sigset_t none;

	sigaction(SIGPIPE, &ordinary, NULL);
	sigaction(SIGHUP, &ordinary, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_volumes(struct sandbox *box)
{
	const struct mse_manifest *manifest = box->inputs->manifest;
	uint64_t quarter = at_least_minimum(manifest->memory / 4), half = at_least_minimum(manifest->memory / 2);
	const struct mse_sandbox_volume volumes[MSE_SANDBOX_VOLUMES] = {
		{ "/run", "run", 0755, RUN_SIZE },
		{ MSE_ENCLAVE_TMP_DIR, "tmp", 01777, quarter },
		{ MSE_ENCLAVE_APP_DIR, "app", 0755, half },
		{ "/dev/shm", "shm", 01777, at_least_minimum(manifest->memory / 8) },
	};

	memcpy(box->volumes, volumes, sizeof volumes);
}

static int enter_network(const struct mse_network *network, struct mse_error_info *err)
{
	int namespace = mse_network_namespace(network);

	return namespace >= 0 && setns(namespace, CLONE_NEWNET) < 0 ? mse_fail_errno(err, "cannot enter the app's network") : 0;
}

/* The child's part, up to bubblewrap; returns only with an error. */
static int run(struct sandbox *box, const struct mse_sandbox_descriptors *descriptors, pid_t parent, struct mse_error_info *err)
{
	static char *const no_environment[] = { NULL };
	char number[] = { '0' + ARGUMENTS_FD, 0 };
	char *const argv[] = { (char *)"bwrap", (char *)"--args", number, (char *)"--", (char *)MSE_ENCLAVE_PROGRAM, NULL };
	int result;

	umask(022);
	reset_signals();
	if ((result = enter_network(box->network, err)) < 0)
		return result;
	set_volumes(box);
	box->args = mse_buffer_new((size_t)8 * 1024 * 1024);
	if (box->args == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_sandbox_mount(box->config, box->inputs, box->network, box->volumes, err)) < 0 || (result = gather(box)) < 0 ||
	    (result = arrange_descriptors(box, descriptors, err)) < 0 || (result = lower_limits(box->config, err)) < 0 ||
	    (result = drop_privileges(box->config, parent, err)) < 0)
		return result;
	execve(MSE_BWRAP, argv, no_environment);
	return mse_fail_errno(err, "cannot run " MSE_BWRAP);
}

int mse_sandbox_start(const struct mse_shim_config *config, bool host_root, const struct mse_shim_inputs *inputs,
	const struct mse_network *network, const struct mse_sandbox_descriptors *descriptors, const struct mse_cgroup *group, pid_t *ret_pid, struct mse_error_info *err)
{
	pid_t parent = getpid(), pid;

	if (host_root != (config->uid != 0))
		return mse_fail(err, MSE_ERR_INPUT, host_root ? "as root, an app needs a user of its own" : "only root can give an app a user of its own");
	pid = fork();
	if (pid < 0)
		return mse_fail_errno(err, "cannot make a process");
	if (pid == 0) {
		struct mse_error_info child_err = { 0 };
		struct sandbox box = { .config = config, .inputs = inputs, .network = network, .err = &child_err };

		/* In the group from its first moment on, so that whatever is made for the app counts as the app's. */
		if (dup2(descriptors->messages, STDERR_FILENO) >= 0 && mse_cgroup_enter_enclave(group, &child_err) == 0)
			run(&box, descriptors, parent, &child_err);
		dprintf(STDERR_FILENO, "mse-shim: %s\n", child_err.message);
		_exit(125);
	}
	*ret_pid = pid;
	return 0;
}

/* Loaders begin in the app's folder, where nobody else works; a finished sandbox has a root of its own. */
static bool is_leftover(int process, const struct stat *folder)
{
	char name[16] = "";
	struct stat cwd;
	mse_autoclose int comm = openat(process, "comm", O_RDONLY | O_CLOEXEC);

	return comm >= 0 && read(comm, name, sizeof name - 1) > 0 && strcmp(name, "bwrap\n") == 0 && fstatat(process, "cwd", &cwd, 0) == 0 &&
	       cwd.st_dev == folder->st_dev && cwd.st_ino == folder->st_ino;
}

static void kill_leftover(int processes, const char *name, const struct stat *folder)
{
	mse_autoclose int process = -1;
	uint64_t pid;

	if (mse_parse_u64(name, 2, INT32_MAX, &pid, "a process", NULL) < 0)
		return;
	process = openat(processes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process < 0 || !is_leftover(process, folder))
		return;
	mse_log("process %s is left of a sandbox that was never finished, and is killed", name);
	if (kill((pid_t)pid, SIGKILL) < 0)
		mse_log("cannot kill process %s: %m", name);
}

void mse_sandbox_kill_leftovers(void)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	struct stat folder;

	if (processes == NULL || stat(".", &folder) < 0)
		mse_log("cannot look for what is left of earlier sandboxes: %m");
	else
		while ((entry = readdir(processes)) != NULL)
			kill_leftover(dirfd(processes), entry->d_name, &folder);
	if (processes != NULL)
		closedir(processes);
}
