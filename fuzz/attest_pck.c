/* The SGX extension of a PCK certificate. */
#include "attest/pck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mse_pck_extension extension;
	struct mse_error_info err;

	(void)mse_pck_extension_parse(mse_view_of(data, size), &extension, &err);
	return 0;
}
