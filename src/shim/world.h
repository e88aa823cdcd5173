/* The shim's own surroundings, so that what it mounts is seen by nobody else and is gone when it ends, however it ends. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Enters a mount namespace of its own, which receives the host's mounts and gives it none. An ordinary user's shim also enters a
 * user namespace in which it is root and nobody else exists; what needs the host's root stays out of its reach: other users, loop
 * devices, control groups that were not handed to it. *ret_host_root says which of the two it is. To be called before any thread
 * is started and any file is opened that is to be mounted. MSE_ERR_DENIED says what to change on the machine. */
int mse_world_enter(bool *ret_host_root, struct mse_error_info *err);

/* Enters a user namespace in which the caller's user is root, and nobody else exists. */
int mse_world_become_root(struct mse_error_info *err);
