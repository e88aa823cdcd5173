/* Writes what fuzzing of evidence begins with, made by the simulation: fuzz_seeds DIR makes DIR/<target>/<seed>. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/tls_key.h"
#include "manifest/manifest.h"
#include "ratls/certificate.h"
#include "ratls/evidence.h"
#include "tee/sim_cpu.h"

static struct mse_error_info err;

static void must(int result)
{
	if (result < 0) {
		fprintf(stderr, "fuzz_seeds: %s\n", err.message);
		exit(1);
	}
}

static void seed(const char *dir, const char *target, const char *name, const void *data, size_t size)
{
	mse_autofree char *folder = NULL, *path = NULL;

	must(mse_path_join(dir, target, &folder, &err));
	must(mse_dir_make(folder, 0755, &err));
	must(mse_path_join(folder, name, &path, &err));
	must(mse_file_write(path, data, size, 0644, &err));
}

/* A file of the simulated platform as a seed. */
static void seed_file(const char *dir, const char *platform, const char *file, const char *target)
{
	mse_autofree char *path = NULL;
	mse_autofree uint8_t *data = NULL;
	size_t size;

	must(mse_path_join(platform, file, &path, &err));
	must(mse_file_read(path, 1u << 20, &data, &size, &err));
	seed(dir, target, file, data, size);
}

static struct mse_buffer *make_manifest(void)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new();
	struct mse_buffer *bytes;

	manifest->runtime_file_count = 1;
	must(mse_strdup("mse-enclave", &manifest->runtime_files[0].name, &err));
	must(mse_strdup("mse-flask", &manifest->image_name, &err));
	must(mse_strdup("demo", &manifest->app_name, &err));
	must(mse_strdup("default", &manifest->app_project, &err));
	must(mse_strdup("/health", &manifest->healthcheck_endpoint, &err));
	manifest->tls_name_count = 1;
	must(mse_strdup("a.mse.localhost", &manifest->tls_names[0], &err));
	manifest->memory = manifest->cpu_millis = manifest->storage = manifest->threads = 1;
	manifest->expires_at = 2000000000;
	must(mse_manifest_encode(manifest, &bytes, &err));
	return bytes;
}

static void seed_certificate(const char *dir, const uint8_t *quote, size_t quote_size)
{
	static const uint8_t identity[32];
	static char name[] = "a.mse.localhost";
	char *names[] = { name };
	mse_cleanup(mse_pkey_freep) EVP_PKEY *key = NULL;
	mse_cleanup(mse_x509_freep) X509 *certificate = NULL;
	mse_autofree uint8_t *der = NULL;
	size_t size;
	struct mse_certificate_params params = { .quote = quote, .quote_size = quote_size, .identity_key = identity, .names = names, .name_count = 1,
		.not_before = 1700000000, .not_after = 1900000000 };

	must(mse_tls_key_generate(&key, &err));
	params.key = key;
	must(mse_certificate_make(&params, &certificate, &err));
	must(mse_certificate_to_der(certificate, &der, &size, &err));
	seed(dir, "ratls_certificate", "made", der, size);
}

static void seed_evidence(const char *dir, const char *platform, const uint8_t *quote, size_t quote_size)
{
	mse_cleanup(mse_evidence_freep) struct mse_evidence *evidence = mse_evidence_new();
	mse_autofree char *text = NULL;

	evidence->quote = mse_buffer_new(1u << 20);
	must(mse_buffer_append(evidence->quote, quote, quote_size, &err));
	evidence->manifest = make_manifest();
	seed(dir, "manifest", "made", mse_buffer_data(evidence->manifest), mse_buffer_size(evidence->manifest));
	must(mse_strdup("sim", &evidence->tee, &err));
	must(mse_strdup("waiting", &evidence->state, &err));
	must(mse_sim_pki_collateral_json(platform, &evidence->collateral, &err));
	seed(dir, "attest_collateral", "made", evidence->collateral, strlen(evidence->collateral));
	must(mse_evidence_write(evidence, &text, &err));
	seed(dir, "ratls_evidence", "made", text, strlen(text));
}

int main(int argc, char **argv)
{
	static const char *const chains[] = { "root.pem", "pck_ca.pem", "pck.pem", "tcb.pem", "root_ca.crl", "pck.crl" };
	char platform[] = "/tmp/mse-seeds-XXXXXX";
	mse_cleanup(mse_sim_platform_freep) struct mse_sim_platform *loaded = NULL;
	mse_autofree uint8_t *quote = NULL;
	struct mse_sim_report report = { .isv_svn = 1 };
	size_t size;

	if (argc != 2 || mkdtemp(platform) == NULL) {
		fputs("usage: fuzz_seeds DIR\n", stderr);
		return 2;
	}
	must(mse_secret_init(&err));
	must(mse_sim_pki_ensure(platform, 1799000000, NULL, &err));
	must(mse_sim_pki_load(platform, &loaded, &err));
	for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++)
		seed_file(argv[1], platform, chains[i], "attest_chain");
	seed_file(argv[1], platform, "tcb_info.json", "attest_tcb_info");
	seed_file(argv[1], platform, "qe_identity.json", "attest_qe_identity");
	must(mse_sim_cpu_quote(loaded, &report, &quote, &size, &err));
	seed(argv[1], "attest_quote", "made", quote, size);
	seed_certificate(argv[1], quote, size);
	seed_evidence(argv[1], platform, quote, size);
	must(mse_tree_remove(platform, &err));
	return 0;
}
