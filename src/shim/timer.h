/* Timers of the event loop, in the milliseconds that everything here counts in. */
#pragma once

#include <event2/event.h>
#include <stdint.h>

/* Lets it run out in ms from now, instead of when it was to; negative when it cannot be set. */
static inline int mse_timer_set(struct event *timer, uint64_t ms)
{
	const struct timeval wait = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	return event_add(timer, &wait);
}
