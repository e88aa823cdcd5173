#include "base/allowance.h"

/* Nothing earns for longer than this at a time; with it no product below overflows. */
#define MAX_PASSED_MS ((uint64_t)3600 * 1000)

struct mse_allowance mse_allowance_of(int64_t capacity, int64_t per_second, uint64_t now_ms)
{
	return (struct mse_allowance){ .capacity = capacity, .per_second = per_second, .left = capacity, .filled_at = now_ms };
}

static void fill(struct mse_allowance *allowance, uint64_t now_ms)
{
	uint64_t passed = now_ms > allowance->filled_at ? now_ms - allowance->filled_at : 0;
	int64_t earned = (int64_t)(passed > MAX_PASSED_MS ? MAX_PASSED_MS : passed) * allowance->per_second / 1000;

	/* Less than one is earned on, not lost. */
	if (earned == 0)
		return;
	allowance->left = earned > allowance->capacity - allowance->left ? allowance->capacity : allowance->left + earned;
	allowance->filled_at = now_ms;
}

bool mse_allowance_take(struct mse_allowance *allowance, int64_t cost, uint64_t now_ms)
{
	fill(allowance, now_ms);
	if (cost > allowance->left)
		return false;
	allowance->left -= cost;
	return true;
}

void mse_allowance_charge(struct mse_allowance *allowance, int64_t cost, uint64_t now_ms)
{
	fill(allowance, now_ms);
	allowance->left -= cost;
}

uint64_t mse_allowance_wait_ms(struct mse_allowance *allowance, uint64_t now_ms)
{
	fill(allowance, now_ms);
	return allowance->left > 0 ? 0 : (uint64_t)(-allowance->left) * 1000 / (uint64_t)allowance->per_second + 1;
}
