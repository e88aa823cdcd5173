/* What a shim says of its app, and how to ask it to stop: for msed.
 *
 * A shim listens on the Unix stream socket `control.sock` in the app's folder (0600; peers of the shim's own uid). Lines of
 * JSON, at most MSE_SHIM_LINE_MAX_SIZE bytes each with the newline. From the shim, at once and after each change, and
 * in `status.json`, which is replaced at once:
 *
 *     {"instance_id": 64 hex digits, "status": "spawning" | "initializing" | "running" | "stopped" | "on_error", "reason": text or null, "final": bool,
 *      "provisioned": bool, "restarts": N, "enclave_pid": N or 0, "measurement": 64 hex digits or null, "changed_at": seconds,
 *      "weaker": names as of shim/weaker.h, a space between them,
 *      "metrics": {"requests", "errors", "in_flight", "bytes_in", "bytes_out", "log_lost"}}
 *
 * To the shim: {"command": "stop", "reason": text}. It ends the enclave, destroys sealed state and bundle, says "stopped" with
 * "final": true, and exits. Anything else closes the connection.
 *
 * A shim whose app is "on_error" lives on until it is told to stop, or the app expires. Without "final" in status.json and
 * without a shim (nobody holds `shim.lock`, connecting fails), msed starts the shim again; with it there is nothing left to start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "manifest/manifest.h"

#define MSE_SHIM_LINE_MAX_SIZE ((size_t)4096)
#define MSE_SHIM_REASON_SIZE 256

#define MSE_SHIM_REASON_EXPIRED "expired"
#define MSE_SHIM_REASON_OWNER "stopped by its owner"

enum mse_shim_state {
	MSE_SHIM_SPAWNING,     /* the sandbox is being built, or built again */
	MSE_SHIM_INITIALIZING, /* the enclave is there: not provisioned, importing the app, or the app is not healthy yet */
	MSE_SHIM_RUNNING,
	MSE_SHIM_STOPPED,
	MSE_SHIM_ON_ERROR,
};
/* "spawning" and so on. */
const char *mse_shim_state_name(enum mse_shim_state state);

struct mse_shim_metrics {
	uint64_t requests, errors, in_flight, bytes_in, bytes_out; /* of the enclave that runs now, as it says */
	uint64_t log_lost; /* records that were refused because they came too fast, or could not be written */
};

struct mse_shim_status {
	char instance_id[MSE_INSTANCE_ID_TEXT_SIZE]; /* whose shim it is */
	enum mse_shim_state state;
	char reason[MSE_SHIM_REASON_SIZE]; /* "": none */
	bool final;
	bool provisioned;
	uint64_t restarts;
	int64_t enclave_pid;  /* of the sandbox's first process on the host; 0: none */
	char measurement[65]; /* hex; "" until it is known */
	int64_t changed_at;
	uint32_t weaker; /* enum mse_weaker */
	struct mse_shim_metrics metrics;
};

/* A status as one line of text, without the newline, and back: strictly, since who reads it may trust the shim no more than it must. */
int mse_shim_status_format(const struct mse_shim_status *status, struct mse_buffer *to, struct mse_error_info *err);
int mse_shim_status_parse(const char *text, size_t size, struct mse_shim_status *ret_status, struct mse_error_info *err);
/* MSE_ERR_DENIED when it is another instance's: sockets and files can be put into other folders. */
int mse_shim_status_check(const struct mse_shim_status *status, const char *instance_id, struct mse_error_info *err);
/* `status.json` in the app's folder, of this instance; MSE_ERR_NOT_FOUND when no shim has written one. */
int mse_shim_status_read(const char *app_dir, const char *instance_id, struct mse_shim_status *ret_status, struct mse_error_info *err);

/* Whether it can be a reason: 1 to MSE_SHIM_REASON_SIZE - 1 printable ASCII characters, since it is shown on terminals. */
bool mse_shim_reason_is_valid(const char *reason);

/* Connects to the shim of an app's folder (any length of path), close-on-exec. MSE_ERR_NOT_FOUND, MSE_ERR_CLOSED: no shim is there. MSE_ERR_DENIED:
 * what listens there runs as another user than this program, and is no shim of ours. */
int mse_shim_connect(const char *app_dir, int *ret_fd, struct mse_error_info *err);
/* Asks for the stop; the reason must be valid and becomes the status's reason. */
int mse_shim_send_stop(int fd, const char *reason, struct mse_error_info *err);
/* Waits for the next status line, at most timeout_ms. pending keeps what came behind that line; make it with a maximum of
 * at least 2 * MSE_SHIM_LINE_MAX_SIZE. MSE_ERR_TIMEOUT, MSE_ERR_CLOSED. For a non-blocking caller: read by yourself, split at newlines,
 * and use mse_shim_status_parse(). */
int mse_shim_receive(int fd, uint64_t timeout_ms, struct mse_buffer *pending, struct mse_shim_status *ret_status, struct mse_error_info *err);
