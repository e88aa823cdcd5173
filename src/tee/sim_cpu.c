#include "tee/sim_cpu.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <string.h>

#include "attest/quote.h"
#include "attest/simulation.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/view.h"
#include "crypto/fields.h"
#include "tee/sim_platform.h"

#define QUOTE_MAX_SIZE ((size_t)16 * 1024)
#define AUTH_DATA_SIZE 32

#define FLAG_INITTED 0x01
#define FLAG_MODE64BIT 0x04

#define SEAL_TAG "mse-sim-seal-v1"

void mse_sim_digest(const char *text, uint8_t ret_digest[static 32])
{
	SHA256((const unsigned char *)text, strlen(text), ret_digest);
}

int mse_sim_sign(EVP_PKEY *key, const void *message, size_t size, uint8_t ret_signature[static 64], struct mse_error_info *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char der[80];
	const unsigned char *at = der;
	size_t der_size = sizeof der;
	ECDSA_SIG *parts = NULL;
	bool is_signed = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
			 EVP_DigestSign(context, der, &der_size, message, size) == 1 && (parts = d2i_ECDSA_SIG(NULL, &at, (long)der_size)) != NULL &&
			 BN_bn2binpad(ECDSA_SIG_get0_r(parts), ret_signature, 32) == 32 && BN_bn2binpad(ECDSA_SIG_get0_s(parts), ret_signature + 32, 32) == 32;

	ECDSA_SIG_free(parts);
	EVP_MD_CTX_free(context);
	return is_signed ? 0 : mse_fail(err, MSE_ERR_INTERNAL, "cannot sign for the simulated platform");
}

/* REPORTBODY (Intel SDM volume 3D): offsets of the fields that are not zero. */
static void write_report(uint8_t to[static MSE_REPORT_BODY_SIZE], const struct mse_sim_report *report)
{
	memset(to, 0, MSE_REPORT_BODY_SIZE);
	to[48] = (uint8_t)(FLAG_INITTED | FLAG_MODE64BIT | (report->debug ? MSE_SGX_FLAG_DEBUG : 0));
	memcpy(to + 64, report->mrenclave, 32);
	memcpy(to + 128, report->mrsigner, 32);
	mse_put_le16(to + 256, report->isv_prod_id);
	mse_put_le16(to + 258, report->isv_svn);
	memcpy(to + 320, report->report_data, 64);
}

/* What Intel's quoting enclave does: its own report, on the platform's key, vouches for the attestation key. */
static int append_signature_data(const struct mse_sim_platform *platform, const uint8_t *signed_part, size_t signed_size, struct mse_buffer *to,
	struct mse_error_info *err)
{
	struct mse_sim_report qe = { .isv_prod_id = MSE_SIM_QE_ISV_PROD_ID, .isv_svn = MSE_SIM_QE_ISV_SVN };
	uint8_t signature[64], qe_signature[64], point[65], bound[64 + AUTH_DATA_SIZE], qe_report[MSE_REPORT_BODY_SIZE], number[4];
	size_t point_size;
	int result;

	if (EVP_PKEY_get_octet_string_param(platform->attestation_key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &point_size) != 1 ||
	    point_size != sizeof point)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot read the simulated attestation key");
	memcpy(bound, &point[1], 64);
	for (uint8_t i = 0; i < AUTH_DATA_SIZE; i++)
		bound[64 + i] = i;
	mse_sim_digest(MSE_SIM_QE_MEASUREMENT, qe.mrenclave);
	mse_sim_digest(MSE_SIM_QE_SIGNER, qe.mrsigner);
	SHA256(bound, sizeof bound, qe.report_data);
	write_report(qe_report, &qe);
	if ((result = mse_sim_sign(platform->attestation_key, signed_part, signed_size, signature, err)) < 0 ||
	    (result = mse_sim_sign(platform->pck_key, qe_report, sizeof qe_report, qe_signature, err)) < 0)
		return result;
	mse_put_le32(number, (uint32_t)(64 + 64 + MSE_REPORT_BODY_SIZE + 64 + 2 + AUTH_DATA_SIZE + 2 + 4 + platform->chain_size));
	if ((result = mse_buffer_append(to, number, 4, err)) < 0 || (result = mse_buffer_append(to, signature, sizeof signature, err)) < 0 ||
	    (result = mse_buffer_append(to, bound, 64, err)) < 0 || (result = mse_buffer_append(to, qe_report, sizeof qe_report, err)) < 0 ||
	    (result = mse_buffer_append(to, qe_signature, sizeof qe_signature, err)) < 0)
		return result;
	mse_put_le16(number, AUTH_DATA_SIZE);
	if ((result = mse_buffer_append(to, number, 2, err)) < 0 || (result = mse_buffer_append(to, bound + 64, AUTH_DATA_SIZE, err)) < 0)
		return result;
	mse_put_le16(number, MSE_CERT_DATA_PCK_CHAIN);
	if ((result = mse_buffer_append(to, number, 2, err)) < 0)
		return result;
	mse_put_le32(number, (uint32_t)platform->chain_size);
	if ((result = mse_buffer_append(to, number, 4, err)) < 0)
		return result;
	return mse_buffer_append(to, platform->chain, platform->chain_size, err);
}

int mse_sim_cpu_quote(const struct mse_sim_platform *platform, const struct mse_sim_report *report, uint8_t **ret_quote, size_t *ret_size,
	struct mse_error_info *err)
{
	static const uint8_t zero[32];
	mse_cleanup(mse_buffer_freep) struct mse_buffer *quote = mse_buffer_new(QUOTE_MAX_SIZE);
	struct mse_sim_report filled = *report;
	uint8_t signed_part[MSE_QUOTE_HEADER_SIZE + MSE_REPORT_BODY_SIZE] = { 0 };
	uint8_t *copy;
	int result;

	if (quote == NULL)
		return mse_fail_nomem(err);
	if (memcmp(filled.mrsigner, zero, sizeof zero) == 0)
		mse_sim_digest(MSE_SIM_ENCLAVE_SIGNER, filled.mrsigner);
	mse_put_le16(signed_part, 3);     /* version */
	mse_put_le16(signed_part + 2, 2); /* attestation key: ECDSA on P-256 */
	mse_put_le16(signed_part + 8, MSE_SIM_QE_ISV_SVN);
	memcpy(signed_part + 12, MSE_SIM_QE_VENDOR_ID, 16);
	write_report(signed_part + MSE_QUOTE_HEADER_SIZE, &filled);
	if ((result = mse_buffer_append(quote, signed_part, sizeof signed_part, err)) < 0 ||
	    (result = append_signature_data(platform, signed_part, sizeof signed_part, quote, err)) < 0)
		return result;
	copy = malloc(mse_buffer_size(quote));
	if (copy == NULL)
		return mse_fail_nomem(err);
	memcpy(copy, mse_buffer_data(quote), mse_buffer_size(quote));
	*ret_quote = copy;
	*ret_size = mse_buffer_size(quote);
	return 0;
}

int mse_sim_cpu_sealing_key(const struct mse_sim_platform *platform, const uint8_t mrenclave[static 32], const char *label, struct mse_secret **ret_key,
	struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *info = NULL;
	const struct mse_view fields[] = { mse_view_of(mrenclave, 32), mse_view_of_text(label) };
	OSSL_PARAM params[4];
	EVP_KDF *kdf;
	EVP_KDF_CTX *context;
	bool derived;
	int result;

	if (fields[1].size < 1 || fields[1].size > MSE_SIM_LABEL_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the label of a sealing key has 1 to %d bytes", MSE_SIM_LABEL_MAX_SIZE);
	if ((result = mse_secret_new(32, &key, err)) < 0 || (result = mse_fields_encode(SEAL_TAG, fields, 2, &info, err)) < 0)
		return result;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, mse_secret_data(platform->sealing_secret), mse_secret_size(platform->sealing_secret));
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)mse_buffer_data(info), mse_buffer_size(info));
	params[3] = OSSL_PARAM_construct_end();
	kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	context = EVP_KDF_CTX_new(kdf);
	derived = context != NULL && EVP_KDF_derive(context, mse_secret_data(key), 32, params) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	if (!derived)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot derive a sealing key");
	*ret_key = mse_steal(key);
	return 0;
}
