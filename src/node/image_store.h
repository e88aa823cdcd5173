/* The images of a node: folders of files, each under a name, in a store that several nodes may share.
 *
 *     <store>/<name>/rootfs/        the image's files
 *     <store>/<name>/image.json     name, digest, size, created_at, description, packages (what it was built from)
 *     <store>/<name>/digest.cache   the tree digest, keyed by stat data (bundle/tree_scan.h)
 *     <store>/.new-XXXXXX/          an image that is being made; its `lock` is held by whoever makes it
 *     <store>/.lock                 held while names are created, replaced or removed */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "crypto/hash.h"

#define MSE_IMAGE_FILE "image.json"
#define MSE_IMAGE_CACHE_FILE "digest.cache"
#define MSE_IMAGE_ROOT "rootfs"
#define MSE_STORE_MAX_IMAGES 1024

struct mse_image {
	char *name;
	uint8_t digest[MSE_SHA256_SIZE]; /* tree digest, as it was when the image was made: the shim checks it again */
	uint64_t size;                   /* bytes of all files */
	int64_t created_at;
	char *description;
	char *packages; /* "a,b,c", or "" for an imported image */
};

void mse_image_free(struct mse_image *image);
MSE_DEFINE_CLEANUP(struct mse_image, mse_image_free)

/* Lower-case names of at most 63 characters that begin with a letter or digit. MSE_ERR_INPUT says so. */
int mse_image_check_name(const char *name, struct mse_error_info *err);

/* MSE_ERR_NOT_FOUND when no image of that name is in the store. */
int mse_image_find(const char *store, const char *name, struct mse_image **ret_image, struct mse_error_info *err);

/* An array of {"name", "digest", "size", "created_at"}, sorted by name. A folder that cannot be read as an image is left out. */
int mse_image_list(const char *store, json_t **ret_array, struct mse_error_info *err);

/* The folder of the image's files, and the file of its digest's cache. */
int mse_image_paths(const char *store, const char *name, char **ret_root, char **ret_cache, struct mse_error_info *err);

/* The store's lock: shared by whoever is about to use an image, exclusive for whoever replaces or removes one. Made, with the
 * store, if it is not there. Waits. The caller closes *ret_fd. */
int mse_image_store_lock(const char *store, bool exclusive, int *ret_fd, struct mse_error_info *err);

/* Asked under the exclusive lock whether an image may go: 0, or MSE_ERR_STATE naming what uses it. NULL: nothing does. */
typedef int mse_image_in_use(void *context, const char *name, struct mse_error_info *err);

/* An image that is being made. */
struct mse_image_draft {
	char *folder;
	char *root; /* <folder>/rootfs, made and empty */
	int lock_fd;
};
/* Removes what crashed builds have left, then makes a new draft. */
int mse_image_draft_new(const char *store, struct mse_image_draft *ret_draft, struct mse_error_info *err);
/* Computes digest and size, writes image.json and the cache, and puts the draft in its place under image->name, replacing
 * an image of that name when nothing uses it. Fills image's digest, size and created_at. */
int mse_image_draft_commit(const char *store, struct mse_image_draft *draft, struct mse_image *image, mse_image_in_use *in_use, void *context,
	struct mse_error_info *err);
/* Removes what was not committed. */
void mse_image_draft_clear(struct mse_image_draft *draft);

int mse_image_remove(const char *store, const char *name, mse_image_in_use *in_use, void *context, struct mse_error_info *err);
