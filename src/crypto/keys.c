#include "crypto/keys.h"

#include <sodium.h>
#include <string.h>

int mse_sign_key_from_seed(const uint8_t seed[static 32], struct mse_sign_key *ret_key, struct mse_error_info *err)
{
	int result = mse_secret_new(crypto_sign_SECRETKEYBYTES, &ret_key->secret, err);

	if (result == 0)
		crypto_sign_seed_keypair(ret_key->public_key, mse_secret_data(ret_key->secret), seed);
	return result;
}

int mse_sign_key_generate(struct mse_sign_key *ret_key, struct mse_error_info *err)
{
	int result = mse_secret_new(crypto_sign_SECRETKEYBYTES, &ret_key->secret, err);

	if (result == 0)
		crypto_sign_keypair(ret_key->public_key, mse_secret_data(ret_key->secret));
	return result;
}

const uint8_t *mse_sign_key_seed(const struct mse_sign_key *key)
{
	return mse_secret_view(key->secret);
}

void mse_sign_key_clear(struct mse_sign_key *key)
{
	mse_secret_free(mse_steal(key->secret));
}

int mse_box_key_from_secret(const uint8_t secret[static 32], struct mse_box_key *ret_key, struct mse_error_info *err)
{
	int result = mse_secret_copy(secret, crypto_box_SECRETKEYBYTES, &ret_key->secret, err);

	if (result == 0)
		crypto_scalarmult_base(ret_key->public_key, secret);
	return result;
}

int mse_box_key_generate(struct mse_box_key *ret_key, struct mse_error_info *err)
{
	int result = mse_secret_new(crypto_box_SECRETKEYBYTES, &ret_key->secret, err);

	if (result == 0)
		crypto_box_keypair(ret_key->public_key, mse_secret_data(ret_key->secret));
	return result;
}

void mse_box_key_clear(struct mse_box_key *key)
{
	mse_secret_free(mse_steal(key->secret));
}

int mse_sign_fields(const struct mse_sign_key *key, const char *tag, const struct mse_view *fields, size_t count,
	uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	int result = mse_fields_encode(tag, fields, count, &bytes, err);

	if (result < 0)
		return result;
	if (crypto_sign_detached(signature, NULL, mse_buffer_data(bytes), mse_buffer_size(bytes), mse_secret_view(key->secret)) != 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot sign");
	return 0;
}

int mse_verify_fields(const uint8_t public_key[static MSE_SIGN_KEY_SIZE], const char *tag, const struct mse_view *fields, size_t count,
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	int result = mse_fields_encode(tag, fields, count, &bytes, err);

	if (result < 0)
		return result;
	if (crypto_sign_verify_detached(signature, mse_buffer_data(bytes), mse_buffer_size(bytes), public_key) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "the signature does not verify under the expected key");
	return 0;
}

int mse_box_seal(const struct mse_box_key *from, const uint8_t to[static MSE_BOX_KEY_SIZE], const void *data, size_t size,
	struct mse_buffer *append_to, struct mse_error_info *err)
{
	uint8_t *room;
	int result = mse_buffer_reserve(append_to, MSE_BOX_NONCE_SIZE + MSE_BOX_OVERHEAD + size, &room, err);

	if (result < 0)
		return result;
	randombytes_buf(room, MSE_BOX_NONCE_SIZE);
	if (crypto_box_easy(room + MSE_BOX_NONCE_SIZE, data, size, room, to, mse_secret_view(from->secret)) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "cannot seal to this public key: it is not a valid X25519 key");
	mse_buffer_commit(append_to, MSE_BOX_NONCE_SIZE + MSE_BOX_OVERHEAD + size);
	return 0;
}

int mse_box_open(const struct mse_box_key *to, const uint8_t from[static MSE_BOX_KEY_SIZE], const void *box, size_t size,
	struct mse_buffer *append_to, struct mse_error_info *err)
{
	const uint8_t *bytes = box;
	uint8_t *room;
	int result;

	if (size < MSE_BOX_NONCE_SIZE + MSE_BOX_OVERHEAD)
		return mse_fail(err, MSE_ERR_INPUT, "a sealed box of %zu bytes is too short", size);
	result = mse_buffer_reserve(append_to, size - MSE_BOX_NONCE_SIZE - MSE_BOX_OVERHEAD, &room, err);
	if (result < 0)
		return result;
	if (crypto_box_open_easy(room, bytes + MSE_BOX_NONCE_SIZE, size - MSE_BOX_NONCE_SIZE, bytes, from, mse_secret_view(to->secret)) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "a sealed box does not open: changed, or from another sender");
	mse_buffer_commit(append_to, size - MSE_BOX_NONCE_SIZE - MSE_BOX_OVERHEAD);
	return 0;
}

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES

int mse_secretbox_seal(const struct mse_secret *key, const char *label, const void *data, size_t size, struct mse_buffer *append_to,
	struct mse_error_info *err)
{
	uint8_t *room;
	int result;

	if (mse_secret_size(key) != crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
		return mse_fail(err, MSE_ERR_INTERNAL, "a sealing key of %zu bytes", mse_secret_size(key));
	result = mse_buffer_reserve(append_to, NONCE_SIZE + size + TAG_SIZE, &room, err);
	if (result < 0)
		return result;
	randombytes_buf(room, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(room + NONCE_SIZE, NULL, data, size, (const uint8_t *)label, strlen(label), NULL, room,
		mse_secret_view(key));
	mse_buffer_commit(append_to, NONCE_SIZE + size + TAG_SIZE);
	return 0;
}

int mse_secretbox_open(const struct mse_secret *key, const char *label, const void *box, size_t size, struct mse_secret **ret_data,
	struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *data = NULL;
	const uint8_t *bytes = box;
	int result;

	if (mse_secret_size(key) != crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
		return mse_fail(err, MSE_ERR_INTERNAL, "a sealing key of %zu bytes", mse_secret_size(key));
	if (size < NONCE_SIZE + TAG_SIZE)
		return mse_fail(err, MSE_ERR_INPUT, "sealed data of %zu bytes is too short", size);
	result = mse_secret_new(size - NONCE_SIZE - TAG_SIZE, &data, err);
	if (result < 0)
		return result;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(mse_secret_data(data), NULL, NULL, bytes + NONCE_SIZE, size - NONCE_SIZE,
		    (const uint8_t *)label, strlen(label), bytes, mse_secret_view(key)) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "sealed data does not open: changed, or sealed under another key");
	*ret_data = mse_steal(data);
	return 0;
}
