/* An enclave's answer with session evidence, on a connection whose certificate has no quote. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "ratls/certificate.h"
#include "ratls/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t root[32];
	static X509 *leaf;
	const struct mse_verify_params params = { .time = 1800000000, .simulation_root = root };
	const struct mse_expectations expected = { .owner_key = root, .image_digest = root, .host = "127.0.0.1" };
	struct mse_connection_facts facts = { 0 };
	struct mse_verdict *verdict = NULL;
	struct mse_peer *peer = NULL;
	struct mse_error_info err;

	if (leaf == NULL)
		leaf = X509_new();
	facts.leaf = leaf;
	if (mse_session_verify(data, size, &facts, &expected, &params, &verdict, &peer, &err) == 0 && mse_verdict_passed(verdict))
		__builtin_trap();
	mse_verdict_free(verdict);
	mse_peer_free(peer);
	return 0;
}
