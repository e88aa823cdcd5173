/* The inside of a verdict: filled by the verifiers of this folder, read by everybody through mse/attest.h. */
#pragma once

#include <jansson.h>
#include <stdarg.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "mse/attest.h"

MSE_DEFINE_CLEANUP(struct mse_verdict, mse_verdict_free)

/* The verdict as a JSON object, a new reference. */
int mse_verdict_to_json(const struct mse_verdict *verdict, json_t **ret_json, struct mse_error_info *err);
