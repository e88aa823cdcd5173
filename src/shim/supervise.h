/* The life of one app under its shim: checked, started, watched, started again, ended. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "shim/config.h"

/* Runs in the current folder, which is the app's and locked, until the app is stopped or expired (then its storage is destroyed and
 * the status is final), or until SIGTERM (then the app can be resumed). Negative when not even a status could be given.
 * host_root: as mse_world_enter() said. */
int mse_supervise(const struct mse_shim_config *config, bool host_root, struct mse_error_info *err);
