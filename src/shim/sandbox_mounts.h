/* Where the files of a sandbox come from: the child's own mount namespace gets a staging folder with all of it, since the enclave's
 * unprivileged user could not reach what lies under closed folders, and since an app reads in its table of mounts where they come from. */
#pragma once

#include "shim/inputs.h"
#include "shim/network.h"

/* One folder in memory that the enclave may write. */
struct mse_sandbox_volume {
	const char *path; /* in the sandbox */
	const char *name; /* in the staging folder */
	unsigned mode;
	uint64_t size; /* bytes */
};
#define MSE_SANDBOX_VOLUMES 4
#define MSE_SANDBOX_HOSTNAME "mse"

/* The staging folder: one that every system has; covered in the child's own mount namespace only. */
#define MSE_SANDBOX_STAGING "/tmp"
#define MSE_SANDBOX_ROOT MSE_SANDBOX_STAGING "/root"           /* the image with places for what is mounted into it */
#define MSE_SANDBOX_MSE MSE_SANDBOX_STAGING "/mse"             /* the runtime and the manifest */
#define MSE_SANDBOX_HOME MSE_SANDBOX_STAGING "/home"           /* receives what the shim mounts as the app's storage (shim/storage.h) */
#define MSE_SANDBOX_NO_FOLDER MSE_SANDBOX_STAGING "/no-folder" /* covers folders that are not to be seen */
#define MSE_SANDBOX_NO_FILE MSE_SANDBOX_STAGING "/no-file"
#define MSE_SANDBOX_PROC MSE_SANDBOX_STAGING "/proc"           /* files that stand in for those of the host's */

/* To be called in the child, which becomes part of a new mount namespace. */
int mse_sandbox_mount(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs, const struct mse_network *network,
	const struct mse_sandbox_volume volumes[static MSE_SANDBOX_VOLUMES], struct mse_error_info *err);
