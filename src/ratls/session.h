/* Session evidence and provisioning: what binds a quote and a signature to one TLS connection (RFC 9266's idea, with
 * exporters of RFC 8446 section 7.5 under labels of our own). */
#pragma once

#include <stdint.h>

#include "crypto/fields.h"
#include "crypto/keys.h"
#include "crypto/tls_key.h"

#define MSE_EVIDENCE_PATH "/.well-known/mse/evidence"
#define MSE_PROVISION_PATH "/.well-known/mse/provision"
#define MSE_LOG_HEAD_PATH "/.well-known/mse/log-head" /* {"nonce"} gives {"head"}: crypto/log_record.h */
#define MSE_WELL_KNOWN_PREFIX "/.well-known/mse/"

#define MSE_EXPORTER_ATTESTATION "EXPORTER-mse-attestation" /* context = the nonce */
#define MSE_EXPORTER_PROVISION "EXPORTER-mse-provision"     /* no context */
#define MSE_EXPORTER_SIZE 32
#define MSE_NONCE_SIZE 32
#define MSE_REPORT_DATA_SIZE 64
#define MSE_EVIDENCE_MAX_SIZE ((size_t)2 * 1024 * 1024)

/* The enclave's public keys. */
struct mse_enclave_keys {
	uint8_t tls_point[MSE_P256_POINT_SIZE];
	uint8_t box_key[MSE_BOX_KEY_SIZE];
	uint8_t identity_key[MSE_SIGN_KEY_SIZE];
};

/* SHA-512("mse-session-v1", nonce, exporter, SHA-256 of the leaf certificate's DER, TLS, box, identity key, measurement). */
int mse_session_report_data(const uint8_t nonce[static MSE_NONCE_SIZE], const uint8_t exporter[static MSE_EXPORTER_SIZE],
	const uint8_t leaf_sha256[static MSE_SHA256_SIZE], const struct mse_enclave_keys *keys, const uint8_t measurement[static MSE_SHA256_SIZE],
	uint8_t report_data[static MSE_REPORT_DATA_SIZE], struct mse_error_info *err);

/* RA-TLS certificate, where the TEE measures the manifest: SHA-256(TLS point) ‖ box key. */
int mse_certificate_report_data(const struct mse_enclave_keys *keys, uint8_t report_data[static MSE_REPORT_DATA_SIZE], struct mse_error_info *err);

/* The owner's signature of a provisioning message, header Mse-Signature in base64:
 * ("mse-provision-v1", SHA-256(body), exporter, measurement). */
int mse_provision_sign(const struct mse_sign_key *owner, const void *body, size_t size, const uint8_t exporter[static MSE_EXPORTER_SIZE],
	const uint8_t measurement[static MSE_SHA256_SIZE], uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
int mse_provision_verify(const uint8_t owner_key[static MSE_SIGN_KEY_SIZE], const void *body, size_t size,
	const uint8_t exporter[static MSE_EXPORTER_SIZE], const uint8_t measurement[static MSE_SHA256_SIZE],
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);

/* The enclave's receipt, signed by its identity key: ("mse-receipt-v1", SHA-256(body), measurement, clock). */
int mse_receipt_sign(const struct mse_sign_key *identity, const void *body, size_t size, const uint8_t measurement[static MSE_SHA256_SIZE],
	int64_t clock, uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
int mse_receipt_verify(const uint8_t identity_key[static MSE_SIGN_KEY_SIZE], const void *body, size_t size,
	const uint8_t measurement[static MSE_SHA256_SIZE], int64_t clock, const uint8_t signature[static MSE_SIGNATURE_SIZE],
	struct mse_error_info *err);

/* What the owner signs towards the node, header Mse-Signature in base64:
 * ("mse-node-v1", verb, project, name, instance acted on, instance made, SHA-256(request body)); ids are hex text or "". */
struct mse_node_request {
	const char *verb; /* "deploy", "replace", "stop", "remove" */
	const char *project;
	const char *name;
	const char *acted_on;
	const char *made;
	const void *body;
	size_t body_size;
};
int mse_node_request_sign(const struct mse_sign_key *owner, const struct mse_node_request *request,
	uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
int mse_node_request_verify(const uint8_t owner_key[static MSE_SIGN_KEY_SIZE], const struct mse_node_request *request,
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
