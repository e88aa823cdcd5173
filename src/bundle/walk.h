/* The walk over a code folder: what is packed, in the order in which it is packed.
 *
 * Left out: what .mseignore excludes, the .mseignore files themselves, and everything named .git.
 * Refused, by name: symbolic links that are absolute or lead outside the folder (followed step by step, through other
 * links too), fifos, sockets and devices, names that are not UTF-8, a `.mse` at the top, and what passes the limits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "bundle/tree.h"

struct mse_walk_entry {
	const char *path;   /* relative, without leading or trailing slash */
	enum mse_tree_type type;
	bool executable;    /* files: the owner's x bit */
	uint64_t size;      /* files: bytes; others 0 */
	const char *target; /* links; others NULL */
	dev_t device;
	ino_t inode;
};

/* The entries, and an open descriptor on the folder. */
struct mse_walk;

/* path may itself be a link to a folder. Only regular .mseignore files are obeyed; a link in its place is refused. */
int mse_walk_open(const char *path, struct mse_walk **ret_walk, struct mse_error_info *err);
void mse_walk_free(struct mse_walk *walk);
MSE_DEFINE_CLEANUP(struct mse_walk, mse_walk_free)

/* Sorted bytewise by path; folders stand before what is in them. */
size_t mse_walk_count(const struct mse_walk *walk);
const struct mse_walk_entry *mse_walk_at(const struct mse_walk *walk, size_t index);
/* Sum of the files' sizes, in bytes. */
uint64_t mse_walk_total_size(const struct mse_walk *walk);
/* The entry with exactly this relative path, or NULL. */
const struct mse_walk_entry *mse_walk_find(const struct mse_walk *walk, const char *path);
/* Whether a requirements.txt (of any type) stands at the top, ignored or not: the caller says what becomes of it. */
bool mse_walk_has_requirements(const struct mse_walk *walk);

/* Whether packing would send the file that `path` names (a secrets file, a TLS key, mse.toml): 1 when an entry is that file,
 * by device and inode (so also a hard link, and through symbolic links in either direction), or has its path; then
 * *ret_entry names the entry, owned by the walk. 0 when it is not there or does not exist. Negative on error. */
int mse_walk_contains(const struct mse_walk *walk, const char *path, const char **ret_entry, struct mse_error_info *err);

/* Opens an entry's file for reading, following no link on the way; MSE_ERR_STATE when it is not the file any more that was walked. */
int mse_walk_open_file(const struct mse_walk *walk, const struct mse_walk_entry *entry, int *ret_fd, struct mse_error_info *err);
