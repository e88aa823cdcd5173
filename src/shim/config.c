#include "shim/config.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "shim/restarts.h"

/* gocryptfs: each block of plaintext becomes nonce, ciphertext and tag; a header comes first. */
#define STORAGE_BLOCK_SIZE ((uint64_t)4096)
#define STORAGE_BLOCK_OVERHEAD ((uint64_t)32)
#define STORAGE_HEADER_SIZE ((uint64_t)18)

#define VERSION 1

static const char *const members[] = { "version", "instance_id", "image", "image_cache", "program", "lib_dir", "sim_dir", "uid", "gid", "port",
	"expires_at", "log_size", "restart_failures", "restart_seconds", "processes", "open_files", "insecure_unlimited", "network_deny", NULL };

struct mse_shim_config *mse_shim_config_new(void)
{
	struct mse_shim_config *config = calloc(1, sizeof *config);

	if (config == NULL)
		return NULL;
	config->log_size = MSE_SHIM_LOG_DEFAULT_SIZE;
	config->restart_failures = MSE_SHIM_RESTART_DEFAULT_FAILURES;
	config->restart_seconds = MSE_SHIM_RESTART_DEFAULT_SECONDS;
	config->processes = MSE_NODE_DEFAULT_PROCESSES;
	config->open_files = MSE_NODE_DEFAULT_OPEN_FILES;
	return config;
}

void mse_shim_config_free(struct mse_shim_config *config)
{
	if (config == NULL)
		return;
	free(config->image);
	free(config->image_cache);
	free(config->program);
	free(config->lib_dir);
	free(config->sim_dir);
	free(config);
}

static int read_path(const json_t *root, const char *member, const char *what, char **ret_path, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(root, member, what, &text, err);

	if (result < 0)
		return result;
	if (text[0] != '/')
		return mse_fail(err, MSE_ERR_INPUT, "%s: member '%s' is not an absolute path", what, member);
	return mse_strdup(text, ret_path, err);
}

static int read_u32(const json_t *root, const char *member, const char *what, uint32_t min, uint32_t max, uint32_t *ret_value, struct mse_error_info *err)
{
	uint64_t value = 0;
	int result = mse_json_u64(root, member, what, min, max, &value, err);

	*ret_value = (uint32_t)value;
	return result;
}

static int read_instance_id(const json_t *root, const char *what, struct mse_shim_config *config, struct mse_error_info *err)
{
	uint8_t id[MSE_INSTANCE_ID_SIZE];
	int result = mse_json_hex(root, "instance_id", what, id, sizeof id, err);

	if (result == 0)
		mse_hex_encode(config->instance_id, id, sizeof id);
	return result;
}

static int read_denied(const json_t *root, const char *what, struct mse_shim_config *config, struct mse_error_info *err)
{
	json_t *denied, *item;
	size_t i;
	int result = mse_json_array(root, "network_deny", what, &denied, err);

	if (result < 0)
		return result;
	if (json_array_size(denied) > MSE_SHIM_MAX_DENIED)
		return mse_fail(err, MSE_ERR_LIMIT, "%s: 'network_deny' has more than %zu elements", what, MSE_SHIM_MAX_DENIED);
	json_array_foreach (denied, i, item) {
		if (!json_is_string(item))
			return mse_fail(err, MSE_ERR_INPUT, "%s: element %zu of 'network_deny' is not text", what, i);
		if ((result = mse_prefix_parse(json_string_value(item), &config->denied[config->denied_count++], err)) < 0)
			return mse_context(err, "%s: 'network_deny'", what);
	}
	return 0;
}

static json_t *write_denied(const struct mse_shim_config *config)
{
	json_t *denied = json_array();

	for (size_t i = 0; denied != NULL && i < config->denied_count; i++) {
		char text[MSE_PREFIX_TEXT_SIZE];

		mse_prefix_format(&config->denied[i], text);
		if (json_array_append_new(denied, json_string(text)) < 0) {
			json_decref(denied);
			return NULL;
		}
	}
	return denied;
}

static int from_json(const json_t *root, const char *what, struct mse_shim_config *config, struct mse_error_info *err)
{
	/* -1, "nobody" of the system calls, is not an id. */
	const uint32_t max_id = UINT32_MAX - 1;
	uint64_t version, expires_at = 0;
	uint32_t port = 0;
	int result;

	if ((result = mse_json_only(root, members, what, err)) < 0 || (result = mse_json_u64(root, "version", what, VERSION, VERSION, &version, err)) < 0 ||
	    (result = read_instance_id(root, what, config, err)) < 0 || (result = read_path(root, "image", what, &config->image, err)) < 0 ||
	    (result = read_path(root, "image_cache", what, &config->image_cache, err)) < 0 ||
	    (result = read_path(root, "program", what, &config->program, err)) < 0 ||
	    (result = read_path(root, "lib_dir", what, &config->lib_dir, err)) < 0 ||
	    (result = read_path(root, "sim_dir", what, &config->sim_dir, err)) < 0 ||
	    (result = read_u32(root, "uid", what, 0, max_id, &config->uid, err)) < 0 || (result = read_u32(root, "gid", what, 0, max_id, &config->gid, err)) < 0 ||
	    (result = read_u32(root, "port", what, 1, UINT16_MAX, &port, err)) < 0 ||
	    (result = mse_json_u64(root, "expires_at", what, 0, MSE_TIME_MAX, &expires_at, err)) < 0 ||
	    (result = mse_json_u64(root, "log_size", what, MSE_SHIM_LOG_MIN_SIZE, MSE_SHIM_LOG_MAX_SIZE, &config->log_size, err)) < 0 ||
	    (result = read_u32(root, "restart_failures", what, 1, MSE_RESTARTS_MAX_FAILURES, &config->restart_failures, err)) < 0 ||
	    (result = read_u32(root, "restart_seconds", what, 1, 24 * 3600, &config->restart_seconds, err)) < 0 ||
	    (result = read_u32(root, "processes", what, 1, MSE_NODE_MAX_PROCESSES, &config->processes, err)) < 0 ||
	    (result = read_u32(root, "open_files", what, MSE_NODE_MIN_OPEN_FILES, MSE_NODE_MAX_OPEN_FILES, &config->open_files, err)) < 0 ||
	    (result = mse_json_bool(root, "insecure_unlimited", what, &config->insecure_unlimited, err)) < 0 ||
	    (result = read_denied(root, what, config, err)) < 0)
		return result;
	if ((config->uid == 0) != (config->gid == 0))
		return mse_fail(err, MSE_ERR_INPUT, "%s: 'uid' and 'gid' are given both, or both 0", what);
	config->port = (uint16_t)port;
	config->expires_at = (int64_t)expires_at;
	return 0;
}

static int check(const json_t *root, const char *what, struct mse_shim_config **ret_config, struct mse_error_info *err)
{
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *config = mse_shim_config_new();
	int result;

	if (config == NULL)
		return mse_fail_nomem(err);
	result = from_json(root, what, config, err);
	if (result < 0)
		return result;
	*ret_config = mse_steal(config);
	return 0;
}

int mse_shim_config_read(const char *path, struct mse_shim_config **ret_config, struct mse_error_info *err)
{
	mse_autojson *root = NULL;
	int result = mse_json_read(path, MSE_SHIM_CONFIG_MAX_SIZE, &root, err);

	if (result < 0)
		return result;
	return check(root, path, ret_config, err);
}

static json_t *text_or_null(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

int mse_shim_config_write(const char *path, const struct mse_shim_config *config, struct mse_error_info *err)
{
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *as_read = NULL;
	mse_autojson *root = json_object();
	const struct {
		const char *name;
		json_t *value;
	} values[] = {
		{ "version", json_integer(VERSION) },
		{ "instance_id", json_string(config->instance_id) },
		{ "image", text_or_null(config->image) },
		{ "image_cache", text_or_null(config->image_cache) },
		{ "program", text_or_null(config->program) },
		{ "lib_dir", text_or_null(config->lib_dir) },
		{ "sim_dir", text_or_null(config->sim_dir) },
		{ "uid", json_integer(config->uid) },
		{ "gid", json_integer(config->gid) },
		{ "port", json_integer(config->port) },
		{ "expires_at", json_integer(config->expires_at) },
		{ "log_size", json_integer((json_int_t)config->log_size) },
		{ "restart_failures", json_integer(config->restart_failures) },
		{ "restart_seconds", json_integer(config->restart_seconds) },
		{ "processes", json_integer(config->processes) },
		{ "open_files", json_integer(config->open_files) },
		{ "insecure_unlimited", json_boolean(config->insecure_unlimited) },
		{ "network_deny", write_denied(config) },
	};
	int result = 0;

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		int set = mse_json_set(root, values[i].name, values[i].value, result == 0 ? err : NULL);

		result = result == 0 ? set : result;
	}
	if (result < 0 || (result = check(root, path, &as_read, err)) < 0)
		return result;
	return mse_json_write(path, root, 0600, err);
}

uint64_t mse_shim_storage_size(uint64_t storage)
{
	return storage < MSE_SHIM_STORAGE_MIN_SIZE ? MSE_SHIM_STORAGE_MIN_SIZE : storage - storage % STORAGE_BLOCK_SIZE;
}

uint64_t mse_shim_storage_disk_size(uint64_t storage)
{
	return STORAGE_HEADER_SIZE + mse_shim_storage_size(storage) / STORAGE_BLOCK_SIZE * (STORAGE_BLOCK_SIZE + STORAGE_BLOCK_OVERHEAD);
}
