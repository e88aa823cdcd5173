/* The simulated CPU: what the hardware and Intel's quoting enclave would do for an enclave. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"
#include "tee/sim_pki.h"

/* What the simulated hardware reports about an enclave. */
struct mse_sim_report {
	uint8_t mrenclave[32];
	uint8_t mrsigner[32]; /* all zero: the simulation's own signer */
	uint16_t isv_prod_id;
	uint16_t isv_svn;
	bool debug;
	uint8_t report_data[64];
};

#define MSE_SIM_LABEL_MAX_SIZE 255

/* A quote in the format of SGX ECDSA quotes version 3, certification data type 5 (the chain is inside), about 4.5 KB.
 * The caller frees *ret_quote. */
int mse_sim_cpu_quote(const struct mse_sim_platform *platform, const struct mse_sim_report *report, uint8_t **ret_quote, size_t *ret_size,
	struct mse_error_info *err);

/* The 32-byte sealing key of one enclave (MRENCLAVE) and one purpose (label, 1 to MSE_SIM_LABEL_MAX_SIZE bytes) on this
 * platform: HKDF-SHA256 (RFC 5869) from the platform's sealing secret. */
int mse_sim_cpu_sealing_key(const struct mse_sim_platform *platform, const uint8_t mrenclave[static 32], const char *label, struct mse_secret **ret_key,
	struct mse_error_info *err);
