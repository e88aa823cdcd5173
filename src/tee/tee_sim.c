#include <string.h>

#include "mse/attest.h"
#include "tee/tee.h"

static int get_quote(void *self, const uint8_t report_data[static MSE_TEE_REPORT_DATA_SIZE], struct mse_buffer **ret_quote, struct mse_error_info *err)
{
	int result = mse_channel_ask(self, MSE_FRAME_GET_QUOTE, report_data, MSE_TEE_REPORT_DATA_SIZE, MSE_QUOTE_MAX_SIZE, ret_quote, err);

	return result < 0 ? mse_context(err, "cannot get a quote") : 0;
}

static int get_sealing_key(void *self, const char *label, struct mse_secret **ret_key, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	int result = mse_channel_ask(self, MSE_FRAME_GET_SEALING_KEY, label, strlen(label), MSE_TEE_SEALING_KEY_SIZE, &answer, err);

	if (result < 0)
		return mse_context(err, "cannot get a sealing key");
	if (mse_buffer_size(answer) != MSE_TEE_SEALING_KEY_SIZE)
		return mse_fail(err, MSE_ERR_INPUT, "a sealing key of %zu bytes, expected %d", mse_buffer_size(answer), MSE_TEE_SEALING_KEY_SIZE);
	return mse_secret_copy(mse_buffer_data(answer), MSE_TEE_SEALING_KEY_SIZE, ret_key, err);
}

static int lock_down(struct mse_tee_walls *ret_walls, struct mse_error_info *err)
{
	int result = mse_tee_landlock(&ret_walls->landlock, err);

	return result < 0 ? result : mse_tee_seccomp(err);
}

const struct mse_tee_backend mse_tee_sim = {
	.name = "sim",
	.get_quote = get_quote,
	.get_sealing_key = get_sealing_key,
	.lock_down = lock_down,
};
