#include <string.h>

#include "enclave/enclave.h"

int mse_enclave_storage_open(struct mse_enclave *enclave, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *frame = NULL;
	int result = mse_secret_new(1 + MSE_STORAGE_KEY_SIZE, &frame, err);

	if (result < 0)
		return result;
	mse_secret_data(frame)[0] = enclave->restored ? 0 : 1;
	memcpy(mse_secret_data(frame) + 1, mse_secret_view(enclave->state.storage_key), MSE_STORAGE_KEY_SIZE);
	return mse_channel_tell(enclave->channel, MSE_FRAME_OPEN_STORAGE, mse_secret_view(frame), mse_secret_size(frame), err);
}

int mse_enclave_storage_await(struct mse_enclave *enclave, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	int result = mse_channel_ask(enclave->channel, MSE_FRAME_AWAIT_STORAGE, NULL, 0, 0, &answer, err);

	if (result == 0)
		return 0;
	mse_enclave_tell_status(enclave, MSE_ENCLAVE_STORAGE_REFUSED);
	return mse_context(err, "the encrypted storage could not be opened");
}
