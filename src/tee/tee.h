/* What an enclave needs of its TEE, whatever that is: quotes, a sealing key where there is one, and being locked down. */
#pragma once

#include "base/buffer.h"
#include "base/secret.h"
#include "tee/channel_client.h"

#define MSE_TEE_REPORT_DATA_SIZE 64
#define MSE_TEE_SEALING_KEY_SIZE 32

struct mse_tee;

/* What locking down came to, where it depends on the machine. */
struct mse_tee_walls {
	int landlock; /* the version of its interface, 0: the kernel has none */
};
/* The first that does all that is asked of it here. */
#define MSE_TEE_LANDLOCK_COMPLETE 6

/* One backend: `sim` now; `sgx` and `tsm` have their places beside tee_sim.c. */
struct mse_tee_backend {
	const char *name;
	int (*get_quote)(void *self, const uint8_t report_data[static MSE_TEE_REPORT_DATA_SIZE], struct mse_buffer **ret_quote, struct mse_error_info *err);
	/* MSE_ERR_UNSUPPORTED where the TEE has none. */
	int (*get_sealing_key)(void *self, const char *label, struct mse_secret **ret_key, struct mse_error_info *err);
	/* From here on this process can neither make nor become another one. To be called before any input is read and any
	 * thread is started. What the machine has less of than it should is said in *ret_walls. */
	int (*lock_down)(struct mse_tee_walls *ret_walls, struct mse_error_info *err);
};

extern const struct mse_tee_backend mse_tee_sim;

/* Backend functions of mse_tee_sim take a struct mse_channel_client as self: its CPU is the shim. */

/* The seccomp filter shared by the backends that have no library OS beneath them. */
int mse_tee_seccomp(struct mse_error_info *err);
/* Their second layer, to be called before the first: nothing can be executed, no device be made or be sent a request, and no process
 * and no abstract socket outside be reached. As far as the kernel goes: *ret_abi is the version of its interface, 0 or 1: nothing was done. */
int mse_tee_landlock(int *ret_abi, struct mse_error_info *err);
