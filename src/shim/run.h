/* One enclave process at a time: sandbox, channel and the loader's messages, from its start until nothing is left of it. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "shim/cgroup.h"
#include "shim/channel_server.h"
#include "shim/inputs.h"
#include "shim/network.h"

/* Called from the event loop. */
struct mse_run_events {
	/* What the enclave says of itself, failures excepted: those are told at its end. */
	void (*status)(void *context, enum mse_enclave_status status);
	void (*metrics)(void *context, const struct mse_shim_metrics *metrics);
	/* It asks for its $HOME, once: to be answered by mse_run_storage(). */
	void (*open_storage)(void *context, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE]);
	/* Neither the process nor its channel is there any more; another may be started. failure: what it told, or 0. */
	void (*ended)(void *context, enum mse_enclave_status failure);
};

/* What every start needs; all of it outlives the run. */
struct mse_run_setting {
	struct event_base *base;
	const struct mse_shim_config *config;
	bool host_root; /* as mse_world_enter() said */
	struct mse_channel_services *services;
	const struct mse_run_events *events;
	void *context;
};

struct mse_run;
#define MSE_RUN_LAST_WORDS_SIZE 200

/* With nothing running yet. */
int mse_run_new(const struct mse_run_setting *setting, struct mse_run **ret_run, struct mse_error_info *err);
/* Does not wait for what still runs. */
void mse_run_free(struct mse_run *run);
MSE_DEFINE_CLEANUP(struct mse_run, mse_run_free)

/* Starts an enclave, which must not be there, in this group (NULL: without limits). After an error nothing runs, and `ended` is not called. */
int mse_run_start(struct mse_run *run, const struct mse_shim_inputs *inputs, const struct mse_network *network, const struct mse_cgroup *group, int listener, struct mse_error_info *err);
/* Asks it to end, and kills it when it takes too long, or has never said a word. */
void mse_run_stop(struct mse_run *run);
/* Kills it. */
void mse_run_kill(struct mse_run *run);
/* $HOME is there, or is not going to be; to be called at any time. */
void mse_run_storage(struct mse_run *run, bool there);
/* To be called at each SIGCHLD. */
void mse_run_reap(struct mse_run *run);

/* Whether anything is left of an enclave. */
bool mse_run_is_active(const struct mse_run *run);
/* Whether the enclave that runs, or ran last, has ever said a word. */
bool mse_run_has_talked(const struct mse_run *run);
/* Why it could not be started, or what was said last before the enclave's first word; "": nothing. Not only printable characters. */
const char *mse_run_last_words(const struct mse_run *run);
/* The enclave's process on this host, 0 before its first word. */
pid_t mse_run_pid(const struct mse_run *run);
/* Monotonic milliseconds. */
uint64_t mse_run_started_at(const struct mse_run *run);
