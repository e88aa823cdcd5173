/* The programs that stand beside msed: what enclaves of this node are made of. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "manifest/manifest.h"

struct mse_runtime;

/* bin_dir NULL: the folder that msed itself is in. MSE_ERR_NOT_FOUND names the program that is missing. */
int mse_runtime_open(const char *bin_dir, struct mse_runtime **ret_runtime, struct mse_error_info *err);
void mse_runtime_free(struct mse_runtime *runtime);
MSE_DEFINE_CLEANUP(struct mse_runtime, mse_runtime_free)

const char *mse_runtime_shim(const struct mse_runtime *runtime);
const char *mse_runtime_program(const struct mse_runtime *runtime);
const char *mse_runtime_lib_dir(const struct mse_runtime *runtime);

/* Whether the files that a manifest names are here with exactly those digests: MSE_ERR_VERIFY names the first that is not.
 * Thread-safe; a file is read again only when its stat data changed. */
int mse_runtime_check(struct mse_runtime *runtime, const struct mse_manifest *manifest, struct mse_error_info *err);
