/* Collateral as it travels beside evidence: one JSON object of strings. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "mse/attest.h"

/* Collateral that owns its bytes. */
struct mse_collateral_owned;

/* The text of a JSON object with the members tcb_info, tcb_info_issuer_chain, qe_identity, qe_identity_issuer_chain (texts as
 * signed, PEM), root_ca_crl, pck_crl (base64 of DER); any may be missing, others are an error. Sizes are limited as in mse/attest.h. Nothing is verified here. */
int mse_collateral_parse(const void *text, size_t size, struct mse_collateral_owned **ret_collateral, struct mse_error_info *err);
/* Valid as long as the owner. */
const struct mse_collateral *mse_collateral_view(const struct mse_collateral_owned *collateral);
void mse_collateral_free(struct mse_collateral_owned *collateral);
MSE_DEFINE_CLEANUP(struct mse_collateral_owned, mse_collateral_free)
