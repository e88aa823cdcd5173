#include "shim/boost.h"

/* Less is not worth the change. */
#define MIN_BOOST_MS 100u

void mse_boost_init(struct mse_boost *boost, uint64_t now_ms)
{
	*boost = (struct mse_boost){ .credit_ms = MSE_BOOST_MAX_MS, .counted_at = now_ms };
}

uint64_t mse_boost_begin(struct mse_boost *boost, uint64_t now_ms)
{
	uint64_t filled = (now_ms - boost->counted_at) / MSE_BOOST_FILL_DIVISOR, used = 0;

	if (boost->begun_at != 0)
		used = now_ms - boost->begun_at;
	else {
		boost->credit_ms += filled;
		if (boost->credit_ms > MSE_BOOST_MAX_MS)
			boost->credit_ms = MSE_BOOST_MAX_MS;
		/* What is less than a whole millisecond is counted next time. */
		boost->counted_at += filled * MSE_BOOST_FILL_DIVISOR;
		if (boost->credit_ms < MIN_BOOST_MS)
			return 0;
		boost->begun_at = now_ms;
	}
	return used < boost->credit_ms ? boost->credit_ms - used : 0;
}

void mse_boost_end(struct mse_boost *boost, uint64_t now_ms)
{
	uint64_t used = boost->begun_at == 0 ? 0 : now_ms - boost->begun_at;

	if (boost->begun_at == 0)
		return;
	boost->credit_ms = used < boost->credit_ms ? boost->credit_ms - used : 0;
	boost->begun_at = 0;
	boost->counted_at = now_ms;
}
