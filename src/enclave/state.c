#include "enclave/state.h"

#include <string.h>

#include "base/view.h"
#include "bundle/bundle.h"
#include "ratls/certificate.h"
#include "tee/channel.h"

#define STATE_VERSION 2

/* The parts of a sealed state, each with its size as 32 bits big-endian before it, in this order. */
enum part {
	PART_VERSION,
	PART_COUNTER,
	PART_TLS_KEY,
	PART_CERTIFICATE,
	PART_BOX_KEY,
	PART_IDENTITY_SEED,
	PART_STORAGE_KEY,
	PART_CODE_KEY,
	PART_HAS_SECRETS,
	PART_SECRETS,
	PART_COUNT,
};

int mse_enclave_state_generate(struct mse_enclave_state *ret_state, struct mse_error_info *err)
{
	int result;

	memset(ret_state, 0, sizeof *ret_state);
	if ((result = mse_tls_key_generate(&ret_state->tls_key, err)) < 0 || (result = mse_box_key_generate(&ret_state->box, err)) < 0 ||
	    (result = mse_sign_key_generate(&ret_state->identity, err)) < 0 ||
	    (result = mse_secret_random(MSE_STORAGE_KEY_SIZE, &ret_state->storage_key, err)) < 0)
		mse_enclave_state_clear(ret_state);
	return result;
}

void mse_enclave_state_clear(struct mse_enclave_state *state)
{
	EVP_PKEY_free(state->tls_key);
	X509_free(state->certificate);
	mse_box_key_clear(&state->box);
	mse_sign_key_clear(&state->identity);
	mse_secret_free(state->storage_key);
	mse_secret_free(state->code_key);
	mse_secret_free(state->app_secrets);
	memset(state, 0, sizeof *state);
}

int mse_enclave_state_public_keys(const struct mse_enclave_state *state, struct mse_enclave_keys *ret_keys, struct mse_error_info *err)
{
	memcpy(ret_keys->box_key, state->box.public_key, MSE_BOX_KEY_SIZE);
	memcpy(ret_keys->identity_key, state->identity.public_key, MSE_SIGN_KEY_SIZE);
	return mse_tls_key_point(state->tls_key, ret_keys->tls_point, err);
}

int mse_enclave_state_seal(const struct mse_enclave_state *state, const struct mse_secret *sealing_key, struct mse_buffer **ret_sealed,
	struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *tls_key = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *plain = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sealed = mse_buffer_new(MSE_SEALED_STATE_MAX_SIZE);
	mse_autofree uint8_t *certificate = NULL;
	size_t certificate_size, total = 0;
	uint8_t version = STATE_VERSION, counter[8], has_secrets = state->app_secrets != NULL, *p;
	struct mse_view parts[PART_COUNT] = { 0 };
	int result;

	if (sealed == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_tls_key_to_der(state->tls_key, &tls_key, err)) < 0 ||
	    (result = mse_certificate_to_der(state->certificate, &certificate, &certificate_size, err)) < 0)
		return result;
	mse_put_be64(counter, state->update_counter);
	parts[PART_VERSION] = mse_view_of(&version, 1);
	parts[PART_COUNTER] = mse_view_of(counter, sizeof counter);
	parts[PART_TLS_KEY] = mse_view_of(mse_secret_view(tls_key), mse_secret_size(tls_key));
	parts[PART_CERTIFICATE] = mse_view_of(certificate, certificate_size);
	parts[PART_BOX_KEY] = mse_view_of(mse_secret_view(state->box.secret), mse_secret_size(state->box.secret));
	parts[PART_IDENTITY_SEED] = mse_view_of(mse_sign_key_seed(&state->identity), 32);
	parts[PART_STORAGE_KEY] = mse_view_of(mse_secret_view(state->storage_key), mse_secret_size(state->storage_key));
	parts[PART_CODE_KEY] = mse_view_of(mse_secret_view(state->code_key), mse_secret_size(state->code_key));
	parts[PART_HAS_SECRETS] = mse_view_of(&has_secrets, 1);
	if (has_secrets)
		parts[PART_SECRETS] = mse_view_of(mse_secret_view(state->app_secrets), mse_secret_size(state->app_secrets));
	for (int i = 0; i < PART_COUNT; i++)
		total += 4 + parts[i].size;
	if ((result = mse_secret_new(total, &plain, err)) < 0)
		return result;
	p = mse_secret_data(plain);
	for (int i = 0; i < PART_COUNT; i++) {
		mse_put_be32(p, (uint32_t)parts[i].size);
		if (parts[i].size > 0)
			memcpy(p + 4, parts[i].data, parts[i].size);
		p += 4 + parts[i].size;
	}
	result = mse_secretbox_seal(sealing_key, MSE_SEALING_LABEL, mse_secret_view(plain), total, sealed, err);
	if (result == 0)
		*ret_sealed = mse_steal(sealed);
	return result;
}

static int read_parts(struct mse_view parts[static PART_COUNT], struct mse_enclave_state *state, struct mse_error_info *err)
{
	int result;

	if (parts[PART_COUNTER].size != 8 || parts[PART_BOX_KEY].size != 32 || parts[PART_IDENTITY_SEED].size != 32 ||
	    parts[PART_STORAGE_KEY].size != MSE_STORAGE_KEY_SIZE || parts[PART_CODE_KEY].size != MSE_BUNDLE_KEY_SIZE || parts[PART_HAS_SECRETS].size != 1)
		return mse_fail(err, MSE_ERR_INPUT, "the sealed state has parts of wrong sizes");
	mse_view_be64(&parts[PART_COUNTER], &state->update_counter);
	if ((result = mse_tls_key_from_der(parts[PART_TLS_KEY].data, parts[PART_TLS_KEY].size, &state->tls_key, err)) < 0 ||
	    (result = mse_certificate_from_der(parts[PART_CERTIFICATE].data, parts[PART_CERTIFICATE].size, &state->certificate, err)) < 0 ||
	    (result = mse_box_key_from_secret(parts[PART_BOX_KEY].data, &state->box, err)) < 0 ||
	    (result = mse_sign_key_from_seed(parts[PART_IDENTITY_SEED].data, &state->identity, err)) < 0 ||
	    (result = mse_secret_copy(parts[PART_STORAGE_KEY].data, parts[PART_STORAGE_KEY].size, &state->storage_key, err)) < 0 ||
	    (result = mse_secret_copy(parts[PART_CODE_KEY].data, parts[PART_CODE_KEY].size, &state->code_key, err)) < 0)
		return result;
	if (parts[PART_HAS_SECRETS].data[0] == 0)
		return 0;
	return mse_secret_copy(parts[PART_SECRETS].data, parts[PART_SECRETS].size, &state->app_secrets, err);
}

int mse_enclave_state_open(const void *sealed, size_t size, const struct mse_secret *sealing_key, struct mse_enclave_state *ret_state,
	struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *plain = NULL;
	struct mse_view view, parts[PART_COUNT];
	int result = mse_secretbox_open(sealing_key, MSE_SEALING_LABEL, sealed, size, &plain, err);

	memset(ret_state, 0, sizeof *ret_state);
	if (result < 0)
		return mse_context(err, "the sealed state");
	view = mse_view_of(mse_secret_view(plain), mse_secret_size(plain));
	for (int i = 0; i < PART_COUNT; i++) {
		uint32_t part_size;

		if (!mse_view_be32(&view, &part_size) || !mse_view_take(&view, part_size, &parts[i]))
			return mse_fail(err, MSE_ERR_INPUT, "the sealed state ends early");
		if (i == PART_VERSION && (part_size != 1 || parts[i].data[0] != STATE_VERSION))
			return mse_fail(err, MSE_ERR_UNSUPPORTED, "the sealed state is of another version");
	}
	result = read_parts(parts, ret_state, err);
	if (result < 0)
		mse_enclave_state_clear(ret_state);
	return result;
}
