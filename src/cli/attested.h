/* A connection to an enclave: TLS 1.3 whose other end is authenticated by evidence instead of a certificate authority.
 * Before mse_attested_verify() has passed, nothing but a nonce is sent. */
#pragma once

#include "base/cleanup.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "crypto/log_record.h"
#include "ratls/session.h"
#include "ratls/verify.h"

struct mse_attested;

/* url is https://HOST[:PORT] with any path, which is dropped: MSE_ERR_INPUT for others. connect_to is an address to connect to whatever
 * HOST resolves to, or NULL. Makes no connection yet. */
int mse_attested_open(const char *url, const char *connect_to, struct mse_attested **ret_attested, struct mse_error_info *err);
void mse_attested_free(struct mse_attested *attested);
MSE_DEFINE_CLEANUP(struct mse_attested, mse_attested_free)
/* HOST, in lower case. */
const char *mse_attested_host(const struct mse_attested *attested);

/* Connects anew, asks for session evidence and examines it, as mse_session_verify() does. With a verdict that passed, the
 * leaf is pinned and the connection is the one that provisioning must use. */
int mse_attested_verify(struct mse_attested *attested, const struct mse_expectations *expected, const struct mse_verify_params *params,
	struct mse_verdict **ret_verdict, struct mse_peer **ret_peer, struct mse_error_info *err);

/* Asks where the log stands, over a connection that need not be verified: the answer is sealed by the enclave's attested key. */
int mse_attested_log_head(struct mse_attested *attested, const uint8_t instance_id[static 32], const struct mse_box_key *owner,
	const uint8_t enclave_key[static MSE_BOX_KEY_SIZE], struct mse_log_head *ret_head, struct mse_error_info *err);

/* The verified certificate as PEM; the caller frees. */
int mse_attested_leaf_pem(const struct mse_attested *attested, char **ret_pem, struct mse_error_info *err);

/* Signs the body for the verified connection and posts it there: on any other connection nothing is sent, and MSE_ERR_CLOSED says that the
 * verified one is gone. MSE_ERR_DENIED: the enclave refused (it never says why). body is used in place. *ret_receipt is
 * {"clock", "signature"}, not verified yet. */
int mse_attested_provision(struct mse_attested *attested, const struct mse_sign_key *owner, const struct mse_secret *body,
	const uint8_t measurement[static MSE_SHA256_SIZE], json_t **ret_receipt, struct mse_error_info *err);

/* GET path over a connection to the verified leaf, and only to it. *ret_waiting tells whether mse itself answered (Mse-Status: the application
 * is not up yet). */
int mse_attested_get(struct mse_attested *attested, const char *path, long *ret_status, bool *ret_waiting, struct mse_error_info *err);
