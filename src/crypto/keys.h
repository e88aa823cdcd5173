/* The keys of owners and enclaves: Ed25519 (RFC 8032) signs, X25519 (RFC 7748) seals and boxes; libsodium's forms. */
#pragma once

#include <stdint.h>

#include "base/secret.h"
#include "crypto/fields.h"

#define MSE_SIGN_KEY_SIZE 32      /* Ed25519 public key */
#define MSE_SIGNATURE_SIZE 64     /* Ed25519 signature */
#define MSE_BOX_KEY_SIZE 32       /* X25519 public key */
#define MSE_BOX_NONCE_SIZE 24
#define MSE_BOX_OVERHEAD 16       /* crypto_box tag */

/* An Ed25519 pair: secret holds libsodium's 64 bytes (seed and public key). */
struct mse_sign_key {
	uint8_t public_key[MSE_SIGN_KEY_SIZE];
	struct mse_secret *secret;
};

/* An X25519 pair: secret holds 32 bytes. */
struct mse_box_key {
	uint8_t public_key[MSE_BOX_KEY_SIZE];
	struct mse_secret *secret;
};

int mse_sign_key_generate(struct mse_sign_key *ret_key, struct mse_error_info *err);
/* From the 32-byte seed; the seed is the form in which a key is stored. */
int mse_sign_key_from_seed(const uint8_t seed[static 32], struct mse_sign_key *ret_key, struct mse_error_info *err);
const uint8_t *mse_sign_key_seed(const struct mse_sign_key *key);
void mse_sign_key_clear(struct mse_sign_key *key);

int mse_box_key_generate(struct mse_box_key *ret_key, struct mse_error_info *err);
int mse_box_key_from_secret(const uint8_t secret[static 32], struct mse_box_key *ret_key, struct mse_error_info *err);
void mse_box_key_clear(struct mse_box_key *key);

/* Ed25519 over mse_fields_encode(tag, fields). Verification fails with MSE_ERR_CRYPTO. */
int mse_sign_fields(const struct mse_sign_key *key, const char *tag, const struct mse_view *fields, size_t count,
	uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
int mse_verify_fields(const uint8_t public_key[static MSE_SIGN_KEY_SIZE], const char *tag, const struct mse_view *fields, size_t count,
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);

/* crypto_box from `from` to `to`: appends 24 bytes of nonce and size + 16 bytes of ciphertext. */
int mse_box_seal(const struct mse_box_key *from, const uint8_t to[static MSE_BOX_KEY_SIZE], const void *data, size_t size,
	struct mse_buffer *append_to, struct mse_error_info *err);
int mse_box_open(const struct mse_box_key *to, const uint8_t from[static MSE_BOX_KEY_SIZE], const void *box, size_t size,
	struct mse_buffer *append_to, struct mse_error_info *err);

/* XChaCha20-Poly1305-IETF under a 32-byte key with a random nonce: nonce ‖ ciphertext ‖ tag; `label` is authenticated
 * with it, so that what was sealed for one purpose does not open for another. */
int mse_secretbox_seal(const struct mse_secret *key, const char *label, const void *data, size_t size, struct mse_buffer *append_to,
	struct mse_error_info *err);
int mse_secretbox_open(const struct mse_secret *key, const char *label, const void *box, size_t size, struct mse_secret **ret_data,
	struct mse_error_info *err);
