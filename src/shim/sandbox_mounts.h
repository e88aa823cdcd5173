/* Where the files of a sandbox come from: the child's own mount namespace gets a staging folder with all of it, since the enclave's
 * unprivileged user could not reach what lies under closed folders. */
#pragma once

#include "shim/inputs.h"

/* One folder in memory that the enclave may write. */
struct mse_sandbox_volume {
	const char *path; /* in the sandbox */
	const char *name; /* in the staging folder */
	unsigned mode;
	uint64_t size; /* bytes */
};
#define MSE_SANDBOX_VOLUMES 4

struct mse_sandbox_sources {
	char *image;
	char *bundle;
	char *runtime[MSE_MANIFEST_MAX_FILES];
	char *volumes[MSE_SANDBOX_VOLUMES];
};

/* To be called in the child, which becomes part of a new mount namespace. */
int mse_sandbox_mount(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs,
	const struct mse_sandbox_volume volumes[static MSE_SANDBOX_VOLUMES], struct mse_sandbox_sources *ret_sources, struct mse_error_info *err);
void mse_sandbox_sources_clear(struct mse_sandbox_sources *sources);
