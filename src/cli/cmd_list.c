#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/conf.h"

static int say_app(struct mse_cli *cli, const json_t *app, bool mine, struct mse_error_info *err)
{
	mse_autofree char *id = NULL, *name = NULL, *project = NULL, *status = NULL, *url = NULL;
	char expires[MSE_TIME_TEXT_SIZE];
	int result;

	if ((result = mse_cli_text_of(app, "id", &id, err)) < 0 || (result = mse_cli_text_of(app, "name", &name, err)) < 0 ||
	    (result = mse_cli_text_of(app, "project", &project, err)) < 0 || (result = mse_cli_text_of(app, "status", &status, err)) < 0 ||
	    (result = mse_cli_text_of(app, "url", &url, err)) < 0)
		return result;
	mse_time_format(expires, json_integer_value(json_object_get(app, "expires_at")));
	mse_cli_say(cli, "%-12.12s  %-20s  %-12s  %-12s  %-20s  %-6s  %s", id, name, project, status, expires, mine ? "you" : "other", url);
	return 0;
}

static bool is_mine(const json_t *app, const struct mse_owner *owner)
{
	uint8_t key[MSE_SIGN_KEY_SIZE];
	struct mse_error_info ignored;

	return owner->sign.secret != NULL && mse_json_base64(app, "owner", "the app", key, sizeof key, &ignored) == 0 &&
	       mse_equal(key, owner->sign.public_key, sizeof key);
}

static int list(struct mse_cli *cli, struct mse_client *node, const struct mse_owner *owner, struct mse_error_info *err)
{
	const char *project = mse_cli_option(cli, MSE_OPT_PROJECT);
	mse_autojson *json = NULL, *shown = json_array(), *answer = NULL;
	json_t *apps, *app;
	bool simulated = false;
	size_t i;
	int result;

	if ((result = mse_client_get(node, "/v1/apps", &json, err)) < 0 || (result = mse_json_array(json, "apps", "the node's answer", &apps, err)) < 0)
		return result;
	json_array_foreach (apps, i, app) {
		const char *of = json_string_value(json_object_get(app, "project"));
		bool mine = is_mine(app, owner);

		if (project != NULL && (of == NULL || strcmp(of, project) != 0))
			continue;
		if (json_array_size(shown) == 0)
			mse_cli_say(cli, "%-12s  %-20s  %-12s  %-12s  %-20s  %-6s  %s", "ID", "NAME", "PROJECT", "STATUS", "EXPIRES", "OWNER", "URL");
		simulated = simulated || json_is_true(json_object_get(app, "simulated"));
		if ((result = mse_json_set(app, "mine", json_boolean(mine), err)) < 0 || (result = say_app(cli, app, mine, err)) < 0)
			return result;
		if (json_array_append(shown, app) < 0)
			return mse_fail_nomem(err);
	}
	if (json_array_size(shown) == 0)
		mse_cli_say(cli, "no apps%s%s; 'mse deploy' makes one", project == NULL ? "" : " in project ", project == NULL ? "" : project);
	if (simulated)
		mse_cli_say(cli, "SIMULATED: the operator of this machine can read everything in these apps.");
	answer = json_pack("{s:s, s:b, s:O}", "node", mse_client_address(node), "simulated", simulated ? 1 : 0, "apps", shown);
	return answer == NULL ? mse_fail_nomem(err) : mse_cli_answer(cli, answer, err);
}

int mse_cmd_list(struct mse_cli *cli, struct mse_error_info *err)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;
	struct mse_owner owner;
	int result;

	if ((result = mse_client_open_known(cli, &node, err)) < 0)
		return result;
	/* Without a key of one's own, everything is somebody else's. */
	if ((result = mse_owner_load_existing(cli, &owner, err)) < 0 && result != MSE_ERR_NOT_FOUND)
		return result;
	result = list(cli, node, &owner, err);
	mse_owner_clear(&owner);
	return result;
}
