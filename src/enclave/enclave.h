/* One enclave's life inside this process: keys, evidence, provisioning, and then the application. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "crypto/log_record.h"
#include "enclave/state.h"
#include "http/queue.h"
#include "http/server.h"
#include "manifest/manifest.h"
#include "tee/tee.h"

/* In this order only, but for STOPPING, which any may turn into. */
enum mse_phase {
	MSE_PHASE_WAITING,  /* evidence and provisioning */
	MSE_PHASE_STARTING, /* provisioned: the application is being imported */
	MSE_PHASE_SERVING,
	MSE_PHASE_STOPPING,
};

struct mse_log_pump;

struct mse_enclave {
	const struct mse_tee_backend *tee;
	struct mse_tee_walls walls;
	struct mse_channel_client *channel;
	struct mse_log_pump *log;

	struct mse_buffer *manifest_bytes;
	struct mse_manifest *manifest;
	uint8_t manifest_signature[MSE_SIGNATURE_SIZE];
	uint8_t measurement[MSE_SHA256_SIZE];

	struct mse_enclave_state state;
	struct mse_enclave_keys public_keys;
	bool restored; /* from sealed state: provisioned by an earlier start */
	uint8_t leaf_sha256[MSE_SHA256_SIZE];
	struct mse_secret *sealing_key; /* until the state is sealed */
	char *application;              /* "app:app", from the bundle */

	SSL_CTX *ssl_ctx;
	struct mse_http_server *server;
	struct mse_http_queue *evidence_queue;
	struct mse_http_queue *provision_queue;
	struct mse_http_queue *app_queue;

	_Atomic enum mse_phase phase;
	pthread_mutex_t provisioning; /* one at a time; guards what provisioning changes above */
	pthread_mutex_t lock;
	pthread_cond_t phase_changed;
};

/* phase.c */
enum mse_phase mse_enclave_phase(const struct mse_enclave *enclave);
/* Moves on; false when the enclave is stopping, which nothing undoes. */
bool mse_enclave_enter(struct mse_enclave *enclave, enum mse_phase phase);
/* Waits while the phase is `phase`. */
void mse_enclave_wait_while(struct mse_enclave *enclave, enum mse_phase phase);
void mse_enclave_stop(struct mse_enclave *enclave);
void mse_enclave_tell_status(struct mse_enclave *enclave, enum mse_enclave_status status);
/* Stops at the manifest's expiry, by the host's clock. */
int mse_enclave_watch_expiry(struct mse_enclave *enclave, struct mse_error_info *err);

/* log_pump.c: standard output and error of this process, sealed, record by record, to the owner. */
int mse_log_pump_start(struct mse_enclave *enclave, struct mse_error_info *err);
/* One line of the enclave's own. */
void mse_enclave_log(struct mse_enclave *enclave, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Where the log stands, sealed to the owner over his nonce. */
int mse_log_pump_head(struct mse_enclave *enclave, const uint8_t nonce[static MSE_LOG_NONCE_SIZE], struct mse_buffer *to, struct mse_error_info *err);
/* Sends what has been written so far, and ends. */
void mse_log_pump_finish(struct mse_enclave *enclave);

/* endpoints.c: what this server answers itself. */
int mse_endpoints_start(struct mse_enclave *enclave, struct mse_error_info *err);
void mse_endpoints_on_request(void *enclave, struct mse_http_request *request);
size_t mse_endpoints_await_body(void *enclave, struct mse_http_request *request);

/* provision.c */
#define MSE_PROVISION_MAX_SIZE ((size_t)8 * 1024 * 1024)
/* Verifies a message and acts on it, up to and with the durable sealed state: MSE_ERR_DENIED and others say why not, for
 * the owner's log only. *ret_receipt is the answer's body. */
int mse_provision_accept(struct mse_enclave *enclave, const struct mse_buffer *body, const char *signature_header,
	const uint8_t exporter[static MSE_EXPORTER_SIZE], char **ret_receipt, struct mse_error_info *err);
/* Opens the bundle into the application's folder with the state's code key, and checks it against the commitment. */
int mse_provision_open_bundle(struct mse_enclave *enclave, const struct mse_secret *code_key, struct mse_error_info *err);

/* storage.c: asks for $HOME, encrypted with the state's key: a fresh one, or the one that an earlier start had. */
int mse_enclave_storage_open(struct mse_enclave *enclave, struct mse_error_info *err);
/* Waits until it is there. Otherwise the shim has been told that this enclave cannot go on. */
int mse_enclave_storage_await(struct mse_enclave *enclave, struct mse_error_info *err);

/* app.c: makes the environment anew, of a fixed table and the manifest's image.env; nothing that this process was started with is left in it.
 * To be called before any thread is started. */
int mse_app_set_environment(const struct mse_manifest *manifest, struct mse_error_info *err);
/* Runs the application on this thread until it is to stop. A status of the fixed list says how it ended. */
enum mse_enclave_status mse_app_run(struct mse_enclave *enclave);
