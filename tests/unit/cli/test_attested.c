/* The attested connection against an enclave that is real but for its thread: simulated quotes, real TLS. */
#include "tests.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/attested.h"
#include "ratls/certificate.h"
#include "ratls/evidence.h"
#include "tee/sim_cpu.h"

#define MAX_CONNECTIONS 8
#define MAX_REQUEST 65536

struct connection_log {
	size_t received; /* bytes of requests */
	char body[512];  /* of the last request */
	char path[128];
};

struct enclave {
	/* How it behaves. */
	bool closes_after_evidence;
	bool changes_certificate; /* after the first connection */
	bool relayed;             /* its exporters are those of another connection */
	bool refuses_provisioning;
	int max_version;

	char dir[64];
	struct mse_sim_platform *platform;
	uint8_t root[32];
	char *collateral;
	struct mse_sign_key owner, identity;
	struct mse_box_key box;
	struct mse_buffer *manifest;
	uint8_t measurement[32];
	EVP_PKEY *tls_key, *other_key;
	struct mse_enclave_keys keys;
	X509 *leaf, *other_leaf;

	int listener;
	unsigned port;
	pthread_t thread;
	size_t connections;
	struct connection_log log[MAX_CONNECTIONS];
};

/* cmocka's checks are for the main thread; the server's own troubles end the test program. */
static void must(bool condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "the test's server: %s\n", what);
		abort();
	}
}

#define MUST(condition) must(condition, #condition)

static struct mse_buffer *quote_for(const struct enclave *enclave, const uint8_t report_data[64])
{
	struct mse_sim_report report = { .isv_svn = 1 };
	struct mse_buffer *buffer = mse_buffer_new(65536);
	mse_autofree uint8_t *quote = NULL;
	struct mse_error_info err;
	size_t size;

	memcpy(report.mrenclave, enclave->measurement, 32);
	memcpy(report.report_data, report_data, 64);
	MUST(mse_sim_cpu_quote(enclave->platform, &report, &quote, &size, &err) == 0);
	MUST(mse_buffer_append(buffer, quote, size, &err) == 0);
	return buffer;
}

static void make_manifest(struct enclave *enclave)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new();
	struct mse_error_info err;

	manifest->runtime_file_count = 1;
	manifest->runtime_files[0].name = strdup("mse-enclave");
	manifest->image_name = strdup("mse-flask");
	manifest->app_name = strdup("demo");
	manifest->app_project = strdup("default");
	manifest->healthcheck_endpoint = strdup("/health");
	memcpy(manifest->owner_key, enclave->owner.public_key, 32);
	manifest->tls_names[0] = strdup("a.mse.localhost");
	manifest->tls_name_count = 1;
	manifest->memory = manifest->cpu_millis = manifest->storage = manifest->threads = 1;
	manifest->expires_at = mse_time_now() + 3600;
	MUST(mse_manifest_encode(manifest, &enclave->manifest, &err) == 0);
	MUST(mse_measurement(mse_buffer_data(enclave->manifest), mse_buffer_size(enclave->manifest), enclave->measurement, &err) == 0);
}

static X509 *make_leaf(const struct enclave *enclave, EVP_PKEY *key)
{
	static char name[] = "a.mse.localhost";
	char *names[] = { name };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *quote = NULL;
	struct mse_error_info err;
	uint8_t report_data[64];
	X509 *leaf;
	struct mse_certificate_params params = { .key = key, .identity_key = enclave->keys.identity_key, .names = names, .name_count = 1,
		.not_before = mse_time_now() - 60, .not_after = mse_time_now() + 3600 };

	MUST(mse_certificate_report_data(&enclave->keys, report_data, &err) == 0);
	quote = quote_for(enclave, report_data);
	params.quote = mse_buffer_data(quote);
	params.quote_size = mse_buffer_size(quote);
	MUST(mse_certificate_make(&params, &leaf, &err) == 0);
	return leaf;
}

static char *evidence_for(struct enclave *enclave, SSL *ssl, const char *body)
{
	uint8_t nonce[MSE_NONCE_SIZE], exporter[MSE_EXPORTER_SIZE], leaf[32], report_data[64];
	struct mse_evidence evidence = { .tee = (char *)(uintptr_t)"sim", .state = (char *)(uintptr_t)"waiting", .manifest = enclave->manifest,
		.keys = enclave->keys, .collateral = enclave->collateral };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *quote = NULL;
	mse_autojson *json = NULL;
	struct mse_error_info err;
	char *text;

	MUST(mse_json_parse(body, strlen(body), "the request", &json, &err) == 0);
	MUST(mse_json_base64(json, "nonce", "the request", nonce, sizeof nonce, &err) == 0);
	MUST(SSL_export_keying_material(ssl, exporter, sizeof exporter, MSE_EXPORTER_ATTESTATION, strlen(MSE_EXPORTER_ATTESTATION), nonce,
		     sizeof nonce, 1) == 1);
	if (enclave->relayed)
		exporter[0] ^= 1;
	MUST(mse_certificate_sha256(enclave->leaf, leaf, &err) == 0);
	MUST(mse_session_report_data(nonce, exporter, leaf, &enclave->keys, enclave->measurement, report_data, &err) == 0);
	MUST(mse_manifest_sign(&enclave->owner, enclave->measurement, evidence.manifest_signature, &err) == 0);
	evidence.quote = quote = quote_for(enclave, report_data);
	MUST(mse_evidence_write(&evidence, &text, &err) == 0);
	return text;
}

static bool read_request(SSL *ssl, struct connection_log *log, char *request)
{
	size_t size = 0, wanted = MAX_REQUEST - 1;
	const char *end, *length;

	while (size < wanted) {
		int got = SSL_read(ssl, request + size, (int)(wanted - size));

		if (got <= 0)
			return false;
		size += (size_t)got;
		log->received += (size_t)got;
		request[size] = 0;
		end = strstr(request, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(request, "content-length: ");
		wanted = (size_t)(end + 4 - request) + (length == NULL || length > end ? 0 : (size_t)atol(length + 16));
	}
	end = strstr(request, "\r\n\r\n");
	snprintf(log->body, sizeof log->body, "%s", end + 4);
	sscanf(request, "%*s %127s", log->path);
	return true;
}

static void respond(SSL *ssl, int status, const char *body)
{
	char head[256];

	snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status, strlen(body));
	SSL_write(ssl, head, (int)strlen(head));
	SSL_write(ssl, body, (int)strlen(body));
}

static void serve(struct enclave *enclave, SSL *ssl, struct connection_log *log)
{
	mse_autofree char *request = malloc(MAX_REQUEST);

	while (read_request(ssl, log, request)) {
		if (strcmp(log->path, MSE_EVIDENCE_PATH) == 0) {
			char *text = evidence_for(enclave, ssl, log->body);

			respond(ssl, 200, text);
			free(text);
			if (enclave->closes_after_evidence)
				return;
		} else if (strcmp(log->path, MSE_PROVISION_PATH) == 0) {
			respond(ssl, enclave->refuses_provisioning ? 403 : 200, "{\"clock\":1,\"signature\":\"\"}");
		} else {
			respond(ssl, 204, "");
		}
	}
}

static SSL_CTX *make_context(const struct enclave *enclave, bool other)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	MUST(SSL_CTX_use_certificate(context, other ? enclave->other_leaf : enclave->leaf) == 1);
	MUST(SSL_CTX_use_PrivateKey(context, other ? enclave->other_key : enclave->tls_key) == 1);
	MUST(SSL_CTX_set_max_proto_version(context, enclave->max_version) == 1);
	return context;
}

static void *run_server(void *argument)
{
	struct enclave *enclave = argument;
	int fd;

	while ((fd = accept(enclave->listener, NULL, NULL)) >= 0) {
		size_t number = enclave->connections++;
		SSL_CTX *context = make_context(enclave, enclave->changes_certificate && number > 0);
		SSL *ssl = SSL_new(context);

		MUST(number < MAX_CONNECTIONS);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1)
			serve(enclave, ssl, &enclave->log[number]);
		SSL_shutdown(ssl);
		SSL_free(ssl);
		SSL_CTX_free(context);
		close(fd);
	}
	return NULL;
}

static void listen_somewhere(struct enclave *enclave)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;

	enclave->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(bind(enclave->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(enclave->listener, 8) == 0);
	MUST(getsockname(enclave->listener, (struct sockaddr *)&address, &size) == 0);
	enclave->port = ntohs(address.sin_port);
}

static int set_up(void **state)
{
	struct enclave *enclave = calloc(1, sizeof *enclave);
	mse_autofree char *pem = NULL;
	struct mse_error_info err;

	enclave->max_version = TLS1_3_VERSION;
	snprintf(enclave->dir, sizeof enclave->dir, "%s", "/tmp/mse-test-XXXXXX");
	assert_non_null(mkdtemp(enclave->dir));
	assert_works(mse_sim_pki_ensure(enclave->dir, mse_time_now(), NULL, &err));
	assert_works(mse_sim_pki_load(enclave->dir, &enclave->platform, &err));
	assert_works(mse_sim_pki_root(enclave->dir, &pem, enclave->root, &err));
	assert_works(mse_sim_pki_collateral_json(enclave->dir, &enclave->collateral, &err));
	assert_works(mse_sign_key_generate(&enclave->owner, &err));
	assert_works(mse_sign_key_generate(&enclave->identity, &err));
	assert_works(mse_box_key_generate(&enclave->box, &err));
	assert_works(mse_tls_key_generate(&enclave->tls_key, &err));
	assert_works(mse_tls_key_generate(&enclave->other_key, &err));
	assert_works(mse_tls_key_point(enclave->tls_key, enclave->keys.tls_point, &err));
	memcpy(enclave->keys.identity_key, enclave->identity.public_key, 32);
	memcpy(enclave->keys.box_key, enclave->box.public_key, 32);
	make_manifest(enclave);
	enclave->leaf = make_leaf(enclave, enclave->tls_key);
	enclave->other_leaf = make_leaf(enclave, enclave->other_key);
	listen_somewhere(enclave);
	*state = enclave;
	return 0;
}

static int tear_down(void **state)
{
	struct enclave *enclave = *state;
	struct mse_error_info err;

	shutdown(enclave->listener, SHUT_RDWR);
	pthread_join(enclave->thread, NULL);
	close(enclave->listener);
	assert_works(mse_tree_remove(enclave->dir, &err));
	mse_sim_platform_free(enclave->platform);
	free(enclave->collateral);
	mse_sign_key_clear(&enclave->owner);
	mse_sign_key_clear(&enclave->identity);
	mse_box_key_clear(&enclave->box);
	mse_buffer_free(enclave->manifest);
	EVP_PKEY_free(enclave->tls_key);
	EVP_PKEY_free(enclave->other_key);
	X509_free(enclave->leaf);
	X509_free(enclave->other_leaf);
	free(enclave);
	return 0;
}

/* The owner's side. */
struct client {
	struct mse_attested *attested;
	struct mse_verdict *verdict;
	struct mse_peer *peer;
};

static void client_clear(struct client *client)
{
	mse_attested_free(client->attested);
	mse_verdict_free(client->verdict);
	mse_peer_free(client->peer);
}

static int client_verify(struct enclave *enclave, struct client *client, struct mse_error_info *ret_err)
{
	struct mse_expectations expected = { .manifest = mse_view_of(mse_buffer_data(enclave->manifest), mse_buffer_size(enclave->manifest)),
		.host = "a.mse.localhost" };
	struct mse_verify_params params = { .time = mse_time_now(), .simulation_root = enclave->root };
	mse_autofree char *url = NULL;
	struct mse_error_info err;

	assert_int_equal(pthread_create(&enclave->thread, NULL, run_server, enclave), 0);
	assert_works(mse_format(&url, &err, "https://A.mse.localhost:%u/some/path", enclave->port));
	assert_works(mse_attested_open(url, "127.0.0.1", &client->attested, &err));
	assert_string_equal(mse_attested_host(client->attested), "a.mse.localhost");
	return mse_attested_verify(client->attested, &expected, &params, &client->verdict, &client->peer, ret_err);
}

static int client_provision(struct enclave *enclave, struct client *client, struct mse_error_info *ret_err)
{
	static const char text[] = "{\"secret\":\"hunter2\"}";
	mse_cleanup(mse_secret_freep) struct mse_secret *body = NULL;
	mse_autojson *receipt = NULL;
	struct mse_error_info err;

	assert_works(mse_secret_copy(text, sizeof text - 1, &body, &err));
	return mse_attested_provision(client->attested, &enclave->owner, body, enclave->measurement, &receipt, ret_err);
}

static bool secret_was_seen(const struct enclave *enclave)
{
	for (size_t i = 0; i < MAX_CONNECTIONS; i++)
		if (strstr(enclave->log[i].body, "hunter2") != NULL)
			return true;
	return false;
}

static void a_verified_enclave_is_provisioned_on_the_same_connection(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;
	mse_autofree char *pem = NULL;

	assert_works(client_verify(enclave, &client, &err));
	assert_true(mse_verdict_passed(client.verdict));
	assert_works(mse_attested_leaf_pem(client.attested, &pem, &err));
	assert_non_null(strstr(pem, "BEGIN CERTIFICATE"));
	assert_works(client_provision(enclave, &client, &err));
	assert_true(secret_was_seen(enclave));
	assert_int_equal(enclave->connections, 1);
	client_clear(&client);
}

static void nothing_is_sent_when_the_verified_connection_is_gone(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;

	enclave->closes_after_evidence = true;
	assert_works(client_verify(enclave, &client, &err));
	assert_true(mse_verdict_passed(client.verdict));
	usleep(200 * 1000); /* until the end of the connection has arrived */
	assert_fails(client_provision(enclave, &client, &err), MSE_ERR_CLOSED, "nothing was sent");
	client_clear(&client);
	/* libcurl did connect again, to the very same enclave, and that connection got not one byte. */
	assert_int_equal(enclave->connections, 2);
	assert_int_equal(enclave->log[1].received, 0);
	assert_false(secret_was_seen(enclave));
}

static void evidence_of_another_connection_does_not_convince(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;
	mse_autofree char *pem = NULL;

	enclave->relayed = true;
	assert_works(client_verify(enclave, &client, &err));
	assert_false(mse_verdict_passed(client.verdict));
	assert_string_equal(mse_verdict_first_failed(client.verdict)->name, "connection");
	assert_null(client.peer);
	assert_fails(client_provision(enclave, &client, &err), MSE_ERR_STATE, "not verified");
	assert_fails(mse_attested_leaf_pem(client.attested, &pem, &err), MSE_ERR_STATE, "no verified");
	assert_false(secret_was_seen(enclave));
	client_clear(&client);
}

static void a_later_connection_to_another_certificate_is_refused(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;
	bool waiting;
	long status;

	enclave->closes_after_evidence = true;
	enclave->changes_certificate = true;
	assert_works(client_verify(enclave, &client, &err));
	assert_true(mse_verdict_passed(client.verdict));
	usleep(200 * 1000);
	assert_fails(mse_attested_get(client.attested, "/health", &status, &waiting, &err), MSE_ERR_VERIFY, "another certificate");
	client_clear(&client);
	assert_int_equal(enclave->log[1].received, 0);
}

static void a_later_connection_to_the_same_certificate_is_used(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;
	bool waiting;
	long status;

	enclave->closes_after_evidence = true;
	assert_works(client_verify(enclave, &client, &err));
	usleep(200 * 1000);
	assert_works(mse_attested_get(client.attested, "/health?x=1", &status, &waiting, &err));
	assert_int_equal(status, 204);
	assert_false(waiting);
	client_clear(&client);
	assert_string_equal(enclave->log[1].path, "/health?x=1");
}

static void an_older_tls_gets_nothing_but_a_handshake(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;

	enclave->max_version = TLS1_2_VERSION;
	assert_fails(client_verify(enclave, &client, &err), MSE_ERR_CLOSED, "protocol version");
	assert_null(client.verdict);
	client_clear(&client);
	assert_int_equal(enclave->log[0].received, 0);
}

static void a_refusal_is_told_as_one(void **state)
{
	struct enclave *enclave = *state;
	struct client client = { 0 };
	struct mse_error_info err;

	enclave->refuses_provisioning = true;
	assert_works(client_verify(enclave, &client, &err));
	assert_fails(client_provision(enclave, &client, &err), MSE_ERR_DENIED, "refused");
	client_clear(&client);
}

static void only_https_urls_can_be_bound_to_evidence(void **state)
{
	static const char *const bad[] = { "http://a/", "a", "", "https://", "ftp://a/", "https://user:pw@a/" };
	struct mse_attested *attested = NULL;
	struct mse_error_info err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_true(mse_attested_open(bad[i], NULL, &attested, &err) == MSE_ERR_INPUT);
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int test_attested(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(a_verified_enclave_is_provisioned_on_the_same_connection),
		IN_SCENE(nothing_is_sent_when_the_verified_connection_is_gone),
		IN_SCENE(evidence_of_another_connection_does_not_convince),
		IN_SCENE(a_later_connection_to_another_certificate_is_refused),
		IN_SCENE(a_later_connection_to_the_same_certificate_is_used),
		IN_SCENE(an_older_tls_gets_nothing_but_a_handshake),
		IN_SCENE(a_refusal_is_told_as_one),
		cmocka_unit_test(only_https_urls_can_be_bound_to_evidence),
	};

	return cmocka_run_group_tests_name("attested connection", tests, NULL, NULL);
}
