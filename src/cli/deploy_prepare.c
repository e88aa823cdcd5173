#include "cli/deploy.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/store.h"
#include "manifest/app_json.h"

/* Packing more than this may take longer than a second. */
#define SLOW_SIZE ((uint64_t)32 * 1024 * 1024)

int mse_deploy_read_config(struct mse_deployment *deployment, struct mse_error_info *err)
{
	const char *path = mse_cli_option(deployment->cli, MSE_OPT_PATH);
	struct stat status;
	int result;

	mse_deploy_begin(deployment, "configuration");
	if (path == NULL)
		path = "mse.toml";
	if (stat(path, &status) < 0 && mse_cli_option(deployment->cli, MSE_OPT_PATH) == NULL)
		return mse_fail(err, MSE_ERR_NOT_FOUND,
			"there is no mse.toml in this folder: go to the application's folder, name the file with --path, or begin one with 'mse scaffold NAME'");
	if ((result = mse_app_config_read(path, &deployment->config, err)) < 0 ||
	    (result = mse_app_config_check_time(deployment->config, mse_time_now(), err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "read %s: app '%s' in project '%s'", path, deployment->config->name, deployment->config->project);
}

/* What must not be in the code is refused wherever it came from, for the code may be shown to others. */
static int refuse_in_code(struct mse_deployment *deployment, const char *path, size_t line, const char *what, struct mse_error_info *err)
{
	const char *entry;
	int result;

	if (path == NULL)
		return 0;
	result = mse_walk_contains(deployment->walk, path, &entry, err);
	if (result <= 0)
		return result;
	return mse_app_config_fail(deployment->config, line, err, MSE_ERR_DENIED,
		"%s would be packed with the code, as '%.200s': move it out of the code folder, or name it in .mseignore", what, entry);
}

static int check_code(struct mse_deployment *deployment, struct mse_error_info *err)
{
	struct mse_app_config *config = deployment->config;
	int result;

	if ((result = mse_walk_open(config->code.location, &deployment->walk, err)) < 0)
		return mse_context(err, "%s: code folder", config->file_name);
	if (mse_walk_has_requirements(deployment->walk))
		return mse_app_config_fail(config, config->code.location_line, err, MSE_ERR_UNSUPPORTED,
			"the code folder has a requirements.txt: dependencies that an image does not bring come with a later release; "
			"remove the file if the image has all that the application needs");
	if (mse_walk_find(deployment->walk, config->code.module_path) == NULL)
		return mse_app_config_fail(config, config->code.python_application_line, err, MSE_ERR_NOT_FOUND,
			"the application's module '%s' is left out by .mseignore: change one of the two", config->code.module_path);
	if ((result = refuse_in_code(deployment, config->code.secrets, config->code.secrets_line, "the secrets file", err)) < 0 ||
	    (result = refuse_in_code(deployment, config->ssl.private_key, config->ssl.private_key_line, "the TLS private key", err)) < 0)
		return result;
	return refuse_in_code(deployment, config->path, 0, "the configuration file", err);
}

static const char *without_dots(const char *path)
{
	while (strncmp(path, "./", 2) == 0 && path[2] != 0)
		path += 2;
	return path;
}

int mse_deploy_check(struct mse_deployment *deployment, struct mse_error_info *err)
{
	struct mse_app_config *config = deployment->config;
	int result;

	mse_deploy_begin(deployment, "check");
	if ((result = mse_app_config_check_files(config, err)) < 0 || (result = mse_app_config_check_ssl(config, mse_time_now(), err)) < 0 ||
	    (result = check_code(deployment, err)) < 0)
		return result;
	if (config->has_ssl)
		return mse_app_config_fail(config, config->ssl.line, err, MSE_ERR_UNSUPPORTED,
			"[ssl] is well-formed, but certificates of your own come with a later release; without the table the app gets a certificate made in its enclave");
	if (config->code.secrets != NULL &&
	    (result = mse_file_read_secret(config->code.secrets, MSE_APP_CONFIG_MAX_SECRETS_SIZE, &deployment->app_secrets, err)) < 0)
		return mse_context(err, "%s:%zu: secrets", config->file_name, config->code.secrets_line);
	/* A node that is not named is found out before anything is made. */
	if ((result = mse_client_open(deployment->cli, &deployment->node, err)) < 0 || (result = mse_runtime_load(&deployment->runtime, err)) < 0 ||
	    (result = mse_owner_load(deployment->cli, &deployment->owner, err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "checked %zu %s, %llu bytes, of %s", mse_walk_count(deployment->walk),
		mse_walk_count(deployment->walk) == 1 ? "file or folder" : "files and folders",
		(unsigned long long)mse_walk_total_size(deployment->walk), without_dots(config->code.location));
}

/* secret.json, composed and written in secret memory. */
static int write_secrets(struct mse_deployment *deployment, struct mse_error_info *err)
{
	static const char form[] = "{\"code_key\": \"%s\", \"salt\": \"%s\"}\n";
	mse_cleanup(mse_secret_freep) struct mse_secret *text = NULL;
	mse_autofree char *path = NULL, *salt = NULL, *key = NULL;
	size_t size;
	int result;

	if ((result = mse_base64_encode(deployment->salt, sizeof deployment->salt, &salt, err)) < 0 ||
	    (result = mse_base64_encode(mse_secret_view(deployment->code_key), mse_secret_size(deployment->code_key), &key, err)) < 0)
		return result;
	size = sizeof form + strlen(key) + strlen(salt);
	if ((result = mse_secret_new(size, &text, err)) == 0 && (result = mse_path_join(deployment->folder, "secret.json", &path, err)) == 0) {
		int written = snprintf((char *)mse_secret_data(text), size, form, key, salt);

		result = mse_file_write(path, mse_secret_view(text), (size_t)written, 0600, err);
	}
	mse_wipe(key, strlen(key));
	return result;
}

int mse_deploy_seal(struct mse_deployment *deployment, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *random = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *app_json = NULL;
	mse_autofree char *path = NULL;
	int result;

	mse_deploy_begin(deployment, "seal");
	if ((result = mse_secret_random(MSE_INSTANCE_ID_SIZE + MSE_BUNDLE_SALT_SIZE, &random, err)) < 0)
		return result;
	mse_hex_encode(deployment->id, mse_secret_view(random), MSE_INSTANCE_ID_SIZE);
	memcpy(deployment->salt, mse_secret_view(random) + MSE_INSTANCE_ID_SIZE, MSE_BUNDLE_SALT_SIZE);
	if ((result = mse_stored_begin(deployment->cli, deployment->id, &deployment->folder, err)) < 0 ||
	    (result = mse_path_join(deployment->folder, "bundle", &path, err)) < 0)
		return result;
	if (mse_walk_total_size(deployment->walk) > SLOW_SIZE)
		mse_cli_progress(deployment->cli, "packing and sealing %llu MiB", (unsigned long long)mse_walk_total_size(deployment->walk) >> 20);
	if ((result = mse_app_json_encode(deployment->config->code.python_application, deployment->salt, &app_json, err)) < 0 ||
	    (result = mse_bundle_seal(deployment->walk, mse_buffer_data(app_json), mse_buffer_size(app_json), path, &deployment->code_key,
		     &deployment->bundle, err)) < 0 ||
	    (result = write_secrets(deployment, err)) < 0)
		return result;
	return mse_deploy_done(deployment, err, "packed and sealed the code: %llu bytes leave this machine encrypted",
		(unsigned long long)deployment->bundle.sealed_size);
}
