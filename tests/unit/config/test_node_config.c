#include "../test.h"

#include "config/node_config.h"

static struct mse_error_info err;

static int parse(const char *text, struct mse_node_config **ret_config)
{
	return mse_node_config_parse(text, strlen(text), "msed.toml", ret_config, &err);
}

static void without_a_file_the_defaults_hold(void **state)
{
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = NULL;
	const struct mse_node_plan *plan;

	(void)state;
	assert_works(mse_node_config_read(NULL, &config, &err));
	assert_string_equal(config->domain, "mse.localhost");
	assert_null(config->images);
	assert_int_equal(config->port_first, 24000);
	assert_int_equal(config->port_last, 28999);
	assert_int_equal(config->uid_first, 200000);
	assert_int_equal(config->uid_count, 65536);
	plan = mse_node_config_plan(config, "free");
	assert_non_null(plan);
	assert_true(plan->memory_size == 512u * 1024 * 1024);
	assert_int_equal(plan->cpu_thousandths, 380);
	assert_true(plan->storage_size == (uint64_t)10 * 1024 * 1024 * 1024);
	assert_int_equal(plan->threads, 16);
	assert_int_equal(plan->lifetime_seconds, 4 * 3600);
	assert_null(mse_node_config_plan(config, "gold"));
}

static void a_file_changes_what_it_names(void **state)
{
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = NULL;

	(void)state;
	assert_works(parse("domain = 'apps.example.org'\nimages = '/srv/images'\nports = { first = 30000, last = 30010 }\nuids = { first = 5000, count = 10 }\n"
			   "[aliases]\n'quay.io/x/y' = 'y'\n[plans.free]\nmemory_mib = 256\n[plans.gold]\nmemory_mib = 4096\ncpus = 2\n"
			   "storage_mib = 1024\nthreads = 32\n[quotas]\napps = 3\n", &config));
	assert_string_equal(config->domain, "apps.example.org");
	assert_string_equal(config->images, "/srv/images");
	assert_int_equal(config->port_first, 30000);
	assert_int_equal(config->uid_count, 10);
	assert_int_equal(config->alias_count, 1);
	assert_true(mse_node_config_plan(config, "free")->memory_size == 256u * 1024 * 1024);
	assert_int_equal(mse_node_config_plan(config, "free")->threads, 16);
	assert_int_equal(mse_node_config_plan(config, "gold")->cpu_thousandths, 2000);
	assert_int_equal(mse_node_config_plan(config, "gold")->lifetime_seconds, 0);
	assert_int_equal(config->max_apps, 3);
	assert_int_equal(config->max_apps_per_owner, 10);
}

static void each_mistake_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *message;
	} cases[] = {
		{ "domian = 'x'\n", MSE_ERR_INPUT, "msed.toml:1: unknown key 'domian'; did you mean 'domain'?" },
		{ "domain = 'A B'\n", MSE_ERR_INPUT, "msed.toml:1: 'domain' must be a host name" },
		{ "images = 'relative'\n", MSE_ERR_INPUT, "msed.toml:1: 'images' must be an absolute path" },
		{ "\nports = { first = 80, last = 90 }\n", MSE_ERR_LIMIT, "msed.toml:2: 'ports.first' is 80; it must be from 1024" },
		{ "ports = { first = 3000, last = 2000 }\n", MSE_ERR_INPUT, "'ports.first' is above 'ports.last'" },
		{ "ports = { first = 3000 }\n", MSE_ERR_INPUT, "the key 'ports.last' is missing" },
		{ "uids = { first = 0, count = 10 }\n", MSE_ERR_LIMIT, "msed.toml:1: 'uids.first' is 0" },
		{ "uids = { first = 2147483647, count = 10 }\n", MSE_ERR_LIMIT, "reaches beyond" },
		{ "[aliases]\n'x' = '../y'\n", MSE_ERR_INPUT, "msed.toml:2: an alias maps" },
		{ "[aliases]\nx = 1\n", MSE_ERR_INPUT, "msed.toml:2: 'aliases.x' must be a string" },
		{ "[plans.gold]\nmemory_mib = 10\n", MSE_ERR_LIMIT, "msed.toml:2: 'plans.gold.memory_mib' is 10" },
		{ "[plans.gold]\nmemory_mib = 64\n", MSE_ERR_INPUT, "msed.toml:1: the key 'plans.gold.cpus' is missing" },
		{ "[plans.free]\ncpus = nan\n", MSE_ERR_LIMIT, "msed.toml:2: 'plans.free.cpus' is" },
		{ "[plans.free]\ncpus = '1'\n", MSE_ERR_INPUT, "msed.toml:2: 'plans.free.cpus' must be a number" },
		{ "[plans.'a/b']\ncpus = 1\n", MSE_ERR_INPUT, "msed.toml:1: 'a/b' is no name for a plan" },
		{ "plans.free = 1\n", MSE_ERR_INPUT, "must be a table" },
		{ "[network]\ndeny = '10.0.0.0/8'\n", MSE_ERR_INPUT, "msed.toml:2: 'network.deny' must be an array" },
		{ "[network]\ndeny = ['10.0.0.0/8',\n'10.0.0.1/8']\n", MSE_ERR_INPUT, "msed.toml:3: 'network.deny' must hold addresses or their prefixes" },
		{ "[network]\nallow = []\n", MSE_ERR_INPUT, "msed.toml:2: unknown key 'network.allow'" },
		{ "insecure = true\n", MSE_ERR_INPUT, "msed.toml:1: unknown key 'insecure'" },
	};
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_fails(parse(cases[i].text, &config), cases[i].code, cases[i].message);
}

static void denied_addresses_are_read(void **state)
{
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = NULL;
	char text[MSE_PREFIX_TEXT_SIZE];

	(void)state;
	assert_works(parse("[network]\ndeny = ['10.0.0.0/8', '192.0.2.7', 'FD00::/8']\n", &config));
	assert_int_equal(config->denied_count, 3);
	mse_prefix_format(&config->denied[0], text);
	assert_string_equal(text, "10.0.0.0/8");
	mse_prefix_format(&config->denied[1], text);
	assert_string_equal(text, "192.0.2.7/32");
	mse_prefix_format(&config->denied[2], text);
	assert_string_equal(text, "fd00::/8");
}

static void an_image_is_found_by_its_name_whatever_its_tag(void **state)
{
	static const struct {
		const char *docker, *name;
		bool aliased;
	} cases[] = { { "ghcr.io/cosmian/mse-flask:20230124182826", "mse-flask", true }, { "ghcr.io/cosmian/mse-flask", "mse-flask", true },
		{ "ghcr.io/cosmian/mse-flask@sha256:00", "mse-flask", true }, { "ghcr.io/cosmian/mse-flask:tag@sha256:00", "mse-flask", true },
		{ "mse-flask", "mse-flask", false }, { "mse-flask:1", "mse-flask", false } };
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = NULL;
	char *none = NULL;

	(void)state;
	assert_works(mse_node_config_read(NULL, &config, &err));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		mse_autofree char *name = NULL;
		bool aliased = !cases[i].aliased;

		assert_works(mse_node_config_image(config, cases[i].docker, &name, &aliased, &err));
		assert_string_equal(name, cases[i].name);
		assert_int_equal(aliased, cases[i].aliased);
	}
	assert_fails(mse_node_config_image(config, "../../etc", &none, NULL, &err), MSE_ERR_NOT_FOUND, "no image '../../etc'");
	assert_fails(mse_node_config_image(config, "localhost:5000/x", &none, NULL, &err), MSE_ERR_NOT_FOUND, "no image 'localhost:5000/x'");
	assert_fails(mse_node_config_image(config, ":x", &none, NULL, &err), MSE_ERR_NOT_FOUND, "no image ''");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_the_defaults_hold),
		cmocka_unit_test(a_file_changes_what_it_names),
		cmocka_unit_test(each_mistake_is_named_with_its_line),
		cmocka_unit_test(denied_addresses_are_read),
		cmocka_unit_test(an_image_is_found_by_its_name_whatever_its_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
