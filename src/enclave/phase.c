#include <errno.h>
#include <time.h>

#include "base/text.h"
#include "enclave/enclave.h"

enum mse_phase mse_enclave_phase(const struct mse_enclave *enclave)
{
	return atomic_load(&enclave->phase);
}

bool mse_enclave_enter(struct mse_enclave *enclave, enum mse_phase phase)
{
	bool moved;

	pthread_mutex_lock(&enclave->lock);
	moved = atomic_load(&enclave->phase) != MSE_PHASE_STOPPING;
	if (moved)
		atomic_store(&enclave->phase, phase);
	pthread_cond_broadcast(&enclave->phase_changed);
	pthread_mutex_unlock(&enclave->lock);
	return moved;
}

void mse_enclave_wait_while(struct mse_enclave *enclave, enum mse_phase phase)
{
	pthread_mutex_lock(&enclave->lock);
	while (atomic_load(&enclave->phase) == phase)
		pthread_cond_wait(&enclave->phase_changed, &enclave->lock);
	pthread_mutex_unlock(&enclave->lock);
}

void mse_enclave_stop(struct mse_enclave *enclave)
{
	pthread_mutex_lock(&enclave->lock);
	atomic_store(&enclave->phase, MSE_PHASE_STOPPING);
	pthread_cond_broadcast(&enclave->phase_changed);
	pthread_mutex_unlock(&enclave->lock);
	if (enclave->app_queue != NULL)
		mse_http_queue_close(enclave->app_queue);
}

void mse_enclave_tell_status(struct mse_enclave *enclave, enum mse_enclave_status status)
{
	uint8_t byte = (uint8_t)status;
	struct mse_error_info ignored;

	/* A shim that is gone also stops this enclave: there is nobody left to tell. */
	(void)mse_channel_tell(enclave->channel, MSE_FRAME_STATUS, &byte, 1, &ignored);
}

static void *watch_expiry(void *argument)
{
	struct mse_enclave *enclave = argument;
	struct timespec second = { .tv_sec = 1 };

	/* Looked at every second, since the host may set its clock at any time. */
	while (mse_time_now() < enclave->manifest->expires_at)
		nanosleep(&second, NULL);
	mse_enclave_log(enclave, "the application has reached its expiry date and stops");
	mse_enclave_stop(enclave);
	return NULL;
}

int mse_enclave_watch_expiry(struct mse_enclave *enclave, struct mse_error_info *err)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, watch_expiry, enclave);
	if (errno != 0)
		return mse_fail_errno(err, "cannot start the thread that watches the expiry");
	pthread_detach(thread);
	return 0;
}
