#include "config/app_config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "config/toml.h"

#define MAX_STATUS_SIZE ((size_t)64)
#define MAX_PATH_TEXT_SIZE MSE_APP_CONFIG_MAX_TEXT_SIZE
#define MAX_DOMAIN_SIZE ((size_t)253)
#define MAX_IMAGE_SIZE ((size_t)512)

static void free_list(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void mse_app_config_free(struct mse_app_config *config)
{
	if (config == NULL)
		return;
	free(config->path);
	free(config->file_name);
	free(config->folder);
	free(config->name);
	free(config->project);
	free(config->resource);
	free(config->code.location);
	free(config->code.python_application);
	free(config->code.module);
	free(config->code.attribute);
	free(config->code.module_path);
	free(config->code.healthcheck_endpoint);
	free(config->code.docker);
	free(config->code.secrets);
	free(config->ssl.domain_name);
	free(config->ssl.certificate);
	free(config->ssl.private_key);
	free_list(config->attestation.accepted_statuses, config->attestation.accepted_status_count);
	free_list(config->attestation.platforms, config->attestation.platform_count);
	free_list(config->network.targets, config->network.target_count);
	free(config);
}

int mse_app_config_fail(const struct mse_app_config *config, size_t line, struct mse_error_info *err, int code, const char *format, ...)
{
	char text[MSE_ERROR_MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (line == 0)
		return mse_fail(err, code, "%s: %s", config->file_name, text);
	return mse_fail(err, code, "%s:%zu: %s", config->file_name, line, text);
}

static size_t line_of(const struct mse_toml_value *table, const char *key)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);

	return value == NULL ? 0 : value->line;
}

static int set_names(struct mse_app_config *config, const char *path, struct mse_error_info *err)
{
	const char *slash = strrchr(path, '/');
	int result = mse_strdup(path, &config->path, err);

	if (result == 0)
		result = mse_strdup(slash == NULL ? path : slash + 1, &config->file_name, err);
	if (result < 0)
		return result;
	if (slash == NULL)
		return mse_strdup(".", &config->folder, err);
	return slash == path ? mse_strdup("/", &config->folder, err) : mse_format(&config->folder, err, "%.*s", (int)(slash - path), path);
}

/* A string, copied; *ret_text stays NULL when an optional one is missing. */
static int take_text(const struct mse_app_config *config, const struct mse_toml_value *table, const char *prefix, const char *key, bool required,
	size_t max_size, char **ret_text, size_t *ret_line, struct mse_error_info *err)
{
	const char *text;
	int result = mse_toml_string(table, key, required, max_size, prefix, config->file_name, &text, err);

	if (result < 0 || text == NULL)
		return result;
	if (ret_line != NULL)
		*ret_line = line_of(table, key);
	return mse_strdup(text, ret_text, err);
}

/* A path: relative ones count from the folder of mse.toml. */
static int take_path(const struct mse_app_config *config, const struct mse_toml_value *table, const char *prefix, const char *key, bool required,
	char **ret_path, size_t *ret_line, struct mse_error_info *err)
{
	mse_autofree char *text = NULL;
	int result = take_text(config, table, prefix, key, required, MAX_PATH_TEXT_SIZE, &text, ret_line, err);

	if (result < 0 || text == NULL)
		return result;
	return text[0] == '/' ? mse_strdup(text, ret_path, err) : mse_path_join(config->folder, text, ret_path, err);
}

static int take_name(const struct mse_app_config *config, const struct mse_toml_value *root, const char *key, const char *fallback, char **ret_name,
	struct mse_error_info *err)
{
	int result = take_text(config, root, "", key, fallback == NULL, MSE_APP_CONFIG_MAX_TEXT_SIZE, ret_name, NULL, err);

	if (result == 0 && *ret_name == NULL)
		return mse_strdup(fallback, ret_name, err);
	if (result == 0 && !mse_name_is_valid(*ret_name)) {
		return mse_app_config_fail(config, line_of(root, key), err, MSE_ERR_INPUT,
			"'%s' must be 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit", key);
	}
	return result;
}

/* TOML's own date-time, or the same as a string. */
static int take_expiry(struct mse_app_config *config, const struct mse_toml_value *root, struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(root, "expiration_date");
	mse_cleanup(mse_toml_freep) struct mse_toml_value *inner = NULL;
	mse_autofree char *text = NULL;

	if (value == NULL)
		return 0;
	config->expires_line = value->line;
	if (value->type == MSE_TOML_STRING && strlen(value->text) < 64 && strpbrk(value->text, "\r\n#") == NULL) {
		int result = mse_format(&text, err, "time = %s", value->text);

		if (result < 0)
			return result;
		if (mse_toml_parse(text, strlen(text), config->file_name, &inner, err) < 0)
			inner = NULL;
		else
			value = &inner->items[0];
	}
	if (value->type != MSE_TOML_TIME) {
		return mse_app_config_fail(config, config->expires_line, err, MSE_ERR_INPUT,
			"'expiration_date' must be a date and time with a time zone, such as 2026-01-31T12:00:00Z");
	}
	if (value->seconds <= 0)
		return mse_app_config_fail(config, config->expires_line, err, MSE_ERR_INPUT, "'expiration_date' is before 1970");
	config->expires_at = value->seconds;
	return 0;
}

/* One or more Python identifiers with dots between them. Letters beyond ASCII are Python's to judge. */
static bool is_dotted_name(const char *text, size_t size)
{
	bool at_start = true;

	for (size_t i = 0; i < size; i++) {
		bool letter = isalpha((unsigned char)text[i]) || text[i] == '_' || (uint8_t)text[i] >= 0x80;

		if (text[i] == '.' && !at_start)
			at_start = true;
		else if (letter || (!at_start && isdigit((unsigned char)text[i])))
			at_start = false;
		else
			return false;
	}
	return !at_start;
}

static int take_application(struct mse_app_config *config, const struct mse_toml_value *code, struct mse_error_info *err)
{
	int result = take_text(config, code, "code.", "python_application", true, MSE_APP_CONFIG_MAX_TEXT_SIZE, &config->code.python_application,
		&config->code.python_application_line, err);
	const char *text = config->code.python_application;
	const char *colon;
	size_t attribute_size;

	if (result < 0)
		return result;
	colon = strchr(text, ':');
	attribute_size = colon == NULL ? 0 : strlen(colon + 1);
	/* A factory: called once, without arguments. */
	if (attribute_size > 2 && strcmp(colon + 1 + attribute_size - 2, "()") == 0)
		attribute_size -= 2;
	if (colon == NULL || !is_dotted_name(text, (size_t)(colon - text)) || !is_dotted_name(colon + 1, attribute_size)) {
		return mse_app_config_fail(config, config->code.python_application_line, err, MSE_ERR_INPUT,
			"'code.python_application' must be \"module:attribute\", such as \"app:app\" or \"package.module:make_app()\", not \"%s\"", text);
	}
	result = mse_format(&config->code.module, err, "%.*s", (int)(colon - text), text);
	return result < 0 ? result : mse_strdup(colon + 1, &config->code.attribute, err);
}

/* The path of a URL: printable ASCII without blanks. */
static bool is_endpoint(const char *text)
{
	for (const char *at = text; *at != 0; at++) {
		if (*at <= 0x20 || *at >= 0x7f || strchr("\"<>\\^`{|}#", *at) != NULL)
			return false;
	}
	/* The enclave answers these paths itself, before the application is there. */
	return text[0] == '/' && strncmp(text, "/.well-known/mse/", strlen("/.well-known/mse/")) != 0;
}

/* Characters of image names, tags and digests; a leading '-' could be taken for an option of a program. */
static bool is_image(const char *text)
{
	for (const char *at = text; *at != 0; at++) {
		if ((uint8_t)*at >= 0x80 || (!isalnum((unsigned char)*at) && strchr("._-/:@", *at) == NULL))
			return false;
	}
	return isalnum((unsigned char)text[0]);
}

static int take_code(struct mse_app_config *config, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "location", "python_application", "healthcheck_endpoint", "docker", "secrets", NULL };
	const struct mse_toml_value *code;
	int result = mse_toml_table(root, "code", true, "", config->file_name, &code, err);

	if (result == 0)
		result = mse_toml_only(code, keys, "code.", config->file_name, err);
	if (result == 0)
		result = take_path(config, code, "code.", "location", true, &config->code.location, &config->code.location_line, err);
	if (result == 0)
		result = take_application(config, code, err);
	if (result == 0)
		result = take_text(config, code, "code.", "healthcheck_endpoint", true, 256, &config->code.healthcheck_endpoint, NULL, err);
	if (result == 0 && !is_endpoint(config->code.healthcheck_endpoint))
		return mse_app_config_fail(config, line_of(code, "healthcheck_endpoint"), err, MSE_ERR_INPUT,
			"'code.healthcheck_endpoint' must be a path of the application, such as \"/health\"");
	if (result == 0)
		result = take_text(config, code, "code.", "docker", true, MAX_IMAGE_SIZE, &config->code.docker, &config->code.docker_line, err);
	if (result == 0 && !is_image(config->code.docker))
		return mse_app_config_fail(config, config->code.docker_line, err, MSE_ERR_INPUT,
			"'code.docker' must be the name of an image, such as \"mse-flask\" or \"ghcr.io/cosmian/mse-flask:20230124182826\"");
	if (result == 0)
		result = take_path(config, code, "code.", "secrets", false, &config->code.secrets, &config->code.secrets_line, err);
	return result;
}

static int take_ssl(struct mse_app_config *config, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "domain_name", "certificate", "private_key", NULL };
	const struct mse_toml_value *ssl;
	int result = mse_toml_table(root, "ssl", false, "", config->file_name, &ssl, err);

	if (result < 0 || ssl == NULL)
		return result;
	config->has_ssl = true;
	config->ssl.line = ssl->line;
	result = mse_toml_only(ssl, keys, "ssl.", config->file_name, err);
	if (result == 0)
		result = take_text(config, ssl, "ssl.", "domain_name", true, MAX_DOMAIN_SIZE, &config->ssl.domain_name, &config->ssl.domain_name_line, err);
	for (const char *at = config->ssl.domain_name; result == 0 && *at != 0; at++) {
		if ((uint8_t)*at >= 0x80 || (!isalnum((unsigned char)*at) && *at != '.' && *at != '-'))
			return mse_app_config_fail(config, config->ssl.domain_name_line, err, MSE_ERR_INPUT,
				"'ssl.domain_name' must be one host name, such as \"example.com\"");
	}
	if (result == 0)
		result = take_path(config, ssl, "ssl.", "certificate", true, &config->ssl.certificate, &config->ssl.certificate_line, err);
	if (result == 0)
		result = take_path(config, ssl, "ssl.", "private_key", true, &config->ssl.private_key, &config->ssl.private_key_line, err);
	return result;
}

/* An array of strings, copied. */
static int take_list(const struct mse_app_config *config, const struct mse_toml_value *table, const char *key, size_t max_size, char ***ret_list,
	size_t *ret_count, size_t *ret_line, struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);

	if (value == NULL)
		return 0;
	*ret_line = value->line;
	if (value->type != MSE_TOML_ARRAY)
		return mse_app_config_fail(config, value->line, err, MSE_ERR_INPUT, "'attestation.%s' must be an array of strings, not %s", key,
			mse_toml_type_name(value->type));
	if (value->count > MSE_APP_CONFIG_MAX_LIST)
		return mse_app_config_fail(config, value->line, err, MSE_ERR_LIMIT, "'attestation.%s' has more than %zu elements", key, MSE_APP_CONFIG_MAX_LIST);
	*ret_list = calloc(value->count + 1, sizeof **ret_list);
	if (*ret_list == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < value->count; i++) {
		const struct mse_toml_value *item = &value->items[i];
		int result;

		if (item->type != MSE_TOML_STRING || item->text[0] == 0 || strlen(item->text) > max_size)
			return mse_app_config_fail(config, item->line, err, MSE_ERR_INPUT, "'attestation.%s' must hold strings of 1 to %zu bytes", key, max_size);
		result = mse_strdup(item->text, &(*ret_list)[(*ret_count)++], err);
		if (result < 0)
			return result;
	}
	return 0;
}

static int check_platform(const struct mse_app_config *config, char *platform, struct mse_error_info *err)
{
	size_t size = strlen(platform);

	for (char *at = platform; *at != 0; at++) {
		if ((uint8_t)*at >= 0x80 || !isxdigit((unsigned char)*at))
			size = 0;
		*at = (char)tolower((unsigned char)*at);
	}
	if (size != 32 && size != 128)
		return mse_app_config_fail(config, config->attestation.platforms_line, err, MSE_ERR_INPUT,
			"'attestation.platforms' must hold platform ids in hex: 32 digits (PIID, PPID) or 128 (chip id)");
	return 0;
}

static int take_attestation(struct mse_app_config *config, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "accepted_statuses", "platforms", NULL };
	const struct mse_toml_value *table;
	int result = mse_toml_table(root, "attestation", false, "", config->file_name, &table, err);

	if (result < 0 || table == NULL)
		return result;
	result = mse_toml_only(table, keys, "attestation.", config->file_name, err);
	if (result == 0)
		result = take_list(config, table, "accepted_statuses", MAX_STATUS_SIZE, &config->attestation.accepted_statuses,
			&config->attestation.accepted_status_count, &config->attestation.accepted_statuses_line, err);
	for (size_t i = 0; result == 0 && i < config->attestation.accepted_status_count; i++) {
		const char *status = config->attestation.accepted_statuses[i];

		if (strcasecmp(status, "Revoked") == 0)
			return mse_app_config_fail(config, config->attestation.accepted_statuses_line, err, MSE_ERR_DENIED,
				"a revoked platform is never accepted; remove 'Revoked' from 'attestation.accepted_statuses'");
		for (const char *at = status; *at != 0; at++) {
			if ((uint8_t)*at >= 0x80 || !isalpha((unsigned char)*at))
				return mse_app_config_fail(config, config->attestation.accepted_statuses_line, err, MSE_ERR_INPUT,
					"'attestation.accepted_statuses' must hold names of statuses, such as \"OutOfDate\"");
		}
	}
	if (result == 0)
		result = take_list(config, table, "platforms", 128, &config->attestation.platforms, &config->attestation.platform_count,
			&config->attestation.platforms_line, err);
	for (size_t i = 0; result == 0 && i < config->attestation.platform_count; i++)
		result = check_platform(config, config->attestation.platforms[i], err);
	return result;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int take_target(struct mse_app_config *config, const struct mse_toml_value *item, struct mse_error_info *err)
{
	char text[MSE_HOST_PORT_TEXT_SIZE];
	struct mse_host_port target;
	struct mse_error_info why;
	int result;

	if (item->type != MSE_TOML_STRING)
		return mse_app_config_fail(config, item->line, err, MSE_ERR_INPUT, "'network.egress' must hold strings such as \"api.example.com:443\", not %s",
			mse_toml_type_name(item->type));
	result = mse_host_port_parse(item->text, &target, &why);
	if (result < 0)
		return mse_app_config_fail(config, item->line, err, result,
			"'network.egress': '%.100s': %s; name one host and one port, such as \"api.example.com:443\"", item->text, why.message);
	mse_host_port_format(&target, text);
	for (size_t i = 0; i < config->network.target_count; i++)
		if (strcmp(config->network.targets[i], text) == 0)
			return mse_app_config_fail(config, item->line, err, MSE_ERR_INPUT, "'network.egress' names '%s' twice; remove one", text);
	return mse_strdup(text, &config->network.targets[config->network.target_count++], err);
}

static int take_network(struct mse_app_config *config, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "egress", NULL };
	const struct mse_toml_value *table, *value;
	int result = mse_toml_table(root, "network", false, "", config->file_name, &table, err);

	if (result < 0 || table == NULL)
		return result;
	if ((result = mse_toml_only(table, keys, "network.", config->file_name, err)) < 0)
		return result;
	value = mse_toml_get(table, "egress");
	if (value == NULL || (value->type == MSE_TOML_STRING && strcmp(value->text, "any") == 0))
		return 0;
	if (value->type == MSE_TOML_STRING && strcmp(value->text, "none") == 0) {
		config->network.egress = MSE_EGRESS_NONE;
		return 0;
	}
	if (value->type != MSE_TOML_ARRAY || value->count == 0)
		return mse_app_config_fail(config, value->line, err, MSE_ERR_INPUT,
			"'network.egress' must be \"any\", \"none\", or the hosts that the app may reach, such as [\"api.example.com:443\"]");
	if (value->count > MSE_EGRESS_MAX_TARGETS)
		return mse_app_config_fail(config, value->line, err, MSE_ERR_LIMIT, "'network.egress' has more than %d elements", MSE_EGRESS_MAX_TARGETS);
	config->network.egress = MSE_EGRESS_LIST;
	config->network.targets = calloc(value->count, sizeof *config->network.targets);
	if (config->network.targets == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < value->count; i++)
		if ((result = take_target(config, &value->items[i], err)) < 0)
			return result;
	qsort(config->network.targets, config->network.target_count, sizeof *config->network.targets, compare_texts);
	return 0;
}

int mse_app_config_parse(const char *text, size_t size, const char *path, struct mse_app_config **ret_config, struct mse_error_info *err)
{
	static const char *const keys[] = { "name", "project", "resource", "expiration_date", "code", "ssl", "attestation", "network", NULL };
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = calloc(1, sizeof *config);
	mse_cleanup(mse_toml_freep) struct mse_toml_value *root = NULL;
	int result;

	if (config == NULL)
		return mse_fail_nomem(err);
	result = set_names(config, path, err);
	if (result == 0)
		result = mse_toml_parse(text, size, config->file_name, &root, err);
	if (result == 0)
		result = mse_toml_only(root, keys, "", config->file_name, err);
	if (result == 0)
		result = take_name(config, root, "name", NULL, &config->name, err);
	if (result == 0)
		result = take_name(config, root, "project", "default", &config->project, err);
	if (result == 0)
		result = take_name(config, root, "resource", "free", &config->resource, err);
	if (result == 0)
		result = take_expiry(config, root, err);
	if (result == 0)
		result = take_code(config, root, err);
	if (result == 0)
		result = take_ssl(config, root, err);
	if (result == 0)
		result = take_attestation(config, root, err);
	if (result == 0)
		result = take_network(config, root, err);
	if (result == 0)
		*ret_config = mse_steal(config);
	return result;
}

int mse_app_config_read(const char *path, struct mse_app_config **ret_config, struct mse_error_info *err)
{
	mse_autofree uint8_t *text = NULL;
	size_t size;
	int result = mse_file_read(path, MSE_TOML_MAX_SIZE, &text, &size, err);

	return result < 0 ? result : mse_app_config_parse((const char *)text, size, path, ret_config, err);
}

int mse_app_config_check_time(const struct mse_app_config *config, int64_t now, struct mse_error_info *err)
{
	char expires[MSE_TIME_TEXT_SIZE];
	char today[MSE_TIME_TEXT_SIZE];

	if (config->expires_at == 0 || config->expires_at > now)
		return 0;
	mse_time_format(expires, config->expires_at);
	mse_time_format(today, now);
	return mse_app_config_fail(config, config->expires_line, err, MSE_ERR_INPUT, "'expiration_date' %s is past (it is %s); set a later one", expires, today);
}

/* Whether location/relative is a regular file, or a link to one. */
static int is_file(const struct mse_app_config *config, const char *relative, bool *ret_is, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	struct stat status;
	int result = mse_path_join(config->code.location, relative, &path, err);

	if (result == 0)
		*ret_is = stat(path, &status) == 0 && S_ISREG(status.st_mode);
	return result;
}

static int find_module(struct mse_app_config *config, struct mse_error_info *err)
{
	mse_autofree char *base = NULL;
	mse_autofree char *module = NULL;
	mse_autofree char *package = NULL;
	bool found = false;
	int result = mse_strdup(config->code.module, &base, err);

	if (result < 0)
		return result;
	for (char *at = base; *at != 0; at++) {
		if (*at == '.')
			*at = '/';
	}
	result = mse_format(&module, err, "%s.py", base);
	if (result == 0)
		result = mse_format(&package, err, "%s/__init__.py", base);
	if (result == 0)
		result = is_file(config, package, &found, err);
	/* Where both are there, Python takes the package. */
	if (result == 0 && !found) {
		result = is_file(config, module, &found, err);
		free(package);
		package = mse_steal(module);
	}
	if (result < 0)
		return result;
	if (!found) {
		return mse_app_config_fail(config, config->code.python_application_line, err, MSE_ERR_NOT_FOUND,
			"the application module '%s' is not in '%s': there is neither %s.py nor %s/__init__.py; correct 'code.python_application' or 'code.location'",
			config->code.module, config->code.location, base, base);
	}
	free(config->code.module_path);
	config->code.module_path = mse_steal(package);
	return 0;
}

int mse_app_config_check_files(struct mse_app_config *config, struct mse_error_info *err)
{
	struct stat status;
	int result;

	if (stat(config->code.location, &status) < 0) {
		return mse_app_config_fail(config, config->code.location_line, err, MSE_ERR_NOT_FOUND, "the code folder '%s' (code.location): %s",
			config->code.location, strerror(errno));
	}
	if (!S_ISDIR(status.st_mode))
		return mse_app_config_fail(config, config->code.location_line, err, MSE_ERR_INPUT, "'%s' (code.location) is not a folder", config->code.location);
	result = find_module(config, err);
	if (result < 0 || config->code.secrets == NULL)
		return result;
	if (stat(config->code.secrets, &status) < 0) {
		return mse_app_config_fail(config, config->code.secrets_line, err, MSE_ERR_NOT_FOUND,
			"the secrets file '%s' (code.secrets): %s; create it or remove the key", config->code.secrets, strerror(errno));
	}
	if (!S_ISREG(status.st_mode))
		return mse_app_config_fail(config, config->code.secrets_line, err, MSE_ERR_INPUT, "'%s' (code.secrets) is not a regular file",
			config->code.secrets);
	if ((uint64_t)status.st_size > MSE_APP_CONFIG_MAX_SECRETS_SIZE) {
		return mse_app_config_fail(config, config->code.secrets_line, err, MSE_ERR_LIMIT, "'%s' (code.secrets) has %jd bytes, the limit is %zu",
			config->code.secrets, (intmax_t)status.st_size, MSE_APP_CONFIG_MAX_SECRETS_SIZE);
	}
	return 0;
}
