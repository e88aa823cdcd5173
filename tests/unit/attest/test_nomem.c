/* Whichever allocation fails, nothing passes for that reason, nothing leaks and nothing crashes. */
#include "evidence.h"

#include <jansson.h>

#include "attest/verdict.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "tee/sim_cpu.h"
#include "tee/sim_pki.h"

#define NOW INT64_C(1800000000)

/* The linker turns our own code's calls into these (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strndup(const char *text, size_t size);

static bool armed;
static size_t allocation, failing;

static bool fails_now(void)
{
	return armed && allocation++ == failing;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return fails_now() ? NULL : __real_strndup(text, size);
}

static void no_failed_allocation_lets_evidence_pass(void **state)
{
	static char dir[] = "/tmp/mse-test-nomem-XXXXXX";
	struct mse_error_info err;
	mse_cleanup(mse_sim_platform_freep) struct mse_sim_platform *platform = NULL;
	const struct mse_sim_report report = { .isv_svn = 1 };
	uint8_t root[32], *quote;
	mse_autofree char *pem = NULL, *signers = NULL;
	static const char *const names[] = { "tcb_info.json", "qe_identity.json", "tcb.pem", "root.pem", "root_ca.crl", "pck.crl" };
	struct evidence_file files[6];
	size_t quote_size, refused = 0;

	(void)state;
	assert_works(mse_secret_init(&err));
	assert_non_null(mkdtemp(dir));
	assert_works(mse_sim_pki_ensure(dir, NOW, NULL, &err));
	assert_works(mse_sim_pki_load(dir, &platform, &err));
	assert_works(mse_sim_pki_root(dir, &pem, root, &err));
	assert_works(mse_sim_cpu_quote(platform, &report, &quote, &quote_size, &err));
	for (size_t i = 0; i < 6; i++) {
		mse_autofree char *file = NULL;

		assert_works(mse_path_join(dir, names[i], &file, &err));
		assert_works(mse_file_read(file, 1 << 20, &files[i].data, &files[i].size, &err));
	}
	assert_works(mse_format(&signers, &err, "%s%s", (char *)files[2].data, (char *)files[3].data));
	const struct mse_collateral collateral = {
		.tcb_info = { files[0].data, files[0].size }, .tcb_info_issuer_chain = { signers, strlen(signers) },
		.qe_identity = { files[1].data, files[1].size }, .qe_identity_issuer_chain = { signers, strlen(signers) },
		.root_ca_crl = { files[4].data, files[4].size }, .pck_crl = { files[5].data, files[5].size },
	};
	const struct mse_verify_params params = { .time = NOW, .simulation_root = root };

	for (failing = 0;; failing++) {
		struct mse_verdict *verdict;
		int result;

		allocation = 0;
		armed = true;
		result = mse_attest_verify(quote, quote_size, &collateral, &params, &verdict);
		armed = false;
		mse_verdict_free(verdict);
		if (allocation <= failing) {
			assert_int_equal(result, MSE_ATTEST_PASS);
			break;
		}
		if (result == MSE_ATTEST_PASS)
			fail_msg("passed although allocation %zu failed", failing);
		refused++;
	}
	assert_true(refused > 50);
	for (size_t i = 0; i < 6; i++)
		free(files[i].data);
	free(quote);
	assert_works(mse_tree_remove(dir, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_failed_allocation_lets_evidence_pass) };

	json_set_alloc_funcs(__wrap_malloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
