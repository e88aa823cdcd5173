#include "attest/tcb.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "mse/attest.h"

#define SIGNATURE_SIZE 64
#define TCB_INFO "TCB info"
#define QE_IDENTITY "QE identity"

/* --- the signed body ------------------------------------------------------------------------------------------- */

static void skip_space(struct mse_view *view)
{
	while (view->size > 0 && (view->data[0] == ' ' || view->data[0] == '\t' || view->data[0] == '\n' || view->data[0] == '\r'))
		*view = mse_view_of(view->data + 1, view->size - 1);
}

static bool take_byte(struct mse_view *view, char expected)
{
	skip_space(view);
	if (view->size == 0 || view->data[0] != (uint8_t)expected)
		return false;
	*view = mse_view_of(view->data + 1, view->size - 1);
	return true;
}

/* A string without escapes: neither the two members' names nor hex digits need any. */
static bool take_string(struct mse_view *view, struct mse_view *ret_text)
{
	const uint8_t *end;

	if (!take_byte(view, '"') || (end = memchr(view->data, '"', view->size)) == NULL)
		return false;
	*ret_text = mse_view_of(view->data, (size_t)(end - view->data));
	if (memchr(ret_text->data, '\\', ret_text->size) != NULL)
		return false;
	*view = mse_view_of(end + 1, view->size - ret_text->size - 1);
	return true;
}

/* From an opening brace to the one that closes it. Whether it is JSON in between is for the parser to say: if it is, this is its extent. */
static bool take_object(struct mse_view *view, struct mse_view *ret_object)
{
	size_t depth = 0;
	bool in_string = false;

	skip_space(view);
	if (view->size == 0 || view->data[0] != '{')
		return false;
	for (size_t i = 0; i < view->size; i++) {
		uint8_t byte = view->data[i];

		if (in_string) {
			if (byte == '\\')
				i++;
			else if (byte == '"')
				in_string = false;
		} else if (byte == '"') {
			in_string = true;
		} else if (byte == '{') {
			depth++;
		} else if (byte == '}' && --depth == 0) {
			*ret_object = mse_view_of(view->data, i + 1);
			*view = mse_view_of(view->data + i + 1, view->size - i - 1);
			return true;
		}
	}
	return false;
}

int mse_signed_json_split(struct mse_view text, const char *member, struct mse_view *ret_object, uint8_t ret_signature[static 64],
	struct mse_error_info *err)
{
	struct mse_view name, object = { 0 }, hex = { 0 };
	char signature[2 * SIGNATURE_SIZE + 1];
	bool separator;

	if (text.size == 0)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "it was not given");
	if (text.size > MSE_COLLATERAL_JSON_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "it has %zu bytes, at most %zu are allowed", text.size, MSE_COLLATERAL_JSON_MAX_SIZE);
	if (!take_byte(&text, '{'))
		return mse_fail(err, MSE_ERR_INPUT, "it is not a JSON object");
	do {
		bool taken = take_string(&text, &name) && take_byte(&text, ':');

		if (taken && object.data == NULL && mse_view_equals_text(name, member))
			taken = take_object(&text, &object);
		else if (taken && hex.data == NULL && mse_view_equals_text(name, "signature"))
			taken = take_string(&text, &hex);
		else
			taken = false;
		if (!taken)
			return mse_fail(err, MSE_ERR_INPUT, "it is not of the form {\"%s\":{...},\"signature\":\"...\"}", member);
		separator = take_byte(&text, ',');
	} while (separator);
	if (!take_byte(&text, '}') || object.data == NULL || hex.data == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "it is not of the form {\"%s\":{...},\"signature\":\"...\"}", member);
	skip_space(&text);
	if (text.size != 0)
		return mse_fail(err, MSE_ERR_INPUT, "%zu bytes follow the JSON object", text.size);
	if (hex.size != 2 * SIGNATURE_SIZE || memchr(hex.data, 0, hex.size) != NULL)
		return mse_fail(err, MSE_ERR_INPUT, "its signature is not %d hex digits", 2 * SIGNATURE_SIZE);
	memcpy(signature, hex.data, hex.size);
	signature[hex.size] = '\0';
	*ret_object = object;
	return mse_hex_decode(ret_signature, SIGNATURE_SIZE, signature, "its signature", err);
}

static int text_is(const json_t *object, const char *member, const char *expected, const char *what, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(object, member, what, &text, err);

	if (result == 0 && strcmp(text, expected) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "%s has %s '%.32s', expected '%s'", what, member, text, expected);
	return result;
}

static int parse_date(const json_t *object, const char *member, const char *what, int64_t *ret_seconds, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(object, member, what, &text, err);

	return result < 0 ? result : mse_time_parse(text, ret_seconds, member, err);
}

static int parse_advisories(const json_t *level, const char *what, struct mse_tcb_level *to, struct mse_error_info *err)
{
	json_t *advisories = json_object_get(level, "advisoryIDs");

	if (advisories == NULL)
		return 0;
	if (!json_is_array(advisories) || json_array_size(advisories) > MSE_TCB_ADVISORIES_MAX)
		return mse_fail(err, MSE_ERR_INPUT, "%s: advisoryIDs is not an array of at most %d", what, MSE_TCB_ADVISORIES_MAX);
	for (size_t i = 0; i < json_array_size(advisories); i++)
		if (!json_is_string(json_array_get(advisories, i)))
			return mse_fail(err, MSE_ERR_INPUT, "%s: an advisory id is not a string", what);
	to->advisories = advisories;
	return 0;
}

static int parse_svn(const json_t *object, const char *member, const char *what, uint64_t max, uint64_t *ret_svn, struct mse_error_info *err)
{
	return mse_json_u64(object, member, what, 0, max, ret_svn, err);
}

/* Version 3 has an array of objects, version 2 a member for each component. */
static int parse_components(const json_t *tcb, unsigned version, struct mse_tcb_level *to, struct mse_error_info *err)
{
	json_t *components = NULL;
	uint64_t svn = 0;
	int result;

	if (version == 3) {
		result = mse_json_array(tcb, "sgxtcbcomponents", TCB_INFO, &components, err);
		if (result < 0)
			return result;
		if (json_array_size(components) != MSE_SGX_TCB_COMPONENTS)
			return mse_fail(err, MSE_ERR_INPUT, TCB_INFO ": a level has %zu components, expected %d", json_array_size(components),
				MSE_SGX_TCB_COMPONENTS);
	}
	for (int i = 0; i < MSE_SGX_TCB_COMPONENTS; i++) {
		char member[] = "sgxtcbcompNNsvn";

		member[10] = (char)('0' + (i + 1) / 10);
		member[11] = (char)('0' + (i + 1) % 10);
		result = version == 3 ? parse_svn(json_array_get(components, (size_t)i), "svn", TCB_INFO, 0xff, &svn, err) :
					parse_svn(tcb, member, TCB_INFO, 0xff, &svn, err);
		if (result < 0)
			return result;
		to->components[i] = (uint8_t)svn;
	}
	result = parse_svn(tcb, "pcesvn", TCB_INFO, 0xffff, &svn, err);
	to->pce_svn = (uint16_t)svn;
	return result;
}

static int parse_level(const json_t *level, const char *what, bool is_tcb_info, unsigned version, struct mse_tcb_level *to, struct mse_error_info *err)
{
	const char *status;
	uint64_t svn = 0;
	json_t *tcb;
	int result = mse_json_object(level, "tcb", what, &tcb, err);

	if (result == 0)
		result = mse_json_string(level, "tcbStatus", what, &status, err);
	if (result < 0)
		return result;
	if (!mse_tcb_status_parse(status, &to->findings))
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "%s has a level of the unknown status '%.64s'", what, status);
	if (is_tcb_info) {
		result = parse_components(tcb, version, to, err);
	} else {
		result = parse_svn(tcb, "isvsvn", what, 0xffff, &svn, err);
		to->isv_svn = (uint16_t)svn;
	}
	return result < 0 ? result : parse_advisories(level, what, to, err);
}

static int parse_body(struct mse_view object, const char *what, bool is_tcb_info, struct mse_signed_body *body, struct mse_error_info *err)
{
	uint64_t version;
	json_t *levels;
	int result;

	if ((result = mse_json_parse(object.data, object.size, what, &body->json, err)) < 0 ||
	    (result = mse_json_u64(body->json, "version", what, 0, UINT32_MAX, &version, err)) < 0)
		return result;
	if (version != 2 && (version != 3 || !is_tcb_info))
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "%s has version %llu; %s verified here", what, (unsigned long long)version,
			is_tcb_info ? "versions 2 and 3 are" : "version 2 is");
	body->version = (unsigned)version;
	if ((result = parse_date(body->json, "issueDate", what, &body->issue_date, err)) < 0 ||
	    (result = parse_date(body->json, "nextUpdate", what, &body->next_update, err)) < 0 ||
	    (result = mse_json_u64(body->json, "tcbEvaluationDataNumber", what, 0, UINT32_MAX, &body->evaluation_number, err)) < 0 ||
	    (result = mse_json_array(body->json, "tcbLevels", what, &levels, err)) < 0)
		return result;
	if (json_array_size(levels) == 0 || json_array_size(levels) > MSE_TCB_LEVELS_MAX)
		return mse_fail(err, MSE_ERR_LIMIT, "%s has %zu TCB levels, 1 to %d are allowed", what, json_array_size(levels), MSE_TCB_LEVELS_MAX);
	body->levels = calloc(json_array_size(levels), sizeof *body->levels);
	if (body->levels == NULL)
		return mse_fail_nomem(err);
	body->level_count = json_array_size(levels);
	for (size_t i = 0; i < body->level_count; i++) {
		result = parse_level(json_array_get(levels, i), what, is_tcb_info, body->version, &body->levels[i], err);
		if (result < 0)
			return result;
	}
	return 0;
}

static void clear_body(struct mse_signed_body *body)
{
	free(body->levels);
	json_decref(body->json);
	*body = (struct mse_signed_body){ 0 };
}

int mse_signed_body_check_dates(const struct mse_signed_body *body, int64_t time, const char *what, struct mse_error_info *err)
{
	char text[MSE_TIME_TEXT_SIZE];

	if (time < body->issue_date) {
		mse_time_format(text, body->issue_date);
		return mse_fail(err, MSE_ERR_VERIFY, "%s is valid only from %s on", what, text);
	}
	if (time > body->next_update) {
		mse_time_format(text, body->next_update);
		return mse_fail(err, MSE_ERR_VERIFY, "%s expired at %s: get the current one", what, text);
	}
	return 0;
}

/* --- TCB info -------------------------------------------------------------------------------------------------- */

void mse_tcb_info_clear(struct mse_tcb_info *info)
{
	clear_body(&info->body);
}

static int parse_tcb_info(struct mse_view object, struct mse_tcb_info *info, struct mse_error_info *err)
{
	uint64_t tcb_type;
	int result = parse_body(object, TCB_INFO, true, &info->body, err);

	if (result == 0 && info->body.version == 3)
		result = text_is(info->body.json, "id", "SGX", TCB_INFO, err);
	if (result < 0 || (result = mse_json_u64(info->body.json, "tcbType", TCB_INFO, 0, UINT32_MAX, &tcb_type, err)) < 0)
		return result;
	/* Type 0: components are compared one by one; no other has ever been defined. */
	if (tcb_type != 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, TCB_INFO " has TCB type %llu; type 0 is verified here", (unsigned long long)tcb_type);
	if ((result = mse_json_hex(info->body.json, "fmspc", TCB_INFO, info->fmspc, sizeof info->fmspc, err)) < 0)
		return result;
	return mse_json_hex(info->body.json, "pceId", TCB_INFO, info->pceid, sizeof info->pceid, err);
}

int mse_tcb_info_parse(struct mse_view object, struct mse_tcb_info *ret_info, struct mse_error_info *err)
{
	struct mse_tcb_info info = { 0 };
	int result = parse_tcb_info(object, &info, err);

	if (result < 0) {
		mse_tcb_info_clear(&info);
		return result;
	}
	*ret_info = info;
	return 0;
}

int mse_tcb_info_match(const struct mse_tcb_info *info, const struct mse_pck_extension *platform, const struct mse_tcb_level **ret_level,
	struct mse_error_info *err)
{
	for (size_t i = 0; i < info->body.level_count; i++) {
		const struct mse_tcb_level *level = &info->body.levels[i];
		int component = 0;

		while (component < MSE_SGX_TCB_COMPONENTS && platform->components[component] >= level->components[component])
			component++;
		if (component == MSE_SGX_TCB_COMPONENTS && platform->pce_svn >= level->pce_svn) {
			*ret_level = level;
			return 0;
		}
	}
	return mse_fail(err, MSE_ERR_VERIFY, "the platform reaches no TCB level of its TCB info: this TCB is not supported");
}

/* --- QE identity ----------------------------------------------------------------------------------------------- */

void mse_qe_identity_clear(struct mse_qe_identity *identity)
{
	clear_body(&identity->body);
}

static int parse_qe_identity(struct mse_view object, struct mse_qe_identity *identity, struct mse_error_info *err)
{
	const json_t *json;
	uint64_t prod_id;
	int result = parse_body(object, QE_IDENTITY, false, &identity->body, err);

	if (result < 0)
		return result;
	json = identity->body.json;
	if ((result = text_is(json, "id", "QE", QE_IDENTITY, err)) < 0 ||
	    (result = mse_json_hex(json, "miscselect", QE_IDENTITY, identity->misc_select, sizeof identity->misc_select, err)) < 0 ||
	    (result = mse_json_hex(json, "miscselectMask", QE_IDENTITY, identity->misc_select_mask, sizeof identity->misc_select_mask, err)) < 0 ||
	    (result = mse_json_hex(json, "attributes", QE_IDENTITY, identity->attributes, sizeof identity->attributes, err)) < 0 ||
	    (result = mse_json_hex(json, "attributesMask", QE_IDENTITY, identity->attributes_mask, sizeof identity->attributes_mask, err)) < 0 ||
	    (result = mse_json_hex(json, "mrsigner", QE_IDENTITY, identity->mrsigner, sizeof identity->mrsigner, err)) < 0 ||
	    (result = mse_json_u64(json, "isvprodid", QE_IDENTITY, 0, UINT16_MAX, &prod_id, err)) < 0)
		return result;
	identity->isv_prod_id = (uint16_t)prod_id;
	return 0;
}

int mse_qe_identity_parse(struct mse_view object, struct mse_qe_identity *ret_identity, struct mse_error_info *err)
{
	struct mse_qe_identity identity = { 0 };
	int result = parse_qe_identity(object, &identity, err);

	if (result < 0) {
		mse_qe_identity_clear(&identity);
		return result;
	}
	*ret_identity = identity;
	return 0;
}

/* Bits expected outside the mask can never be met, as in Intel's own verifier. */
static bool equal_under_mask(const uint8_t *value, const uint8_t *expected, const uint8_t *mask, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((value[i] & mask[i]) != expected[i])
			return false;
	return true;
}

int mse_qe_identity_check(const struct mse_qe_identity *identity, const struct mse_sgx_report *report, struct mse_error_info *err)
{
	if (memcmp(report->mrsigner, identity->mrsigner, sizeof report->mrsigner) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave was signed by somebody else (MRSIGNER) than the QE identity says");
	if (report->isv_prod_id != identity->isv_prod_id)
		return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave has product id %u, the QE identity says %u", report->isv_prod_id, identity->isv_prod_id);
	if (!equal_under_mask(report->attributes, identity->attributes, identity->attributes_mask, sizeof report->attributes))
		return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave's attributes are not those of the QE identity");
	if ((report->attributes[0] & MSE_SGX_FLAG_DEBUG) != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave is a debug enclave");
	if (!equal_under_mask(report->misc_select, identity->misc_select, identity->misc_select_mask, sizeof report->misc_select))
		return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave's MISCSELECT is not that of the QE identity");
	return 0;
}

int mse_qe_identity_match(const struct mse_qe_identity *identity, const struct mse_sgx_report *report, const struct mse_tcb_level **ret_level,
	struct mse_error_info *err)
{
	for (size_t i = 0; i < identity->body.level_count; i++)
		if (report->isv_svn >= identity->body.levels[i].isv_svn) {
			*ret_level = &identity->body.levels[i];
			return 0;
		}
	return mse_fail(err, MSE_ERR_VERIFY, "the quoting enclave's security version %u reaches no TCB level of the QE identity", report->isv_svn);
}
