/* The collateral of the simulated platform, made and signed as Intel's provisioning service does it. */
#include <openssl/x509v3.h>
#include <string.h>

#include "attest/chain.h"
#include "attest/tcb.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "tee/sim_platform.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
/* Clocks of other machines may be behind this one's. */
#define COLLATERAL_BACKDATE HOUR

struct window {
	int64_t issued;
	int64_t next;
};

static int write_signed(const struct mse_sim_pki *pki, enum mse_sim_file file, const char *member, const char *object, struct mse_error_info *err)
{
	mse_autofree char *text = NULL;
	uint8_t signature[64];
	char hex[129];
	int result = mse_sim_sign(pki->key[MSE_SIM_HOLDER_TCB], object, strlen(object), signature, err);

	if (result < 0)
		return result;
	mse_hex_encode(hex, signature, sizeof signature);
	result = mse_format(&text, err, "{\"%s\":%s,\"signature\":\"%s\"}", member, object, hex);
	return result < 0 ? result : mse_sim_file_write(pki->dir, file, text, strlen(text), 0644, err);
}

static int put_level(struct mse_buffer *to, bool is_tcb_info, unsigned svn, const char *status, const char *date, struct mse_error_info *err)
{
	bool healthy = strcmp(status, "UpToDate") == 0;
	int result = mse_buffer_append_text(to, "{\"tcb\":{", err);

	if (result == 0 && is_tcb_info) {
		result = mse_buffer_append_text(to, "\"sgxtcbcomponents\":[", err);
		for (int i = 0; result == 0 && i < MSE_SGX_TCB_COMPONENTS; i++)
			result = mse_buffer_printf(to, err, "%s{\"svn\":%u}", i == 0 ? "" : ",", svn);
		if (result == 0)
			result = mse_buffer_printf(to, err, "],\"pcesvn\":%u}", svn);
	} else if (result == 0) {
		result = mse_buffer_printf(to, err, "\"isvsvn\":%u}", svn);
	}
	return result < 0 ? result : mse_buffer_printf(to, err, ",\"tcbDate\":\"%s\",\"tcbStatus\":\"%s\"%s}", date, status,
		healthy ? "" : ",\"advisoryIDs\":[\"MSE-SIMULATED-ADVISORY\"]");
}

/* The level that the platform reaches has the wanted status; above it is a healthy one that it does not reach. */
static int put_levels(struct mse_buffer *to, bool is_tcb_info, unsigned svn, const char *status, const char *date, struct mse_error_info *err)
{
	int result = mse_buffer_append_text(to, "\"tcbLevels\":[", err);

	if (result == 0 && strcmp(status, "UpToDate") != 0) {
		result = put_level(to, is_tcb_info, svn + 1, "UpToDate", date, err);
		if (result == 0 && strcmp(status, "none") != 0)
			result = mse_buffer_append_text(to, ",", err);
	}
	if (result == 0 && strcmp(status, "none") != 0)
		result = put_level(to, is_tcb_info, svn, status, date, err);
	return result < 0 ? result : mse_buffer_append_text(to, "]}", err);
}

static int write_tcb_info(const struct mse_sim_pki *pki, const char *status, const struct window *window, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(16 * 1024);
	char issued[MSE_TIME_TEXT_SIZE], next[MSE_TIME_TEXT_SIZE], fmspc[13];
	int result;

	if (text == NULL)
		return mse_fail_nomem(err);
	mse_time_format(issued, window->issued);
	mse_time_format(next, window->next);
	mse_hex_encode(fmspc, (const uint8_t *)MSE_SIM_FMSPC, 6);
	result = mse_buffer_printf(text, err, "{\"id\":\"SGX\",\"version\":3,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\",\"fmspc\":\"%s\",\"pceId\":\"0000\","
		"\"tcbType\":0,\"tcbEvaluationDataNumber\":1,", issued, next, fmspc);
	if (result == 0)
		result = put_levels(text, true, MSE_SIM_COMPONENT_SVN, status, issued, err);
	return result < 0 ? result : write_signed(pki, MSE_SIM_FILE_TCB_INFO, "tcbInfo", mse_buffer_text(text), err);
}

static int write_qe_identity(const struct mse_sim_pki *pki, const char *status, const struct window *window, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(16 * 1024);
	char issued[MSE_TIME_TEXT_SIZE], next[MSE_TIME_TEXT_SIZE], signer_hex[65];
	uint8_t signer[32];
	int result;

	if (text == NULL)
		return mse_fail_nomem(err);
	mse_time_format(issued, window->issued);
	mse_time_format(next, window->next);
	mse_sim_digest(MSE_SIM_QE_SIGNER, signer);
	mse_hex_encode(signer_hex, signer, sizeof signer);
	result = mse_buffer_printf(text, err, "{\"id\":\"QE\",\"version\":2,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\",\"tcbEvaluationDataNumber\":1,"
		"\"miscselect\":\"00000000\",\"miscselectMask\":\"ffffffff\",\"attributes\":\"05000000000000000000000000000000\","
		"\"attributesMask\":\"ffffffffffffffffffffffffffffffff\",\"mrsigner\":\"%s\",\"isvprodid\":%d,", issued, next, signer_hex, MSE_SIM_QE_ISV_PROD_ID);
	if (result == 0)
		result = put_levels(text, false, MSE_SIM_QE_ISV_SVN, status, issued, err);
	return result < 0 ? result : write_signed(pki, MSE_SIM_FILE_QE_IDENTITY, "enclaveIdentity", mse_buffer_text(text), err);
}

static bool add_revoked(X509_CRL *crl, X509 *cert, int64_t time)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)time);

	if (entry != NULL && when != NULL && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert)) == 1 &&
	    X509_REVOKED_set_revocationDate(entry, when) == 1 && X509_CRL_add0_revoked(crl, entry) == 1)
		entry = NULL;
	ASN1_TIME_free(when);
	if (entry == NULL)
		return true;
	X509_REVOKED_free(entry);
	return false;
}

static bool fill_crl(const struct mse_sim_pki *pki, enum mse_sim_holder issuer, X509 *revoked, const struct window *window, X509_CRL *crl)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	ASN1_TIME *issued = ASN1_TIME_set(NULL, (time_t)window->issued), *next = ASN1_TIME_set(NULL, (time_t)window->next);
	X509V3_CTX context;
	X509_EXTENSION *key_id = NULL;
	bool filled;

	X509V3_set_ctx(&context, pki->cert[issuer], NULL, NULL, crl, 0);
	filled = number != NULL && ASN1_INTEGER_set_int64(number, window->issued) == 1 && issued != NULL && next != NULL &&
		 X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 && X509_CRL_set_issuer_name(crl, X509_get_subject_name(pki->cert[issuer])) == 1 &&
		 X509_CRL_set1_lastUpdate(crl, issued) == 1 && X509_CRL_set1_nextUpdate(crl, next) == 1 &&
		 X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1 &&
		 (key_id = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always")) != NULL &&
		 X509_CRL_add_ext(crl, key_id, -1) == 1 && (revoked == NULL || add_revoked(crl, revoked, window->issued)) && X509_CRL_sort(crl) == 1 &&
		 X509_CRL_sign(crl, pki->key[issuer], EVP_sha256()) > 0;
	X509_EXTENSION_free(key_id);
	ASN1_TIME_free(next);
	ASN1_TIME_free(issued);
	ASN1_INTEGER_free(number);
	return filled;
}

static int write_crl(const struct mse_sim_pki *pki, enum mse_sim_file file, enum mse_sim_holder issuer, X509 *revoked, const struct window *window, struct mse_error_info *err)
{
	mse_cleanup(mse_crl_freep) X509_CRL *crl = X509_CRL_new();
	unsigned char *der = NULL;
	int size = 0, result;

	if (crl != NULL && fill_crl(pki, issuer, revoked, window, crl))
		size = i2d_X509_CRL(crl, &der);
	result = size > 0 ? mse_sim_file_write(pki->dir, file, der, (size_t)size, 0644, err) : mse_fail(err, MSE_ERR_INTERNAL, "cannot make a CRL");
	OPENSSL_free(der);
	return result;
}

static int make_collateral(const struct mse_sim_pki *pki, const struct mse_sim_drill *drill, const struct window *window, const char *state, struct mse_error_info *err)
{
	mse_autofree char *state_path = NULL;
	int result;

	if ((result = mse_path_join(pki->dir, mse_sim_file_names[MSE_SIM_FILE_STATE], &state_path, err)) < 0 || (result = mse_tree_remove(state_path, err)) < 0 ||
	    (result = mse_dir_sync(pki->dir, err)) < 0 || (result = write_tcb_info(pki, drill->tcb_status, window, err)) < 0 ||
	    (result = write_qe_identity(pki, drill->qe_status, window, err)) < 0 ||
	    (result = write_crl(pki, MSE_SIM_FILE_ROOT_CRL, MSE_SIM_HOLDER_ROOT, drill->revoke_pck_ca ? pki->cert[MSE_SIM_HOLDER_PCK_CA] : NULL, window, err)) < 0 ||
	    (result = write_crl(pki, MSE_SIM_FILE_PCK_CRL, MSE_SIM_HOLDER_PCK_CA, drill->revoke_pck ? pki->cert[MSE_SIM_HOLDER_PCK] : NULL, window, err)) < 0)
		return result;
	return mse_sim_file_write(pki->dir, MSE_SIM_FILE_STATE, state, strlen(state), 0644, err);
}

static int check_signed(const struct mse_sim_pki *pki, enum mse_sim_file file, const char *member, struct mse_error_info *err)
{
	mse_autofree uint8_t *text = NULL;
	mse_autojson *json = NULL;
	const char *next;
	uint8_t signature[64];
	struct mse_view object;
	int64_t until;
	size_t size;
	int result = mse_sim_file_read(pki->dir, file, &text, &size, err);

	if (result < 0)
		return result;
	if (mse_signed_json_split(mse_view_of(text, size), member, &object, signature, err) < 0 ||
	    mse_ecdsa_verify(pki->key[MSE_SIM_HOLDER_TCB], object, signature, member, err) < 0)
		return mse_sim_broken(err, pki->dir, file, "was changed, or not signed by this simulation");
	if (mse_json_parse(object.data, object.size, member, &json, err) < 0 || mse_json_string(json, "nextUpdate", member, &next, err) < 0 ||
	    mse_time_parse(next, &until, member, err) < 0 || pki->now > until)
		return mse_sim_broken(err, pki->dir, file, "is an old one");
	return 0;
}

static int check_crl(const struct mse_sim_pki *pki, enum mse_sim_file file, enum mse_sim_holder issuer, struct mse_error_info *err)
{
	mse_cleanup(mse_crl_freep) X509_CRL *crl = NULL;
	mse_autofree uint8_t *der = NULL;
	size_t size;
	int result = mse_sim_file_read(pki->dir, file, &der, &size, err);

	if (result < 0)
		return result;
	if (mse_crl_read(mse_view_of(der, size), mse_sim_file_names[file], &crl, err) < 0 || mse_crl_verify(crl, pki->cert[issuer], mse_sim_file_names[file], err) < 0)
		return mse_sim_broken(err, pki->dir, file, "was changed, or not signed by this simulation");
	if (mse_crl_check_dates(crl, pki->now, mse_sim_file_names[file], err) < 0)
		return mse_sim_broken(err, pki->dir, file, "is an old one");
	return 0;
}

static int check_collateral(const struct mse_sim_pki *pki, struct mse_error_info *err)
{
	int result;

	if ((result = check_signed(pki, MSE_SIM_FILE_TCB_INFO, "tcbInfo", err)) < 0 || (result = check_signed(pki, MSE_SIM_FILE_QE_IDENTITY, "enclaveIdentity", err)) < 0 ||
	    (result = check_crl(pki, MSE_SIM_FILE_ROOT_CRL, MSE_SIM_HOLDER_ROOT, err)) < 0)
		return result;
	return check_crl(pki, MSE_SIM_FILE_PCK_CRL, MSE_SIM_HOLDER_PCK_CA, err);
}

/* The state file: "<issued> <next> <drill>". Whether the collateral of this drill is there and lasts for half its time. */
static bool is_current(const struct mse_sim_pki *pki, const char *drill_text)
{
	struct mse_error_info err;
	mse_autofree uint8_t *data = NULL;
	char issued[MSE_TIME_TEXT_SIZE], next[MSE_TIME_TEXT_SIZE];
	struct window window;
	struct mse_view rest;
	char space;
	size_t size;

	for (int file = MSE_SIM_FILE_TCB_INFO; file < MSE_SIM_FILE_COUNT; file++)
		if (!mse_sim_file_exists(pki->dir, (enum mse_sim_file)file))
			return false;
	if (mse_sim_file_read(pki->dir, MSE_SIM_FILE_STATE, &data, &size, &err) < 0)
		return false;
	rest = mse_view_of(data, size);
	issued[MSE_TIME_TEXT_SIZE - 1] = next[MSE_TIME_TEXT_SIZE - 1] = '\0';
	return mse_view_copy(&rest, issued, MSE_TIME_TEXT_SIZE - 1) && mse_view_copy(&rest, &space, 1) && mse_view_copy(&rest, next, MSE_TIME_TEXT_SIZE - 1) &&
	       mse_view_copy(&rest, &space, 1) && mse_view_equals_text(rest, drill_text) && mse_time_parse(issued, &window.issued, "issued", &err) == 0 &&
	       mse_time_parse(next, &window.next, "next", &err) == 0 && pki->now >= window.issued && window.next - pki->now >= MSE_SIM_COLLATERAL_SECONDS / 2;
}

int mse_sim_collateral_ensure(const struct mse_sim_pki *pki, const struct mse_sim_drill *drill, struct mse_error_info *err)
{
	struct window window = { .issued = pki->now - COLLATERAL_BACKDATE };
	char issued[MSE_TIME_TEXT_SIZE], next[MSE_TIME_TEXT_SIZE];
	mse_autofree char *drill_text = NULL, *state = NULL;
	int result = mse_format(&drill_text, err, "tcb=%s qe=%s pck=%s pck-ca=%s", drill->tcb_status, drill->qe_status, drill->revoke_pck ? "revoked" : "ok",
		drill->revoke_pck_ca ? "revoked" : "ok");

	if (result < 0)
		return result;
	if (!drill->expired_collateral && is_current(pki, drill_text))
		return check_collateral(pki, err);
	if (drill->expired_collateral)
		window.issued = pki->now - DAY - MSE_SIM_COLLATERAL_SECONDS;
	window.next = window.issued + MSE_SIM_COLLATERAL_SECONDS;
	mse_time_format(issued, window.issued);
	mse_time_format(next, window.next);
	result = mse_format(&state, err, "%s %s %s", issued, next, drill_text);
	return result < 0 ? result : make_collateral(pki, drill, &window, state, err);
}
