/* `.mse/app.json`, the first entry of every bundle: what the enclave needs and the host need not know. Canonical JSON:
 * {"python_application":"app:app","salt":"<64 hex digits>","version":1}. The salt is the one of the code commitment. */
#pragma once

#include "base/json.h"
#include "bundle/bundle.h"

struct mse_app_json {
	char *python_application;
	uint8_t salt[MSE_BUNDLE_SALT_SIZE];
};

void mse_app_json_clear(struct mse_app_json *app);
/* The canonical bytes in a new buffer. */
int mse_app_json_encode(const char *python_application, const uint8_t salt[static MSE_BUNDLE_SALT_SIZE], struct mse_buffer **ret_bytes,
	struct mse_error_info *err);
int mse_app_json_parse(const void *bytes, size_t size, struct mse_app_json *ret_app, struct mse_error_info *err);
