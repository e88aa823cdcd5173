/* What an app is made of, checked against its manifest: held open, so that what was checked is what runs. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "manifest/manifest.h"
#include "shim/config.h"

struct mse_shim_file {
	char *path;
	char *name; /* of a runtime file in the manifest; NULL for the others */
	int fd;
};

/* Owned by whoever checked. */
struct mse_shim_inputs {
	struct mse_manifest *manifest;
	uint8_t *manifest_bytes;
	size_t manifest_size;
	uint8_t signature[MSE_SIGNATURE_SIZE];
	uint8_t measurement[MSE_SHA256_SIZE];
	struct mse_shim_file image; /* a folder */
	struct mse_shim_file bundle;
	struct mse_shim_file runtime[MSE_MANIFEST_MAX_FILES];
	size_t runtime_count;
};

/* Reads the manifest and its signature in the current folder, and compares every digest with the files. What does not match is
 * MSE_ERR_CRYPTO or MSE_ERR_NOT_FOUND with a message that names what differs; it is fit to be shown as an app's reason. */
int mse_shim_inputs_check(const struct mse_shim_config *config, struct mse_shim_inputs **ret_inputs, struct mse_error_info *err);
/* Compares every digest once more, before another enclave is made of them: what is held open may have been written to since. */
int mse_shim_inputs_check_again(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs, struct mse_error_info *err);
void mse_shim_inputs_free(struct mse_shim_inputs *inputs);
MSE_DEFINE_CLEANUP(struct mse_shim_inputs, mse_shim_inputs_free)
