/* The control socket's listening end (shim/control.h). */
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct mse_control_server;

/* Called from the event loop for each valid command to stop. */
typedef void mse_control_on_stop(void *context, const char *reason);

/* Listens on MSE_SHIM_CONTROL_SOCKET in the current folder, in place of one that is there, and hears its own user alone. */
int mse_control_server_new(struct event_base *base, mse_control_on_stop *on_stop, void *context, struct mse_control_server **ret_server,
	struct mse_error_info *err);
/* Removes the socket too. */
void mse_control_server_free(struct mse_control_server *server);
MSE_DEFINE_CLEANUP(struct mse_control_server, mse_control_server_free)

/* Sends a line, newline included, to all who are connected, and from now on first to each who connects. Who does not read is disconnected. */
int mse_control_server_publish(struct mse_control_server *server, const char *line, struct mse_error_info *err);
