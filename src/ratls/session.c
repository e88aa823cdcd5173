#include "ratls/session.h"

#include <string.h>

#include "crypto/hash.h"

int mse_session_report_data(const uint8_t nonce[static MSE_NONCE_SIZE], const uint8_t exporter[static MSE_EXPORTER_SIZE],
	const uint8_t leaf_sha256[static MSE_SHA256_SIZE], const struct mse_enclave_keys *keys, const uint8_t measurement[static MSE_SHA256_SIZE],
	uint8_t report_data[static MSE_REPORT_DATA_SIZE], struct mse_error_info *err)
{
	const struct mse_view fields[] = {
		mse_view_of(nonce, MSE_NONCE_SIZE),
		mse_view_of(exporter, MSE_EXPORTER_SIZE),
		mse_view_of(leaf_sha256, MSE_SHA256_SIZE),
		mse_view_of(keys->tls_point, MSE_P256_POINT_SIZE),
		mse_view_of(keys->box_key, MSE_BOX_KEY_SIZE),
		mse_view_of(keys->identity_key, MSE_SIGN_KEY_SIZE),
		mse_view_of(measurement, MSE_SHA256_SIZE),
	};

	return mse_fields_sha512("mse-session-v1", fields, 7, report_data, err);
}

int mse_certificate_report_data(const struct mse_enclave_keys *keys, uint8_t report_data[static MSE_REPORT_DATA_SIZE], struct mse_error_info *err)
{
	memcpy(report_data + MSE_SHA256_SIZE, keys->box_key, MSE_BOX_KEY_SIZE);
	return mse_sha256(keys->tls_point, MSE_P256_POINT_SIZE, report_data, err);
}

static int body_digest(const void *body, size_t size, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	return mse_sha256(body, size, digest, err);
}

int mse_provision_sign(const struct mse_sign_key *owner, const void *body, size_t size, const uint8_t exporter[static MSE_EXPORTER_SIZE],
	const uint8_t measurement[static MSE_SHA256_SIZE], uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	const struct mse_view fields[] = { mse_view_of(digest, sizeof digest), mse_view_of(exporter, MSE_EXPORTER_SIZE),
		mse_view_of(measurement, MSE_SHA256_SIZE) };
	int result = body_digest(body, size, digest, err);

	return result < 0 ? result : mse_sign_fields(owner, "mse-provision-v1", fields, 3, signature, err);
}

int mse_provision_verify(const uint8_t owner_key[static MSE_SIGN_KEY_SIZE], const void *body, size_t size,
	const uint8_t exporter[static MSE_EXPORTER_SIZE], const uint8_t measurement[static MSE_SHA256_SIZE],
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	const struct mse_view fields[] = { mse_view_of(digest, sizeof digest), mse_view_of(exporter, MSE_EXPORTER_SIZE),
		mse_view_of(measurement, MSE_SHA256_SIZE) };
	int result = body_digest(body, size, digest, err);

	return result < 0 ? result : mse_verify_fields(owner_key, "mse-provision-v1", fields, 3, signature, err);
}

int mse_receipt_sign(const struct mse_sign_key *identity, const void *body, size_t size, const uint8_t measurement[static MSE_SHA256_SIZE],
	int64_t clock, uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE], time[8];
	const struct mse_view fields[] = { mse_view_of(digest, sizeof digest), mse_view_of(measurement, MSE_SHA256_SIZE),
		mse_view_of(time, sizeof time) };
	int result = body_digest(body, size, digest, err);

	mse_put_be64(time, (uint64_t)clock);
	return result < 0 ? result : mse_sign_fields(identity, "mse-receipt-v1", fields, 3, signature, err);
}

int mse_receipt_verify(const uint8_t identity_key[static MSE_SIGN_KEY_SIZE], const void *body, size_t size,
	const uint8_t measurement[static MSE_SHA256_SIZE], int64_t clock, const uint8_t signature[static MSE_SIGNATURE_SIZE],
	struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE], time[8];
	const struct mse_view fields[] = { mse_view_of(digest, sizeof digest), mse_view_of(measurement, MSE_SHA256_SIZE),
		mse_view_of(time, sizeof time) };
	int result = body_digest(body, size, digest, err);

	mse_put_be64(time, (uint64_t)clock);
	return result < 0 ? result : mse_verify_fields(identity_key, "mse-receipt-v1", fields, 3, signature, err);
}

#define NODE_FIELD_COUNT 6

static int node_fields(const struct mse_node_request *request, uint8_t digest[static MSE_SHA256_SIZE],
	struct mse_view fields[static NODE_FIELD_COUNT], struct mse_error_info *err)
{
	fields[0] = mse_view_of_text(request->verb);
	fields[1] = mse_view_of_text(request->project);
	fields[2] = mse_view_of_text(request->name);
	fields[3] = mse_view_of_text(request->acted_on);
	fields[4] = mse_view_of_text(request->made);
	fields[5] = mse_view_of(digest, MSE_SHA256_SIZE);
	return body_digest(request->body, request->body_size, digest, err);
}

int mse_node_request_sign(const struct mse_sign_key *owner, const struct mse_node_request *request,
	uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	struct mse_view fields[NODE_FIELD_COUNT];
	int result = node_fields(request, digest, fields, err);

	return result < 0 ? result : mse_sign_fields(owner, "mse-node-v1", fields, NODE_FIELD_COUNT, signature, err);
}

int mse_node_request_verify(const uint8_t owner_key[static MSE_SIGN_KEY_SIZE], const struct mse_node_request *request,
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	struct mse_view fields[NODE_FIELD_COUNT];
	int result = node_fields(request, digest, fields, err);

	return result < 0 ? result : mse_verify_fields(owner_key, "mse-node-v1", fields, NODE_FIELD_COUNT, signature, err);
}
