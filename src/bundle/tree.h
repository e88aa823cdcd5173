/* The tree digest: SHA-256 over a canonical listing of a folder tree. One listing serves code folders and images.
 *
 * The listing is a concatenation of fields, each with its length before it as 32 bits big-endian:
 *
 *     "mse-tree-v1"
 *     for every entry but the root itself, sorted bytewise by path:
 *         path      relative, components separated by '/', no leading or trailing slash, no "." or ".."
 *         type      "d" folder, "f" regular file, "l" symbolic link
 *         mode      64 bits big-endian. Images: the 07777 bits; code: 0755 for folders and files with the owner's x bit,
 *                   0644 for other files. Links: 0, nothing heeds theirs
 *         size      64 bits big-endian: a file's bytes; 0 for others
 *         content   a file's SHA-256 (32 raw bytes), a link's target, nothing for a folder
 *
 * Left out: times, owners, extended attributes, inode numbers (a hard link is listed as the file it is), and the
 * root's own mode. Any other type (device, fifo, socket) is an error that names the path. A path that occurs twice is
 * refused; a folder above an entry that is not listed itself is refused in code and, in tar archives, stands with mode 0755. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define MSE_TREE_DIGEST_SIZE 32

/* Limits for packed code. */
#define MSE_CODE_MAX_ENTRIES ((size_t)100 * 1000)
#define MSE_CODE_MAX_TOTAL_SIZE ((uint64_t)1024 * 1024 * 1024)
#define MSE_CODE_MAX_PATH_SIZE ((size_t)1024)
#define MSE_CODE_MAX_DEPTH ((size_t)64)
/* Limits for images. */
#define MSE_IMAGE_MAX_ENTRIES ((size_t)1000 * 1000)
#define MSE_IMAGE_MAX_TOTAL_SIZE ((uint64_t)64 * 1024 * 1024 * 1024)
#define MSE_IMAGE_MAX_PATH_SIZE ((size_t)4095)
#define MSE_IMAGE_MAX_DEPTH ((size_t)128)

struct mse_tree_limits {
	size_t entries;
	uint64_t total_size; /* of the files' contents, in bytes */
	size_t path_size;    /* of a path or a link's target, in bytes */
	size_t depth;        /* components of a path */
};

extern const struct mse_tree_limits mse_code_limits;
extern const struct mse_tree_limits mse_image_limits;

enum mse_tree_type { MSE_TREE_DIR = 'd', MSE_TREE_FILE = 'f', MSE_TREE_LINK = 'l' };

struct mse_tree_entry {
	char *path;
	enum mse_tree_type type;
	uint32_t mode;
	uint64_t size;
	uint8_t content[32]; /* files: SHA-256 */
	char *target;        /* links */
};

/* A list of entries, in memory. */
struct mse_tree;

/* limits must outlive the tree (they are constants, commonly). */
int mse_tree_new(const struct mse_tree_limits *limits, struct mse_tree **ret_tree, struct mse_error_info *err);
void mse_tree_free(struct mse_tree *tree);
MSE_DEFINE_CLEANUP(struct mse_tree, mse_tree_free)

/* Adds an entry; path and target are copied. Checks the form of the path (MSE_ERR_INPUT: empty, absolute, "." or ".."
 * components, doubled or trailing slashes) and every limit (MSE_ERR_LIMIT). For files `size` counts towards the total.
 * *ret_entry (may be NULL) is valid until the next call, so that a file's content hash can be filled in. */
int mse_tree_add(struct mse_tree *tree, const char *path, enum mse_tree_type type, uint32_t mode, uint64_t size, const char *target,
	struct mse_tree_entry **ret_entry, struct mse_error_info *err);
size_t mse_tree_count(const struct mse_tree *tree);
struct mse_tree_entry *mse_tree_at(struct mse_tree *tree, size_t index);
/* The entry of that path among those that were there at the last mse_tree_sort(), or NULL. */
struct mse_tree_entry *mse_tree_find(struct mse_tree *tree, const char *path);

/* Sorts bytewise by path and checks that no path occurs twice. */
int mse_tree_sort(struct mse_tree *tree, struct mse_error_info *err);
/* Follows every link of a sorted tree step by step, through other links too: MSE_ERR_DENIED, naming the link, when one
 * is absolute or goes above the root. One that leads nowhere inside is fine. */
int mse_tree_check_links(struct mse_tree *tree, struct mse_error_info *err);
/* The digest of a tree: sorts first, and checks that what is above each entry is a listed folder. */
int mse_tree_digest(struct mse_tree *tree, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err);
