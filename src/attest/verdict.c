#include "attest/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

struct mse_verdict *mse_verdict_new(void)
{
	return calloc(1, sizeof(struct mse_verdict));
}

void mse_verdict_free(struct mse_verdict *verdict)
{
	if (verdict == NULL)
		return;
	for (size_t i = 0; i < verdict->check_count; i++) {
		free((char *)verdict->checks[i].name);
		free((char *)verdict->checks[i].expected);
		free((char *)verdict->checks[i].found);
	}
	for (size_t i = 0; i < verdict->required_count; i++)
		free(verdict->required[i]);
	for (size_t i = 0; i < verdict->advisory_count; i++)
		free(verdict->advisories[i]);
	free(verdict->checks);
	free(verdict);
}

/* Texts may quote hostile input and end up on terminals and in JSON: printable ASCII stays, and UTF-8 where all of it is valid. */
static char *clean_copy(const char *text)
{
	size_t size = strnlen(text, MSE_CHECK_TEXT_MAX_SIZE);
	bool is_utf8 = mse_utf8_is_valid(text, size);
	char *copy = strndup(text, size);

	for (size_t i = 0; copy != NULL && i < size; i++) {
		unsigned char byte = (unsigned char)copy[i];

		/* 0xc2 begins the C1 control characters, which terminals obey too. */
		if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_utf8) || (byte == 0xc2 && (unsigned char)copy[i + 1] < 0xa0)) {
			copy[i] = '?';
			if (byte == 0xc2)
				copy[i + 1] = '?';
		}
	}
	return copy;
}

static void add_check(struct mse_verdict *verdict, const char *name, enum mse_check_result result, const char *expected, const char *found)
{
	struct mse_check check = { .result = result };
	struct mse_check *checks;

	checks = verdict->check_count < MSE_VERDICT_CHECKS_MAX ? realloc(verdict->checks, (verdict->check_count + 1) * sizeof *checks) : NULL;
	if (checks == NULL) {
		verdict->broken = true;
		return;
	}
	verdict->checks = checks;
	check.name = clean_copy(name);
	check.expected = expected == NULL ? NULL : clean_copy(expected);
	check.found = found == NULL ? NULL : clean_copy(found);
	if (check.name == NULL || (expected != NULL && check.expected == NULL) || (found != NULL && check.found == NULL)) {
		free((char *)check.name);
		free((char *)check.expected);
		free((char *)check.found);
		verdict->broken = true;
		return;
	}
	checks[verdict->check_count++] = check;
}

void mse_verdict_add_check(struct mse_verdict *verdict, const char *name, bool passed, const char *expected, const char *found)
{
	add_check(verdict, name, passed ? MSE_CHECK_PASSED : MSE_CHECK_FAILED, expected, found);
}

void mse_verdict_add_not_applicable(struct mse_verdict *verdict, const char *name, const char *reason)
{
	add_check(verdict, name, MSE_CHECK_NOT_APPLICABLE, NULL, reason);
}

void mse_verdict_require(struct mse_verdict *verdict, const char *name)
{
	char *copy = verdict->required_count < MSE_VERDICT_REQUIRED_MAX ? clean_copy(name) : NULL;

	if (copy == NULL)
		verdict->broken = true;
	else
		verdict->required[verdict->required_count++] = copy;
}

void mse_verdict_add_advisory(struct mse_verdict *verdict, const char *advisory)
{
	char *copy;

	for (size_t i = 0; i < verdict->advisory_count; i++)
		if (strcmp(verdict->advisories[i], advisory) == 0)
			return;
	copy = verdict->advisory_count < MSE_VERDICT_ADVISORIES_MAX ? clean_copy(advisory) : NULL;
	if (copy == NULL)
		verdict->broken = true;
	else
		verdict->advisories[verdict->advisory_count++] = copy;
}

/* Whether a check of this name is there and every one of this name passed. */
static bool check_passed(const struct mse_verdict *verdict, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < verdict->check_count; i++) {
		if (strcmp(verdict->checks[i].name, name) != 0)
			continue;
		if (verdict->checks[i].result != MSE_CHECK_PASSED)
			return false;
		found = true;
	}
	return found;
}

bool mse_verdict_passed(const struct mse_verdict *verdict)
{
	if (!verdict->finished || verdict->broken || verdict->required_count == 0 || mse_verdict_first_failed(verdict) != NULL)
		return false;
	for (size_t i = 0; i < verdict->required_count; i++)
		if (!check_passed(verdict, verdict->required[i]))
			return false;
	return true;
}

size_t mse_verdict_check_count(const struct mse_verdict *verdict)
{
	return verdict->check_count;
}

const struct mse_check *mse_verdict_check(const struct mse_verdict *verdict, size_t index)
{
	return index < verdict->check_count ? &verdict->checks[index] : NULL;
}

const struct mse_check *mse_verdict_first_failed(const struct mse_verdict *verdict)
{
	for (size_t i = 0; i < verdict->check_count; i++)
		if (verdict->checks[i].result == MSE_CHECK_FAILED)
			return &verdict->checks[i];
	return NULL;
}

const char *mse_verdict_tee(const struct mse_verdict *verdict)
{
	return verdict->tee;
}

enum mse_root_kind mse_verdict_root_kind(const struct mse_verdict *verdict)
{
	return verdict->root_kind;
}

bool mse_verdict_simulated(const struct mse_verdict *verdict)
{
	return verdict->root_kind == MSE_ROOT_SIMULATION || (verdict->root_kind == MSE_ROOT_NONE && verdict->named_simulation);
}

const uint8_t *mse_verdict_root_fingerprint(const struct mse_verdict *verdict)
{
	return verdict->has_root_fingerprint ? verdict->root_fingerprint : NULL;
}

const char *mse_verdict_status(const struct mse_verdict *verdict)
{
	return verdict->status;
}

size_t mse_verdict_advisory_count(const struct mse_verdict *verdict)
{
	return verdict->advisory_count;
}

const char *mse_verdict_advisory(const struct mse_verdict *verdict, size_t index)
{
	return index < verdict->advisory_count ? verdict->advisories[index] : NULL;
}

bool mse_verdict_debug(const struct mse_verdict *verdict)
{
	return verdict->debug;
}

const uint8_t *mse_verdict_mrenclave(const struct mse_verdict *verdict)
{
	return verdict->has_report ? verdict->mrenclave : NULL;
}

const uint8_t *mse_verdict_mrsigner(const struct mse_verdict *verdict)
{
	return verdict->has_report ? verdict->mrsigner : NULL;
}

const uint8_t *mse_verdict_report_data(const struct mse_verdict *verdict)
{
	return verdict->has_report ? verdict->report_data : NULL;
}

unsigned mse_verdict_isv_prod_id(const struct mse_verdict *verdict)
{
	return verdict->isv_prod_id;
}

unsigned mse_verdict_isv_svn(const struct mse_verdict *verdict)
{
	return verdict->isv_svn;
}

const uint8_t *mse_verdict_fmspc(const struct mse_verdict *verdict)
{
	return verdict->has_platform ? verdict->fmspc : NULL;
}

const uint8_t *mse_verdict_pceid(const struct mse_verdict *verdict)
{
	return verdict->has_platform ? verdict->pceid : NULL;
}

const uint8_t *mse_verdict_ppid(const struct mse_verdict *verdict)
{
	return verdict->has_platform ? verdict->ppid : NULL;
}

const uint8_t *mse_verdict_piid(const struct mse_verdict *verdict)
{
	return verdict->has_piid ? verdict->piid : NULL;
}

static json_t *text_or_null(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

static int set_hex_or_null(json_t *object, const char *member, const uint8_t *data, size_t size, struct mse_error_info *err)
{
	return data == NULL ? mse_json_set(object, member, json_null(), err) : mse_json_set_hex(object, member, data, size, err);
}

static int checks_to_json(const struct mse_verdict *verdict, json_t *object, struct mse_error_info *err)
{
	static const char *const results[] = {
		[MSE_CHECK_FAILED] = "failed", [MSE_CHECK_PASSED] = "passed", [MSE_CHECK_NOT_APPLICABLE] = "not-applicable"
	};
	json_t *checks = json_array();
	int result = mse_json_set(object, "checks", checks, err);

	for (size_t i = 0; result == 0 && i < verdict->check_count; i++) {
		const struct mse_check *check = &verdict->checks[i];
		json_t *entry = json_object();

		if (json_array_append_new(checks, entry) < 0)
			return mse_fail_nomem(err);
		if ((result = mse_json_set(entry, "name", json_string(check->name), err)) < 0 ||
		    (result = mse_json_set(entry, "result", json_string(results[check->result]), err)) < 0 ||
		    (result = mse_json_set(entry, "expected", text_or_null(check->expected), err)) < 0)
			return result;
		result = mse_json_set(entry, "found", text_or_null(check->found), err);
	}
	return result;
}

static int measurements_to_json(const struct mse_verdict *verdict, json_t *object, struct mse_error_info *err)
{
	json_t *measurements = json_object();
	int result = mse_json_set(object, "measurements", measurements, err);

	if (result < 0 || !verdict->has_report)
		return result;
	if ((result = mse_json_set_hex(measurements, "mrenclave", verdict->mrenclave, 32, err)) < 0 ||
	    (result = mse_json_set_hex(measurements, "mrsigner", verdict->mrsigner, 32, err)) < 0 ||
	    (result = mse_json_set(measurements, "isv_prod_id", json_integer(verdict->isv_prod_id), err)) < 0)
		return result;
	return mse_json_set(measurements, "isv_svn", json_integer(verdict->isv_svn), err);
}

static int platform_to_json(const struct mse_verdict *verdict, json_t *object, struct mse_error_info *err)
{
	json_t *platform = json_object();
	int result = mse_json_set(object, "platform", platform, err);

	if (result < 0 || !verdict->has_platform)
		return result;
	if ((result = mse_json_set_hex(platform, "fmspc", verdict->fmspc, 6, err)) < 0 ||
	    (result = mse_json_set_hex(platform, "pceid", verdict->pceid, 2, err)) < 0 ||
	    (result = mse_json_set_hex(platform, "ppid", verdict->ppid, 16, err)) < 0)
		return result;
	return set_hex_or_null(platform, "piid", mse_verdict_piid(verdict), 16, err);
}

static int advisories_to_json(const struct mse_verdict *verdict, json_t *object, struct mse_error_info *err)
{
	json_t *advisories = json_array();
	int result = mse_json_set(object, "advisories", advisories, err);

	for (size_t i = 0; result == 0 && i < verdict->advisory_count; i++)
		if (json_array_append_new(advisories, json_string(verdict->advisories[i])) < 0)
			return mse_fail_nomem(err);
	return result;
}

static int root_to_json(const struct mse_verdict *verdict, json_t *object, struct mse_error_info *err)
{
	static const char *const kinds[] = { [MSE_ROOT_INTEL_SGX] = "intel-sgx", [MSE_ROOT_SIMULATION] = "simulation" };
	json_t *root = json_object();
	int result = mse_json_set(object, "root", root, err);

	if (result < 0 || (result = mse_json_set(root, "kind", text_or_null(kinds[verdict->root_kind]), err)) < 0)
		return result;
	return set_hex_or_null(root, "fingerprint", mse_verdict_root_fingerprint(verdict), 32, err);
}

static int to_json(const struct mse_verdict *verdict, json_t **ret_json, struct mse_error_info *err)
{
	mse_autojson *object = json_object();
	int result;

	if ((result = mse_json_set(object, "verdict", json_string(mse_verdict_passed(verdict) ? "pass" : "fail"), err)) < 0 ||
	    (result = mse_json_set(object, "tee", text_or_null(verdict->tee), err)) < 0 ||
	    (result = mse_json_set(object, "simulated", json_boolean(mse_verdict_simulated(verdict)), err)) < 0 ||
	    (result = root_to_json(verdict, object, err)) < 0 ||
	    (result = mse_json_set(object, "status", text_or_null(verdict->status), err)) < 0 ||
	    (result = advisories_to_json(verdict, object, err)) < 0 ||
	    (result = mse_json_set(object, "debug", json_boolean(verdict->debug), err)) < 0 ||
	    (result = measurements_to_json(verdict, object, err)) < 0 ||
	    (result = set_hex_or_null(object, "report_data", mse_verdict_report_data(verdict), 64, err)) < 0 ||
	    (result = platform_to_json(verdict, object, err)) < 0 ||
	    (result = checks_to_json(verdict, object, err)) < 0)
		return result;
	*ret_json = mse_steal(object);
	return 0;
}

char *mse_verdict_json(const struct mse_verdict *verdict)
{
	struct mse_error_info err;
	mse_autojson *json = NULL;

	if (to_json(verdict, &json, &err) < 0)
		return NULL;
	return json_dumps(json, JSON_INDENT(2));
}
