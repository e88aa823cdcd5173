/* Collateral as one JSON text. */
#include <stdint.h>

#include "attest/collateral.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mse_collateral_owned *collateral = NULL;
	struct mse_error_info err;

	(void)mse_collateral_parse(data, size, &collateral, &err);
	mse_collateral_free(collateral);
	return 0;
}
