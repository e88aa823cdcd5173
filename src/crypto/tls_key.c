#include "crypto/tls_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

int mse_fail_openssl(struct mse_error_info *err, int code, const char *what)
{
	unsigned long error = ERR_peek_last_error();
	char text[200] = "no further reason";

	if (error != 0)
		ERR_error_string_n(error, text, sizeof text);
	ERR_clear_error();
	return mse_fail(err, code, "%s: %s", what, text);
}

int mse_tls_key_generate(EVP_PKEY **ret_key, struct mse_error_info *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (key == NULL)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot make a P-256 key");
	*ret_key = key;
	return 0;
}

int mse_tls_key_from_der(const uint8_t *der, size_t size, EVP_PKEY **ret_key, struct mse_error_info *err)
{
	const uint8_t *p = der;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)size);

	if (key == NULL || p != der + size) {
		EVP_PKEY_free(key);
		return mse_fail_openssl(err, MSE_ERR_INPUT, "not a private key");
	}
	*ret_key = key;
	return 0;
}

int mse_tls_key_to_der(const EVP_PKEY *key, struct mse_secret **ret_der, struct mse_error_info *err)
{
	uint8_t *der = NULL;
	int size = i2d_PrivateKey(key, &der);
	int result;

	if (size < 0)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot encode a private key");
	result = mse_secret_copy(der, (size_t)size, ret_der, err);
	OPENSSL_clear_free(der, (size_t)size);
	return result;
}

int mse_tls_key_point(const EVP_PKEY *key, uint8_t point[static MSE_P256_POINT_SIZE], struct mse_error_info *err)
{
	char group[32] = "";
	size_t size = 0;
	X509_PUBKEY *spki = NULL;
	const uint8_t *bits;
	int bits_size = 0;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1 ||
	    strcmp(group, "prime256v1") != 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the TLS key is not on the curve P-256");
	if (X509_PUBKEY_set(&spki, (EVP_PKEY *)key) != 1 || X509_PUBKEY_get0_param(NULL, &bits, &bits_size, NULL, spki) != 1 ||
	    bits_size != MSE_P256_POINT_SIZE || bits[0] != 4) {
		X509_PUBKEY_free(spki);
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the TLS key is not an uncompressed P-256 point");
	}
	memcpy(point, bits, MSE_P256_POINT_SIZE);
	X509_PUBKEY_free(spki);
	return 0;
}
