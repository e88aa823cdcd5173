#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "enclave/enclave.h"
#include "ratls/evidence.h"

#define QUEUE_CAPACITY 64
#define APP_QUEUE_CAPACITY 1024
#define EVIDENCE_THREADS 2
/* A slow sender of a large message holds one of them for a body's time-out at most; evidence has threads of its own. */
#define PROVISION_THREADS 8
#define EVIDENCE_BODY_MAX_SIZE ((size_t)4 * 1024)

/* A connection's mark: it was given session evidence. */
#define MARK_ATTESTED 1u

static void respond_json(struct mse_http_request *request, unsigned status, const char *text)
{
	struct mse_error_info ignored;

	(void)mse_http_respond(request, status, "application/json", text, strlen(text), &ignored);
}

static void respond_error(struct mse_http_request *request, unsigned status, int code, const char *message)
{
	mse_autojson *json = json_pack("{s:{s:s, s:s}}", "error", "code", mse_error_name(code), "message", message);
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);

	respond_json(request, status, text == NULL ? "{}" : text);
	free(text);
}

static int read_nonce(struct mse_http_request *request, uint8_t nonce[static MSE_NONCE_SIZE], struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	mse_autojson *json = NULL;
	int result;

	if ((result = mse_http_request_read_all(request, EVIDENCE_BODY_MAX_SIZE, &body, err)) < 0 ||
	    (result = mse_json_parse(mse_buffer_data(body), mse_buffer_size(body), "the request", &json, err)) < 0 ||
	    (result = mse_json_only(json, (const char *const[]){ "nonce", NULL }, "the request", err)) < 0)
		return result;
	return mse_json_base64(json, "nonce", "the request", nonce, MSE_NONCE_SIZE, err);
}

static int quote_session(struct mse_enclave *enclave, struct mse_http_request *request, const uint8_t nonce[static MSE_NONCE_SIZE],
	struct mse_buffer **ret_quote, struct mse_error_info *err)
{
	uint8_t exporter[MSE_EXPORTER_SIZE], report_data[MSE_REPORT_DATA_SIZE];
	int result;

	if ((result = mse_http_request_exporter(request, MSE_EXPORTER_ATTESTATION, nonce, MSE_NONCE_SIZE, true, exporter, err)) < 0 ||
	    (result = mse_session_report_data(nonce, exporter, enclave->leaf_sha256, &enclave->public_keys, enclave->measurement, report_data,
		     err)) < 0)
		return result;
	return enclave->tee->get_quote(enclave->channel, report_data, ret_quote, err);
}

static const char *phase_name(enum mse_phase phase)
{
	return phase == MSE_PHASE_WAITING ? "waiting" : phase == MSE_PHASE_STARTING ? "starting" : phase == MSE_PHASE_SERVING ? "serving" : "stopping";
}

static int make_evidence(struct mse_enclave *enclave, struct mse_http_request *request, const uint8_t nonce[static MSE_NONCE_SIZE],
	char **ret_text, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *quote = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *collateral = NULL;
	struct mse_evidence evidence = { .tee = (char *)enclave->tee->name, .manifest = enclave->manifest_bytes, .keys = enclave->public_keys };
	struct mse_error_info ignored;
	int result = quote_session(enclave, request, nonce, &quote, err);

	if (result < 0)
		return result;
	/* Without collateral the verifier needs its own. */
	if (mse_channel_ask(enclave->channel, MSE_FRAME_GET_COLLATERAL, NULL, 0, MSE_COLLATERAL_MAX_SIZE, &collateral, &ignored) == 0)
		evidence.collateral = (char *)mse_buffer_text(collateral);
	evidence.quote = quote;
	evidence.state = (char *)phase_name(mse_enclave_phase(enclave));
	memcpy(evidence.manifest_signature, enclave->manifest_signature, MSE_SIGNATURE_SIZE);
	return mse_evidence_write(&evidence, ret_text, err);
}

static void serve_evidence(struct mse_enclave *enclave, struct mse_http_request *request)
{
	uint8_t nonce[MSE_NONCE_SIZE];
	mse_autofree char *text = NULL;
	struct mse_error_info err;
	int result = read_nonce(request, nonce, &err);

	if (result < 0) {
		respond_error(request, 400, result, err.message);
		return;
	}
	result = make_evidence(enclave, request, nonce, &text, &err);
	if (result < 0) {
		mse_enclave_log(enclave, "no session evidence could be given: %s", err.message);
		respond_error(request, result == MSE_ERR_STATE ? 400 : 503, result,
			result == MSE_ERR_STATE ? "session evidence needs TLS 1.3" : "no evidence can be had now");
		return;
	}
	mse_http_connection_set_mark(request, MARK_ATTESTED);
	respond_json(request, 200, text);
}

static void serve_log_head(struct mse_enclave *enclave, struct mse_http_request *request)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *head = mse_buffer_new(MSE_LOG_HEAD_MAX_SIZE);
	mse_autofree char *encoded = NULL, *text = NULL;
	uint8_t nonce[MSE_NONCE_SIZE];
	struct mse_error_info err;
	int result = head == NULL ? mse_fail_nomem(&err) : read_nonce(request, nonce, &err);

	if (result == 0 && (result = mse_log_pump_head(enclave, nonce, head, &err)) == 0 &&
	    (result = mse_base64_encode(mse_buffer_data(head), mse_buffer_size(head), &encoded, &err)) == 0)
		result = mse_format(&text, &err, "{\"head\":\"%s\"}", encoded);
	if (result < 0)
		respond_error(request, 400, result, err.message);
	else
		respond_json(request, 200, text);
}

/* Both are short, and share their threads. */
static void serve_nonce(struct mse_enclave *enclave, struct mse_http_request *request)
{
	if (strcmp(mse_http_request_path(request), MSE_LOG_HEAD_PATH) == 0)
		serve_log_head(enclave, request);
	else
		serve_evidence(enclave, request);
}

/* Anybody can send what is refused, and must not push what matters out of the owner's log: a line a second says enough. */
static void log_refusal(struct mse_enclave *enclave, const char *reason)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint64_t last_ms, unsaid;
	uint64_t now = mse_monotonic_ms(), before = 0;
	bool say;

	pthread_mutex_lock(&lock);
	say = last_ms == 0 || now - last_ms >= 1000;
	if (say) {
		before = unsaid;
		unsaid = 0;
		last_ms = now;
	} else {
		unsaid++;
	}
	pthread_mutex_unlock(&lock);
	if (say && before > 0)
		mse_enclave_log(enclave, "provisioning was refused %llu times more since the last line of this kind", (unsigned long long)before);
	if (say)
		mse_enclave_log(enclave, "provisioning refused: %s", reason);
}

/* Whoever sends a bad request learns nothing of what was bad about it. */
static void refuse_provisioning(struct mse_enclave *enclave, struct mse_http_request *request, const char *reason)
{
	log_refusal(enclave, reason);
	respond_error(request, 403, MSE_ERR_DENIED, "refused");
}

static void serve_provision(struct mse_enclave *enclave, struct mse_http_request *request)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	mse_autofree char *receipt = NULL;
	const char *signature = mse_http_request_header(request, "Mse-Signature");
	uint8_t exporter[MSE_EXPORTER_SIZE];
	struct mse_error_info err;
	int result;

	if (mse_http_connection_mark(request) != MARK_ATTESTED) {
		refuse_provisioning(enclave, request, "no session evidence was asked for on this connection");
		return;
	}
	if (mse_enclave_phase(enclave) != MSE_PHASE_WAITING) {
		refuse_provisioning(enclave, request, "this instance is provisioned already");
		return;
	}
	if (signature == NULL) {
		refuse_provisioning(enclave, request, "there is no header Mse-Signature");
		return;
	}
	result = mse_http_request_read_all(request, MSE_PROVISION_MAX_SIZE, &body, &err);
	if (result == 0)
		result = mse_http_request_exporter(request, MSE_EXPORTER_PROVISION, NULL, 0, false, exporter, &err);
	if (result == 0) {
		pthread_mutex_lock(&enclave->provisioning);
		result = mse_provision_accept(enclave, body, signature, exporter, &receipt, &err);
		pthread_mutex_unlock(&enclave->provisioning);
	}
	if (result < 0) {
		refuse_provisioning(enclave, request, err.message);
		return;
	}
	respond_json(request, 200, receipt);
	mse_enclave_enter(enclave, MSE_PHASE_STARTING);
}

struct worker {
	struct mse_enclave *enclave;
	struct mse_http_queue *queue;
	void (*serve)(struct mse_enclave *enclave, struct mse_http_request *request);
};

static void *work(void *argument)
{
	struct worker worker = *(struct worker *)argument;
	struct mse_http_request *request;
	struct mse_error_info err;

	free(argument);
	while (mse_http_queue_pop(worker.queue, -1, &request, &err) == 0) {
		worker.serve(worker.enclave, request);
		mse_http_request_unref(request);
	}
	return NULL;
}

static int start_workers(struct mse_enclave *enclave, struct mse_http_queue *queue, unsigned count,
	void (*serve)(struct mse_enclave *enclave, struct mse_http_request *request), struct mse_error_info *err)
{
	for (unsigned i = 0; i < count; i++) {
		struct worker *worker = malloc(sizeof *worker);
		pthread_t thread;

		if (worker == NULL)
			return mse_fail_nomem(err);
		*worker = (struct worker){ enclave, queue, serve };
		errno = pthread_create(&thread, NULL, work, worker);
		if (errno != 0) {
			free(worker);
			return mse_fail_errno(err, "cannot start a thread for the endpoints");
		}
		pthread_detach(thread);
	}
	return 0;
}

int mse_endpoints_start(struct mse_enclave *enclave, struct mse_error_info *err)
{
	int result;

	if ((result = mse_http_queue_new(QUEUE_CAPACITY, &enclave->evidence_queue, err)) < 0 ||
	    (result = mse_http_queue_new(QUEUE_CAPACITY, &enclave->provision_queue, err)) < 0 ||
	    (result = mse_http_queue_new(APP_QUEUE_CAPACITY, &enclave->app_queue, err)) < 0 ||
	    (result = start_workers(enclave, enclave->evidence_queue, EVIDENCE_THREADS, serve_nonce, err)) < 0)
		return result;
	return start_workers(enclave, enclave->provision_queue, PROVISION_THREADS, serve_provision, err);
}

static void respond_not_yet(struct mse_http_request *request, enum mse_phase phase)
{
	const struct mse_http_header headers[] = {
		MSE_HTTP_HEADER("Mse-Status", phase_name(phase)),
		MSE_HTTP_HEADER("Retry-After", "1"),
		MSE_HTTP_HEADER("Content-Type", "text/plain"),
	};
	const char *text = phase == MSE_PHASE_WAITING ? "This enclave waits for its owner to provision it.\n" : "The application is starting.\n";
	struct mse_error_info ignored;

	(void)mse_http_respond_with(request, 503, headers, 3, text, strlen(text), &ignored);
}

static void dispatch_own(struct mse_enclave *enclave, struct mse_http_request *request, const char *path)
{
	struct mse_http_queue *queue = NULL;
	struct mse_error_info ignored;

	if (strcmp(path, MSE_EVIDENCE_PATH) == 0 || strcmp(path, MSE_LOG_HEAD_PATH) == 0)
		queue = enclave->evidence_queue;
	else if (strcmp(path, MSE_PROVISION_PATH) == 0)
		queue = enclave->provision_queue;
	if (queue == NULL)
		respond_error(request, 404, MSE_ERR_NOT_FOUND, "there is nothing at this path");
	else if (strcmp(mse_http_request_method(request), "POST") != 0)
		respond_error(request, 405, MSE_ERR_INPUT, "this path takes POST");
	else
		(void)mse_http_queue_push(queue, request, &ignored);
}

/* A few slow senders must not keep everybody else from evidence: its threads see whole requests only. What is larger than the
 * server keeps, a large provisioning message, has its rest read by a thread. */
size_t mse_endpoints_await_body(void *context, struct mse_http_request *request)
{
	(void)context;
	/* What is announced as more than any message is refused unread. */
	if (mse_http_request_content_length(request) > (int64_t)MSE_PROVISION_MAX_SIZE)
		return 0;
	return strncmp(mse_http_request_path(request), MSE_WELL_KNOWN_PREFIX, sizeof MSE_WELL_KNOWN_PREFIX - 1) == 0 ? MSE_PROVISION_MAX_SIZE : 0;
}

void mse_endpoints_on_request(void *context, struct mse_http_request *request)
{
	struct mse_enclave *enclave = context;
	const char *path = mse_http_request_path(request);
	enum mse_phase phase = mse_enclave_phase(enclave);
	struct mse_error_info ignored;

	if (strncmp(path, MSE_WELL_KNOWN_PREFIX, sizeof MSE_WELL_KNOWN_PREFIX - 1) == 0)
		dispatch_own(enclave, request, path);
	else if (phase == MSE_PHASE_SERVING)
		(void)mse_http_queue_push(enclave->app_queue, request, &ignored);
	else
		respond_not_yet(request, phase);
}
