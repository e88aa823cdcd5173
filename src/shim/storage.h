/* An app's $HOME: on the node's disk, encrypted with a key that the enclave has and this process passes on, once. The work is done by
 * gocryptfs (as the app's own user, with nothing but the folder of the encrypted file and the connection to the kernel) and by
 * short-lived processes, so that the event loop never waits for a disk. What is mounted is seen by the shim and its sandbox alone.
 *
 * A shim without the host's root has no loop devices: $HOME is in memory then, and is empty at each start of the enclave. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "shim/cgroup.h"
#include "tee/channel.h"

/* Called from the event loop, or from mse_storage_open() and mse_storage_close(). */
struct mse_storage_events {
	/* $HOME is there; or failure says why it will not be, and nothing is left open. */
	void (*opened)(void *context, const char *failure);
	/* It is there no more, although nobody closed it: the enclave cannot go on. It is still to be closed. */
	void (*lost)(void *context);
	/* Nothing uses the file any more. */
	void (*closed)(void *context);
};

struct mse_storage_setting {
	struct event_base *base;
	bool host_root; /* as mse_world_enter() said */
	uint32_t uid, gid;
	uint64_t size;        /* the plan's, bytes */
	uint64_t memory_size; /* where $HOME is in memory */
	struct mse_cgroup *group; /* whose helpers gocryptfs is one of; NULL: none */
	const struct mse_storage_events *events;
	void *context;
};

struct mse_storage;

/* Makes the place where $HOME will be: read-only and empty until it is opened. The current folder is the app's. */
int mse_storage_new(const struct mse_storage_setting *setting, struct mse_storage **ret_storage, struct mse_error_info *err);
void mse_storage_free(struct mse_storage *storage);
MSE_DEFINE_CLEANUP(struct mse_storage, mse_storage_free)

/* Keeps room on the node's disk for a fresh one; an older one is removed. MSE_ERR_LIMIT: there is no room. */
int mse_storage_reserve(struct mse_storage *storage, struct mse_error_info *err);
/* Opens it, which is answered by `opened`; to be called when it is closed. fresh: nothing of an older one is kept. */
void mse_storage_open(struct mse_storage *storage, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE]);
/* Closes it, whatever it is doing, which is answered by `closed`. discard: it is about to be destroyed, and need not be written. */
void mse_storage_close(struct mse_storage *storage, bool discard);
/* To be called at each SIGCHLD. */
void mse_storage_reap(struct mse_storage *storage);
/* Whether anything uses the file. */
bool mse_storage_is_active(const struct mse_storage *storage);

/* Removes all of it from the app's folder, the current one; nothing may be using it. */
int mse_storage_destroy(struct mse_error_info *err);
