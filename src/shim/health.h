/* Asks the application's healthcheck endpoint until it answers with a status below 400. */
#pragma once

#include <event2/event.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct mse_health;

/* Called once per start, from the event loop, when the application is healthy. */
typedef void mse_health_on_ok(void *context);

/* host is the name that the application is asked by, endpoint its path; both are copied. */
int mse_health_new(struct event_base *base, uint16_t port, const char *host, const char *endpoint, mse_health_on_ok *on_ok, void *context,
	struct mse_health **ret_health, struct mse_error_info *err);
void mse_health_free(struct mse_health *health);
MSE_DEFINE_CLEANUP(struct mse_health, mse_health_free)

/* Begins to ask: at once, every 10 ms for a second, then less and less often, at last every 5 s. No effect while it is asking. */
void mse_health_start(struct mse_health *health);
void mse_health_stop(struct mse_health *health);
