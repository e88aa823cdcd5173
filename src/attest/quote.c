#include "attest/quote.h"

#include <string.h>

#include "mse/attest.h"

#define QUOTE_VERSION 3
#define KEY_TYPE_ECDSA_P256 2
#define SIGNATURE_SIZE 64
#define KEY_SIZE 64

static bool skip(struct mse_view *view, size_t size)
{
	struct mse_view skipped;

	return mse_view_take(view, size, &skipped);
}

static int parse_report(struct mse_view bytes, struct mse_sgx_report *ret_report, struct mse_error_info *err)
{
	struct mse_view rest = bytes;
	struct mse_sgx_report *report = ret_report;

	if (!mse_view_copy(&rest, report->cpu_svn, sizeof report->cpu_svn) || !mse_view_copy(&rest, report->misc_select, sizeof report->misc_select) ||
	    !skip(&rest, 12 + 16) || /* reserved, ISVEXTPRODID */
	    !mse_view_copy(&rest, report->attributes, sizeof report->attributes) || !mse_view_copy(&rest, report->mrenclave, sizeof report->mrenclave) ||
	    !skip(&rest, 32) || /* reserved */
	    !mse_view_copy(&rest, report->mrsigner, sizeof report->mrsigner) || !skip(&rest, 32 + 64) || /* reserved, CONFIGID */
	    !mse_view_le16(&rest, &report->isv_prod_id) || !mse_view_le16(&rest, &report->isv_svn) ||
	    !skip(&rest, 2 + 42 + 16) || /* CONFIGSVN, reserved, ISVFAMILYID */
	    !mse_view_copy(&rest, report->report_data, sizeof report->report_data) || rest.size != 0)
		return mse_fail(err, MSE_ERR_INPUT, "the report in the quote has %zu bytes, expected %d", bytes.size, MSE_REPORT_BODY_SIZE);
	return 0;
}

static int parse_header(struct mse_view header, struct mse_sgx_quote *quote, struct mse_error_info *err)
{
	uint16_t version, key_type;
	uint32_t reserved;

	if (!mse_view_le16(&header, &version) || !mse_view_le16(&header, &key_type) || !mse_view_le32(&header, &reserved) ||
	    !skip(&header, 4) || /* QE SVN and PCE SVN: the QE report and the PCK certificate say it with a signature */
	    !mse_view_copy(&header, quote->qe_vendor_id, sizeof quote->qe_vendor_id))
		return mse_fail(err, MSE_ERR_INPUT, "the quote ends within its header");
	if (version != QUOTE_VERSION)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the quote has version %u; version 3 is verified here", version);
	if (key_type != KEY_TYPE_ECDSA_P256)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the quote has attestation key type %u; type 2 (ECDSA P-256) is verified here", key_type);
	if (reserved != 0)
		return mse_fail(err, MSE_ERR_INPUT, "reserved bytes of the quote's header are not zero");
	return 0;
}

static int refuse_cert_data(unsigned type, struct mse_error_info *err)
{
	static const char *const names[] = {
		[MSE_CERT_DATA_PPID_CLEAR] = "PPID in clear",
		[MSE_CERT_DATA_PPID_RSA2048] = "PPID encrypted with RSA-2048",
		[MSE_CERT_DATA_PPID_RSA3072] = "PPID encrypted with RSA-3072",
		[MSE_CERT_DATA_PCK_LEAF] = "PCK certificate without its chain",
		[MSE_CERT_DATA_QE_REPORT] = "QE report certification data",
		[MSE_CERT_DATA_PLATFORM_MANIFEST] = "platform manifest",
	};

	if (type < sizeof names / sizeof names[0] && names[type] != NULL)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the quote has certification data type %u (%s); type 5 (PCK certificate chain) is verified here: "
			"configure the quoting enclave to embed the chain", type, names[type]);
	return mse_fail(err, MSE_ERR_INPUT, "the quote has the unknown certification data type %u", type);
}

/* Quote signature data: every byte of it must be accounted for. */
static int parse_signature_data(struct mse_view data, struct mse_sgx_quote *quote, struct mse_error_info *err)
{
	uint16_t auth_size, cert_type;
	uint32_t cert_size;

	if (!mse_view_take(&data, SIGNATURE_SIZE, &quote->signature) || !mse_view_take(&data, KEY_SIZE, &quote->attestation_key) ||
	    !mse_view_take(&data, MSE_REPORT_BODY_SIZE, &quote->qe_report_bytes) || !mse_view_take(&data, SIGNATURE_SIZE, &quote->qe_signature) ||
	    !mse_view_le16(&data, &auth_size))
		return mse_fail(err, MSE_ERR_INPUT, "the quote's signature data ends before the QE authentication data");
	if (auth_size > MSE_QUOTE_AUTH_DATA_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the quote has %u bytes of QE authentication data, at most %d are allowed", auth_size,
			MSE_QUOTE_AUTH_DATA_MAX_SIZE);
	if (!mse_view_take(&data, auth_size, &quote->auth_data) || !mse_view_le16(&data, &cert_type) || !mse_view_le32(&data, &cert_size))
		return mse_fail(err, MSE_ERR_INPUT, "the quote's signature data ends before the certification data");
	if (cert_size != data.size)
		return mse_fail(err, MSE_ERR_INPUT, "the quote says its certification data has %u bytes, but there are %zu", cert_size, data.size);
	if (cert_type != MSE_CERT_DATA_PCK_CHAIN)
		return refuse_cert_data(cert_type, err);
	quote->cert_chain = data;
	return parse_report(quote->qe_report_bytes, &quote->qe_report, err);
}

int mse_sgx_quote_parse(struct mse_view bytes, struct mse_sgx_quote *ret_quote, struct mse_error_info *err)
{
	struct mse_sgx_quote quote = { 0 };
	struct mse_view rest = bytes, header, body, signature_data;
	uint32_t signature_size;
	int result;

	if (bytes.size > MSE_QUOTE_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the quote has %zu bytes, at most %zu are allowed", bytes.size, MSE_QUOTE_MAX_SIZE);
	if (!mse_view_take(&rest, MSE_QUOTE_HEADER_SIZE, &header))
		return mse_fail(err, MSE_ERR_INPUT, "the quote ends within its header: it has %zu bytes", bytes.size);
	result = parse_header(header, &quote, err);
	if (result < 0)
		return result;
	if (!mse_view_take(&rest, MSE_REPORT_BODY_SIZE, &body) || !mse_view_le32(&rest, &signature_size))
		return mse_fail(err, MSE_ERR_INPUT, "the quote ends within its report: it has %zu bytes", bytes.size);
	quote.signed_part = mse_view_of(bytes.data, MSE_QUOTE_HEADER_SIZE + MSE_REPORT_BODY_SIZE);
	result = parse_report(body, &quote.report, err);
	if (result < 0)
		return result;
	if (!mse_view_take(&rest, signature_size, &signature_data))
		return mse_fail(err, MSE_ERR_INPUT, "the quote says its signature data has %u bytes, but only %zu follow", signature_size, rest.size);
	for (size_t i = 0; i < rest.size; i++)
		if (rest.data[i] != 0)
			return mse_fail(err, MSE_ERR_INPUT, "%zu bytes follow the quote and are not all zero", rest.size);
	result = parse_signature_data(signature_data, &quote, err);
	if (result < 0)
		return result;
	*ret_quote = quote;
	return 0;
}
