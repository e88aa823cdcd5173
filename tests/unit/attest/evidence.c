#include "evidence.h"

#include "attest/quote.h"
#include "attest/verdict.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

const char *vectors_folder(void)
{
	const char *folder = getenv("MSE_VECTORS");

	if (folder == NULL)
		folder = MSE_SOURCE_ROOT "/../shared/vectors";
	return mse_path_exists(folder) ? folder : NULL;
}

void need_vectors(void)
{
	if (vectors_folder() != NULL)
		return;
	if (getenv("CI") != NULL)
		fail_msg("the attestation vectors are missing: set MSE_VECTORS to their folder");
	print_message("SKIPPED: no attestation vectors here; set MSE_VECTORS to their folder\n");
	skip();
}

struct evidence_file vector_file(const char *set, const char *name)
{
	struct mse_error_info err;
	mse_autofree char *path = NULL;
	struct evidence_file file;

	assert_works(mse_format(&path, &err, "%s/%s/%s", vectors_folder(), set, name));
	assert_works(mse_file_read(path, 1 << 20, &file.data, &file.size, &err));
	return file;
}

void load_vector(struct evidence *evidence, const char *set)
{
	struct mse_error_info err;
	struct evidence_file meta = vector_file(set, "meta.json");
	mse_autojson *json = NULL;
	uint64_t time;

	assert_works(mse_json_parse(meta.data, meta.size, "meta.json", &json, &err));
	assert_works(mse_json_u64(json, "pinned_time", "meta.json", 1, INT64_MAX, &time, &err));
	free(meta.data);
	*evidence = (struct evidence){
		.quote = vector_file(set, "quote.bin"),
		.tcb_info = vector_file(set, "tcb_info.json"),
		.tcb_chain = vector_file(set, "tcb_signing_chain.pem"),
		.qe_identity = vector_file(set, "qe_identity.json"),
		.qe_chain = vector_file(set, "tcb_signing_chain.pem"),
		.root_crl = vector_file(set, "root_ca.crl"),
		.pck_crl = vector_file(set, "pck.crl"),
		.time = (int64_t)time,
	};
}

void file_clear(struct evidence_file *file)
{
	free(file->data);
	*file = (struct evidence_file){ 0 };
}

void file_replace(struct evidence_file *file, struct evidence_file by)
{
	file_clear(file);
	*file = by;
}

void evidence_clear(struct evidence *evidence)
{
	file_clear(&evidence->quote);
	file_clear(&evidence->tcb_info);
	file_clear(&evidence->tcb_chain);
	file_clear(&evidence->qe_identity);
	file_clear(&evidence->qe_chain);
	file_clear(&evidence->root_crl);
	file_clear(&evidence->pck_crl);
}

struct mse_verdict *verify_evidence(const struct evidence *evidence)
{
	const struct mse_collateral collateral = {
		.tcb_info = { evidence->tcb_info.data, evidence->tcb_info.size },
		.tcb_info_issuer_chain = { evidence->tcb_chain.data, evidence->tcb_chain.size },
		.qe_identity = { evidence->qe_identity.data, evidence->qe_identity.size },
		.qe_identity_issuer_chain = { evidence->qe_chain.data, evidence->qe_chain.size },
		.root_ca_crl = { evidence->root_crl.data, evidence->root_crl.size },
		.pck_crl = { evidence->pck_crl.data, evidence->pck_crl.size },
	};
	const struct mse_verify_params params = {
		.time = evidence->time, .accepted_statuses = evidence->accepted, .simulation_root = evidence->simulation_root
	};
	struct mse_verdict *verdict;
	int result = mse_attest_verify(evidence->quote.data, evidence->quote.size, &collateral, &params, &verdict);

	if (verdict == NULL)
		fail_msg("mse_attest_verify() gave %d and no verdict", result);
	assert_int_equal(result, mse_verdict_passed(verdict) ? MSE_ATTEST_PASS : MSE_ATTEST_FAIL);
	return verdict;
}

enum mse_check_result check_result(const struct mse_verdict *verdict, const char *name)
{
	const struct mse_check *check;

	for (size_t i = 0; (check = mse_verdict_check(verdict, i)) != NULL; i++)
		if (strcmp(check->name, name) == 0)
			return check->result;
	fail_msg("there is no check '%s'", name);
	return MSE_CHECK_FAILED;
}

const char *check_found(const struct mse_verdict *verdict, const char *name)
{
	const struct mse_check *check;

	for (size_t i = 0; (check = mse_verdict_check(verdict, i)) != NULL; i++)
		if (strcmp(check->name, name) == 0)
			return check->found;
	fail_msg("there is no check '%s'", name);
	return NULL;
}

void assert_failed_checks(const struct mse_verdict *verdict, const char *names)
{
	char failed[512] = "";
	const struct mse_check *check;

	for (size_t i = 0; (check = mse_verdict_check(verdict, i)) != NULL; i++)
		if (check->result == MSE_CHECK_FAILED)
			snprintf(failed + strlen(failed), sizeof failed - strlen(failed), "%s%s", failed[0] == '\0' ? "" : " ", check->name);
	if (strcmp(failed, names) != 0) {
		mse_autofree char *json = mse_verdict_json(verdict);

		fail_msg("failed checks: '%s', expected: '%s'\n%s", failed, names, json);
	}
	assert_true(mse_verdict_passed(verdict) == (names[0] == '\0'));
}

/* Offsets of an SGX quote version 3. */
#define SIGNATURE_DATA_SIZE_AT 432
#define AUTH_SIZE_AT 1012

static size_t cert_data_at(struct evidence_file quote)
{
	return AUTH_SIZE_AT + 2 + (size_t)(quote.data[AUTH_SIZE_AT] | quote.data[AUTH_SIZE_AT + 1] << 8);
}

struct evidence_file quote_with_chain(struct evidence_file quote, const void *pem, size_t size)
{
	size_t at = cert_data_at(quote) + 6;
	struct evidence_file changed = { malloc(at + size), at + size };

	assert_non_null(changed.data);
	memcpy(changed.data, quote.data, at);
	memcpy(changed.data + at, pem, size);
	mse_put_le32(changed.data + at - 4, (uint32_t)size);
	mse_put_le32(changed.data + SIGNATURE_DATA_SIZE_AT, (uint32_t)(at + size - SIGNATURE_DATA_SIZE_AT - 4));
	return changed;
}

struct evidence_file chain_of_quote(struct evidence_file quote)
{
	struct mse_error_info err;
	struct mse_sgx_quote parsed;
	struct evidence_file chain;

	assert_works(mse_sgx_quote_parse(mse_view_of(quote.data, quote.size), &parsed, &err));
	chain.data = malloc(parsed.cert_chain.size + 1);
	assert_non_null(chain.data);
	memcpy(chain.data, parsed.cert_chain.data, parsed.cert_chain.size);
	chain.data[parsed.cert_chain.size] = 0;
	chain.size = parsed.cert_chain.size;
	return chain;
}
