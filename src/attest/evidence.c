#include "attest/evidence.h"

#include <string.h>

#define TEE_TYPE_TDX 0x81u
#define SNP_REPORT_SIZE 1184

const char *mse_evidence_kind(struct mse_view evidence, const char **ret_description)
{
	static const uint8_t hcl_magic[] = { 'H', 'C', 'L', 'A' };
	uint16_t version, key_type;
	uint32_t tee_type;
	struct mse_view rest = evidence;

	*ret_description = "evidence of an unknown kind";
	if (evidence.size >= sizeof hcl_magic && memcmp(evidence.data, hcl_magic, sizeof hcl_magic) == 0) {
		*ret_description = "an Azure HCL report";
		return NULL;
	}
	if (!mse_view_le16(&rest, &version) || !mse_view_le16(&rest, &key_type) || !mse_view_le32(&rest, &tee_type))
		return NULL;
	/* An SNP report begins with a 32-bit version; no attestation key type of a quote is 0 or 1. */
	if (key_type == 0 && version >= 1 && version <= 5 && evidence.size >= SNP_REPORT_SIZE) {
		*ret_description = "an AMD SEV-SNP attestation report";
		return "snp";
	}
	if (version >= 4 && version <= 5 && tee_type == TEE_TYPE_TDX) {
		*ret_description = version == 4 ? "an Intel TDX quote version 4" : "an Intel TDX quote version 5";
		return "tdx";
	}
	if (version >= 4 && version <= 5 && tee_type == 0) {
		*ret_description = version == 4 ? "an Intel SGX quote version 4" : "an Intel SGX quote version 5";
		return "sgx";
	}
	if (version == 3) {
		*ret_description = "an Intel SGX quote version 3";
		return "sgx";
	}
	if (version == 1 || version == 2) {
		*ret_description = "an Intel SGX EPID quote, which Intel no longer supports";
		return "sgx";
	}
	return NULL;
}
