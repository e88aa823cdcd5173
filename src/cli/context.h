/* A signed context: what a stranger needs to verify an app, and no key.
 *
 *     {"context": {"version": 1, "name", "project", "url", "manifest": base64, "salt": base64, "python_application",
 *                  "platforms": [hex], "simulation_root": hex or null, "tee", "created_at"},
 *      "owner": base64 of the Ed25519 public key, "signature": base64}
 *
 * The signature is the owner's over ("mse-context-v1", canonical JSON of "context"). */
#pragma once

#include "base/json.h"
#include "bundle/bundle.h"
#include "manifest/manifest.h"
#include "ratls/verify.h"

#define MSE_CONTEXT_MAX_SIZE ((size_t)1024 * 1024)
#define MSE_CONTEXT_MAX_PLATFORMS 64

struct mse_context_info {
	char *name;
	char *project;
	char *url;
	char *python_application;
	char *tee;
	struct mse_buffer *manifest;
	uint8_t salt[MSE_BUNDLE_SALT_SIZE];
	uint8_t platforms[MSE_CONTEXT_MAX_PLATFORMS][MSE_PLATFORM_SIZE];
	size_t platform_count; /* 0: none is pinned */
	bool has_simulation_root;
	uint8_t simulation_root[MSE_SHA256_SIZE];
	int64_t created_at;
	uint8_t owner[MSE_SIGN_KEY_SIZE];
};
void mse_context_info_free(struct mse_context_info *context);
MSE_DEFINE_CLEANUP(struct mse_context_info, mse_context_info_free)

/* The signed JSON, a new reference; context->owner is not read, the key says it. */
int mse_context_sign(const struct mse_context_info *context, const struct mse_sign_key *owner, json_t **ret_json, struct mse_error_info *err);

/* Reads a signed context and believes nothing in it before its signature: MSE_ERR_CRYPTO when that does not verify, or
 * when the manifest in it is another owner's; MSE_ERR_INPUT when it is malformed. */
int mse_context_read(const json_t *json, const char *what, struct mse_context_info **ret_context, struct mse_error_info *err);
