/* When an enclave that ended is started again: at once, then later and later, and not for ever. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MSE_RESTARTS_MAX_FAILURES 100

struct mse_restarts {
	uint32_t max_failures; /* 1 to MSE_RESTARTS_MAX_FAILURES, within ... */
	uint64_t window_ms;
	uint64_t times[MSE_RESTARTS_MAX_FAILURES]; /* of the last failures, a ring */
	uint64_t count;                            /* of all failures */
	uint64_t delay_ms;
};

void mse_restarts_init(struct mse_restarts *restarts, uint32_t max_failures, uint32_t window_seconds);

/* Notes a failure at now (ms, monotonic; ran_ms is how long the enclave had lived). True: start again in *ret_delay_ms; false: give up. */
bool mse_restarts_next(struct mse_restarts *restarts, uint64_t now_ms, uint64_t ran_ms, uint64_t *ret_delay_ms);
