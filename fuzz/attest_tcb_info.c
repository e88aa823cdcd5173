/* TCB info: the signed text's split, and its inner object taken as authentic. */
#include "attest/tcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mse_pck_extension platform = { .components = { 1, 2, 3, 4, 5, 6, 7, 8 }, .pce_svn = 13 };
	const struct mse_tcb_level *level;
	struct mse_view object = mse_view_of(data, size);
	struct mse_tcb_info info;
	struct mse_error_info err;
	uint8_t signature[64];

	(void)mse_signed_json_split(mse_view_of(data, size), "tcbInfo", &object, signature, &err);
	if (mse_tcb_info_parse(object, &info, &err) == 0) {
		(void)mse_tcb_info_match(&info, &platform, &level, &err);
		(void)mse_signed_body_check_dates(&info.body, 1800000000, "it", &err);
		mse_tcb_info_clear(&info);
	}
	return 0;
}
