/* Certificates in PEM, and the same bytes as a CRL. */
#include "attest/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum mse_cert_role roles[] = { MSE_CERT_PCK, MSE_CERT_PCK_CA, MSE_CERT_ROOT };
	struct mse_cert_pool pool = { 0 };
	struct mse_chain chain;
	struct mse_error_info err;
	X509_CRL *crl = NULL;

	/* Whatever root there is counts as pinned, so that the checks behind it are reached. */
	if (mse_chain_read(&pool, mse_view_of(data, size), &chain, &err) == 0 && mse_chain_verify(&chain, roles, 3, chain.root_fingerprint, &err) == 0)
		(void)mse_chain_check_dates(&chain, 1800000000, &err);
	if (mse_crl_read(mse_view_of(data, size), "the CRL", &crl, &err) == 0)
		(void)mse_crl_check_dates(crl, 1800000000, "the CRL", &err);
	X509_CRL_free(crl);
	mse_cert_pool_clear(&pool);
	return 0;
}
