/* The thread that keeps what the node knows of its apps true: it listens to their shims, starts those that are
 * missing, and clears away what has been kept long enough. */
#pragma once

#include "node/node.h"

#define MSE_STOPPED_KEPT_SECONDS (INT64_C(4) * 24 * 3600)

/* Looks at every app once, so that the first request already finds the truth, then goes on in a thread of its own, and becomes node->supervisor. */
int mse_supervisor_start(struct mse_node *node, struct mse_error_info *err);
/* Ends the thread. Accepts NULL. */
void mse_supervisor_free(struct mse_supervisor *supervisor);

/* A new app is there: looks at it now. Harmless without a supervisor. */
void mse_supervisor_wake(struct mse_supervisor *supervisor);

/* Between these two, the supervisor leaves an app alone: whoever stops it does not find it started again. */
int mse_supervisor_hold(struct mse_supervisor *supervisor, const char *id, struct mse_error_info *err);
void mse_supervisor_release(struct mse_supervisor *supervisor, const char *id);
