#include "shim/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
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

#define HOSTNAME "mse"
#define TMPDIR MSE_ENCLAVE_HOME_DIR "/.tmp"
#define FIRST_DATA_FD 5
/* The arguments, the manifest, its signature, resolv.conf, hosts. */
#define MAX_DATA 5
/* Above every descriptor that has a fixed number. */
#define PARKING_FD 64
#define MAX_HOST_FILE_SIZE ((size_t)64 * 1024)
#define MAX_DIR_ENTRIES 4096
#define MIN_VOLUME_SIZE ((uint64_t)1024 * 1024)
#define RUN_SIZE ((uint64_t)4 * 1024 * 1024)

/* A sandbox in the making, in the child. */
struct sandbox {
	const struct mse_shim_config *config;
	const struct mse_shim_inputs *inputs;
	struct mse_sandbox_volume volumes[MSE_SANDBOX_VOLUMES];
	struct mse_sandbox_sources sources;
	struct mse_buffer *args; /* NUL after each */
	int data[MAX_DATA];      /* contents that bubblewrap reads, as descriptors from FIRST_DATA_FD on */
	size_t data_count;
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

/* Puts bytes where a descriptor reads them from the start, and gives it its number in bubblewrap. */
static int add_data(struct sandbox *box, const void *bytes, size_t size)
{
	mse_autoclose int fd = memfd_create("mse-shim", MFD_CLOEXEC);

	if (box->result < 0)
		return -1;
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		box->result = mse_fail_errno(box->err, "cannot hand over data in memory");
	else if (box->data_count == MAX_DATA)
		box->result = mse_fail(box->err, MSE_ERR_INTERNAL, "more data for the sandbox than expected");
	else
		box->result = mse_fd_write(fd, bytes, size, box->err);
	if (box->result < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	box->data[box->data_count++] = mse_steal_fd(&fd);
	return FIRST_DATA_FD + (int)box->data_count - 1;
}

static void add_file(struct sandbox *box, const char *option, const void *bytes, size_t size, const char *dest)
{
	char number[16];

	snprintf(number, sizeof number, "%d", add_data(box, bytes, size));
	add(box, "--perms", "0444", option, number, dest, NULL);
}

static bool is_one_of(const char *name, const char *const names[])
{
	for (size_t i = 0; names[i] != NULL; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void add_image_entry(struct sandbox *box, const char *source, const char *dest)
{
	char target[PATH_MAX];
	struct stat status;
	ssize_t size;

	if (lstat(source, &status) < 0)
		box->result = mse_fail_errno(box->err, "cannot examine '%s'", source);
	else if (!S_ISLNK(status.st_mode))
		add(box, "--ro-bind", source, dest, NULL);
	else if ((size = readlink(source, target, sizeof target - 1)) < 0)
		box->result = mse_fail_errno(box->err, "cannot read the link '%s'", source);
	else {
		target[size] = 0;
		add(box, "--symlink", target, dest, NULL);
	}
}

/* Binds every entry of a folder of the image, but those that are left out, into the same folder of the sandbox. */
static void add_image_dir(struct sandbox *box, const char *dir, const char *const left_out[])
{
	mse_autofree char *path = NULL;
	const struct dirent *entry;
	unsigned count = 0;
	DIR *stream;

	if (box->result < 0 || (box->result = mse_format(&path, box->err, "%s%s", box->sources.image, dir)) < 0)
		return;
	stream = opendir(path);
	if (stream == NULL) {
		box->result = mse_fail_errno(box->err, "cannot read the image's folder '%s/'", dir);
		return;
	}
	while (box->result == 0 && (entry = readdir(stream)) != NULL) {
		mse_autofree char *source = NULL;
		mse_autofree char *dest = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || is_one_of(entry->d_name, left_out))
			continue;
		if (++count > MAX_DIR_ENTRIES)
			box->result = mse_fail(box->err, MSE_ERR_LIMIT, "the image's folder '%s/' has more than %d entries", dir, MAX_DIR_ENTRIES);
		else if ((box->result = mse_format(&source, box->err, "%s/%s", path, entry->d_name)) == 0 &&
			 (box->result = mse_format(&dest, box->err, "%s/%s", dir, entry->d_name)) == 0)
			add_image_entry(box, source, dest);
	}
	closedir(stream);
}

/* The host's files that name resolution needs: outside what is measured, as the network is. */
static const char *const host_files[] = { "resolv.conf", "hosts", NULL };

static bool image_has(const struct sandbox *box, const char *path, mode_t type)
{
	mse_autofree char *whole = NULL;
	struct stat status;

	return mse_format(&whole, NULL, "%s%s", box->sources.image, path) == 0 && lstat(whole, &status) == 0 && (status.st_mode & S_IFMT) == type;
}

/* The image's root, entry by entry. /etc in one piece is cheaper, but has places only for the host's files that the image has. */
static void add_image(struct sandbox *box)
{
	static const char *const left_out[] = { "dev", "proc", "sys", "root", "tmp", "run", "mse", "mse-app", "etc", NULL };
	bool in_one_piece = image_has(box, "/etc/resolv.conf", S_IFREG) && image_has(box, "/etc/hosts", S_IFREG);

	add_image_dir(box, "", left_out);
	if (!image_has(box, "/etc", S_IFDIR) || in_one_piece) {
		mse_autofree char *source = NULL;

		if (box->result == 0 && (box->result = mse_path_join(box->sources.image, "etc", &source, box->err)) == 0 && mse_path_exists(source))
			add_image_entry(box, source, "/etc");
		return;
	}
	add(box, "--perms", "0755", "--dir", "/etc", NULL);
	add_image_dir(box, "/etc", host_files);
}

static void add_host_files(struct sandbox *box)
{
	if (box->result < 0 || !image_has(box, "/etc", S_IFDIR))
		return;
	for (size_t i = 0; host_files[i] != NULL; i++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *content = mse_buffer_new(MAX_HOST_FILE_SIZE + 64);
		mse_autofree char *path = NULL;
		mse_autofree uint8_t *bytes = NULL;
		size_t size = 0;

		if (content == NULL)
			box->result = mse_fail_nomem(box->err);
		if (box->result < 0 || (box->result = mse_format(&path, box->err, "/etc/%s", host_files[i])) < 0)
			return;
		/* A host without the file, or with one beyond reason, resolves no names for its apps either. */
		if (mse_file_read(path, MAX_HOST_FILE_SIZE, &bytes, &size, NULL) == 0 && size > 0)
			box->result = mse_buffer_append(content, bytes, size, box->err);
		if (box->result == 0 && strcmp(host_files[i], "hosts") == 0)
			box->result = mse_buffer_append_text(content, "\n127.0.0.1 localhost " HOSTNAME "\n", box->err);
		if (box->result == 0 && mse_buffer_size(content) > 0)
			add_file(box, "--ro-bind-data", mse_buffer_data(content), mse_buffer_size(content), path);
	}
}

static void add_volumes(struct sandbox *box)
{
	for (size_t i = 0; i < MSE_SANDBOX_VOLUMES; i++) {
		const struct mse_sandbox_volume *volume = &box->volumes[i];

		add(box, "--bind", box->sources.volumes[i], volume->path, NULL);
	}
	add(box, "--perms", "0700", "--dir", TMPDIR, NULL);
}

static uint64_t at_least_minimum(uint64_t size)
{
	return size < MIN_VOLUME_SIZE ? MIN_VOLUME_SIZE : size;
}

static void add_devices(struct sandbox *box)
{
	add(box, "--dev", "/dev", NULL);
	add_tmpfs(box, "/dev/shm", 01777, at_least_minimum(box->inputs->manifest->memory / 8));
	add(box, "--remount-ro", "/dev", "--proc", "/proc", NULL);
}

static void add_runtime(struct sandbox *box)
{
	add(box, "--perms", "0755", "--dir", "/mse", "--perms", "0755", "--dir", "/mse/bin", "--perms", "0755", "--dir", MSE_ENCLAVE_LIB_DIR, NULL);
	for (size_t i = 0; i < box->inputs->runtime_count && box->result == 0; i++) {
		const char *name = box->inputs->runtime[i].name;
		mse_autofree char *dest = NULL;

		if (strcmp(name, MSE_ENCLAVE_PROGRAM_NAME) == 0)
			box->result = mse_strdup(MSE_ENCLAVE_PROGRAM, &dest, box->err);
		else
			box->result = mse_path_join(MSE_ENCLAVE_LIB_DIR, name, &dest, box->err);
		if (box->result == 0)
			add(box, "--ro-bind", box->sources.runtime[i], dest, NULL);
	}
	add_file(box, "--file", box->inputs->manifest_bytes, box->inputs->manifest_size, MSE_ENCLAVE_MANIFEST_PATH);
	add_file(box, "--file", box->inputs->signature, MSE_SIGNATURE_SIZE, MSE_ENCLAVE_MANIFEST_SIGNATURE_PATH);
	add(box, "--ro-bind", box->sources.bundle, MSE_ENCLAVE_BUNDLE_PATH, NULL);
}

static void add_environment(struct sandbox *box)
{
	static const char *const variables[][2] = {
		{ "HOME", MSE_ENCLAVE_HOME_DIR }, { "SECRETS_PATH", MSE_ENCLAVE_HOME_DIR "/.cache/mse/secrets.json" },
		{ "TMP_PATH", MSE_ENCLAVE_TMP_DIR }, { "MODULE_PATH", MSE_ENCLAVE_APP_DIR }, { "TMPDIR", TMPDIR },
		{ "PATH", "/usr/local/bin:/usr/bin:/bin" }, { "LANG", "C.UTF-8" },
	};

	add(box, "--clearenv", NULL);
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		add(box, "--setenv", variables[i][0], variables[i][1], NULL);
}

/* All of bubblewrap's options, in the order in which it acts on them. */
static int gather(struct sandbox *box)
{
	add(box, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--disable-userns", NULL);
	add(box, "--uid", "0", "--gid", "0", "--hostname", HOSTNAME, "--die-with-parent", "--new-session", "--cap-drop", "ALL", NULL);
	/* No process of bubblewrap's beside the enclave: it would have no filter, and the app, of the same user, could write its memory. */
	add(box, "--as-pid-1", NULL);
	add_image(box);
	add_volumes(box);
	add_host_files(box);
	add_devices(box);
	add_runtime(box);
	add_environment(box);
	add(box, "--remount-ro", "/", "--chdir", "/", NULL);
	return box->result;
}

/* Gives every descriptor its number and closes all others. */
static int arrange_descriptors(const struct sandbox *box, const struct mse_sandbox_descriptors *descriptors, struct mse_error_info *err)
{
	int parked[FIRST_DATA_FD + MAX_DATA], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int fixed[FIRST_DATA_FD] = { null, descriptors->messages, descriptors->messages, descriptors->channel, descriptors->listener };
	size_t count = FIRST_DATA_FD + box->data_count;

	for (size_t i = 0; i < count; i++) {
		parked[i] = fcntl(i < FIRST_DATA_FD ? fixed[i] : box->data[i - FIRST_DATA_FD], F_DUPFD_CLOEXEC, PARKING_FD);
		if (parked[i] < 0)
			return mse_fail_errno(err, "cannot arrange the sandbox's descriptors");
	}
	for (size_t i = 0; i < count; i++)
		if (dup2(parked[i], (int)i) < 0)
			return mse_fail_errno(err, "cannot arrange the sandbox's descriptors");
	if (close_range((unsigned)count, ~0u, 0) < 0)
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

static int lower_limits(const struct mse_shim_config *config, struct mse_error_info *err)
{
	struct rlimit files, none = { 0, 0 };

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return mse_fail_errno(err, "cannot read the limit of open files");
	if (files.rlim_max > config->open_files)
		files.rlim_max = config->open_files;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return mse_fail_errno(err, "cannot lower limits");
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
		/* Until $HOME is on disk, its limit is the smaller of storage and memory. */
		{ MSE_ENCLAVE_HOME_DIR, "home", 0700, manifest->storage < quarter ? at_least_minimum(manifest->storage) : quarter },
		{ MSE_ENCLAVE_APP_DIR, "app", 0755, half },
	};

	memcpy(box->volumes, volumes, sizeof volumes);
}

/* The child's part, up to bubblewrap; returns only with an error. */
static int run(struct sandbox *box, const struct mse_sandbox_descriptors *descriptors, pid_t parent, struct mse_error_info *err)
{
	static char *const no_environment[] = { NULL };
	char number[16];
	char *const argv[] = { (char *)"bwrap", (char *)"--args", number, (char *)"--", (char *)MSE_ENCLAVE_PROGRAM, NULL };
	int result;

	umask(022);
	reset_signals();
	set_volumes(box);
	box->args = mse_buffer_new((size_t)8 * 1024 * 1024);
	if (box->args == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_sandbox_mount(box->config, box->inputs, box->volumes, &box->sources, err)) < 0 || (result = gather(box)) < 0)
		return result;
	snprintf(number, sizeof number, "%d", add_data(box, mse_buffer_data(box->args), mse_buffer_size(box->args)));
	if ((result = box->result) < 0 || (result = arrange_descriptors(box, descriptors, err)) < 0 || (result = lower_limits(box->config, err)) < 0 ||
	    (result = drop_privileges(box->config, parent, err)) < 0)
		return result;
	execve(MSE_BWRAP, argv, no_environment);
	return mse_fail_errno(err, "cannot run " MSE_BWRAP);
}

int mse_sandbox_start(const struct mse_shim_config *config, bool host_root, const struct mse_shim_inputs *inputs,
	const struct mse_sandbox_descriptors *descriptors, const struct mse_cgroup *group, pid_t *ret_pid, struct mse_error_info *err)
{
	pid_t parent = getpid(), pid;

	if (host_root != (config->uid != 0))
		return mse_fail(err, MSE_ERR_INPUT, host_root ? "as root, an app needs a user of its own" : "only root can give an app a user of its own");
	pid = fork();
	if (pid < 0)
		return mse_fail_errno(err, "cannot make a process");
	if (pid == 0) {
		struct mse_error_info child_err = { 0 };
		struct sandbox box = { .config = config, .inputs = inputs, .err = &child_err };

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
