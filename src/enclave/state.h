/* What an enclave is made of, and what of it is sealed so that a restart needs no owner. */
#pragma once

#include <openssl/x509.h>

#include "crypto/keys.h"
#include "ratls/session.h"

#define MSE_APP_SECRETS_MAX_SIZE ((size_t)4 * 1024 * 1024)

struct mse_enclave_state {
	EVP_PKEY *tls_key;
	X509 *certificate;
	struct mse_box_key box;
	struct mse_sign_key identity;
	uint64_t update_counter;
	struct mse_secret *storage_key; /* of $HOME */
	/* Once provisioned; NULL before. */
	struct mse_secret *code_key;
	struct mse_secret *app_secrets; /* NULL also where the owner sent none */
};

/* Fresh keys, no certificate yet. */
int mse_enclave_state_generate(struct mse_enclave_state *ret_state, struct mse_error_info *err);
void mse_enclave_state_clear(struct mse_enclave_state *state);
int mse_enclave_state_public_keys(const struct mse_enclave_state *state, struct mse_enclave_keys *ret_keys, struct mse_error_info *err);

/* Sealed under the TEE's sealing key; for a state that is provisioned. */
#define MSE_SEALING_LABEL "mse-state-v1"
int mse_enclave_state_seal(const struct mse_enclave_state *state, const struct mse_secret *sealing_key, struct mse_buffer **ret_sealed,
	struct mse_error_info *err);
int mse_enclave_state_open(const void *sealed, size_t size, const struct mse_secret *sealing_key, struct mse_enclave_state *ret_state,
	struct mse_error_info *err);
