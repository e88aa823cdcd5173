/* A quote from anybody, with no collateral: everything up to the certificate chain. */
#include <stdlib.h>

#include "mse/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t root[32];
	const struct mse_verify_params params = { .time = 1800000000, .simulation_root = root };
	struct mse_verdict *verdict;

	if (mse_attest_verify(data, size, NULL, &params, &verdict) == MSE_ATTEST_PASS)
		__builtin_trap();
	free(mse_verdict_json(verdict));
	mse_verdict_free(verdict);
	return 0;
}
