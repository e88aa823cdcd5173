#include <string.h>

#include "cli/conf.h"
#include "cli/context.h"
#include "cli/store.h"

int mse_cmd_context_export(struct mse_cli *cli, struct mse_error_info *err)
{
	mse_cleanup(mse_stored_app_freep) struct mse_stored_app *stored = NULL;
	mse_cleanup(mse_context_info_freep) struct mse_context_info *context = NULL;
	mse_autojson *json = NULL, *answer = NULL;
	mse_autofree char *path = NULL;
	const char *output = mse_cli_option(cli, MSE_OPT_OUTPUT);
	char fingerprint[MSE_DIGEST_TEXT_SIZE];
	int result;

	if ((result = mse_stored_find(cli, cli->args.operands[0], mse_cli_option(cli, MSE_OPT_PROJECT), &stored, err)) < 0 ||
	    (result = mse_stored_path(stored, "context.json", &path, err)) < 0 || (result = mse_json_read(path, MSE_CONTEXT_MAX_SIZE, &json, err)) < 0 ||
	    (result = mse_context_read(json, path, &context, err)) < 0 || (result = mse_key_fingerprint(context->owner, fingerprint, err)) < 0)
		return result;
	if (output == NULL) {
		cli->answered = true;
		return mse_cli_write_json(json, JSON_INDENT(2) | JSON_SORT_KEYS, err);
	}
	if ((result = mse_json_write(output, json, 0644, err)) < 0)
		return result;
	mse_cli_say(cli, "wrote the context of '%s' (%.12s…) to %s\n  signed by the owner's key, fingerprint %s\n"
		"Give the file away, and the fingerprint by another way: 'mse verify %s --context %s%s' shows it.", context->name, stored->id_text, output,
		fingerprint, context->url, output, context->has_simulation_root ? " --allow-simulation" : "");
	answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s}", "simulated", context->has_simulation_root ? 1 : 0, "path", output, "id", stored->id_text,
		"name", context->name, "url", context->url, "fingerprint", fingerprint);
	return answer == NULL ? mse_fail_nomem(err) : mse_cli_answer(cli, answer, err);
}
