#include <string.h>

#include "base/text.h"
#include "manifest/manifest.h"

/* A list of targets of connections is the longest. */
#define MAX_LEAF_SIZE 32768u

static int visit_value(const char *path, const json_t *value, mse_manifest_visit *visit, void *context, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(MAX_LEAF_SIZE);
	const char *key;
	json_t *member;
	int result = 0;

	if (text == NULL)
		return mse_fail_nomem(err);
	if (!json_is_object(value) || json_object_size(value) == 0) {
		result = mse_json_canonical(value, text, err);
		return result < 0 ? result : visit(context, path, mse_buffer_text(text), err);
	}
	json_object_foreach ((json_t *)value, key, member) {
		mse_autofree char *inner = NULL;

		result = mse_format(&inner, err, "%s%s%s", path, path[0] == 0 ? "" : ".", key);
		if (result == 0)
			result = visit_value(inner, member, visit, context, err);
		if (result < 0)
			return result;
	}
	return result;
}

int mse_manifest_members(const void *bytes, size_t size, mse_manifest_visit *visit, void *context, struct mse_error_info *err)
{
	mse_autojson *root = NULL;
	int result = mse_json_parse(bytes, size, "the manifest", &root, err);

	return result < 0 ? result : visit_value("", root, visit, context, err);
}
