/* The server's side of TLS. OpenSSL is initialised by the program (without its configuration file). */
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/error.h"

/* TLS 1.2 (ECDHE with AEAD ciphers) and 1.3; no compression, renegotiation or early data; ALPN http/1.1 (RFC 7301). The key, the leaf
 * and the certificates of chain (may be NULL: none) are referenced, not taken. MSE_ERR_INPUT when key and leaf do not belong together.
 * The caller frees *ret_ctx with SSL_CTX_free(). */
int mse_http_tls_server_ctx(EVP_PKEY *key, X509 *leaf, STACK_OF(X509) *chain, SSL_CTX **ret_ctx, struct mse_error_info *err);
