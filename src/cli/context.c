#include "cli/context.h"

#include <string.h>

#include "base/text.h"

#define WHAT "the context"
#define CONTEXT_VERSION 1
#define TAG "mse-context-v1"

void mse_context_info_free(struct mse_context_info *context)
{
	if (context == NULL)
		return;
	free(context->name);
	free(context->project);
	free(context->url);
	free(context->python_application);
	free(context->tee);
	mse_buffer_free(context->manifest);
	free(context);
}

static int canonical_view(const json_t *inner, struct mse_buffer **ret_bytes, struct mse_view *ret_view, struct mse_error_info *err)
{
	int result;

	*ret_bytes = mse_buffer_new(MSE_CONTEXT_MAX_SIZE);
	if (*ret_bytes == NULL)
		return mse_fail_nomem(err);
	result = mse_json_canonical(inner, *ret_bytes, err);
	if (result == 0)
		*ret_view = mse_view_of(mse_buffer_data(*ret_bytes), mse_buffer_size(*ret_bytes));
	return result;
}

static int write_platforms(const struct mse_context_info *context, json_t *inner, struct mse_error_info *err)
{
	mse_autojson *platforms = json_array();

	for (size_t i = 0; i < context->platform_count; i++) {
		char text[2 * MSE_PLATFORM_SIZE + 1];

		mse_hex_encode(text, context->platforms[i], MSE_PLATFORM_SIZE);
		if (json_array_append_new(platforms, json_string(text)) < 0)
			return mse_fail_nomem(err);
	}
	return mse_json_set(inner, "platforms", json_incref(platforms), err);
}

int mse_context_sign(const struct mse_context_info *context, const struct mse_sign_key *owner, json_t **ret_json, struct mse_error_info *err)
{
	mse_autojson *inner = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I}", "version", CONTEXT_VERSION, "name", context->name, "project",
		context->project, "url", context->url, "python_application", context->python_application, "tee", context->tee, "created_at",
		(json_int_t)context->created_at);
	mse_autojson *outer = json_object();
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	uint8_t signature[MSE_SIGNATURE_SIZE];
	struct mse_view view;
	int result;

	if (inner == NULL || outer == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_set_base64(inner, "manifest", mse_buffer_data(context->manifest), mse_buffer_size(context->manifest), err)) < 0 ||
	    (result = mse_json_set_base64(inner, "salt", context->salt, sizeof context->salt, err)) < 0 ||
	    (result = write_platforms(context, inner, err)) < 0)
		return result;
	if (context->has_simulation_root)
		result = mse_json_set_hex(inner, "simulation_root", context->simulation_root, MSE_SHA256_SIZE, err);
	else
		result = mse_json_set(inner, "simulation_root", json_null(), err);
	if (result < 0 || (result = canonical_view(inner, &bytes, &view, err)) < 0 ||
	    (result = mse_sign_fields(owner, TAG, &view, 1, signature, err)) < 0 ||
	    (result = mse_json_set(outer, "context", json_incref(inner), err)) < 0 ||
	    (result = mse_json_set_base64(outer, "owner", owner->public_key, MSE_SIGN_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(outer, "signature", signature, sizeof signature, err)) < 0)
		return result;
	*ret_json = mse_steal(outer);
	return 0;
}

static int read_text(const json_t *inner, const char *member, char **ret_text, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(inner, member, WHAT, &text, err);

	return result < 0 ? result : mse_strdup(text, ret_text, err);
}

static int read_platforms(const json_t *inner, struct mse_context_info *context, struct mse_error_info *err)
{
	json_t *platforms, *platform;
	size_t i;
	int result = mse_json_array(inner, "platforms", WHAT, &platforms, err);

	if (result < 0)
		return result;
	if (json_array_size(platforms) > MSE_CONTEXT_MAX_PLATFORMS)
		return mse_fail(err, MSE_ERR_LIMIT, WHAT " names %zu platforms, the limit is %d", json_array_size(platforms), MSE_CONTEXT_MAX_PLATFORMS);
	json_array_foreach (platforms, i, platform) {
		if (!json_is_string(platform))
			return mse_fail(err, MSE_ERR_INPUT, WHAT ": platform %zu is not hex text", i);
		if ((result = mse_hex_decode(context->platforms[i], MSE_PLATFORM_SIZE, json_string_value(platform), "a platform in " WHAT, err)) < 0)
			return result;
		context->platform_count++;
	}
	return 0;
}

static int read_manifest(const json_t *inner, struct mse_context_info *context, struct mse_error_info *err)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = NULL;
	mse_autofree uint8_t *bytes = NULL;
	const char *text;
	size_t size;
	int result;

	if ((result = mse_json_string(inner, "manifest", WHAT, &text, err)) < 0 ||
	    (result = mse_base64_decode(text, MSE_MANIFEST_MAX_SIZE, &bytes, &size, "the manifest in " WHAT, err)) < 0 ||
	    (result = mse_manifest_parse(bytes, size, &manifest, err)) < 0)
		return result;
	/* Whoever signs a context vouches for an app; he can do so only for his own. */
	if (!mse_equal(manifest->owner_key, context->owner, MSE_SIGN_KEY_SIZE))
		return mse_fail(err, MSE_ERR_CRYPTO, WHAT " is signed by another key than that of the app's owner: it is a forgery");
	context->manifest = mse_buffer_new(MSE_MANIFEST_MAX_SIZE);
	if (context->manifest == NULL)
		return mse_fail_nomem(err);
	return mse_buffer_append(context->manifest, bytes, size, err);
}

static int read_inner(const json_t *inner, struct mse_context_info *context, struct mse_error_info *err)
{
	static const char *const members[] = { "created_at", "manifest", "name", "platforms", "project", "python_application", "salt",
		"simulation_root", "tee", "url", "version", NULL };
	uint64_t version, created_at;
	int result;

	if ((result = mse_json_u64(inner, "version", WHAT, 0, UINT32_MAX, &version, err)) < 0)
		return result;
	if (version != CONTEXT_VERSION)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, WHAT " has version %llu, this release knows version %d", (unsigned long long)version,
			CONTEXT_VERSION);
	if ((result = mse_json_only(inner, members, WHAT, err)) < 0 || (result = read_text(inner, "name", &context->name, err)) < 0 ||
	    (result = read_text(inner, "project", &context->project, err)) < 0 || (result = read_text(inner, "url", &context->url, err)) < 0 ||
	    (result = read_text(inner, "python_application", &context->python_application, err)) < 0 ||
	    (result = read_text(inner, "tee", &context->tee, err)) < 0 ||
	    (result = mse_json_u64(inner, "created_at", WHAT, 0, INT64_MAX, &created_at, err)) < 0 ||
	    (result = mse_json_base64(inner, "salt", WHAT, context->salt, sizeof context->salt, err)) < 0 ||
	    (result = read_platforms(inner, context, err)) < 0 || (result = read_manifest(inner, context, err)) < 0)
		return result;
	context->created_at = (int64_t)created_at;
	if (json_is_null(json_object_get(inner, "simulation_root")))
		return 0;
	context->has_simulation_root = true;
	return mse_json_hex(inner, "simulation_root", WHAT, context->simulation_root, MSE_SHA256_SIZE, err);
}

int mse_context_read(const json_t *json, const char *what, struct mse_context_info **ret_context, struct mse_error_info *err)
{
	mse_cleanup(mse_context_info_freep) struct mse_context_info *context = calloc(1, sizeof *context);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	uint8_t signature[MSE_SIGNATURE_SIZE];
	struct mse_view view;
	json_t *inner;
	int result;

	if (context == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_only(json, (const char *const[]){ "context", "owner", "signature", NULL }, what, err)) < 0 ||
	    (result = mse_json_object(json, "context", what, &inner, err)) < 0 ||
	    (result = mse_json_base64(json, "owner", what, context->owner, sizeof context->owner, err)) < 0 ||
	    (result = mse_json_base64(json, "signature", what, signature, sizeof signature, err)) < 0 ||
	    (result = canonical_view(inner, &bytes, &view, err)) < 0)
		return result;
	if ((result = mse_verify_fields(context->owner, TAG, &view, 1, signature, err)) < 0)
		return mse_fail(err, result, "%s is forged or damaged: the owner's signature on it does not verify; get it again from the app's owner",
			what);
	if ((result = read_inner(inner, context, err)) < 0)
		return mse_context(err, "%s", what);
	*ret_context = mse_steal(context);
	return 0;
}
