/* A bounded queue of requests between loop threads and the threads that handle them. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "http/request.h"

struct mse_http_queue;

/* capacity in requests, 1 to 65536. */
int mse_http_queue_new(size_t capacity, struct mse_http_queue **ret_queue, struct mse_error_info *err);
/* Drops what is still queued. No thread may use the queue any more. Accepts NULL. */
void mse_http_queue_free(struct mse_http_queue *queue);
MSE_DEFINE_CLEANUP(struct mse_http_queue, mse_http_queue_free)

/* Takes a reference and never waits. When the queue is full (MSE_ERR_LIMIT) or closed (MSE_ERR_CLOSED), the request is answered
 * with 503 and Retry-After here, so that the caller has nothing left to do. */
int mse_http_queue_push(struct mse_http_queue *queue, struct mse_http_request *request, struct mse_error_info *err);
/* Waits up to timeout_ms (negative: for ever) for the oldest request, whose reference the caller gets. Requests of clients that have gone
 * away meanwhile are left out. MSE_ERR_TIMEOUT; MSE_ERR_CLOSED once the queue is closed and empty. */
int mse_http_queue_pop(struct mse_http_queue *queue, int timeout_ms, struct mse_http_request **ret_request, struct mse_error_info *err);
/* No pushes any more; wakes all who wait. */
void mse_http_queue_close(struct mse_http_queue *queue);
size_t mse_http_queue_size(struct mse_http_queue *queue);
