/* The steps of verifying an SGX ECDSA quote: Intel, "Intel SGX ECDSA Quote Library Reference for DCAP", appendix B. */
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "attest/chain.h"
#include "attest/evidence.h"
#include "attest/pck.h"
#include "attest/policy.h"
#include "attest/quote.h"
#include "attest/simulation.h"
#include "attest/tcb.h"
#include "base/text.h"

#define CHECK_FORMAT "quote-format"
#define CHECK_CHAIN "certificate-chain"
#define CHECK_CRL "crl"
#define CHECK_TCB_INFO "tcb-info"
#define CHECK_QE_IDENTITY "qe-identity"
#define CHECK_QE_REPORT "qe-report"
#define CHECK_SIGNATURE "quote-signature"
#define CHECK_STATUS "tcb-status"
#define CHECK_DEBUG "debug"

#define ROOT_CRL "the root CRL"
#define PCK_CRL "the PCK CRL"
#define FOUND_SIZE 256

/* "QE Vendor ID" of Intel's quoting enclave (same document, A.4, "Quote Header"). */
static const uint8_t intel_qe_vendor_id[16] = {
	0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
};

struct sgx_run {
	const struct mse_verification *verification;
	struct mse_verdict *verdict;
	struct mse_cert_pool pool;
	struct mse_sgx_quote quote;
	struct mse_chain chain;
	struct mse_pck_extension pck;
	X509_CRL *root_crl;
	struct mse_tcb_info tcb_info;
	struct mse_qe_identity qe_identity;
	/* What later steps may build on. A step can fail (its dates, for instance) and still leave something authentic behind:
	 * the verdict fails, and the rest is examined all the same, so that it says all that is wrong. */
	bool has_chain;
	bool has_tcb_info;
	bool has_qe_identity;
	bool out_of_memory;
};

static bool record(struct sgx_run *run, const char *name, const char *expected, int result, const struct mse_error_info *err, const char *found)
{
	if (result == MSE_ERR_NOMEM)
		run->out_of_memory = true;
	mse_verdict_add_check(run->verdict, name, result >= 0, expected, result < 0 ? err->message : found);
	return result >= 0;
}

static void not_examined(struct sgx_run *run, const char *name, const char *because)
{
	char found[FOUND_SIZE];

	snprintf(found, sizeof found, "not examined, because %s failed", because);
	mse_verdict_add_check(run->verdict, name, false, NULL, found);
}

static bool check_format(struct sgx_run *run)
{
	struct mse_error_info err;
	char found[FOUND_SIZE];
	struct mse_verdict *verdict = run->verdict;
	const struct mse_sgx_report *report = &run->quote.report;
	int result = mse_sgx_quote_parse(run->verification->evidence, &run->quote, &err);

	snprintf(found, sizeof found, "%zu bytes", run->verification->evidence.size);
	if (!record(run, CHECK_FORMAT, "an SGX ECDSA quote version 3 with its PCK certificate chain", result, &err, found))
		return false;
	verdict->has_report = true;
	memcpy(verdict->mrenclave, report->mrenclave, sizeof verdict->mrenclave);
	memcpy(verdict->mrsigner, report->mrsigner, sizeof verdict->mrsigner);
	memcpy(verdict->report_data, report->report_data, sizeof verdict->report_data);
	verdict->isv_prod_id = report->isv_prod_id;
	verdict->isv_svn = report->isv_svn;
	verdict->debug = (report->attributes[0] & MSE_SGX_FLAG_DEBUG) != 0;
	return true;
}

static int read_platform(struct sgx_run *run, struct mse_error_info *err)
{
	struct mse_verdict *verdict = run->verdict;
	struct mse_view value;
	int result = mse_cert_extension(run->chain.cert[0], MSE_SGX_EXTENSION_OID, &value, err);

	if (result == 0)
		result = mse_pck_extension_parse(value, &run->pck, err);
	if (result < 0)
		return result;
	verdict->has_platform = true;
	memcpy(verdict->fmspc, run->pck.fmspc, sizeof verdict->fmspc);
	memcpy(verdict->pceid, run->pck.pceid, sizeof verdict->pceid);
	memcpy(verdict->ppid, run->pck.ppid, sizeof verdict->ppid);
	verdict->has_piid = run->pck.has_piid;
	memcpy(verdict->piid, run->pck.piid, sizeof verdict->piid);
	return 0;
}

static int examine_chain(struct sgx_run *run, struct mse_error_info *err)
{
	static const enum mse_cert_role roles[] = { MSE_CERT_PCK, MSE_CERT_PCK_CA, MSE_CERT_ROOT };
	const struct mse_verify_params *params = run->verification->params;
	struct mse_chain *chain = &run->chain;
	int result = mse_chain_read(&run->pool, run->quote.cert_chain, chain, err);

	if (result < 0)
		return result;
	run->verdict->named_simulation = chain->named_simulation;
	run->verdict->has_root_fingerprint = true;
	memcpy(run->verdict->root_fingerprint, chain->root_fingerprint, sizeof chain->root_fingerprint);
	result = mse_chain_verify(chain, roles, 3, params->simulation_root, err);
	if (result == 0)
		result = read_platform(run, err);
	if (result < 0)
		return result;
	run->verdict->root_kind = chain->root_kind;
	run->has_chain = true;
	return mse_chain_check_dates(chain, params->time, err);
}

static void check_chain(struct sgx_run *run)
{
	struct mse_error_info err;
	char found[FOUND_SIZE], fingerprint[65];
	int result = examine_chain(run, &err);

	mse_hex_encode(fingerprint, run->chain.root_fingerprint, 32);
	snprintf(found, sizeof found, "%s root, public key SHA-256 %s", mse_verdict_simulated(run->verdict) ? "the pinned SIMULATION" : "Intel's SGX", fingerprint);
	record(run, CHECK_CHAIN, run->verification->params->simulation_root == NULL ? "a valid chain to Intel's SGX root" :
		"a valid chain to Intel's SGX root, or to the pinned simulation root", result, &err, found);
}

static struct mse_view view_of(struct mse_bytes bytes)
{
	return mse_view_of(bytes.data, bytes.size);
}

static int examine_crls(struct sgx_run *run, struct mse_error_info *err)
{
	mse_cleanup(mse_crl_freep) X509_CRL *pck_crl = NULL;
	mse_cleanup(mse_crl_freep) X509_CRL *root_crl = NULL;
	const struct mse_collateral *collateral = run->verification->collateral;
	const int64_t time = run->verification->params->time;
	X509 *pck = run->chain.cert[0], *ca = run->chain.cert[1], *root = run->chain.cert[2];
	X509_CRL *verified;
	int result;

	if ((result = mse_crl_read(view_of(collateral->root_ca_crl), ROOT_CRL, &root_crl, err)) < 0 ||
	    (result = mse_crl_verify(root_crl, root, ROOT_CRL, err)) < 0)
		return result;
	/* From here on the TCB signing certificates can be looked up in it, too. */
	verified = run->root_crl = mse_steal(root_crl);
	if ((result = mse_crl_check_cert(verified, ca, ROOT_CRL, err)) < 0 ||
	    (result = mse_crl_read(view_of(collateral->pck_crl), PCK_CRL, &pck_crl, err)) < 0 ||
	    (result = mse_crl_verify(pck_crl, ca, PCK_CRL, err)) < 0 ||
	    (result = mse_crl_check_cert(pck_crl, pck, PCK_CRL, err)) < 0 ||
	    (result = mse_crl_check_dates(verified, time, ROOT_CRL, err)) < 0)
		return result;
	return mse_crl_check_dates(pck_crl, time, PCK_CRL, err);
}

static void check_crls(struct sgx_run *run)
{
	struct mse_error_info err;

	if (!run->has_chain)
		not_examined(run, CHECK_CRL, CHECK_CHAIN);
	else
		record(run, CHECK_CRL, "current CRLs of the root and the PCK CA that list none of the certificates", examine_crls(run, &err), &err,
			"current, none listed");
}

/* The signer's chain ends at the same root as the quote's, and the signature over the exact bytes of the object is its. */
static int open_signed(struct sgx_run *run, struct mse_bytes text, const char *member, struct mse_bytes issuer_chain, struct mse_view *ret_object,
	struct mse_chain *ret_chain, struct mse_error_info *err)
{
	static const enum mse_cert_role roles[] = { MSE_CERT_TCB_SIGNING, MSE_CERT_ROOT };
	uint8_t signature[64];
	int result = mse_signed_json_split(view_of(text), member, ret_object, signature, err);

	if (result == 0 && (result = mse_chain_read(&run->pool, view_of(issuer_chain), ret_chain, err)) < 0)
		return mse_context(err, "issuer chain");
	if (result == 0 && memcmp(ret_chain->root_fingerprint, run->chain.root_fingerprint, sizeof ret_chain->root_fingerprint) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "issuer chain: it ends at another root than the quote's certificate chain");
	if (result == 0 && (result = mse_chain_verify(ret_chain, roles, 2, run->verification->params->simulation_root, err)) < 0)
		return mse_context(err, "issuer chain");
	return result < 0 ? result : mse_ecdsa_verify(X509_get0_pubkey(ret_chain->cert[0]), *ret_object, signature, member, err);
}

static int check_signer(struct sgx_run *run, const struct mse_chain *chain, const struct mse_signed_body *body, const char *what, struct mse_error_info *err)
{
	const int64_t time = run->verification->params->time;
	int result = 0;

	if (run->root_crl != NULL)
		result = mse_crl_check_cert(run->root_crl, chain->cert[0], ROOT_CRL, err);
	if (result == 0)
		result = mse_chain_check_dates(chain, time, err);
	return result < 0 ? result : mse_signed_body_check_dates(body, time, what, err);
}

static int examine_tcb_info(struct sgx_run *run, struct mse_error_info *err)
{
	const struct mse_collateral *collateral = run->verification->collateral;
	struct mse_chain chain;
	struct mse_view object;
	int result = open_signed(run, collateral->tcb_info, "tcbInfo", collateral->tcb_info_issuer_chain, &object, &chain, err);

	if (result == 0)
		result = mse_tcb_info_parse(object, &run->tcb_info, err);
	if (result < 0)
		return result;
	if (memcmp(run->tcb_info.fmspc, run->pck.fmspc, sizeof run->pck.fmspc) != 0 || memcmp(run->tcb_info.pceid, run->pck.pceid, sizeof run->pck.pceid) != 0) {
		char theirs[13], ours[13];

		mse_hex_encode(theirs, run->tcb_info.fmspc, sizeof run->tcb_info.fmspc);
		mse_hex_encode(ours, run->pck.fmspc, sizeof run->pck.fmspc);
		return mse_fail(err, MSE_ERR_VERIFY, "it is for another kind of platform: FMSPC %s, PCE id %02x%02x; the certificate has %s, %02x%02x", theirs,
			run->tcb_info.pceid[0], run->tcb_info.pceid[1], ours, run->pck.pceid[0], run->pck.pceid[1]);
	}
	run->has_tcb_info = true;
	return check_signer(run, &chain, &run->tcb_info.body, "TCB info", err);
}

static int examine_qe_identity(struct sgx_run *run, struct mse_error_info *err)
{
	const struct mse_collateral *collateral = run->verification->collateral;
	struct mse_chain chain;
	struct mse_view object;
	int result = open_signed(run, collateral->qe_identity, "enclaveIdentity", collateral->qe_identity_issuer_chain, &object, &chain, err);

	if (result == 0)
		result = mse_qe_identity_parse(object, &run->qe_identity, err);
	if (result < 0)
		return result;
	run->has_qe_identity = true;
	return check_signer(run, &chain, &run->qe_identity.body, "QE identity", err);
}

static void describe_body(const struct mse_signed_body *body, char to[static FOUND_SIZE])
{
	char from[MSE_TIME_TEXT_SIZE], until[MSE_TIME_TEXT_SIZE];

	mse_time_format(from, body->issue_date);
	mse_time_format(until, body->next_update);
	snprintf(to, FOUND_SIZE, "version %u, evaluation data number %llu, %s to %s", body->version, (unsigned long long)body->evaluation_number, from, until);
}

static void check_collateral(struct sgx_run *run)
{
	struct mse_error_info err;
	char found[FOUND_SIZE];
	int result;

	if (!run->has_chain) {
		not_examined(run, CHECK_TCB_INFO, CHECK_CHAIN);
		not_examined(run, CHECK_QE_IDENTITY, CHECK_CHAIN);
		return;
	}
	result = examine_tcb_info(run, &err);
	describe_body(&run->tcb_info.body, found);
	record(run, CHECK_TCB_INFO, "signed under the same root, current, for this kind of platform", result, &err, found);
	result = examine_qe_identity(run, &err);
	describe_body(&run->qe_identity.body, found);
	record(run, CHECK_QE_IDENTITY, "signed under the same root, current", result, &err, found);
}

/* The PCK key vouches for the quoting enclave, which vouches for the attestation key in its report data. */
static int examine_qe_report(struct sgx_run *run, struct mse_error_info *err)
{
	const struct mse_sgx_quote *quote = &run->quote;
	const void *vendor = run->chain.root_kind == MSE_ROOT_SIMULATION ? (const void *)MSE_SIM_QE_VENDOR_ID : intel_qe_vendor_id;
	uint8_t bound[64 + MSE_QUOTE_AUTH_DATA_MAX_SIZE], expected[64] = { 0 };
	int result;

	if (memcmp(quote->qe_vendor_id, vendor, sizeof quote->qe_vendor_id) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the quote's header names another vendor of the quoting enclave than the root stands for");
	result = mse_ecdsa_verify(X509_get0_pubkey(run->chain.cert[0]), quote->qe_report_bytes, quote->qe_signature.data,
		"the quoting enclave's report under the PCK key", err);
	if (result < 0)
		return result;
	memcpy(bound, quote->attestation_key.data, quote->attestation_key.size);
	memcpy(bound + 64, quote->auth_data.data, quote->auth_data.size);
	SHA256(bound, 64 + quote->auth_data.size, expected);
	if (memcmp(quote->qe_report.report_data, expected, sizeof expected) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave's report is for another attestation key");
	return mse_qe_identity_check(&run->qe_identity, &quote->qe_report, err);
}

static bool check_qe_report(struct sgx_run *run)
{
	struct mse_error_info err;
	char found[FOUND_SIZE];

	if (!run->has_chain || !run->has_qe_identity) {
		not_examined(run, CHECK_QE_REPORT, run->has_chain ? CHECK_QE_IDENTITY : CHECK_CHAIN);
		return false;
	}
	snprintf(found, sizeof found, "signed by the platform, of the QE identity, security version %u", run->quote.qe_report.isv_svn);
	return record(run, CHECK_QE_REPORT, "a genuine quoting enclave's report on the attestation key", examine_qe_report(run, &err), &err, found);
}

static void check_signature(struct sgx_run *run)
{
	struct mse_error_info err;
	mse_cleanup(mse_pkey_freep) EVP_PKEY *key = NULL;
	int result = mse_ecdsa_key(run->quote.attestation_key.data, &key, &err);

	if (result == 0)
		result = mse_ecdsa_verify(key, run->quote.signed_part, run->quote.signature.data, "the quote under the attestation key", &err);
	record(run, CHECK_SIGNATURE, "the attestation key's signature over header and report", result, &err, "valid");
}

static void collect_advisories(struct mse_verdict *verdict, const struct mse_tcb_level *level)
{
	for (size_t i = 0; i < json_array_size(level->advisories); i++)
		mse_verdict_add_advisory(verdict, json_string_value(json_array_get(level->advisories, i)));
}

static int find_status(struct sgx_run *run, struct mse_error_info *err)
{
	const struct mse_tcb_level *platform, *qe;
	int result = mse_tcb_info_match(&run->tcb_info, &run->pck, &platform, err);

	if (result == 0)
		result = mse_qe_identity_match(&run->qe_identity, &run->quote.qe_report, &qe, err);
	if (result < 0)
		return result;
	run->verdict->status = mse_tcb_status_name(mse_tcb_status_converge(platform->findings, qe->findings));
	if (run->verdict->status == NULL)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the statuses '%s' (platform) and '%s' (quoting enclave) have no common name",
			mse_tcb_status_name(platform->findings), mse_tcb_status_name(qe->findings));
	collect_advisories(run->verdict, platform);
	collect_advisories(run->verdict, qe);
	return 0;
}

static void describe_policy(const char *const *accepted, char to[static FOUND_SIZE])
{
	int used = 0;

	if (accepted == NULL)
		accepted = mse_policy_default();
	to[0] = '\0';
	for (size_t i = 0; accepted[i] != NULL && used >= 0 && used < FOUND_SIZE; i++)
		used += snprintf(to + used, (size_t)(FOUND_SIZE - used), "%s%s", i == 0 ? "" : " or ", accepted[i]);
}

static void check_status(struct sgx_run *run, bool qe_report_holds)
{
	struct mse_error_info err;
	const char *const *accepted = run->verification->params->accepted_statuses;
	char expected[FOUND_SIZE];
	int result;

	describe_policy(accepted, expected);
	if (!run->has_chain || !run->has_tcb_info || !qe_report_holds) {
		not_examined(run, CHECK_STATUS, !run->has_chain ? CHECK_CHAIN : !run->has_tcb_info ? CHECK_TCB_INFO : CHECK_QE_REPORT);
		return;
	}
	result = find_status(run, &err);
	if (result < 0)
		record(run, CHECK_STATUS, expected, result, &err, NULL);
	else
		mse_verdict_add_check(run->verdict, CHECK_STATUS, mse_policy_accepts(accepted, run->verdict->status), expected, run->verdict->status);
}

static void examine(struct sgx_run *run)
{
	static const char *const rest[] = { CHECK_CHAIN, CHECK_CRL, CHECK_TCB_INFO, CHECK_QE_IDENTITY, CHECK_QE_REPORT, CHECK_SIGNATURE, CHECK_STATUS,
		CHECK_DEBUG };
	bool qe_report_holds;

	if (!check_format(run)) {
		for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
			not_examined(run, rest[i], CHECK_FORMAT);
		return;
	}
	check_chain(run);
	check_crls(run);
	check_collateral(run);
	qe_report_holds = check_qe_report(run);
	check_signature(run);
	check_status(run, qe_report_holds);
	mse_verdict_add_check(run->verdict, CHECK_DEBUG, !run->verdict->debug, "not a debug enclave",
		run->verdict->debug ? "a debug enclave: the host can read its memory" : "not a debug enclave");
	run->verdict->finished = true;
}

int mse_sgx_verify(struct mse_verification *verification, struct mse_error_info *err)
{
	static const char *const mandatory[] = { CHECK_FORMAT, CHECK_CHAIN, CHECK_CRL, CHECK_TCB_INFO, CHECK_QE_IDENTITY, CHECK_QE_REPORT, CHECK_SIGNATURE,
		CHECK_STATUS, CHECK_DEBUG };
	struct sgx_run run = { .verification = verification, .verdict = verification->verdict };

	for (size_t i = 0; i < sizeof mandatory / sizeof mandatory[0]; i++)
		mse_verdict_require(run.verdict, mandatory[i]);
	examine(&run);
	mse_tcb_info_clear(&run.tcb_info);
	mse_qe_identity_clear(&run.qe_identity);
	X509_CRL_free(run.root_crl);
	mse_cert_pool_clear(&run.pool);
	return run.out_of_memory ? mse_fail_nomem(err) : 0;
}
