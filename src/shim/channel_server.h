/* The shim's end of the channel: it plays the CPU for one enclave process, keeps its sealed state and its log. Nothing that the
 * enclave sends may block, grow without bound, or end more than that enclave. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/allowance.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "shim/control.h"
#include "shim/log_file.h"
#include "tee/channel.h"
#include "tee/sim_cpu.h"

/* What all enclave processes of an app share, one after the other. Owned by the caller. */
struct mse_channel_services {
	const struct mse_sim_platform *platform;
	const char *sim_dir;
	uint8_t measurement[32];
	uint16_t security_version;
	struct mse_log_file *log;
	uint64_t log_lost;
	struct mse_allowance log_allowance;  /* bytes, with MSE_LOG_RECORD_COST for each record */
	struct mse_allowance save_allowance; /* bytes of state that are written down, with a price for each time */
	struct mse_allowance work_allowance; /* microseconds of this process's CPU; beyond it an enclave waits */
	struct mse_allowance complaint_allowance; /* lines in the shim's own log about what an enclave asked for */
	bool closing; /* no state is saved any more: it is about to be destroyed */
};

/* Fills in the allowances. */
void mse_channel_services_init(struct mse_channel_services *services);

/* Called from the event loop. Only `closed` may free the server, and must; fault is NULL at the channel's ordinary end, and otherwise
 * a fixed text: the enclave did not keep to the protocol. */
struct mse_channel_events {
	void (*status)(void *context, enum mse_enclave_status status);
	void (*metrics)(void *context, const struct mse_shim_metrics *metrics);
	/* To be answered by mse_channel_server_storage(), now or later; at most once. */
	void (*open_storage)(void *context, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE]);
	void (*closed)(void *context, const char *fault);
};

struct mse_channel_server;

/* Takes fd over on success. services, events and context must outlive the server. */
int mse_channel_server_new(struct event_base *base, int fd, struct mse_channel_services *services, const struct mse_channel_events *events, void *context,
	struct mse_channel_server **ret_server, struct mse_error_info *err);
void mse_channel_server_free(struct mse_channel_server *server);
MSE_DEFINE_CLEANUP(struct mse_channel_server, mse_channel_server_free)

/* Tells the enclave to stop, behind what is on its way. */
int mse_channel_server_stop(struct mse_channel_server *server, struct mse_error_info *err);

/* $HOME is there, or is not going to be. */
void mse_channel_server_storage(struct mse_channel_server *server, bool there);

/* The process that sends, as the kernel says; 0 before its first frame. */
pid_t mse_channel_server_peer(const struct mse_channel_server *server);
