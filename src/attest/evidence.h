/* One verification under way, and the verifiers of the kinds of evidence. A further kind has a file of its own with one
 * function of this form, and a line in the table of verify.c. */
#pragma once

#include "attest/verdict.h"
#include "base/error.h"
#include "base/view.h"
#include "mse/attest.h"

struct mse_verification {
	struct mse_view evidence;
	const struct mse_collateral *collateral;
	const struct mse_verify_params *params;
	struct mse_verdict *verdict;
};

/* What the bytes begin like: "sgx", "tdx", "snp", or NULL, with a description for people. */
const char *mse_evidence_kind(struct mse_view evidence, const char **ret_description);

/* Fills the verdict; every outcome is in its checks. MSE_ERR_NOMEM only. */
int mse_sgx_verify(struct mse_verification *verification, struct mse_error_info *err);
