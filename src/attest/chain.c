#include "attest/chain.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "attest/pem.h"
#include "attest/simulation.h"
#include "base/text.h"

/* SHA-256 of the SubjectPublicKeyInfo of "Intel SGX Root CA", the same in its editions of 2018 until 2033 and until 2049;
 * https://certificates.trustedservices.intel.com/IntelSGXRootCA.der */
static const uint8_t intel_sgx_root[32] = {
	0xa0, 0xaf, 0x03, 0x12, 0x89, 0xf5, 0xd5, 0xd4, 0x13, 0x2f, 0x91, 0x86, 0x06, 0x8a, 0x7f, 0xc1,
	0x36, 0x28, 0x63, 0x3b, 0xa2, 0x35, 0x77, 0x74, 0x72, 0xe2, 0x9b, 0x6b, 0x6c, 0x67, 0xa4, 0x9e,
};

/* A root signs certificates of several roles: the name tells which one a certificate was issued for. */
static const char *const role_names[][4][2] = {
	[MSE_ROOT_INTEL_SGX] = {
		[MSE_CERT_ROOT] = { "Intel SGX Root CA" },
		[MSE_CERT_PCK_CA] = { "Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA" },
		[MSE_CERT_PCK] = { "Intel SGX PCK Certificate" },
		[MSE_CERT_TCB_SIGNING] = { "Intel SGX TCB Signing" },
	},
	[MSE_ROOT_SIMULATION] = {
		[MSE_CERT_ROOT] = { MSE_SIM_ROOT_NAME },
		[MSE_CERT_PCK_CA] = { MSE_SIM_PCK_CA_NAME },
		[MSE_CERT_PCK] = { MSE_SIM_PCK_NAME },
		[MSE_CERT_TCB_SIGNING] = { MSE_SIM_TCB_SIGNING_NAME },
	},
};

void mse_cert_pool_clear(struct mse_cert_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++) {
		free(pool->entry[i].der);
		X509_free(pool->entry[i].cert);
	}
	pool->count = 0;
}

void mse_cert_name(const X509 *cert, char to[static MSE_CERT_NAME_SIZE])
{
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, to, MSE_CERT_NAME_SIZE) <= 0)
		snprintf(to, MSE_CERT_NAME_SIZE, "(no name)");
}

int mse_cert_fingerprint(const X509 *cert, uint8_t ret_fingerprint[static 32], struct mse_error_info *err)
{
	unsigned char *der = NULL;
	int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (size <= 0)
		return mse_fail(err, MSE_ERR_INPUT, "cannot read a certificate's public key");
	SHA256(der, (size_t)size, ret_fingerprint);
	OPENSSL_free(der);
	return 0;
}

int mse_cert_extension(const X509 *cert, const char *oid, struct mse_view *ret_value, struct mse_error_info *err)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	const ASN1_OCTET_STRING *value;
	int at, second;

	if (object == NULL)
		return mse_fail_nomem(err);
	at = X509_get_ext_by_OBJ(cert, object, -1);
	second = at < 0 ? -1 : X509_get_ext_by_OBJ(cert, object, at);
	ASN1_OBJECT_free(object);
	if (at < 0 || second >= 0)
		return mse_fail(err, MSE_ERR_INPUT, "the certificate has %s extension %s", at < 0 ? "no" : "more than one", oid);
	value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
	*ret_value = mse_view_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	return 0;
}

/* What was parsed must be all of the bytes, and in their one DER form: then no two different inputs mean the same. */
static bool is_der_of_cert(const X509 *cert, const uint8_t *bytes, size_t bytes_size)
{
	unsigned char *der = NULL;
	int size = i2d_X509(cert, &der);
	bool same = size > 0 && (size_t)size == bytes_size && memcmp(der, bytes, bytes_size) == 0;

	OPENSSL_free(der);
	return same;
}

static bool is_der_of_crl(const X509_CRL *crl, const uint8_t *bytes, size_t bytes_size)
{
	unsigned char *der = NULL;
	int size = i2d_X509_CRL(crl, &der);
	bool same = size > 0 && (size_t)size == bytes_size && memcmp(der, bytes, bytes_size) == 0;

	OPENSSL_free(der);
	return same;
}

/* Takes over der. */
static int pool_add(struct mse_cert_pool *pool, uint8_t *der, size_t size, X509 **ret_cert, struct mse_error_info *err)
{
	mse_autofree uint8_t *owned = der;
	const unsigned char *at = der;
	X509 *cert;

	for (size_t i = 0; i < pool->count; i++)
		if (pool->entry[i].size == size && memcmp(pool->entry[i].der, der, size) == 0) {
			*ret_cert = pool->entry[i].cert;
			return 0;
		}
	if (pool->count == MSE_CERT_POOL_MAX)
		return mse_fail(err, MSE_ERR_LIMIT, "more than %d different certificates are there", MSE_CERT_POOL_MAX);
	cert = d2i_X509(NULL, &at, (long)size);
	if (cert == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "a certificate is not valid DER");
	if (at != der + size || !is_der_of_cert(cert, der, size)) {
		X509_free(cert);
		return mse_fail(err, MSE_ERR_INPUT, "a certificate is not in DER form, or has bytes behind it");
	}
	pool->entry[pool->count].der = mse_steal(owned);
	pool->entry[pool->count].size = size;
	pool->entry[pool->count].cert = cert;
	pool->entry[pool->count].verified_under = NULL;
	pool->count++;
	*ret_cert = cert;
	return 0;
}

static bool is_self_issued(X509 *cert)
{
	return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

/* The certificate among certs[] whose issuer (other than itself) is this one. */
static X509 *issued_by(X509 *issuer, X509 *const certs[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (certs[i] != issuer && !is_self_issued(certs[i]) &&
		    X509_NAME_cmp(X509_get_issuer_name(certs[i]), X509_get_subject_name(issuer)) == 0)
			return certs[i];
	return NULL;
}

static int order_chain(X509 *const certs[], size_t count, struct mse_chain *chain, struct mse_error_info *err)
{
	char name[MSE_CERT_NAME_SIZE];
	X509 *next = NULL;

	for (size_t i = 0; i < count; i++)
		if (is_self_issued(certs[i])) {
			if (next != NULL)
				return mse_fail(err, MSE_ERR_VERIFY, "the chain has more than one root");
			next = certs[i];
		}
	if (next == NULL)
		return mse_fail(err, MSE_ERR_VERIFY, "the chain has no root certificate");
	chain->count = count;
	for (size_t i = count; i-- > 0;) {
		chain->cert[i] = next;
		if (i == 0)
			break;
		mse_cert_name(next, name);
		next = issued_by(next, certs, count);
		if (next == NULL)
			return mse_fail(err, MSE_ERR_VERIFY, "no certificate in the chain was issued by '%s'", name);
	}
	return 0;
}

int mse_chain_read(struct mse_cert_pool *pool, struct mse_view pem, struct mse_chain *ret_chain, struct mse_error_info *err)
{
	X509 *certs[MSE_CHAIN_MAX] = { NULL };
	struct mse_chain chain = { .pool = pool };
	size_t found = 0;
	char name[MSE_CERT_NAME_SIZE];
	int result;

	if (pem.size == 0)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "no certificates were given");
	if (pem.size > MSE_COLLATERAL_CHAIN_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the certificates have %zu bytes, at most %zu are allowed", pem.size, MSE_COLLATERAL_CHAIN_MAX_SIZE);
	for (;;) {
		uint8_t *der;
		size_t size;
		X509 *cert;

		result = mse_pem_next(&pem, "CERTIFICATE", MSE_CERT_MAX_SIZE, &der, &size, err);
		if (result == MSE_ERR_NOT_FOUND)
			break;
		if (result == 0)
			result = pool_add(pool, der, size, &cert, err);
		if (result < 0)
			return mse_context(err, "certificate %zu", found + 1);
		for (size_t i = 0; i < found; i++)
			if (certs[i] == cert)
				return mse_fail(err, MSE_ERR_INPUT, "certificate %zu is there twice", found + 1);
		if (found == MSE_CHAIN_MAX)
			return mse_fail(err, MSE_ERR_INPUT, "the chain has more than %d certificates", MSE_CHAIN_MAX);
		certs[found++] = cert;
	}
	result = order_chain(certs, found, &chain, err);
	if (result == 0)
		result = mse_cert_fingerprint(chain.cert[found - 1], chain.root_fingerprint, err);
	if (result < 0)
		return result;
	mse_cert_name(chain.cert[found - 1], name);
	chain.named_simulation = strcmp(name, MSE_SIM_ROOT_NAME) == 0;
	*ret_chain = chain;
	return 0;
}

static int check_role(X509 *cert, enum mse_cert_role role, enum mse_root_kind kind, struct mse_error_info *err)
{
	const bool is_ca = role == MSE_CERT_ROOT || role == MSE_CERT_PCK_CA;
	const uint32_t usage = is_ca ? KU_KEY_CERT_SIGN | KU_CRL_SIGN : KU_DIGITAL_SIGNATURE;
	const char *const *names = role_names[kind][role];
	char name[MSE_CERT_NAME_SIZE], group[32];
	uint32_t flags;
	EVP_PKEY *key;

	mse_cert_name(cert, name);
	if (strcmp(name, names[0]) != 0 && (names[1] == NULL || strcmp(name, names[1]) != 0))
		return mse_fail(err, MSE_ERR_VERIFY, "a certificate is named '%s' where '%s' belongs", name, names[0]);
	flags = X509_get_extension_flags(cert);
	if (X509_get_version(cert) != X509_VERSION_3 || (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' has extensions that are invalid, or critical and unknown", name);
	if ((flags & EXFLAG_BCONS) == 0 || ((flags & EXFLAG_CA) != 0) != is_ca)
		return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' %s", name, is_ca ? "is not a CA's" : "is a CA's, and must not be");
	if ((flags & EXFLAG_KUSAGE) == 0 || (X509_get_key_usage(cert) & usage) != usage)
		return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' lacks the key usage for its role", name);
	if (X509_get_signature_nid(cert) != NID_ecdsa_with_SHA256)
		return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' is not signed with ECDSA and SHA-256", name);
	key = X509_get0_pubkey(cert);
	if (key == NULL || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 || strcmp(group, SN_X9_62_prime256v1) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' has no P-256 key", name);
	return 0;
}

/* The same root and the same signer come in several chains: one verification of each signature is enough. */
static bool signature_verifies(struct mse_cert_pool *pool, X509 *cert, X509 *issuer)
{
	size_t i = 0;

	while (i < pool->count && pool->entry[i].cert != cert)
		i++;
	if (i < pool->count && pool->entry[i].verified_under == issuer)
		return true;
	if (X509_verify(cert, X509_get0_pubkey(issuer)) != 1)
		return false;
	if (i < pool->count)
		pool->entry[i].verified_under = issuer;
	return true;
}

static int check_signature(struct mse_cert_pool *pool, X509 *cert, X509 *issuer, size_t cas_below, struct mse_error_info *err)
{
	char name[MSE_CERT_NAME_SIZE], issuer_name[MSE_CERT_NAME_SIZE];
	int reason = X509_check_issued(issuer, cert);
	long path_length = X509_get_pathlen(issuer);

	mse_cert_name(cert, name);
	mse_cert_name(issuer, issuer_name);
	if (reason != X509_V_OK)
		return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' was not issued by '%s': %s", name, issuer_name, X509_verify_cert_error_string(reason));
	if (path_length >= 0 && (unsigned long)path_length < cas_below)
		return mse_fail(err, MSE_ERR_VERIFY, "the chain is longer than '%s' allows", issuer_name);
	if (!signature_verifies(pool, cert, issuer))
		return mse_fail(err, MSE_ERR_VERIFY, "the signature of certificate '%s' is not that of '%s'", name, issuer_name);
	return 0;
}

/* Decides by the key alone which root this is; the name only makes the message more useful. */
static int find_root(struct mse_chain *chain, const uint8_t *simulation_root, struct mse_error_info *err)
{
	char fingerprint[65], name[MSE_CERT_NAME_SIZE];

	if (memcmp(chain->root_fingerprint, intel_sgx_root, sizeof intel_sgx_root) == 0) {
		chain->root_kind = MSE_ROOT_INTEL_SGX;
		return 0;
	}
	if (simulation_root != NULL && memcmp(chain->root_fingerprint, simulation_root, sizeof chain->root_fingerprint) == 0) {
		chain->root_kind = MSE_ROOT_SIMULATION;
		return 0;
	}
	mse_hex_encode(fingerprint, chain->root_fingerprint, sizeof chain->root_fingerprint);
	mse_cert_name(chain->cert[chain->count - 1], name);
	if (!chain->named_simulation)
		return mse_fail(err, MSE_ERR_VERIFY, "the chain ends at an unknown root, '%s', with public key SHA-256 %s: it is not Intel's", name, fingerprint);
	if (simulation_root != NULL)
		return mse_fail(err, MSE_ERR_VERIFY, "the chain ends at another simulation root than the pinned one: public key SHA-256 %s", fingerprint);
	return mse_fail(err, MSE_ERR_VERIFY, "the chain ends at a simulation root, public key SHA-256 %s: this is not hardware, and whoever runs that machine can "
		"read and forge everything; to accept it nevertheless, give --allow-simulation and pin this root with --simulation-root", fingerprint);
}

int mse_chain_verify(struct mse_chain *chain, const enum mse_cert_role roles[], size_t role_count, const uint8_t *simulation_root,
	struct mse_error_info *err)
{
	enum mse_root_kind kind;
	int result = find_root(chain, simulation_root, err);

	if (result < 0)
		return result;
	kind = chain->root_kind;
	chain->root_kind = MSE_ROOT_NONE;
	if (chain->count != role_count)
		return mse_fail(err, MSE_ERR_VERIFY, "the chain has %zu certificates, expected %zu", chain->count, role_count);
	for (size_t i = chain->count; i-- > 0;) {
		bool is_root = i == chain->count - 1;
		/* CAs between this certificate's issuer and the leaf, which is what a path length limits (RFC 5280 section 4.2.1.9). */
		size_t cas_below = is_root ? 0 : i;

		result = check_role(chain->cert[i], roles[i], kind, err);
		if (result == 0)
			result = check_signature(chain->pool, chain->cert[i], chain->cert[is_root ? i : i + 1], cas_below, err);
		if (result < 0)
			return result;
	}
	chain->root_kind = kind;
	return 0;
}

static int seconds_of(const ASN1_TIME *time, int64_t *ret_seconds, struct mse_error_info *err)
{
	struct tm parts;

	if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
		return mse_fail(err, MSE_ERR_INPUT, "a date is missing or malformed");
	*ret_seconds = timegm(&parts);
	return 0;
}

static int check_window(const ASN1_TIME *from, const ASN1_TIME *until, int64_t time, const char *what, const char *name, struct mse_error_info *err)
{
	char text[MSE_TIME_TEXT_SIZE];
	int64_t begin, end;
	int result = seconds_of(from, &begin, err);

	if (result == 0)
		result = seconds_of(until, &end, err);
	if (result < 0)
		return mse_context(err, "%s%s", what, name);
	if (time < begin) {
		mse_time_format(text, begin);
		return mse_fail(err, MSE_ERR_VERIFY, "%s%s is valid only from %s on", what, name, text);
	}
	if (time > end) {
		mse_time_format(text, end);
		return mse_fail(err, MSE_ERR_VERIFY, "%s%s expired at %s", what, name, text);
	}
	return 0;
}

int mse_chain_check_dates(const struct mse_chain *chain, int64_t time, struct mse_error_info *err)
{
	char name[MSE_CERT_NAME_SIZE];
	int result = 0;

	for (size_t i = 0; result == 0 && i < chain->count; i++) {
		mse_cert_name(chain->cert[i], name);
		result = check_window(X509_get0_notBefore(chain->cert[i]), X509_get0_notAfter(chain->cert[i]), time, "certificate ", name, err);
	}
	return result;
}

static bool has_critical(const STACK_OF(X509_EXTENSION) *extensions)
{
	for (int i = 0; i < sk_X509_EXTENSION_num(extensions); i++)
		if (X509_EXTENSION_get_critical(sk_X509_EXTENSION_value(extensions, i)) != 0)
			return true;
	return false;
}

int mse_crl_read(struct mse_view bytes, const char *what, X509_CRL **ret_crl, struct mse_error_info *err)
{
	static const char pem_start[] = "-----BEGIN";
	mse_cleanup(mse_crl_freep) X509_CRL *crl = NULL;
	mse_autofree uint8_t *der = NULL;
	const unsigned char *at;
	STACK_OF(X509_REVOKED) *revoked;

	if (bytes.size == 0)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "%s was not given", what);
	if (bytes.size > MSE_COLLATERAL_CRL_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "%s has %zu bytes, at most %zu are allowed", what, bytes.size, MSE_COLLATERAL_CRL_MAX_SIZE);
	if (bytes.size >= sizeof pem_start && memcmp(bytes.data, pem_start, sizeof pem_start - 1) == 0) {
		uint8_t *second;
		size_t size, second_size;
		int result = mse_pem_next(&bytes, "X509 CRL", MSE_COLLATERAL_CRL_MAX_SIZE, &der, &size, err);

		if (result < 0)
			return mse_context(err, "%s", what);
		result = mse_pem_next(&bytes, "X509 CRL", MSE_COLLATERAL_CRL_MAX_SIZE, &second, &second_size, err);
		if (result != MSE_ERR_NOT_FOUND) {
			if (result == 0)
				free(second);
			return mse_fail(err, MSE_ERR_INPUT, "%s has something behind it", what);
		}
		bytes = mse_view_of(der, size);
	}
	at = bytes.data;
	crl = d2i_X509_CRL(NULL, &at, (long)bytes.size);
	if (crl == NULL || at != bytes.data + bytes.size || !is_der_of_crl(crl, bytes.data, bytes.size))
		return mse_fail(err, MSE_ERR_INPUT, "%s is not a certificate revocation list in DER form", what);
	/* Delta, indirect and partitioned lists say what they are in critical extensions. */
	if (has_critical(X509_CRL_get0_extensions(crl)))
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "%s has a critical extension that is not supported", what);
	revoked = X509_CRL_get_REVOKED(crl);
	for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++)
		if (has_critical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(revoked, i))))
			return mse_fail(err, MSE_ERR_UNSUPPORTED, "%s has an entry with a critical extension that is not supported", what);
	*ret_crl = mse_steal(crl);
	return 0;
}

int mse_crl_verify(X509_CRL *crl, X509 *issuer, const char *what, struct mse_error_info *err)
{
	char name[MSE_CERT_NAME_SIZE];

	mse_cert_name(issuer, name);
	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "%s was not issued by '%s'", what, name);
	if (X509_CRL_get_signature_nid(crl) != NID_ecdsa_with_SHA256 || X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1)
		return mse_fail(err, MSE_ERR_VERIFY, "the signature of %s is not that of '%s'", what, name);
	return 0;
}

int mse_crl_check_dates(const X509_CRL *crl, int64_t time, const char *what, struct mse_error_info *err)
{
	return check_window(X509_CRL_get0_lastUpdate(crl), X509_CRL_get0_nextUpdate(crl), time, what, "", err);
}

int mse_crl_check_cert(X509_CRL *crl, X509 *cert, const char *what, struct mse_error_info *err)
{
	char name[MSE_CERT_NAME_SIZE];
	X509_REVOKED *entry;

	if (X509_CRL_get0_by_serial(crl, &entry, X509_get_serialNumber(cert)) == 0)
		return 0;
	mse_cert_name(cert, name);
	return mse_fail(err, MSE_ERR_VERIFY, "certificate '%s' is revoked by %s", name, what);
}

int mse_ecdsa_key(const uint8_t xy[static 64], EVP_PKEY **ret_key, struct mse_error_info *err)
{
	uint8_t point[65] = { 0x04 };
	OSSL_PARAM params[3];
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	bool is_key;

	memcpy(&point[1], xy, 64);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)SN_X9_62_prime256v1, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
	params[2] = OSSL_PARAM_construct_end();
	*ret_key = NULL;
	is_key = context != NULL && EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, ret_key, EVP_PKEY_PUBLIC_KEY, params) == 1;
	EVP_PKEY_CTX_free(context);
	return is_key ? 0 : mse_fail(err, MSE_ERR_VERIFY, "the key is not a point on P-256");
}

int mse_ecdsa_verify(EVP_PKEY *key, struct mse_view message, const uint8_t signature[static 64], const char *what, struct mse_error_info *err)
{
	ECDSA_SIG *parts = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, 32, NULL), *s = BN_bin2bn(signature + 32, 32, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	int size = 0, verified = 0;

	if (parts != NULL && r != NULL && s != NULL && context != NULL && ECDSA_SIG_set0(parts, r, s) == 1) {
		r = s = NULL;
		size = i2d_ECDSA_SIG(parts, &der);
	}
	if (size > 0 && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1)
		verified = EVP_DigestVerify(context, der, (size_t)size, message.data, message.size);
	OPENSSL_free(der);
	BN_free(r);
	BN_free(s);
	EVP_MD_CTX_free(context);
	ECDSA_SIG_free(parts);
	return verified == 1 ? 0 : mse_fail(err, MSE_ERR_CRYPTO, "the signature of %s does not verify", what);
}
