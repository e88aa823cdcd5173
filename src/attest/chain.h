/* Certificates and CRLs: read by OpenSSL, each once, and checked against Intel's "PCK Certificate and Certificate
 * Revocation List Profile Specification" and RFC 5280. A root is trusted by its public key, not by its certificate, of
 * which Intel has published two editions. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/view.h"
#include "crypto/tls_key.h"
#include "mse/attest.h"

/* A chain is leaf, CA, root at the longest; a verification meets no more different certificates than the pool holds. */
#define MSE_CHAIN_MAX 3
#define MSE_CERT_POOL_MAX 8
#define MSE_CERT_MAX_SIZE ((size_t)8 * 1024)

enum mse_cert_role { MSE_CERT_ROOT, MSE_CERT_PCK_CA, MSE_CERT_PCK, MSE_CERT_TCB_SIGNING };

/* Every certificate met in one verification, by its bytes: the same root comes in every chain and is parsed once. */
struct mse_cert_pool {
	struct {
		uint8_t *der;
		size_t size;
		X509 *cert;
		const X509 *verified_under; /* the issuer whose signature has been verified, or NULL */
	} entry[MSE_CERT_POOL_MAX];
	size_t count;
};

void mse_cert_pool_clear(struct mse_cert_pool *pool);

/* Certificates in order from the leaf to the root; they belong to the pool. */
struct mse_chain {
	struct mse_cert_pool *pool;
	X509 *cert[MSE_CHAIN_MAX];
	size_t count;
	uint8_t root_fingerprint[32];
	enum mse_root_kind root_kind;
	bool named_simulation; /* the root says of itself that it is a simulation's; nothing is trusted for it */
};

/* Puts PEM certificates, in any order, into a chain that ends at a self-issued root. Nothing is verified but that the names
 * of issuers and subjects fit. */
int mse_chain_read(struct mse_cert_pool *pool, struct mse_view pem, struct mse_chain *ret_chain, struct mse_error_info *err);

/* The root is one that counts (simulation_root: a fingerprint, or NULL), there are exactly role_count certificates, each has
 * the form its role demands and is signed by the next. Sets root_kind. Dates are checked apart. MSE_ERR_VERIFY with the reason. */
int mse_chain_verify(struct mse_chain *chain, const enum mse_cert_role roles[], size_t role_count, const uint8_t *simulation_root,
	struct mse_error_info *err);
int mse_chain_check_dates(const struct mse_chain *chain, int64_t time, struct mse_error_info *err);

/* A CRL in DER or PEM, whole and without anything we would have to understand and do not. */
int mse_crl_read(struct mse_view bytes, const char *what, X509_CRL **ret_crl, struct mse_error_info *err);
/* The CRL is this issuer's. */
int mse_crl_verify(X509_CRL *crl, X509 *issuer, const char *what, struct mse_error_info *err);
int mse_crl_check_dates(const X509_CRL *crl, int64_t time, const char *what, struct mse_error_info *err);
/* MSE_ERR_VERIFY when the CRL lists the certificate. */
int mse_crl_check_cert(X509_CRL *crl, X509 *cert, const char *what, struct mse_error_info *err);

/* The common name of a certificate's subject, or "(no name)". */
#define MSE_CERT_NAME_SIZE 128
void mse_cert_name(const X509 *cert, char to[static MSE_CERT_NAME_SIZE]);
/* SHA-256 of the DER of the certificate's SubjectPublicKeyInfo. */
int mse_cert_fingerprint(const X509 *cert, uint8_t ret_fingerprint[static 32], struct mse_error_info *err);
/* The value of the one extension with this OID. */
int mse_cert_extension(const X509 *cert, const char *oid, struct mse_view *ret_value, struct mse_error_info *err);

/* ECDSA with SHA-256 on P-256 in the raw form of quotes and collateral: r, s as 32-byte big-endian numbers. */
int mse_ecdsa_verify(EVP_PKEY *key, struct mse_view message, const uint8_t signature[static 64], const char *what, struct mse_error_info *err);
/* A P-256 public key from x, y; an error when they are not on the curve. */
int mse_ecdsa_key(const uint8_t xy[static 64], EVP_PKEY **ret_key, struct mse_error_info *err);

__attribute__((unused)) static inline void mse_crl_freep(X509_CRL **crl)
{
	X509_CRL_free(*crl);
}
