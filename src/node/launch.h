/* Starting and stopping the shims of apps. */
#pragma once

#include "node/node.h"

/* Of the shim's own messages, in the app's folder. */
#define MSE_APP_SHIM_LOG "shim.err"

/* The longest that a shim may take to end its enclave. */
#define MSE_STOP_TIMEOUT_MS UINT64_C(60000)

/* Starts the shim of an app's folder in a session of its own, so that it outlives this program. Returns when it is started, not when it is ready. */
int mse_shim_start(const struct mse_runtime *runtime, const char *app_dir, struct mse_error_info *err);

/* Ends a live app, whatever state its shim is in, and writes that down: afterwards its enclave is gone, and so are its sealed state
 * and bundle. The supervisor must have been told to leave it alone. MSE_ERR_TIMEOUT when the shim does not end. */
int mse_app_stop(struct mse_node *node, const struct mse_app *app, const char *reason, struct mse_error_info *err);

/* The same for an app of which no shim is left: MSE_ERR_STATE when one is there after all. */
int mse_app_bury(struct mse_node *node, const struct mse_app *app, const char *reason, struct mse_error_info *err);
