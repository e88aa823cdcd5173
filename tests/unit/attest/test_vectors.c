/* Evidence from real hardware gets the verdict that its vendor's own verifier gave. */
#include "evidence.h"

#include <openssl/pem.h>
#include <openssl/sha.h>

#include "attest/chain.h"
#include "attest/verdict.h"
#include "base/json.h"
#include "base/text.h"

static struct mse_error_info err;

struct expectation {
	const char *set;
	const char *failed; /* under the default policy */
	const char *status;
	const char *advisories;
};

static const struct expectation expectations[] = {
	{ "d01_sgx3_phala_confsw", "tcb-status", "ConfigurationAndSWHardeningNeeded", "INTEL-SA-00289 INTEL-SA-00615" },
	{ "d02_sgx3_phala_confsw_2023", "tcb-status", "ConfigurationAndSWHardeningNeeded", "INTEL-SA-00289 INTEL-SA-00615" },
	{ "d03_sgx3_teepot_azure_sw", "", "SWHardeningNeeded", "INTEL-SA-00615" },
	{ "d04_sgx3_teepot_vaultproxy_DEBUG", "debug", "SWHardeningNeeded", "INTEL-SA-00615" },
	{ "d05_sgx3_automata_eval17", "", "SWHardeningNeeded", "INTEL-SA-00615" },
	{ "d06_sgx3_cosmian_sgxra", "tcb-status", "OutOfDate", "INTEL-SA-00615 INTEL-SA-00657 INTEL-SA-00730 INTEL-SA-00738 INTEL-SA-00767" },
	{ "d07_sgx3_cosmian_teetools", "tcb-status", "OutOfDateConfigurationNeeded",
		"INTEL-SA-00615 INTEL-SA-00657 INTEL-SA-00730 INTEL-SA-00738 INTEL-SA-00767" },
	{ "d21_ratls_cosmian_evidence", "crl tcb-status", "OutOfDate",
		"INTEL-SA-00586 INTEL-SA-00614 INTEL-SA-00615 INTEL-SA-00657 INTEL-SA-00730 INTEL-SA-00738 INTEL-SA-00767" },
	{ "d24_sgx3_cosmian_azure", "", "SWHardeningNeeded", "INTEL-SA-00334 INTEL-SA-00615" },
	{ "n06_sgx3_secret_expired_DEBUG", "tcb-info qe-identity debug", "SWHardeningNeeded", NULL },
};
#define EXPECTATION_COUNT (sizeof expectations / sizeof expectations[0])

static int compare_texts(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void assert_advisories(const struct mse_verdict *verdict, const char *expected)
{
	const char *sorted[64];
	char found[1024] = "";
	size_t count = mse_verdict_advisory_count(verdict);

	assert_true(count < 64);
	for (size_t i = 0; i < count; i++)
		sorted[i] = mse_verdict_advisory(verdict, i);
	qsort(sorted, count, sizeof sorted[0], compare_texts);
	for (size_t i = 0; i < count; i++)
		snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i == 0 ? "" : " ", sorted[i]);
	assert_string_equal(found, expected);
}

static void assert_hex(const json_t *meta, const char *member, const uint8_t *found, size_t size)
{
	char hex[129];

	assert_non_null(found);
	if (json_object_get(meta, member) == NULL)
		return;
	mse_hex_encode(hex, found, size);
	assert_string_equal(hex, json_string_value(json_object_get(meta, member)));
}

static void every_set_gets_its_verdict(void **state)
{
	(void)state;
	need_vectors();
	for (size_t i = 0; i < EXPECTATION_COUNT; i++) {
		const struct expectation *expected = &expectations[i];
		mse_cleanup(evidence_clear) struct evidence evidence;
		mse_cleanup(file_clear) struct evidence_file meta_text = vector_file(expected->set, "meta.json");
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
		mse_autojson *meta = NULL;

		print_message("%s\n", expected->set);
		assert_works(mse_json_parse(meta_text.data, meta_text.size, "meta.json", &meta, &err));
		load_vector(&evidence, expected->set);
		verdict = verify_evidence(&evidence);
		assert_failed_checks(verdict, expected->failed);
		assert_string_equal(mse_verdict_status(verdict), expected->status);
		if (expected->advisories != NULL)
			assert_advisories(verdict, expected->advisories);
		assert_string_equal(mse_verdict_tee(verdict), "sgx");
		assert_int_equal(mse_verdict_root_kind(verdict), MSE_ROOT_INTEL_SGX);
		assert_false(mse_verdict_simulated(verdict));
		assert_hex(meta, "mrenclave", mse_verdict_mrenclave(verdict), 32);
		assert_hex(meta, "mrsigner", mse_verdict_mrsigner(verdict), 32);
		assert_hex(meta, "report_data", mse_verdict_report_data(verdict), 64);
		assert_hex(meta, "fmspc", mse_verdict_fmspc(verdict), 6);
		assert_true(mse_verdict_isv_svn(verdict) == (unsigned)json_integer_value(json_object_get(meta, "isvsvn")));
		assert_true(mse_verdict_debug(verdict) == json_is_true(json_object_get(meta, "debug")));
	}
}

static void a_status_passes_when_the_policy_names_it(void **state)
{
	(void)state;
	need_vectors();
	for (size_t i = 0; i < EXPECTATION_COUNT; i++) {
		const struct expectation *expected = &expectations[i];
		const char *const accepted[] = { expected->status, NULL };
		mse_cleanup(evidence_clear) struct evidence evidence;
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;

		if (strstr(expected->failed, "debug") != NULL || strstr(expected->failed, "crl") != NULL)
			continue;
		load_vector(&evidence, expected->set);
		evidence.accepted = accepted;
		verdict = verify_evidence(&evidence);
		assert_failed_checks(verdict, "");
	}
}

static void a_policy_may_be_narrower_than_the_default(void **state)
{
	static const char *const accepted[] = { "UpToDate", NULL };
	mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;

	(void)state;
	need_vectors();
	load_vector(&evidence, "d03_sgx3_teepot_azure_sw");
	evidence.accepted = accepted;
	verdict = verify_evidence(&evidence);
	assert_failed_checks(verdict, "tcb-status");
	assert_string_equal(check_found(verdict, "tcb-status"), "SWHardeningNeeded");
}

static void an_expired_crl_is_the_only_fault_of_the_cosmian_evidence_once_its_status_is_accepted(void **state)
{
	static const char *const accepted[] = { "OutOfDate", NULL };
	mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *expired = NULL, *current = NULL;

	(void)state;
	need_vectors();
	load_vector(&evidence, "d21_ratls_cosmian_evidence");
	evidence.accepted = accepted;
	expired = verify_evidence(&evidence);
	assert_failed_checks(expired, "crl");
	assert_non_null(strstr(check_found(expired, "crl"), "the PCK CRL expired at 2023-06-15T"));
	file_replace(&evidence.pck_crl, vector_file("d21_ratls_cosmian_evidence", "alt_pck_crl_20230612_teepot.crl"));
	current = verify_evidence(&evidence);
	assert_failed_checks(current, "");
}

static void both_editions_of_intels_root_count_in_any_order(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *good = NULL, *corrupted = NULL, *other_identity = NULL;

	(void)state;
	need_vectors();
	evidence.quote = vector_file("n03_sgx3_fortanix_chainorder_and_corrupted", "quote_good_DEBUG.bin");
	evidence.qe_identity = vector_file("n03_sgx3_fortanix_chainorder_and_corrupted", "qe3_identity.json");
	evidence.qe_chain = vector_file("d03_sgx3_teepot_azure_sw", "tcb_signing_chain.pem");
	evidence.time = 1591000000; /* 2020-06-01 */
	good = verify_evidence(&evidence);
	/* There is no TCB info and no CRL in this set. */
	assert_failed_checks(good, "crl tcb-info tcb-status debug");
	assert_int_equal(mse_verdict_root_kind(good), MSE_ROOT_INTEL_SGX);

	file_replace(&evidence.quote, vector_file("n03_sgx3_fortanix_chainorder_and_corrupted", "quote_corrupted.bin"));
	corrupted = verify_evidence(&evidence);
	assert_failed_checks(corrupted, "crl tcb-info quote-signature tcb-status debug");

	file_replace(&evidence.qe_identity, vector_file("n03_sgx3_fortanix_chainorder_and_corrupted", "qe3_identity_corrupt.json"));
	other_identity = verify_evidence(&evidence);
	assert_non_null(strstr(check_found(other_identity, "qe-identity"), "does not verify"));
}

static void a_chain_to_a_foreign_root_is_refused_with_its_fingerprint(void **state)
{
	static const char *const foreign[][2] = {
		{ "n07_intel_qvl_sample_syntheticroot", "data/pckSignChain.pem" }, { "n08_mock_root_flashbots", "data/mock-pck-chain.pem" }
	};

	(void)state;
	need_vectors();
	for (size_t i = 0; i < 2; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
		mse_cleanup(file_clear) struct evidence_file chain = vector_file(foreign[i][0], foreign[i][1]);
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL, *pinned = NULL;
		uint8_t root[32];
		char hex[65];

		if (i == 0) {
			mse_cleanup(file_clear) struct evidence_file leaf = vector_file(foreign[i][0], "data/pckCert.pem");

			chain.data = realloc(chain.data, chain.size + leaf.size);
			memcpy(chain.data + chain.size, leaf.data, leaf.size);
			chain.size += leaf.size;
		}
		load_vector(&evidence, "d03_sgx3_teepot_azure_sw");
		file_replace(&evidence.quote, quote_with_chain(evidence.quote, chain.data, chain.size));
		verdict = verify_evidence(&evidence);
		assert_int_equal(check_result(verdict, "certificate-chain"), MSE_CHECK_FAILED);
		assert_int_equal(mse_verdict_root_kind(verdict), MSE_ROOT_NONE);
		assert_non_null(mse_verdict_root_fingerprint(verdict));
		memcpy(root, mse_verdict_root_fingerprint(verdict), 32);
		mse_hex_encode(hex, root, 32);
		assert_non_null(strstr(check_found(verdict, "certificate-chain"), hex));
		/* Even pinned, a root that does not name itself a simulation is not taken for one. */
		evidence.simulation_root = root;
		pinned = verify_evidence(&evidence);
		assert_int_equal(check_result(pinned, "certificate-chain"), MSE_CHECK_FAILED);
		assert_false(mse_verdict_simulated(pinned));
	}
}

static void a_quote_without_its_chain_is_refused_by_name(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;

	(void)state;
	need_vectors();
	evidence.quote = vector_file("n07_intel_qvl_sample_syntheticroot", "data/quote.dat");
	evidence.time = 1700000000;
	verdict = verify_evidence(&evidence);
	assert_non_null(strstr(check_found(verdict, "quote-format"), "certification data type 1 (PPID in clear)"));
}

static void evidence_of_other_kinds_is_refused_by_name(void **state)
{
	static const struct {
		const char *set, *file, *tee, *name;
	} others[] = {
		{ "d08_tdx4_phala", "quote.bin", "tdx", "Intel TDX quote version 4" },
		{ "d13_tdx5_google", "quote.bin", "tdx", "Intel TDX quote version 5" },
		{ "d40_snp2_milan_virtee", "report.bin", "snp", "SEV-SNP" },
		{ "d43_snp5_milan_cosmian", "report.bin", "snp", "SEV-SNP" },
		{ "d46_snp3_genoa_msft", "report.bin", "snp", "SEV-SNP" },
		{ "d30_azure_hcl_cosmian", "hcl_report_sev.bin", NULL, "Azure HCL report" },
	};

	(void)state;
	need_vectors();
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence = { .quote = vector_file(others[i].set, others[i].file), .time = 1700000000 };
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = verify_evidence(&evidence);

		assert_failed_checks(verdict, "quote-format");
		if (others[i].tee == NULL)
			assert_null(mse_verdict_tee(verdict));
		else
			assert_string_equal(mse_verdict_tee(verdict), others[i].tee);
		assert_non_null(strstr(check_found(verdict, "quote-format"), others[i].name));
	}
}

static void quotes_in_ra_tls_certificates_bind_their_keys(void **state)
{
	static const struct {
		const char *set, *file, *mrenclave;
		bool debug;
	} certs[] = {
		{ "d20_ratls_cosmian", "sgx-cert.ratls.pem", "72009e6e7ddebcb7a8cf6b000b40aa20fd15d2c4fd524e85e80df6e8e0841d10", true },
		{ "d20_ratls_cosmian", "sgx_quote_cert.pem", NULL, false },
		{ "d21_ratls_cosmian_evidence", "ratls_cert.pem", "0e4ec55e690b06a574af59dfd51baa3866ac4c8d37896effc0f1fad17b31cf3b", false },
	};

	(void)state;
	need_vectors();
	for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence = { .time = 1701822167 /* 2023-12-06 */ };
		mse_cleanup(file_clear) struct evidence_file pem = vector_file(certs[i].set, certs[i].file);
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
		BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
		X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		const ASN1_BIT_STRING *point;
		struct mse_view value;
		uint8_t digest[32];
		char hex[65];

		assert_non_null(cert);
		assert_works(mse_cert_extension(cert, "1.2.840.113741.1337.6", &value, &err));
		evidence.quote.data = malloc(value.size);
		memcpy(evidence.quote.data, value.data, value.size);
		evidence.quote.size = value.size;
		verdict = verify_evidence(&evidence);
		assert_int_equal(check_result(verdict, "quote-format"), MSE_CHECK_PASSED);
		assert_int_equal(check_result(verdict, "certificate-chain"), MSE_CHECK_PASSED);
		assert_int_equal(check_result(verdict, "quote-signature"), MSE_CHECK_PASSED);
		assert_true(mse_verdict_debug(verdict) == certs[i].debug);
		point = X509_get0_pubkey_bitstr(cert);
		SHA256(point->data, (size_t)point->length, digest);
		assert_memory_equal(digest, mse_verdict_report_data(verdict), 32);
		mse_hex_encode(hex, mse_verdict_mrenclave(verdict), 32);
		if (certs[i].mrenclave != NULL)
			assert_string_equal(hex, certs[i].mrenclave);
		X509_free(cert);
		BIO_free(bio);
	}
}

static void collateral_of_another_platform_or_time_does_not_fit(void **state)
{
	static const char *const other = "d01_sgx3_phala_confsw", *const same_day = "d05_sgx3_automata_eval17";
	mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *tcb = NULL, *crl = NULL, *early = NULL, *late = NULL;

	(void)state;
	need_vectors();
	load_vector(&evidence, same_day);
	file_replace(&evidence.tcb_info, vector_file(other, "tcb_info.json"));
	tcb = verify_evidence(&evidence);
	assert_failed_checks(tcb, "tcb-info tcb-status");
	assert_non_null(strstr(check_found(tcb, "tcb-info"), "FMSPC 00a067110000"));

	file_replace(&evidence.tcb_info, vector_file(same_day, "tcb_info.json"));
	file_replace(&evidence.pck_crl, vector_file(other, "pck.crl")); /* the processor CA's */
	crl = verify_evidence(&evidence);
	assert_failed_checks(crl, "crl");

	file_replace(&evidence.pck_crl, vector_file(same_day, "pck.crl"));
	evidence.time -= 60 * 24 * 3600;
	early = verify_evidence(&evidence);
	assert_non_null(strstr(check_found(early, "tcb-info"), "valid only from"));
	assert_non_null(strstr(check_found(early, "qe-identity"), "valid only from"));
	evidence.time += 300 * 24 * 3600;
	late = verify_evidence(&evidence);
	assert_failed_checks(late, "crl tcb-info qe-identity");
}

/* Every seventh bit of one real quote; with MSE_TEST_EVERY_BIT set every one (about half a minute). */
static void no_bit_of_a_real_quote_can_be_changed(void **state)
{
	const size_t step = getenv("MSE_TEST_EVERY_BIT") != NULL ? 1 : 7;
	mse_cleanup(evidence_clear) struct evidence evidence = { 0 };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *good = NULL;

	(void)state;
	need_vectors();
	load_vector(&evidence, "d05_sgx3_automata_eval17");
	good = verify_evidence(&evidence);
	assert_failed_checks(good, "");
	for (size_t bit = 0; bit < evidence.quote.size * 8; bit += step) {
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
		uint8_t mask = (uint8_t)(1u << bit % 8);

		evidence.quote.data[bit / 8] ^= mask;
		verdict = verify_evidence(&evidence);
		/* The NUL behind the PEM text may as well be a space. */
		if (mse_verdict_passed(verdict) && !(bit / 8 == evidence.quote.size - 1 && evidence.quote.data[bit / 8] == ' '))
			fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
		evidence.quote.data[bit / 8] ^= mask;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_set_gets_its_verdict),
		cmocka_unit_test(a_status_passes_when_the_policy_names_it),
		cmocka_unit_test(a_policy_may_be_narrower_than_the_default),
		cmocka_unit_test(an_expired_crl_is_the_only_fault_of_the_cosmian_evidence_once_its_status_is_accepted),
		cmocka_unit_test(both_editions_of_intels_root_count_in_any_order),
		cmocka_unit_test(a_chain_to_a_foreign_root_is_refused_with_its_fingerprint),
		cmocka_unit_test(a_quote_without_its_chain_is_refused_by_name),
		cmocka_unit_test(evidence_of_other_kinds_is_refused_by_name),
		cmocka_unit_test(quotes_in_ra_tls_certificates_bind_their_keys),
		cmocka_unit_test(collateral_of_another_platform_or_time_does_not_fit),
		cmocka_unit_test(no_bit_of_a_real_quote_can_be_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
