#include "harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "http/tls.h"

#define HOST "Host: h\r\n"

static EVP_PKEY *key;
static X509 *leaf;
static SSL_CTX *server_ctx;
static uint8_t server_value[MSE_HTTP_EXPORTER_SIZE];
static int server_result;
static sem_t done;

static X509 *self_sign(EVP_PKEY *with)
{
	X509 *certificate = X509_new();
	X509_NAME *name;

	assert_non_null(certificate);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	name = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"h", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, with);
	assert_true(X509_sign(certificate, with, EVP_sha256()) > 0);
	return certificate;
}

static int set_up_group(void **state)
{
	struct mse_error_info err;

	(void)state;
	sem_init(&done, 0, 0);
	key = EVP_EC_gen("P-256");
	assert_non_null(key);
	leaf = self_sign(key);
	assert_works(mse_http_tls_server_ctx(key, leaf, NULL, &server_ctx, &err));
	return 0;
}

static int tear_down_group(void **state)
{
	(void)state;
	SSL_CTX_free(server_ctx);
	X509_free(leaf);
	EVP_PKEY_free(key);
	return 0;
}

static struct site *start_tls(struct site_options options)
{
	options.ssl_ctx = server_ctx;
	return site_start(&options);
}

struct tls_client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

/* min and max are TLS1_2_VERSION or TLS1_3_VERSION; protocols is an ALPN list or NULL. -1 when the handshake fails. */
static int tls_connect(const struct site *site, int version, const char *protocols, SSL_SESSION *session, struct tls_client *client)
{
	client->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(client->ctx, version);
	SSL_CTX_set_max_proto_version(client->ctx, version);
	SSL_CTX_set_cipher_list(client->ctx, "ALL:@SECLEVEL=0");
	client->ssl = SSL_new(client->ctx);
	client->fd = client_connect(site);
	SSL_set_fd(client->ssl, client->fd);
	if (protocols != NULL)
		SSL_set_alpn_protos(client->ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
	if (session != NULL)
		SSL_set_session(client->ssl, session);
	return SSL_connect(client->ssl) == 1 ? 0 : -1;
}

static void tls_close(struct tls_client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->ctx);
	close(client->fd);
	ERR_clear_error();
}

static void tls_send(struct tls_client *client, const char *text)
{
	assert_int_equal(SSL_write(client->ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* Reads until `end` was seen. */
static void tls_expect(struct tls_client *client, const char *start, const char *end)
{
	char text[16384];
	size_t size = 0;

	text[0] = 0;
	while (strstr(text, end) == NULL) {
		int got = SSL_read(client->ssl, text + size, (int)(sizeof text - 1 - size));

		if (got <= 0)
			fail_msg("the server ended after: %s", text);
		size += (size_t)got;
		text[size] = 0;
	}
	assert_memory_equal(text, start, strlen(start));
}

static void export_and_answer(struct mse_http_request *request)
{
	const char *context = mse_http_request_header(request, "X-Context");

	server_result = mse_http_request_exporter(request, "EXPORTER-mse-attestation", context, context != NULL ? strlen(context) : 0, context != NULL, server_value, NULL);
	(void)mse_http_respond(request, 200, NULL, mse_http_request_tls_version(request), strlen(mse_http_request_tls_version(request)), NULL);
}

static void export_on_network_thread(void *ctx, struct mse_http_request *request)
{
	(void)ctx;
	export_and_answer(request);
}

static void compare_exporters(struct site *site)
{
	struct tls_client client;
	uint8_t with[32], without[32], first[32];

	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	assert_int_equal(SSL_export_keying_material(client.ssl, with, 32, "EXPORTER-mse-attestation", 24, (const uint8_t *)"nonce", 5, 1), 1);
	assert_int_equal(SSL_export_keying_material(client.ssl, without, 32, "EXPORTER-mse-attestation", 24, NULL, 0, 0), 1);
	tls_send(&client, "GET / HTTP/1.1\r\n" HOST "X-Context: nonce\r\n\r\n");
	tls_expect(&client, "HTTP/1.1 200", "TLSv1.3");
	assert_int_equal(server_result, 0);
	assert_memory_equal(server_value, with, 32);
	tls_send(&client, "GET / HTTP/1.1\r\n" HOST "\r\n");
	tls_expect(&client, "HTTP/1.1 200", "TLSv1.3");
	assert_memory_equal(server_value, without, 32);
	memcpy(first, with, 32);
	tls_close(&client);
	/* Another connection has another value. */
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	tls_send(&client, "GET / HTTP/1.1\r\n" HOST "X-Context: nonce\r\n\r\n");
	tls_expect(&client, "HTTP/1.1 200", "TLSv1.3");
	assert_memory_not_equal(server_value, first, 32);
	tls_close(&client);
}

static void both_ends_export_the_same_value_from_any_thread(void **state)
{
	struct site_options options = site_defaults(export_and_answer);
	struct site *site = start_tls(options);

	(void)state;
	compare_exporters(site);
	site_stop(site);
	options.on_request = export_on_network_thread;
	site = start_tls(options);
	compare_exporters(site);
	site_stop(site);
}

static void tls_1_2_is_served_but_exports_nothing(void **state)
{
	struct site *site = start_tls(site_defaults(export_and_answer));
	struct tls_client client;
	static const uint8_t zeros[32];

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_2_VERSION, NULL, NULL, &client), 0);
	tls_send(&client, "GET / HTTP/1.1\r\n" HOST "\r\n");
	tls_expect(&client, "HTTP/1.1 200", "TLSv1.2");
	assert_int_equal(server_result, MSE_ERR_STATE);
	assert_memory_equal(server_value, zeros, 32);
	/* Only forward secrecy and authenticated encryption. */
	assert_non_null(strstr(SSL_get_cipher_name(client.ssl), "ECDHE"));
	tls_close(&client);
	site_stop(site);
}

static void old_protocols_and_weak_ciphers_are_refused(void **state)
{
	struct site *site = start_tls(site_defaults(usual_handler));
	struct tls_client client;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	int fd;

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_1_VERSION, NULL, NULL, &client), -1);
	tls_close(&client);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0");
	ssl = SSL_new(ctx);
	fd = client_connect(site);
	SSL_set_fd(ssl, fd);
	assert_int_not_equal(SSL_connect(ssl), 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	site_stop(site);
}

static void renegotiation_is_refused(void **state)
{
	struct site *site = start_tls(site_defaults(usual_handler));
	struct tls_client client;
	char byte;

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_2_VERSION, NULL, NULL, &client), 0);
	assert_int_equal(SSL_renegotiate(client.ssl), 1);
	/* The server refuses with a no_renegotiation alert, which ends the attempt here. */
	if (SSL_do_handshake(client.ssl) == 1 && SSL_read(client.ssl, &byte, 1) > 0)
		fail_msg("the server renegotiated");
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
	tls_close(&client);
	/* The server is still there for others. */
	assert_int_equal(tls_connect(site, TLS1_2_VERSION, NULL, NULL, &client), 0);
	tls_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	tls_expect(&client, "HTTP/1.1 200", "hello");
	tls_close(&client);
	site_stop(site);
}

static void only_http_1_1_is_negotiated(void **state)
{
	struct site *site = start_tls(site_defaults(usual_handler));
	struct tls_client client;
	const unsigned char *protocol;
	unsigned size;

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, "\x02h2\x08http/1.1", NULL, &client), 0);
	SSL_get0_alpn_selected(client.ssl, &protocol, &size);
	assert_int_equal(size, 8);
	assert_memory_equal(protocol, "http/1.1", 8);
	tls_close(&client);
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, "\x02h2", NULL, &client), -1);
	tls_close(&client);
	site_stop(site);
}

static void sessions_resume_without_early_data(void **state)
{
	struct site *site = start_tls(site_defaults(usual_handler));
	struct tls_client client;
	SSL_SESSION *session;

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		assert_int_equal(tls_connect(site, version, NULL, NULL, &client), 0);
		tls_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		tls_expect(&client, "HTTP/1.1 200", "hello");
		session = SSL_get1_session(client.ssl);
		assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
		SSL_shutdown(client.ssl);
		tls_close(&client);
		assert_int_equal(tls_connect(site, version, NULL, session, &client), 0);
		assert_true(SSL_session_reused(client.ssl));
		tls_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		tls_expect(&client, "HTTP/1.1 200", "hello");
		tls_close(&client);
		SSL_SESSION_free(session);
	}
	site_stop(site);
}

static unsigned records;

static void count_records(int is_write, int version, int content_type, const void *data, size_t size, SSL *ssl, void *arg)
{
	(void)version;
	(void)ssl;
	(void)arg;
	/* The inner type of a TLS 1.3 record; 23 is application data. */
	if (!is_write && content_type == SSL3_RT_INNER_CONTENT_TYPE && size == 1 && *(const uint8_t *)data == SSL3_RT_APPLICATION_DATA)
		records++;
}

static void a_small_response_is_one_record(void **state)
{
	struct site *site = start_tls(site_defaults(usual_handler));
	struct tls_client client;

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	SSL_set_msg_callback(client.ssl, count_records);
	records = 0;
	for (unsigned i = 0; i < 20; i++) {
		tls_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		tls_expect(&client, "HTTP/1.1 200", "hello");
	}
	assert_int_equal(records, 20);
	tls_close(&client);
	site_stop(site);
}

static void connections_end_with_close_notify(void **state)
{
	struct site *site = start_tls(site_defaults(usual_handler));
	struct tls_client client;
	char byte;
	int got;

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	tls_send(&client, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	tls_expect(&client, "HTTP/1.1 200", "hello");
	got = SSL_read(client.ssl, &byte, 1);
	assert_int_equal(SSL_get_error(client.ssl, got), SSL_ERROR_ZERO_RETURN);
	tls_close(&client);
	/* A client that ends its side first is answered in kind. */
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	assert_int_equal(SSL_shutdown(client.ssl), 0);
	got = SSL_read(client.ssl, &byte, 1);
	assert_int_equal(SSL_get_error(client.ssl, got), SSL_ERROR_ZERO_RETURN);
	tls_close(&client);
	eventually(mse_http_server_connection_count(site->server) == 0);
	site_stop(site);
}

static void read_until_it_fails(struct mse_http_request *request)
{
	char block[100];
	size_t got;

	do {
		server_result = mse_http_request_read(request, block, sizeof block, &got, NULL);
		sem_post(&done);
	} while (server_result == 0 && got > 0);
}

static void a_stream_cut_without_close_notify_is_no_end_of_a_body(void **state)
{
	struct site *site = start_tls(site_defaults(read_until_it_fails));
	struct tls_client client;

	(void)state;
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	tls_send(&client, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	assert_int_equal(sem_wait(&done), 0);
	shutdown(client.fd, SHUT_WR);
	assert_int_equal(sem_wait(&done), 0);
	assert_int_equal(server_result, MSE_ERR_CLOSED);
	tls_close(&client);
	site_stop(site);
}

static void what_is_no_tls_and_who_never_shakes_hands_is_cut_off(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	int plain, silent;

	(void)state;
	options.limits.head_timeout_ms = 150;
	site = start_tls(options);
	silent = client_connect(site);
	plain = client_connect(site);
	client_send(plain, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	free(client_read_all(plain, NULL));
	client_expect_end(silent);
	close(plain);
	close(silent);
	eventually(mse_http_server_connection_count(site->server) == 0);
	site_stop(site);
}

#define BIG 3000000

static void large_bodies_pass_both_ways(void **state)
{
	struct site_options options = site_defaults(usual_handler);
	struct site *site;
	struct tls_client client;
	char text[128], *all = malloc(BIG + 1000);
	size_t size = 0;
	const char *body;

	(void)state;
	assert_non_null(all);
	options.limits.max_buffered_input = options.limits.max_buffered_output = 20000;
	site = start_tls(options);
	assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
	(void)snprintf(text, sizeof text, "POST /count HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", BIG);
	tls_send(&client, text);
	memset(all, 'x', BIG);
	for (int at = 0; at < BIG; at += 50000)
		assert_int_equal(SSL_write(client.ssl, all + at, 50000), 50000);
	tls_expect(&client, "HTTP/1.1 200", "\r\n\r\n3000000");
	/* HTTP/1.0: the body comes as it is, up to the end. */
	tls_send(&client, "GET /big/3000000 HTTP/1.0\r\n\r\n");
	for (;;) {
		int got = SSL_read(client.ssl, all + size, (int)(BIG + 1000 - size));

		if (got <= 0) {
			assert_int_equal(SSL_get_error(client.ssl, got), SSL_ERROR_ZERO_RETURN);
			break;
		}
		size += (size_t)got;
	}
	body = memmem(all, size, "\r\n\r\n", 4);
	assert_non_null(body);
	body += 4;
	assert_int_equal(size - (size_t)(body - all), BIG);
	for (size_t i = 0; i < BIG; i++)
		if (body[i] != (char)('a' + i % 26))
			fail_msg("byte %zu of the body is wrong", i);
	tls_close(&client);
	free(all);
	site_stop(site);
}

static void *use_tls(void *arg)
{
	struct site *site = arg;

	for (unsigned i = 0; i < 8; i++) {
		struct tls_client client;
		uint8_t value[32];

		if (tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client) != 0)
			abort();
		for (unsigned k = 0; k < 5; k++) {
			(void)SSL_export_keying_material(client.ssl, value, 32, "EXPORTER-mse-attestation", 24, NULL, 0, 0);
			tls_send(&client, "GET / HTTP/1.1\r\n" HOST "\r\n");
			if (i % 4 == 3 && k == 4)
				break;
			tls_expect(&client, "HTTP/1.1 200", "ok\r\n0\r\n\r\n");
		}
		tls_close(&client);
	}
	return NULL;
}

static atomic_uint exported;

static void export_while_writing(struct mse_http_request *request)
{
	uint8_t value[MSE_HTTP_EXPORTER_SIZE];

	(void)mse_http_response_start(request, 200, NULL, NULL, 0, NULL);
	if (mse_http_request_exporter(request, "EXPORTER-mse-attestation", NULL, 0, false, value, NULL) == 0)
		atomic_fetch_add(&exported, 1);
	(void)mse_http_response_write(request, "ok", 2, NULL);
	(void)mse_http_response_end(request, NULL);
}

static void exporters_work_beside_traffic(void **state)
{
	struct site_options options = site_defaults(export_while_writing);
	struct site *site;
	pthread_t clients[4];

	(void)state;
	options.threads = 2;
	options.workers = 4;
	site = start_tls(options);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&clients[i], NULL, use_tls, site), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(clients[i], NULL), 0);
	assert_true(atomic_load(&exported) >= 4 * (6 * 5 + 2 * 4));
	eventually(mse_http_server_connection_count(site->server) == 0);
	site_stop(site);
}

static void sigpipe_is_never_raised(void **state)
{
	struct site *site;

	(void)state;
	/* cmocka and the shell may have it ignored: the default action would end this process. */
	signal(SIGPIPE, SIG_DFL);
	for (unsigned round = 0; round < 2; round++) {
		struct site_options options = site_defaults(usual_handler);

		site = round == 0 ? start_tls(options) : site_start(&options);
		for (unsigned i = 0; i < 10; i++) {
			struct linger now = { .l_onoff = 1 };

			if (round == 0) {
				struct tls_client client;

				assert_int_equal(tls_connect(site, TLS1_3_VERSION, NULL, NULL, &client), 0);
				tls_send(&client, "GET /big/1000000 HTTP/1.1\r\n" HOST "\r\n");
				setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
				tls_close(&client);
			} else {
				int fd = client_connect(site);

				client_send(fd, "GET /big/1000000 HTTP/1.1\r\n" HOST "\r\n");
				setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
				close(fd);
			}
		}
		eventually(mse_http_server_connection_count(site->server) == 0);
		site_stop(site);
	}
}

static void a_key_that_is_not_the_certificates_is_refused(void **state)
{
	struct mse_error_info err;
	EVP_PKEY *other = EVP_EC_gen("P-256");
	SSL_CTX *ctx;

	(void)state;
	assert_fails(mse_http_tls_server_ctx(other, leaf, NULL, &ctx, &err), MSE_ERR_INPUT, "does not belong");
	assert_null(ctx);
	EVP_PKEY_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_export_the_same_value_from_any_thread),
		cmocka_unit_test(tls_1_2_is_served_but_exports_nothing),
		cmocka_unit_test(old_protocols_and_weak_ciphers_are_refused),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(only_http_1_1_is_negotiated),
		cmocka_unit_test(sessions_resume_without_early_data),
		cmocka_unit_test(a_small_response_is_one_record),
		cmocka_unit_test(connections_end_with_close_notify),
		cmocka_unit_test(a_stream_cut_without_close_notify_is_no_end_of_a_body),
		cmocka_unit_test(what_is_no_tls_and_who_never_shakes_hands_is_cut_off),
		cmocka_unit_test(large_bodies_pass_both_ways),
		cmocka_unit_test(exporters_work_beside_traffic),
		cmocka_unit_test(sigpipe_is_never_raised),
		cmocka_unit_test(a_key_that_is_not_the_certificates_is_refused),
	};

	signal(SIGPIPE, SIG_IGN); /* the client's own writes */
	return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
