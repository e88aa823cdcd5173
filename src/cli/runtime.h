/* The enclave runtime that belongs to this release of mse: share/mse/runtime.json beside the program's bin/,
 * {"security_version": n, "files": {"mse-enclave": "sha256:…", …}}, written when both are installed. */
#pragma once

#include "manifest/manifest.h"

struct mse_runtime {
	struct mse_named_digest files[MSE_MANIFEST_MAX_FILES]; /* sorted by name */
	size_t count;
	uint64_t security_version;
};
void mse_runtime_clear(struct mse_runtime *runtime);

/* That of the running program. */
int mse_runtime_load(struct mse_runtime *ret_runtime, struct mse_error_info *err);
int mse_runtime_read(const char *path, struct mse_runtime *ret_runtime, struct mse_error_info *err);
