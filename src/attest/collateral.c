#include "attest/collateral.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"

/* Base64 adds a third, JSON escapes double at most. */
#define COLLATERAL_TEXT_MAX_SIZE (2 * (2 * MSE_COLLATERAL_JSON_MAX_SIZE + 2 * MSE_COLLATERAL_CHAIN_MAX_SIZE + 2 * MSE_COLLATERAL_CRL_MAX_SIZE))

struct mse_collateral_owned {
	json_t *json; /* the texts stay in it */
	uint8_t *root_ca_crl;
	uint8_t *pck_crl;
	struct mse_collateral view;
};

void mse_collateral_free(struct mse_collateral_owned *collateral)
{
	if (collateral == NULL)
		return;
	json_decref(collateral->json);
	free(collateral->root_ca_crl);
	free(collateral->pck_crl);
	free(collateral);
}

const struct mse_collateral *mse_collateral_view(const struct mse_collateral_owned *collateral)
{
	return &collateral->view;
}

static int text_member(const json_t *json, const char *member, size_t max_size, struct mse_bytes *to, struct mse_error_info *err)
{
	const char *text;
	int result;

	if (json_object_get(json, member) == NULL)
		return 0;
	result = mse_json_string(json, member, "the collateral", &text, err);
	if (result < 0)
		return result;
	to->data = text;
	to->size = json_string_length(json_object_get(json, member));
	if (to->size > max_size)
		return mse_fail(err, MSE_ERR_LIMIT, "the collateral: '%s' has %zu bytes, at most %zu are allowed", member, to->size, max_size);
	return 0;
}

static int crl_member(const json_t *json, const char *member, uint8_t **data, struct mse_bytes *to, struct mse_error_info *err)
{
	const char *text;
	int result;

	if (json_object_get(json, member) == NULL)
		return 0;
	result = mse_json_string(json, member, "the collateral", &text, err);
	if (result == 0)
		result = mse_base64_decode(text, MSE_COLLATERAL_CRL_MAX_SIZE, data, &to->size, member, err);
	to->data = *data;
	return result < 0 ? mse_context(err, "the collateral") : 0;
}

int mse_collateral_parse(const void *text, size_t size, struct mse_collateral_owned **ret_collateral, struct mse_error_info *err)
{
	static const char *const members[] = { "tcb_info", "tcb_info_issuer_chain", "qe_identity", "qe_identity_issuer_chain", "root_ca_crl", "pck_crl", NULL };
	mse_cleanup(mse_collateral_freep) struct mse_collateral_owned *collateral = calloc(1, sizeof *collateral);
	struct mse_collateral *view;
	int result;

	if (collateral == NULL)
		return mse_fail_nomem(err);
	if (size > COLLATERAL_TEXT_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the collateral has %zu bytes, at most %zu are allowed", size, COLLATERAL_TEXT_MAX_SIZE);
	view = &collateral->view;
	if ((result = mse_json_parse(text, size, "the collateral", &collateral->json, err)) < 0 ||
	    (result = mse_json_only(collateral->json, members, "the collateral", err)) < 0 ||
	    (result = text_member(collateral->json, "tcb_info", MSE_COLLATERAL_JSON_MAX_SIZE, &view->tcb_info, err)) < 0 ||
	    (result = text_member(collateral->json, "tcb_info_issuer_chain", MSE_COLLATERAL_CHAIN_MAX_SIZE, &view->tcb_info_issuer_chain, err)) < 0 ||
	    (result = text_member(collateral->json, "qe_identity", MSE_COLLATERAL_JSON_MAX_SIZE, &view->qe_identity, err)) < 0 ||
	    (result = text_member(collateral->json, "qe_identity_issuer_chain", MSE_COLLATERAL_CHAIN_MAX_SIZE, &view->qe_identity_issuer_chain, err)) < 0 ||
	    (result = crl_member(collateral->json, "root_ca_crl", &collateral->root_ca_crl, &view->root_ca_crl, err)) < 0 ||
	    (result = crl_member(collateral->json, "pck_crl", &collateral->pck_crl, &view->pck_crl, err)) < 0)
		return result;
	*ret_collateral = mse_steal(collateral);
	return 0;
}
