#include "shim/restarts.h"

#define FIRST_DELAY_MS 100u
#define MAX_DELAY_MS 10000u

void mse_restarts_init(struct mse_restarts *restarts, uint32_t max_failures, uint32_t window_seconds)
{
	*restarts = (struct mse_restarts){ .window_ms = (uint64_t)window_seconds * 1000 };
	restarts->max_failures = max_failures < 1 ? 1 : max_failures > MSE_RESTARTS_MAX_FAILURES ? MSE_RESTARTS_MAX_FAILURES : max_failures;
}

bool mse_restarts_next(struct mse_restarts *restarts, uint64_t now_ms, uint64_t ran_ms, uint64_t *ret_delay_ms)
{
	uint64_t *oldest;

	restarts->times[restarts->count++ % restarts->max_failures] = now_ms;
	/* The slot that the next failure will take holds the oldest of the last max_failures. */
	oldest = &restarts->times[restarts->count % restarts->max_failures];
	if (restarts->count >= restarts->max_failures && now_ms - *oldest <= restarts->window_ms)
		return false;
	if (ran_ms >= restarts->window_ms)
		restarts->delay_ms = 0;
	*ret_delay_ms = restarts->delay_ms;
	restarts->delay_ms = restarts->delay_ms == 0 ? FIRST_DELAY_MS : restarts->delay_ms * 2;
	if (restarts->delay_ms > MAX_DELAY_MS)
		restarts->delay_ms = MAX_DELAY_MS;
	return true;
}
