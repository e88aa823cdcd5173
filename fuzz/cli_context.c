/* A context as a stranger gets it: as it came, and as an owner would have signed it. */
#include <sodium.h>

#include "cli/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_it(const json_t *json)
{
	struct mse_context_info *context = NULL;
	struct mse_error_info err;

	if (mse_context_read(json, "it", &context, &err) == 0)
		mse_context_info_free(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	mse_autojson *json = NULL;
	mse_autojson *outer = json_object();
	mse_cleanup(mse_buffer_freep) struct mse_buffer *canonical = mse_buffer_new(MSE_CONTEXT_MAX_SIZE);
	struct mse_sign_key owner = { 0 };
	uint8_t signature[MSE_SIGNATURE_SIZE];
	struct mse_error_info err;

	if (sodium_init() < 0 || mse_json_parse(data, size, "it", &json, &err) < 0)
		return 0;
	read_it(json);
	if (mse_json_canonical(json, canonical, &err) == 0 && mse_sign_key_from_seed(seed, &owner, &err) == 0) {
		const struct mse_view view = mse_view_of(mse_buffer_data(canonical), mse_buffer_size(canonical));

		if (mse_sign_fields(&owner, "mse-context-v1", &view, 1, signature, &err) == 0 &&
		    mse_json_set(outer, "context", json_incref(json), &err) == 0 &&
		    mse_json_set_base64(outer, "owner", owner.public_key, MSE_SIGN_KEY_SIZE, &err) == 0 &&
		    mse_json_set_base64(outer, "signature", signature, sizeof signature, &err) == 0)
			read_it(outer);
	}
	mse_sign_key_clear(&owner);
	return 0;
}
