/* The enclave's end of the channel: questions with answers, things told, and being told to stop. Thread-safe. */
#pragma once

#include "tee/channel.h"

struct mse_channel_client;

/* Takes fd over. Starts a thread that reads what the shim sends; on_stop runs on it, once, when the shim says stop or is gone. */
int mse_channel_client_new(int fd, void (*on_stop)(void *context), void *context, struct mse_channel_client **ret_client, struct mse_error_info *err);

/* Waits for the answer, of at most max_size bytes, in a new buffer; MSE_ERR_DENIED with the shim's reason when it refuses. */
int mse_channel_ask(struct mse_channel_client *client, enum mse_frame_type type, const void *payload, size_t size, size_t max_size,
	struct mse_buffer **ret_answer, struct mse_error_info *err);
int mse_channel_tell(struct mse_channel_client *client, enum mse_frame_type type, const void *payload, size_t size, struct mse_error_info *err);
