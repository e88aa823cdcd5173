#include "manifest/app_json.h"

#include <string.h>

#include "base/text.h"

#define WHAT "the bundle's .mse/app.json"
#define VERSION 1
#define MAX_SIZE ((size_t)4096)

void mse_app_json_clear(struct mse_app_json *app)
{
	free(mse_steal(app->python_application));
}

int mse_app_json_encode(const char *python_application, const uint8_t salt[static MSE_BUNDLE_SALT_SIZE], struct mse_buffer **ret_bytes,
	struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = mse_buffer_new(MAX_SIZE);
	mse_autojson *json = json_pack("{s:s, s:i}", "python_application", python_application, "version", VERSION);
	int result;

	if (bytes == NULL || json == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_set_hex(json, "salt", salt, MSE_BUNDLE_SALT_SIZE, err)) < 0 || (result = mse_json_canonical(json, bytes, err)) < 0)
		return result;
	*ret_bytes = mse_steal(bytes);
	return 0;
}

int mse_app_json_parse(const void *bytes, size_t size, struct mse_app_json *ret_app, struct mse_error_info *err)
{
	mse_autojson *json = NULL;
	const char *application;
	uint64_t version;
	int result;

	ret_app->python_application = NULL;
	if ((result = mse_json_parse(bytes, size, WHAT, &json, err)) < 0 ||
	    (result = mse_json_only(json, (const char *const[]){ "python_application", "salt", "version", NULL }, WHAT, err)) < 0 ||
	    (result = mse_json_u64(json, "version", WHAT, VERSION, VERSION, &version, err)) < 0 ||
	    (result = mse_json_hex(json, "salt", WHAT, ret_app->salt, MSE_BUNDLE_SALT_SIZE, err)) < 0 ||
	    (result = mse_json_string(json, "python_application", WHAT, &application, err)) < 0)
		return result;
	return mse_strdup(application, &ret_app->python_application, err);
}
