/* More CPU than the plan has, for an app that starts: importing an application is the most work that many ever do. Time spent so is paid
 * from an account that fills slowly, so that an app gains nothing from ending and starting over. Milliseconds of a monotonic clock
 * come as parameters. */
#pragma once

#include <stdint.h>

/* One start's whole boost, and what the account holds at most; it fills by a sixtieth of the time that passes. */
#define MSE_BOOST_MAX_MS 10000u
#define MSE_BOOST_FILL_DIVISOR 60u
/* Thousandths of a core: what a smaller plan is boosted to. */
#define MSE_BOOST_CPU_MILLIS 1000u

struct mse_boost {
	uint64_t credit_ms;
	uint64_t counted_at;
	uint64_t begun_at; /* 0: not boosted */
};

/* With a full account. */
void mse_boost_init(struct mse_boost *boost, uint64_t now_ms);
/* Returns for how long at most, 0 when the account is empty: then nothing has begun. One that goes on already goes on. */
uint64_t mse_boost_begin(struct mse_boost *boost, uint64_t now_ms);
void mse_boost_end(struct mse_boost *boost, uint64_t now_ms);
