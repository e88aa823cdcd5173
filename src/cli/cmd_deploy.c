#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/deploy.h"
#include "cli/verdict_view.h"

void mse_deploy_begin(struct mse_deployment *deployment, const char *name)
{
	deployment->step_name = name;
	deployment->step_began = mse_monotonic_us();
}

int mse_deploy_done(struct mse_deployment *deployment, struct mse_error_info *err, const char *format, ...)
{
	uint64_t taken = mse_monotonic_us() - deployment->step_began;
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	mse_cli_say(deployment->cli, "%3llu.%03llu s  %s", (unsigned long long)taken / 1000000, (unsigned long long)taken / 1000 % 1000, line);
	if (json_array_append_new(deployment->steps, json_pack("{s:s, s:f}", "name", deployment->step_name, "seconds", (double)taken / 1e6)) < 0)
		return mse_fail_nomem(err);
	return mse_interrupted() ? mse_fail(err, MSE_ERR_STATE, "interrupted") : 0;
}

static void clear(struct mse_deployment *deployment)
{
	json_decref(deployment->steps);
	mse_app_config_free(deployment->config);
	mse_walk_free(deployment->walk);
	mse_owner_clear(&deployment->owner);
	mse_runtime_clear(&deployment->runtime);
	mse_secret_free(deployment->app_secrets);
	free(deployment->folder);
	mse_secret_free(deployment->code_key);
	mse_client_free(deployment->node);
	mse_node_info_clear(&deployment->info);
	free(deployment->image_name);
	free(deployment->replaces);
	mse_manifest_free(deployment->manifest);
	mse_buffer_free(deployment->manifest_bytes);
	json_decref(deployment->app);
	free(deployment->url);
	free(deployment->instance_url);
	mse_attested_free(deployment->attested);
	mse_peer_free(deployment->peer);
	mse_verdict_free(deployment->verdict);
	free(deployment->certificate);
}

static int run_steps(struct mse_deployment *deployment, struct mse_error_info *err)
{
	static int (*const steps[])(struct mse_deployment *deployment, struct mse_error_info *err) = {
		mse_deploy_read_config, mse_deploy_check, mse_deploy_seal, mse_deploy_contact_node, mse_deploy_resolve_image,
		mse_deploy_choose_replaced, mse_deploy_upload, mse_deploy_start, mse_deploy_verify, mse_deploy_provision, mse_deploy_wait_ready,
	};

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		int result = steps[i](deployment, err);

		if (result < 0)
			return result;
	}
	return 0;
}

/* Leaves nothing half made: what was not provisioned is stopped and forgotten, what was stays. */
static void clean_up(struct mse_deployment *deployment)
{
	struct mse_error_info ignored;
	bool interrupted = mse_interrupted();

	if (!deployment->provisioned) {
		if (deployment->started)
			mse_deploy_abandon(deployment);
		if (deployment->folder != NULL)
			(void)mse_tree_remove(deployment->folder, &ignored);
	}
	if (!interrupted)
		return;
	if (deployment->provisioned)
		mse_cli_say(deployment->cli, "interrupted: the app is provisioned and goes on starting by itself; 'mse status %.12s' tells how it is, 'mse stop %.12s' stops it",
			deployment->id, deployment->id);
	else
		mse_cli_say(deployment->cli, "interrupted: nothing is left of this attempt; 'mse deploy' begins anew");
}

static int answer_failure(struct mse_deployment *deployment, const struct mse_error_info *error)
{
	struct mse_error_info ignored;
	mse_autojson *json = json_pack("{s:{s:s, s:s, s:s}, s:O}", "error", "code", mse_error_name(error->code), "message", error->message, "step",
		deployment->step_name == NULL ? "" : deployment->step_name, "steps", deployment->steps);

	if (json == NULL)
		return 0;
	if (deployment->verdict != NULL && mse_verdict_view_add(json, deployment->verdict, &ignored) < 0)
		return 0;
	return mse_cli_answer(deployment->cli, json, &ignored);
}

static int answer(struct mse_deployment *deployment, struct mse_error_info *err)
{
	const struct mse_app_config *config = deployment->config;
	char measurement[2 * MSE_SHA256_SIZE + 1], expires[MSE_TIME_TEXT_SIZE];
	const char *status = json_string_value(json_object_get(deployment->app, "status"));
	mse_autofree char *owner = NULL;
	mse_autojson *json = NULL;
	int result = mse_base64_encode(deployment->owner.sign.public_key, MSE_SIGN_KEY_SIZE, &owner, err);

	if (result < 0)
		return result;
	mse_hex_encode(measurement, deployment->measurement, MSE_SHA256_SIZE);
	mse_time_format(expires, deployment->manifest->expires_at);
	mse_cli_say(deployment->cli, "\n  url          %s\n  expires      %s\n  certificate  %s\n  measurement  %s\n  owner        %s\n\n  curl --cacert %s %s\n",
		deployment->url, expires, deployment->certificate, measurement, owner, deployment->certificate, deployment->url);
	if ((result = mse_cli_say_weaker(deployment->cli, deployment->app, err)) < 0)
		return result;
	if (deployment->info.simulated)
		mse_cli_say(deployment->cli, "This is SIMULATED: there is no hardware enclave, and the operator of the machine can read everything in it.");
	json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:s, s:O, s:s, s:O?}", "id", deployment->id, "name", config->name, "project",
		config->project, "url", deployment->url, "instance_url", deployment->instance_url, "certificate", deployment->certificate, "measurement",
		measurement, "tee", deployment->info.tee, "simulated", deployment->info.simulated ? 1 : 0, "expires_at", (json_int_t)deployment->manifest->expires_at,
		"owner", owner, "steps", deployment->steps, "status", status == NULL ? "" : status, "weaker", json_object_get(deployment->app, "weaker"));
	if (json == NULL)
		return mse_fail_nomem(err);
	return mse_cli_answer(deployment->cli, json, err);
}

int mse_cmd_deploy(struct mse_cli *cli, struct mse_error_info *err)
{
	struct mse_deployment deployment = { .cli = cli, .steps = json_array() };
	int result = deployment.steps == NULL ? mse_fail_nomem(err) : run_steps(&deployment, err);

	mse_cli_progress_end(cli);
	if (result < 0) {
		clean_up(&deployment);
		answer_failure(&deployment, err);
	} else {
		result = answer(&deployment, err);
	}
	clear(&deployment);
	return result;
}
