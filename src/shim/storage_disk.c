#include "shim/storage_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "shim/config.h"
#include "shim/program.h"

#define FS_BLOCK_SIZE 4096u

#define FILE_NAME "disk"
#define HOME_NAME "home"

#define MKFS_TIMEOUT_MS 60000u
#define CHECK_TIMEOUT_MS 90000u
#define LOOP_TRIES 64
#define UNMOUNT_TRIES 100
#define UNMOUNT_PAUSE_US 20000
#define EXT4_MAGIC 0xef53
/* linux/ext4.h is not installed: the number of EXT4_IOC_SHUTDOWN, and its way without writing anything more. */
#define EXT4_SHUTDOWN _IOR('X', 125, uint32_t)
#define EXT4_SHUTDOWN_NO_LOG_FLUSH 2u

/* ---- the file ---- */

int mse_disk_reserve(const struct mse_disk *disk, struct mse_error_info *err)
{
	uint64_t size = mse_shim_storage_disk_size(disk->size);
	mse_autoclose int fd = -1;

	if (unlinkat(disk->folder, FILE_NAME, 0) < 0 && errno != ENOENT)
		return mse_fail_errno(err, "cannot remove the old storage");
	fd = openat(disk->folder, FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchown(fd, disk->uid, disk->gid) < 0)
		return mse_fail_errno(err, "cannot make the storage's file");
	/* The size stays 0: gocryptfs begins the file. */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return mse_fail(err, MSE_ERR_LIMIT, "the node's disk has no room for this app's storage of %" PRIu64 " MiB", disk->size >> 20);
	return mse_fail_errno(err, "the filesystem of the node's data folder cannot keep room for storage (ext4, XFS and btrfs can)");
}

static int open_file(const struct mse_disk *disk, int *ret_fd, struct mse_error_info *err)
{
	struct stat status;

	*ret_fd = openat(disk->plain, FILE_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*ret_fd < 0)
		return mse_fail_errno(err, errno == ENOENT ? "the storage's file is not there" : "cannot open the storage's file");
	if (fstat(*ret_fd, &status) < 0 || !S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "the storage is not a file");
	return 0;
}

/* ---- the filesystem in it ---- */

static int run_on_disk(const struct mse_disk *disk, int fd, const char *const argv[], const char *what, uint64_t timeout_ms, struct mse_error_info *err)
{
	const struct mse_program program = { .argv = argv, .what = what, .fds = { fd }, .fd_count = 1, .uid = disk->uid, .gid = disk->gid, .messages = -1 };

	return mse_program_run(&program, timeout_ms, err);
}

/* The file reads as zeros where it was not written, so that nothing needs to be cleared. The features are named since the machine's
 * own defaults could be anything. */
static int make_filesystem(const struct mse_disk *disk, int fd, struct mse_error_info *err)
{
	char inodes[24], options[128];
	const char *const argv[] = { MSE_MKFS_EXT4, "-q", "-F", "-b", "4096", "-m", "0", "-N", inodes, "-O",
		"none,has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize,sparse_super,large_file,filetype,dir_index,ext_attr", "-E",
		options, "/proc/self/fd/3", NULL };

	snprintf(inodes, sizeof inodes, "%" PRIu64, disk->size / MSE_DISK_BYTES_PER_INODE);
	snprintf(options, sizeof options, "nodiscard,lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1");
	if (ftruncate(fd, (off_t)disk->size) < 0)
		return mse_fail_errno(err, "cannot size the storage's file");
	return run_on_disk(disk, fd, argv, "mkfs.ext4", MKFS_TIMEOUT_MS, err);
}

/* Plays the journal, and mends what can be mended without losing anything. */
static int check_filesystem(const struct mse_disk *disk, int fd, struct mse_error_info *err)
{
	static const char *const argv[] = { MSE_E2FSCK, "-p", "/proc/self/fd/3", NULL };
	struct mse_error_info first;
	struct stat status;

	if (fstat(fd, &status) < 0 || (uint64_t)status.st_size != disk->size)
		return mse_fail(err, MSE_ERR_INPUT, "the storage's file has another size than it should");
	/* It also says by its exit status that it has mended something; the second time there is nothing left to mend. */
	if (run_on_disk(disk, fd, argv, "e2fsck", CHECK_TIMEOUT_MS, &first) == 0)
		return 0;
	return run_on_disk(disk, fd, argv, "e2fsck", CHECK_TIMEOUT_MS, err);
}

/* A loop device that is free, with the file in it; it is let go of when its last user, the mount, is gone. Beside the page cache of
 * ext4 a second one, of the file, would only cost. */
static int make_loop_device(int file, int *ret_device, char path[static 32], struct mse_error_info *err)
{
	const struct loop_config config = { .fd = (uint32_t)file, .block_size = FS_BLOCK_SIZE,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO } };
	mse_autoclose int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return mse_fail_errno(err, "loop devices are needed for storage on disk (modprobe loop), and '/dev/loop-control' cannot be opened");
	for (int i = 0; i < LOOP_TRIES; i++) {
		mse_autoclose int device = -1;
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return mse_fail_errno(err, "no loop device is free");
		snprintf(path, 32, "/dev/loop%d", number);
		device = open(path, O_RDWR | O_CLOEXEC);
		if (device < 0)
			return mse_fail_errno(err, "cannot open '%s'", path);
		if (ioctl(device, LOOP_CONFIGURE, &config) == 0) {
			*ret_device = mse_steal_fd(&device);
			return 0;
		}
		/* Somebody else was faster. */
		if (errno != EBUSY)
			return mse_fail_errno(err, "cannot put the storage's file into '%s'", path);
	}
	return mse_fail(err, MSE_ERR_STATE, "no loop device could be had: others took each that was free");
}

static int mount_filesystem(const char *device, int *ret_mount, struct mse_error_info *err)
{
	mse_autoclose int context = fsopen("ext4", FSOPEN_CLOEXEC);

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_STRING, "errors", "remount-ro", 0) < 0 || fsconfig(context, FSCONFIG_SET_FLAG, "noinit_itable", NULL, 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return mse_fail_errno(err, "cannot mount the storage");
	/* Not noexec: Python loads C extensions from wherever they are. */
	*ret_mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return *ret_mount < 0 ? mse_fail_errno(err, "cannot mount the storage") : 0;
}

/* The app's folder is one below the disk's root, where lost+found is. */
static int attach_home(const struct mse_disk *disk, int mount, bool fresh, struct mse_error_info *err)
{
	mse_autoclose int home = -1;
	mse_autoclose int tree = -1;

	if (fresh && mkdirat(mount, HOME_NAME, 0700) < 0)
		return mse_fail_errno(err, "cannot make the app's folder in its storage");
	home = openat(mount, HOME_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0 || (fresh && (fchown(home, disk->uid, disk->gid) < 0 || syncfs(home) < 0)))
		return mse_fail_errno(err, "cannot open the app's folder in its storage");
	tree = open_tree(home, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0 || move_mount(tree, "", AT_FDCWD, disk->mount_point, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return mse_fail_errno(err, "cannot put the storage in place");
	return 0;
}

int mse_disk_attach(const struct mse_disk *disk, bool fresh, struct mse_error_info *err)
{
	mse_autoclose int file = -1;
	mse_autoclose int device = -1;
	mse_autoclose int mount = -1;
	char path[32];
	int result = open_file(disk, &file, err);

	if (result < 0 || (result = fresh ? make_filesystem(disk, file, err) : check_filesystem(disk, file, err)) < 0 ||
	    (result = make_loop_device(file, &device, path, err)) < 0 || (result = mount_filesystem(path, &mount, err)) < 0 ||
	    (result = attach_home(disk, mount, fresh, err)) < 0)
		return result;
	return fresh && fsync(disk->folder) < 0 ? mse_fail_errno(err, "cannot keep the storage's file") : 0;
}

static bool is_attached(const char *mount_point)
{
	struct statfs status;

	return statfs(mount_point, &status) == 0 && status.f_type == EXT4_MAGIC;
}

static void discard_writes(const char *mount_point)
{
	mse_autoclose int fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t how = EXT4_SHUTDOWN_NO_LOG_FLUSH;

	/* Where that cannot be done, all is written before it is destroyed, which takes longer. */
	if (fd >= 0)
		(void)ioctl(fd, EXT4_SHUTDOWN, &how);
}

int mse_disk_detach(const char *mount_point, bool discard, struct mse_error_info *err)
{
	if (!is_attached(mount_point))
		return 0;
	if (discard)
		discard_writes(mount_point);
	/* The sandbox's own mounts go with its last process, which the kernel may not be quite done with. */
	for (int i = 0; i < UNMOUNT_TRIES; i++) {
		if (umount2(mount_point, UMOUNT_NOFOLLOW) == 0)
			return 0;
		/* No mount at all. */
		if (errno == EINVAL)
			return 0;
		if (errno != EBUSY)
			break;
		usleep(UNMOUNT_PAUSE_US);
	}
	if (umount2(mount_point, UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
		return mse_fail_errno(err, "cannot unmount the storage");
	return 0;
}
