/* What holds one app to its plan while it lives: its control group, more CPU for its starts, and why it ended when its memory was out. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "manifest/manifest.h"
#include "shim/cgroup.h"
#include "shim/config.h"

struct mse_limits;

/* MSE_ERR_UNSUPPORTED, fit to be shown as an app's reason: this machine cannot limit apps, and the configuration does not allow apps without limits. */
int mse_limits_new(struct event_base *base, const struct mse_shim_config *config, const struct mse_manifest *manifest, struct mse_limits **ret_limits,
	struct mse_error_info *err);
/* Ends what is left of the app. */
void mse_limits_free(struct mse_limits *limits);
MSE_DEFINE_CLEANUP(struct mse_limits, mse_limits_free)

/* NULL: the app is without limits. */
struct mse_cgroup *mse_limits_group(const struct mse_limits *limits);

/* The app works at its start, or does not any more. */
void mse_limits_boost(struct mse_limits *limits);
void mse_limits_settle(struct mse_limits *limits);

/* To be asked once at the end of each enclave: why its limits ended it, or NULL. */
const char *mse_limits_exceeded(struct mse_limits *limits);
