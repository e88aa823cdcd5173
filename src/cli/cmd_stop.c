#include "cli/client.h"
#include "cli/conf.h"

static int stop(struct mse_client *node, const struct mse_owner *owner, const json_t *app, json_t **ret_app, struct mse_error_info *err)
{
	const char *project, *name, *id;
	int result;

	if ((result = mse_json_string(app, "project", "the node's answer", &project, err)) < 0 ||
	    (result = mse_json_string(app, "name", "the node's answer", &name, err)) < 0 ||
	    (result = mse_json_string(app, "id", "the node's answer", &id, err)) < 0)
		return result;
	return mse_client_stop(node, owner, project, name, id, ret_app, err);
}

int mse_cmd_stop(struct mse_cli *cli, struct mse_error_info *err)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;
	mse_autojson *app = NULL, *stopped = NULL;
	struct mse_owner owner;
	int result;

	if ((result = mse_client_open_known(cli, &node, err)) < 0 ||
	    (result = mse_client_find_app(node, cli->args.operands[0], mse_cli_option(cli, MSE_OPT_PROJECT), &app, err)) < 0 ||
	    (result = mse_owner_load_existing(cli, &owner, err)) < 0)
		return result;
	mse_cli_progress(cli, "stopping");
	result = stop(node, &owner, app, &stopped, err);
	mse_owner_clear(&owner);
	if (result < 0)
		return result;
	mse_cli_say(cli, "stopped '%s' (%.12s…); its storage is destroyed, its log is kept by the node for 4 days", json_string_value(json_object_get(app, "name")),
		json_string_value(json_object_get(app, "id")));
	if (json_is_true(json_object_get(stopped, "simulated")))
		mse_cli_say(cli, "It was SIMULATED: the operator of this machine could read everything in it.");
	return mse_cli_answer(cli, stopped, err);
}
