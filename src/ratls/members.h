/* Each member of the manifest in the evidence, compared with whatever of the caller's fixes it. */
#pragma once

#include "ratls/verify.h"

/* Adds a check "manifest.<path>" for every member; a member that nothing fixes is a failed check that says so. */
int mse_members_check(struct mse_verdict *verdict, const struct mse_expectations *expected, const struct mse_buffer *manifest,
	const uint8_t measurement[static MSE_SHA256_SIZE], const uint8_t owner_approval[static MSE_SIGNATURE_SIZE], struct mse_error_info *err);
