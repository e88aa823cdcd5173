#include "http/tls.h"

#include <string.h>

#include <openssl/err.h>

#include "base/cleanup.h"

static void free_ctx(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
}

static int fail_openssl(struct mse_error_info *err, int code, const char *what)
{
	char reason[256] = "no reason given";
	unsigned long error = ERR_peek_last_error();

	if (error != 0)
		ERR_error_string_n(error, reason, sizeof reason);
	ERR_clear_error();
	return mse_fail(err, code, "setting up the TLS server: %s: %s", what, reason);
}

/* The first protocol of ours that the client offers; a client that offers none of them is refused (RFC 7301 section 3.2). */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in, unsigned int in_size, void *ctx)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *selected;

	(void)ssl;
	(void)ctx;
	if (SSL_select_next_proto(&selected, out_size, ours, sizeof ours - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

static int set_policy(SSL_CTX *ctx, struct mse_error_info *err)
{
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1)
		return fail_openssl(err, MSE_ERR_INTERNAL, "choosing TLS 1.2 and 1.3");
	if (SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
		SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1)
		return fail_openssl(err, MSE_ERR_INTERNAL, "choosing ciphers");
	if (SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1)
		return fail_openssl(err, MSE_ERR_INTERNAL, "choosing groups");
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
		SSL_OP_CLEANSE_PLAINTEXT);
	/* Tickets serve resumption without memory; early data could be replayed (RFC 8446 section 8). */
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_max_early_data(ctx, 0) != 1 || SSL_CTX_set_recv_max_early_data(ctx, 0) != 1)
		return fail_openssl(err, MSE_ERR_INTERNAL, "turning early data off");
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	return 0;
}

int mse_http_tls_server_ctx(EVP_PKEY *key, X509 *leaf, STACK_OF(X509) *chain, SSL_CTX **ret_ctx, struct mse_error_info *err)
{
	mse_cleanup(free_ctx) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int result;

	*ret_ctx = NULL;
	if (ctx == NULL)
		return fail_openssl(err, MSE_ERR_NOMEM, "making a context");
	result = set_policy(ctx, err);
	if (result < 0)
		return result;
	if (SSL_CTX_use_certificate(ctx, leaf) != 1)
		return fail_openssl(err, MSE_ERR_INPUT, "taking the certificate");
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return fail_openssl(err, MSE_ERR_INPUT, "the private key does not belong to the certificate");
	for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++)
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i)) != 1)
			return fail_openssl(err, MSE_ERR_INPUT, "taking a certificate of the chain");
	*ret_ctx = mse_steal(ctx);
	return 0;
}
