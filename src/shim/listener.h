/* The socket at which users reach an app. It belongs to the node's network, and so does every connection that the enclave accepts from
 * it, whatever network the app itself has. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Listens at this port of 127.0.0.1. The socket and its connections can only be connected to: one that the enclave disconnects and turns
 * round never hears an answer. Where the kernel grants
 * that to root alone, an ordinary user's *ret_one_way is false; root does not go without. Waits a little for an earlier owner of the port. */
int mse_listener_open(uint16_t port, bool host_root, int *ret_fd, bool *ret_one_way, struct mse_error_info *err);
/* An enclave may have shut it down. */
bool mse_listener_listens(int fd);
