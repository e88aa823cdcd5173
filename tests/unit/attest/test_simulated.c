/* The verifier against the simulation, which signs whatever a test wants to see refused; and the simulation itself. */
#include "evidence.h"

#include <openssl/pem.h>
#include <sys/stat.h>

#include "attest/collateral.h"
#include "attest/verdict.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "tee/sim_cpu.h"
#include "tee/sim_pki.h"

#define NOW INT64_C(1800000000)
#define DAY (INT64_C(24) * 3600)

static struct mse_error_info err;
static char root_folder[] = "/tmp/mse-test-attest-XXXXXX";
static char *sim, *other_sim;
static uint8_t sim_root[32], other_root[32];

static char *folder(const char *name)
{
	char *path;

	assert_works(mse_path_join(root_folder, name, &path, &err));
	return path;
}

static char *file_of(const char *dir, const char *name)
{
	char *path;

	assert_works(mse_path_join(dir, name, &path, &err));
	return path;
}

static int set_up(void **state)
{
	mse_autofree char *pem = NULL, *other_pem = NULL;

	(void)state;
	assert_works(mse_secret_init(&err));
	assert_non_null(mkdtemp(root_folder));
	sim = folder("sim");
	other_sim = folder("other");
	assert_works(mse_sim_pki_ensure(sim, NOW, NULL, &err));
	assert_works(mse_sim_pki_ensure(other_sim, NOW, NULL, &err));
	assert_works(mse_sim_pki_root(sim, &pem, sim_root, &err));
	assert_works(mse_sim_pki_root(other_sim, &other_pem, other_root, &err));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_works(mse_tree_remove(root_folder, &err));
	free(sim);
	free(other_sim);
	return 0;
}

static struct evidence_file file_at(const char *dir, const char *name)
{
	mse_autofree char *path = file_of(dir, name);
	struct evidence_file file;

	assert_works(mse_file_read(path, 1 << 20, &file.data, &file.size, &err));
	return file;
}

static struct evidence_file joined(const char *dir, const char *const names[])
{
	struct evidence_file all = { 0 };

	for (size_t i = 0; names[i] != NULL; i++) {
		struct evidence_file part = file_at(dir, names[i]);

		all.data = realloc(all.data, all.size + part.size + 1);
		memcpy(all.data + all.size, part.data, part.size + 1);
		all.size += part.size;
		free(part.data);
	}
	return all;
}

static void fill_report(struct mse_sim_report *report)
{
	*report = (struct mse_sim_report){ .isv_prod_id = 7, .isv_svn = 3 };
	memset(report->mrenclave, 0xa5, sizeof report->mrenclave);
	memset(report->report_data, 0x5a, sizeof report->report_data);
}

/* A quote of the platform in dir and its collateral, pinned to its root, at NOW. */
static void make_evidence(struct evidence *evidence, const char *dir, bool debug)
{
	static const char *const signers[] = { "tcb.pem", "root.pem", NULL };
	mse_cleanup(mse_sim_platform_freep) struct mse_sim_platform *platform = NULL;
	struct mse_sim_report report;

	fill_report(&report);
	report.debug = debug;
	assert_works(mse_sim_pki_load(dir, &platform, &err));
	*evidence = (struct evidence){
		.tcb_info = file_at(dir, "tcb_info.json"),
		.tcb_chain = joined(dir, signers),
		.qe_identity = file_at(dir, "qe_identity.json"),
		.qe_chain = joined(dir, signers),
		.root_crl = file_at(dir, "root_ca.crl"),
		.pck_crl = file_at(dir, "pck.crl"),
		.time = NOW,
		.simulation_root = sim_root,
	};
	assert_works(mse_sim_cpu_quote(platform, &report, &evidence->quote.data, &evidence->quote.size, &err));
}

static void assert_verdict(const struct evidence *evidence, const char *failed)
{
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = verify_evidence(evidence);

	assert_failed_checks(verdict, failed);
}

/* Verifies and checks that the failed check's explanation speaks of this. */
static void assert_refused(const struct evidence *evidence, const char *check, const char *text)
{
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = verify_evidence(evidence);

	assert_false(mse_verdict_passed(verdict));
	assert_int_equal(check_result(verdict, check), MSE_CHECK_FAILED);
	if (strstr(check_found(verdict, check), text) == NULL)
		fail_msg("'%s' does not speak of '%s'", check_found(verdict, check), text);
}

/* --- the good case ------------------------------------------------------------------------------------------------ */

static void a_simulated_quote_passes_under_its_pinned_root_and_says_so(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
	struct mse_sim_report report;

	(void)state;
	fill_report(&report);
	make_evidence(&evidence, sim, false);
	verdict = verify_evidence(&evidence);
	assert_failed_checks(verdict, "");
	assert_true(mse_verdict_simulated(verdict));
	assert_int_equal(mse_verdict_root_kind(verdict), MSE_ROOT_SIMULATION);
	assert_string_equal(mse_verdict_status(verdict), "UpToDate");
	assert_memory_equal(mse_verdict_mrenclave(verdict), report.mrenclave, 32);
	assert_memory_equal(mse_verdict_report_data(verdict), report.report_data, 64);
	assert_int_equal(mse_verdict_isv_prod_id(verdict), 7);
	assert_int_equal(mse_verdict_isv_svn(verdict), 3);
	assert_memory_equal(mse_verdict_fmspc(verdict), "MSESIM", 6);
	assert_non_null(mse_verdict_piid(verdict));
	assert_memory_equal(mse_verdict_root_fingerprint(verdict), sim_root, 32);
	assert_non_null(strstr(check_found(verdict, "certificate-chain"), "SIMULATION"));
}

static void the_verdict_as_json_says_all_of_it(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
	mse_autofree char *text = NULL;
	mse_autojson *json = NULL;

	(void)state;
	make_evidence(&evidence, sim, false);
	verdict = verify_evidence(&evidence);
	text = mse_verdict_json(verdict);
	assert_works(mse_json_parse(text, strlen(text), "verdict", &json, &err));
	assert_string_equal(json_string_value(json_object_get(json, "verdict")), "pass");
	assert_string_equal(json_string_value(json_object_get(json, "tee")), "sgx");
	assert_true(json_is_true(json_object_get(json, "simulated")));
	assert_int_equal(json_array_size(json_object_get(json, "checks")), 9);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json, "checks"), 0), "result")), "passed");
}

static void collateral_travels_as_one_json_text(void **state)
{
	mse_cleanup(mse_collateral_freep) struct mse_collateral_owned *collateral = NULL;
	mse_cleanup(evidence_clear) struct evidence evidence;
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
	const struct mse_verify_params params = { .time = NOW, .simulation_root = sim_root };
	mse_autofree char *text = NULL;

	(void)state;
	make_evidence(&evidence, sim, false);
	assert_works(mse_sim_pki_collateral_json(sim, &text, &err));
	assert_works(mse_collateral_parse(text, strlen(text), &collateral, &err));
	assert_int_equal(mse_attest_verify(evidence.quote.data, evidence.quote.size, mse_collateral_view(collateral), &params, &verdict), MSE_ATTEST_PASS);
}

/* --- roots -------------------------------------------------------------------------------------------------------- */

static void a_simulation_root_counts_only_when_it_is_pinned(void **state)
{
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
	mse_cleanup(evidence_clear) struct evidence evidence;

	(void)state;
	make_evidence(&evidence, sim, false);
	evidence.simulation_root = NULL;
	assert_verdict(&evidence, "certificate-chain crl tcb-info qe-identity qe-report tcb-status");
	assert_refused(&evidence, "certificate-chain", "--allow-simulation");
	verdict = verify_evidence(&evidence);
	assert_int_equal(mse_verdict_root_kind(verdict), MSE_ROOT_NONE);
	assert_true(mse_verdict_simulated(verdict));
	evidence.simulation_root = other_root;
	assert_refused(&evidence, "certificate-chain", "another simulation root than the pinned one");
}

static void a_simulation_cannot_claim_to_be_intels_quoting_enclave(void **state)
{
	static const uint8_t intel[16] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };
	mse_cleanup(evidence_clear) struct evidence evidence;

	(void)state;
	make_evidence(&evidence, sim, false);
	memcpy(evidence.quote.data + 12, intel, sizeof intel);
	assert_refused(&evidence, "qe-report", "another vendor");
}

static void collateral_of_another_root_does_not_count(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence, other;

	(void)state;
	make_evidence(&other, other_sim, false);
	make_evidence(&evidence, sim, false);
	file_replace(&evidence.tcb_info, file_at(other_sim, "tcb_info.json"));
	assert_refused(&evidence, "tcb-info", "does not verify");
	file_clear(&evidence.tcb_chain);
	evidence.tcb_chain = other.tcb_chain;
	other.tcb_chain = (struct evidence_file){ 0 };
	assert_refused(&evidence, "tcb-info", "another root");
	evidence_clear(&evidence);
	make_evidence(&evidence, sim, false);
	file_replace(&evidence.qe_identity, file_at(other_sim, "qe_identity.json"));
	assert_refused(&evidence, "qe-identity", "does not verify");
	file_replace(&evidence.root_crl, file_at(other_sim, "root_ca.crl"));
	assert_refused(&evidence, "crl", "root CRL");
	file_replace(&evidence.root_crl, file_at(sim, "root_ca.crl"));
	file_replace(&evidence.pck_crl, file_at(other_sim, "pck.crl"));
	assert_refused(&evidence, "crl", "PCK CRL");
}

/* --- certificates ------------------------------------------------------------------------------------------------- */

static void set_chain(struct evidence *evidence, const char *dir, const char *const names[])
{
	mse_cleanup(file_clear) struct evidence_file chain = joined(dir, names);

	file_replace(&evidence->quote, quote_with_chain(evidence->quote, chain.data, chain.size));
}

static void certificates_may_come_in_any_order(void **state)
{
	static const char *const orders[][4] = {
		{ "pck.pem", "pck_ca.pem", "root.pem" }, { "pck.pem", "root.pem", "pck_ca.pem" }, { "root.pem", "pck_ca.pem", "pck.pem" },
		{ "root.pem", "pck.pem", "pck_ca.pem" }, { "pck_ca.pem", "pck.pem", "root.pem" }, { "pck_ca.pem", "root.pem", "pck.pem" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence;

		make_evidence(&evidence, sim, false);
		set_chain(&evidence, sim, orders[i]);
		assert_verdict(&evidence, "");
	}
}

static void no_certificate_may_be_missing_doubled_or_foreign(void **state)
{
	static const char *const chains[][5] = {
		{ "pck.pem", "pck_ca.pem" }, { "pck.pem", "root.pem" }, { "pck_ca.pem", "root.pem" }, { "root.pem" },
		{ "pck.pem", "pck_ca.pem", "root.pem", "root.pem" }, { "pck.pem", "pck.pem", "pck_ca.pem", "root.pem" },
		{ "pck.pem", "pck_ca.pem", "root.pem", "tcb.pem" }, { "tcb.pem", "pck_ca.pem", "root.pem" }, { "tcb.pem", "root.pem" },
		{ "pck.pem", "tcb.pem", "root.pem" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence;

		make_evidence(&evidence, sim, false);
		set_chain(&evidence, sim, chains[i]);
		assert_refused(&evidence, "certificate-chain", "certificate");
	}
}

static void certificates_of_another_node_do_not_mix_in(void **state)
{
	static const char *const names[] = { "pck.pem", "pck_ca.pem", "root.pem", NULL };

	(void)state;
	for (size_t swapped = 0; swapped < 3; swapped++) {
		mse_cleanup(evidence_clear) struct evidence evidence;
		mse_cleanup(file_clear) struct evidence_file chain = { 0 };

		make_evidence(&evidence, sim, false);
		for (size_t i = 0; i < 3; i++) {
			const char *const one[] = { names[i], NULL };
			struct evidence_file part = joined(i == swapped ? other_sim : sim, one);

			chain.data = realloc(chain.data, chain.size + part.size);
			memcpy(chain.data + chain.size, part.data, part.size);
			chain.size += part.size;
			free(part.data);
		}
		file_replace(&evidence.quote, quote_with_chain(evidence.quote, chain.data, chain.size));
		assert_refused(&evidence, "certificate-chain", swapped == 2 ? "simulation root" : "issued by");
	}
}

static void text_between_certificates_is_refused(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;
	mse_cleanup(file_clear) struct evidence_file chain = { 0 };
	mse_autofree char *longer = NULL;

	(void)state;
	make_evidence(&evidence, sim, false);
	chain = chain_of_quote(evidence.quote);
	assert_works(mse_format(&longer, &err, "%.*sx", (int)chain.size, (char *)chain.data));
	file_replace(&evidence.quote, quote_with_chain(evidence.quote, longer, strlen(longer)));
	assert_refused(&evidence, "certificate-chain", "not PEM");
}

static void certificates_are_refused_outside_their_dates(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;

	(void)state;
	make_evidence(&evidence, sim, false);
	evidence.time = NOW - 2 * DAY;
	assert_refused(&evidence, "certificate-chain", "valid only from");
	evidence.time = NOW + 21 * 366 * DAY;
	assert_refused(&evidence, "certificate-chain", "expired");
}

/* --- drills: what a vendor can say about a platform -------------------------------------------------------------- */

static void with_drill(const struct mse_sim_drill *drill, struct evidence *evidence)
{
	mse_autofree char *dir = folder("drill");
	mse_autofree char *pem = NULL;
	static uint8_t root[32];

	assert_works(mse_sim_pki_ensure(dir, NOW, drill, &err));
	assert_works(mse_sim_pki_root(dir, &pem, root, &err));
	make_evidence(evidence, dir, false);
	evidence->simulation_root = root;
}

static void revoked_certificates_are_refused(void **state)
{
	static const struct mse_sim_drill pck = { .revoke_pck = true }, ca = { .revoke_pck_ca = true };
	mse_cleanup(evidence_clear) struct evidence leaf_revoked, ca_revoked;

	(void)state;
	with_drill(&pck, &leaf_revoked);
	assert_verdict(&leaf_revoked, "crl");
	assert_refused(&leaf_revoked, "crl", "'MSE SIMULATION PCK Certificate' is revoked");
	with_drill(&ca, &ca_revoked);
	assert_verdict(&ca_revoked, "crl");
	assert_refused(&ca_revoked, "crl", "'MSE SIMULATION PCK Platform CA' is revoked");
}

static void expired_collateral_is_refused(void **state)
{
	static const struct mse_sim_drill drill = { .expired_collateral = true };
	mse_cleanup(evidence_clear) struct evidence evidence, healthy;

	(void)state;
	with_drill(&drill, &evidence);
	assert_verdict(&evidence, "crl tcb-info qe-identity");
	make_evidence(&healthy, sim, false);
	healthy.time = NOW + 28 * DAY;
	assert_verdict(&healthy, "");
	healthy.time = NOW + 31 * DAY;
	assert_verdict(&healthy, "crl tcb-info qe-identity");
	healthy.time = NOW - 2 * 3600;
	assert_verdict(&healthy, "crl tcb-info qe-identity");
}

static void each_status_passes_only_by_its_own_name(void **state)
{
	static const char *const statuses[] = { "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
		"OutOfDateConfigurationNeeded", "Revoked" };

	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		const struct mse_sim_drill drill = { .tcb_status = statuses[i] };
		const char *const accepted[] = { statuses[i], NULL };
		mse_cleanup(evidence_clear) struct evidence evidence;
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;

		with_drill(&drill, &evidence);
		verdict = verify_evidence(&evidence);
		assert_string_equal(mse_verdict_status(verdict), statuses[i]);
		assert_failed_checks(verdict, i < 2 ? "" : "tcb-status");
		assert_int_equal(mse_verdict_advisory_count(verdict), i == 0 ? 0 : 1);
		if (!mse_policy_is_status(statuses[i]))
			continue;
		evidence.accepted = accepted;
		assert_verdict(&evidence, "");
	}
}

static void the_quoting_enclaves_status_converges_with_the_platforms(void **state)
{
	static const struct {
		const char *platform, *qe, *both;
	} cases[] = {
		{ "UpToDate", "OutOfDate", "OutOfDate" },
		{ "SWHardeningNeeded", "OutOfDate", "OutOfDate" },
		{ "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded" },
		{ "ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded" },
		{ "OutOfDate", "UpToDate", "OutOfDate" },
		{ "OutOfDateConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded" },
		{ "UpToDate", "Revoked", "Revoked" },
		{ "OutOfDate", "Revoked", "Revoked" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct mse_sim_drill drill = { .tcb_status = cases[i].platform, .qe_status = cases[i].qe };
		mse_cleanup(evidence_clear) struct evidence evidence;
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;

		with_drill(&drill, &evidence);
		verdict = verify_evidence(&evidence);
		assert_failed_checks(verdict, "tcb-status");
		assert_string_equal(mse_verdict_status(verdict), cases[i].both);
	}
}

static void a_platform_below_every_level_has_no_status(void **state)
{
	static const struct mse_sim_drill tcb = { .tcb_status = "none" }, qe = { .qe_status = "none" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence;
		mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;

		with_drill(i == 0 ? &tcb : &qe, &evidence);
		verdict = verify_evidence(&evidence);
		assert_failed_checks(verdict, "tcb-status");
		assert_null(mse_verdict_status(verdict));
		assert_non_null(strstr(check_found(verdict, "tcb-status"), "reaches no TCB level"));
	}
}

static void a_debug_enclave_is_always_refused(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;

	(void)state;
	make_evidence(&evidence, sim, true);
	assert_verdict(&evidence, "debug");
}

static void missing_collateral_fails_by_name(void **state)
{
	static const char *const failed[] = { "tcb-info tcb-status", "tcb-info tcb-status", "qe-identity qe-report tcb-status",
		"qe-identity qe-report tcb-status", "crl", "crl" };

	(void)state;
	for (size_t i = 0; i < sizeof failed / sizeof failed[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence;
		struct evidence_file *files[] = { &evidence.tcb_info, &evidence.tcb_chain, &evidence.qe_identity, &evidence.qe_chain, &evidence.root_crl,
			&evidence.pck_crl };

		make_evidence(&evidence, sim, false);
		file_clear(files[i]);
		assert_verdict(&evidence, failed[i]);
	}
}

/* --- hostile bytes ------------------------------------------------------------------------------------------------ */

static bool passes(const struct evidence *evidence)
{
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = verify_evidence(evidence);

	return mse_verdict_passed(verdict);
}

static void no_bit_of_a_quote_can_be_changed(void **state)
{
	const size_t step = getenv("MSE_TEST_EVERY_BIT") != NULL ? 1 : 7;
	mse_cleanup(evidence_clear) struct evidence evidence;

	(void)state;
	make_evidence(&evidence, sim, false);
	for (size_t bit = 0; bit < evidence.quote.size * 8; bit += step) {
		evidence.quote.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (passes(&evidence))
			fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
		evidence.quote.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(passes(&evidence));
}

static void no_bit_of_the_collateral_can_be_changed(void **state)
{
	const size_t step = getenv("MSE_TEST_EVERY_BIT") != NULL ? 1 : 29;
	mse_cleanup(evidence_clear) struct evidence evidence;
	struct evidence_file *files[] = { &evidence.tcb_info, &evidence.tcb_chain, &evidence.qe_identity, &evidence.qe_chain, &evidence.root_crl,
		&evidence.pck_crl };

	(void)state;
	make_evidence(&evidence, sim, false);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		for (size_t bit = 0; bit < files[i]->size * 8; bit += step) {
			uint8_t *byte = &files[i]->data[bit / 8], before = *byte;

			*byte ^= (uint8_t)(1u << bit % 8);
			/* A hex digit of the signature may as well be of the other case. */
			if (passes(&evidence) && !(i % 2 == 0 && (*byte ^ before) == 0x20 && before >= 'a' && before <= 'f'))
				fail_msg("file %zu, bit %zu of byte %zu", i, bit % 8, bit / 8);
			*byte = before;
		}
	assert_true(passes(&evidence));
}

static void a_quote_cut_anywhere_is_refused_and_zeros_behind_it_are_ignored(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;
	size_t whole;

	(void)state;
	make_evidence(&evidence, sim, false);
	whole = evidence.quote.size;
	for (size_t size = 0; size < whole; size++) {
		uint8_t *copy = malloc(size + 1);
		struct evidence cut = evidence;

		/* An allocation of exactly this size, so that the sanitizer sees a read behind it. */
		copy = realloc(copy, size == 0 ? 1 : size);
		memcpy(copy, evidence.quote.data, size);
		cut.quote = (struct evidence_file){ copy, size };
		assert_refused(&cut, "quote-format", "");
		free(copy);
	}
	evidence.quote.data = realloc(evidence.quote.data, whole + 4096);
	memset(evidence.quote.data + whole, 0, 4096);
	evidence.quote.size = whole + 4096;
	assert_verdict(&evidence, "");
	evidence.quote.data[whole + 4095] = 1;
	assert_refused(&evidence, "quote-format", "not all zero");
}

static void lengths_in_a_quote_must_be_exact(void **state)
{
	static const struct {
		size_t at, size;
	} fields[] = { { 432, 4 }, { 1012, 2 }, { 1012 + 2 + 32 + 2, 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence;
		uint8_t *field;
		uint32_t value = 0;

		make_evidence(&evidence, sim, false);
		field = evidence.quote.data + fields[i].at;
		memcpy(&value, field, fields[i].size);
		for (int variant = 0; variant < 5; variant++) {
			const uint32_t wrong[] = { 0, UINT32_MAX, value + 1, value - 1, UINT32_MAX / 2 };

			memcpy(field, &wrong[variant], fields[i].size);
			assert_refused(&evidence, "quote-format", "");
		}
	}
}

static void larger_inputs_than_the_limits_are_refused_unparsed(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence;
	struct evidence_file *files[] = { &evidence.quote, &evidence.tcb_info, &evidence.tcb_chain, &evidence.qe_identity, &evidence.root_crl };
	static const size_t limits[] = { MSE_QUOTE_MAX_SIZE, MSE_COLLATERAL_JSON_MAX_SIZE, MSE_COLLATERAL_CHAIN_MAX_SIZE, MSE_COLLATERAL_JSON_MAX_SIZE,
		MSE_COLLATERAL_CRL_MAX_SIZE };
	static const char *const checks[] = { "quote-format", "tcb-info", "tcb-info", "qe-identity", "crl" };

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		make_evidence(&evidence, sim, false);
		files[i]->data = realloc(files[i]->data, limits[i] + 1);
		memset(files[i]->data + files[i]->size, i == 0 ? 0 : ' ', limits[i] + 1 - files[i]->size);
		files[i]->size = limits[i] + 1;
		assert_refused(&evidence, checks[i], "at most");
		evidence_clear(&evidence);
	}
}

static void signed_bodies_have_one_form_only(void **state)
{
	static const struct {
		const char *before, *after;
	} changes[] = {
		{ "{\"tcbInfo\":", "{\"tcbinfo\":" }, { "\"signature\":\"", "\"signature\":\"00" }, { "\"signature\"", "\"sig\\u006eature\"" },
		{ "{\"tcbInfo\":", "{\"x\":1,\"tcbInfo\":" }, { "{\"tcbInfo\":", "{\"tcbInfo\":{},\"tcbInfo\":" }, { "{\"tcbInfo\":", "[{\"tcbInfo\":" },
		{ "{\"id\":\"SGX\"", "{ \"id\":\"SGX\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		mse_cleanup(evidence_clear) struct evidence evidence;
		const char *text, *at;
		char *changed;

		make_evidence(&evidence, sim, false);
		text = (const char *)evidence.tcb_info.data;
		at = strstr(text, changes[i].before);
		assert_non_null(at);
		assert_works(mse_format(&changed, &err, "%.*s%s%s", (int)(at - text), text, changes[i].after, at + strlen(changes[i].before)));
		file_clear(&evidence.tcb_info);
		evidence.tcb_info = (struct evidence_file){ (uint8_t *)changed, strlen(changed) };
		assert_verdict(&evidence, "tcb-info tcb-status");
	}
}

/* --- verdict and parameters --------------------------------------------------------------------------------------- */

static void a_verdict_fails_until_everything_passed(void **state)
{
	mse_cleanup(mse_verdict_freep) struct mse_verdict *empty = mse_verdict_new(), *verdict = NULL;
	mse_cleanup(evidence_clear) struct evidence evidence;

	(void)state;
	assert_false(mse_verdict_passed(empty));
	mse_verdict_add_check(empty, "something", true, NULL, NULL);
	assert_false(mse_verdict_passed(empty));
	make_evidence(&evidence, sim, false);
	verdict = verify_evidence(&evidence);
	assert_true(mse_verdict_passed(verdict));
	mse_verdict_require(verdict, "binding");
	assert_false(mse_verdict_passed(verdict));
	mse_verdict_add_not_applicable(verdict, "other", "nothing to see");
	mse_verdict_add_check(verdict, "binding", true, "this key", "this key");
	assert_true(mse_verdict_passed(verdict));
	mse_verdict_add_not_applicable(verdict, "binding", "no");
	assert_false(mse_verdict_passed(verdict));
	mse_verdict_add_check(verdict, "measurement", false, "a", "b");
	assert_string_equal(mse_verdict_first_failed(verdict)->name, "measurement");
}

static void texts_of_checks_cannot_command_a_terminal(void **state)
{
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = mse_verdict_new();
	mse_autofree char *json = NULL;

	(void)state;
	mse_verdict_add_check(verdict, "x", false, "\x1b[2J", "a\xff\n\xc2\x9b");
	mse_verdict_add_check(verdict, "y", false, "caf\xc3\xa9", "\xc2\x9bZ");
	assert_string_equal(mse_verdict_check(verdict, 0)->expected, "?[2J");
	assert_string_equal(mse_verdict_check(verdict, 0)->found, "a??" "??");
	assert_string_equal(mse_verdict_check(verdict, 1)->expected, "caf\xc3\xa9");
	assert_string_equal(mse_verdict_check(verdict, 1)->found, "??Z");
	json = mse_verdict_json(verdict);
	assert_non_null(json);
}

static void senseless_parameters_give_no_verdict(void **state)
{
	static const char *const unknown[] = { "UpToDate", "Fine", NULL }, *const revoked[] = { "Revoked", NULL }, *const nothing[] = { NULL };
	const struct mse_verify_params params[] = {
		{ .time = 0 }, { .time = -1 }, { .time = NOW, .accepted_statuses = unknown }, { .time = NOW, .accepted_statuses = revoked },
		{ .time = NOW, .accepted_statuses = nothing },
	};
	struct mse_verdict *verdict;

	(void)state;
	for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
		assert_int_equal(mse_attest_verify("x", 1, NULL, &params[i], &verdict), MSE_ATTEST_USAGE);
		assert_null(verdict);
	}
	assert_int_equal(mse_attest_verify("x", 1, NULL, NULL, &verdict), MSE_ATTEST_USAGE);
}

static void nothing_at_all_is_refused(void **state)
{
	mse_cleanup(evidence_clear) struct evidence evidence = { .time = NOW };
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = verify_evidence(&evidence);

	(void)state;
	assert_false(mse_verdict_passed(verdict));
	assert_null(mse_verdict_tee(verdict));
	assert_null(mse_verdict_mrenclave(verdict));
}

/* --- the simulation's folder -------------------------------------------------------------------------------------- */

static void private_files_are_for_their_owner_only(void **state)
{
	static const char *const secret[] = { "sealing.secret", "root.key", "pck_ca.key", "pck.key", "tcb.key" };
	struct stat status;

	(void)state;
	for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
		mse_autofree char *path = file_of(sim, secret[i]);

		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 0777, 0600);
	}
	assert_int_equal(stat(sim, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
}

static void collateral_is_renewed_when_half_its_time_is_gone(void **state)
{
	mse_autofree char *dir = folder("renewed");
	struct evidence_file first, same, renewed;

	(void)state;
	assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
	first = file_at(dir, "tcb_info.json");
	assert_works(mse_sim_pki_ensure(dir, NOW + 14 * DAY, NULL, &err));
	same = file_at(dir, "tcb_info.json");
	assert_string_equal(first.data, same.data);
	assert_works(mse_sim_pki_ensure(dir, NOW + 16 * DAY, NULL, &err));
	renewed = file_at(dir, "tcb_info.json");
	assert_string_not_equal(first.data, renewed.data);
	file_clear(&first);
	file_clear(&same);
	file_clear(&renewed);
}

static void restored_old_collateral_is_named(void **state)
{
	static const char *const names[] = { "tcb_info.json", "qe_identity.json", "root_ca.crl", "pck.crl" };
	mse_autofree char *dir = folder("restored");

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		mse_cleanup(file_clear) struct evidence_file old = { 0 };
		mse_autofree char *path = file_of(dir, names[i]);

		assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
		old = file_at(dir, names[i]);
		assert_works(mse_sim_pki_ensure(dir, NOW + 40 * DAY, NULL, &err));
		assert_works(mse_file_write(path, old.data, old.size, 0644, &err));
		assert_fails(mse_sim_pki_ensure(dir, NOW + 40 * DAY, NULL, &err), MSE_ERR_INPUT, names[i]);
		assert_int_equal(unlink(path), 0);
		assert_works(mse_sim_pki_ensure(dir, NOW + 40 * DAY, NULL, &err));
	}
}

static const char *const all_files[] = { "sealing.secret", "platform.json", "root.key", "root.pem", "pck_ca.key", "pck_ca.pem", "pck.key", "pck.pem", "tcb.key",
	"tcb.pem", "tcb_info.json", "qe_identity.json", "root_ca.crl", "pck.crl", "collateral.state" };
#define FILE_TOTAL (sizeof all_files / sizeof all_files[0])

/* A crash leaves the first files complete and the others absent. */
static void a_crash_at_any_point_is_mended_by_the_next_start(void **state)
{
	(void)state;
	for (size_t kept = 0; kept <= FILE_TOTAL; kept++) {
		mse_autofree char *name = NULL, *dir = NULL, *pem = NULL;
		mse_cleanup(evidence_clear) struct evidence evidence;
		uint8_t root[32];

		assert_works(mse_format(&name, &err, "crash-%zu", kept));
		dir = folder(name);
		assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
		for (size_t i = kept; i < FILE_TOTAL; i++) {
			mse_autofree char *path = file_of(dir, all_files[i]);

			assert_int_equal(unlink(path), 0);
		}
		assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
		assert_works(mse_sim_pki_root(dir, &pem, root, &err));
		make_evidence(&evidence, dir, false);
		evidence.simulation_root = root;
		assert_verdict(&evidence, "");
	}
}

static void a_lost_identity_is_an_error_and_not_replaced(void **state)
{
	static const char *const identity[] = { "sealing.secret", "platform.json", "root.key", "pck_ca.key", "pck.key", "tcb.key" };
	mse_autofree char *dir = folder("lost");

	(void)state;
	assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
	for (size_t i = 0; i < sizeof identity / sizeof identity[0]; i++) {
		mse_autofree char *path = file_of(dir, identity[i]);
		mse_autofree char *aside = file_of(dir, "aside");

		assert_int_equal(rename(path, aside), 0);
		assert_fails(mse_sim_pki_ensure(dir, NOW, NULL, &err), MSE_ERR_NOT_FOUND, identity[i]);
		assert_false(mse_path_exists(path));
		assert_int_equal(rename(aside, path), 0);
	}
	assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
}

static void a_changed_or_cut_file_is_named(void **state)
{
	mse_autofree char *dir = folder("changed");

	(void)state;
	assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
	for (size_t i = 0; i < FILE_TOTAL - 1; i++)
		for (int variant = 0; variant < 3; variant++) {
			mse_autofree char *path = file_of(dir, all_files[i]);
			mse_cleanup(file_clear) struct evidence_file original = file_at(dir, all_files[i]), other = file_at(other_sim, all_files[i]);

			if (variant == 0)
				assert_works(mse_file_write(path, original.data, original.size / 2, 0600, &err));
			else if (variant == 1)
				assert_works(mse_file_write(path, "", 0, 0600, &err));
			else
				assert_works(mse_file_write(path, other.data, other.size, 0600, &err));
			/* Another node's secret or root is a whole identity: it shows only in what belongs to it. */
			if (!(variant == 2 && i == 0)) {
				int result = mse_sim_pki_ensure(dir, NOW, NULL, &err);

				if (result >= 0 || strstr(err.message, dir) == NULL)
					fail_msg("%s, variant %d: %d %s", all_files[i], variant, result, err.message);
				if (variant < 2)
					assert_non_null(strstr(err.message, all_files[i]));
			}
			assert_works(mse_file_write(path, original.data, original.size, 0600, &err));
		}
	assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
}

static void an_unknown_status_cannot_be_simulated(void **state)
{
	static const struct mse_sim_drill drill = { .tcb_status = "Splendid" };

	(void)state;
	assert_fails(mse_sim_pki_ensure(sim, NOW, &drill, &err), MSE_ERR_INPUT, "Splendid");
}

static void sealing_keys_belong_to_one_enclave_label_and_platform(void **state)
{
	mse_cleanup(mse_sim_platform_freep) struct mse_sim_platform *platform = NULL, *again = NULL, *other = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL, *same = NULL, *other_label = NULL, *other_enclave = NULL, *other_platform = NULL;
	uint8_t mrenclave[32] = { 1 }, another[32] = { 2 };
	char long_label[300];

	(void)state;
	assert_works(mse_sim_pki_load(sim, &platform, &err));
	assert_works(mse_sim_pki_load(sim, &again, &err));
	assert_works(mse_sim_pki_load(other_sim, &other, &err));
	assert_works(mse_sim_cpu_sealing_key(platform, mrenclave, "storage", &key, &err));
	assert_works(mse_sim_cpu_sealing_key(again, mrenclave, "storage", &same, &err));
	assert_works(mse_sim_cpu_sealing_key(platform, mrenclave, "state", &other_label, &err));
	assert_works(mse_sim_cpu_sealing_key(platform, another, "storage", &other_enclave, &err));
	assert_works(mse_sim_cpu_sealing_key(other, mrenclave, "storage", &other_platform, &err));
	assert_int_equal(mse_secret_size(key), 32);
	assert_memory_equal(mse_secret_view(key), mse_secret_view(same), 32);
	assert_memory_not_equal(mse_secret_view(key), mse_secret_view(other_label), 32);
	assert_memory_not_equal(mse_secret_view(key), mse_secret_view(other_enclave), 32);
	assert_memory_not_equal(mse_secret_view(key), mse_secret_view(other_platform), 32);
	memset(long_label, 'x', sizeof long_label - 1);
	long_label[sizeof long_label - 1] = '\0';
	assert_fails(mse_sim_cpu_sealing_key(platform, mrenclave, long_label, &same, &err), MSE_ERR_LIMIT, "label");
	assert_fails(mse_sim_cpu_sealing_key(platform, mrenclave, "", &same, &err), MSE_ERR_LIMIT, "label");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_simulated_quote_passes_under_its_pinned_root_and_says_so),
		cmocka_unit_test(the_verdict_as_json_says_all_of_it),
		cmocka_unit_test(collateral_travels_as_one_json_text),
		cmocka_unit_test(a_simulation_root_counts_only_when_it_is_pinned),
		cmocka_unit_test(a_simulation_cannot_claim_to_be_intels_quoting_enclave),
		cmocka_unit_test(collateral_of_another_root_does_not_count),
		cmocka_unit_test(certificates_may_come_in_any_order),
		cmocka_unit_test(no_certificate_may_be_missing_doubled_or_foreign),
		cmocka_unit_test(certificates_of_another_node_do_not_mix_in),
		cmocka_unit_test(text_between_certificates_is_refused),
		cmocka_unit_test(certificates_are_refused_outside_their_dates),
		cmocka_unit_test(revoked_certificates_are_refused),
		cmocka_unit_test(expired_collateral_is_refused),
		cmocka_unit_test(each_status_passes_only_by_its_own_name),
		cmocka_unit_test(the_quoting_enclaves_status_converges_with_the_platforms),
		cmocka_unit_test(a_platform_below_every_level_has_no_status),
		cmocka_unit_test(a_debug_enclave_is_always_refused),
		cmocka_unit_test(missing_collateral_fails_by_name),
		cmocka_unit_test(no_bit_of_a_quote_can_be_changed),
		cmocka_unit_test(no_bit_of_the_collateral_can_be_changed),
		cmocka_unit_test(a_quote_cut_anywhere_is_refused_and_zeros_behind_it_are_ignored),
		cmocka_unit_test(lengths_in_a_quote_must_be_exact),
		cmocka_unit_test(larger_inputs_than_the_limits_are_refused_unparsed),
		cmocka_unit_test(signed_bodies_have_one_form_only),
		cmocka_unit_test(a_verdict_fails_until_everything_passed),
		cmocka_unit_test(texts_of_checks_cannot_command_a_terminal),
		cmocka_unit_test(senseless_parameters_give_no_verdict),
		cmocka_unit_test(nothing_at_all_is_refused),
		cmocka_unit_test(private_files_are_for_their_owner_only),
		cmocka_unit_test(collateral_is_renewed_when_half_its_time_is_gone),
		cmocka_unit_test(restored_old_collateral_is_named),
		cmocka_unit_test(a_crash_at_any_point_is_mended_by_the_next_start),
		cmocka_unit_test(a_lost_identity_is_an_error_and_not_replaced),
		cmocka_unit_test(a_changed_or_cut_file_is_named),
		cmocka_unit_test(an_unknown_status_cannot_be_simulated),
		cmocka_unit_test(sealing_keys_belong_to_one_enclave_label_and_platform),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
