#include "cli/image_lock.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"

#define LOCK_VERSION 1

void mse_image_lock_clear(struct mse_image_lock *lock)
{
	free(mse_steal(lock->requested));
	free(mse_steal(lock->name));
}

static int read_image(const json_t *root, const char *path, struct mse_image_lock *lock, struct mse_error_info *err)
{
	const char *requested, *name, *digest;
	json_t *image;
	int result;

	if ((result = mse_json_object(root, "image", path, &image, err)) < 0 ||
	    (result = mse_json_only(image, (const char *const[]){ "digest", "name", "requested", NULL }, path, err)) < 0 ||
	    (result = mse_json_string(image, "requested", path, &requested, err)) < 0 ||
	    (result = mse_json_string(image, "name", path, &name, err)) < 0 ||
	    (result = mse_json_string(image, "digest", path, &digest, err)) < 0 ||
	    (result = mse_digest_parse(digest, lock->digest, "image.digest", err)) < 0 ||
	    (result = mse_strdup(requested, &lock->requested, err)) < 0)
		return result;
	return mse_strdup(name, &lock->name, err);
}

int mse_image_lock_read(const char *path, struct mse_image_lock *ret_lock, struct mse_error_info *err)
{
	mse_autojson *root = NULL;
	uint64_t version;
	int result;

	*ret_lock = (struct mse_image_lock){ 0 };
	if (!mse_path_exists(path))
		return 0;
	if ((result = mse_json_read(path, MSE_LOCK_MAX_SIZE, &root, err)) < 0 ||
	    (result = mse_json_u64(root, "version", path, 0, UINT32_MAX, &version, err)) < 0)
		return result;
	if (version != LOCK_VERSION)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "'%s' has version %llu, this release knows version %d: a newer mse wrote it", path,
			(unsigned long long)version, LOCK_VERSION);
	result = mse_json_only(root, (const char *const[]){ "image", "version", NULL }, path, err);
	if (result == 0)
		result = read_image(root, path, ret_lock, err);
	if (result < 0) {
		mse_image_lock_clear(ret_lock);
		return result;
	}
	ret_lock->present = true;
	return 0;
}

int mse_image_lock_write(const char *path, const char *requested, const char *name, const uint8_t digest[static MSE_SHA256_SIZE],
	struct mse_error_info *err)
{
	char text[MSE_DIGEST_TEXT_SIZE];
	mse_autojson *root = NULL;

	mse_digest_format(text, digest);
	root = json_pack("{s:i, s:{s:s, s:s, s:s}}", "version", LOCK_VERSION, "image", "requested", requested, "name", name, "digest", text);
	if (root == NULL)
		return mse_fail_nomem(err);
	return mse_json_write(path, root, 0644, err);
}

static int fail_differs(const char *holder, const uint8_t *trusted, const char *name, const uint8_t *found, const char *remedy,
	struct mse_error_info *err)
{
	char trusted_text[MSE_DIGEST_TEXT_SIZE], found_text[MSE_DIGEST_TEXT_SIZE];

	mse_digest_format(trusted_text, trusted);
	mse_digest_format(found_text, found);
	return mse_fail(err, MSE_ERR_VERIFY, "the node's image '%.100s' is not the one that you trust:\n  trusted (%s): %s\n  the node has:   %s\n%s",
		name, holder, trusted_text, found_text, remedy);
}

int mse_image_trust(const struct mse_image_lock *lock, const char *option, const char *requested, const char *name,
	const uint8_t node_digest[static MSE_SHA256_SIZE], enum mse_image_trust *ret_trust, struct mse_error_info *err)
{
	uint8_t wanted[MSE_SHA256_SIZE];
	int result;

	*ret_trust = MSE_IMAGE_UNKNOWN;
	if (option != NULL) {
		if ((result = mse_digest_parse(option, wanted, "the digest of --trust-image", err)) < 0)
			return result;
		if (!mse_equal(wanted, node_digest, sizeof wanted))
			return fail_differs("--trust-image", wanted, name, node_digest,
				"Nothing was sent. Have the node's operator install the image that you trust.", err);
		*ret_trust = MSE_IMAGE_TRUSTED_BY_OPTION;
		return 0;
	}
	/* What was trusted under another name in mse.toml says nothing about this one. */
	if (!lock->present || strcmp(lock->requested, requested) != 0)
		return 0;
	if (!mse_equal(lock->digest, node_digest, sizeof lock->digest))
		return fail_differs(MSE_LOCK_FILE_NAME, lock->digest, name, node_digest,
			"Nothing was sent. If you built or checked the new image yourself, deploy with --trust-image and its digest "
			"('mse image digest' computes it).", err);
	*ret_trust = MSE_IMAGE_TRUSTED_BY_LOCK;
	return 0;
}
