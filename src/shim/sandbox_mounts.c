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

/* A folder that every system has; covered in the child's own mount namespace only. */
#define STAGING "/tmp"
#define STAGING_SIZE ((uint64_t)1024 * 1024)
/* What a file costs in a tmpfs beyond its content is bounded by the number of files. */
#define BYTES_PER_INODE 4096u
#define FIRST_INODES 1024u

void mse_sandbox_sources_clear(struct mse_sandbox_sources *sources)
{
	free(sources->image);
	free(sources->bundle);
	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		free(sources->runtime[i]);
	for (size_t i = 0; i < MSE_SANDBOX_VOLUMES; i++)
		free(sources->volumes[i]);
	*sources = (struct mse_sandbox_sources){ 0 };
}

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

static int attach_image(int tree, char **ret_path, struct mse_error_info *err)
{
	static const char path[] = STAGING "/image";

	if (mkdir(path, 0755) < 0 || move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return mse_fail_errno(err, "cannot mount '%s'", path);
	return mse_strdup(path, ret_path, err);
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
static int attach_file(int tree, const struct mse_shim_file *file, const char *name, char **ret_path, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autoclose int fd = -1;
	int result = mse_format(&path, err, STAGING "/%s", name);

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
	*ret_path = mse_steal(path);
	return 0;
}

static int attach_volume(const struct mse_shim_config *config, const struct mse_sandbox_volume *volume, char **ret_path, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autofree char *options = NULL;
	int result;

	if ((result = mse_format(&path, err, STAGING "/%s", volume->name)) < 0 ||
	    (result = mse_format(&options, err, "mode=%04o,uid=%" PRIu32 ",gid=%" PRIu32 ",size=%" PRIu64 ",nr_inodes=%" PRIu64, volume->mode,
		     config->uid, config->gid, volume->size, volume->size / BYTES_PER_INODE + FIRST_INODES)) < 0)
		return result;
	if (mkdir(path, 0755) < 0 || mount("mse", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return mse_fail_errno(err, "cannot make the folder '%s' in memory", volume->path);
	*ret_path = mse_steal(path);
	return 0;
}

struct trees {
	int image;
	int bundle;
	int runtime[MSE_MANIFEST_MAX_FILES];
};

static void trees_clear(struct trees *trees)
{
	mse_close(trees->image);
	mse_close(trees->bundle);
	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		mse_close(trees->runtime[i]);
}

/* Before the namespace is left: descriptors belong to the mounts of the one in which they were opened. */
static int detach_all(const struct mse_shim_inputs *inputs, struct trees *trees, struct mse_error_info *err)
{
	int result = detach(&inputs->image, &trees->image, err);

	if (result == 0)
		result = detach(&inputs->bundle, &trees->bundle, err);
	for (size_t i = 0; result == 0 && i < inputs->runtime_count; i++)
		result = detach(&inputs->runtime[i], &trees->runtime[i], err);
	return result;
}

/* Room for copies of all files; only what is used costs memory. */
static int staging_size(const struct mse_shim_inputs *inputs, uint64_t *ret_size, struct mse_error_info *err)
{
	*ret_size = STAGING_SIZE;
	for (size_t i = 0; i <= inputs->runtime_count; i++) {
		const struct mse_shim_file *file = i == 0 ? &inputs->bundle : &inputs->runtime[i - 1];
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

	if ((result = staging_size(inputs, &size, err)) < 0 || (result = mse_format(&options, err, "mode=0755,nr_inodes=256,size=%" PRIu64, size)) < 0)
		return result;
	if (unshare(CLONE_NEWNS) < 0)
		return mse_fail_errno(err, "cannot make a mount namespace");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return mse_fail_errno(err, "cannot make mounts private");
	if (mount("mse", STAGING, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return mse_fail_errno(err, "cannot mount the staging folder");
	return 0;
}

static int stage(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs, const struct mse_sandbox_volume *volumes,
	struct mse_sandbox_sources *sources, struct mse_error_info *err)
{
	mse_cleanup(trees_clear) struct trees trees = { .image = -1, .bundle = -1 };
	char name[32];
	int result;

	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		trees.runtime[i] = -1;
	if ((result = detach_all(inputs, &trees, err)) < 0 || (result = enter_namespace(inputs, err)) < 0 ||
	    (result = attach_image(trees.image, &sources->image, err)) < 0 ||
	    (result = attach_file(trees.bundle, &inputs->bundle, "bundle", &sources->bundle, err)) < 0)
		return result;
	for (size_t i = 0; i < inputs->runtime_count; i++) {
		snprintf(name, sizeof name, "runtime-%zu", i);
		if ((result = attach_file(trees.runtime[i], &inputs->runtime[i], name, &sources->runtime[i], err)) < 0)
			return result;
	}
	for (size_t i = 0; i < MSE_SANDBOX_VOLUMES; i++)
		if ((result = attach_volume(config, &volumes[i], &sources->volumes[i], err)) < 0)
			return result;
	return 0;
}

int mse_sandbox_mount(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs,
	const struct mse_sandbox_volume volumes[static MSE_SANDBOX_VOLUMES], struct mse_sandbox_sources *ret_sources, struct mse_error_info *err)
{
	*ret_sources = (struct mse_sandbox_sources){ 0 };
	return stage(config, inputs, volumes, ret_sources, err);
}
