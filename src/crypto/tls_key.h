/* P-256 keys of TLS certificates, as OpenSSL holds them. */
#pragma once

#include <openssl/evp.h>
#include <stdint.h>

#include "base/secret.h"

#define MSE_P256_POINT_SIZE 65 /* 04 ‖ X ‖ Y (SEC 1 section 2.3.3, uncompressed) */

__attribute__((unused)) static inline void mse_pkey_freep(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

/* The caller frees with EVP_PKEY_free(). */
int mse_tls_key_generate(EVP_PKEY **ret_key, struct mse_error_info *err);
int mse_tls_key_from_der(const uint8_t *der, size_t size, EVP_PKEY **ret_key, struct mse_error_info *err);
/* PKCS#8 or SEC 1 DER of the private key. */
int mse_tls_key_to_der(const EVP_PKEY *key, struct mse_secret **ret_der, struct mse_error_info *err);

/* MSE_ERR_UNSUPPORTED for a key that is not on P-256. */
int mse_tls_key_point(const EVP_PKEY *key, uint8_t point[static MSE_P256_POINT_SIZE], struct mse_error_info *err);

/* The last OpenSSL error of this thread as text in *err, after "what: "; the queue is emptied. */
int mse_fail_openssl(struct mse_error_info *err, int code, const char *what);
