#include "ratls/verify.h"

#include <string.h>

#include "attest/collateral.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "ratls/certificate.h"
#include "ratls/evidence.h"
#include "ratls/members.h"

static void verdict_freep(struct mse_verdict **verdict)
{
	mse_verdict_free(*verdict);
}

/* Everything that is known while one answer is examined. */
struct examination {
	const struct mse_connection_facts *facts;
	const struct mse_expectations *expected;
	const struct mse_verify_params *params;
	struct mse_evidence *evidence;
	struct mse_collateral_owned *collateral;
	struct mse_manifest *manifest;
	uint8_t measurement[MSE_SHA256_SIZE];
	struct mse_verdict *verdict;
};

void mse_peer_free(struct mse_peer *peer)
{
	if (peer == NULL)
		return;
	mse_manifest_free(peer->manifest);
	mse_buffer_free(peer->manifest_bytes);
	free(peer->state);
	free(peer);
}

static void add_hex_check(struct mse_verdict *verdict, const char *name, const uint8_t *expected, const uint8_t *found, size_t size)
{
	char expected_text[2 * 64 + 1], found_text[2 * 64 + 1] = "none";

	mse_hex_encode(expected_text, expected, size);
	if (found != NULL)
		mse_hex_encode(found_text, found, size);
	mse_verdict_add_check(verdict, name, found != NULL && mse_equal(expected, found, size), expected_text, found_text);
}

/* Parses and verifies a quote with the collateral that came with the evidence (signed and dated, so it may come from anyone). */
static int verify_quote(const struct examination *exam, const void *quote, size_t size, struct mse_verdict **ret_verdict, struct mse_error_info *err)
{
	static const struct mse_collateral none;
	int result = mse_attest_verify(quote, size, exam->collateral == NULL ? &none : mse_collateral_view(exam->collateral), exam->params, ret_verdict);

	if (result == MSE_ATTEST_PASS || result == MSE_ATTEST_FAIL)
		return 0;
	return mse_fail(err, result == MSE_ATTEST_NOMEM ? MSE_ERR_NOMEM : MSE_ERR_INPUT,
		result == MSE_ATTEST_NOMEM ? "out of memory" : "the verification was asked for with parameters that make no sense");
}

/* The certificate's own quote speaks for its key; what the session's quote says is examined in the verdict itself. */
static int check_certificate_quote(const struct examination *exam, const struct mse_certificate_content *content, struct mse_error_info *err)
{
	mse_cleanup(verdict_freep) struct mse_verdict *verdict = NULL;
	uint8_t report_data[MSE_REPORT_DATA_SIZE];
	const struct mse_check *failed;
	int result = verify_quote(exam, content->quote.data, content->quote.size, &verdict, err);

	if (result < 0 || (result = mse_certificate_report_data(&exam->evidence->keys, report_data, err)) < 0)
		return result;
	failed = mse_verdict_first_failed(verdict);
	if (!mse_verdict_passed(verdict))
		return mse_fail(err, MSE_ERR_VERIFY, "the quote in the certificate fails at '%s': %s", failed == NULL ? "its end" : failed->name,
			failed == NULL || failed->found == NULL ? "no reason given" : failed->found);
	if (!mse_equal(mse_verdict_mrenclave(verdict), exam->measurement, MSE_SHA256_SIZE))
		return mse_fail(err, MSE_ERR_VERIFY, "the quote in the certificate is of another measurement");
	if (!mse_equal(mse_verdict_report_data(verdict), report_data, MSE_REPORT_DATA_SIZE))
		return mse_fail(err, MSE_ERR_VERIFY, "the quote in the certificate is for another key");
	return 0;
}

static int examine_certificate(const struct examination *exam, struct mse_error_info *err)
{
	const struct mse_enclave_keys *keys = &exam->evidence->keys;
	struct mse_certificate_content content;
	int result;

	if ((result = mse_certificate_read(exam->facts->leaf, &content, err)) < 0 ||
	    (result = mse_certificate_check_time(exam->facts->leaf, exam->params->time, err)) < 0)
		return result;
	if (exam->expected->host != NULL && (result = mse_certificate_check_name(exam->facts->leaf, exam->expected->host, err)) < 0)
		return result;
	if (!mse_equal(content.tls_point, keys->tls_point, MSE_P256_POINT_SIZE))
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate of this connection has another key than the evidence speaks of");
	if (!mse_equal(content.identity_key, keys->identity_key, MSE_SIGN_KEY_SIZE))
		return mse_fail(err, MSE_ERR_VERIFY, "the certificate names another identity key than the evidence");
	return check_certificate_quote(exam, &content, err);
}

/* A failed examination is a failed check; only what is no finding about the evidence is handed up. */
static int add_finding(struct mse_verdict *verdict, const char *name, const char *expected, int result, struct mse_error_info *err)
{
	if (result == MSE_ERR_NOMEM)
		return result;
	mse_verdict_add_check(verdict, name, result == 0, expected, result == 0 ? expected : err->message);
	return 0;
}

static void check_measurement(const struct examination *exam)
{
	const uint8_t *wanted = exam->expected->measurement != NULL ? exam->expected->measurement : exam->measurement;
	uint8_t of_context[MSE_SHA256_SIZE];
	struct mse_error_info ignored;

	if (mse_verdict_root_kind(exam->verdict) == MSE_ROOT_INTEL_SGX) {
		mse_verdict_add_check(exam->verdict, "measurement", false, "an application of the simulation backend",
			"a quote of SGX hardware: applications on hardware come with a later release");
		return;
	}
	if (exam->expected->measurement == NULL && exam->expected->manifest.size > 0) {
		if (mse_measurement(exam->expected->manifest.data, exam->expected->manifest.size, of_context, &ignored) < 0)
			return;
		wanted = of_context;
	}
	add_hex_check(exam->verdict, "measurement", wanted, mse_verdict_mrenclave(exam->verdict), MSE_SHA256_SIZE);
	/* The quote may be of what was wanted while the manifest beside it is not. */
	if (!mse_equal(wanted, exam->measurement, MSE_SHA256_SIZE))
		add_hex_check(exam->verdict, "manifest", wanted, exam->measurement, MSE_SHA256_SIZE);
}

static int check_binding(const struct examination *exam, struct mse_error_info *err)
{
	const uint8_t *found = mse_verdict_report_data(exam->verdict);
	uint8_t leaf[MSE_SHA256_SIZE], report_data[MSE_REPORT_DATA_SIZE];
	bool bound;
	int result;

	if ((result = mse_certificate_sha256(exam->facts->leaf, leaf, err)) < 0 ||
	    (result = mse_session_report_data(exam->facts->nonce, exam->facts->exporter, leaf, &exam->evidence->keys, exam->measurement, report_data,
		     err)) < 0)
		return result;
	bound = found != NULL && mse_equal(found, report_data, sizeof report_data);
	mse_verdict_add_check(exam->verdict, "connection", bound, "a quote made for this very TLS connection and certificate",
		bound ? "a quote made for this very TLS connection and certificate"
		      : "a quote made for another connection, certificate or key: something stands between you and the enclave, or repeats old evidence");
	mse_verdict_add_check(exam->verdict, "freshness", bound, "a quote over the nonce sent just now",
		bound ? "a quote over the nonce sent just now" : "a quote that does not answer the nonce sent just now");
	return 0;
}

static const uint8_t *platform_of(const struct mse_verdict *verdict)
{
	const uint8_t *piid = mse_verdict_piid(verdict);

	return piid != NULL ? piid : mse_verdict_ppid(verdict);
}

static void check_platform(const struct examination *exam)
{
	const uint8_t *found = platform_of(exam->verdict);
	char found_text[33] = "none", expected_text[33];
	bool known = false;

	if (exam->expected->platforms == NULL) {
		mse_verdict_add_not_applicable(exam->verdict, "platform", "no platform was pinned to compare with");
		return;
	}
	for (size_t i = 0; found != NULL && i < exam->expected->platform_count; i++)
		known = known || mse_equal(exam->expected->platforms[i], found, 16);
	if (found != NULL)
		mse_hex_encode(found_text, found, 16);
	if (exam->expected->platform_count > 0)
		mse_hex_encode(expected_text, exam->expected->platforms[0], 16);
	mse_verdict_add_check(exam->verdict, "platform", known, exam->expected->platform_count == 1 ? expected_text : "one of the pinned platforms",
		found_text);
}

static int make_peer(struct examination *exam, struct mse_peer **ret_peer, struct mse_error_info *err)
{
	struct mse_peer *peer = calloc(1, sizeof *peer);
	const uint8_t *platform = platform_of(exam->verdict);

	if (peer == NULL)
		return mse_fail_nomem(err);
	peer->keys = exam->evidence->keys;
	memcpy(peer->measurement, exam->measurement, MSE_SHA256_SIZE);
	if (platform != NULL)
		memcpy(peer->platform, platform, sizeof peer->platform);
	peer->manifest = mse_steal(exam->manifest);
	peer->manifest_bytes = mse_steal(exam->evidence->manifest);
	peer->state = mse_steal(exam->evidence->state);
	*ret_peer = peer;
	return 0;
}

static void require_checks(struct mse_verdict *verdict)
{
	static const char *const names[] = { "certificate", "measurement", "manifest", "connection", "freshness" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		mse_verdict_require(verdict, names[i]);
}

static int examine(struct examination *exam, struct mse_error_info *err)
{
	struct mse_buffer *manifest = exam->evidence->manifest;
	int result;

	/* Collateral that cannot be read is none: the checks that need it fail by name. */
	if (exam->evidence->collateral != NULL &&
	    mse_collateral_parse(exam->evidence->collateral, strlen(exam->evidence->collateral), &exam->collateral, err) == MSE_ERR_NOMEM)
		return MSE_ERR_NOMEM;
	if ((result = mse_measurement(mse_buffer_data(manifest), mse_buffer_size(manifest), exam->measurement, err)) < 0 ||
	    (result = verify_quote(exam, mse_buffer_data(exam->evidence->quote), mse_buffer_size(exam->evidence->quote), &exam->verdict, err)) < 0)
		return result;
	require_checks(exam->verdict);
	result = examine_certificate(exam, err);
	if ((result = add_finding(exam->verdict, "certificate", "self-signed by an attested key, for this host, valid now", result, err)) < 0)
		return result;
	check_measurement(exam);
	result = mse_manifest_parse(mse_buffer_data(manifest), mse_buffer_size(manifest), &exam->manifest, err);
	if ((result = add_finding(exam->verdict, "manifest", "a manifest that this release knows in whole", result, err)) < 0)
		return result;
	if (exam->manifest != NULL &&
	    (result = mse_members_check(exam->verdict, exam->expected, manifest, exam->measurement, exam->evidence->manifest_signature, err)) < 0)
		return result;
	if ((result = check_binding(exam, err)) < 0)
		return result;
	check_platform(exam);
	return 0;
}

int mse_session_verify(const void *evidence, size_t size, const struct mse_connection_facts *facts, const struct mse_expectations *expected,
	const struct mse_verify_params *params, struct mse_verdict **ret_verdict, struct mse_peer **ret_peer, struct mse_error_info *err)
{
	struct examination exam = { .facts = facts, .expected = expected, .params = params };
	mse_cleanup(mse_peer_freep) struct mse_peer *peer = NULL;
	int result = mse_evidence_read(evidence, size, &exam.evidence, err);

	*ret_verdict = NULL;
	*ret_peer = NULL;
	if (result == 0) {
		result = examine(&exam, err);
	} else if (result != MSE_ERR_NOMEM) {
		exam.verdict = mse_verdict_new();
		if (exam.verdict != NULL)
			mse_verdict_add_check(exam.verdict, "evidence", false, "session evidence as JSON", err->message);
		result = exam.verdict == NULL ? mse_fail_nomem(err) : 0;
	}
	if (result == 0 && mse_verdict_passed(exam.verdict))
		result = make_peer(&exam, &peer, err);
	mse_manifest_free(exam.manifest);
	mse_evidence_free(exam.evidence);
	mse_collateral_free(exam.collateral);
	if (result < 0) {
		mse_verdict_free(exam.verdict);
		return result;
	}
	*ret_verdict = exam.verdict;
	*ret_peer = mse_steal(peer);
	return 0;
}
