/* The SGX extension of PCK certificates, OID 1.2.840.113741.1.13.1: Intel, "Intel SGX PCK Certificate and Certificate
 * Revocation List Profile Specification", section 1.3.5. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/view.h"

#define MSE_SGX_EXTENSION_OID "1.2.840.113741.1.13.1"
#define MSE_SGX_TCB_COMPONENTS 16

struct mse_pck_extension {
	uint8_t ppid[16];
	uint8_t components[MSE_SGX_TCB_COMPONENTS]; /* SVN of each TCB component */
	uint16_t pce_svn;
	uint8_t cpu_svn[16];
	uint8_t pceid[2];
	uint8_t fmspc[6];
	unsigned sgx_type; /* 0 standard, 1 scalable, 2 scalable with integrity */
	/* Only certificates of the platform CA have what follows. */
	bool has_piid;
	uint8_t piid[16];
	bool has_configuration;
	bool dynamic_platform;
	bool cached_keys;
	bool smt_enabled;
};

/* The value of the extension: strict DER, every field of the profile exactly once, no other. */
int mse_pck_extension_parse(struct mse_view value, struct mse_pck_extension *ret_extension, struct mse_error_info *err);
