#include "cli/verdict_view.h"

#include <string.h>


static const char *result_name(enum mse_check_result result)
{
	return result == MSE_CHECK_PASSED ? "passed" : result == MSE_CHECK_FAILED ? "failed" : "not-applicable";
}

static json_t *text_or_null(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

static int add_checks(json_t *json, const struct mse_verdict *verdict, struct mse_error_info *err)
{
	mse_autojson *checks = json_array();

	for (size_t i = 0; i < mse_verdict_check_count(verdict); i++) {
		const struct mse_check *check = mse_verdict_check(verdict, i);
		json_t *item = json_object();
		int result;

		if (json_array_append_new(checks, item) < 0)
			return mse_fail_nomem(err);
		if ((result = mse_json_set(item, "name", json_string(check->name), err)) < 0 ||
		    (result = mse_json_set(item, "result", json_string(result_name(check->result)), err)) < 0 ||
		    (result = mse_json_set(item, "expected", text_or_null(check->expected), err)) < 0 ||
		    (result = mse_json_set(item, "found", text_or_null(check->found), err)) < 0)
			return result;
	}
	return mse_json_set(json, "checks", json_incref(checks), err);
}

int mse_verdict_view_add(json_t *json, const struct mse_verdict *verdict, struct mse_error_info *err)
{
	mse_autojson *advisories = json_array();
	bool simulated = mse_verdict_simulated(verdict);
	const char *tee = simulated ? "sim" : mse_verdict_root_kind(verdict) == MSE_ROOT_NONE ? NULL : mse_verdict_tee(verdict);
	int result;

	for (size_t i = 0; i < mse_verdict_advisory_count(verdict); i++)
		if (json_array_append_new(advisories, json_string(mse_verdict_advisory(verdict, i))) < 0)
			return mse_fail_nomem(err);
	if ((result = mse_json_set(json, "verdict", json_string(mse_verdict_passed(verdict) ? "pass" : "fail"), err)) < 0 ||
	    (result = mse_json_set(json, "tee", text_or_null(tee), err)) < 0 ||
	    (result = mse_json_set(json, "simulated", json_boolean(simulated), err)) < 0 ||
	    (result = mse_json_set(json, "status", text_or_null(mse_verdict_status(verdict)), err)) < 0 ||
	    (result = mse_json_set(json, "advisories", json_incref(advisories), err)) < 0)
		return result;
	return add_checks(json, verdict, err);
}

static void print_value(struct mse_cli *cli, const char *label, const char *value)
{
	char *text = value == NULL ? NULL : strdup(value);

	if (text != NULL)
		mse_cli_say(cli, "            %s %s", label, mse_cli_printable(text));
	free(text);
}

static void print_check(struct mse_cli *cli, const struct mse_check *check, char *name)
{
	const char *result = check->result == MSE_CHECK_NOT_APPLICABLE ? "-" : result_name(check->result);
	bool same = check->expected != NULL && check->found != NULL && strcmp(check->expected, check->found) == 0;

	if (check->result == MSE_CHECK_PASSED && same) {
		char *value = strdup(check->found);

		if (value != NULL)
			mse_cli_say(cli, "  %-8s  %s: as expected: %s", result, name, mse_cli_printable(value));
		free(value);
		return;
	}
	mse_cli_say(cli, "  %-8s  %s", result, name);
	print_value(cli, "expected:", check->expected);
	print_value(cli, "found:   ", check->found);
}

void mse_verdict_view_print(struct mse_cli *cli, const struct mse_verdict *verdict)
{
	for (size_t i = 0; i < mse_verdict_check_count(verdict); i++) {
		const struct mse_check *check = mse_verdict_check(verdict, i);
		char *name = strdup(check->name);

		if (name != NULL)
			print_check(cli, check, mse_cli_printable(name));
		free(name);
	}
}

bool mse_verdict_view_refused_simulation(const struct mse_verdict *verdict)
{
	return mse_verdict_simulated(verdict) && mse_verdict_root_kind(verdict) != MSE_ROOT_SIMULATION;
}
