#include "ratls/evidence.h"

#include <string.h>

#include "base/text.h"
#include "manifest/manifest.h"
#include "mse/attest.h"

#define WHAT "the evidence"
#define EVIDENCE_VERSION 1

struct mse_evidence *mse_evidence_new(void)
{
	return calloc(1, sizeof(struct mse_evidence));
}

void mse_evidence_free(struct mse_evidence *evidence)
{
	if (evidence == NULL)
		return;
	mse_buffer_free(evidence->quote);
	mse_buffer_free(evidence->manifest);
	free(evidence->collateral);
	free(evidence->tee);
	free(evidence->state);
	free(evidence);
}

int mse_evidence_write(const struct mse_evidence *evidence, char **ret_text, struct mse_error_info *err)
{
	mse_autojson *json = json_pack("{s:i, s:s, s:s}", "version", EVIDENCE_VERSION, "tee", evidence->tee, "state",
		evidence->state);
	const struct mse_enclave_keys *keys = &evidence->keys;
	char *text;
	int result;

	if ((result = mse_json_set_base64(json, "quote", mse_buffer_data(evidence->quote), mse_buffer_size(evidence->quote), err)) < 0 ||
	    (result = mse_json_set_base64(json, "manifest", mse_buffer_data(evidence->manifest), mse_buffer_size(evidence->manifest), err)) < 0 ||
	    (result = mse_json_set_base64(json, "manifest_signature", evidence->manifest_signature, MSE_SIGNATURE_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(json, "tls_key", keys->tls_point, MSE_P256_POINT_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(json, "box_key", keys->box_key, MSE_BOX_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(json, "identity_key", keys->identity_key, MSE_SIGN_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set(json, "collateral", evidence->collateral == NULL ? json_null() : json_string(evidence->collateral), err)) < 0)
		return result;
	text = json_dumps(json, JSON_COMPACT);
	if (text == NULL)
		return mse_fail_nomem(err);
	*ret_text = text;
	return 0;
}

static int read_bytes(const json_t *json, const char *member, size_t max_size, struct mse_buffer **ret_bytes, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = mse_buffer_new(max_size);
	mse_autofree uint8_t *data = NULL;
	const char *text;
	size_t size;
	int result;

	if (bytes == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_string(json, member, WHAT, &text, err)) < 0 ||
	    (result = mse_base64_decode(text, max_size, &data, &size, member, err)) < 0 ||
	    (result = mse_buffer_append(bytes, data, size, err)) < 0)
		return result;
	*ret_bytes = mse_steal(bytes);
	return 0;
}

int mse_evidence_read(const void *text, size_t size, struct mse_evidence **ret_evidence, struct mse_error_info *err)
{
	static const char *const members[] = { "box_key", "collateral", "identity_key", "manifest", "manifest_signature", "quote", "state", "tee",
		"tls_key", "version", NULL };
	mse_cleanup(mse_evidence_freep) struct mse_evidence *evidence = mse_evidence_new();
	mse_autojson *json = NULL;
	const char *state, *tee;
	uint64_t version;
	json_t *collateral;
	int result;

	if (evidence == NULL)
		return mse_fail_nomem(err);
	if (size > MSE_EVIDENCE_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, WHAT " has %zu bytes, the limit is %zu", size, MSE_EVIDENCE_MAX_SIZE);
	if ((result = mse_json_parse(text, size, WHAT, &json, err)) < 0 || (result = mse_json_only(json, members, WHAT, err)) < 0 ||
	    (result = mse_json_u64(json, "version", WHAT, 0, UINT32_MAX, &version, err)) < 0)
		return result;
	if (version != EVIDENCE_VERSION)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, WHAT " has version %llu, this release knows version %d", (unsigned long long)version,
			EVIDENCE_VERSION);
	if ((result = read_bytes(json, "quote", MSE_QUOTE_MAX_SIZE, &evidence->quote, err)) < 0 ||
	    (result = read_bytes(json, "manifest", MSE_MANIFEST_MAX_SIZE, &evidence->manifest, err)) < 0 ||
	    (result = mse_json_base64(json, "manifest_signature", WHAT, evidence->manifest_signature, MSE_SIGNATURE_SIZE, err)) < 0 ||
	    (result = mse_json_base64(json, "tls_key", WHAT, evidence->keys.tls_point, MSE_P256_POINT_SIZE, err)) < 0 ||
	    (result = mse_json_base64(json, "box_key", WHAT, evidence->keys.box_key, MSE_BOX_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_base64(json, "identity_key", WHAT, evidence->keys.identity_key, MSE_SIGN_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_string(json, "tee", WHAT, &tee, err)) < 0 || (result = mse_strdup(tee, &evidence->tee, err)) < 0 ||
	    (result = mse_json_string(json, "state", WHAT, &state, err)) < 0 || (result = mse_strdup(state, &evidence->state, err)) < 0)
		return result;
	collateral = json_object_get(json, "collateral");
	if (json_is_string(collateral) && (result = mse_strdup(json_string_value(collateral), &evidence->collateral, err)) < 0)
		return result;
	*ret_evidence = mse_steal(evidence);
	return 0;
}
