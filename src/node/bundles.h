/* Sealed bundles that wait for their deployment: <data>/bundles/<SHA-256 in hex>. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "crypto/fields.h"

#define MSE_BUNDLE_WAIT_SECONDS 3600
#define MSE_BUNDLES_MAX_WAITING 256 /* bundles that no deployment has taken yet */
/* What is not taken by deployments may not fill the disk. */
#define MSE_BUNDLES_MAX_WAITING_SIZE ((uint64_t)8 * 1024 * 1024 * 1024)

/* A bundle that is being received. */
struct mse_bundle_upload;

int mse_bundle_upload_new(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE], struct mse_bundle_upload **ret_upload, struct mse_error_info *err);
/* MSE_ERR_LIMIT once it is larger than any bundle. */
int mse_bundle_upload_write(struct mse_bundle_upload *upload, const void *data, size_t size, struct mse_error_info *err);
/* Puts it in its place, durably: MSE_ERR_CRYPTO when it is not the bundle that was announced. */
int mse_bundle_upload_finish(struct mse_bundle_upload *upload, struct mse_error_info *err);
/* Removes what was not finished. */
void mse_bundle_upload_free(struct mse_bundle_upload *upload);
MSE_DEFINE_CLEANUP(struct mse_bundle_upload, mse_bundle_upload_free)

/* Whether it waits here; if so, its hour begins anew. */
bool mse_bundles_has(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE]);
/* Makes it appear as the file `to` too. MSE_ERR_NOT_FOUND when it is not there. */
int mse_bundles_take(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE], const char *to, struct mse_error_info *err);
void mse_bundles_remove(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE]);

/* Removes what has waited too long; with temporary, half received ones too (only while nothing is being received). */
int mse_bundles_sweep(const char *folder, bool temporary, struct mse_error_info *err);
