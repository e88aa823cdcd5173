#include "ratls/members.h"

#include <string.h>

#include "base/text.h"
#include "crypto/hash.h"

#define MAX_PATH 256

struct comparison {
	struct mse_verdict *verdict;
	const struct mse_expectations *expected;
	json_t *context;        /* the expected manifest's members by path, or NULL */
	bool measurement_fixes; /* the caller named the whole measurement, and it is this one */
	bool owner_approves;    /* the owner whom the caller named signed this measurement */
};

static int collect(void *context, const char *path, const char *value, struct mse_error_info *err)
{
	return mse_json_set(context, path, json_string(value), err);
}

static void add(const struct comparison *comparison, const char *path, bool passed, const char *expected, const char *found)
{
	char name[MAX_PATH];

	snprintf(name, sizeof name, "manifest.%s", path);
	mse_verdict_add_check(comparison->verdict, name, passed, expected, found);
}

/* What the caller holds for this one member at first hand, as the canonical text of its value; false: nothing. */
static bool held_value(const struct mse_expectations *expected, const char *path, char to[static 128])
{
	const uint8_t *hex = NULL;

	if (strcmp(path, "app.bundle_sha256") == 0)
		hex = expected->bundle_sha256;
	else if (strcmp(path, "app.code_commitment") == 0)
		hex = expected->code_commitment;
	if (hex != NULL) {
		to[0] = '"';
		mse_hex_encode(to + 1, hex, MSE_SHA256_SIZE);
		memcpy(to + 65, "\"", 2);
		return true;
	}
	if (strcmp(path, "image.digest") == 0 && expected->image_digest != NULL) {
		to[0] = '"';
		mse_digest_format(to + 1, expected->image_digest);
		memcpy(to + MSE_DIGEST_TEXT_SIZE, "\"", 2);
		return true;
	}
	if (strcmp(path, "owner.key") == 0 && expected->owner_key != NULL) {
		struct mse_error_info ignored;
		mse_autofree char *text = NULL;

		if (mse_base64_encode(expected->owner_key, MSE_SIGN_KEY_SIZE, &text, &ignored) == 0) {
			snprintf(to, 128, "\"%s\"", text);
			return true;
		}
	}
	return false;
}

/* The runtime is this release's own: what `mse` was shipped with. */
static bool release_value(const struct mse_expectations *expected, const char *path, char to[static 128])
{
	static const char files[] = "runtime.files.";

	if (strcmp(path, "runtime.security_version") == 0 && expected->runtime_count > 0) {
		snprintf(to, 128, "%llu", (unsigned long long)expected->runtime_security_version);
		return true;
	}
	if (strncmp(path, files, sizeof files - 1) != 0)
		return false;
	for (size_t i = 0; i < expected->runtime_count; i++) {
		if (strcmp(path + sizeof files - 1, expected->runtime[i].name) == 0) {
			to[0] = '"';
			mse_digest_format(to + 1, expected->runtime[i].sha256);
			memcpy(to + MSE_DIGEST_TEXT_SIZE, "\"", 2);
			return true;
		}
	}
	return false;
}

static bool is_of_runtime(const char *path)
{
	return strncmp(path, "runtime.", 8) == 0;
}

/* Members that the owner's approval alone does not vouch for to a stranger: what runs must be at hand. */
static bool approval_is_enough(const struct mse_expectations *expected, const char *path)
{
	if (is_of_runtime(path) || strcmp(path, "image.digest") == 0 || strcmp(path, "owner.key") == 0)
		return false;
	/* The bundle holds the code, the commitment is of the code: one of the two at hand leaves the other to its owner. */
	if (strcmp(path, "app.bundle_sha256") == 0 || strcmp(path, "app.code_commitment") == 0)
		return expected->bundle_sha256 != NULL || expected->code_commitment != NULL;
	return true;
}

static const char *how_to_fix(const char *path)
{
	if (is_of_runtime(path))
		return "nothing to compare with: this release of mse does not have a file of that name";
	if (strcmp(path, "image.digest") == 0)
		return "nothing to compare with: give --trust-image";
	if (strcmp(path, "owner.key") == 0)
		return "nothing to compare with: give --owner";
	if (strncmp(path, "app.bundle", 10) == 0 || strncmp(path, "app.code", 8) == 0)
		return "nothing to compare with: give --bundle or --code";
	return "nothing to compare with: give --context, --measurement, or --owner whose approval is in the evidence";
}

static int compare(void *context, const char *path, const char *value, struct mse_error_info *err)
{
	const struct comparison *comparison = context;
	const struct mse_expectations *expected = comparison->expected;
	char wanted[128];
	const json_t *of_context;

	(void)err;
	/* What the caller has in hand is compared whatever else he gave. */
	if (held_value(expected, path, wanted)) {
		add(comparison, path, strcmp(wanted, value) == 0, wanted, value);
		return 0;
	}
	if (comparison->context != NULL) {
		of_context = json_object_get(comparison->context, path);
		add(comparison, path, of_context != NULL && strcmp(json_string_value(of_context), value) == 0,
			of_context == NULL ? "no such member" : json_string_value(of_context), value);
		return 0;
	}
	if (expected->measurement != NULL) {
		add(comparison, path, comparison->measurement_fixes, "as in the measurement given", value);
		return 0;
	}
	if (release_value(expected, path, wanted)) {
		add(comparison, path, strcmp(wanted, value) == 0, wanted, value);
		return 0;
	}
	if (expected->owner_key != NULL && approval_is_enough(expected, path)) {
		add(comparison, path, comparison->owner_approves, "approved by the owner given",
			comparison->owner_approves ? value : "no approval of this manifest by that owner");
		return 0;
	}
	add(comparison, path, false, how_to_fix(path), value);
	return 0;
}

static int find_missing(const struct comparison *comparison, json_t *found)
{
	const char *path;
	json_t *value;

	json_object_foreach (comparison->context, path, value)
		if (json_object_get(found, path) == NULL)
			add(comparison, path, false, json_string_value(value), "no such member");
	return 0;
}

int mse_members_check(struct mse_verdict *verdict, const struct mse_expectations *expected, const struct mse_buffer *manifest,
	const uint8_t measurement[static MSE_SHA256_SIZE], const uint8_t owner_approval[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	struct comparison comparison = { .verdict = verdict, .expected = expected };
	mse_autojson *context = NULL;
	mse_autojson *found = json_object();
	struct mse_error_info ignored;
	int result = 0;

	if (expected->manifest.size > 0) {
		context = json_object();
		result = mse_manifest_members(expected->manifest.data, expected->manifest.size, collect, context, err);
	}
	comparison.context = context;
	comparison.measurement_fixes = expected->measurement != NULL && mse_equal(expected->measurement, measurement, MSE_SHA256_SIZE);
	comparison.owner_approves = expected->owner_key != NULL &&
				    mse_manifest_verify_signature(expected->owner_key, measurement, owner_approval, &ignored) == 0;
	if (result == 0)
		result = mse_manifest_members(mse_buffer_data(manifest), mse_buffer_size(manifest), collect, found, err);
	if (result == 0)
		result = mse_manifest_members(mse_buffer_data(manifest), mse_buffer_size(manifest), compare, &comparison, err);
	return result < 0 || context == NULL ? result : find_missing(&comparison, found);
}
