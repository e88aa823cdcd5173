#include "config/node_config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "config/toml.h"

#define MIB ((uint64_t)1024 * 1024)
#define MAX_PATH_TEXT_SIZE ((size_t)1024)
#define MAX_DOMAIN_SIZE ((size_t)200) /* leaves room for an app's own label */
#define MAX_IMAGE_SIZE ((size_t)512)
#define FREE_PLAN "free"

void mse_node_config_free(struct mse_node_config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->plan_count; i++)
		free(config->plans[i].name);
	for (size_t i = 0; i < config->alias_count; i++) {
		free(config->aliases[i].from);
		free(config->aliases[i].to);
	}
	free(config->plans);
	free(config->aliases);
	free(config->denied);
	free(config->domain);
	free(config->images);
	free(config);
}

/* A file being read. */
struct reading {
	const char *name;
	struct mse_node_config *config;
};

static int take_domain(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	const char *text;
	int result = mse_toml_string(root, "domain", false, MAX_DOMAIN_SIZE, "", reading->name, &text, err);

	if (result < 0)
		return result;
	for (const char *at = text; at != NULL && *at != 0; at++) {
		if ((uint8_t)*at >= 0x80 || !(islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '-' || *at == '.'))
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: 'domain' must be a host name in lower case, such as \"mse.example.com\"", reading->name,
				mse_toml_get(root, "domain")->line);
	}
	return mse_strdup(text != NULL ? text : "mse.localhost", &reading->config->domain, err);
}

static int take_images(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	const char *text;
	int result = mse_toml_string(root, "images", false, MAX_PATH_TEXT_SIZE, "", reading->name, &text, err);

	if (result < 0 || text == NULL)
		return result;
	if (text[0] != '/')
		return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: 'images' must be an absolute path", reading->name, mse_toml_get(root, "images")->line);
	return mse_strdup(text, &reading->config->images, err);
}

/* A table of exactly two integers, both required. */
static int take_pair(struct reading *reading, const struct mse_toml_value *root, const char *key, const char *const keys[3], const int64_t limits[4],
	int64_t values[2], struct mse_error_info *err)
{
	const struct mse_toml_value *table;
	mse_autofree char *prefix = NULL;
	int result = mse_toml_table(root, key, false, "", reading->name, &table, err);

	if (result < 0 || table == NULL)
		return result;
	result = mse_format(&prefix, err, "%s.", key);
	if (result == 0)
		result = mse_toml_only(table, keys, prefix, reading->name, err);
	for (unsigned i = 0; result == 0 && i < 2; i++)
		result = mse_toml_integer(table, keys[i], true, limits[2 * i], limits[2 * i + 1], prefix, reading->name, &values[i], err);
	return result;
}

static int take_ranges(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const port_keys[] = { "first", "last", NULL };
	static const char *const uid_keys[] = { "first", "count", NULL };
	/* Host uids below 1000 belong to the system. */
	static const int64_t port_limits[] = { 1024, 65535, 1024, 65535 }, uid_limits[] = { 1000, INT32_MAX, 1, 1000 * 1000 };
	int64_t ports[2] = { 24000, 28999 }, uids[2] = { 200000, 65536 };
	int result = take_pair(reading, root, "ports", port_keys, port_limits, ports, err);

	if (result == 0 && ports[0] > ports[1])
		return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: 'ports.first' is above 'ports.last'", reading->name, mse_toml_get(root, "ports")->line);
	if (result == 0)
		result = take_pair(reading, root, "uids", uid_keys, uid_limits, uids, err);
	if (result == 0 && uids[0] + uids[1] - 1 > INT32_MAX)
		return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: 'uids' reaches beyond %d", reading->name, mse_toml_get(root, "uids")->line, INT32_MAX);
	reading->config->port_first = (uint16_t)ports[0];
	reading->config->port_last = (uint16_t)ports[1];
	reading->config->uid_first = (uint32_t)uids[0];
	reading->config->uid_count = (uint32_t)uids[1];
	return result;
}

static int take_aliases(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	struct mse_node_config *config = reading->config;
	const struct mse_toml_value *table;
	size_t count;
	int result = mse_toml_table(root, "aliases", false, "", reading->name, &table, err);

	if (result < 0)
		return result;
	count = table != NULL ? table->count : 1;
	if (count > MSE_NODE_MAX_ALIASES)
		return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: more than %zu aliases", reading->name, table->line, MSE_NODE_MAX_ALIASES);
	config->aliases = calloc(count + 1, sizeof *config->aliases);
	if (config->aliases == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct mse_node_alias *alias = &config->aliases[config->alias_count++];
		const char *from = table != NULL ? table->items[i].key : "ghcr.io/cosmian/mse-flask";
		const char *to = "mse-flask";

		if (table != NULL)
			result = mse_toml_string(table, from, true, MAX_IMAGE_SIZE, "aliases.", reading->name, &to, err);
		if (result < 0)
			return result;
		if (from[0] == 0 || strlen(from) > MAX_IMAGE_SIZE || !mse_name_is_valid(to)) {
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: an alias maps the name of an image, without tag, to the name of one in the node's store",
				reading->name, table != NULL ? table->items[i].line : 0);
		}
		result = mse_strdup(from, &alias->from, err);
		if (result == 0)
			result = mse_strdup(to, &alias->to, err);
		if (result < 0)
			return result;
	}
	return 0;
}

/* What the key is not there for keeps its value, where `required` lets it. */
static int take_plan(struct reading *reading, const struct mse_toml_value *table, bool required, struct mse_node_plan *plan, struct mse_error_info *err)
{
	static const char *const keys[] = { "memory_mib", "cpus", "storage_mib", "threads", "processes", "open_files", "lifetime_minutes", NULL };
	mse_autofree char *prefix = NULL;
	int64_t memory = (int64_t)(plan->memory_size / MIB), storage = (int64_t)(plan->storage_size / MIB), threads = plan->threads;
	int64_t processes = plan->processes, open_files = plan->open_files, lifetime = plan->lifetime_seconds / 60;
	double cpus = (double)plan->cpu_thousandths / 1000;
	int result = mse_format(&prefix, err, "plans.%s.", plan->name);

	if (result == 0)
		result = mse_toml_only(table, keys, prefix, reading->name, err);
	if (result == 0)
		result = mse_toml_integer(table, "memory_mib", required, 32, 16 * 1024 * 1024, prefix, reading->name, &memory, err);
	if (result == 0)
		result = mse_toml_number(table, "cpus", required, 0.01, 4096, prefix, reading->name, &cpus, err);
	if (result == 0)
		result = mse_toml_integer(table, "storage_mib", required, 16, 64 * 1024 * 1024, prefix, reading->name, &storage, err);
	if (result == 0)
		result = mse_toml_integer(table, "threads", required, 1, 1024, prefix, reading->name, &threads, err);
	if (result == 0)
		result = mse_toml_integer(table, "processes", false, 1, MSE_NODE_MAX_PROCESSES, prefix, reading->name, &processes, err);
	if (result == 0)
		result = mse_toml_integer(table, "open_files", false, MSE_NODE_MIN_OPEN_FILES, MSE_NODE_MAX_OPEN_FILES, prefix, reading->name, &open_files, err);
	if (result == 0 && processes < threads + MSE_NODE_OWN_THREADS)
		return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: '%sprocesses' is %jd; with %jd threads that serve requests, an enclave needs at least %jd", reading->name,
			table->line, prefix, (intmax_t)processes, (intmax_t)threads, (intmax_t)threads + MSE_NODE_OWN_THREADS);
	if (result == 0)
		result = mse_toml_integer(table, "lifetime_minutes", false, 0, 10 * 366 * 24 * 60, prefix, reading->name, &lifetime, err);
	plan->memory_size = (uint64_t)memory * MIB;
	plan->cpu_thousandths = (uint32_t)(cpus * 1000 + 0.5);
	plan->storage_size = (uint64_t)storage * MIB;
	plan->threads = (uint32_t)threads;
	plan->processes = (uint32_t)processes;
	plan->open_files = (uint32_t)open_files;
	plan->lifetime_seconds = (uint32_t)lifetime * 60;
	return result;
}

static int take_plans(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	struct mse_node_config *config = reading->config;
	const struct mse_toml_value *table;
	int result = mse_toml_table(root, "plans", false, "", reading->name, &table, err);

	if (result < 0)
		return result;
	if (table != NULL && table->count > MSE_NODE_MAX_PLANS)
		return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: more than %zu plans", reading->name, table->line, MSE_NODE_MAX_PLANS);
	config->plans = calloc((table != NULL ? table->count : 0) + 1, sizeof *config->plans);
	if (config->plans == NULL)
		return mse_fail_nomem(err);
	config->plans[0] = (struct mse_node_plan){
		.memory_size = 512 * MIB,
		.cpu_thousandths = 380,
		.storage_size = 10 * 1024 * MIB,
		.threads = 16,
		.processes = MSE_NODE_DEFAULT_PROCESSES,
		.open_files = MSE_NODE_DEFAULT_OPEN_FILES,
		.lifetime_seconds = 4 * 60 * 60,
	};
	config->plan_count = 1;
	result = mse_strdup(FREE_PLAN, &config->plans[0].name, err);
	for (size_t i = 0; result == 0 && table != NULL && i < table->count; i++) {
		const struct mse_toml_value *item = &table->items[i];
		bool is_free = strcmp(item->key, FREE_PLAN) == 0;
		struct mse_node_plan *plan = is_free ? &config->plans[0] : &config->plans[config->plan_count];

		if (!mse_name_is_valid(item->key))
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: '%.100s' is no name for a plan", reading->name, item->line, item->key);
		if (item->type != MSE_TOML_TABLE)
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: 'plans.%s' must be a table, not %s", reading->name, item->line, item->key,
				mse_toml_type_name(item->type));
		if (!is_free) {
			config->plan_count++;
			plan->processes = MSE_NODE_DEFAULT_PROCESSES;
			plan->open_files = MSE_NODE_DEFAULT_OPEN_FILES;
			result = mse_strdup(item->key, &plan->name, err);
		}
		if (result == 0)
			result = take_plan(reading, item, !is_free, plan, err);
	}
	return result;
}

static int take_quotas(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "apps", "apps_per_owner", NULL };
	const struct mse_toml_value *table;
	int64_t apps = 100, per_owner = 10;
	int result = mse_toml_table(root, "quotas", false, "", reading->name, &table, err);

	if (result == 0 && table != NULL) {
		result = mse_toml_only(table, keys, "quotas.", reading->name, err);
		if (result == 0)
			result = mse_toml_integer(table, "apps", false, 0, 100000, "quotas.", reading->name, &apps, err);
		if (result == 0)
			result = mse_toml_integer(table, "apps_per_owner", false, 0, 100000, "quotas.", reading->name, &per_owner, err);
	}
	reading->config->max_apps = (uint32_t)apps;
	reading->config->max_apps_per_owner = (uint32_t)per_owner;
	return result;
}

static int take_limits(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "insecure_unlimited", NULL };
	const struct mse_toml_value *table;
	int result = mse_toml_table(root, "limits", false, "", reading->name, &table, err);

	if (result < 0 || table == NULL)
		return result;
	result = mse_toml_only(table, keys, "limits.", reading->name, err);
	return result < 0 ? result :
			    mse_toml_boolean(table, "insecure_unlimited", false, "limits.", reading->name, &reading->config->insecure_unlimited, err);
}

static int take_network(struct reading *reading, const struct mse_toml_value *root, struct mse_error_info *err)
{
	static const char *const keys[] = { "deny", NULL };
	struct mse_node_config *config = reading->config;
	const struct mse_toml_value *table, *deny;
	int result = mse_toml_table(root, "network", false, "", reading->name, &table, err);

	if (result < 0 || table == NULL)
		return result;
	if ((result = mse_toml_only(table, keys, "network.", reading->name, err)) < 0 || (deny = mse_toml_get(table, "deny")) == NULL)
		return result;
	if (deny->type != MSE_TOML_ARRAY || deny->count > MSE_NODE_MAX_DENIED)
		return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: 'network.deny' must be an array of at most %zu strings", reading->name, deny->line, MSE_NODE_MAX_DENIED);
	config->denied = calloc(deny->count + 1, sizeof *config->denied);
	if (config->denied == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < deny->count; i++) {
		const struct mse_toml_value *item = &deny->items[i];
		struct mse_error_info why = { .message = "not a string" };

		if (item->type != MSE_TOML_STRING || mse_prefix_parse(item->text, &config->denied[config->denied_count++], &why) < 0)
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: 'network.deny' must hold addresses or their prefixes, such as \"10.0.0.0/8\"; '%.100s': %s",
				reading->name, item->line, item->type == MSE_TOML_STRING ? item->text : "", why.message);
	}
	return 0;
}

int mse_node_config_parse(const char *text, size_t size, const char *name, struct mse_node_config **ret_config, struct mse_error_info *err)
{
	static const char *const keys[] = { "domain", "images", "ports", "uids", "aliases", "plans", "quotas", "limits", "network", NULL };
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = calloc(1, sizeof *config);
	mse_cleanup(mse_toml_freep) struct mse_toml_value *root = NULL;
	struct reading reading = { .name = name, .config = config };
	int result;

	if (config == NULL)
		return mse_fail_nomem(err);
	result = mse_toml_parse(text, size, name, &root, err);
	if (result == 0)
		result = mse_toml_only(root, keys, "", name, err);
	if (result == 0)
		result = take_domain(&reading, root, err);
	if (result == 0)
		result = take_images(&reading, root, err);
	if (result == 0)
		result = take_ranges(&reading, root, err);
	if (result == 0)
		result = take_aliases(&reading, root, err);
	if (result == 0)
		result = take_plans(&reading, root, err);
	if (result == 0)
		result = take_quotas(&reading, root, err);
	if (result == 0)
		result = take_limits(&reading, root, err);
	if (result == 0)
		result = take_network(&reading, root, err);
	if (result == 0)
		*ret_config = mse_steal(config);
	return result;
}

int mse_node_config_read(const char *path, struct mse_node_config **ret_config, struct mse_error_info *err)
{
	mse_autofree uint8_t *text = NULL;
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	size_t size;
	int result;

	if (path == NULL)
		return mse_node_config_parse("", 0, "the configuration", ret_config, err);
	result = mse_file_read(path, MSE_TOML_MAX_SIZE, &text, &size, err);
	return result < 0 ? result : mse_node_config_parse((const char *)text, size, slash == NULL ? path : slash + 1, ret_config, err);
}

const struct mse_node_plan *mse_node_config_plan(const struct mse_node_config *config, const char *name)
{
	for (size_t i = 0; i < config->plan_count; i++) {
		if (strcmp(config->plans[i].name, name) == 0)
			return &config->plans[i];
	}
	return NULL;
}

int mse_node_config_image(const struct mse_node_config *config, const char *docker, char **ret_name, bool *ret_aliased, struct mse_error_info *err)
{
	size_t size = strcspn(docker, "@");
	mse_autofree char *name = strndup(docker, size < MAX_IMAGE_SIZE ? size : MAX_IMAGE_SIZE);
	char *slash, *colon;

	if (name == NULL)
		return mse_fail_nomem(err);
	/* A ':' before the last '/' belongs to a registry's port. */
	slash = strrchr(name, '/');
	colon = strchr(slash != NULL ? slash : name, ':');
	if (colon != NULL)
		*colon = 0;
	if (ret_aliased != NULL)
		*ret_aliased = false;
	for (size_t i = 0; i < config->alias_count; i++) {
		if (strcmp(config->aliases[i].from, name) != 0)
			continue;
		if (ret_aliased != NULL)
			*ret_aliased = true;
		return mse_strdup(config->aliases[i].to, ret_name, err);
	}
	if (!mse_name_is_valid(name))
		return mse_fail(err, MSE_ERR_NOT_FOUND, "this node has no image '%s' and no alias for it", name);
	*ret_name = mse_steal(name);
	return 0;
}
