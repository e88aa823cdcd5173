#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/context.h"
#include "cli/deploy.h"
#include "cli/store.h"
#include "config/app_config.h"

#define READY_SECONDS 120u
#define SETTLE_MS 3000u
#define VERIFY_ATTEMPTS 3
#define MAX_STATUSES 32
#define PLATFORM_LIMIT MSE_APP_CONFIG_MAX_LIST

struct policy {
	const char *statuses[MAX_STATUSES + 1];
	uint8_t platforms[PLATFORM_LIMIT][MSE_PLATFORM_SIZE];
	size_t platform_count;
};

/* The default policy, widened by name in mse.toml, and the platforms named there or pinned before. */
static int make_policy(const struct mse_deployment *deployment, struct policy *policy, struct mse_error_info *err)
{
	const struct mse_app_config *config = deployment->config;
	const char *const *standard = mse_policy_default();
	size_t count = 0;
	int result;

	for (size_t i = 0; standard[i] != NULL && count < MAX_STATUSES; i++)
		policy->statuses[count++] = standard[i];
	for (size_t i = 0; i < config->attestation.accepted_status_count; i++) {
		const char *name = config->attestation.accepted_statuses[i];

		if (!mse_policy_is_status(name) || count == MAX_STATUSES)
			return mse_app_config_fail(config, 0, err, MSE_ERR_INPUT, "[attestation] names a TCB status '%.60s' that can not be accepted", name);
		policy->statuses[count++] = name;
	}
	policy->statuses[count] = NULL;
	for (size_t i = 0; i < config->attestation.platform_count && i < PLATFORM_LIMIT; i++) {
		if ((result = mse_hex_decode(policy->platforms[i], MSE_PLATFORM_SIZE, config->attestation.platforms[i], "a platform in [attestation]", err)) < 0)
			return result;
		policy->platform_count++;
	}
	if (policy->platform_count == 0 && deployment->record.has_platform) {
		memcpy(policy->platforms[0], deployment->record.platform, MSE_PLATFORM_SIZE);
		policy->platform_count = 1;
	}
	return 0;
}

static int connect_and_verify(struct mse_deployment *deployment, struct mse_error_info *err)
{
	struct policy policy = { 0 };
	struct mse_expectations expected = {
		.measurement = deployment->measurement,
		.manifest = mse_view_of(mse_buffer_data(deployment->manifest_bytes), mse_buffer_size(deployment->manifest_bytes)),
		.owner_key = deployment->owner.sign.public_key,
		.image_digest = deployment->image_digest,
		.bundle_sha256 = deployment->bundle.sha256,
		.code_commitment = deployment->manifest->code_commitment,
		.runtime = deployment->runtime.files,
		.runtime_count = deployment->runtime.count,
		.runtime_security_version = deployment->runtime.security_version,
		.host = mse_attested_host(deployment->attested),
	};
	struct mse_verify_params params = {
		.time = mse_time_now(),
		.accepted_statuses = policy.statuses,
		.simulation_root = deployment->record.has_root ? deployment->record.simulation_root : NULL,
	};
	int result;

	if ((result = make_policy(deployment, &policy, err)) < 0)
		return result;
	if (policy.platform_count > 0) {
		expected.platforms = policy.platforms;
		expected.platform_count = policy.platform_count;
	}
	mse_verdict_free(mse_steal(deployment->verdict));
	mse_peer_free(mse_steal(deployment->peer));
	return mse_attested_verify(deployment->attested, &expected, &params, &deployment->verdict, &deployment->peer, err);
}

static int fail_verdict(const struct mse_deployment *deployment, struct mse_error_info *err)
{
	const struct mse_check *check = mse_verdict_first_failed(deployment->verdict);
	mse_autofree char *expected = NULL, *found = NULL;
	int result;

	if (check == NULL)
		return mse_fail(err, MSE_ERR_VERIFY, "the enclave's evidence was not examined to its end; nothing secret was sent");
	if ((result = mse_strdup(check->expected == NULL ? "-" : check->expected, &expected, err)) < 0 ||
	    (result = mse_strdup(check->found == NULL ? "-" : check->found, &found, err)) < 0)
		return result;
	return mse_fail(err, MSE_ERR_VERIFY, "the enclave's evidence does not convince: the check '%s' failed\n  expected: %.350s\n  found:    %.350s\n"
		"Nothing secret was sent. What runs there is not what you asked for: talk to the node's operator.", check->name,
		mse_cli_printable(expected), mse_cli_printable(found));
}

/* Where the enclave cannot be reached, the node may know why; or will in a moment, since the enclave's end is seen here first. */
static int explain_silence(struct mse_deployment *deployment, struct mse_error_info *err)
{
	uint64_t began = mse_monotonic_ms();
	mse_autofree char *status = NULL, *reason = NULL;
	struct mse_error_info ignored;

	if (err->code != MSE_ERR_CLOSED && err->code != MSE_ERR_TIMEOUT)
		return err->code;
	for (;;) {
		if (mse_deploy_refresh(deployment, &ignored) < 0 || mse_cli_text_of(deployment->app, "status", &status, &ignored) < 0 ||
		    mse_cli_text_of(deployment->app, "reason", &reason, &ignored) < 0)
			return err->code;
		if (strcmp(status, "on_error") == 0 || strcmp(status, "stopped") == 0 || mse_monotonic_ms() - began > SETTLE_MS)
			return mse_context(err, "the node calls the app '%s', reason: %s", status, reason);
		free(mse_steal(status));
		free(mse_steal(reason));
		if (mse_cli_sleep(100, &ignored) < 0)
			return err->code;
	}
}

static int pin_platform(struct mse_deployment *deployment, struct mse_error_info *err)
{
	char text[2 * MSE_PLATFORM_SIZE + 1];
	int result;

	if (deployment->record.has_platform || deployment->config->attestation.platform_count > 0)
		return 0;
	memcpy(deployment->record.platform, deployment->peer->platform, MSE_PLATFORM_SIZE);
	deployment->record.has_platform = true;
	if ((result = mse_node_record_save(deployment->cli, mse_client_address(deployment->node), &deployment->record, err)) < 0)
		return result;
	mse_hex_encode(text, deployment->record.platform, MSE_PLATFORM_SIZE);
	mse_cli_say(deployment->cli, "the platform %s is pinned for this node from now on", text);
	return 0;
}

int mse_deploy_verify(struct mse_deployment *deployment, struct mse_error_info *err)
{
	const char *host = json_string_value(json_object_get(deployment->app, "host"));
	mse_autofree char *pem = NULL, *path = NULL;
	size_t passed = 0;
	int result;

	mse_deploy_begin(deployment, "verify");
	if ((result = mse_attested_open(deployment->instance_url, host, &deployment->attested, err)) < 0)
		return result;
	if ((result = connect_and_verify(deployment, err)) < 0)
		return explain_silence(deployment, err);
	if (!mse_verdict_passed(deployment->verdict) || deployment->peer == NULL)
		return fail_verdict(deployment, err);
	if (strcmp(deployment->peer->state, "waiting") != 0)
		return mse_fail(err, MSE_ERR_VERIFY, "the enclave is new and yet not waiting to be provisioned, but '%.40s'; nothing secret was sent",
			deployment->peer->state);
	if ((result = pin_platform(deployment, err)) < 0 || (result = mse_attested_leaf_pem(deployment->attested, &pem, err)) < 0 ||
	    (result = mse_path_join(deployment->folder, "ratls.pem", &path, err)) < 0 ||
	    (result = mse_file_write(path, pem, strlen(pem), 0644, err)) < 0)
		return result;
	for (size_t i = 0; i < mse_verdict_check_count(deployment->verdict); i++)
		passed += mse_verdict_check(deployment->verdict, i)->result == MSE_CHECK_PASSED;
	return mse_deploy_done(deployment, err, "verified the enclave by its evidence: %zu checks passed, TCB status %s", passed,
		mse_verdict_status(deployment->verdict) == NULL ? "none" : mse_verdict_status(deployment->verdict));
}

static size_t base64_size(size_t size)
{
	return (size + 2) / 3 * 4;
}

static int append_base64(char **at, const struct mse_secret *secret, struct mse_error_info *err)
{
	char *text;
	size_t size;
	int result = mse_base64_encode(mse_secret_view(secret), mse_secret_size(secret), &text, err);

	if (result < 0)
		return result;
	size = strlen(text);
	memcpy(*at, text, size);
	*at += size;
	mse_wipe(text, size);
	free(text);
	return 0;
}

static void append_text(char **at, const char *text)
{
	size_t size = strlen(text);

	memcpy(*at, text, size);
	*at += size;
}

int mse_provision_body(const char *instance_id, const struct mse_secret *code_key, const struct mse_secret *app_secrets, struct mse_secret **ret_body,
	struct mse_error_info *err)
{
	static const char before_id[] = "{\"uuid\":\"", before_key[] = "\",\"code_secret_key\":\"", before_secrets[] = "\",\"app_secrets\":",
			  tail[] = ",\"ssl_private_key\":null,\"ssl_certificate\":null}";
	mse_cleanup(mse_secret_freep) struct mse_secret *body = NULL;
	size_t secrets_size = app_secrets == NULL ? strlen("null") : base64_size(mse_secret_size(app_secrets)) + 2;
	size_t size = strlen(before_id) + strlen(instance_id) + strlen(before_key) + base64_size(mse_secret_size(code_key)) + strlen(before_secrets) +
		      secrets_size + strlen(tail);
	char *at;
	int result = mse_secret_new(size, &body, err);

	if (result < 0)
		return result;
	at = (char *)mse_secret_data(body);
	append_text(&at, before_id);
	append_text(&at, instance_id);
	append_text(&at, before_key);
	if ((result = append_base64(&at, code_key, err)) < 0)
		return result;
	append_text(&at, before_secrets);
	if (app_secrets == NULL) {
		append_text(&at, "null");
	} else {
		append_text(&at, "\"");
		if ((result = append_base64(&at, app_secrets, err)) < 0)
			return result;
		append_text(&at, "\"");
	}
	append_text(&at, tail);
	*ret_body = mse_steal(body);
	return 0;
}

static int write_context(struct mse_deployment *deployment, struct mse_error_info *err)
{
	const struct mse_app_config *config = deployment->config;
	struct mse_context_info context = {
		.name = config->name,
		.project = config->project,
		.url = deployment->url,
		.python_application = config->code.python_application,
		.tee = deployment->info.tee,
		.manifest = deployment->manifest_bytes,
		.platform_count = 1,
		.has_simulation_root = deployment->record.has_root,
		.created_at = mse_time_now(),
	};
	mse_autofree char *path = NULL;
	mse_autojson *json = NULL;
	int result;

	memcpy(context.salt, deployment->salt, sizeof context.salt);
	memcpy(context.platforms[0], deployment->peer->platform, MSE_PLATFORM_SIZE);
	memcpy(context.simulation_root, deployment->record.simulation_root, sizeof context.simulation_root);
	if ((result = mse_context_sign(&context, &deployment->owner.sign, &json, err)) < 0 ||
	    (result = mse_path_join(deployment->folder, "context.json", &path, err)) < 0)
		return result;
	return mse_json_write(path, json, 0600, err);
}

static int write_app(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autojson *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:s, s:s, s:s}", "version", 1, "id", deployment->id, "name",
		deployment->config->name, "project", deployment->config->project, "node", mse_client_address(deployment->node), "url", deployment->url,
		"instance_url", deployment->instance_url, "tee", deployment->info.tee, "simulated", deployment->info.simulated ? 1 : 0, "created_at",
		(json_int_t)mse_time_now(), "expires_at", (json_int_t)deployment->manifest->expires_at, "python_application",
		deployment->config->code.python_application, "healthcheck_endpoint", deployment->config->code.healthcheck_endpoint, "image",
		deployment->image_name);
	int result;

	if (json == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_set_hex(json, "measurement", deployment->measurement, MSE_SHA256_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(json, "box_key", deployment->peer->keys.box_key, MSE_BOX_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(json, "identity_key", deployment->peer->keys.identity_key, MSE_SIGN_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(json, "owner", deployment->owner.sign.public_key, MSE_SIGN_KEY_SIZE, err)) < 0 ||
	    (result = mse_path_join(deployment->folder, "app.json", &path, err)) < 0)
		return result;
	return mse_json_write(path, json, 0600, err);
}

/* Everything that the owner needs later is kept before the enclave gets what makes it an app. */
static int keep(struct mse_deployment *deployment, struct mse_error_info *err)
{
	int result;

	if ((result = write_context(deployment, err)) < 0 || (result = write_app(deployment, err)) < 0 ||
	    (result = mse_stored_finish(deployment->cli, deployment->id, &deployment->folder, err)) < 0)
		return result;
	return mse_path_join(deployment->folder, "ratls.pem", &deployment->certificate, err);
}

static int check_receipt(struct mse_deployment *deployment, const struct mse_secret *body, const json_t *receipt, struct mse_error_info *err)
{
	uint8_t signature[MSE_SIGNATURE_SIZE];
	mse_autofree char *path = NULL;
	uint64_t clock;
	int result;

	if ((result = mse_json_u64(receipt, "clock", "the enclave's receipt", 0, INT64_MAX, &clock, err)) < 0 ||
	    (result = mse_json_base64(receipt, "signature", "the enclave's receipt", signature, sizeof signature, err)) < 0 ||
	    (result = mse_receipt_verify(deployment->peer->keys.identity_key, mse_secret_view(body), mse_secret_size(body), deployment->measurement,
		     (int64_t)clock, signature, err)) < 0)
		return mse_context(err, "the receipt for what was provisioned is not the verified enclave's");
	if ((result = mse_path_join(deployment->folder, "receipt.json", &path, err)) < 0)
		return result;
	return mse_json_write(path, receipt, 0600, err);
}

int mse_deploy_provision(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *body = NULL;
	mse_autojson *receipt = NULL;
	int result;

	mse_deploy_begin(deployment, "provision");
	if ((result = mse_provision_body(deployment->id, deployment->code_key, deployment->app_secrets, &body, err)) < 0 ||
	    (result = keep(deployment, err)) < 0)
		return result;
	for (int attempt = 1;; attempt++) {
		result = mse_attested_provision(deployment->attested, &deployment->owner.sign, body, deployment->measurement, &receipt, err);
		/* A connection that was closed between the two requests is no attack: begin again from the evidence. */
		if (result != MSE_ERR_CLOSED || attempt == VERIFY_ATTEMPTS || mse_interrupted())
			break;
		if ((result = connect_and_verify(deployment, err)) < 0)
			return explain_silence(deployment, err);
		if (!mse_verdict_passed(deployment->verdict) || deployment->peer == NULL)
			return fail_verdict(deployment, err);
		if (strcmp(deployment->peer->state, "waiting") != 0)
			break;
	}
	if (result == MSE_ERR_DENIED)
		mse_logs_show_tail(deployment->cli, deployment->node, deployment->id, deployment->peer->keys.box_key, &deployment->owner);
	if (result < 0 || (result = check_receipt(deployment, body, receipt, err)) < 0)
		return result;
	deployment->provisioned = true;
	return mse_deploy_done(deployment, err, "provisioned the code key%s over the verified connection; the receipt is good",
		deployment->app_secrets == NULL ? "" : " and the secrets");
}

static int fail_app(struct mse_deployment *deployment, const char *status, struct mse_error_info *err)
{
	mse_autofree char *reason = NULL;
	int result = mse_cli_text_of(deployment->app, "reason", &reason, err);

	if (result < 0)
		return result;
	mse_logs_show_tail(deployment->cli, deployment->node, deployment->id, deployment->peer->keys.box_key, &deployment->owner);
	return mse_fail(err, MSE_ERR_STATE, "the application does not run: status %s, reason: %s. Correct it, then 'mse deploy -y' again; 'mse logs %.12s' shows the whole log",
		status, reason, deployment->id);
}

/* The application answers: the node notices at its next check. */
static int settle(struct mse_deployment *deployment, struct mse_error_info *err)
{
	uint64_t began = mse_monotonic_ms();
	int result;

	for (;;) {
		const char *status = json_string_value(json_object_get(deployment->app, "status"));

		if (status != NULL && strcmp(status, "running") == 0)
			return 0;
		if (mse_monotonic_ms() - began > SETTLE_MS)
			return 0;
		if ((result = mse_cli_sleep(10, err)) < 0 || (result = mse_deploy_refresh(deployment, err)) < 0)
			return result;
	}
}

int mse_deploy_wait_ready(struct mse_deployment *deployment, struct mse_error_info *err)
{
	const char *endpoint = deployment->config->code.healthcheck_endpoint;
	uint64_t began = mse_monotonic_ms(), waited = 0;
	unsigned pause = 4;
	long last_status = 0;
	int result;

	mse_deploy_begin(deployment, "ready");
	for (;;) {
		const char *status;
		bool waiting = true;
		long http_status = 0;

		result = mse_attested_get(deployment->attested, endpoint, &http_status, &waiting, err);
		if (result == MSE_ERR_VERIFY || mse_interrupted())
			return result < 0 ? result : mse_fail(err, MSE_ERR_STATE, "interrupted");
		if (result == 0 && !waiting) {
			last_status = http_status;
			if (http_status >= 200 && http_status < 400)
				break;
		}
		if ((result = mse_deploy_refresh(deployment, err)) < 0)
			return result;
		status = json_string_value(json_object_get(deployment->app, "status"));
		if (status != NULL && (strcmp(status, "on_error") == 0 || strcmp(status, "stopped") == 0))
			return fail_app(deployment, status, err);
		waited = mse_monotonic_ms() - began;
		if (waited > READY_SECONDS * 1000) {
			mse_logs_show_tail(deployment->cli, deployment->node, deployment->id, deployment->peer->keys.box_key, &deployment->owner);
			return mse_fail(err, MSE_ERR_TIMEOUT, "the application does not answer well at '%s' after %u seconds (%s %ld). It is left running: "
				"see 'mse status %.12s', or correct it and 'mse deploy -y'", endpoint, READY_SECONDS,
				last_status == 0 ? "no answer" : "last HTTP status", last_status, deployment->id);
		}
		if (waited > 1000)
			mse_cli_progress(deployment->cli, "the application starts: %llu s", (unsigned long long)waited / 1000);
		if ((result = mse_cli_sleep(pause, err)) < 0)
			return result;
		pause = pause < 100 ? pause * 2 : 100;
	}
	if ((result = settle(deployment, err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "the application answers at %s", endpoint);
}
