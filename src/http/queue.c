#include "http/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define MAX_CAPACITY 65536u

struct mse_http_queue {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct mse_http_request **slots;
	size_t capacity;
	size_t first;
	size_t count;
	bool closed;
};

int mse_http_queue_new(size_t capacity, struct mse_http_queue **ret_queue, struct mse_error_info *err)
{
	struct mse_http_queue *queue;
	pthread_condattr_t attributes;

	*ret_queue = NULL;
	if (capacity < 1 || capacity > MAX_CAPACITY)
		return mse_fail(err, MSE_ERR_LIMIT, "a request queue of %zu: it holds 1 to %u requests", capacity, MAX_CAPACITY);
	queue = calloc(1, sizeof *queue);
	if (queue == NULL)
		return mse_fail_nomem(err);
	queue->capacity = capacity;
	queue->slots = calloc(capacity, sizeof *queue->slots);
	if (queue->slots == NULL) {
		free(queue);
		return mse_fail_nomem(err);
	}
	pthread_mutex_init(&queue->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	*ret_queue = queue;
	return 0;
}

void mse_http_queue_free(struct mse_http_queue *queue)
{
	if (queue == NULL)
		return;
	for (size_t i = 0; i < queue->count; i++)
		mse_http_request_unref(queue->slots[(queue->first + i) % queue->capacity]);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->mutex);
	free(queue->slots);
	free(queue);
}

static int refuse(struct mse_http_request *request, int code, const char *why, struct mse_error_info *err)
{
	static const char body[] = "503 Service Unavailable\n";
	const struct mse_http_header headers[] = { MSE_HTTP_HEADER("Content-Type", "text/plain; charset=utf-8"), MSE_HTTP_HEADER("Retry-After", "1") };

	/* A client that has gone away meanwhile misses nothing. */
	(void)mse_http_respond_with(request, 503, headers, 2, body, sizeof body - 1, NULL);
	return mse_fail(err, code, "queueing a request: the queue is %s", why);
}

int mse_http_queue_push(struct mse_http_queue *queue, struct mse_http_request *request, struct mse_error_info *err)
{
	bool closed, full;

	pthread_mutex_lock(&queue->mutex);
	closed = queue->closed;
	full = queue->count == queue->capacity;
	if (!closed && !full) {
		queue->slots[(queue->first + queue->count) % queue->capacity] = mse_http_request_ref(request);
		queue->count++;
		pthread_cond_signal(&queue->changed);
	}
	pthread_mutex_unlock(&queue->mutex);
	if (closed)
		return refuse(request, MSE_ERR_CLOSED, "closed", err);
	return full ? refuse(request, MSE_ERR_LIMIT, "full", err) : 0;
}

static struct timespec deadline_after(int timeout_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* The next slot, or NULL with *ret_code saying why. */
static struct mse_http_request *take(struct mse_http_queue *queue, const struct timespec *deadline, int *ret_code)
{
	struct mse_http_request *request = NULL;
	int result = 0;

	pthread_mutex_lock(&queue->mutex);
	while (queue->count == 0 && !queue->closed && result != ETIMEDOUT)
		result = deadline == NULL ? pthread_cond_wait(&queue->changed, &queue->mutex) :
					    pthread_cond_timedwait(&queue->changed, &queue->mutex, deadline);
	if (queue->count > 0) {
		request = queue->slots[queue->first];
		queue->first = (queue->first + 1) % queue->capacity;
		queue->count--;
	} else {
		*ret_code = queue->closed ? MSE_ERR_CLOSED : MSE_ERR_TIMEOUT;
	}
	pthread_mutex_unlock(&queue->mutex);
	return request;
}

int mse_http_queue_pop(struct mse_http_queue *queue, int timeout_ms, struct mse_http_request **ret_request, struct mse_error_info *err)
{
	struct timespec deadline = timeout_ms >= 0 ? deadline_after(timeout_ms) : (struct timespec){ 0 };

	*ret_request = NULL;
	for (;;) {
		int code = 0;
		struct mse_http_request *request = take(queue, timeout_ms >= 0 ? &deadline : NULL, &code);

		if (request == NULL)
			return mse_fail(err, code, "waiting for a request: %s", code == MSE_ERR_CLOSED ? "the queue is closed" : "none came in time");
		if (!mse_http_request_is_closed(request)) {
			*ret_request = request;
			return 0;
		}
		mse_http_request_unref(request);
	}
}

void mse_http_queue_close(struct mse_http_queue *queue)
{
	pthread_mutex_lock(&queue->mutex);
	queue->closed = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->mutex);
}

size_t mse_http_queue_size(struct mse_http_queue *queue)
{
	size_t count;

	pthread_mutex_lock(&queue->mutex);
	count = queue->count;
	pthread_mutex_unlock(&queue->mutex);
	return count;
}
