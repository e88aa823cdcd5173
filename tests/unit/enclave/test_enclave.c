#include "../test.h"

#include "enclave/state.h"
#include "ratls/certificate.h"

static struct mse_error_info err;
static const uint8_t instance[32] = { 9 };

static void make_state(struct mse_enclave_state *state)
{
	static char name[] = "x.mse.localhost";
	char *names[] = { name };
	struct mse_certificate_params params = { .quote = instance, .quote_size = 32, .names = names, .name_count = 1, .not_before = 0,
		.not_after = 2000000000 };

	assert_works(mse_enclave_state_generate(state, &err));
	params.key = state->tls_key;
	params.identity_key = state->identity.public_key;
	assert_works(mse_certificate_make(&params, &state->certificate, &err));
	assert_works(mse_secret_random(32, &state->code_key, &err));
}

static void sealed_state_comes_back_whole(void **state)
{
	struct mse_enclave_state before = { 0 }, after = { 0 };
	struct mse_enclave_keys keys_before, keys_after;
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *other = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sealed = NULL;

	(void)state;
	make_state(&before);
	before.update_counter = 77;
	assert_works(mse_secret_copy("{\"login\":1}", 11, &before.app_secrets, &err));
	assert_works(mse_secret_random(32, &key, &err));
	assert_works(mse_secret_random(32, &other, &err));
	assert_works(mse_enclave_state_seal(&before, key, &sealed, &err));
	assert_works(mse_enclave_state_open(mse_buffer_data(sealed), mse_buffer_size(sealed), key, &after, &err));
	assert_works(mse_enclave_state_public_keys(&before, &keys_before, &err));
	assert_works(mse_enclave_state_public_keys(&after, &keys_after, &err));
	assert_memory_equal(&keys_before, &keys_after, sizeof keys_before);
	assert_int_equal(after.update_counter, 77);
	assert_int_equal(X509_cmp(before.certificate, after.certificate), 0);
	assert_memory_equal(mse_secret_view(after.app_secrets), "{\"login\":1}", 11);
	assert_memory_equal(mse_secret_view(after.code_key), mse_secret_view(before.code_key), 32);
	mse_enclave_state_clear(&after);
	assert_fails(mse_enclave_state_open(mse_buffer_data(sealed), mse_buffer_size(sealed), other, &after, &err), MSE_ERR_CRYPTO, "sealed state");
	mse_enclave_state_clear(&before);
}

static void a_state_without_secrets_keeps_none(void **state)
{
	struct mse_enclave_state before = { 0 }, after = { 0 };
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sealed = NULL;

	(void)state;
	make_state(&before);
	assert_works(mse_secret_random(32, &key, &err));
	assert_works(mse_enclave_state_seal(&before, key, &sealed, &err));
	assert_works(mse_enclave_state_open(mse_buffer_data(sealed), mse_buffer_size(sealed), key, &after, &err));
	assert_null(after.app_secrets);
	mse_enclave_state_clear(&before);
	mse_enclave_state_clear(&after);
}

static void a_state_that_was_cut_or_changed_anywhere_is_refused(void **state)
{
	struct mse_enclave_state before = { 0 }, after = { 0 };
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sealed = NULL;
	mse_autofree uint8_t *changed = NULL;
	size_t size;

	(void)state;
	make_state(&before);
	assert_works(mse_secret_random(32, &key, &err));
	assert_works(mse_enclave_state_seal(&before, key, &sealed, &err));
	size = mse_buffer_size(sealed);
	changed = malloc(size + 1);
	assert_non_null(changed);
	for (size_t i = 0; i <= size; i++) {
		memcpy(changed, mse_buffer_data(sealed), size);
		changed[size] = 0;
		if (i < size)
			assert_true(mse_enclave_state_open(changed, i, key, &after, &err) < 0);
		else
			assert_true(mse_enclave_state_open(changed, size + 1, key, &after, &err) < 0);
		changed[i] ^= 1;
		if (i < size)
			assert_true(mse_enclave_state_open(changed, size, key, &after, &err) < 0);
	}
	mse_enclave_state_clear(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealed_state_comes_back_whole),
		cmocka_unit_test(a_state_without_secrets_keeps_none),
		cmocka_unit_test(a_state_that_was_cut_or_changed_anywhere_is_refused),
	};

	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests_name("enclave", tests, NULL, NULL);
}
