/* How much of something may be had: a store that fills up again. What others ask for faster than that is turned away, or waits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mse_allowance {
	int64_t capacity, per_second; /* at most 2^40 each */
	int64_t left;                 /* below zero: a debt */
	uint64_t filled_at;           /* monotonic ms */
};

/* A full one. */
struct mse_allowance mse_allowance_of(int64_t capacity, int64_t per_second, uint64_t now_ms);
/* Takes cost (at most 2^40) out, or returns false and leaves it as it is. */
bool mse_allowance_take(struct mse_allowance *allowance, int64_t cost, uint64_t now_ms);
/* For what is known only afterwards: takes it out whatever is left. */
void mse_allowance_charge(struct mse_allowance *allowance, int64_t cost, uint64_t now_ms);
/* Milliseconds until something is left, 0 when that is now. */
uint64_t mse_allowance_wait_ms(struct mse_allowance *allowance, uint64_t now_ms);
