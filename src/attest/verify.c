#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "attest/chain.h"
#include "attest/evidence.h"
#include "attest/pem.h"
#include "attest/policy.h"

/* Kinds of evidence that are verified. */
static const struct {
	const char *tee;
	int (*verify)(struct mse_verification *verification, struct mse_error_info *err);
} verifiers[] = {
	{ "sgx", mse_sgx_verify },
};

static int verify(struct mse_verification *verification, struct mse_error_info *err)
{
	const char *description;
	char found[128];
	const char *tee = mse_evidence_kind(verification->evidence, &description);

	verification->verdict->tee = tee;
	for (size_t i = 0; tee != NULL && i < sizeof verifiers / sizeof verifiers[0]; i++)
		if (strcmp(verifiers[i].tee, tee) == 0)
			return verifiers[i].verify(verification, err);
	snprintf(found, sizeof found, "%s of %zu bytes, which this release does not verify", description, verification->evidence.size);
	mse_verdict_add_check(verification->verdict, "quote-format", false, "an SGX ECDSA quote version 3", found);
	return 0;
}

int mse_attest_verify(const void *quote, size_t size, const struct mse_collateral *collateral, const struct mse_verify_params *params,
	struct mse_verdict **ret_verdict)
{
	static const struct mse_collateral none;
	struct mse_error_info err;
	mse_cleanup(mse_verdict_freep) struct mse_verdict *verdict = NULL;
	struct mse_verification verification = {
		.evidence = mse_view_of(quote, quote == NULL ? 0 : size), .collateral = collateral == NULL ? &none : collateral, .params = params
	};
	int result;

	*ret_verdict = NULL;
	if (params == NULL || params->time <= 0 || !mse_policy_is_valid(params->accepted_statuses))
		return MSE_ATTEST_USAGE;
	verification.verdict = verdict = mse_verdict_new();
	if (verdict == NULL)
		return MSE_ATTEST_NOMEM;
	/* What OpenSSL says about refused input must not turn up in the caller's next TLS call. */
	ERR_set_mark();
	result = verify(&verification, &err);
	ERR_pop_to_mark();
	if (result < 0 || verdict->broken)
		return MSE_ATTEST_NOMEM;
	result = mse_verdict_passed(verdict) ? MSE_ATTEST_PASS : MSE_ATTEST_FAIL;
	*ret_verdict = mse_steal(verdict);
	return result;
}

static int fingerprint(struct mse_view bytes, uint8_t ret_fingerprint[static 32], struct mse_error_info *err)
{
	mse_autofree uint8_t *der = NULL;
	const unsigned char *at;
	X509 *cert;
	size_t size;
	int result;

	if (bytes.size == 0 || bytes.size > MSE_CERT_MAX_SIZE * 2)
		return mse_fail(err, MSE_ERR_INPUT, "not a certificate: it has %zu bytes", bytes.size);
	if (bytes.data[0] == '-') {
		result = mse_pem_next(&bytes, "CERTIFICATE", MSE_CERT_MAX_SIZE, &der, &size, err);
		if (result < 0)
			return result;
		bytes = mse_view_of(der, size);
	}
	at = bytes.data;
	cert = d2i_X509(NULL, &at, (long)bytes.size);
	if (cert == NULL || at != bytes.data + bytes.size)
		result = mse_fail(err, MSE_ERR_INPUT, "not a certificate");
	else
		result = mse_cert_fingerprint(cert, ret_fingerprint, err);
	X509_free(cert);
	return result;
}

int mse_root_fingerprint(const void *certificate, size_t size, uint8_t ret_fingerprint[32])
{
	struct mse_error_info err;
	int result;

	ERR_set_mark();
	result = fingerprint(mse_view_of(certificate, certificate == NULL ? 0 : size), ret_fingerprint, &err);
	ERR_pop_to_mark();
	if (result == MSE_ERR_NOMEM)
		return MSE_ATTEST_NOMEM;
	return result < 0 ? MSE_ATTEST_USAGE : MSE_ATTEST_PASS;
}
