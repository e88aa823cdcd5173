/* The enclave manifest: everything that decides what runs, composed by the owner's `mse`, hashed as received.
 * Its canonical bytes (RFC 8785) are the only form; measurement = SHA-256 of them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/json.h"
#include "crypto/fields.h"
#include "crypto/keys.h"

#define MSE_MANIFEST_VERSION 1
#define MSE_MANIFEST_MAX_SIZE ((size_t)256 * 1024)
#define MSE_INSTANCE_ID_SIZE 32
#define MSE_INSTANCE_ID_TEXT_SIZE (2 * MSE_INSTANCE_ID_SIZE + 1)
#define MSE_MANIFEST_MAX_FILES 16  /* of the runtime */
#define MSE_MANIFEST_MAX_NAMES 16  /* of the TLS certificate */
#define MSE_MANIFEST_MAX_ENV 64

enum mse_tls_mode {
	MSE_TLS_ZERO_TRUST, /* "zero-trust": RA-TLS certificate, made in the enclave */
	MSE_TLS_OWNER,      /* "owner": the owner's certificate is provisioned */
	MSE_TLS_OPERATOR,   /* "operator": plain HTTP to the node */
};

struct mse_named_digest {
	char *name;
	uint8_t sha256[MSE_SHA256_SIZE];
};

struct mse_env_variable {
	char *name;
	char *value;
};

/* All strings are owned by the manifest. */
struct mse_manifest {
	uint8_t instance_id[MSE_INSTANCE_ID_SIZE];

	uint64_t runtime_security_version;
	struct mse_named_digest runtime_files[MSE_MANIFEST_MAX_FILES]; /* sorted by name */
	size_t runtime_file_count;

	char *image_name;
	uint8_t image_digest[MSE_SHA256_SIZE]; /* tree digest */
	struct mse_env_variable image_env[MSE_MANIFEST_MAX_ENV];
	size_t image_env_count;

	char *app_name;
	char *app_project;
	char *healthcheck_endpoint;
	uint8_t bundle_sha256[MSE_SHA256_SIZE];
	uint8_t code_commitment[MSE_SHA256_SIZE];

	uint8_t owner_key[MSE_SIGN_KEY_SIZE];
	uint8_t owner_log_key[MSE_BOX_KEY_SIZE];

	enum mse_tls_mode tls_mode;
	char *tls_names[MSE_MANIFEST_MAX_NAMES];
	size_t tls_name_count;

	uint64_t memory;       /* bytes */
	uint64_t cpu_millis;   /* thousandths of a core */
	uint64_t storage;      /* bytes */
	uint64_t threads;      /* that serve requests */
	int64_t expires_at;    /* seconds since 1970 */

	/* "any", "none", or an array of targets as mse_host_port_format() writes them, sorted bytewise, each once. */
	enum mse_egress egress;
	char *egress_targets[MSE_EGRESS_MAX_TARGETS];
	size_t egress_target_count;

	/* As JSON members that this release fixes: "wheels" is [], "app.requirements_sha256" is null. */
};

/* Reads manifest bytes: MSE_ERR_INPUT for unknown or missing members, wrong types, or bytes that are not the canonical form. */
int mse_manifest_parse(const void *bytes, size_t size, struct mse_manifest **ret_manifest, struct mse_error_info *err);
struct mse_manifest *mse_manifest_new(void);
void mse_manifest_free(struct mse_manifest *manifest);
MSE_DEFINE_CLEANUP(struct mse_manifest, mse_manifest_free)

/* The canonical bytes of a manifest whose members are all set; what is missing is MSE_ERR_INPUT. */
int mse_manifest_encode(const struct mse_manifest *manifest, struct mse_buffer **ret_bytes, struct mse_error_info *err);

/* SHA-256 of the manifest's bytes. */
int mse_measurement(const void *manifest_bytes, size_t size, uint8_t measurement[static MSE_SHA256_SIZE], struct mse_error_info *err);

/* The owner's approval of a whole manifest: Ed25519 over ("mse-manifest-v1", measurement). Carried in evidence, it
 * lets whoever holds the owner's public key know that every member is what that owner chose. */
int mse_manifest_sign(const struct mse_sign_key *owner, const uint8_t measurement[static MSE_SHA256_SIZE],
	uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
int mse_manifest_verify_signature(const uint8_t owner_key[static MSE_SIGN_KEY_SIZE], const uint8_t measurement[static MSE_SHA256_SIZE],
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);

/* The first 12 hex digits of SHA-256("mse-address-v1", project, name, owner key): an app's place in the node's domain. */
#define MSE_ADDRESS_TEXT_SIZE 13
int mse_address(const char *project, const char *name, const uint8_t owner_key[static MSE_SIGN_KEY_SIZE],
	char to[static MSE_ADDRESS_TEXT_SIZE], struct mse_error_info *err);

/* Calls visit with every leaf of the manifest's JSON as text ("app.name", "\"demo\""), sorted by path; for comparing and
 * for explaining member by member. Stops at the first negative result and returns it. */
typedef int mse_manifest_visit(void *context, const char *path, const char *value, struct mse_error_info *err);
int mse_manifest_members(const void *bytes, size_t size, mse_manifest_visit *visit, void *context, struct mse_error_info *err);
