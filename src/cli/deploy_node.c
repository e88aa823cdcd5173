#include "cli/deploy.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/image_lock.h"
#include "ratls/session.h"

#define SPAWN_SECONDS 60u
/* Where the plan sets no limit: every app ends some day, its certificate after 397 days at the latest. */
#define UNLIMITED_SECONDS ((uint64_t)365 * 86400)
#define ANSWER "the node's answer"

int mse_deploy_contact_node(struct mse_deployment *deployment, struct mse_error_info *err)
{
	int result;

	mse_deploy_begin(deployment, "node");
	if ((result = mse_client_contact(deployment->node, deployment->cli, &deployment->info, &deployment->record, err)) < 0)
		return result;
	if (strcmp(deployment->info.tee, "sim") != 0 || !deployment->info.simulated)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the node's TEE is '%.40s': deploying to hardware comes with a later release", deployment->info.tee);
	return mse_deploy_done(deployment, err, "the node %s answers: msed %s, TEE '%s', SIMULATED", mse_client_address(deployment->node),
		deployment->info.version, deployment->info.tee);
}

static int ask_trust(struct mse_deployment *deployment, const char *digest, struct mse_error_info *err)
{
	bool yes = false;
	int result;

	if (!deployment->cli->can_ask)
		return mse_fail(err, MSE_ERR_DENIED,
			"only the node says what the image '%s' is, and that is never believed silently. Compute the digest of the image that you built "
			"or checked ('mse image digest'); if it is the one below, type\n  mse deploy%s%s --trust-image %s",
			deployment->image_name, mse_cli_option(deployment->cli, MSE_OPT_PATH) == NULL ? "" : " --path ",
			mse_cli_option(deployment->cli, MSE_OPT_PATH) == NULL ? "" : mse_cli_option(deployment->cli, MSE_OPT_PATH), digest);
	result = mse_cli_ask(deployment->cli, &yes, err,
		"The image '%s' is not trusted yet. The node says that its digest is\n  %s\n"
		"Whoever made the image can read all that your app does. Is this the digest of an image that you built, or that somebody you trust told you?",
		deployment->image_name, digest);
	if (result < 0)
		return result;
	return yes ? 0 : mse_fail(err, MSE_ERR_DENIED, "the image is not trusted, and nothing was sent. 'mse image digest' computes the digest of an image that you have");
}

static int decide_trust(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	struct mse_image_lock lock;
	enum mse_image_trust trust;
	char digest[MSE_DIGEST_TEXT_SIZE];
	const char *requested = deployment->config->code.docker;
	int result;

	mse_digest_format(digest, deployment->image_digest);
	if ((result = mse_path_join(deployment->config->folder, MSE_LOCK_FILE_NAME, &path, err)) < 0 ||
	    (result = mse_image_lock_read(path, &lock, err)) < 0)
		return result;
	result = mse_image_trust(&lock, mse_cli_option(deployment->cli, MSE_OPT_TRUST_IMAGE), requested, deployment->image_name,
		deployment->image_digest, &trust, err);
	mse_image_lock_clear(&lock);
	if (result < 0 || trust == MSE_IMAGE_TRUSTED_BY_LOCK)
		return result;
	if (trust == MSE_IMAGE_UNKNOWN && (result = ask_trust(deployment, digest, err)) < 0)
		return result;
	if ((result = mse_image_lock_write(path, requested, deployment->image_name, deployment->image_digest, err)) < 0)
		return result;
	mse_cli_say(deployment->cli, "the image's digest is kept in %s", path);
	return 0;
}

static int fail_unknown_image(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *names = mse_buffer_new(512);
	mse_autojson *json = NULL;
	json_t *images, *image;
	struct mse_error_info ignored;
	size_t i;

	if (names == NULL)
		return mse_fail_nomem(err);
	if (mse_client_get(deployment->node, "/v1/images", &json, &ignored) == 0 && mse_json_array(json, "images", ANSWER, &images, &ignored) == 0)
		json_array_foreach (images, i, image) {
			const char *name = json_string_value(json_object_get(image, "name"));

			if (name != NULL && mse_name_is_valid(name))
				(void)mse_buffer_printf(names, &ignored, "%s'%s'", mse_buffer_size(names) == 0 ? "" : ", ", name);
		}
	return mse_app_config_fail(deployment->config, deployment->config->code.docker_line, err, MSE_ERR_NOT_FOUND,
		"the node has no image '%.200s', and no alias of that name; it has: %s", deployment->config->code.docker,
		mse_buffer_size(names) == 0 ? "none" : mse_buffer_text(names));
}

int mse_deploy_resolve_image(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_autojson *json = NULL;
	mse_autofree char *escaped = NULL, *path = NULL;
	const char *requested = deployment->config->code.docker, *name, *digest;
	bool alias = false;
	int result;

	mse_deploy_begin(deployment, "image");
	if ((result = mse_client_escape(requested, &escaped, err)) < 0 || (result = mse_format(&path, err, "/v1/images/resolve?name=%s", escaped)) < 0)
		return result;
	if ((result = mse_client_get(deployment->node, path, &json, err)) == MSE_ERR_NOT_FOUND)
		return fail_unknown_image(deployment, err);
	if (result < 0)
		return mse_context(err, "%s:%zu: docker = \"%s\"", deployment->config->file_name, deployment->config->code.docker_line, requested);
	if ((result = mse_json_string(json, "name", ANSWER, &name, err)) < 0 || (result = mse_json_string(json, "digest", ANSWER, &digest, err)) < 0 ||
	    (result = mse_json_bool(json, "alias", ANSWER, &alias, err)) < 0 ||
	    (result = mse_digest_parse(digest, deployment->image_digest, "the digest that the node tells", err)) < 0)
		return result;
	if (!mse_name_is_valid(name))
		return mse_fail(err, MSE_ERR_INPUT, ANSWER " has an image name that is none");
	if ((result = mse_strdup(name, &deployment->image_name, err)) < 0)
		return result;
	if (alias)
		mse_cli_say(deployment->cli, "image '%s' is '%s' here, by an alias of the node", requested, name);
	if ((result = decide_trust(deployment, err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "the image '%s' is the one you trust: %.19s…", name, digest);
}

int mse_deploy_choose_replaced(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_autojson *json = NULL;
	mse_autofree char *path = NULL;
	const struct mse_app_config *config = deployment->config;
	json_t *apps, *app;
	size_t i;
	bool yes = true;
	int result;

	if ((result = mse_strdup("", &deployment->replaces, err)) < 0 ||
	    (result = mse_format(&path, err, "/v1/apps?project=%s&name=%s", config->project, config->name)) < 0 ||
	    (result = mse_client_get(deployment->node, path, &json, err)) < 0 || (result = mse_json_array(json, "apps", ANSWER, &apps, err)) < 0)
		return result;
	json_array_foreach (apps, i, app) {
		uint8_t owner[MSE_SIGN_KEY_SIZE], id[MSE_INSTANCE_ID_SIZE];
		const char *status;

		if ((result = mse_json_base64(app, "owner", ANSWER, owner, sizeof owner, err)) < 0 ||
		    (result = mse_json_hex(app, "id", ANSWER, id, sizeof id, err)) < 0 ||
		    (result = mse_json_string(app, "status", ANSWER, &status, err)) < 0)
			return result;
		/* A name of somebody else's: that is for the node to refuse. */
		if (strcmp(status, "stopped") == 0 || !mse_equal(owner, deployment->owner.sign.public_key, sizeof owner))
			continue;
		if (mse_cli_option(deployment->cli, MSE_OPT_YES) == NULL && strcmp(status, "on_error") != 0) {
			if (!deployment->cli->can_ask)
				return mse_fail(err, MSE_ERR_STATE, "the app '%s' in project '%s' is deployed already (%.12s…): 'mse deploy -y' replaces it, "
					"'mse stop %s' stops it", config->name, config->project, json_string_value(json_object_get(app, "id")), config->name);
			result = mse_cli_ask(deployment->cli, &yes, err, "The app '%s' in project '%s' is deployed already (%.12s…). Replace it?", config->name,
				config->project, json_string_value(json_object_get(app, "id")));
			if (result < 0)
				return result;
			if (!yes)
				return mse_fail(err, MSE_ERR_DENIED, "the app is left as it is, and nothing was sent");
		}
		free(mse_steal(deployment->replaces));
		return mse_strdup(json_string_value(json_object_get(app, "id")), &deployment->replaces, err);
	}
	return 0;
}

static int set_variable(struct mse_manifest *manifest, const char *name, const char *value, struct mse_error_info *err)
{
	struct mse_env_variable *variable = &manifest->image_env[manifest->image_env_count++];
	int result = mse_strdup(name, &variable->name, err);

	return result < 0 ? result : mse_strdup(value, &variable->value, err);
}

static int set_limits(struct mse_deployment *deployment, struct mse_manifest *manifest, struct mse_error_info *err)
{
	mse_autojson *plan = NULL;
	mse_autofree char *escaped = NULL, *path = NULL;
	uint64_t lifetime;
	int64_t now = mse_time_now();
	int result;

	if ((result = mse_client_escape(deployment->config->resource, &escaped, err)) < 0 || (result = mse_format(&path, err, "/v1/plans/%s", escaped)) < 0)
		return result;
	if ((result = mse_client_get(deployment->node, path, &plan, err)) < 0)
		return mse_context(err, "%s: resource '%s'", deployment->config->file_name, deployment->config->resource);
	if ((result = mse_json_u64(plan, "memory", ANSWER, 1, INT64_MAX, &manifest->memory, err)) < 0 ||
	    (result = mse_json_u64(plan, "cpu_millis", ANSWER, 1, INT64_MAX, &manifest->cpu_millis, err)) < 0 ||
	    (result = mse_json_u64(plan, "storage", ANSWER, 1, INT64_MAX, &manifest->storage, err)) < 0 ||
	    (result = mse_json_u64(plan, "threads", ANSWER, 1, INT64_MAX, &manifest->threads, err)) < 0 ||
	    (result = mse_json_u64(plan, "lifetime", ANSWER, 0, (uint64_t)100 * 366 * 86400, &lifetime, err)) < 0)
		return result;
	if (lifetime == 0)
		lifetime = UNLIMITED_SECONDS;
	/* The node measures a lifetime by its own clock. */
	if (deployment->info.time < now)
		now = deployment->info.time;
	manifest->expires_at = deployment->config->expires_at != 0 ? deployment->config->expires_at : now + (int64_t)lifetime;
	return 0;
}

static int set_egress(const struct mse_app_config *config, struct mse_manifest *manifest, struct mse_error_info *err)
{
	int result = 0;

	manifest->egress = config->network.egress;
	for (size_t i = 0; result == 0 && i < config->network.target_count; i++)
		result = mse_strdup(config->network.targets[i], &manifest->egress_targets[manifest->egress_target_count++], err);
	return result;
}

static int compose(struct mse_deployment *deployment, struct mse_error_info *err)
{
	const struct mse_app_config *config = deployment->config;
	struct mse_manifest *manifest = deployment->manifest = mse_manifest_new();
	char address[MSE_ADDRESS_TEXT_SIZE];
	int result;

	if (manifest == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_hex_decode(manifest->instance_id, MSE_INSTANCE_ID_SIZE, deployment->id, "the instance id", err)) < 0 ||
	    (result = mse_strdup(deployment->image_name, &manifest->image_name, err)) < 0 ||
	    (result = mse_strdup(config->name, &manifest->app_name, err)) < 0 ||
	    (result = mse_strdup(config->project, &manifest->app_project, err)) < 0 ||
	    (result = mse_strdup(config->code.healthcheck_endpoint, &manifest->healthcheck_endpoint, err)) < 0 ||
	    /* What every container image of Python sets, and libraries count on. */
	    (result = set_variable(manifest, "LANG", "C.UTF-8", err)) < 0 ||
	    (result = set_variable(manifest, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", err)) < 0 ||
	    (result = set_limits(deployment, manifest, err)) < 0 || (result = set_egress(config, manifest, err)) < 0 ||
	    (result = mse_address(config->project, config->name, deployment->owner.sign.public_key, address, err)) < 0 ||
	    (result = mse_format(&manifest->tls_names[manifest->tls_name_count++], err, "%s.%s", address, deployment->info.domain)) < 0 ||
	    (result = mse_format(&manifest->tls_names[manifest->tls_name_count++], err, "%.12s-i.%s", deployment->id, deployment->info.domain)) < 0 ||
	    (result = mse_code_commitment(deployment->salt, deployment->bundle.tree_digest, manifest->code_commitment, err)) < 0)
		return result;
	for (size_t i = 0; i < deployment->runtime.count; i++) {
		struct mse_named_digest *file = &manifest->runtime_files[manifest->runtime_file_count++];

		if ((result = mse_strdup(deployment->runtime.files[i].name, &file->name, err)) < 0)
			return result;
		memcpy(file->sha256, deployment->runtime.files[i].sha256, sizeof file->sha256);
	}
	manifest->runtime_security_version = deployment->runtime.security_version;
	memcpy(manifest->image_digest, deployment->image_digest, sizeof manifest->image_digest);
	memcpy(manifest->bundle_sha256, deployment->bundle.sha256, sizeof manifest->bundle_sha256);
	memcpy(manifest->owner_key, deployment->owner.sign.public_key, sizeof manifest->owner_key);
	memcpy(manifest->owner_log_key, deployment->owner.log.public_key, sizeof manifest->owner_log_key);
	manifest->tls_mode = MSE_TLS_ZERO_TRUST;
	if ((result = mse_manifest_encode(manifest, &deployment->manifest_bytes, err)) < 0)
		return result;
	return mse_measurement(mse_buffer_data(deployment->manifest_bytes), mse_buffer_size(deployment->manifest_bytes), deployment->measurement, err);
}

int mse_deploy_upload(struct mse_deployment *deployment, struct mse_error_info *err)
{
	char digest[2 * MSE_SHA256_SIZE + 1];
	mse_autofree char *path = NULL, *file = NULL, *manifest_file = NULL;
	int result;

	mse_deploy_begin(deployment, "upload");
	mse_hex_encode(digest, deployment->bundle.sha256, MSE_SHA256_SIZE);
	if ((result = compose(deployment, err)) < 0 || (result = mse_path_join(deployment->folder, "manifest.json", &manifest_file, err)) < 0 ||
	    (result = mse_file_write(manifest_file, mse_buffer_data(deployment->manifest_bytes), mse_buffer_size(deployment->manifest_bytes), 0600, err)) < 0 ||
	    (result = mse_format(&path, err, "/v1/bundles/%s", digest)) < 0 || (result = mse_path_join(deployment->folder, "bundle", &file, err)) < 0 ||
	    (result = mse_client_put_file(deployment->node, deployment->cli, path, file, err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "uploaded the sealed bundle");
}

bool mse_url_names(const char *url, const char *name)
{
	static const char scheme[] = "https://";
	struct mse_error_info ignored;
	char port[6] = "";
	size_t size = strlen(name), digits;
	uint64_t number;

	if (strncmp(url, scheme, strlen(scheme)) != 0 || strncmp(url + strlen(scheme), name, size) != 0 || url[strlen(scheme) + size] != ':')
		return false;
	url += strlen(scheme) + size + 1;
	digits = strspn(url, "0123456789");
	if (digits == 0 || digits >= sizeof port || strcmp(url + digits, "/") != 0)
		return false;
	memcpy(port, url, digits);
	return mse_parse_u64(port, 1, 65535, &number, "the port", &ignored) == 0;
}

static int take_url(const struct mse_deployment *deployment, const char *member, const char *name, char **ret_url, struct mse_error_info *err)
{
	const char *url;
	int result = mse_json_string(deployment->app, member, ANSWER, &url, err);

	if (result < 0)
		return result;
	if (!mse_url_names(url, name))
		return mse_fail(err, MSE_ERR_VERIFY, "the node gives the app another address than https://%s:PORT/; nothing secret was sent", name);
	return mse_strdup(url, ret_url, err);
}

static int post_app(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_autojson *json = json_object();
	mse_autofree char *body = NULL, *escaped = NULL, *path = NULL;
	uint8_t signature[MSE_SIGNATURE_SIZE];
	struct mse_node_request request = {
		.verb = deployment->replaces[0] == 0 ? "deploy" : "replace",
		.project = deployment->config->project,
		.name = deployment->config->name,
		.acted_on = deployment->replaces,
		.made = deployment->id,
	};
	int result;

	if ((result = mse_json_set_base64(json, "manifest", mse_buffer_data(deployment->manifest_bytes), mse_buffer_size(deployment->manifest_bytes), err)) < 0 ||
	    (result = mse_manifest_sign(&deployment->owner.sign, deployment->measurement, signature, err)) < 0 ||
	    (result = mse_json_set_base64(json, "manifest_signature", signature, sizeof signature, err)) < 0 ||
	    (result = mse_json_set(json, "replaces", json_string(deployment->replaces), err)) < 0 ||
	    (result = mse_client_escape(deployment->config->resource, &escaped, err)) < 0 ||
	    (result = mse_format(&path, err, "/v1/apps?plan=%s", escaped)) < 0)
		return result;
	body = json_dumps(json, JSON_COMPACT);
	if (body == NULL)
		return mse_fail_nomem(err);
	request.body = body;
	request.body_size = strlen(body);
	/* From here on the node may have it, also if its answer gets lost. */
	deployment->started = true;
	result = mse_client_post_signed(deployment->node, path, &deployment->owner, &request, &deployment->app, err);
	if (result < 0 && result != MSE_ERR_CLOSED && result != MSE_ERR_TIMEOUT && result != MSE_ERR_STATE)
		deployment->started = false;
	return result;
}

int mse_deploy_refresh(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autojson *app = NULL;
	int result;

	if ((result = mse_format(&path, err, "/v1/apps/%s", deployment->id)) < 0 || (result = mse_client_get(deployment->node, path, &app, err)) < 0)
		return result;
	json_decref(deployment->app);
	deployment->app = mse_steal(app);
	return 0;
}

static int wait_for_enclave(struct mse_deployment *deployment, struct mse_error_info *err)
{
	uint64_t began = mse_monotonic_ms();
	unsigned pause = 4;
	int result;

	for (;;) {
		mse_autofree char *status = NULL, *reason = NULL;

		if ((result = mse_cli_text_of(deployment->app, "status", &status, err)) < 0 ||
		    (result = mse_cli_text_of(deployment->app, "reason", &reason, err)) < 0)
			return result;
		if (strcmp(status, "on_error") == 0 || strcmp(status, "stopped") == 0)
			return mse_fail(err, MSE_ERR_STATE, "the enclave did not start: %s (status %s). The node's operator finds more in msed's log", reason,
				status);
		if (strcmp(status, "spawning") != 0)
			return 0;
		if (mse_monotonic_ms() - began > SPAWN_SECONDS * 1000)
			return mse_fail(err, MSE_ERR_TIMEOUT, "the node has not started the enclave within %u seconds", SPAWN_SECONDS);
		if (mse_monotonic_ms() - began > 1000)
			mse_cli_progress(deployment->cli, "the node builds the sandbox: %llu s", (unsigned long long)(mse_monotonic_ms() - began) / 1000);
		if ((result = mse_cli_sleep(pause, err)) < 0 || (result = mse_deploy_refresh(deployment, err)) < 0)
			return result;
		pause = pause < 50 ? pause * 2 : 50;
	}
}

int mse_deploy_start(struct mse_deployment *deployment, struct mse_error_info *err)
{
	int result;

	mse_deploy_begin(deployment, "start");
	if ((result = post_app(deployment, err)) < 0 ||
	    (result = take_url(deployment, "url", deployment->manifest->tls_names[0], &deployment->url, err)) < 0 ||
	    (result = take_url(deployment, "instance_url", deployment->manifest->tls_names[1], &deployment->instance_url, err)) < 0 ||
	    (result = wait_for_enclave(deployment, err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "%s the enclave, instance %.12s…", deployment->replaces[0] == 0 ? "started" : "replaced the app; started",
		deployment->id);
}

/* Where a replacement fails, its owner needs to know whether the app from before still serves. */
static void say_replaced(struct mse_deployment *deployment)
{
	mse_autofree char *path = NULL;
	mse_autojson *app = NULL;
	struct mse_error_info ignored;
	const char *status;

	if (deployment->replaces[0] == 0 || mse_format(&path, &ignored, "/v1/apps/%s", deployment->replaces) < 0 ||
	    mse_client_get(deployment->node, path, &app, &ignored) < 0)
		return;
	status = json_string_value(json_object_get(app, "status"));
	if (status != NULL && strcmp(status, "stopped") == 0)
		mse_cli_say(deployment->cli, "the instance %.12s…, which was to be replaced, is stopped already", deployment->replaces);
}

void mse_deploy_abandon(struct mse_deployment *deployment)
{
	mse_autojson *app = NULL;
	struct mse_error_info err;

	mse_interrupt_forget();
	say_replaced(deployment);
	if (mse_client_stop(deployment->node, &deployment->owner, deployment->config->project, deployment->config->name, deployment->id, &app, &err) == 0)
		mse_cli_say(deployment->cli, "the instance %.12s… was stopped again", deployment->id);
	else if (err.code != MSE_ERR_NOT_FOUND)
		mse_cli_say(deployment->cli, "the instance %.12s… could not be stopped again: %s\n  try 'mse stop %.12s'", deployment->id, err.message,
			deployment->id);
}
