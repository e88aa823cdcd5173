/* Who is at the other end of a Unix socket. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* The user of the program that connected, or, at the connecting end, of the one that listens, as this program's user namespace calls him:
 * one that it does not know is the kernel's overflow user, 65534. */
int mse_peer_user(int fd, uid_t *ret_user, struct mse_error_info *err);
