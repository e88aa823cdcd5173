/* SGX ECDSA quotes version 3: Intel, "Intel SGX ECDSA Quote Library Reference for DCAP", appendix A.4. All integers are
 * little endian. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/view.h"

#define MSE_QUOTE_HEADER_SIZE 48
#define MSE_REPORT_BODY_SIZE 384
#define MSE_QUOTE_AUTH_DATA_MAX_SIZE 1024

/* ATTRIBUTES.FLAGS, first byte (Intel SDM volume 3D, "Attributes"). */
#define MSE_SGX_FLAG_DEBUG 0x02

/* REPORTBODY (Intel SDM volume 3D, "REPORT"), without its reserved fields. */
struct mse_sgx_report {
	uint8_t cpu_svn[16];
	uint8_t misc_select[4];
	uint8_t attributes[16];
	uint8_t mrenclave[32];
	uint8_t mrsigner[32];
	uint16_t isv_prod_id;
	uint16_t isv_svn;
	uint8_t report_data[64];
};

/* Certification data types (same document, "QE Certification Data"). */
enum mse_cert_data_type {
	MSE_CERT_DATA_PPID_CLEAR = 1,
	MSE_CERT_DATA_PPID_RSA2048 = 2,
	MSE_CERT_DATA_PPID_RSA3072 = 3,
	MSE_CERT_DATA_PCK_LEAF = 4,
	MSE_CERT_DATA_PCK_CHAIN = 5,
	MSE_CERT_DATA_QE_REPORT = 6,
	MSE_CERT_DATA_PLATFORM_MANIFEST = 7,
};

/* A parsed quote: views point into the bytes that were parsed. */
struct mse_sgx_quote {
	uint8_t qe_vendor_id[16];
	struct mse_sgx_report report;
	struct mse_view signed_part;    /* header and report, over which the signature goes */
	struct mse_view signature;      /* 64 bytes: r, s */
	struct mse_view attestation_key; /* 64 bytes: x, y on P-256 */
	struct mse_sgx_report qe_report;
	struct mse_view qe_report_bytes; /* what the PCK key signed */
	struct mse_view qe_signature;    /* 64 bytes */
	struct mse_view auth_data;
	struct mse_view cert_chain;      /* PEM of certification data type 5 */
};

/* Parses the whole; zero bytes behind it are ignored. MSE_ERR_INPUT for anything malformed, MSE_ERR_UNSUPPORTED for a
 * version, key type or certification data type that is well known and not verified here. */
int mse_sgx_quote_parse(struct mse_view bytes, struct mse_sgx_quote *ret_quote, struct mse_error_info *err);
