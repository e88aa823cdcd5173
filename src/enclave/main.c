/* mse-enclave: one process that never forks and never executes. In order: lock down, keys, evidence and provisioning, and
 * then the application, behind the same TLS. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "enclave/enclave.h"
#include "http/tls.h"
#include "ratls/certificate.h"

#if defined(__SANITIZE_ADDRESS__)
#include <fcntl.h>
void __sanitizer_set_report_fd(void *fd);
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	/* The leak checker would start a process, which is refused here. */
	return "detect_leaks=0";
}
#endif

#define SERVER_STOP_GRACE_MS 2000
#define PRIVATE_KEYS_SIZE 65536
#define PRIVATE_KEYS_LEAST 32

/* JSON passes secrets through on its way in: what it frees is wiped. */
static void wiping_free(void *memory)
{
	if (memory != NULL)
		mse_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

static int prepare_process(struct mse_tee_walls *ret_walls, struct mse_error_info *err)
{
	int result;

	signal(SIGPIPE, SIG_IGN);
	if ((result = mse_secret_init(err)) < 0 || (result = mse_tee_sim.lock_down(ret_walls, err)) < 0)
		return result;
#if defined(__SANITIZE_ADDRESS__)
	/* Standard error will be the application's: reports go where it went before. */
	__sanitizer_set_report_fd((void *)(intptr_t)fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 16));
#endif
	json_set_alloc_funcs(malloc, wiping_free);
	/* OpenSSL's configuration file would be the image's. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot initialise OpenSSL");
	/* Where it keeps private keys. */
	if (CRYPTO_secure_malloc_init(PRIVATE_KEYS_SIZE, PRIVATE_KEYS_LEAST) != 1)
		return mse_fail(err, MSE_ERR_NOMEM, "cannot lock %d bytes of memory for private keys: raise the limit of locked memory (RLIMIT_MEMLOCK)", PRIVATE_KEYS_SIZE);
	return 0;
}

static int read_manifest(struct mse_enclave *enclave, struct mse_error_info *err)
{
	mse_autofree uint8_t *manifest = NULL;
	mse_autofree uint8_t *signature = NULL;
	size_t size, signature_size;
	int result;

	if ((result = mse_file_read(MSE_ENCLAVE_MANIFEST_PATH, MSE_MANIFEST_MAX_SIZE, &manifest, &size, err)) < 0 ||
	    (result = mse_manifest_parse(manifest, size, &enclave->manifest, err)) < 0 ||
	    (result = mse_measurement(manifest, size, enclave->measurement, err)) < 0 ||
	    (result = mse_file_read(MSE_ENCLAVE_MANIFEST_SIGNATURE_PATH, MSE_SIGNATURE_SIZE, &signature, &signature_size, err)) < 0)
		return result;
	if (signature_size != MSE_SIGNATURE_SIZE)
		return mse_fail(err, MSE_ERR_INPUT, "the owner's approval of the manifest has %zu bytes", signature_size);
	memcpy(enclave->manifest_signature, signature, MSE_SIGNATURE_SIZE);
	enclave->manifest_bytes = mse_buffer_new(MSE_MANIFEST_MAX_SIZE);
	return enclave->manifest_bytes == NULL ? mse_fail_nomem(err) : mse_buffer_append(enclave->manifest_bytes, manifest, size, err);
}

static int make_certificate(struct mse_enclave *enclave, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *quote = NULL;
	uint8_t report_data[MSE_REPORT_DATA_SIZE];
	struct mse_certificate_params params = {
		.key = enclave->state.tls_key,
		.identity_key = enclave->public_keys.identity_key,
		.names = enclave->manifest->tls_names,
		.name_count = enclave->manifest->tls_name_count,
		/* A verifier's clock may be a little behind the host's. */
		.not_before = mse_time_now() - 300,
		.not_after = enclave->manifest->expires_at,
	};
	int result;

	if ((result = mse_certificate_report_data(&enclave->public_keys, report_data, err)) < 0 ||
	    (result = enclave->tee->get_quote(enclave->channel, report_data, &quote, err)) < 0)
		return result;
	params.quote = mse_buffer_data(quote);
	params.quote_size = mse_buffer_size(quote);
	return mse_certificate_make(&params, &enclave->state.certificate, err);
}

/* The sealed state of an earlier start, or fresh keys. */
static int obtain_state(struct mse_enclave *enclave, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sealed = NULL;
	int result;

	result = enclave->tee->get_sealing_key(enclave->channel, MSE_SEALING_LABEL, &enclave->sealing_key, err);
	if (result < 0 && result != MSE_ERR_UNSUPPORTED)
		return result;
	if ((result = mse_channel_tell(enclave->channel, MSE_FRAME_STARTED, NULL, 0, err)) < 0)
		return result;
	result = mse_channel_ask(enclave->channel, MSE_FRAME_LOAD_STATE, NULL, 0, MSE_SEALED_STATE_MAX_SIZE, &sealed, err);
	if (result < 0) {
		/* What the host cannot read does not become readable by starting again. */
		if (result == MSE_ERR_DENIED || result == MSE_ERR_LIMIT)
			mse_enclave_tell_status(enclave, MSE_ENCLAVE_STATE_REFUSED);
		return mse_context(err, "cannot load the sealed state");
	}
	if (mse_buffer_size(sealed) == 0 || enclave->sealing_key == NULL) {
		if ((result = mse_enclave_state_generate(&enclave->state, err)) < 0 ||
		    (result = mse_enclave_state_public_keys(&enclave->state, &enclave->public_keys, err)) < 0)
			return result;
		result = make_certificate(enclave, err);
	} else {
		result = mse_enclave_state_open(mse_buffer_data(sealed), mse_buffer_size(sealed), enclave->sealing_key, &enclave->state, err);
		if (result < 0) {
			mse_enclave_tell_status(enclave, MSE_ENCLAVE_STATE_REFUSED);
			return result;
		}
		mse_secret_free(mse_steal(enclave->sealing_key));
		enclave->restored = true;
		result = mse_enclave_state_public_keys(&enclave->state, &enclave->public_keys, err);
	}
	return result < 0 ? result : mse_certificate_sha256(enclave->state.certificate, enclave->leaf_sha256, err);
}

static int start_server(struct mse_enclave *enclave, struct mse_error_info *err)
{
	static const int listen_fds[] = { MSE_ENCLAVE_LISTEN_FD };
	struct mse_http_server_params params = {
		.listen_fds = listen_fds,
		.listen_count = 1,
		.limits = mse_http_limits_default(),
		.on_request = mse_endpoints_on_request,
		.await_body = mse_endpoints_await_body,
		.ctx = enclave,
	};
	int result;

	if ((result = mse_http_tls_server_ctx(enclave->state.tls_key, enclave->state.certificate, NULL, &enclave->ssl_ctx, err)) < 0 ||
	    (result = mse_endpoints_start(enclave, err)) < 0)
		return result;
	params.ssl_ctx = enclave->ssl_ctx;
	if ((result = mse_http_server_new(&params, &enclave->server, err)) < 0)
		return result;
	return mse_http_server_start(enclave->server, err);
}

static void on_stop(void *context)
{
	mse_enclave_stop(context);
}

/* Into the owner's log: what is weaker than it should be is said by name. */
static void tell_walls(struct mse_enclave *enclave)
{
	int landlock = enclave->walls.landlock;

	if (landlock < MSE_TEE_LANDLOCK_COMPLETE)
		mse_enclave_log(enclave, "this machine's kernel has %s: the second layer beneath the filter of system calls is %s",
			landlock == 0 ? "no Landlock" : "an old Landlock", landlock < 2 ? "missing" : landlock < 5 ? "without devices, signals and abstract sockets" : "without signals and abstract sockets");
}

static int start(struct mse_enclave *enclave, struct mse_error_info *err)
{
	int result;

	enclave->tee = &mse_tee_sim;
	pthread_mutex_init(&enclave->provisioning, NULL);
	pthread_mutex_init(&enclave->lock, NULL);
	pthread_cond_init(&enclave->phase_changed, NULL);
	if ((result = read_manifest(enclave, err)) < 0 || (result = mse_app_set_environment(enclave->manifest, err)) < 0 ||
	    (result = mse_channel_client_new(MSE_ENCLAVE_CHANNEL_FD, on_stop, enclave, &enclave->channel, err)) < 0 ||
	    (result = obtain_state(enclave, err)) < 0 || (result = mse_enclave_storage_open(enclave, err)) < 0 ||
	    (result = mse_log_pump_start(enclave, err)) < 0 ||
	    (result = mse_enclave_watch_expiry(enclave, err)) < 0)
		return result;
	tell_walls(enclave);
	/* Before the server can hear of a provisioning message, which a restored instance has no use for. */
	if (enclave->restored)
		mse_enclave_enter(enclave, MSE_PHASE_STARTING);
	return start_server(enclave, err);
}

/* From provisioned (again) to the application's end. */
static enum mse_enclave_status run(struct mse_enclave *enclave)
{
	struct mse_error_info err;

	if (!enclave->restored) {
		mse_enclave_tell_status(enclave, MSE_ENCLAVE_WAITING);
		mse_enclave_wait_while(enclave, MSE_PHASE_WAITING);
	} else if (mse_provision_open_bundle(enclave, enclave->state.code_key, &err) < 0) {
		mse_enclave_log(enclave, "%s", err.message);
		return MSE_ENCLAVE_BUNDLE_REFUSED;
	} else if (mse_enclave_storage_await(enclave, &err) < 0) {
		mse_enclave_log(enclave, "%s", err.message);
		return MSE_ENCLAVE_STORAGE_REFUSED;
	}
	if (mse_enclave_phase(enclave) == MSE_PHASE_STOPPING)
		return MSE_ENCLAVE_STOPPED;
	if (mse_secret_some_unlocked())
		mse_enclave_log(enclave, "secrets as large as this app's are more than this machine lets an app lock: where it swaps, they may be on its swap disk");
	mse_enclave_tell_status(enclave, MSE_ENCLAVE_STARTING);
	return mse_app_run(enclave);
}

int main(int argc, char **argv)
{
	static struct mse_enclave enclave;
	enum mse_enclave_status status;
	struct mse_error_info err;
	int result;

	(void)argv;
	mse_log_open("mse-enclave");
	if (argc > 1) {
		fprintf(stderr, "mse-enclave is started by mse-shim, inside its sandbox, without arguments. Version %s.\n", MSE_VERSION);
		return 2;
	}
	if ((result = prepare_process(&enclave.walls, &err)) < 0 || (result = start(&enclave, &err)) < 0) {
		/* Before there is a log of its own this goes to the shim's. It holds nothing of the owner's. */
		mse_log("%s", err.message);
		_exit(1);
	}
	status = run(&enclave);
	mse_enclave_stop(&enclave);
	mse_http_server_stop(enclave.server, SERVER_STOP_GRACE_MS);
	mse_log_pump_finish(&enclave);
	mse_enclave_tell_status(&enclave, status);
	/* The interpreter is left as it is: finalising it crashes in extension modules. */
	_exit(status == MSE_ENCLAVE_STOPPED ? 0 : 1);
}
