/* The simulated vendor and platform of a node: a root CA of its own, a platform CA, a platform certificate with the SGX
 * extensions of a PCK certificate, and collateral (TCB info, QE identity, CRLs) signed under that root, in a folder:
 *
 *   sealing.secret               what sealing keys are derived from (0600)
 *   platform.json                the identity of this simulated platform
 *   root.key pck_ca.key pck.key tcb.key        private keys, PKCS#8 PEM (0600)
 *   root.pem pck_ca.pem pck.pem tcb.pem        certificates
 *   tcb_info.json qe_identity.json root_ca.crl pck.crl        collateral: valid for 30 days, made anew by mse_sim_pki_ensure()
 *
 * Nothing of it is hardware, and every name in it says so. It is linked into the node's programs only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define MSE_SIM_COLLATERAL_SECONDS (INT64_C(30) * 24 * 3600)

/* What a user's drill or a test may simulate; all zero is the ordinary, healthy platform. */
struct mse_sim_drill {
	const char *tcb_status;  /* status of this platform's TCB level, in Intel's spelling; NULL: "UpToDate"; "none": no level matches */
	const char *qe_status;   /* the same for the quoting enclave's level */
	bool revoke_pck;         /* the PCK CRL lists this platform's certificate */
	bool revoke_pck_ca;      /* the root CRL lists the platform CA */
	bool expired_collateral; /* all collateral ended a day before `now` */
};

/* Creates what is missing in dir (made if absent) and renews collateral of which less than half its time is left at `now`
 * (Unix seconds), or which belongs to another drill. A crash at any moment is mended by the next call. Files that cannot
 * have been lost by a crash, or that do not fit together, are an error that names the file (MSE_ERR_INPUT, MSE_ERR_NOT_FOUND):
 * nothing of the node's identity is ever replaced silently. drill may be NULL. MSE_ERR_EXISTS: another process is at it. */
int mse_sim_pki_ensure(const char *dir, int64_t now, const struct mse_sim_drill *drill, struct mse_error_info *err);

/* A loaded platform: what the shim needs to play the CPU. Has a fresh attestation key of its own. */
struct mse_sim_platform;

int mse_sim_pki_load(const char *dir, struct mse_sim_platform **ret_platform, struct mse_error_info *err);
void mse_sim_platform_free(struct mse_sim_platform *platform);
MSE_DEFINE_CLEANUP(struct mse_sim_platform, mse_sim_platform_free)

/* The collateral as the text of one JSON object of strings: tcb_info, tcb_info_issuer_chain, qe_identity,
 * qe_identity_issuer_chain (texts as signed, PEM), root_ca_crl, pck_crl (base64 of DER). The caller frees *ret_text. It is
 * what mse_collateral_parse() of attest/collateral.h reads. */
int mse_sim_pki_collateral_json(const char *dir, char **ret_text, struct mse_error_info *err);

/* The root certificate (PEM, for the caller to free) and the SHA-256 of its SubjectPublicKeyInfo, by which it is pinned. */
int mse_sim_pki_root(const char *dir, char **ret_pem, uint8_t ret_fingerprint[static 32], struct mse_error_info *err);
