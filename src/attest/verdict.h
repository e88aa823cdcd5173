/* The inside of a verdict: filled by the verifiers of this folder, read by everybody through mse/attest.h. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "mse/attest.h"

#define MSE_VERDICT_CHECKS_MAX 128
#define MSE_VERDICT_REQUIRED_MAX 32
#define MSE_VERDICT_ADVISORIES_MAX 256
/* Longer texts of a check are cut. */
#define MSE_CHECK_TEXT_MAX_SIZE 1200

struct mse_verdict {
	/* Set last, by the verifier of one kind of evidence that went through all its steps. */
	bool finished;
	/* Something could not be recorded: fails for good. */
	bool broken;
	struct mse_check *checks;
	size_t check_count;
	char *required[MSE_VERDICT_REQUIRED_MAX];
	size_t required_count;

	const char *tee; /* a string constant */
	enum mse_root_kind root_kind;
	bool named_simulation; /* the root names itself a simulation's */
	bool has_root_fingerprint;
	uint8_t root_fingerprint[32];
	const char *status; /* a string constant */
	char *advisories[MSE_VERDICT_ADVISORIES_MAX];
	size_t advisory_count;

	bool has_report;
	bool debug;
	uint8_t mrenclave[32];
	uint8_t mrsigner[32];
	uint8_t report_data[64];
	uint16_t isv_prod_id;
	uint16_t isv_svn;

	bool has_platform;
	bool has_piid;
	uint8_t fmspc[6];
	uint8_t pceid[2];
	uint8_t ppid[16];
	uint8_t piid[16];
};

MSE_DEFINE_CLEANUP(struct mse_verdict, mse_verdict_free)

/* Adds an advisory id unless it is there. */
void mse_verdict_add_advisory(struct mse_verdict *verdict, const char *advisory);
