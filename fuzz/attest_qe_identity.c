/* QE identity: the signed text's split, and its inner object taken as authentic. */
#include "attest/tcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mse_sgx_report report = { .isv_prod_id = 1, .isv_svn = 8 };
	const struct mse_tcb_level *level;
	struct mse_view object = mse_view_of(data, size);
	struct mse_qe_identity identity;
	struct mse_error_info err;
	uint8_t signature[64];

	(void)mse_signed_json_split(mse_view_of(data, size), "enclaveIdentity", &object, signature, &err);
	if (mse_qe_identity_parse(object, &identity, &err) == 0) {
		(void)mse_qe_identity_check(&identity, &report, &err);
		(void)mse_qe_identity_match(&identity, &report, &level, &err);
		mse_qe_identity_clear(&identity);
	}
	return 0;
}
