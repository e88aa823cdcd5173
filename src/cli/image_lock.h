/* mse.lock, beside mse.toml: what the owner trusts, {"version": 1, "image": {"requested", "name", "digest"}}. */
#pragma once

#include <stdbool.h>

#include "crypto/hash.h"

#define MSE_LOCK_FILE_NAME "mse.lock"
#define MSE_LOCK_MAX_SIZE ((size_t)64 * 1024)

struct mse_image_lock {
	bool present;
	char *requested; /* as in mse.toml */
	char *name;      /* in the node's store */
	uint8_t digest[MSE_SHA256_SIZE];
};
void mse_image_lock_clear(struct mse_image_lock *lock);

/* A file that is not there gives present = false. */
int mse_image_lock_read(const char *path, struct mse_image_lock *ret_lock, struct mse_error_info *err);
int mse_image_lock_write(const char *path, const char *requested, const char *name, const uint8_t digest[static MSE_SHA256_SIZE],
	struct mse_error_info *err);

/* Whether the image that the node has is the one that the owner trusts. */
enum mse_image_trust {
	MSE_IMAGE_TRUSTED_BY_LOCK,
	MSE_IMAGE_TRUSTED_BY_OPTION, /* and the lock is to be written */
	MSE_IMAGE_UNKNOWN,           /* only the node told this digest: the owner must be asked, or it is refused */
};

/* node_digest is what the node has under `name` for `requested`; option is the text of --trust-image or NULL. A digest that differs
 * from what is trusted is MSE_ERR_VERIFY, naming both. */
int mse_image_trust(const struct mse_image_lock *lock, const char *option, const char *requested, const char *name,
	const uint8_t node_digest[static MSE_SHA256_SIZE], enum mse_image_trust *ret_trust, struct mse_error_info *err);
