#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/store.h"

static void say_time(struct mse_cli *cli, const char *label, const json_t *app, const char *member)
{
	const json_t *value = json_object_get(app, member);
	char text[MSE_TIME_TEXT_SIZE];

	if (!json_is_integer(value))
		return;
	mse_time_format(text, json_integer_value(value));
	mse_cli_say(cli, "%-12s %s", label, text);
}

static int say_text(struct mse_cli *cli, const char *label, const json_t *app, const char *member, struct mse_error_info *err)
{
	mse_autofree char *text = NULL;
	int result = mse_cli_text_of(app, member, &text, err);

	if (result == 0 && strcmp(text, "-") != 0)
		mse_cli_say(cli, "%-12s %s", label, text);
	return result;
}

/* What the owner's store adds: what was verified at the deployment, against what the node says now. */
static int add_stored(struct mse_cli *cli, const struct mse_stored_app *stored, json_t *app, struct mse_error_info *err)
{
	mse_autofree char *certificate = NULL;
	const char *verified = json_string_value(json_object_get(stored->json, "measurement"));
	const char *told = json_string_value(json_object_get(app, "measurement"));
	int result = mse_stored_path(stored, "ratls.pem", &certificate, err);

	if (result < 0)
		return result;
	mse_cli_say(cli, "%-12s %s", "certificate", certificate);
	if (verified != NULL && told != NULL && strcmp(verified, told) != 0)
		mse_cli_say(cli, "the node tells ANOTHER measurement than the one that was verified at the deployment:\n  %s", verified);
	return mse_json_set(app, "certificate", json_string(certificate), err);
}

int mse_cmd_status(struct mse_cli *cli, struct mse_error_info *err)
{
	static const char *const rows[][2] = { { "name", "name" }, { "project", "project" }, { "status", "status" }, { "reason", "reason" },
		{ "id", "id" }, { "url", "url" }, { "instance url", "instance_url" }, { "measurement", "measurement" }, { "tee", "tee" },
		{ "owner", "owner" } };
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;
	mse_cleanup(mse_stored_app_freep) struct mse_stored_app *stored = NULL;
	mse_autojson *app = NULL;
	int result;

	if ((result = mse_client_open_known(cli, &node, err)) < 0 ||
	    (result = mse_client_find_app(node, cli->args.operands[0], mse_cli_option(cli, MSE_OPT_PROJECT), &app, err)) < 0)
		return result;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if ((result = say_text(cli, rows[i][0], app, rows[i][1], err)) < 0)
			return result;
	say_time(cli, "created", app, "created_at");
	say_time(cli, "expires", app, "expires_at");
	say_time(cli, "stopped", app, "stopped_at");
	if (json_is_integer(json_object_get(app, "restarts")))
		mse_cli_say(cli, "%-12s %lld", "restarts", (long long)json_integer_value(json_object_get(app, "restarts")));
	result = mse_stored_load(cli, json_string_value(json_object_get(app, "id")), &stored, err);
	if (result == 0)
		result = add_stored(cli, stored, app, err);
	else if (result == MSE_ERR_NOT_FOUND)
		result = 0;
	if (result < 0)
		return result;
	if ((result = mse_cli_say_weaker(cli, app, err)) < 0)
		return result;
	if (json_is_true(json_object_get(app, "simulated")))
		mse_cli_say(cli, "SIMULATED: the operator of this machine can read everything in this app.");
	return mse_cli_answer(cli, app, err);
}
