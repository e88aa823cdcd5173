/* The disk that $HOME is on: an ext4 in a loop device over one file, which gocryptfs encrypts and authenticates. So everything of an
 * app's files, names and sizes too, is inside that one file, and they behave as on ext4. What may take a while is here, for a
 * process of its own (storage.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* One file for so much of the disk. */
#define MSE_DISK_BYTES_PER_INODE ((uint64_t)16 * 1024)

struct mse_disk {
	int folder;    /* with the encrypted file */
	int plain;     /* the root of gocryptfs's mount of that folder; -1 where it is not needed */
	uint32_t uid, gid; /* whose files these are */
	uint64_t size;     /* of the disk; bytes, as mse_shim_storage_size() says */
	const char *mount_point;
};

/* Makes the encrypted file anew, empty, with room on the node's disk for all that it can ever become: MSE_ERR_LIMIT when that is not
 * there. Only `folder`, `uid`, `gid` and `size` are looked at. */
int mse_disk_reserve(const struct mse_disk *disk, struct mse_error_info *err);
/* Puts the disk at its mount point, which receives a folder of the app's own, mode 0700: a fresh one in the file that was reserved, or
 * the one that is there, mended where a crash left it unfinished. */
int mse_disk_attach(const struct mse_disk *disk, bool fresh, struct mse_error_info *err);
/* Takes it away, with everything written, or discarded. A mount point without it is fine. */
int mse_disk_detach(const char *mount_point, bool discard, struct mse_error_info *err);
