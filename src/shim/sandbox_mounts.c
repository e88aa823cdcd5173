#include "shim/sandbox_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "tee/channel.h"

#define STAGING MSE_SANDBOX_STAGING
#define STAGING_SIZE ((uint64_t)1024 * 1024)
#define STAGING_INODES 256
/* What a file costs in a tmpfs beyond its content is bounded by the number of files. */
#define BYTES_PER_INODE 4096u
#define FIRST_INODES 1024u

/* A detached, read-only mount of what was checked. */
static int detach(const struct mse_shim_file *file, int *ret_tree, struct mse_error_info *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };
	mse_autoclose int tree = open_tree(file->fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);

	if (tree < 0)
		return mse_fail_errno(err, "cannot take '%s' into the sandbox", file->path);
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
		return mse_fail_errno(err, "cannot make '%s' read-only in the sandbox", file->path);
	*ret_tree = mse_steal_fd(&tree);
	return 0;
}

static int make_folder(const char *path, mode_t mode, struct mse_error_info *err)
{
	return mkdir(path, mode) < 0 ? mse_fail_errno(err, "cannot make '%s'", path) : 0;
}

static int make_file(const char *path, const void *content, size_t size, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	return fd < 0 ? mse_fail_errno(err, "cannot make '%s'", path) : mse_fd_write(fd, content, size, err);
}

/* What stands over the image: the folders that are mounted upon, and how names resolve. */
static int make_places(const struct mse_network *network, struct mse_error_info *err)
{
	const char *resolv_conf = mse_network_resolv_conf_text(network), *hosts = mse_network_hosts_text(network);
	static const char *const folders[] = { "", "/dev", "/proc", "/root", "/tmp", "/run", "/mse", MSE_ENCLAVE_APP_DIR, "/etc" };
	int result;

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		mse_autofree char *path = NULL;

		if ((result = mse_format(&path, err, STAGING "/places%s", folders[i])) < 0 || (result = make_folder(path, 0755, err)) < 0)
			return result;
	}
	/* The image's folder, should it have one, is not to be seen: this is how an overlay says so. */
	if (mknod(STAGING "/places/sys", S_IFCHR, 0) < 0)
		return mse_fail_errno(err, "cannot hide the image's /sys");
	/* What name resolution needs is outside what is measured, as the network is. */
	if ((result = make_file(STAGING "/places/etc/resolv.conf", resolv_conf, strlen(resolv_conf), err)) < 0)
		return result;
	return make_file(STAGING "/places/etc/hosts", hosts, strlen(hosts), err);
}

/* The image in one read-only piece. As an overlay its place in the table of mounts says nothing of where it comes from, while files in
 * use by several apps are in memory once. Relative names say the least. */
static int attach_image(int tree, const struct mse_network *network, struct mse_error_info *err)
{
	mse_autoclose int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (before < 0)
		return mse_fail_errno(err, "cannot open the current folder");
	if ((result = make_folder(STAGING "/image", 0755, err)) < 0 || (result = make_folder(MSE_SANDBOX_ROOT, 0755, err)) < 0)
		return result;
	if (move_mount(tree, "", AT_FDCWD, STAGING "/image", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return mse_fail_errno(err, "cannot mount the image");
	if ((result = make_places(network, err)) < 0)
		return result;
	/* What an image's attributes say of other folders is nothing to follow. */
	if (chdir(STAGING) < 0 || mount("mse", "root", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, "lowerdir=places:image,redirect_dir=nofollow,metacopy=off") < 0)
		return mse_fail_errno(err, "cannot lay places for mounts over the image: is there overlayfs (and, for an ordinary user, Linux 5.11 or later)?");
	return fchdir(before) < 0 ? mse_fail_errno(err, "cannot return to the app's folder") : 0;
}

static int copy_content(int from, int to, struct mse_error_info *err)
{
	uint8_t block[65536];
	off_t at = 0;
	ssize_t got;

	while ((got = pread(from, block, sizeof block, at)) > 0) {
		int result = mse_fd_write(to, block, (size_t)got, err);

		if (result < 0)
			return result;
		at += got;
	}
	return got < 0 ? mse_fail_errno(err, "cannot read") : 0;
}

/* Mounts the file. One that was replaced since it was checked, by an upgrade perhaps, has no name any more and cannot be mounted: a
 * copy of what was checked serves as well, if at the price of memory. */
static int attach_file(int tree, const struct mse_shim_file *file, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autoclose int fd = -1;
	bool is_program = strcmp(file->name, MSE_ENCLAVE_PROGRAM_NAME) == 0;
	int result = mse_format(&path, err, STAGING "%s/%s", is_program ? MSE_ENCLAVE_BIN_DIR : MSE_ENCLAVE_LIB_DIR, file->name);

	if (result < 0)
		return result;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
	if (fd < 0)
		return mse_fail_errno(err, "cannot make '%s'", path);
	if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		if (errno != ENOENT)
			return mse_fail_errno(err, "cannot mount '%s'", path);
		if ((result = copy_content(file->fd, fd, err)) < 0)
			return mse_context(err, "cannot copy '%s'", file->path);
	}
	return 0;
}

static int attach_runtime(const int trees[], const struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	int result;

	if ((result = make_folder(MSE_SANDBOX_MSE, 0755, err)) < 0 || (result = make_folder(STAGING MSE_ENCLAVE_BIN_DIR, 0755, err)) < 0 ||
	    (result = make_folder(STAGING MSE_ENCLAVE_LIB_DIR, 0755, err)) < 0)
		return result;
	for (size_t i = 0; i < inputs->runtime_count; i++)
		if ((result = attach_file(trees[i], &inputs->runtime[i], err)) < 0)
			return result;
	if ((result = make_file(STAGING MSE_ENCLAVE_MANIFEST_PATH, inputs->manifest_bytes, inputs->manifest_size, err)) < 0)
		return result;
	return make_file(STAGING MSE_ENCLAVE_MANIFEST_SIGNATURE_PATH, inputs->signature, MSE_SIGNATURE_SIZE, err);
}

/* For the few files of /proc that programs ask about the machine: the app's share of memory, and of what others do nothing. */
static int make_proc(const struct mse_manifest *manifest, struct mse_error_info *err)
{
	mse_autofree char *memory = NULL;
	uint64_t size = manifest->memory / 1024;
	static const char load[] = "0.00 0.00 0.00 1/1 1\n", processors[] = "cpu  0 0 0 0 0 0 0 0 0 0\n";
	int result;

	if ((result = mse_format(&memory, err,
		     "MemTotal:       %8" PRIu64 " kB\nMemFree:        %8" PRIu64 " kB\nMemAvailable:   %8" PRIu64
		     " kB\nBuffers:               0 kB\nCached:                0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n",
		     size, size, size)) < 0 ||
	    (result = make_folder(MSE_SANDBOX_PROC, 0755, err)) < 0 ||
	    (result = make_file(MSE_SANDBOX_PROC "/meminfo", memory, strlen(memory), err)) < 0 ||
	    (result = make_file(MSE_SANDBOX_PROC "/loadavg", load, sizeof load - 1, err)) < 0 ||
	    (result = make_file(MSE_SANDBOX_PROC "/stat", processors, sizeof processors - 1, err)) < 0 ||
	    (result = make_folder(MSE_SANDBOX_NO_FOLDER, 0555, err)) < 0)
		return result;
	return make_file(MSE_SANDBOX_NO_FILE, "", 0, err);
}

/* Memory that is never swapped out, where the kernel can say so (6.4, to the host's root). */
static int mount_tmpfs(const char *path, const char *options)
{
	mse_autofree char *more = NULL;

	if (mse_format(&more, NULL, "%s,noswap", options) == 0 && mount("mse", path, "tmpfs", MS_NOSUID | MS_NODEV, more) == 0)
		return 0;
	return mount("mse", path, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

static int attach_volume(const struct mse_shim_config *config, const struct mse_sandbox_volume *volume, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autofree char *options = NULL;
	int result;

	if ((result = mse_format(&path, err, STAGING "/%s", volume->name)) < 0 ||
	    (result = mse_format(&options, err, "mode=%04o,uid=%" PRIu32 ",gid=%" PRIu32 ",size=%" PRIu64 ",nr_inodes=%" PRIu64, volume->mode,
		     config->uid, config->gid, volume->size, volume->size / BYTES_PER_INODE + FIRST_INODES)) < 0)
		return result;
	if (mkdir(path, 0755) < 0 || mount_tmpfs(path, options) < 0)
		return mse_fail_errno(err, "cannot make the folder '%s' in memory", volume->path);
	return 0;
}

struct trees {
	int image;
	int home;
	int runtime[MSE_MANIFEST_MAX_FILES];
};

static void trees_clear(struct trees *trees)
{
	mse_close(trees->image);
	mse_close(trees->home);
	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		mse_close(trees->runtime[i]);
}

/* The place of the app's storage, which is still to be mounted: a copy that receives, and gives nothing. */
static int detach_home(int *ret_tree, struct mse_error_info *err)
{
	struct mount_attr attributes = { .propagation = MS_SLAVE };
	mse_autoclose int tree = open_tree(AT_FDCWD, MSE_SHIM_STORAGE_DIR, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
		return mse_fail_errno(err, "cannot take the place of $HOME into the sandbox");
	*ret_tree = mse_steal_fd(&tree);
	return 0;
}

static int attach_home(int tree, struct mse_error_info *err)
{
	if (mkdir(MSE_SANDBOX_HOME, 0755) < 0 || move_mount(tree, "", AT_FDCWD, MSE_SANDBOX_HOME, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return mse_fail_errno(err, "cannot mount the place of $HOME");
	return 0;
}

/* Before the namespace is left: descriptors belong to the mounts of the one in which they were opened. */
static int detach_all(const struct mse_shim_inputs *inputs, struct trees *trees, struct mse_error_info *err)
{
	int result = detach(&inputs->image, &trees->image, err);

	if (result == 0)
		result = detach_home(&trees->home, err);
	for (size_t i = 0; result == 0 && i < inputs->runtime_count; i++)
		result = detach(&inputs->runtime[i], &trees->runtime[i], err);
	return result;
}

/* Room for copies of all files; only what is used costs memory. */
static int staging_size(const struct mse_shim_inputs *inputs, uint64_t *ret_size, struct mse_error_info *err)
{
	*ret_size = STAGING_SIZE;
	for (size_t i = 0; i < inputs->runtime_count; i++) {
		const struct mse_shim_file *file = &inputs->runtime[i];
		struct stat status;

		if (fstat(file->fd, &status) < 0)
			return mse_fail_errno(err, "cannot examine '%s'", file->path);
		*ret_size += (uint64_t)status.st_size;
	}
	return 0;
}

static int enter_namespace(const struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	mse_autofree char *options = NULL;
	uint64_t size;
	int result;

	if ((result = staging_size(inputs, &size, err)) < 0 || (result = mse_format(&options, err, "mode=0755,nr_inodes=%d,size=%" PRIu64, STAGING_INODES, size)) < 0)
		return result;
	if (unshare(CLONE_NEWNS) < 0)
		return mse_fail_errno(err, "cannot make a mount namespace");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return mse_fail_errno(err, "cannot make mounts private");
	if (mount("mse", STAGING, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return mse_fail_errno(err, "cannot mount the staging folder");
	return 0;
}

int mse_sandbox_mount(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs, const struct mse_network *network,
	const struct mse_sandbox_volume volumes[static MSE_SANDBOX_VOLUMES], struct mse_error_info *err)
{
	mse_cleanup(trees_clear) struct trees trees = { .image = -1, .home = -1 };
	int result;

	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		trees.runtime[i] = -1;
	if ((result = detach_all(inputs, &trees, err)) < 0 || (result = enter_namespace(inputs, err)) < 0 || (result = attach_image(trees.image, network, err)) < 0 ||
	    (result = attach_runtime(trees.runtime, inputs, err)) < 0 || (result = make_proc(inputs->manifest, err)) < 0 ||
	    (result = attach_home(trees.home, err)) < 0)
		return result;
	for (size_t i = 0; i < MSE_SANDBOX_VOLUMES; i++)
		if ((result = attach_volume(config, &volumes[i], err)) < 0)
			return result;
	return 0;
}
