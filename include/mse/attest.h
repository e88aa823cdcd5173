/* libmse: verification of attestation evidence. Pure: evidence, collateral and a point in time in, a verdict out; no
 * network, no files, no global state, safe to call from many threads. Verified now: Intel SGX ECDSA quotes version 3;
 * other kinds are recognised and refused by name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef MSE_API
#define MSE_API __attribute__((visibility("default")))
#endif

/* Bytes that the caller owns; data may be NULL when size is 0, which says "not there". */
struct mse_bytes {
	const void *data;
	size_t size;
};

/* What these functions return. The same numbers mean the same everywhere in mse. */
enum mse_attest_result {
	MSE_ATTEST_PASS = 0,
	MSE_ATTEST_NOMEM = -2,  /* no verdict: memory could not be had */
	MSE_ATTEST_USAGE = -6,  /* no verdict: the caller's parameters make no sense (no time, an unknown status name, ...) */
	MSE_ATTEST_FAIL = -13,  /* the evidence was examined and does not convince: the verdict says why */
};

/* Signed statements of the vendor about a platform, as Intel's provisioning service (PCS v3 or v4) gives them out. The
 * JSON texts are the exact bodies, {"tcbInfo":{...},"signature":"..."} and {"enclaveIdentity":{...},"signature":"..."};
 * chains are PEM in any order; CRLs are DER or PEM. A missing part makes the checks that need it fail by name. */
struct mse_collateral {
	struct mse_bytes tcb_info;
	struct mse_bytes tcb_info_issuer_chain;
	struct mse_bytes qe_identity;
	struct mse_bytes qe_identity_issuer_chain;
	struct mse_bytes root_ca_crl;
	struct mse_bytes pck_crl;
};

/* Larger inputs are refused before they are parsed. Sizes in bytes. */
#define MSE_QUOTE_MAX_SIZE ((size_t)64 * 1024)
#define MSE_COLLATERAL_JSON_MAX_SIZE ((size_t)512 * 1024)
#define MSE_COLLATERAL_CHAIN_MAX_SIZE ((size_t)64 * 1024)
#define MSE_COLLATERAL_CRL_MAX_SIZE ((size_t)4 * 1024 * 1024)

struct mse_verify_params {
	/* Seconds since 1970-01-01T00:00:00Z at which everything must be valid. Mandatory. */
	int64_t time;
	/* NULL-terminated names of the TCB statuses that pass, in Intel's spelling; NULL: mse_policy_default(). "Revoked"
	 * and debug enclaves never pass. */
	const char *const *accepted_statuses;
	/* SHA-256 of the SubjectPublicKeyInfo (DER) of the one simulation root that counts beside the vendors' roots, 32
	 * bytes; NULL: none does. A verdict under it says that it is simulated. */
	const uint8_t *simulation_root;
};

enum mse_root_kind {
	MSE_ROOT_NONE = 0, /* no chain has been verified to a root that counts */
	MSE_ROOT_INTEL_SGX = 1,
	MSE_ROOT_SIMULATION = 2, /* not hardware: the operator of the machine can read and forge everything */
};

enum mse_check_result {
	MSE_CHECK_FAILED = 0,
	MSE_CHECK_PASSED = 1,
	MSE_CHECK_NOT_APPLICABLE = 2,
};

/* One step of a verification. The texts live as long as the verdict; expected and found are for people, and may be NULL. */
struct mse_check {
	const char *name;
	enum mse_check_result result;
	const char *expected;
	const char *found;
};

struct mse_verdict;

/* Verifies a quote: its format, certificate chain, CRLs, TCB info, QE identity, QE report, signature, TCB status and debug
 * attribute; checks of these names are in the verdict in this order ("quote-format", "certificate-chain", "crl", "tcb-info",
 * "qe-identity", "qe-report", "quote-signature", "tcb-status", "debug"). A step that cannot be made because another one
 * failed is failed too. Zero bytes behind the quote are ignored, others are refused. What the enclave's report means
 * (measurement, report data) is for the caller to compare, with mse_verdict_add_check().
 *
 * Returns MSE_ATTEST_PASS or MSE_ATTEST_FAIL, both with *ret_verdict for the caller to free with mse_verdict_free(); or
 * another negative value, and *ret_verdict is NULL. Nothing given is referred to after the return. */
MSE_API int mse_attest_verify(const void *quote, size_t size, const struct mse_collateral *collateral,
	const struct mse_verify_params *params, struct mse_verdict **ret_verdict);

/* A verdict that fails, since nothing was verified, for callers who found no evidence to verify; NULL: out of memory. */
MSE_API struct mse_verdict *mse_verdict_new(void);
MSE_API void mse_verdict_free(struct mse_verdict *verdict); /* NULL is fine */

/* Whether mse_attest_verify() went through to its end, every mandatory and every required check was made and passed, and
 * no check failed. */
MSE_API bool mse_verdict_passed(const struct mse_verdict *verdict);

/* Adds a check; a failed one fails the verdict, a passed one never makes a failing verdict pass. The texts are copied;
 * expected and found may be NULL. When memory is out the verdict fails for good. */
MSE_API void mse_verdict_add_check(struct mse_verdict *verdict, const char *name, bool passed, const char *expected, const char *found);
/* Adds a check that had nothing to examine here, with the reason; it neither passes nor fails anything. */
MSE_API void mse_verdict_add_not_applicable(struct mse_verdict *verdict, const char *name, const char *reason);
/* The verdict cannot pass before a check of this name was added and passed. */
MSE_API void mse_verdict_require(struct mse_verdict *verdict, const char *name);

MSE_API size_t mse_verdict_check_count(const struct mse_verdict *verdict);
/* NULL past the last one; valid until the next check is added. */
MSE_API const struct mse_check *mse_verdict_check(const struct mse_verdict *verdict, size_t index);
/* The first failed check, or NULL. */
MSE_API const struct mse_check *mse_verdict_first_failed(const struct mse_verdict *verdict);

/* The following say what the evidence claims: believe them only when the verdict passed. */

/* "sgx"; "tdx" or "snp" for evidence that is recognised and refused; NULL when it was not recognised. */
MSE_API const char *mse_verdict_tee(const struct mse_verdict *verdict);
MSE_API enum mse_root_kind mse_verdict_root_kind(const struct mse_verdict *verdict);
/* The root is the pinned simulation root, or one that does not count and calls itself a simulation's: not hardware either way. */
MSE_API bool mse_verdict_simulated(const struct mse_verdict *verdict);
/* SHA-256 of the SubjectPublicKeyInfo of the root that the chain ends at (trusted or not), 32 bytes; NULL when there is none. */
MSE_API const uint8_t *mse_verdict_root_fingerprint(const struct mse_verdict *verdict);
/* The TCB status in Intel's spelling, converged with the quoting enclave's, whatever the policy; NULL when none was found. */
MSE_API const char *mse_verdict_status(const struct mse_verdict *verdict);
MSE_API size_t mse_verdict_advisory_count(const struct mse_verdict *verdict);
MSE_API const char *mse_verdict_advisory(const struct mse_verdict *verdict, size_t index); /* "INTEL-SA-00615"; NULL past the last */
MSE_API bool mse_verdict_debug(const struct mse_verdict *verdict); /* the host can read a debug enclave's memory */

/* Fields of the report, pointing into the verdict; NULL when there was no report to read. */
MSE_API const uint8_t *mse_verdict_mrenclave(const struct mse_verdict *verdict);   /* 32 bytes */
MSE_API const uint8_t *mse_verdict_mrsigner(const struct mse_verdict *verdict);    /* 32 bytes */
MSE_API const uint8_t *mse_verdict_report_data(const struct mse_verdict *verdict); /* 64 bytes */
MSE_API unsigned mse_verdict_isv_prod_id(const struct mse_verdict *verdict);
MSE_API unsigned mse_verdict_isv_svn(const struct mse_verdict *verdict);

/* The platform's identity from its certificate; NULL when it was not read, or does not have it. */
MSE_API const uint8_t *mse_verdict_fmspc(const struct mse_verdict *verdict); /* 6 bytes: family, model, stepping, platform, custom SKU */
MSE_API const uint8_t *mse_verdict_pceid(const struct mse_verdict *verdict); /* 2 bytes */
MSE_API const uint8_t *mse_verdict_ppid(const struct mse_verdict *verdict);  /* 16 bytes: provisioning id of the processor package */
MSE_API const uint8_t *mse_verdict_piid(const struct mse_verdict *verdict);  /* 16 bytes: platform instance id; processor CA platforms have none */

/* The whole as JSON text: verdict, tee, simulated, status, advisories, debug, measurements, report_data, platform, checks.
 * The caller frees it; NULL when memory is out. */
MSE_API char *mse_verdict_json(const struct mse_verdict *verdict);

/* The statuses that pass by default: UpToDate and SWHardeningNeeded. */
MSE_API const char *const *mse_policy_default(void);
/* Whether a policy may name this status: every one that Intel defines but "Revoked". */
MSE_API bool mse_policy_is_status(const char *name);

/* SHA-256 of the SubjectPublicKeyInfo of a certificate, DER or PEM: what names a root. MSE_ATTEST_USAGE when it is none. */
MSE_API int mse_root_fingerprint(const void *certificate, size_t size, uint8_t ret_fingerprint[32]);

#ifdef __cplusplus
}
#endif
