#include "cli/attested.h"

#include <ctype.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/text.h"
#include "cli/http.h"
#include "ratls/certificate.h"

#define MAX_PAGE_SIZE ((size_t)4 * 1024 * 1024)
/* One exchange in all: whoever answers byte by byte would otherwise hold us for weeks. */
#define EXCHANGE_SECONDS 120L

/* What the connection must be when a request is about to be sent. */
enum stage {
	STAGE_ANY,    /* not verified: take down what it is */
	STAGE_SAME,   /* the verified connection itself */
	STAGE_PINNED, /* any connection to the verified leaf */
};

struct mse_attested {
	CURL *handle;
	struct mse_http_answer answer;
	char *base; /* "https://host:port" */
	char *host;
	struct curl_slist *connect_to;

	enum stage stage;
	struct mse_connection_facts facts;
	uint8_t provision_exporter[MSE_EXPORTER_SIZE];
	uint8_t leaf_sha256[MSE_SHA256_SIZE];
	bool verified;
	struct mse_error_info refusal; /* why a request was not sent; code 0: none was refused */
};

void mse_attested_free(struct mse_attested *attested)
{
	if (attested == NULL)
		return;
	curl_easy_cleanup(attested->handle);
	curl_slist_free_all(attested->connect_to);
	mse_http_answer_clear(&attested->answer);
	X509_free(attested->facts.leaf);
	mse_wipe(attested->facts.exporter, sizeof attested->facts.exporter);
	mse_wipe(attested->provision_exporter, sizeof attested->provision_exporter);
	free(attested->base);
	free(attested->host);
	free(attested);
}

static void url_freep(CURLU **url)
{
	curl_url_cleanup(*url);
}

static int take_part(CURLU *url, CURLUPart part, unsigned flags, char **ret_text, struct mse_error_info *err)
{
	char *text = NULL;
	int result;

	if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
		return mse_fail(err, MSE_ERR_INPUT, "the URL lacks a host");
	result = mse_strdup(text, ret_text, err);
	curl_free(text);
	return result;
}

static int parse_url(struct mse_attested *attested, const char *text, char **ret_port, struct mse_error_info *err)
{
	mse_cleanup(url_freep) CURLU *url = curl_url();
	size_t size;
	int result;

	if (url == NULL)
		return mse_fail_nomem(err);
	if (strncasecmp(text, "https://", 8) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "'%.200s' is not an https:// URL: only TLS can be bound to evidence", text);
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) != CURLUE_OK)
		return mse_fail(err, MSE_ERR_INPUT, "'%.200s' is not a valid URL", text);
	if ((result = take_part(url, CURLUPART_HOST, 0, &attested->host, err)) < 0 ||
	    (result = take_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, ret_port, err)) < 0)
		return result;
	for (char *p = attested->host; *p != 0; p++)
		*p = (char)tolower((unsigned char)*p);
	if ((result = mse_format(&attested->base, err, "https://%s:%s", attested->host, *ret_port)) < 0)
		return result;
	/* An IPv6 address stands in brackets in a URL, and without them in a certificate. */
	size = strlen(attested->host);
	if (attested->host[0] == '[' && attested->host[size - 1] == ']') {
		attested->host[size - 1] = 0;
		memmove(attested->host, attested->host + 1, size - 1);
	}
	return 0;
}

int mse_attested_open(const char *url, const char *connect_to, struct mse_attested **ret_attested, struct mse_error_info *err)
{
	mse_cleanup(mse_attested_freep) struct mse_attested *attested = calloc(1, sizeof *attested);
	mse_autofree char *port = NULL;
	int result;

	if (attested == NULL)
		return mse_fail_nomem(err);
	if ((result = parse_url(attested, url, &port, err)) < 0 || (result = mse_http_answer_new(MAX_PAGE_SIZE, &attested->answer, err)) < 0)
		return result;
	if (connect_to != NULL && strspn(connect_to, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(connect_to))
		return mse_fail(err, MSE_ERR_INPUT, "'%.100s' is not an address to connect to", connect_to);
	if (connect_to != NULL && (result = mse_http_header(&attested->connect_to, err, "::%s:%s", connect_to, port)) < 0)
		return result;
	*ret_attested = mse_steal(attested);
	return 0;
}

const char *mse_attested_host(const struct mse_attested *attested)
{
	return attested->host;
}

static int export_keys(SSL *ssl, const uint8_t *nonce, uint8_t *session, uint8_t *provision, struct mse_error_info *err)
{
	if (SSL_export_keying_material(ssl, session, MSE_EXPORTER_SIZE, MSE_EXPORTER_ATTESTATION, strlen(MSE_EXPORTER_ATTESTATION), nonce,
		    MSE_NONCE_SIZE, 1) != 1 ||
	    SSL_export_keying_material(ssl, provision, MSE_EXPORTER_SIZE, MSE_EXPORTER_PROVISION, strlen(MSE_EXPORTER_PROVISION), NULL, 0, 0) != 1)
		return mse_fail_openssl(err, MSE_ERR_CRYPTO, "the connection gives no exporter");
	return 0;
}

static int inspect(struct mse_attested *attested, SSL *ssl, struct mse_error_info *err)
{
	uint8_t session[MSE_EXPORTER_SIZE], provision[MSE_EXPORTER_SIZE], digest[MSE_SHA256_SIZE];
	X509 *leaf;
	int result;

	if (SSL_version(ssl) != TLS1_3_VERSION)
		return mse_fail(err, MSE_ERR_VERIFY, "the other side does not speak TLS 1.3, which evidence is bound to");
	leaf = SSL_get1_peer_certificate(ssl);
	if (leaf == NULL)
		return mse_fail(err, MSE_ERR_VERIFY, "the other side showed no certificate");
	result = mse_certificate_sha256(leaf, digest, err);
	if (result == 0)
		result = export_keys(ssl, attested->facts.nonce, session, provision, err);
	if (result < 0) {
		X509_free(leaf);
		return result;
	}
	if (attested->stage == STAGE_ANY) {
		X509_free(attested->facts.leaf);
		attested->facts.leaf = mse_steal(leaf);
		memcpy(attested->facts.exporter, session, sizeof session);
		memcpy(attested->provision_exporter, provision, sizeof provision);
		memcpy(attested->leaf_sha256, digest, sizeof digest);
	} else if (!attested->verified || !mse_equal(digest, attested->leaf_sha256, sizeof digest)) {
		result = mse_fail(err, MSE_ERR_VERIFY, "the other side shows another certificate than the verified one; nothing was sent to it");
	} else if (attested->stage == STAGE_SAME && !mse_equal(session, attested->facts.exporter, sizeof session)) {
		/* libcurl reconnects silently when the server has closed: this connection was never verified. */
		result = mse_fail(err, MSE_ERR_CLOSED, "the verified connection was closed by the other side; nothing was sent over another one");
	}
	X509_free(leaf);
	mse_wipe(session, sizeof session);
	mse_wipe(provision, sizeof provision);
	return result;
}

/* Called by libcurl when a connection stands and before anything of the request is sent. */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
	struct mse_attested *attested = context;
	struct curl_tlssessioninfo *session = NULL;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	attested->refusal.code = 0;
	if (curl_easy_getinfo(attested->handle, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || session == NULL ||
	    session->backend != CURLSSLBACKEND_OPENSSL || session->internals == NULL) {
		mse_fail(&attested->refusal, MSE_ERR_INTERNAL, "libcurl does not give out its OpenSSL connection: it must be the OpenSSL flavour");
		return CURL_PREREQFUNC_ABORT;
	}
	return inspect(attested, session->internals, &attested->refusal) < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int prepare(struct mse_attested *attested, enum stage stage, const char *path, struct mse_error_info *err)
{
	mse_autofree char *url = NULL;
	int result;

	if ((result = mse_format(&url, err, "%s%s", attested->base, path)) < 0 ||
	    (result = mse_http_prepare(&attested->handle, "https", url, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3, err)) < 0 ||
	    /* What replaces the check of a chain of authorities is before_request(), and the evidence. */
	    (result = mse_http_set(attested->handle, CURLOPT_SSL_VERIFYPEER, 0L, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_SSL_VERIFYHOST, 0L, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_SSL_SESSIONID_CACHE, 0L, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_PATH_AS_IS, 1L, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_TIMEOUT, EXCHANGE_SECONDS, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_PREREQFUNCTION, before_request, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_PREREQDATA, attested, err)) < 0)
		return result;
	if (attested->connect_to != NULL && (result = mse_http_set(attested->handle, CURLOPT_CONNECT_TO, attested->connect_to, err)) < 0)
		return result;
	attested->stage = stage;
	attested->refusal.code = 0;
	return 0;
}

static int perform(struct mse_attested *attested, struct mse_error_info *err)
{
	mse_autofree char *what = NULL;
	int result = mse_format(&what, err, "the enclave at %s", attested->base);

	if (result < 0)
		return result;
	result = mse_http_perform(attested->handle, what, &attested->answer, err);
	if (result < 0 && attested->refusal.code != 0)
		return mse_fail(err, attested->refusal.code, "%s: %s", what, attested->refusal.message);
	return result;
}

static int post(struct mse_attested *attested, const struct mse_view *body, struct curl_slist *headers, struct mse_error_info *err)
{
	int result;

	if ((result = mse_http_set(attested->handle, CURLOPT_POST, 1L, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_POSTFIELDS, body->data, err)) < 0 ||
	    (result = mse_http_set(attested->handle, CURLOPT_HTTPHEADER, headers, err)) < 0)
		return result;
	return perform(attested, err);
}

/* Posts a fresh nonce over a new connection; the answer is for the caller to examine. */
static int post_nonce(struct mse_attested *attested, const char *path, struct mse_error_info *err)
{
	mse_cleanup(mse_slist_freep) struct curl_slist *headers = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *nonce = NULL;
	mse_autofree char *nonce_text = NULL, *body = NULL;
	struct mse_view view;
	int result;

	if ((result = mse_secret_random(MSE_NONCE_SIZE, &nonce, err)) < 0)
		return result;
	memcpy(attested->facts.nonce, mse_secret_view(nonce), MSE_NONCE_SIZE);
	/* Connections of an earlier attempt must not be found again for what follows this one. */
	curl_easy_cleanup(mse_steal(attested->handle));
	if ((result = mse_base64_encode(attested->facts.nonce, MSE_NONCE_SIZE, &nonce_text, err)) < 0 ||
	    (result = mse_format(&body, err, "{\"nonce\":\"%s\"}", nonce_text)) < 0 ||
	    (result = prepare(attested, STAGE_ANY, path, err)) < 0 ||
	    (result = mse_http_header(&headers, err, "Content-Type: application/json")) < 0)
		return result;
	view = mse_view_of_text(body);
	result = post(attested, &view, headers, err);
	curl_easy_setopt(attested->handle, CURLOPT_HTTPHEADER, NULL);
	return result;
}

static int ask_for_evidence(struct mse_attested *attested, struct mse_error_info *err)
{
	int result = post_nonce(attested, MSE_EVIDENCE_PATH, err);

	if (result < 0)
		return result;
	if (attested->answer.status != 200)
		return mse_fail(err, MSE_ERR_VERIFY,
			"%s gives no evidence (HTTP status %ld): it is not an mse application, or something stands in between", attested->base,
			attested->answer.status);
	return 0;
}

int mse_attested_log_head(struct mse_attested *attested, const uint8_t instance_id[static 32], const struct mse_box_key *owner,
	const uint8_t enclave_key[static MSE_BOX_KEY_SIZE], struct mse_log_head *ret_head, struct mse_error_info *err)
{
	static const char what[] = "the enclave's answer about its log";
	mse_autojson *json = NULL;
	mse_autofree uint8_t *box = NULL;
	const char *text;
	size_t size;
	int result;

	attested->verified = false;
	if ((result = post_nonce(attested, MSE_LOG_HEAD_PATH, err)) < 0)
		return result;
	if (attested->answer.status != 200)
		return mse_fail(err, MSE_ERR_STATE, "%s does not say where its log stands (HTTP status %ld)", attested->base, attested->answer.status);
	if ((result = mse_json_parse(mse_buffer_data(attested->answer.body), mse_buffer_size(attested->answer.body), what, &json, err)) < 0 ||
	    (result = mse_json_string(json, "head", what, &text, err)) < 0 ||
	    (result = mse_base64_decode(text, MSE_LOG_HEAD_MAX_SIZE, &box, &size, what, err)) < 0)
		return result;
	return mse_log_head_open(box, size, instance_id, attested->facts.nonce, owner, enclave_key, ret_head, err);
}

int mse_attested_verify(struct mse_attested *attested, const struct mse_expectations *expected, const struct mse_verify_params *params,
	struct mse_verdict **ret_verdict, struct mse_peer **ret_peer, struct mse_error_info *err)
{
	int result;

	*ret_verdict = NULL;
	*ret_peer = NULL;
	attested->verified = false;
	if ((result = ask_for_evidence(attested, err)) < 0)
		return result;
	result = mse_session_verify(mse_buffer_data(attested->answer.body), mse_buffer_size(attested->answer.body), &attested->facts, expected,
		params, ret_verdict, ret_peer, err);
	if (result == 0)
		attested->verified = mse_verdict_passed(*ret_verdict) && *ret_peer != NULL;
	return result;
}

int mse_attested_leaf_pem(const struct mse_attested *attested, char **ret_pem, struct mse_error_info *err)
{
	if (!attested->verified)
		return mse_fail(err, MSE_ERR_STATE, "there is no verified certificate");
	return mse_certificate_pem(attested->facts.leaf, ret_pem, err);
}

int mse_attested_provision(struct mse_attested *attested, const struct mse_sign_key *owner, const struct mse_secret *body,
	const uint8_t measurement[static MSE_SHA256_SIZE], json_t **ret_receipt, struct mse_error_info *err)
{
	mse_cleanup(mse_slist_freep) struct curl_slist *headers = NULL;
	struct mse_view view = mse_view_of(mse_secret_view(body), mse_secret_size(body));
	uint8_t signature[MSE_SIGNATURE_SIZE];
	mse_autofree char *signature_text = NULL;
	int result;

	if (!attested->verified)
		return mse_fail(err, MSE_ERR_STATE, "nothing is provisioned to an enclave that was not verified");
	if ((result = mse_provision_sign(owner, view.data, view.size, attested->provision_exporter, measurement, signature, err)) < 0 ||
	    (result = mse_base64_encode(signature, sizeof signature, &signature_text, err)) < 0 ||
	    (result = prepare(attested, STAGE_SAME, MSE_PROVISION_PATH, err)) < 0 ||
	    (result = mse_http_header(&headers, err, "Content-Type: application/json")) < 0 ||
	    /* Waiting for a 100 would be time lost; the enclave knows its limit from Content-Length. */
	    (result = mse_http_header(&headers, err, "Expect:")) < 0 ||
	    (result = mse_http_header(&headers, err, "Mse-Signature: %s", signature_text)) < 0)
		return result;
	result = post(attested, &view, headers, err);
	/* The handle must not keep pointers to the body. */
	curl_easy_reset(attested->handle);
	if (result < 0)
		return result;
	if (attested->answer.status != 200)
		return mse_fail(err, MSE_ERR_DENIED, "the enclave refused what was provisioned (HTTP status %ld; it tells the reason to its log alone)",
			attested->answer.status);
	return mse_json_parse(mse_buffer_data(attested->answer.body), mse_buffer_size(attested->answer.body), "the enclave's receipt", ret_receipt, err);
}

int mse_attested_get(struct mse_attested *attested, const char *path, long *ret_status, bool *ret_waiting, struct mse_error_info *err)
{
	struct curl_header *header;
	int result;

	if ((result = prepare(attested, STAGE_PINNED, path, err)) < 0 || (result = mse_http_set(attested->handle, CURLOPT_TIMEOUT, 30L, err)) < 0 ||
	    (result = perform(attested, err)) < 0)
		return result;
	*ret_status = attested->answer.status;
	*ret_waiting = curl_easy_header(attested->handle, "Mse-Status", 0, CURLH_HEADER, -1, &header) == CURLHE_OK;
	return 0;
}
