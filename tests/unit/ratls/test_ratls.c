/* Session evidence made by the simulated CPU, and everything that must not pass for it. */
#include "../test.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "manifest/manifest.h"
#include "ratls/certificate.h"
#include "ratls/evidence.h"
#include "ratls/verify.h"
#include "tee/sim_cpu.h"

static struct mse_error_info err;

#define NOW 1800000000

/* One enclave and one connection to it. */
struct scene {
	char dir[64];
	struct mse_sim_platform *platform;
	uint8_t root[32];
	char *collateral;
	struct mse_sign_key owner;
	struct mse_box_key log_key;
	struct mse_buffer *manifest;
	uint8_t measurement[32];
	EVP_PKEY *tls_key;
	struct mse_enclave_keys keys;
	X509 *leaf;
	struct mse_evidence *evidence;
	struct mse_connection_facts facts;
	struct mse_named_digest runtime[1];
	struct mse_verify_params params;
	struct mse_expectations expected;
};

static struct mse_buffer *buffer_of(const void *data, size_t size)
{
	struct mse_buffer *buffer = mse_buffer_new(1u << 20);

	assert_works(mse_buffer_append(buffer, data, size, &err));
	return buffer;
}

static struct mse_buffer *quote_for(struct scene *scene, const uint8_t report_data[64])
{
	struct mse_sim_report report = { .isv_svn = 1 };
	mse_autofree uint8_t *quote = NULL;
	size_t size;

	memcpy(report.mrenclave, scene->measurement, 32);
	memcpy(report.report_data, report_data, 64);
	assert_works(mse_sim_cpu_quote(scene->platform, &report, &quote, &size, &err));
	return buffer_of(quote, size);
}

static void make_manifest(struct scene *scene)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new();

	manifest->instance_id[0] = 1;
	manifest->runtime_security_version = 1;
	manifest->runtime_file_count = 1;
	manifest->runtime_files[0].name = strdup("mse-enclave");
	manifest->image_name = strdup("mse-flask");
	manifest->image_digest[0] = 2;
	manifest->app_name = strdup("demo");
	manifest->app_project = strdup("default");
	manifest->healthcheck_endpoint = strdup("/health");
	manifest->bundle_sha256[0] = 3;
	manifest->code_commitment[0] = 4;
	memcpy(manifest->owner_key, scene->owner.public_key, 32);
	memcpy(manifest->owner_log_key, scene->log_key.public_key, 32);
	manifest->tls_names[0] = strdup("a.mse.localhost");
	manifest->tls_name_count = 1;
	manifest->memory = manifest->cpu_millis = manifest->storage = manifest->threads = 1;
	manifest->expires_at = NOW + 3600;
	assert_works(mse_manifest_encode(manifest, &scene->manifest, &err));
	assert_works(mse_measurement(mse_buffer_data(scene->manifest), mse_buffer_size(scene->manifest), scene->measurement, &err));
}

static void make_leaf(struct scene *scene)
{
	static char name[] = "a.mse.localhost";
	char *names[] = { name };
	uint8_t report_data[64];
	mse_cleanup(mse_buffer_freep) struct mse_buffer *quote = NULL;
	struct mse_certificate_params params = { .key = scene->tls_key, .identity_key = scene->keys.identity_key, .names = names, .name_count = 1,
		.not_before = NOW - 60, .not_after = NOW + 3600 };

	assert_works(mse_certificate_report_data(&scene->keys, report_data, &err));
	quote = quote_for(scene, report_data);
	params.quote = mse_buffer_data(quote);
	params.quote_size = mse_buffer_size(quote);
	assert_works(mse_certificate_make(&params, &scene->leaf, &err));
}

static void make_session(struct scene *scene)
{
	uint8_t leaf[32], report_data[64];

	assert_works(mse_certificate_sha256(scene->leaf, leaf, &err));
	assert_works(mse_session_report_data(scene->facts.nonce, scene->facts.exporter, leaf, &scene->keys, scene->measurement, report_data, &err));
	mse_buffer_free(scene->evidence->quote);
	scene->evidence->quote = quote_for(scene, report_data);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	struct mse_sign_key identity = { 0 };
	struct mse_box_key box = { 0 };
	mse_autofree char *pem = NULL;

	strcpy(scene->dir, "/tmp/mse-test-XXXXXX");
	assert_non_null(mkdtemp(scene->dir));
	assert_works(mse_sim_pki_ensure(scene->dir, NOW, NULL, &err));
	assert_works(mse_sim_pki_load(scene->dir, &scene->platform, &err));
	assert_works(mse_sim_pki_root(scene->dir, &pem, scene->root, &err));
	assert_works(mse_sim_pki_collateral_json(scene->dir, &scene->collateral, &err));
	assert_works(mse_sign_key_generate(&scene->owner, &err));
	assert_works(mse_box_key_generate(&scene->log_key, &err));
	assert_works(mse_tls_key_generate(&scene->tls_key, &err));
	assert_works(mse_tls_key_point(scene->tls_key, scene->keys.tls_point, &err));
	assert_works(mse_sign_key_generate(&identity, &err));
	assert_works(mse_box_key_generate(&box, &err));
	memcpy(scene->keys.identity_key, identity.public_key, 32);
	memcpy(scene->keys.box_key, box.public_key, 32);
	mse_sign_key_clear(&identity);
	mse_box_key_clear(&box);
	make_manifest(scene);
	make_leaf(scene);
	scene->facts.leaf = scene->leaf;
	memset(scene->facts.nonce, 5, sizeof scene->facts.nonce);
	memset(scene->facts.exporter, 6, sizeof scene->facts.exporter);
	scene->evidence = mse_evidence_new();
	scene->evidence->tee = strdup("sim");
	scene->evidence->state = strdup("waiting");
	scene->evidence->collateral = strdup(scene->collateral);
	scene->evidence->manifest = buffer_of(mse_buffer_data(scene->manifest), mse_buffer_size(scene->manifest));
	scene->evidence->keys = scene->keys;
	assert_works(mse_manifest_sign(&scene->owner, scene->measurement, scene->evidence->manifest_signature, &err));
	make_session(scene);
	scene->params = (struct mse_verify_params){ .time = NOW, .simulation_root = scene->root };
	scene->expected = (struct mse_expectations){ .manifest = mse_view_of(mse_buffer_data(scene->manifest), mse_buffer_size(scene->manifest)),
		.host = "a.mse.localhost" };
	scene->runtime[0].name = strdup("mse-enclave");
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	mse_sim_platform_free(scene->platform);
	mse_tree_remove(scene->dir, &err);
	free(scene->collateral);
	mse_sign_key_clear(&scene->owner);
	mse_box_key_clear(&scene->log_key);
	mse_buffer_free(scene->manifest);
	EVP_PKEY_free(scene->tls_key);
	X509_free(scene->leaf);
	mse_evidence_free(scene->evidence);
	free(scene->runtime[0].name);
	free(scene);
	return 0;
}

/* NULL when it passes; else the names of the failed checks, with spaces around. */
static const char *failures(struct scene *scene)
{
	static char names[4096];
	mse_autofree char *text = NULL;
	struct mse_verdict *verdict;
	struct mse_peer *peer;
	bool passed;

	assert_works(mse_evidence_write(scene->evidence, &text, &err));
	assert_works(mse_session_verify(text, strlen(text), &scene->facts, &scene->expected, &scene->params, &verdict, &peer, &err));
	passed = mse_verdict_passed(verdict);
	assert_int_equal(passed, peer != NULL);
	names[0] = ' ';
	names[1] = 0;
	for (size_t i = 0; i < mse_verdict_check_count(verdict); i++) {
		const struct mse_check *check = mse_verdict_check(verdict, i);

		if (check->result == MSE_CHECK_FAILED)
			snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", check->name);
	}
	mse_verdict_free(verdict);
	mse_peer_free(peer);
	return passed ? NULL : names;
}

#define assert_passes(scene)                                          \
	do {                                                          \
		const char *names_ = failures(scene);                 \
		if (names_ != NULL)                                   \
			fail_msg("failed:%s", names_);                \
	} while (0)

#define assert_rejected(scene, check)                                                        \
	do {                                                                                 \
		const char *names_ = failures(scene);                                        \
		if (names_ == NULL)                                                          \
			fail_msg("passed, expected '%s' to fail", check);                    \
		else if (strstr(names_, " " check " ") == NULL)                              \
			fail_msg("failed:%s, expected '%s' among them", names_, check);      \
	} while (0)

static void honest_evidence_passes_with_a_context(void **state)
{
	assert_passes((struct scene *)*state);
}

static void the_simulation_is_refused_unless_its_root_is_given(void **state)
{
	struct scene *scene = *state;
	uint8_t other[32] = { 1 };

	scene->params.simulation_root = NULL;
	assert_rejected(scene, "certificate-chain");
	scene->params.simulation_root = other;
	assert_rejected(scene, "certificate-chain");
}

static void evidence_of_another_connection_nonce_or_leaf_is_refused(void **state)
{
	struct scene *scene = *state;
	X509 *old_leaf = scene->leaf;

	scene->facts.exporter[0] ^= 1;
	assert_rejected(scene, "connection");
	scene->facts.exporter[0] ^= 1;
	scene->facts.nonce[31] ^= 1;
	assert_rejected(scene, "freshness");
	scene->facts.nonce[31] ^= 1;
	/* The same keys, another certificate. */
	make_leaf(scene);
	scene->facts.leaf = scene->leaf;
	assert_rejected(scene, "connection");
	X509_free(old_leaf);
}

static void a_certificate_with_another_key_around_a_real_quote_is_refused(void **state)
{
	struct scene *scene = *state;
	EVP_PKEY *impostor = NULL;
	struct mse_certificate_content content;
	static char name[] = "a.mse.localhost";
	char *names[] = { name };
	struct mse_certificate_params params = { .identity_key = scene->keys.identity_key, .names = names, .name_count = 1, .not_before = NOW - 60,
		.not_after = NOW + 3600 };
	X509 *forged = NULL;

	assert_works(mse_tls_key_generate(&impostor, &err));
	assert_works(mse_certificate_read(scene->leaf, &content, &err));
	params.key = impostor;
	params.quote = content.quote.data;
	params.quote_size = content.quote.size;
	assert_works(mse_certificate_make(&params, &forged, &err));
	scene->facts.leaf = forged;
	make_session(scene);
	assert_rejected(scene, "certificate");
	/* Also when the evidence owns up to that key. */
	assert_works(mse_tls_key_point(impostor, scene->evidence->keys.tls_point, &err));
	assert_rejected(scene, "certificate");
	X509_free(forged);
	EVP_PKEY_free(impostor);
}

static void a_host_that_the_certificate_does_not_name_is_refused(void **state)
{
	struct scene *scene = *state;

	scene->expected.host = "b.mse.localhost";
	assert_rejected(scene, "certificate");
	scene->expected.host = "127.0.0.1";
	assert_passes(scene);
	scene->params.time = NOW + 7200;
	assert_rejected(scene, "certificate");
}

static void a_changed_manifest_is_refused_member_by_member(void **state)
{
	struct scene *scene = *state;
	mse_autofree char *text = strdup(mse_buffer_text(scene->manifest));
	char *place = strstr(text, "\"threads\":1");

	/* The node runs, and attests honestly, something else than the owner composed. */
	place[10] = '2';
	mse_buffer_free(scene->evidence->manifest);
	scene->evidence->manifest = buffer_of(text, strlen(text));
	assert_rejected(scene, "manifest");
	assert_works(mse_measurement(text, strlen(text), scene->measurement, &err));
	make_session(scene);
	assert_rejected(scene, "measurement");
	assert_rejected(scene, "manifest.limits.threads");
}

static void a_manifest_with_a_member_more_is_refused(void **state)
{
	struct scene *scene = *state;
	mse_autofree char *text = NULL;

	assert_works(mse_format(&text, &err, "%.*s,\"zest\":1}", (int)mse_buffer_size(scene->manifest) - 1, mse_buffer_text(scene->manifest)));
	mse_buffer_free(scene->evidence->manifest);
	scene->evidence->manifest = buffer_of(text, strlen(text));
	assert_works(mse_measurement(text, strlen(text), scene->measurement, &err));
	make_session(scene);
	assert_rejected(scene, "manifest");
}

static void exchanged_keys_in_the_evidence_are_refused(void **state)
{
	struct scene *scene = *state;

	scene->evidence->keys.box_key[0] ^= 1;
	assert_rejected(scene, "certificate");
	scene->evidence->keys.box_key[0] ^= 1;
	scene->evidence->keys.identity_key[0] ^= 1;
	assert_rejected(scene, "certificate");
}

static void a_stranger_with_the_measurement_needs_nothing_else(void **state)
{
	struct scene *scene = *state;
	uint8_t measurement[32];

	memcpy(measurement, scene->measurement, 32);
	scene->expected.manifest = mse_view_of(NULL, 0);
	scene->expected.measurement = measurement;
	assert_passes(scene);
	measurement[0] ^= 1;
	assert_rejected(scene, "measurement");
	assert_rejected(scene, "manifest.app.name");
}

static void a_stranger_with_bundle_owner_and_image_passes_and_needs_all_three(void **state)
{
	struct scene *scene = *state;
	static const uint8_t image[32] = { 2 }, bundle[32] = { 3 }, commitment[32] = { 4 }, other[32] = { 9 };

	scene->expected.manifest = mse_view_of(NULL, 0);
	scene->expected.owner_key = scene->owner.public_key;
	scene->expected.image_digest = image;
	scene->expected.bundle_sha256 = bundle;
	scene->expected.runtime = scene->runtime;
	scene->expected.runtime_count = 1;
	scene->expected.runtime_security_version = 1;
	assert_passes(scene);
	scene->expected.bundle_sha256 = NULL;
	assert_rejected(scene, "manifest.app.bundle_sha256");
	scene->expected.code_commitment = commitment;
	assert_passes(scene);
	scene->expected.code_commitment = other;
	assert_rejected(scene, "manifest.app.code_commitment");
	scene->expected.code_commitment = commitment;
	scene->expected.image_digest = NULL;
	assert_rejected(scene, "manifest.image.digest");
	scene->expected.image_digest = other;
	assert_rejected(scene, "manifest.image.digest");
	scene->expected.image_digest = image;
	scene->expected.owner_key = NULL;
	assert_rejected(scene, "manifest.app.name");
	scene->expected.owner_key = other;
	assert_rejected(scene, "manifest.owner.key");
	scene->expected.owner_key = scene->owner.public_key;
	scene->expected.runtime_count = 0;
	assert_rejected(scene, "manifest.runtime.files.mse-enclave");
	scene->expected.runtime_count = 1;
	scene->runtime[0].sha256[0] ^= 1;
	assert_rejected(scene, "manifest.runtime.files.mse-enclave");
	scene->runtime[0].sha256[0] ^= 1;
	scene->evidence->manifest_signature[0] ^= 1;
	assert_rejected(scene, "manifest.instance_id");
}

static void who_holds_nothing_cannot_pass(void **state)
{
	struct scene *scene = *state;

	scene->expected = (struct mse_expectations){ 0 };
	assert_rejected(scene, "manifest.instance_id");
	assert_rejected(scene, "manifest.image.digest");
}

static void what_is_at_hand_is_compared_beside_a_context_too(void **state)
{
	struct scene *scene = *state;
	static const uint8_t other[32] = { 9 };

	scene->expected.code_commitment = other;
	assert_rejected(scene, "manifest.app.code_commitment");
	scene->expected.code_commitment = NULL;
	scene->expected.image_digest = other;
	assert_rejected(scene, "manifest.image.digest");
}

static void another_platform_than_the_pinned_one_is_refused(void **state)
{
	struct scene *scene = *state;
	static const uint8_t other[1][16] = { { 1 } };

	scene->expected.platforms = other;
	scene->expected.platform_count = 1;
	assert_rejected(scene, "platform");
}

static void missing_or_malformed_evidence_is_a_failed_verdict(void **state)
{
	struct scene *scene = *state;
	static const char *const texts[] = { "", "{", "{}", "[]", "{\"version\":1}", "null" };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct mse_verdict *verdict;
		struct mse_peer *peer;

		assert_works(mse_session_verify(texts[i], strlen(texts[i]), &scene->facts, &scene->expected, &scene->params, &verdict, &peer, &err));
		assert_false(mse_verdict_passed(verdict));
		assert_null(peer);
		mse_verdict_free(verdict);
	}
	free(mse_steal(scene->evidence->collateral));
	assert_rejected(scene, "tcb-info");
}

static void signatures_towards_enclave_and_node_bind_what_they_are_for(void **state)
{
	struct scene *scene = *state;
	uint8_t signature[MSE_SIGNATURE_SIZE], exporter[32] = { 1 }, other[32] = { 2 };
	struct mse_node_request request = { "stop", "default", "demo", "aa", "", "{}", 2 };

	assert_works(mse_provision_sign(&scene->owner, "body", 4, exporter, scene->measurement, signature, &err));
	assert_works(mse_provision_verify(scene->owner.public_key, "body", 4, exporter, scene->measurement, signature, &err));
	assert_fails(mse_provision_verify(scene->owner.public_key, "bodY", 4, exporter, scene->measurement, signature, &err), MSE_ERR_CRYPTO, "");
	assert_fails(mse_provision_verify(scene->owner.public_key, "body", 4, other, scene->measurement, signature, &err), MSE_ERR_CRYPTO, "");
	assert_fails(mse_provision_verify(scene->owner.public_key, "body", 4, exporter, other, signature, &err), MSE_ERR_CRYPTO, "");
	assert_works(mse_receipt_sign(&scene->owner, "body", 4, scene->measurement, 5, signature, &err));
	assert_works(mse_receipt_verify(scene->owner.public_key, "body", 4, scene->measurement, 5, signature, &err));
	assert_fails(mse_receipt_verify(scene->owner.public_key, "body", 4, scene->measurement, 6, signature, &err), MSE_ERR_CRYPTO, "");
	assert_works(mse_node_request_sign(&scene->owner, &request, signature, &err));
	assert_works(mse_node_request_verify(scene->owner.public_key, &request, signature, &err));
	request.acted_on = "ab";
	assert_fails(mse_node_request_verify(scene->owner.public_key, &request, signature, &err), MSE_ERR_CRYPTO, "");
	request.acted_on = "aa";
	request.verb = "remove";
	assert_fails(mse_node_request_verify(scene->owner.public_key, &request, signature, &err), MSE_ERR_CRYPTO, "");
}

#define in_scene(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_scene(honest_evidence_passes_with_a_context),
		in_scene(the_simulation_is_refused_unless_its_root_is_given),
		in_scene(evidence_of_another_connection_nonce_or_leaf_is_refused),
		in_scene(a_certificate_with_another_key_around_a_real_quote_is_refused),
		in_scene(a_host_that_the_certificate_does_not_name_is_refused),
		in_scene(a_changed_manifest_is_refused_member_by_member),
		in_scene(a_manifest_with_a_member_more_is_refused),
		in_scene(exchanged_keys_in_the_evidence_are_refused),
		in_scene(a_stranger_with_the_measurement_needs_nothing_else),
		in_scene(a_stranger_with_bundle_owner_and_image_passes_and_needs_all_three),
		in_scene(who_holds_nothing_cannot_pass),
		in_scene(what_is_at_hand_is_compared_beside_a_context_too),
		in_scene(another_platform_than_the_pinned_one_is_refused),
		in_scene(missing_or_malformed_evidence_is_a_failed_verdict),
		in_scene(signatures_towards_enclave_and_node_bind_what_they_are_for),
	};

	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests_name("ratls", tests, NULL, NULL);
}
