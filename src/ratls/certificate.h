/* The RA-TLS certificate: self-signed, with a raw quote in an extension whose report data binds the certificate's key. */
#pragma once

#include <openssl/x509.h>

#include "ratls/session.h"

/* Extension OIDs: the raw quote, not wrapped in an OCTET STRING of its own. */
#define MSE_OID_SGX_QUOTE "1.2.840.113741.1337.6"
/* The Ed25519 identity key, 32 raw bytes: of the Internet's experimental arc (RFC 1155 section 3.1.3), since arcs of the UUID tree
 * have more bits than several certificate libraries read. */
#define MSE_OID_IDENTITY_KEY "1.3.6.1.3.26.11.1"

#define MSE_CERTIFICATE_MAX_DAYS 397

__attribute__((unused)) static inline void mse_x509_freep(X509 **certificate)
{
	X509_free(*certificate);
}

struct mse_certificate_params {
	EVP_PKEY *key; /* P-256 */
	const uint8_t *quote;
	size_t quote_size;
	const uint8_t *identity_key; /* 32 bytes */
	char *const *names;          /* DNS names; 127.0.0.1 is added as an IP address */
	size_t name_count;
	int64_t not_before;
	int64_t not_after; /* cut to MSE_CERTIFICATE_MAX_DAYS after not_before */
};

/* A leaf (CA:FALSE) for TLS servers. The caller frees with X509_free(). */
int mse_certificate_make(const struct mse_certificate_params *params, X509 **ret_certificate, struct mse_error_info *err);

/* What a certificate says; nothing is believed yet but its form: X.509 version 3, P-256 key, CA:FALSE, one quote
 * extension, one identity key extension, and a self-signature that verifies. The quote points into the certificate. */
struct mse_certificate_content {
	struct mse_view quote;
	uint8_t tls_point[MSE_P256_POINT_SIZE];
	uint8_t identity_key[MSE_SIGN_KEY_SIZE];
};
int mse_certificate_read(X509 *certificate, struct mse_certificate_content *ret_content, struct mse_error_info *err);

/* MSE_ERR_VERIFY when `now` is outside the certificate's validity, or it does not name the DNS name or IPv4 address. */
int mse_certificate_check_time(X509 *certificate, int64_t now, struct mse_error_info *err);
int mse_certificate_check_name(X509 *certificate, const char *host, struct mse_error_info *err);

int mse_certificate_sha256(X509 *certificate, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err);
/* PEM text, newly allocated. */
int mse_certificate_pem(X509 *certificate, char **ret_pem, struct mse_error_info *err);
int mse_certificate_from_der(const uint8_t *der, size_t size, X509 **ret_certificate, struct mse_error_info *err);
int mse_certificate_to_der(X509 *certificate, uint8_t **ret_der, size_t *ret_size, struct mse_error_info *err);
