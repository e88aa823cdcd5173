#include "cli/conf.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

/* owner.key is JSON of exactly this form, so that it can be taken apart without leaving the secret memory. */
#define KEY_FILE_BEGIN "{\"version\": 1, \"sign_seed\": \""
#define KEY_FILE_MIDDLE "\", \"log_secret\": \""
#define KEY_FILE_END "\"}\n"
#define SECRET_TEXT_SIZE 44u /* base64 of 32 bytes */
#define SEED_AT (sizeof KEY_FILE_BEGIN - 1)
#define MIDDLE_AT (SEED_AT + SECRET_TEXT_SIZE)
#define LOG_AT (MIDDLE_AT + sizeof KEY_FILE_MIDDLE - 1)
#define END_AT (LOG_AT + SECRET_TEXT_SIZE)
#define KEY_FILE_SIZE (END_AT + sizeof KEY_FILE_END - 1)
#define NODE_RECORD_MAX_SIZE ((size_t)64 * 1024)

void mse_owner_clear(struct mse_owner *owner)
{
	mse_sign_key_clear(&owner->sign);
	mse_box_key_clear(&owner->log);
}

static int find_folder(char **ret_path, struct mse_error_info *err)
{
	const char *path = getenv("MSE_CONF_PATH"), *home = getenv("HOME");

	if (path != NULL && path[0] != 0)
		return mse_strdup(path, ret_path, err);
	if (home == NULL || home[0] != '/')
		return mse_fail(err, MSE_ERR_NOT_FOUND,
			"there is no place for the configuration: HOME is not set; set MSE_CONF_PATH to a folder of yours");
	return mse_path_join(home, ".config/mse", ret_path, err);
}

int mse_conf_open(struct mse_cli *cli, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	struct stat status;
	int result;

	if (cli->conf_path != NULL)
		return 0;
	if ((result = find_folder(&path, err)) < 0 || (result = mse_dir_make(path, 0700, err)) < 0)
		return result;
	if (stat(path, &status) < 0)
		return mse_fail_errno(err, "cannot examine the configuration folder '%s'", path);
	/* Who owns it can put other keys and pins there. */
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return mse_fail(err, MSE_ERR_DENIED, "the configuration folder '%s', where keys and pins are kept, belongs to another user: "
			"name a folder of your own in MSE_CONF_PATH", path);
	if ((status.st_mode & 022) != 0)
		return mse_fail(err, MSE_ERR_DENIED, "others can write to the configuration folder '%s', where keys and pins are kept: chmod 700 '%s'",
			path, path);
	cli->conf_path = mse_steal(path);
	return 0;
}

static int check_private(const char *path, struct mse_error_info *err)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return mse_fail_errno(err, "cannot examine '%s'", path);
	if ((status.st_mode & 077) != 0)
		return mse_fail(err, MSE_ERR_DENIED, "others can read the owner's key '%s': if nobody did, chmod 600 '%s'", path, path);
	return 0;
}

static bool has_form(const char *text)
{
	return memcmp(text, KEY_FILE_BEGIN, sizeof KEY_FILE_BEGIN - 1) == 0 && memcmp(text + MIDDLE_AT, KEY_FILE_MIDDLE, sizeof KEY_FILE_MIDDLE - 1) == 0 &&
	       memcmp(text + END_AT, KEY_FILE_END, sizeof KEY_FILE_END - 1) == 0;
}

static int read_key_file(const char *path, struct mse_owner *ret_owner, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *text = NULL, *seed = NULL, *log = NULL;
	const char *bytes;
	int result;

	if ((result = check_private(path, err)) < 0 || (result = mse_file_read_secret(path, KEY_FILE_SIZE, &text, err)) < 0)
		return result;
	bytes = (const char *)mse_secret_view(text);
	if (mse_secret_size(text) != KEY_FILE_SIZE || !has_form(bytes))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not an owner's key as this release writes it; put its backup back", path);
	if ((result = mse_secret_from_base64(bytes + SEED_AT, SECRET_TEXT_SIZE, 32, &seed, err)) < 0 ||
	    (result = mse_secret_from_base64(bytes + LOG_AT, SECRET_TEXT_SIZE, 32, &log, err)) < 0)
		return mse_context(err, "'%s' is damaged, put its backup back", path);
	if ((result = mse_sign_key_from_seed(mse_secret_view(seed), &ret_owner->sign, err)) < 0)
		return result;
	if ((result = mse_box_key_from_secret(mse_secret_view(log), &ret_owner->log, err)) < 0)
		mse_owner_clear(ret_owner);
	return result;
}

static int put_secret(uint8_t *to, const uint8_t *key, struct mse_error_info *err)
{
	char *text;
	int result = mse_base64_encode(key, 32, &text, err);

	if (result < 0)
		return result;
	memcpy(to, text, SECRET_TEXT_SIZE);
	mse_wipe(text, SECRET_TEXT_SIZE);
	free(text);
	return 0;
}

static int write_key_file(const char *path, const struct mse_owner *owner, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *text = NULL;
	uint8_t *bytes;
	int result = mse_secret_new(KEY_FILE_SIZE, &text, err);

	if (result < 0)
		return result;
	bytes = mse_secret_data(text);
	memcpy(bytes, KEY_FILE_BEGIN, sizeof KEY_FILE_BEGIN - 1);
	memcpy(bytes + MIDDLE_AT, KEY_FILE_MIDDLE, sizeof KEY_FILE_MIDDLE - 1);
	memcpy(bytes + END_AT, KEY_FILE_END, sizeof KEY_FILE_END - 1);
	if ((result = put_secret(bytes + SEED_AT, mse_sign_key_seed(&owner->sign), err)) < 0 ||
	    (result = put_secret(bytes + LOG_AT, mse_secret_view(owner->log.secret), err)) < 0)
		return result;
	return mse_file_write(path, bytes, KEY_FILE_SIZE, 0600, err);
}

static int make_owner(struct mse_cli *cli, const char *path, struct mse_owner *ret_owner, struct mse_error_info *err)
{
	mse_autofree char *lock_path = NULL;
	char fingerprint[MSE_DIGEST_TEXT_SIZE];
	mse_autoclose int lock = -1;
	int result = mse_path_join(cli->conf_path, "owner.lock", &lock_path, err);

	if (result < 0)
		return result;
	/* Two first deployments at the same time must not each make a key of their own. */
	while ((result = mse_file_lock(lock_path, &lock, err)) == MSE_ERR_EXISTS)
		if ((result = mse_cli_sleep(20, err)) < 0)
			return result;
	if (result < 0)
		return result;
	if (mse_path_exists(path))
		return read_key_file(path, ret_owner, err);
	if ((result = mse_sign_key_generate(&ret_owner->sign, err)) < 0)
		return result;
	if ((result = mse_box_key_generate(&ret_owner->log, err)) < 0 || (result = write_key_file(path, ret_owner, err)) < 0 ||
	    (result = mse_key_fingerprint(ret_owner->sign.public_key, fingerprint, err)) < 0) {
		mse_owner_clear(ret_owner);
		return result;
	}
	mse_cli_say(cli, "made your owner's key (first use): %s\n  fingerprint %s\n  keep a backup: without it nobody can stop or update your apps, or read their logs",
		path, fingerprint);
	return 0;
}

static int load(struct mse_cli *cli, bool make, struct mse_owner *ret_owner, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result;

	*ret_owner = (struct mse_owner){ 0 };
	if ((result = mse_conf_open(cli, err)) < 0 || (result = mse_path_join(cli->conf_path, "owner.key", &path, err)) < 0)
		return result;
	if (mse_path_exists(path))
		return read_key_file(path, ret_owner, err);
	if (!make)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no owner's key at '%s': it is made by the first 'mse deploy'; "
			"is MSE_CONF_PATH the folder that you deployed from?", path);
	return make_owner(cli, path, ret_owner, err);
}

int mse_owner_load(struct mse_cli *cli, struct mse_owner *ret_owner, struct mse_error_info *err)
{
	return load(cli, true, ret_owner, err);
}

int mse_owner_load_existing(struct mse_cli *cli, struct mse_owner *ret_owner, struct mse_error_info *err)
{
	return load(cli, false, ret_owner, err);
}

int mse_key_fingerprint(const uint8_t key[static MSE_SIGN_KEY_SIZE], char to[static MSE_DIGEST_TEXT_SIZE], struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	int result = mse_sha256(key, MSE_SIGN_KEY_SIZE, digest, err);

	if (result == 0)
		mse_digest_format(to, digest);
	return result;
}

static bool key_from_text(const char *text, uint8_t *key)
{
	struct mse_error_info ignored;

	return mse_hex_decode(key, MSE_SIGN_KEY_SIZE, text, "the key", &ignored) == 0 ||
	       mse_base64_decode_fixed(text, key, MSE_SIGN_KEY_SIZE, "the key", &ignored) == 0;
}

int mse_owner_key_parse(const char *text, uint8_t key[static MSE_SIGN_KEY_SIZE], struct mse_error_info *err)
{
	mse_autofree uint8_t *content = NULL;
	size_t size;
	int result;

	if (key_from_text(text, key))
		return 0;
	result = mse_file_read(text, 4096, &content, &size, err);
	if (result < 0)
		return mse_context(err, "the owner's key '%.80s' is neither 64 hex digits nor base64 of 32 bytes, nor a file", text);
	while (size > 0 && strchr(" \t\r\n", content[size - 1]) != NULL)
		content[--size] = 0;
	if (!key_from_text((const char *)content, key))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' does not hold an owner's public key, in hex or base64", text);
	return 0;
}

static int node_record_path(struct mse_cli *cli, const char *address, char **ret_path, struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	char name[2 * MSE_SHA256_SIZE + 1];
	int result;

	if ((result = mse_conf_open(cli, err)) < 0 || (result = mse_sha256(address, strlen(address), digest, err)) < 0)
		return result;
	mse_hex_encode(name, digest, sizeof digest);
	return mse_format(ret_path, err, "%s/nodes/%s.json", cli->conf_path, name);
}

static int read_pin(const json_t *json, const char *member, const char *what, uint8_t *to, size_t size, bool *ret_there, struct mse_error_info *err)
{
	const json_t *value = json_object_get(json, member);

	*ret_there = false;
	if (value == NULL || json_is_null(value))
		return 0;
	*ret_there = true;
	return mse_json_hex(json, member, what, to, size, err);
}

int mse_node_record_load(struct mse_cli *cli, const char *address, struct mse_node_record *ret_record, char **ret_path, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autojson *json = NULL;
	const char *found;
	int result;

	*ret_record = (struct mse_node_record){ 0 };
	if ((result = node_record_path(cli, address, &path, err)) < 0)
		return result;
	if (mse_path_exists(path)) {
		if ((result = mse_json_read(path, NODE_RECORD_MAX_SIZE, &json, err)) < 0 ||
		    (result = mse_json_string(json, "address", path, &found, err)) < 0 ||
		    (result = read_pin(json, "simulation_root", path, ret_record->simulation_root, MSE_SHA256_SIZE, &ret_record->has_root, err)) < 0 ||
		    (result = read_pin(json, "platform", path, ret_record->platform, MSE_PLATFORM_SIZE, &ret_record->has_platform, err)) < 0)
			return result;
		if (strcmp(found, address) != 0)
			return mse_fail(err, MSE_ERR_INPUT, "'%s' speaks of the node '%.100s' where '%s' is expected", path, found, address);
	}
	*ret_path = mse_steal(path);
	return 0;
}

int mse_node_record_save(struct mse_cli *cli, const char *address, const struct mse_node_record *record, struct mse_error_info *err)
{
	mse_autofree char *path = NULL, *folder = NULL;
	mse_autojson *json = json_object();
	int result;

	if ((result = node_record_path(cli, address, &path, err)) < 0 || (result = mse_path_join(cli->conf_path, "nodes", &folder, err)) < 0 ||
	    (result = mse_dir_make(folder, 0700, err)) < 0 || (result = mse_json_set(json, "address", json_string(address), err)) < 0)
		return result;
	if (record->has_root &&
	    (result = mse_json_set_hex(json, "simulation_root", record->simulation_root, MSE_SHA256_SIZE, err)) < 0)
		return result;
	if (record->has_platform && (result = mse_json_set_hex(json, "platform", record->platform, MSE_PLATFORM_SIZE, err)) < 0)
		return result;
	return mse_json_write(path, json, 0600, err);
}
