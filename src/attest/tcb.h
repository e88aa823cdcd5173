/* Collateral in JSON: TCB info (versions 2 and 3) and QE identity (version 2), as Intel's "SGX and TDX Provisioning
 * Certification Service" (PCS) API versions 3 and 4 describe them, and the comparison of a platform with it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "attest/pck.h"
#include "attest/quote.h"
#include "base/error.h"
#include "base/view.h"

/* Limits on what a signed body may list. */
#define MSE_TCB_LEVELS_MAX 512
#define MSE_TCB_ADVISORIES_MAX 128

/* A TCB status is a set of findings; Intel's names stand for certain sets. */
enum mse_tcb_finding {
	MSE_TCB_SW_HARDENING = 1 << 0,
	MSE_TCB_CONFIGURATION = 1 << 1,
	MSE_TCB_OUT_OF_DATE = 1 << 2,
	MSE_TCB_RELAUNCH = 1 << 3, /* TDX */
	MSE_TCB_REVOKED = 1 << 4,
};

/* Intel's spelling, a string constant; NULL for a set that has no name. */
const char *mse_tcb_status_name(unsigned findings);
/* false: there is no status of this name. */
bool mse_tcb_status_parse(const char *name, unsigned *ret_findings);
/* The platform's status and the quoting enclave's become one: whatever either finds holds. Intel, DCAP quote verification
 * library, "converge TCB status": an outdated platform is no longer said to need software hardening too. */
unsigned mse_tcb_status_converge(unsigned platform, unsigned qe);

/* One level of a list that is sorted from the newest to the oldest. */
struct mse_tcb_level {
	uint8_t components[MSE_SGX_TCB_COMPONENTS]; /* TCB info */
	uint16_t pce_svn;
	uint16_t isv_svn; /* QE identity */
	unsigned findings;
	const json_t *advisories; /* an array of strings in the parsed JSON, or NULL */
};

/* The inner object of a signed body, with what both kinds have. */
struct mse_signed_body {
	json_t *json;
	unsigned version;
	int64_t issue_date;
	int64_t next_update;
	uint64_t evaluation_number;
	struct mse_tcb_level *levels;
	size_t level_count;
};

struct mse_tcb_info {
	struct mse_signed_body body;
	uint8_t fmspc[6];
	uint8_t pceid[2];
};

struct mse_qe_identity {
	struct mse_signed_body body;
	uint8_t misc_select[4];
	uint8_t misc_select_mask[4];
	uint8_t attributes[16];
	uint8_t attributes_mask[16];
	uint8_t mrsigner[32];
	uint16_t isv_prod_id;
};

/* Finds, without believing anything of it, the exact bytes of the object `member` and the signature (r, s) in a text
 * {"<member>":{...},"signature":"<128 hex digits>"}. */
int mse_signed_json_split(struct mse_view text, const char *member, struct mse_view *ret_object, uint8_t ret_signature[static 64],
	struct mse_error_info *err);

/* Both take the exact bytes of the inner object, whose signature the caller has verified. */
int mse_tcb_info_parse(struct mse_view object, struct mse_tcb_info *ret_info, struct mse_error_info *err);
void mse_tcb_info_clear(struct mse_tcb_info *info);
int mse_qe_identity_parse(struct mse_view object, struct mse_qe_identity *ret_identity, struct mse_error_info *err);
void mse_qe_identity_clear(struct mse_qe_identity *identity);

/* MSE_ERR_VERIFY before the issue date or after the next update. */
int mse_signed_body_check_dates(const struct mse_signed_body *body, int64_t time, const char *what, struct mse_error_info *err);

/* The first level that the platform reaches in every component; MSE_ERR_VERIFY when it reaches none, which is no status. */
int mse_tcb_info_match(const struct mse_tcb_info *info, const struct mse_pck_extension *platform, const struct mse_tcb_level **ret_level,
	struct mse_error_info *err);
/* The QE report is one of the enclave that the identity describes: signer, product, attributes and MISCSELECT under their masks. */
int mse_qe_identity_check(const struct mse_qe_identity *identity, const struct mse_sgx_report *report, struct mse_error_info *err);
int mse_qe_identity_match(const struct mse_qe_identity *identity, const struct mse_sgx_report *report, const struct mse_tcb_level **ret_level,
	struct mse_error_info *err);
