#include "tee/channel_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>


#define ANSWER_TIMEOUT_SECONDS 30
/* A disk that was not closed is checked first. */
#define STORAGE_TIMEOUT_SECONDS 150

struct mse_channel_client {
	int fd;
	void (*on_stop)(void *context);
	void *context;
	pthread_mutex_t asking;  /* one question at a time */
	pthread_mutex_t sending; /* whole frames */
	pthread_mutex_t lock;    /* what follows */
	pthread_cond_t answered;
	bool expecting;
	bool closed;
	enum mse_frame_type answer_type;
	struct mse_buffer *answer; /* NULL until one is there */
};

static void hand_over(struct mse_channel_client *client, enum mse_frame_type type, struct mse_buffer **payload)
{
	pthread_mutex_lock(&client->lock);
	/* An answer that nobody asked for, or the second to one question, is dropped. */
	if (client->expecting && client->answer == NULL) {
		client->answer = mse_steal(*payload);
		client->answer_type = type;
		pthread_cond_signal(&client->answered);
	}
	pthread_mutex_unlock(&client->lock);
}

static void *read_frames(void *argument)
{
	struct mse_channel_client *client = argument;
	struct mse_error_info err;

	for (;;) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *payload = mse_buffer_new(MSE_CHANNEL_MAX_PAYLOAD);
		enum mse_frame_type type;

		if (payload == NULL || mse_channel_receive(client->fd, &type, payload, &err) < 0 || type == MSE_FRAME_STOP)
			break;
		if (type == MSE_FRAME_ANSWER || type == MSE_FRAME_REFUSED)
			hand_over(client, type, &payload);
	}
	pthread_mutex_lock(&client->lock);
	client->closed = true;
	pthread_cond_broadcast(&client->answered);
	pthread_mutex_unlock(&client->lock);
	client->on_stop(client->context);
	return NULL;
}

int mse_channel_client_new(int fd, void (*on_stop)(void *context), void *context, struct mse_channel_client **ret_client, struct mse_error_info *err)
{
	struct mse_channel_client *client = calloc(1, sizeof *client);
	pthread_condattr_t attributes;
	pthread_t thread;

	if (client == NULL)
		return mse_fail_nomem(err);
	client->fd = fd;
	client->on_stop = on_stop;
	client->context = context;
	pthread_mutex_init(&client->asking, NULL);
	pthread_mutex_init(&client->sending, NULL);
	pthread_mutex_init(&client->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&client->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	errno = pthread_create(&thread, NULL, read_frames, client);
	if (errno != 0) {
		free(client);
		return mse_fail_errno(err, "cannot start the thread that reads the channel");
	}
	pthread_detach(thread);
	*ret_client = client;
	return 0;
}

int mse_channel_tell(struct mse_channel_client *client, enum mse_frame_type type, const void *payload, size_t size, struct mse_error_info *err)
{
	int result;

	pthread_mutex_lock(&client->sending);
	result = mse_channel_send(client->fd, type, payload, size, err);
	pthread_mutex_unlock(&client->sending);
	return result;
}

static int await_answer(struct mse_channel_client *client, int timeout_seconds, size_t max_size, struct mse_buffer **ret_answer, struct mse_error_info *err)
{
	struct timespec deadline;
	int result = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_seconds;
	while (client->answer == NULL && !client->closed && result == 0)
		result = pthread_cond_timedwait(&client->answered, &client->lock, &deadline);
	if (client->answer == NULL && client->closed)
		return mse_fail(err, MSE_ERR_CLOSED, "the shim is gone");
	if (client->answer == NULL) {
		/* A late answer would be taken for the next one's. */
		client->closed = true;
		return mse_fail(err, MSE_ERR_TIMEOUT, "the shim did not answer within %d seconds", timeout_seconds);
	}
	if (client->answer_type == MSE_FRAME_REFUSED)
		return mse_fail(err, MSE_ERR_DENIED, "refused by the shim: %.200s", mse_buffer_text(client->answer));
	if (mse_buffer_size(client->answer) > max_size)
		return mse_fail(err, MSE_ERR_LIMIT, "an answer of %zu bytes from the shim, the limit is %zu", mse_buffer_size(client->answer), max_size);
	*ret_answer = mse_steal(client->answer);
	return 0;
}

int mse_channel_ask(struct mse_channel_client *client, enum mse_frame_type type, const void *payload, size_t size, size_t max_size,
	struct mse_buffer **ret_answer, struct mse_error_info *err)
{
	int result;

	pthread_mutex_lock(&client->asking);
	pthread_mutex_lock(&client->lock);
	client->expecting = true;
	result = client->closed ? mse_fail(err, MSE_ERR_CLOSED, "the shim is gone") : 0;
	pthread_mutex_unlock(&client->lock);
	if (result == 0)
		result = mse_channel_tell(client, type, payload, size, err);
	pthread_mutex_lock(&client->lock);
	if (result == 0)
		result = await_answer(client, type == MSE_FRAME_AWAIT_STORAGE ? STORAGE_TIMEOUT_SECONDS : ANSWER_TIMEOUT_SECONDS, max_size, ret_answer, err);
	client->expecting = false;
	mse_buffer_free(mse_steal(client->answer));
	pthread_mutex_unlock(&client->lock);
	pthread_mutex_unlock(&client->asking);
	return result;
}
