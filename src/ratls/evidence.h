/* The body of the answer to a session evidence request, as JSON. */
#pragma once

#include "base/json.h"
#include "ratls/session.h"

/* As made by the enclave, as read by a verifier: only its form is checked on reading. All owned by the struct. */
struct mse_evidence {
	char *tee;          /* what the enclave calls its TEE, for people: believed nowhere */
	struct mse_buffer *quote;
	struct mse_buffer *manifest;
	uint8_t manifest_signature[MSE_SIGNATURE_SIZE]; /* the owner's approval of the manifest */
	struct mse_enclave_keys keys;
	char *collateral;   /* as the host offered it, the text that attest/collateral.h reads; NULL when it offered none */
	char *state;        /* "waiting", "starting", "serving" */
};

struct mse_evidence *mse_evidence_new(void);
void mse_evidence_free(struct mse_evidence *evidence);
MSE_DEFINE_CLEANUP(struct mse_evidence, mse_evidence_free)

/* *ret_text is newly allocated. */
int mse_evidence_write(const struct mse_evidence *evidence, char **ret_text, struct mse_error_info *err);
int mse_evidence_read(const void *text, size_t size, struct mse_evidence **ret_evidence, struct mse_error_info *err);
