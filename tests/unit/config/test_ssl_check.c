#include "../test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/secret.h"
#include "config/app_config.h"

#define NOW ((int64_t)1750000000)
#define DAY ((int64_t)86400)

static struct mse_error_info err;
static char dir[] = "/tmp/mse-test-XXXXXX";

static char *path_of(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

/* Writes key.pem and cert.pem (twice the same certificate, as a chain). */
static void make_pair(const char *names, int64_t not_before, int64_t not_after)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	FILE *file;

	assert_non_null(key);
	assert_non_null(certificate);
	assert_non_null(extension);
	X509_set_version(certificate, 2);
	X509_set_pubkey(certificate, key);
	ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)not_before);
	ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"cn.example.org", -1, -1, 0);
	X509_add_ext(certificate, extension, -1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	file = fopen(path_of("cert.pem"), "w");
	assert_non_null(file);
	PEM_write_X509(file, certificate);
	PEM_write_X509(file, certificate);
	fclose(file);
	file = fopen(path_of("key.pem"), "w");
	assert_non_null(file);
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	file = fopen(path_of("locked.pem"), "w");
	assert_non_null(file);
	PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (const unsigned char *)"pass", 4, NULL, NULL);
	fclose(file);
	X509_EXTENSION_free(extension);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static int check(const char *domain, const char *certificate, const char *key, int64_t now)
{
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;
	char text[1024];

	snprintf(text, sizeof text, "name = 'x'\n[code]\nlocation='c'\npython_application='app:app'\nhealthcheck_endpoint='/h'\ndocker='mse-flask'\n"
		"[ssl]\ndomain_name='%s'\ncertificate='%s'\nprivate_key='%s'\n", domain, certificate, key);
	assert_works(mse_app_config_parse(text, strlen(text), path_of("mse.toml"), &config, &err));
	return mse_app_config_check_ssl(config, now, &err);
}

static void a_matching_pair_passes_also_with_a_wildcard(void **state)
{
	(void)state;
	make_pair("DNS:example.com,DNS:*.apps.example.com", NOW - DAY, NOW + DAY);
	assert_works(check("example.com", "cert.pem", "key.pem", NOW));
	assert_works(check("a.apps.example.com", "cert.pem", path_of("key.pem"), NOW));
	assert_works(check("EXAMPLE.com", "./cert.pem", "key.pem", NOW));
}

static void a_name_that_the_certificate_does_not_have_is_refused(void **state)
{
	static const char *const names[] = { "example.org", "a.b.apps.example.com", "apps.example.com", "x.example.com", "cn.example.org" };

	(void)state;
	make_pair("DNS:example.com,DNS:*.apps.example.com", NOW - DAY, NOW + DAY);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_fails(check(names[i], "cert.pem", "key.pem", NOW), MSE_ERR_INPUT, "mse.toml:8: the certificate");
}

static void a_certificate_outside_its_time_is_refused(void **state)
{
	(void)state;
	make_pair("DNS:example.com", NOW - DAY, NOW + DAY);
	assert_fails(check("example.com", "cert.pem", "key.pem", NOW + DAY + 1), MSE_ERR_INPUT, "expired on 2025-06-16T15:06:40Z");
	assert_fails(check("example.com", "cert.pem", "key.pem", NOW - DAY - 1), MSE_ERR_INPUT, "is not valid before 2025-06-14T15:06:40Z");
	assert_non_null(strstr(err.message, "mse.toml:9:"));
}

static void a_key_of_another_certificate_is_refused(void **state)
{
	(void)state;
	make_pair("DNS:example.com", NOW - DAY, NOW + DAY);
	assert_int_equal(rename(path_of("key.pem"), path_of("old.pem")), 0);
	make_pair("DNS:example.com", NOW - DAY, NOW + DAY);
	assert_fails(check("example.com", "cert.pem", "old.pem", NOW), MSE_ERR_INPUT, "mse.toml:10: the key");
}

static void files_that_are_not_what_they_should_be_are_named(void **state)
{
	static const char cut[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
	uint8_t *data = NULL;
	char *both;
	size_t size;

	(void)state;
	make_pair("DNS:example.com", NOW - DAY, NOW + DAY);
	assert_fails(check("example.com", "none.pem", "key.pem", NOW), MSE_ERR_NOT_FOUND, "mse.toml:9: cannot open");
	assert_fails(check("example.com", "cert.pem", "none.pem", NOW), MSE_ERR_NOT_FOUND, "mse.toml:10: cannot open");
	assert_fails(check("example.com", "key.pem", "key.pem", NOW), MSE_ERR_INPUT, "mse.toml:9: ");
	assert_fails(check("example.com", "cert.pem", "cert.pem", NOW), MSE_ERR_INPUT, "mse.toml:10: ");
	assert_fails(check("example.com", "cert.pem", "locked.pem", NOW), MSE_ERR_UNSUPPORTED, "is encrypted");
	assert_works(mse_file_write(path_of("cut.pem"), cut, strlen(cut), 0600, &err));
	assert_fails(check("example.com", "cut.pem", "key.pem", NOW), MSE_ERR_INPUT, "is not a PEM certificate");
	assert_works(mse_file_read(path_of("cert.pem"), 1 << 20, &data, &size, &err));
	both = malloc(size + sizeof cut);
	assert_non_null(both);
	memcpy(both, data, size);
	memcpy(both + size, cut, sizeof cut);
	assert_works(mse_file_write(path_of("cut.pem"), both, size + strlen(cut), 0600, &err));
	assert_fails(check("example.com", "cut.pem", "key.pem", NOW), MSE_ERR_INPUT, "certificate 3 in");
	free(both);
	free(data);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return mse_tree_remove(dir, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_matching_pair_passes_also_with_a_wildcard),
		cmocka_unit_test(a_name_that_the_certificate_does_not_have_is_refused),
		cmocka_unit_test(a_certificate_outside_its_time_is_refused),
		cmocka_unit_test(a_key_of_another_certificate_is_refused),
		cmocka_unit_test(files_that_are_not_what_they_should_be_are_named),
	};

	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
