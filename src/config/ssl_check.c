#include "config/app_config.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "crypto/tls_key.h"

#define MAX_PEM_SIZE ((size_t)256 * 1024)
#define MAX_CHAIN 16

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

/* A key under a pass phrase is refused: there is nobody to ask. */
static int no_pass_phrase(char *to, int size, int writing, void *context)
{
	(void)to;
	(void)size;
	(void)writing;
	*(bool *)context = true;
	return -1;
}

/* The leaf is the first certificate of the file; what follows must be certificates too. */
static int read_certificate(const struct mse_app_config *config, X509 **ret_leaf, struct mse_error_info *err)
{
	const char *path = config->ssl.certificate;
	size_t line = config->ssl.certificate_line;
	mse_cleanup(free_bio) BIO *bio = NULL;
	mse_cleanup(free_certificate) X509 *leaf = NULL;
	mse_autofree uint8_t *text = NULL;
	struct mse_error_info reason;
	unsigned long failure;
	size_t size;
	int count = 1;
	int result = mse_file_read(path, MAX_PEM_SIZE, &text, &size, &reason);

	if (result < 0)
		return mse_app_config_fail(config, line, err, result, "%s (ssl.certificate)", reason.message);
	ERR_clear_error();
	bio = BIO_new_mem_buf(text, (int)size);
	if (bio == NULL)
		return mse_fail_nomem(err);
	leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (leaf == NULL) {
		ERR_clear_error();
		return mse_app_config_fail(config, line, err, MSE_ERR_INPUT,
			"'%s' (ssl.certificate) is not a PEM certificate; it must begin with -----BEGIN CERTIFICATE-----", path);
	}
	for (;;) {
		X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		if (next == NULL)
			break;
		X509_free(next);
		if (++count > MAX_CHAIN)
			return mse_app_config_fail(config, line, err, MSE_ERR_LIMIT, "'%s' (ssl.certificate) holds more than %d certificates", path, MAX_CHAIN);
	}
	failure = ERR_peek_last_error();
	ERR_clear_error();
	if (ERR_GET_REASON(failure) != PEM_R_NO_START_LINE)
		return mse_app_config_fail(config, line, err, MSE_ERR_INPUT, "certificate %d in '%s' (ssl.certificate) is malformed", count + 1, path);
	*ret_leaf = mse_steal(leaf);
	return 0;
}

static int read_key(const struct mse_app_config *config, EVP_PKEY **ret_key, struct mse_error_info *err)
{
	const char *path = config->ssl.private_key;
	size_t line = config->ssl.private_key_line;
	mse_cleanup(mse_secret_freep) struct mse_secret *text = NULL;
	mse_cleanup(free_bio) BIO *bio = NULL;
	struct mse_error_info reason;
	bool asked = false;
	int result = mse_file_read_secret(path, MAX_PEM_SIZE, &text, &reason);

	if (result < 0)
		return mse_app_config_fail(config, line, err, result, "%s (ssl.private_key)", reason.message);
	bio = BIO_new_mem_buf(mse_secret_view(text), (int)mse_secret_size(text));
	if (bio == NULL)
		return mse_fail_nomem(err);
	*ret_key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, &asked);
	ERR_clear_error();
	if (asked) {
		return mse_app_config_fail(config, line, err, MSE_ERR_UNSUPPORTED,
			"'%s' (ssl.private_key) is encrypted; decrypt it with `openssl pkey -in … -out …`", path);
	}
	if (*ret_key == NULL)
		return mse_app_config_fail(config, line, err, MSE_ERR_INPUT, "'%s' (ssl.private_key) is not a PEM private key", path);
	return 0;
}

static int check_dates(const struct mse_app_config *config, const X509 *leaf, int64_t now, struct mse_error_info *err)
{
	time_t at = (time_t)now;
	const ASN1_TIME *limits[] = { X509_get0_notBefore(leaf), X509_get0_notAfter(leaf) };
	int order[2];

	for (unsigned i = 0; i < 2; i++) {
		order[i] = ASN1_TIME_cmp_time_t(limits[i], at);
		if (order[i] == -2)
			return mse_app_config_fail(config, config->ssl.certificate_line, err, MSE_ERR_INPUT, "the certificate '%s' has a malformed date",
				config->ssl.certificate);
	}
	if (order[0] > 0 || order[1] < 0) {
		struct tm parts;
		char text[MSE_TIME_TEXT_SIZE] = "?";

		if (ASN1_TIME_to_tm(limits[order[0] > 0 ? 0 : 1], &parts) == 1)
			mse_time_format(text, (int64_t)timegm(&parts));
		return mse_app_config_fail(config, config->ssl.certificate_line, err, MSE_ERR_INPUT, "the certificate '%s' %s %s; get one that is valid now",
			config->ssl.certificate, order[0] > 0 ? "is not valid before" : "expired on", text);
	}
	return 0;
}

int mse_app_config_check_ssl(const struct mse_app_config *config, int64_t now, struct mse_error_info *err)
{
	mse_cleanup(free_certificate) X509 *leaf = NULL;
	mse_cleanup(mse_pkey_freep) EVP_PKEY *key = NULL;
	int result;

	if (!config->has_ssl)
		return 0;
	result = read_certificate(config, &leaf, err);
	if (result == 0)
		result = read_key(config, &key, err);
	if (result == 0)
		result = check_dates(config, leaf, now, err);
	if (result < 0)
		return result;
	if (X509_check_private_key(leaf, key) != 1) {
		ERR_clear_error();
		return mse_app_config_fail(config, config->ssl.private_key_line, err, MSE_ERR_INPUT, "the key '%s' does not belong to the certificate '%s'",
			config->ssl.private_key, config->ssl.certificate);
	}
	/* Names count only where browsers look for them: in the subject's alternative names (RFC 9525). */
	if (X509_check_host(leaf, config->ssl.domain_name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) != 1) {
		ERR_clear_error();
		return mse_app_config_fail(config, config->ssl.domain_name_line, err, MSE_ERR_INPUT,
			"the certificate '%s' is not for '%s' (none of its subject alternative names matches)", config->ssl.certificate, config->ssl.domain_name);
	}
	return 0;
}
