#include "ratls/certificate.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/text.h"
#include "crypto/hash.h"

#define SUBJECT "mse enclave (verify by attestation)"

static void general_names_freep(GENERAL_NAMES **names)
{
	GENERAL_NAMES_free(*names);
}

static bool add_v3(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool good;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

static bool add_raw(X509 *certificate, const char *oid, const uint8_t *data, size_t size)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	bool good = object != NULL && value != NULL && ASN1_OCTET_STRING_set(value, data, (int)size) == 1 &&
		    (extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, value)) != NULL && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(object);
	return good;
}

static bool push_name(GENERAL_NAMES *names, const char *dns)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	if (name == NULL || text == NULL || ASN1_STRING_set(text, dns, -1) != 1 || sk_GENERAL_NAME_push(names, name) == 0) {
		GENERAL_NAME_free(name);
		ASN1_IA5STRING_free(text);
		return false;
	}
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	return true;
}

static bool push_loopback(GENERAL_NAMES *names)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OCTET_STRING *address = ASN1_OCTET_STRING_new();

	if (name == NULL || address == NULL || ASN1_OCTET_STRING_set(address, loopback, 4) != 1 || sk_GENERAL_NAME_push(names, name) == 0) {
		GENERAL_NAME_free(name);
		ASN1_OCTET_STRING_free(address);
		return false;
	}
	GENERAL_NAME_set0_value(name, GEN_IPADD, address);
	return true;
}

static bool add_names(X509 *certificate, const struct mse_certificate_params *params)
{
	mse_cleanup(general_names_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool good = names != NULL;

	for (size_t i = 0; good && i < params->name_count; i++)
		good = push_name(names, params->names[i]);
	return good && push_loopback(names) && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
}

int mse_certificate_make(const struct mse_certificate_params *params, X509 **ret_certificate, struct mse_error_info *err)
{
	mse_cleanup(mse_x509_freep) X509 *certificate = X509_new();
	int64_t longest = params->not_before + (int64_t)MSE_CERTIFICATE_MAX_DAYS * 86400;
	int64_t not_after = params->not_after < longest ? params->not_after : longest;
	X509_NAME *subject;
	uint8_t serial[16];
	BIGNUM *number = NULL;
	bool good;

	if (certificate == NULL || RAND_bytes(serial, sizeof serial) != 1)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot begin a certificate");
	serial[0] &= 0x7f;
	serial[0] |= 0x40;
	number = BN_bin2bn(serial, sizeof serial, NULL);
	subject = X509_get_subject_name(certificate);
	good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL && X509_set_version(certificate, 2) == 1 &&
	       ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)params->not_before) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after) != NULL &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)SUBJECT, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, params->key) == 1 &&
	       add_v3(certificate, NID_basic_constraints, "critical,CA:FALSE") && add_v3(certificate, NID_key_usage, "critical,digitalSignature") &&
	       add_v3(certificate, NID_ext_key_usage, "serverAuth") && add_v3(certificate, NID_subject_key_identifier, "hash") &&
	       add_names(certificate, params) && add_raw(certificate, MSE_OID_SGX_QUOTE, params->quote, params->quote_size) &&
	       add_raw(certificate, MSE_OID_IDENTITY_KEY, params->identity_key, MSE_SIGN_KEY_SIZE) &&
	       X509_sign(certificate, params->key, EVP_sha256()) > 0;
	BN_free(number);
	if (!good)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot make the RA-TLS certificate");
	*ret_certificate = mse_steal(certificate);
	return 0;
}

static int find_extension(X509 *certificate, const char *oid, struct mse_view *ret_value, struct mse_error_info *err)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	int index, again;
	const ASN1_OCTET_STRING *value;

	if (object == NULL)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot name an extension");
	index = X509_get_ext_by_OBJ(certificate, object, -1);
	again = index < 0 ? -1 : X509_get_ext_by_OBJ(certificate, object, index);
	ASN1_OBJECT_free(object);
	if (index < 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate has no extension %s", oid);
	if (again >= 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate has the extension %s twice", oid);
	value = X509_EXTENSION_get_data(X509_get_ext(certificate, index));
	*ret_value = mse_view_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	return 0;
}

int mse_certificate_read(X509 *certificate, struct mse_certificate_content *ret_content, struct mse_error_info *err)
{
	EVP_PKEY *key = X509_get0_pubkey(certificate);
	BASIC_CONSTRAINTS *constraints;
	struct mse_view identity;
	bool is_ca;
	int critical, result;

	if (X509_get_version(certificate) != 2)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate is not of X.509 version 3");
	if (key == NULL)
		return mse_fail_openssl(err, MSE_ERR_VERIFY, "the certificate's key cannot be read");
	if ((result = mse_tls_key_point(key, ret_content->tls_point, err)) < 0)
		return result;
	constraints = X509_get_ext_d2i(certificate, NID_basic_constraints, &critical, NULL);
	is_ca = constraints == NULL || constraints->ca != 0;
	BASIC_CONSTRAINTS_free(constraints);
	if (is_ca)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate does not say CA:FALSE");
	if (X509_verify(certificate, key) != 1)
		return mse_fail_openssl(err, MSE_ERR_VERIFY, "the certificate's self-signature does not verify");
	if ((result = find_extension(certificate, MSE_OID_SGX_QUOTE, &ret_content->quote, err)) < 0 ||
	    (result = find_extension(certificate, MSE_OID_IDENTITY_KEY, &identity, err)) < 0)
		return result;
	if (identity.size != MSE_SIGN_KEY_SIZE)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate's identity key has %zu bytes, expected %d", identity.size, MSE_SIGN_KEY_SIZE);
	memcpy(ret_content->identity_key, identity.data, MSE_SIGN_KEY_SIZE);
	return 0;
}

int mse_certificate_check_time(X509 *certificate, int64_t now, struct mse_error_info *err)
{
	time_t time = (time_t)now;
	int before = X509_cmp_time(X509_get0_notBefore(certificate), &time), after = X509_cmp_time(X509_get0_notAfter(certificate), &time);

	if (before == 0 || after == 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate's dates cannot be read");
	if (before > 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate is not valid yet");
	if (after < 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate has expired");
	return 0;
}

int mse_certificate_check_name(X509 *certificate, const char *host, struct mse_error_info *err)
{
	struct in_addr address;
	bool numeric = inet_pton(AF_INET, host, &address) == 1;

	if (numeric ? X509_check_ip_asc(certificate, host, 0) == 1 : X509_check_host(certificate, host, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1)
		return 0;
	return mse_fail(err, MSE_ERR_VERIFY, "the certificate is not for '%s'", host);
}

int mse_certificate_to_der(X509 *certificate, uint8_t **ret_der, size_t *ret_size, struct mse_error_info *err)
{
	uint8_t *der = NULL;
	int size = i2d_X509(certificate, &der);

	if (size < 0)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot encode a certificate");
	*ret_der = malloc((size_t)size);
	if (*ret_der == NULL) {
		OPENSSL_free(der);
		return mse_fail_nomem(err);
	}
	memcpy(*ret_der, der, (size_t)size);
	OPENSSL_free(der);
	*ret_size = (size_t)size;
	return 0;
}

int mse_certificate_from_der(const uint8_t *der, size_t size, X509 **ret_certificate, struct mse_error_info *err)
{
	const uint8_t *p = der;
	X509 *certificate = d2i_X509(NULL, &p, (long)size);

	if (certificate == NULL || p != der + size) {
		X509_free(certificate);
		return mse_fail_openssl(err, MSE_ERR_INPUT, "not a certificate");
	}
	*ret_certificate = certificate;
	return 0;
}

int mse_certificate_sha256(X509 *certificate, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot hash a certificate");
	return 0;
}

int mse_certificate_pem(X509 *certificate, char **ret_pem, struct mse_error_info *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long size;
	int result;

	if (bio == NULL || PEM_write_bio_X509(bio, certificate) != 1) {
		BIO_free(bio);
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot write a certificate");
	}
	size = BIO_get_mem_data(bio, &data);
	result = mse_format(ret_pem, err, "%.*s", (int)size, data);
	BIO_free(bio);
	return result;
}
