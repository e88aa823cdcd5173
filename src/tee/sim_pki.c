#include "tee/sim_pki.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#include "attest/chain.h"
#include "attest/pem.h"
#include "attest/simulation.h"
#include "attest/tcb.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "mse/attest.h"
#include "tee/sim_platform.h"

#define FILE_MAX_SIZE ((size_t)64 * 1024)
#define DAY (INT64_C(24) * 3600)
/* Clocks of other machines may be behind this one's. */
#define CERT_BACKDATE DAY
#define CERT_LIFETIME (20 * 365 * DAY)

const char *const mse_sim_file_names[MSE_SIM_FILE_COUNT] = {
	[MSE_SIM_FILE_SECRET] = "sealing.secret", [MSE_SIM_FILE_PLATFORM] = "platform.json",
	[MSE_SIM_FILE_ROOT_KEY] = "root.key", [MSE_SIM_FILE_ROOT_CERT] = "root.pem", [MSE_SIM_FILE_PCK_CA_KEY] = "pck_ca.key", [MSE_SIM_FILE_PCK_CA_CERT] = "pck_ca.pem",
	[MSE_SIM_FILE_PCK_KEY] = "pck.key", [MSE_SIM_FILE_PCK_CERT] = "pck.pem", [MSE_SIM_FILE_TCB_KEY] = "tcb.key", [MSE_SIM_FILE_TCB_CERT] = "tcb.pem",
	[MSE_SIM_FILE_TCB_INFO] = "tcb_info.json", [MSE_SIM_FILE_QE_IDENTITY] = "qe_identity.json", [MSE_SIM_FILE_ROOT_CRL] = "root_ca.crl", [MSE_SIM_FILE_PCK_CRL] = "pck.crl",
	/* Which drill the collateral belongs to and how long it lasts: written last, removed before it is made anew. */
	[MSE_SIM_FILE_STATE] = "collateral.state",
};

static const struct {
	const char *name;
	enum mse_sim_holder issuer;
	const char *basic_constraints;
	const char *key_usage;
} holders[] = {
	[MSE_SIM_HOLDER_ROOT] = { MSE_SIM_ROOT_NAME, MSE_SIM_HOLDER_ROOT, "critical,CA:TRUE,pathlen:1", "critical,keyCertSign,cRLSign" },
	[MSE_SIM_HOLDER_PCK_CA] = { MSE_SIM_PCK_CA_NAME, MSE_SIM_HOLDER_ROOT, "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign" },
	[MSE_SIM_HOLDER_PCK] = { MSE_SIM_PCK_NAME, MSE_SIM_HOLDER_PCK_CA, "critical,CA:FALSE", "critical,digitalSignature,nonRepudiation" },
	[MSE_SIM_HOLDER_TCB] = { MSE_SIM_TCB_SIGNING_NAME, MSE_SIM_HOLDER_ROOT, "critical,CA:FALSE", "critical,digitalSignature,nonRepudiation" },
};

static void pki_clear(struct mse_sim_pki *pki)
{
	for (int i = 0; i < MSE_SIM_HOLDER_COUNT; i++) {
		EVP_PKEY_free(pki->key[i]);
		X509_free(pki->cert[i]);
	}
}

static enum mse_sim_file key_file(enum mse_sim_holder holder)
{
	return (enum mse_sim_file)(MSE_SIM_FILE_ROOT_KEY + 2 * holder);
}

static enum mse_sim_file cert_file(enum mse_sim_holder holder)
{
	return (enum mse_sim_file)(MSE_SIM_FILE_ROOT_CERT + 2 * holder);
}

/* --- files ----------------------------------------------------------------------------------------------------- */

bool mse_sim_file_exists(const char *dir, enum mse_sim_file file)
{
	struct mse_error_info err;
	mse_autofree char *path = NULL;

	return mse_path_join(dir, mse_sim_file_names[file], &path, &err) == 0 && mse_path_exists(path);
}

int mse_sim_file_read(const char *dir, enum mse_sim_file file, uint8_t **ret_data, size_t *ret_size, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_path_join(dir, mse_sim_file_names[file], &path, err);

	return result < 0 ? result : mse_file_read(path, FILE_MAX_SIZE, ret_data, ret_size, err);
}

int mse_sim_file_write(const char *dir, enum mse_sim_file file, const void *data, size_t size, mode_t mode, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_path_join(dir, mse_sim_file_names[file], &path, err);

	return result < 0 ? result : mse_file_write(path, data, size, mode, err);
}

int mse_sim_broken(struct mse_error_info *err, const char *dir, enum mse_sim_file file, const char *why)
{
	return mse_fail(err, MSE_ERR_INPUT, "the simulation's file %s/%s %s: restore it from a backup%s", dir, mse_sim_file_names[file], why,
		file >= MSE_SIM_FILE_TCB_INFO ? ", or remove it: it is then made anew" :
					", or remove the whole folder to begin anew (every pin of this simulation and all sealed state is then void)");
}

/* A file that carries identity must not be made anew once later files have come to be. */
static int may_create(const char *dir, enum mse_sim_file file, struct mse_error_info *err)
{
	for (int later = file + 1; later < MSE_SIM_FILE_COUNT; later++)
		if (mse_sim_file_exists(dir, (enum mse_sim_file)later)) {
			mse_sim_broken(err, dir, file, "is missing");
			return err->code = MSE_ERR_NOT_FOUND;
		}
	return 0;
}

/* --- identity and keys ------------------------------------------------------------------------------------------ */

static int ensure_secret(const char *dir, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *secret = NULL;
	mse_autofree char *path = NULL;
	int result = mse_path_join(dir, mse_sim_file_names[MSE_SIM_FILE_SECRET], &path, err);

	if (result < 0)
		return result;
	if (mse_sim_file_exists(dir, MSE_SIM_FILE_SECRET)) {
		result = mse_file_read_secret(path, FILE_MAX_SIZE, &secret, err);
		if (result == 0 && mse_secret_size(secret) != MSE_SIM_SEALING_SECRET_SIZE)
			return mse_sim_broken(err, dir, MSE_SIM_FILE_SECRET, "does not have 32 bytes");
		return result;
	}
	if ((result = may_create(dir, MSE_SIM_FILE_SECRET, err)) < 0 || (result = mse_secret_random(MSE_SIM_SEALING_SECRET_SIZE, &secret, err)) < 0)
		return result;
	return mse_file_write(path, mse_secret_view(secret), mse_secret_size(secret), 0600, err);
}

static int ensure_platform(struct mse_sim_pki *pki, struct mse_error_info *err)
{
	static const char *const members[] = { "ppid", "piid", NULL };
	mse_autojson *json = NULL;
	mse_autofree char *path = NULL;
	int result = mse_path_join(pki->dir, mse_sim_file_names[MSE_SIM_FILE_PLATFORM], &path, err);

	if (result < 0)
		return result;
	if (mse_sim_file_exists(pki->dir, MSE_SIM_FILE_PLATFORM)) {
		if ((result = mse_json_read(path, FILE_MAX_SIZE, &json, err)) < 0 || (result = mse_json_only(json, members, path, err)) < 0 ||
		    (result = mse_json_hex(json, "ppid", path, pki->ppid, sizeof pki->ppid, err)) < 0)
			return result;
		return mse_json_hex(json, "piid", path, pki->piid, sizeof pki->piid, err);
	}
	if ((result = may_create(pki->dir, MSE_SIM_FILE_PLATFORM, err)) < 0)
		return result;
	if (RAND_bytes(pki->ppid, sizeof pki->ppid) != 1 || RAND_bytes(pki->piid, sizeof pki->piid) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "no random bytes to be had");
	json = json_object();
	if ((result = mse_json_set_hex(json, "ppid", pki->ppid, sizeof pki->ppid, err)) < 0 ||
	    (result = mse_json_set_hex(json, "piid", pki->piid, sizeof pki->piid, err)) < 0)
		return result;
	return mse_json_write(path, json, 0644, err);
}

static int no_passphrase(char *to, int size, int is_writing, void *user)
{
	(void)to, (void)size, (void)is_writing, (void)user;
	return -1;
}

static int read_key(const char *dir, enum mse_sim_holder holder, EVP_PKEY **ret_key, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *text = NULL;
	mse_autofree char *path = NULL;
	char group[32] = "";
	BIO *bio;
	int result = mse_path_join(dir, mse_sim_file_names[key_file(holder)], &path, err);

	if (result < 0 || (result = mse_file_read_secret(path, FILE_MAX_SIZE, &text, err)) < 0)
		return result;
	bio = BIO_new_mem_buf(mse_secret_view(text), (int)mse_secret_size(text));
	*ret_key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (*ret_key == NULL || EVP_PKEY_get_group_name(*ret_key, group, sizeof group, NULL) != 1 || strcmp(group, SN_X9_62_prime256v1) != 0)
		return mse_sim_broken(err, dir, key_file(holder), "is not a P-256 private key");
	return 0;
}

static int write_key(const char *dir, enum mse_sim_holder holder, EVP_PKEY *key, struct mse_error_info *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	long size = 0;
	int result;

	if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		size = BIO_get_mem_data(bio, &text);
	result = size > 0 ? mse_sim_file_write(dir, key_file(holder), text, (size_t)size, 0600, err) : mse_fail(err, MSE_ERR_INTERNAL, "cannot write a private key");
	BIO_free(bio);
	return result;
}

static int ensure_key(struct mse_sim_pki *pki, enum mse_sim_holder holder, struct mse_error_info *err)
{
	int result;

	if (mse_sim_file_exists(pki->dir, key_file(holder)))
		return read_key(pki->dir, holder, &pki->key[holder], err);
	result = may_create(pki->dir, key_file(holder), err);
	if (result < 0)
		return result;
	pki->key[holder] = EVP_EC_gen(SN_X9_62_prime256v1);
	if (pki->key[holder] == NULL)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot make a P-256 key");
	return write_key(pki->dir, holder, pki->key[holder], err);
}

/* --- certificates ----------------------------------------------------------------------------------------------- */

/* A DER element around content of at most 64 KiB. */
static int put_element(struct mse_buffer *to, uint8_t tag, const void *content, size_t size, struct mse_error_info *err)
{
	uint8_t head[4] = { tag, 0x82, (uint8_t)(size >> 8), (uint8_t)size };
	size_t head_size = 4;
	int result;

	if (size < 0x80) {
		head[1] = (uint8_t)size;
		head_size = 2;
	} else if (size < 0x100) {
		head[1] = 0x81;
		head[2] = (uint8_t)size;
		head_size = 3;
	}
	result = mse_buffer_append(to, head, head_size, err);
	return result < 0 ? result : mse_buffer_append(to, content, size, err);
}

/* SEQUENCE { OID 1.2.840.113741.1.13.1.<arc>[.<second>], element } */
static int put_field(struct mse_buffer *to, uint8_t arc, uint8_t second, uint8_t tag, const void *content, size_t size, struct mse_error_info *err)
{
	const uint8_t oid[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, arc, second };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *field = mse_buffer_new(1024);
	int result;

	if (field == NULL)
		return mse_fail_nomem(err);
	if ((result = put_element(field, 0x06, oid, second == 0 ? sizeof oid - 1 : sizeof oid, err)) < 0 ||
	    (result = put_element(field, tag, content, size, err)) < 0)
		return result;
	return put_element(to, 0x30, mse_buffer_data(field), mse_buffer_size(field), err);
}

/* The SGX extension as a platform CA of Intel's writes it (see attest/pck.h). */
static int sgx_extension(const struct mse_sim_pki *pki, struct mse_buffer *to, struct mse_error_info *err)
{
	static const uint8_t pceid[2] = { 0, 0 }, scalable = 1, svn = MSE_SIM_COMPONENT_SVN, pce_svn = MSE_SIM_PCE_SVN, no = 0;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *fields = mse_buffer_new(2048), *tcb = mse_buffer_new(1024), *configuration = mse_buffer_new(256);
	uint8_t cpu_svn[16];
	int result = 0;

	if (fields == NULL || tcb == NULL || configuration == NULL)
		return mse_fail_nomem(err);
	memset(cpu_svn, MSE_SIM_COMPONENT_SVN, sizeof cpu_svn);
	for (uint8_t i = 1; result == 0 && i <= 16; i++)
		result = put_field(tcb, 2, i, 0x02, &svn, 1, err);
	for (uint8_t i = 1; result == 0 && i <= 3; i++)
		result = put_field(configuration, 7, i, 0x01, &no, 1, err);
	if (result < 0 || (result = put_field(tcb, 2, 17, 0x02, &pce_svn, 1, err)) < 0 ||
	    (result = put_field(tcb, 2, 18, 0x04, cpu_svn, sizeof cpu_svn, err)) < 0 ||
	    (result = put_field(fields, 1, 0, 0x04, pki->ppid, sizeof pki->ppid, err)) < 0 ||
	    (result = put_field(fields, 2, 0, 0x30, mse_buffer_data(tcb), mse_buffer_size(tcb), err)) < 0 ||
	    (result = put_field(fields, 3, 0, 0x04, pceid, sizeof pceid, err)) < 0 ||
	    (result = put_field(fields, 4, 0, 0x04, MSE_SIM_FMSPC, 6, err)) < 0 || (result = put_field(fields, 5, 0, 0x0a, &scalable, 1, err)) < 0 ||
	    (result = put_field(fields, 6, 0, 0x04, pki->piid, sizeof pki->piid, err)) < 0 ||
	    (result = put_field(fields, 7, 0, 0x30, mse_buffer_data(configuration), mse_buffer_size(configuration), err)) < 0)
		return result;
	return put_element(to, 0x30, mse_buffer_data(fields), mse_buffer_size(fields), err);
}

static bool add_extension(X509 *cert, X509V3_CTX *context, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
	bool added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return added;
}

static bool add_sgx_extension(X509 *cert, const struct mse_buffer *value)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(MSE_SGX_EXTENSION_OID, 1);
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	bool added = oid != NULL && octets != NULL && ASN1_OCTET_STRING_set(octets, mse_buffer_data(value), (int)mse_buffer_size(value)) == 1 &&
		     (extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, octets)) != NULL && X509_add_ext(cert, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(octets);
	ASN1_OBJECT_free(oid);
	return added;
}

/* 159 random bits: positive and within the 20 octets of RFC 5280 section 4.1.2.2. */
static bool set_serial(X509 *cert)
{
	BIGNUM *number = BN_new();
	bool set = number != NULL && BN_rand(number, 159, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;

	BN_free(number);
	return set;
}

static bool set_time(ASN1_TIME *time, int64_t seconds)
{
	return time != NULL && ASN1_TIME_set(time, (time_t)seconds) != NULL;
}

static bool fill_cert(const struct mse_sim_pki *pki, enum mse_sim_holder holder, X509 *cert, const struct mse_buffer *sgx)
{
	enum mse_sim_holder issuer = holders[holder].issuer;
	X509 *issuer_cert = issuer == holder ? cert : pki->cert[issuer];
	X509_NAME *name = X509_get_subject_name(cert);
	X509V3_CTX context;

	if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) || X509_set_pubkey(cert, pki->key[holder]) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)holders[holder].name, -1, -1, 0) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"mse simulation", -1, -1, 0) != 1 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(issuer_cert)) != 1 || !set_time(X509_getm_notBefore(cert), pki->now - CERT_BACKDATE) ||
	    !set_time(X509_getm_notAfter(cert), pki->now + CERT_LIFETIME))
		return false;
	X509V3_set_ctx(&context, issuer_cert, cert, NULL, NULL, 0);
	return add_extension(cert, &context, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, &context, NID_authority_key_identifier, "keyid:always") &&
	       add_extension(cert, &context, NID_basic_constraints, holders[holder].basic_constraints) &&
	       add_extension(cert, &context, NID_key_usage, holders[holder].key_usage) && (holder != MSE_SIM_HOLDER_PCK || add_sgx_extension(cert, sgx)) &&
	       X509_sign(cert, pki->key[issuer], EVP_sha256()) > 0;
}

static int create_cert(struct mse_sim_pki *pki, enum mse_sim_holder holder, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sgx = mse_buffer_new(2048);
	X509 *cert = pki->cert[holder] = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long size = 0;
	int result = sgx == NULL ? mse_fail_nomem(err) : sgx_extension(pki, sgx, err);

	if (result == 0 && cert != NULL && bio != NULL && fill_cert(pki, holder, cert, sgx) && PEM_write_bio_X509(bio, cert) == 1)
		size = BIO_get_mem_data(bio, &text);
	if (result == 0)
		result = size > 0 ? mse_sim_file_write(pki->dir, cert_file(holder), text, (size_t)size, 0644, err) :
				    mse_fail(err, MSE_ERR_INTERNAL, "cannot make the certificate '%s'", holders[holder].name);
	BIO_free(bio);
	return result;
}

static int read_cert(const char *dir, enum mse_sim_holder holder, X509 **ret_cert, struct mse_error_info *err)
{
	mse_autofree uint8_t *text = NULL, *der = NULL;
	const unsigned char *at;
	struct mse_view rest;
	size_t size, der_size;
	char name[MSE_CERT_NAME_SIZE];
	int result = mse_sim_file_read(dir, cert_file(holder), &text, &size, err);

	if (result < 0)
		return result;
	rest = mse_view_of(text, size);
	if (mse_pem_next(&rest, "CERTIFICATE", MSE_CERT_MAX_SIZE, &der, &der_size, err) < 0)
		return mse_sim_broken(err, dir, cert_file(holder), "is not a PEM certificate");
	at = der;
	*ret_cert = d2i_X509(NULL, &at, (long)der_size);
	if (*ret_cert == NULL || at != der + der_size)
		return mse_sim_broken(err, dir, cert_file(holder), "is not a certificate");
	mse_cert_name(*ret_cert, name);
	return strcmp(name, holders[holder].name) == 0 ? 0 : mse_sim_broken(err, dir, cert_file(holder), "is another certificate");
}

static int ensure_cert(struct mse_sim_pki *pki, enum mse_sim_holder holder, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *expected = mse_buffer_new(2048);
	struct mse_view found;
	X509 *cert;
	int result;

	/* Made from key and platform.json, which are there: a new one says the same. */
	if (!mse_sim_file_exists(pki->dir, cert_file(holder)))
		return create_cert(pki, holder, err);
	result = read_cert(pki->dir, holder, &pki->cert[holder], err);
	if (result < 0)
		return result;
	cert = pki->cert[holder];
	if (X509_check_private_key(cert, pki->key[holder]) != 1)
		return mse_sim_broken(err, pki->dir, cert_file(holder), "does not belong to the private key beside it");
	if (X509_check_issued(pki->cert[holders[holder].issuer], cert) != X509_V_OK || X509_verify(cert, pki->key[holders[holder].issuer]) != 1)
		return mse_sim_broken(err, pki->dir, cert_file(holder), "was changed, or not issued by this simulation");
	if (holder != MSE_SIM_HOLDER_PCK)
		return 0;
	if (expected == NULL)
		return mse_fail_nomem(err);
	result = sgx_extension(pki, expected, err);
	if (result < 0)
		return result;
	if (mse_cert_extension(cert, MSE_SGX_EXTENSION_OID, &found, err) < 0 || found.size != mse_buffer_size(expected) ||
	    memcmp(found.data, mse_buffer_data(expected), found.size) != 0)
		return mse_sim_broken(err, pki->dir, MSE_SIM_FILE_PLATFORM, "is not that of the platform certificate pck.pem");
	return 0;
}

/* --- the public side ---------------------------------------------------------------------------------------------- */

static int check_status(const char **status, struct mse_error_info *err)
{
	unsigned findings;

	if (*status == NULL)
		*status = "UpToDate";
	if (strcmp(*status, "none") != 0 && !mse_tcb_status_parse(*status, &findings))
		return mse_fail(err, MSE_ERR_INPUT, "there is no TCB status '%.64s' to simulate; examples: UpToDate, SWHardeningNeeded, OutOfDate, Revoked, none",
			*status);
	return 0;
}

int mse_sim_pki_ensure(const char *dir, int64_t now, const struct mse_sim_drill *drill, struct mse_error_info *err)
{
	mse_cleanup(pki_clear) struct mse_sim_pki pki = { .dir = dir, .now = now };
	struct mse_sim_drill wanted = drill == NULL ? (struct mse_sim_drill){ 0 } : *drill;
	mse_autofree char *lock_path = NULL;
	mse_autoclose int lock = -1;
	int result;

	if ((result = check_status(&wanted.tcb_status, err)) < 0 || (result = check_status(&wanted.qe_status, err)) < 0 ||
	    (result = mse_dir_make(dir, 0700, err)) < 0 || (result = mse_path_join(dir, "lock", &lock_path, err)) < 0 ||
	    (result = mse_file_lock(lock_path, &lock, err)) < 0 || (result = ensure_secret(dir, err)) < 0 || (result = ensure_platform(&pki, err)) < 0)
		return result;
	for (int holder = MSE_SIM_HOLDER_ROOT; result == 0 && holder < MSE_SIM_HOLDER_COUNT; holder++) {
		result = ensure_key(&pki, (enum mse_sim_holder)holder, err);
		if (result == 0)
			result = ensure_cert(&pki, (enum mse_sim_holder)holder, err);
	}
	return result < 0 ? result : mse_sim_collateral_ensure(&pki, &wanted, err);
}

void mse_sim_platform_free(struct mse_sim_platform *platform)
{
	if (platform == NULL)
		return;
	EVP_PKEY_free(platform->pck_key);
	EVP_PKEY_free(platform->attestation_key);
	free(platform->chain);
	mse_secret_free(platform->sealing_secret);
	free(platform);
}

static int read_chain(const char *dir, const enum mse_sim_holder *chain, size_t count, uint8_t **ret_text, size_t *ret_size, struct mse_error_info *err)
{
	mse_autofree uint8_t *all = NULL;
	size_t all_size = 0;

	for (size_t i = 0; i < count; i++) {
		mse_autofree uint8_t *text = NULL;
		uint8_t *longer;
		size_t size;
		int result = mse_sim_file_read(dir, cert_file(chain[i]), &text, &size, err);

		if (result < 0)
			return result;
		longer = realloc(all, all_size + size + 1);
		if (longer == NULL)
			return mse_fail_nomem(err);
		all = longer;
		memcpy(all + all_size, text, size);
		all_size += size;
		all[all_size] = '\0';
	}
	*ret_text = mse_steal(all);
	*ret_size = all_size;
	return 0;
}

static void pool_clear(struct mse_cert_pool *pool)
{
	mse_cert_pool_clear(pool);
}

/* The chain is one, and its leaf is the key's: a quote made from them can be verified. */
static int check_platform(const char *dir, const struct mse_sim_platform *platform, struct mse_error_info *err)
{
	static const enum mse_cert_role roles[] = { MSE_CERT_PCK, MSE_CERT_PCK_CA, MSE_CERT_ROOT };
	mse_cleanup(pool_clear) struct mse_cert_pool pool = { 0 };
	struct mse_chain chain;
	int result = mse_chain_read(&pool, mse_view_of(platform->chain, platform->chain_size), &chain, err);

	if (result == 0)
		result = mse_chain_verify(&chain, roles, 3, chain.root_fingerprint, err);
	if (result < 0)
		return mse_context(err, "the simulation's certificates in %s", dir);
	return X509_check_private_key(chain.cert[0], platform->pck_key) == 1 ? 0 :
		mse_sim_broken(err, dir, MSE_SIM_FILE_PCK_CERT, "does not belong to the private key beside it");
}

int mse_sim_pki_load(const char *dir, struct mse_sim_platform **ret_platform, struct mse_error_info *err)
{
	static const enum mse_sim_holder chain[] = { MSE_SIM_HOLDER_PCK, MSE_SIM_HOLDER_PCK_CA, MSE_SIM_HOLDER_ROOT };
	mse_cleanup(mse_sim_platform_freep) struct mse_sim_platform *platform = calloc(1, sizeof *platform);
	mse_autofree char *secret_path = NULL;
	int result;

	if (platform == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_path_join(dir, mse_sim_file_names[MSE_SIM_FILE_SECRET], &secret_path, err)) < 0 ||
	    (result = mse_file_read_secret(secret_path, FILE_MAX_SIZE, &platform->sealing_secret, err)) < 0)
		return result;
	if (mse_secret_size(platform->sealing_secret) != MSE_SIM_SEALING_SECRET_SIZE)
		return mse_sim_broken(err, dir, MSE_SIM_FILE_SECRET, "does not have 32 bytes");
	if ((result = read_key(dir, MSE_SIM_HOLDER_PCK, &platform->pck_key, err)) < 0 ||
	    (result = read_chain(dir, chain, 3, &platform->chain, &platform->chain_size, err)) < 0 || (result = check_platform(dir, platform, err)) < 0)
		return result;
	platform->attestation_key = EVP_EC_gen(SN_X9_62_prime256v1);
	if (platform->attestation_key == NULL)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot make a P-256 key");
	*ret_platform = mse_steal(platform);
	return 0;
}

static int set_text(const char *dir, enum mse_sim_file file, json_t *json, const char *member, struct mse_error_info *err)
{
	mse_autofree uint8_t *text = NULL;
	size_t size;
	int result = mse_sim_file_read(dir, file, &text, &size, err);

	return result < 0 ? result : mse_json_set(json, member, json_stringn((const char *)text, size), err);
}

static int set_binary(const char *dir, enum mse_sim_file file, json_t *json, const char *member, struct mse_error_info *err)
{
	mse_autofree uint8_t *data = NULL;
	size_t size;
	int result = mse_sim_file_read(dir, file, &data, &size, err);

	return result < 0 ? result : mse_json_set_base64(json, member, data, size, err);
}

int mse_sim_pki_collateral_json(const char *dir, char **ret_text, struct mse_error_info *err)
{
	static const enum mse_sim_holder chain[] = { MSE_SIM_HOLDER_TCB, MSE_SIM_HOLDER_ROOT };
	mse_autojson *json = json_object();
	mse_autofree uint8_t *signers = NULL;
	size_t size;
	int result;

	if ((result = read_chain(dir, chain, 2, &signers, &size, err)) < 0 || (result = set_text(dir, MSE_SIM_FILE_TCB_INFO, json, "tcb_info", err)) < 0 ||
	    (result = mse_json_set(json, "tcb_info_issuer_chain", json_stringn((const char *)signers, size), err)) < 0 ||
	    (result = set_text(dir, MSE_SIM_FILE_QE_IDENTITY, json, "qe_identity", err)) < 0 ||
	    (result = mse_json_set(json, "qe_identity_issuer_chain", json_stringn((const char *)signers, size), err)) < 0 ||
	    (result = set_binary(dir, MSE_SIM_FILE_ROOT_CRL, json, "root_ca_crl", err)) < 0 || (result = set_binary(dir, MSE_SIM_FILE_PCK_CRL, json, "pck_crl", err)) < 0)
		return result;
	*ret_text = json_dumps(json, JSON_COMPACT);
	return *ret_text == NULL ? mse_fail_nomem(err) : 0;
}

int mse_sim_pki_root(const char *dir, char **ret_pem, uint8_t ret_fingerprint[static 32], struct mse_error_info *err)
{
	static const enum mse_sim_holder root[] = { MSE_SIM_HOLDER_ROOT };
	mse_autofree uint8_t *pem = NULL;
	size_t size;
	int result = read_chain(dir, root, 1, &pem, &size, err);

	if (result < 0)
		return result;
	if (mse_root_fingerprint(pem, size, ret_fingerprint) != MSE_ATTEST_PASS)
		return mse_sim_broken(err, dir, MSE_SIM_FILE_ROOT_CERT, "is not a certificate");
	*ret_pem = (char *)mse_steal(pem);
	return 0;
}
