/* What a shim is told about its one enclave: `shim.json` in the app's folder, written by msed and read by mse-shim, and
 * the names of the other files there.
 *
 *     {"version": 1, "instance_id": 64 hex digits, "image": PATH, "image_cache": PATH, "program": PATH, "lib_dir": PATH,
 *      "sim_dir": PATH, "uid": N, "gid": N, "port": N, "expires_at": SECONDS, "log_size": BYTES,
 *      "restart_failures": N, "restart_seconds": N, "processes": N, "open_files": N, "insecure_unlimited": bool,
 *      "network_deny": [PREFIX, …]}
 *
 * All members are required, others are refused; paths are absolute. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "config/node_config.h"
#include "manifest/manifest.h"

/* In the app's folder. msed writes the first four before it starts the shim, and never changes them while a shim runs. */
#define MSE_SHIM_CONFIG_FILE "shim.json"
#define MSE_SHIM_MANIFEST_FILE "manifest.json"
#define MSE_SHIM_SIGNATURE_FILE "manifest.sig"
#define MSE_SHIM_BUNDLE_FILE "bundle"      /* removed when the app stops */
#define MSE_SHIM_SEALED_FILE "sealed"      /* the enclave's sealed state; removed when the app stops */
#define MSE_SHIM_STORAGE_DIR "storage"     /* of the encrypted file, and where $HOME is mounted (shim/storage.h); removed when the app stops */
#define MSE_SHIM_STORAGE_LOCK "storage.lock" /* locked while anything uses that file; removed when the app stops */
#define MSE_SHIM_LOG_FILE "log"            /* shim/log_file.h */
#define MSE_SHIM_STATUS_FILE "status.json" /* shim/control.h */
#define MSE_SHIM_CONTROL_SOCKET "control.sock"
#define MSE_SHIM_LOCK_FILE "shim.lock"     /* locked while a shim runs in the folder */

#define MSE_SHIM_CONFIG_MAX_SIZE ((size_t)64 * 1024)
#define MSE_SHIM_LOG_DEFAULT_SIZE ((uint64_t)1024 * 1024)
#define MSE_SHIM_LOG_MIN_SIZE ((uint64_t)256 * 1024)
#define MSE_SHIM_LOG_MAX_SIZE ((uint64_t)16 * 1024 * 1024)
#define MSE_SHIM_MAX_DENIED ((size_t)256)
#define MSE_SHIM_RESTART_DEFAULT_FAILURES 10
#define MSE_SHIM_RESTART_DEFAULT_SECONDS 60

/* The disk that an app's $HOME is on: for a plan's storage whole blocks, at least what an ext4 needs to be of use. And what it takes of
 * the node's own disk, encrypted: all of it from the app's start on. */
#define MSE_SHIM_STORAGE_MIN_SIZE ((uint64_t)16 * 1024 * 1024)
uint64_t mse_shim_storage_size(uint64_t storage);
uint64_t mse_shim_storage_disk_size(uint64_t storage);

/* All strings are owned by the config. */
struct mse_shim_config {
	char instance_id[MSE_INSTANCE_ID_TEXT_SIZE];
	char *image;       /* folder: the root of the image's files */
	char *image_cache; /* file: what was found out about the image, keyed by its stat data (bundle/tree_scan.h) */
	char *program;     /* file: mse-enclave */
	char *lib_dir;     /* folder: of its files only those that the manifest names are given to the enclave */
	char *sim_dir;     /* folder: the simulated platform (tee/sim_pki.h) */
	uint32_t uid, gid; /* what the enclave runs as on the host; 0 and 0: what the shim itself runs as, if that is not root */
	uint16_t port;     /* on 127.0.0.1 */
	int64_t expires_at; /* seconds since 1970; 0: as the manifest says, which is never exceeded */
	uint64_t log_size; /* bytes of log to keep, MSE_SHIM_LOG_MIN_SIZE to MSE_SHIM_LOG_MAX_SIZE */
	uint32_t restart_failures; /* so many ends of the enclave within ... */
	uint32_t restart_seconds;  /* ... so many seconds: it is not restarted any more */
	/* The node's own limits, beside those in the manifest. */
	uint32_t processes;        /* processes and threads of the enclave */
	uint32_t open_files;       /* descriptors */
	bool insecure_unlimited;   /* without control groups, run without limits */
	struct mse_prefix denied[MSE_SHIM_MAX_DENIED]; /* the app connects to none of these, whatever its manifest allows */
	size_t denied_count;
};

/* With the defaults for log, restarts, and the node's own limits. NULL when memory is out. */
struct mse_shim_config *mse_shim_config_new(void);
void mse_shim_config_free(struct mse_shim_config *config);
MSE_DEFINE_CLEANUP(struct mse_shim_config, mse_shim_config_free)

/* MSE_ERR_INPUT naming path and member for anything that is not exactly the form above. */
int mse_shim_config_read(const char *path, struct mse_shim_config **ret_config, struct mse_error_info *err);
/* Replaces path at once, mode 0600. MSE_ERR_INPUT for what mse_shim_config_read() would refuse. */
int mse_shim_config_write(const char *path, const struct mse_shim_config *config, struct mse_error_info *err);
