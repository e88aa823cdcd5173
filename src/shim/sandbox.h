/* The sandbox of one enclave: bubblewrap with the image as its read-only root. It limits what is kept in memory as files and the number
 * of open files; the rest does the control group that it is started in. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "shim/cgroup.h"
#include "shim/inputs.h"
#include "shim/network.h"

/* Descriptors that the child takes over; the caller closes its own. */
struct mse_sandbox_descriptors {
	int channel;  /* becomes MSE_ENCLAVE_CHANNEL_FD */
	int listener; /* becomes MSE_ENCLAVE_LISTEN_FD */
	int messages; /* standard output and error of the loader */
};

/* Starts the enclave's program. *ret_pid is bubblewrap, which ends when the enclave does and takes it along when it is
 * killed or when this process ends. What goes wrong in the child is said on the messages' descriptor, and it exits. host_root: as mse_world_enter() said.
 * group: where it runs; NULL: without limits. */
int mse_sandbox_start(const struct mse_shim_config *config, bool host_root, const struct mse_shim_inputs *inputs, const struct mse_network *network,
	const struct mse_sandbox_descriptors *descriptors, const struct mse_cgroup *group, pid_t *ret_pid, struct mse_error_info *err);

/* Kills what is left of loaders that were killed before they had tied their child to themselves: such a child waits for ever, and
 * keeps the listening socket. To be called with the app's lock held and in its folder, by which they are known. */
void mse_sandbox_kill_leftovers(void);
