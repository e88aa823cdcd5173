#include "manifest/manifest.h"

#include <string.h>

#include "base/text.h"
#include "crypto/hash.h"

#define WHAT "the manifest"
#define MAX_SIZE_LIMIT ((uint64_t)1 << 52)
#define MAX_STRING 1024u

static const char *const tls_modes[] = { "zero-trust", "owner", "operator" };

struct mse_manifest *mse_manifest_new(void)
{
	return calloc(1, sizeof(struct mse_manifest));
}

void mse_manifest_free(struct mse_manifest *manifest)
{
	if (manifest == NULL)
		return;
	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		free(manifest->runtime_files[i].name);
	for (size_t i = 0; i < MSE_MANIFEST_MAX_ENV; i++) {
		free(manifest->image_env[i].name);
		free(manifest->image_env[i].value);
	}
	for (size_t i = 0; i < MSE_MANIFEST_MAX_NAMES; i++)
		free(manifest->tls_names[i]);
	for (size_t i = 0; i < MSE_EGRESS_MAX_TARGETS; i++)
		free(manifest->egress_targets[i]);
	free(manifest->image_name);
	free(manifest->app_name);
	free(manifest->app_project);
	free(manifest->healthcheck_endpoint);
	free(manifest);
}

static int read_text(const json_t *object, const char *member, const char *what, char **ret_text, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(object, member, what, &text, err);

	if (result < 0)
		return result;
	if (strlen(text) > MAX_STRING)
		return mse_fail(err, MSE_ERR_LIMIT, "%s: member '%s' has more than %u characters", what, member, MAX_STRING);
	return mse_strdup(text, ret_text, err);
}

static int read_name(const json_t *object, const char *member, const char *what, char **ret_text, struct mse_error_info *err)
{
	int result = read_text(object, member, what, ret_text, err);

	if (result == 0 && !mse_name_is_valid(*ret_text))
		return mse_fail(err, MSE_ERR_INPUT, "%s: member '%s' is not a name (letters, digits, '.', '_', '-', at most 63): '%.100s'", what,
			member, *ret_text);
	return result;
}

static int read_digest(const json_t *object, const char *member, const char *what, uint8_t *to, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(object, member, what, &text, err);

	if (result < 0)
		return result;
	if (strncmp(text, "sha256:", 7) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "%s: member '%s' does not begin with 'sha256:'", what, member);
	return mse_digest_parse(text, to, member, err);
}

static int read_runtime(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char what[] = WHAT "'s 'runtime'";
	json_t *runtime, *files, *value;
	const char *name;
	int result;

	if ((result = mse_json_object(root, "runtime", WHAT, &runtime, err)) < 0 ||
	    (result = mse_json_only(runtime, (const char *const[]){ "files", "security_version", NULL }, what, err)) < 0 ||
	    (result = mse_json_u64(runtime, "security_version", what, 0, UINT16_MAX, &manifest->runtime_security_version, err)) < 0 ||
	    (result = mse_json_object(runtime, "files", what, &files, err)) < 0)
		return result;
	if (json_object_size(files) == 0 || json_object_size(files) > MSE_MANIFEST_MAX_FILES)
		return mse_fail(err, MSE_ERR_LIMIT, "%s has %zu files, allowed are 1 to %d", what, json_object_size(files), MSE_MANIFEST_MAX_FILES);
	/* The canonical form is sorted, and jansson keeps the order in which members came. */
	json_object_foreach (files, name, value) {
		struct mse_named_digest *file = &manifest->runtime_files[manifest->runtime_file_count++];

		if (strlen(name) > 100 || strchr(name, '/') != NULL || name[0] == '.')
			return mse_fail(err, MSE_ERR_INPUT, "%s names a file '%.100s' that is not a plain file name", what, name);
		if ((result = mse_strdup(name, &file->name, err)) < 0 || (result = read_digest(files, name, what, file->sha256, err)) < 0)
			return result;
	}
	return 0;
}

/* What would change how the enclave itself is loaded or runs is not the image's to set. */
static bool env_name_is_allowed(const char *name)
{
	static const char *const refused[] = { "LD_", "GLIBC_", "MALLOC_", "PYTHON", "OPENSSL_", "SSLKEYLOGFILE", "ASAN_", "UBSAN_", "LSAN_",
		"EVENT_", "MSE_", "HOME", "SECRETS_PATH", "TMP_PATH", "TMPDIR", "MODULE_PATH", "GCONV_PATH", "LOCPATH", "NLSPATH", "RES_OPTIONS",
		"HOSTALIASES", "LOCALDOMAIN" };

	if (name[0] == 0 || strlen(name) > 200 || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		return false;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (strncmp(name, refused[i], strlen(refused[i])) == 0)
			return false;
	return true;
}

static int read_image(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char what[] = WHAT "'s 'image'";
	json_t *image, *env, *value;
	const char *name;
	int result;

	if ((result = mse_json_object(root, "image", WHAT, &image, err)) < 0 ||
	    (result = mse_json_only(image, (const char *const[]){ "digest", "env", "name", NULL }, what, err)) < 0 ||
	    (result = read_name(image, "name", what, &manifest->image_name, err)) < 0 ||
	    (result = read_digest(image, "digest", what, manifest->image_digest, err)) < 0 ||
	    (result = mse_json_object(image, "env", what, &env, err)) < 0)
		return result;
	if (json_object_size(env) > MSE_MANIFEST_MAX_ENV)
		return mse_fail(err, MSE_ERR_LIMIT, "%s sets %zu variables, the limit is %d", what, json_object_size(env), MSE_MANIFEST_MAX_ENV);
	json_object_foreach (env, name, value) {
		struct mse_env_variable *variable = &manifest->image_env[manifest->image_env_count++];

		if (!env_name_is_allowed(name))
			return mse_fail(err, MSE_ERR_DENIED, "%s sets the variable '%.100s', which an image may not", what, name);
		if ((result = mse_strdup(name, &variable->name, err)) < 0 || (result = read_text(env, name, what, &variable->value, err)) < 0)
			return result;
	}
	return 0;
}

static int read_app(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char what[] = WHAT "'s 'app'";
	static const char *const members[] = { "bundle_sha256", "code_commitment", "healthcheck_endpoint", "name", "project",
		"requirements_sha256", NULL };
	json_t *app;
	int result;

	if ((result = mse_json_object(root, "app", WHAT, &app, err)) < 0 || (result = mse_json_only(app, members, what, err)) < 0 ||
	    (result = read_name(app, "name", what, &manifest->app_name, err)) < 0 ||
	    (result = read_name(app, "project", what, &manifest->app_project, err)) < 0 ||
	    (result = read_text(app, "healthcheck_endpoint", what, &manifest->healthcheck_endpoint, err)) < 0 ||
	    (result = mse_json_hex(app, "bundle_sha256", what, manifest->bundle_sha256, MSE_SHA256_SIZE, err)) < 0 ||
	    (result = mse_json_hex(app, "code_commitment", what, manifest->code_commitment, MSE_SHA256_SIZE, err)) < 0)
		return result;
	if (manifest->healthcheck_endpoint[0] != '/')
		return mse_fail(err, MSE_ERR_INPUT, "%s: 'healthcheck_endpoint' does not begin with '/'", what);
	if (!json_is_null(json_object_get(app, "requirements_sha256")))
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "%s names a requirements.txt: dependencies are not there yet in this release", what);
	return 0;
}

static int read_owner(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char what[] = WHAT "'s 'owner'";
	json_t *owner;
	int result;

	if ((result = mse_json_object(root, "owner", WHAT, &owner, err)) < 0 ||
	    (result = mse_json_only(owner, (const char *const[]){ "key", "log_key", NULL }, what, err)) < 0 ||
	    (result = mse_json_base64(owner, "key", what, manifest->owner_key, MSE_SIGN_KEY_SIZE, err)) < 0)
		return result;
	return mse_json_base64(owner, "log_key", what, manifest->owner_log_key, MSE_BOX_KEY_SIZE, err);
}

static bool dns_name_is_valid(const char *name)
{
	size_t size = strlen(name);

	return size >= 1 && size <= 253 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == size && name[0] != '.' && name[0] != '-';
}

static int read_tls(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char what[] = WHAT "'s 'tls'";
	json_t *tls, *names, *name;
	const char *mode;
	size_t i;
	int result;

	if ((result = mse_json_object(root, "tls", WHAT, &tls, err)) < 0 ||
	    (result = mse_json_only(tls, (const char *const[]){ "mode", "names", NULL }, what, err)) < 0 ||
	    (result = mse_json_string(tls, "mode", what, &mode, err)) < 0 || (result = mse_json_array(tls, "names", what, &names, err)) < 0)
		return result;
	if (strcmp(mode, tls_modes[MSE_TLS_ZERO_TRUST]) != 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "%s: mode '%.40s' is not there yet in this release, only 'zero-trust'", what, mode);
	manifest->tls_mode = MSE_TLS_ZERO_TRUST;
	if (json_array_size(names) == 0 || json_array_size(names) > MSE_MANIFEST_MAX_NAMES)
		return mse_fail(err, MSE_ERR_LIMIT, "%s has %zu names, allowed are 1 to %d", what, json_array_size(names), MSE_MANIFEST_MAX_NAMES);
	json_array_foreach (names, i, name) {
		if (!json_is_string(name) || !dns_name_is_valid(json_string_value(name)))
			return mse_fail(err, MSE_ERR_INPUT, "%s: name %zu is not a lower-case DNS name", what, i);
		if ((result = mse_strdup(json_string_value(name), &manifest->tls_names[manifest->tls_name_count++], err)) < 0)
			return result;
	}
	return 0;
}

static int read_limits(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char what[] = WHAT "'s 'limits'";
	static const char *const members[] = { "cpu_millis", "expires_at", "memory", "storage", "threads", NULL };
	json_t *limits;
	uint64_t expires_at = 0;
	int result;

	if ((result = mse_json_object(root, "limits", WHAT, &limits, err)) < 0 || (result = mse_json_only(limits, members, what, err)) < 0 ||
	    (result = mse_json_u64(limits, "memory", what, 1, MAX_SIZE_LIMIT, &manifest->memory, err)) < 0 ||
	    (result = mse_json_u64(limits, "cpu_millis", what, 1, 1000000, &manifest->cpu_millis, err)) < 0 ||
	    (result = mse_json_u64(limits, "storage", what, 1, MAX_SIZE_LIMIT, &manifest->storage, err)) < 0 ||
	    (result = mse_json_u64(limits, "threads", what, 1, 1024, &manifest->threads, err)) < 0 ||
	    (result = mse_json_u64(limits, "expires_at", what, 1, MSE_TIME_MAX, &expires_at, err)) < 0)
		return result;
	manifest->expires_at = (int64_t)expires_at;
	return 0;
}

static int read_fixed_members(const json_t *root, struct mse_error_info *err)
{
	json_t *wheels;
	uint64_t version;
	int result;

	if ((result = mse_json_u64(root, "version", WHAT, 0, UINT32_MAX, &version, err)) < 0)
		return result;
	if (version != MSE_MANIFEST_VERSION)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, WHAT " has version %llu, this release knows version %d", (unsigned long long)version,
			MSE_MANIFEST_VERSION);
	if ((result = mse_json_array(root, "wheels", WHAT, &wheels, err)) < 0)
		return result;
	if (json_array_size(wheels) != 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, WHAT " lists wheels: dependencies are not there yet in this release");
	return 0;
}

/* One form only, in one order: two manifests that allow the same are the same. */
static int read_egress_target(const char *text, struct mse_manifest *manifest, struct mse_error_info *err)
{
	size_t count = manifest->egress_target_count;
	char form[MSE_HOST_PORT_TEXT_SIZE];
	struct mse_host_port target;
	struct mse_error_info why;
	int result = text == NULL ? MSE_ERR_INPUT : mse_host_port_parse(text, &target, &why);

	if (text == NULL)
		return mse_fail(err, result, WHAT "'s 'egress': element %zu is not text", count);
	if (result < 0)
		return mse_fail(err, result, WHAT "'s 'egress': '%.100s': %s", text, why.message);
	mse_host_port_format(&target, form);
	if (strcmp(text, form) != 0)
		return mse_fail(err, MSE_ERR_INPUT, WHAT "'s 'egress': '%.100s' is not written as '%.100s'", text, form);
	if (count > 0 && strcmp(manifest->egress_targets[count - 1], text) >= 0)
		return mse_fail(err, MSE_ERR_INPUT, WHAT "'s 'egress': '%.100s' is there twice or out of order", text);
	return mse_strdup(text, &manifest->egress_targets[manifest->egress_target_count++], err);
}

static int read_egress(const json_t *root, struct mse_manifest *manifest, struct mse_error_info *err)
{
	const json_t *egress = json_object_get(root, "egress"), *item;
	const char *text = json_string_value(egress);
	size_t i;
	int result;

	if (text != NULL && strcmp(text, "any") == 0) {
		manifest->egress = MSE_EGRESS_ANY;
		return 0;
	}
	if (text != NULL && strcmp(text, "none") == 0) {
		manifest->egress = MSE_EGRESS_NONE;
		return 0;
	}
	if (!json_is_array(egress) || json_array_size(egress) == 0)
		return mse_fail(err, MSE_ERR_INPUT, WHAT "'s 'egress' is not \"any\", \"none\" or a list of targets \"host:port\"");
	if (json_array_size(egress) > MSE_EGRESS_MAX_TARGETS)
		return mse_fail(err, MSE_ERR_LIMIT, WHAT "'s 'egress' has %zu targets, the limit is %d", json_array_size(egress), MSE_EGRESS_MAX_TARGETS);
	manifest->egress = MSE_EGRESS_LIST;
	json_array_foreach ((json_t *)egress, i, item)
		if ((result = read_egress_target(json_string_value(item), manifest, err)) < 0)
			return result;
	return 0;
}

static int require_canonical(const json_t *root, const void *bytes, size_t size, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *canonical = mse_buffer_new(2 * MSE_MANIFEST_MAX_SIZE);
	int result;

	if (canonical == NULL)
		return mse_fail_nomem(err);
	result = mse_json_canonical(root, canonical, err);
	if (result < 0)
		return mse_context(err, WHAT);
	if (mse_buffer_size(canonical) != size || memcmp(mse_buffer_data(canonical), bytes, size) != 0)
		return mse_fail(err, MSE_ERR_INPUT, WHAT " is not in canonical form (RFC 8785)");
	return 0;
}

int mse_manifest_parse(const void *bytes, size_t size, struct mse_manifest **ret_manifest, struct mse_error_info *err)
{
	static const char *const members[] = { "app", "egress", "image", "instance_id", "limits", "owner", "runtime", "tls", "version", "wheels",
		NULL };
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new();
	mse_autojson *root = NULL;
	int result;

	if (manifest == NULL)
		return mse_fail_nomem(err);
	if (size > MSE_MANIFEST_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, WHAT " has %zu bytes, the limit is %zu", size, MSE_MANIFEST_MAX_SIZE);
	if ((result = mse_json_parse(bytes, size, WHAT, &root, err)) < 0 || (result = mse_json_only(root, members, WHAT, err)) < 0 ||
	    (result = require_canonical(root, bytes, size, err)) < 0 || (result = read_fixed_members(root, err)) < 0 ||
	    (result = mse_json_hex(root, "instance_id", WHAT, manifest->instance_id, MSE_INSTANCE_ID_SIZE, err)) < 0 ||
	    (result = read_runtime(root, manifest, err)) < 0 || (result = read_image(root, manifest, err)) < 0 ||
	    (result = read_app(root, manifest, err)) < 0 || (result = read_owner(root, manifest, err)) < 0 ||
	    (result = read_tls(root, manifest, err)) < 0 || (result = read_limits(root, manifest, err)) < 0 ||
	    (result = read_egress(root, manifest, err)) < 0)
		return result;
	*ret_manifest = mse_steal(manifest);
	return 0;
}

static int set_digest(json_t *object, const char *member, const uint8_t *digest, struct mse_error_info *err)
{
	char text[MSE_DIGEST_TEXT_SIZE];

	mse_digest_format(text, digest);
	return mse_json_set(object, member, json_string(text), err);
}

static int write_runtime(const struct mse_manifest *manifest, json_t *root, struct mse_error_info *err)
{
	mse_autojson *files = json_object();
	int result = 0;

	for (size_t i = 0; result == 0 && i < manifest->runtime_file_count; i++)
		result = set_digest(files, manifest->runtime_files[i].name, manifest->runtime_files[i].sha256, err);
	if (result < 0)
		return result;
	return mse_json_set(root, "runtime", json_pack("{s:O, s:I}", "files", files, "security_version",
		(json_int_t)manifest->runtime_security_version), err);
}

static int write_image(const struct mse_manifest *manifest, json_t *root, struct mse_error_info *err)
{
	mse_autojson *env = json_object();
	mse_autojson *image = json_pack("{s:s}", "name", manifest->image_name);
	int result = 0;

	for (size_t i = 0; result == 0 && i < manifest->image_env_count; i++)
		result = mse_json_set(env, manifest->image_env[i].name, json_string(manifest->image_env[i].value), err);
	if (result < 0 || (result = mse_json_set(image, "env", json_incref(env), err)) < 0 ||
	    (result = set_digest(image, "digest", manifest->image_digest, err)) < 0)
		return result;
	return mse_json_set(root, "image", json_incref(image), err);
}

static int write_app(const struct mse_manifest *manifest, json_t *root, struct mse_error_info *err)
{
	mse_autojson *app = json_pack("{s:s, s:s, s:s, s:n}", "name", manifest->app_name, "project", manifest->app_project,
		"healthcheck_endpoint", manifest->healthcheck_endpoint, "requirements_sha256");
	mse_autojson *owner = json_object();
	int result;

	if ((result = mse_json_set_hex(app, "bundle_sha256", manifest->bundle_sha256, MSE_SHA256_SIZE, err)) < 0 ||
	    (result = mse_json_set_hex(app, "code_commitment", manifest->code_commitment, MSE_SHA256_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(owner, "key", manifest->owner_key, MSE_SIGN_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set_base64(owner, "log_key", manifest->owner_log_key, MSE_BOX_KEY_SIZE, err)) < 0 ||
	    (result = mse_json_set(root, "app", json_incref(app), err)) < 0)
		return result;
	return mse_json_set(root, "owner", json_incref(owner), err);
}

static int write_egress(const struct mse_manifest *manifest, json_t *root, struct mse_error_info *err)
{
	mse_autojson *targets = json_array();

	if (manifest->egress != MSE_EGRESS_LIST)
		return mse_json_set(root, "egress", json_string(manifest->egress == MSE_EGRESS_NONE ? "none" : "any"), err);
	for (size_t i = 0; i < manifest->egress_target_count; i++)
		if (json_array_append_new(targets, json_string(manifest->egress_targets[i])) < 0)
			return mse_fail_nomem(err);
	return mse_json_set(root, "egress", json_incref(targets), err);
}

static int write_rest(const struct mse_manifest *manifest, json_t *root, struct mse_error_info *err)
{
	mse_autojson *names = json_array();
	int result;

	for (size_t i = 0; i < manifest->tls_name_count; i++)
		if (json_array_append_new(names, json_string(manifest->tls_names[i])) < 0)
			return mse_fail_nomem(err);
	if ((result = mse_json_set(root, "tls", json_pack("{s:s, s:O}", "mode", tls_modes[manifest->tls_mode], "names", names), err)) < 0 ||
	    (result = mse_json_set(root, "wheels", json_array(), err)) < 0 ||
	    (result = write_egress(manifest, root, err)) < 0 ||
	    (result = mse_json_set(root, "version", json_integer(MSE_MANIFEST_VERSION), err)) < 0)
		return result;
	return mse_json_set(root, "limits",
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "memory", (json_int_t)manifest->memory, "cpu_millis", (json_int_t)manifest->cpu_millis,
			"storage", (json_int_t)manifest->storage, "threads", (json_int_t)manifest->threads, "expires_at",
			(json_int_t)manifest->expires_at), err);
}

int mse_manifest_encode(const struct mse_manifest *manifest, struct mse_buffer **ret_bytes, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = mse_buffer_new(MSE_MANIFEST_MAX_SIZE);
	mse_cleanup(mse_manifest_freep) struct mse_manifest *again = NULL;
	mse_autojson *root = json_object();
	int result;

	if (bytes == NULL)
		return mse_fail_nomem(err);
	if (manifest->image_name == NULL || manifest->app_name == NULL || manifest->app_project == NULL || manifest->healthcheck_endpoint == NULL)
		return mse_fail(err, MSE_ERR_INPUT, WHAT " lacks a name or an endpoint");
	if ((result = write_runtime(manifest, root, err)) < 0 || (result = write_image(manifest, root, err)) < 0 ||
	    (result = write_app(manifest, root, err)) < 0 || (result = write_rest(manifest, root, err)) < 0 ||
	    (result = mse_json_set_hex(root, "instance_id", manifest->instance_id, MSE_INSTANCE_ID_SIZE, err)) < 0 ||
	    (result = mse_json_canonical(root, bytes, err)) < 0)
		return result;
	/* What we would refuse, we must not make. */
	result = mse_manifest_parse(mse_buffer_data(bytes), mse_buffer_size(bytes), &again, err);
	if (result == 0)
		*ret_bytes = mse_steal(bytes);
	return result;
}

int mse_measurement(const void *manifest_bytes, size_t size, uint8_t measurement[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	return mse_sha256(manifest_bytes, size, measurement, err);
}

int mse_manifest_sign(const struct mse_sign_key *owner, const uint8_t measurement[static MSE_SHA256_SIZE],
	uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	const struct mse_view fields[] = { mse_view_of(measurement, MSE_SHA256_SIZE) };

	return mse_sign_fields(owner, "mse-manifest-v1", fields, 1, signature, err);
}

int mse_manifest_verify_signature(const uint8_t owner_key[static MSE_SIGN_KEY_SIZE], const uint8_t measurement[static MSE_SHA256_SIZE],
	const uint8_t signature[static MSE_SIGNATURE_SIZE], struct mse_error_info *err)
{
	const struct mse_view fields[] = { mse_view_of(measurement, MSE_SHA256_SIZE) };

	return mse_verify_fields(owner_key, "mse-manifest-v1", fields, 1, signature, err);
}

int mse_address(const char *project, const char *name, const uint8_t owner_key[static MSE_SIGN_KEY_SIZE],
	char to[static MSE_ADDRESS_TEXT_SIZE], struct mse_error_info *err)
{
	const struct mse_view fields[] = { mse_view_of_text(project), mse_view_of_text(name), mse_view_of(owner_key, MSE_SIGN_KEY_SIZE) };
	uint8_t digest[MSE_SHA256_SIZE];
	int result = mse_fields_sha256("mse-address-v1", fields, 3, digest, err);

	if (result == 0)
		mse_hex_encode(to, digest, (MSE_ADDRESS_TEXT_SIZE - 1) / 2);
	return result;
}
