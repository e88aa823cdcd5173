/* Tree digests of what is on disk: folders and tar archives. Not part of what the enclave links. */
#pragma once

#include <stdbool.h>

#include "bundle/tree.h"

enum mse_tree_flags {
	MSE_TREE_IMAGE = 0, /* modes as they are; the limits of images */
	MSE_TREE_CODE = 1,  /* modes normalised; the limits of code */
};

/* The digest of the folder at path (which may be a link to a folder). MSE_ERR_STATE when a file changes while it is read. */
int mse_tree_digest_dir(const char *path, enum mse_tree_flags flags, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err);

/* The same digest that the archive, extracted by root with its modes kept, would have: a tar of any kind and compression
 * that libarchive reads, entries in any order, "./" before names taken away, hard links resolved to their files. */
int mse_tree_digest_tar(const char *path, enum mse_tree_flags flags, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err);

/* As mse_tree_digest_dir() for an image, but believes cache_file when the stat data of every entry (path, mode, size, mtime and
 * ctime in ns, inode, device; the root's inode and device too) are those under which it was written. Written
 * (0600, replaced at once) after a computation, unless something changed within the last second: a later change in the same
 * tick of the clock could go unseen. A cache file that is missing, malformed or stale is ignored. Who can write
 * it decides the digest: keep it where only the node writes. ret_from_cache may be NULL. */
int mse_tree_digest_dir_cached(const char *path, const char *cache_file, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], bool *ret_from_cache,
	struct mse_error_info *err);
