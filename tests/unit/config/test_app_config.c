#include "../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/app_config.h"
#include "config/toml.h"

static struct mse_error_info err;

/* The mission page's own file. */
static const char example[] = "name=\"helloworld\"\n"
			      "project=\"default\"\n"
			      "resource=\"free\"\n"
			      "\n"
			      "[code]\n"
			      "location=\"./code\"\n"
			      "python_application=\"app:app\"\n"
			      "healthcheck_endpoint=\"/whoami\"\n"
			      "docker=\"ghcr.io/cosmian/mse-flask:20230124182826\"\n"
			      "secrets=\"./secrets.json\"\n"
			      "\n"
			      "[ssl]\n"
			      "domain_name=\"example.com\"\n"
			      "certificate=\"./cert.secret.pem\"\n"
			      "private_key=\"./key.secret.pem\"\n";

#define CODE "[code]\nlocation='c'\npython_application='app:app'\nhealthcheck_endpoint='/h'\ndocker='mse-flask'\n"

static int parse(const char *text, struct mse_app_config **ret_config)
{
	return mse_app_config_parse(text, strlen(text), "some/where/mse.toml", ret_config, &err);
}

static void the_mission_pages_example_is_understood(void **state)
{
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;

	(void)state;
	assert_works(parse(example, &config));
	assert_string_equal(config->name, "helloworld");
	assert_string_equal(config->project, "default");
	assert_string_equal(config->resource, "free");
	assert_string_equal(config->folder, "some/where");
	assert_string_equal(config->code.location, "some/where/./code");
	assert_string_equal(config->code.module, "app");
	assert_string_equal(config->code.attribute, "app");
	assert_string_equal(config->code.healthcheck_endpoint, "/whoami");
	assert_string_equal(config->code.docker, "ghcr.io/cosmian/mse-flask:20230124182826");
	assert_string_equal(config->code.secrets, "some/where/./secrets.json");
	assert_true(config->has_ssl);
	assert_string_equal(config->ssl.domain_name, "example.com");
	assert_int_equal(config->ssl.line, 12);
	assert_true(config->expires_at == 0);
}

static void egress_is_kept_in_the_one_form_that_manifests_have(void **state)
{
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;
	mse_cleanup(mse_app_config_freep) struct mse_app_config *none = NULL;
	mse_cleanup(mse_app_config_freep) struct mse_app_config *any = NULL;

	(void)state;
	assert_works(parse("name = 'x'\n" CODE "[network]\negress = ['b.example:443', 'API.Example:443', '[2001:DB8:0::5]:80', '198.51.100.7:1']\n", &config));
	assert_int_equal(config->network.egress, MSE_EGRESS_LIST);
	assert_int_equal(config->network.target_count, 4);
	assert_string_equal(config->network.targets[0], "198.51.100.7:1");
	assert_string_equal(config->network.targets[1], "[2001:db8::5]:80");
	assert_string_equal(config->network.targets[2], "api.example:443");
	assert_string_equal(config->network.targets[3], "b.example:443");
	assert_works(parse("name = 'x'\n" CODE "[network]\negress = 'none'\n", &none));
	assert_int_equal(none->network.egress, MSE_EGRESS_NONE);
	assert_works(parse("name = 'x'\n" CODE "[network]\negress = 'any'\n", &any));
	assert_int_equal(any->network.egress, MSE_EGRESS_ANY);
}

static void what_may_be_left_out_has_its_default(void **state)
{
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;

	(void)state;
	assert_works(parse("name = 'x'\n" CODE, &config));
	assert_string_equal(config->project, "default");
	assert_string_equal(config->resource, "free");
	assert_null(config->code.secrets);
	assert_false(config->has_ssl);
	assert_int_equal(config->attestation.accepted_status_count, 0);
}

struct bad {
	const char *text;
	int code;
	const char *message;
};

static void each_mistake_is_named_with_its_line_and_remedy(void **state)
{
	static const struct bad cases[] = {
		{ "name = 'x'\n[code]\npyton_application = 'a:a'\n", MSE_ERR_INPUT,
			"mse.toml:3: unknown key 'code.pyton_application'; did you mean 'python_application'?" },
		{ "name = 'x'\nzzzzzzzzzzzz = 1\n" CODE, MSE_ERR_INPUT, "mse.toml:2: unknown key 'zzzzzzzzzzzz'; remove it" },
		{ "Name = 'x'\n" CODE, MSE_ERR_INPUT, "mse.toml:1: unknown key 'Name'; did you mean 'name'?" },
		{ "name = \n", MSE_ERR_INPUT, "mse.toml:1: not TOML" },
		{ "name = 'x'\nname = 'y'\n", MSE_ERR_INPUT, "mse.toml:2: not TOML" },
		{ "name = 7\n" CODE, MSE_ERR_INPUT, "mse.toml:1: 'name' must be a string, not an integer" },
		{ CODE, MSE_ERR_INPUT, "the key 'name' is missing" },
		{ "name = 'x'\n", MSE_ERR_INPUT, "the key 'code' is missing" },
		{ "name = 'x'\ncode = 3\n", MSE_ERR_INPUT, "mse.toml:2: 'code' must be a table" },
		{ "name = ''\n" CODE, MSE_ERR_INPUT, "'name' is empty" },
		{ "name = '../x'\n" CODE, MSE_ERR_INPUT, "mse.toml:1: 'name' must be 1 to 63" },
		{ "name = 'x'\nproject = 'a b'\n" CODE, MSE_ERR_INPUT, "mse.toml:2: 'project' must be" },
		{ "name = \"a\\u0000b\"\n" CODE, MSE_ERR_INPUT, "mse.toml:1: a NUL character" },
		{ "\"na\\u0000me\" = 'x'\n" CODE, MSE_ERR_INPUT, "mse.toml:1: a NUL character" },
		{ "name = \"a\\tb\"\n" CODE, MSE_ERR_INPUT, "mse.toml:1: 'name' has a control character" },
		{ "name = 'x'\nexpiration_date = '2030-01-01'\n" CODE, MSE_ERR_INPUT, "mse.toml:2: 'expiration_date' must be a date and time with a time zone" },
		{ "name = 'x'\nexpiration_date = 2030-01-01T00:00:00\n" CODE, MSE_ERR_INPUT, "mse.toml:2: 'expiration_date' must be" },
		{ "name = 'x'\nexpiration_date = '1] #'\n" CODE, MSE_ERR_INPUT, "mse.toml:2: 'expiration_date' must be" },
		{ "name = 'x'\nexpiration_date = \"2030-01-01T00:00:00Z\\nx=1\"\n" CODE, MSE_ERR_INPUT, "mse.toml:2: 'expiration_date' must be" },
		{ "name = 'x'\nexpiration_date = 12\n" CODE, MSE_ERR_INPUT, "mse.toml:2: 'expiration_date' must be" },
		{ "name = 'x'\nexpiration_date = 1969-12-31T00:00:00Z\n" CODE, MSE_ERR_INPUT, "before 1970" },
		{ "name = 'x'\n" CODE "[network]\nallow = []\n", MSE_ERR_INPUT, "mse.toml:8: unknown key 'network.allow'" },
		{ "name = 'x'\negress = true\n" CODE, MSE_ERR_INPUT, "mse.toml:2: unknown key 'egress'" },
		{ "name = 'x'\n" CODE "[network]\negress = 'some'\n", MSE_ERR_INPUT, "mse.toml:8: 'network.egress' must be \"any\", \"none\"" },
		{ "name = 'x'\n" CODE "[network]\negress = []\n", MSE_ERR_INPUT, "mse.toml:8: 'network.egress' must be" },
		{ "name = 'x'\n" CODE "[network]\negress = [\n1]\n", MSE_ERR_INPUT, "mse.toml:9: 'network.egress' must hold strings such as" },
		{ "name = 'x'\n" CODE "[network]\negress = ['example.com']\n", MSE_ERR_INPUT, "mse.toml:8: 'network.egress': 'example.com': no port" },
		{ "name = 'x'\n" CODE "[network]\negress = ['a.example:1',\n'*.example.com:443']\n", MSE_ERR_INPUT, "mse.toml:9: 'network.egress': '*.example.com:443': neither" },
		{ "name = 'x'\n" CODE "[network]\negress = ['a:1', 'A:1']\n", MSE_ERR_INPUT, "mse.toml:8: 'network.egress' names 'a:1' twice" },
		{ "name = 'x'\n" CODE "[network]\negress = ['localhost:80']\n", MSE_ERR_DENIED, "mse.toml:8: 'network.egress': 'localhost:80': it leads to the machine itself" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='app'\n", MSE_ERR_INPUT, "mse.toml:4: 'code.python_application' must be \"module:attribute\"" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a/b:app'\n", MSE_ERR_INPUT, "mse.toml:4: 'code.python_application'" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='..a:app'\n", MSE_ERR_INPUT, "mse.toml:4: 'code.python_application'" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a.:app'\n", MSE_ERR_INPUT, "mse.toml:4: 'code.python_application'" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a:f(1)'\n", MSE_ERR_INPUT, "mse.toml:4: 'code.python_application'" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a:a'\nhealthcheck_endpoint='health'\n", MSE_ERR_INPUT, "mse.toml:5: 'code.healthcheck_endpoint' must be a path" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a:a'\nhealthcheck_endpoint='/a b'\n", MSE_ERR_INPUT, "mse.toml:5:" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a:a'\nhealthcheck_endpoint='/.well-known/mse/x'\n", MSE_ERR_INPUT, "mse.toml:5:" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a:a'\nhealthcheck_endpoint='/h'\ndocker='-v'\n", MSE_ERR_INPUT, "mse.toml:6: 'code.docker'" },
		{ "name = 'x'\n[code]\nlocation='c'\npython_application='a:a'\nhealthcheck_endpoint='/h'\ndocker='a b'\n", MSE_ERR_INPUT, "mse.toml:6: 'code.docker'" },
		{ "name = 'x'\n" CODE "[ssl]\ndomain_name='x.org'\ncertificate='c'\n", MSE_ERR_INPUT, "mse.toml:7: the key 'ssl.private_key' is missing" },
		{ "name = 'x'\n" CODE "[ssl]\ndomain_name='x org'\n", MSE_ERR_INPUT, "mse.toml:8: 'ssl.domain_name'" },
		{ "name = 'x'\n" CODE "[attestation]\naccepted_statuses='OutOfDate'\n", MSE_ERR_INPUT, "mse.toml:8: 'attestation.accepted_statuses' must be an array" },
		{ "name = 'x'\n" CODE "[attestation]\naccepted_statuses=['revoked']\n", MSE_ERR_DENIED, "mse.toml:8: a revoked platform is never accepted" },
		{ "name = 'x'\n" CODE "[attestation]\naccepted_statuses=['Out Of']\n", MSE_ERR_INPUT, "mse.toml:8:" },
		{ "name = 'x'\n" CODE "[attestation]\naccepted_statuses=[1]\n", MSE_ERR_INPUT, "mse.toml:8:" },
		{ "name = 'x'\n" CODE "[attestation]\nplatforms=['abc']\n", MSE_ERR_INPUT, "mse.toml:8: 'attestation.platforms'" },
		{ "name = 'x'\n" CODE "[attestation]\nplatforms=['0123456789abcdef0123456789abcdeg']\n", MSE_ERR_INPUT, "mse.toml:8: 'attestation.platforms'" },
		{ "name = '\xff'\n" CODE, MSE_ERR_INPUT, "mse.toml:1: not TOML" },
	};
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_fails(parse(cases[i].text, &config), cases[i].code, cases[i].message);
	assert_null(config);
}

static void an_expiry_date_may_be_written_in_each_of_the_ways(void **state)
{
	static const char *const texts[] = { "2023-06-29T00:00:00Z", "2023-06-29T02:00:00+02:00", "2023-06-28 22:30:00.5-01:30", "'2023-06-29T00:00:00Z'",
		"\"2023-06-29 02:00:00+02:00\"" };
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;

		snprintf(text, sizeof text, "name = 'x'\nexpiration_date = %s\n" CODE, texts[i]);
		assert_works(parse(text, &config));
		assert_true(config->expires_at == 1687996800);
		assert_works(mse_app_config_check_time(config, 1687996799, &err));
		assert_fails(mse_app_config_check_time(config, 1687996800, &err), MSE_ERR_INPUT,
			"mse.toml:2: 'expiration_date' 2023-06-29T00:00:00Z is past");
	}
}

static void dates_before_and_after_leap_days_count_right(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = { { "1970-01-01T00:00:01Z", 1 }, { "2000-02-29T12:00:00Z", 951825600 }, { "2000-03-01T00:00:00Z", 951868800 },
		{ "2100-03-01T00:00:00Z", 4107542400 }, { "9999-12-31T23:59:59Z", 253402300799 } };
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;

		snprintf(text, sizeof text, "name = 'x'\nexpiration_date = %s\n" CODE, cases[i].text);
		assert_works(parse(text, &config));
		assert_true(config->expires_at == cases[i].seconds);
	}
}

static void the_attestation_table_is_kept(void **state)
{
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;

	(void)state;
	assert_works(parse("name = 'x'\n" CODE "[attestation]\naccepted_statuses = [\"OutOfDate\",\n\"ConfigurationNeeded\"]\n"
			   "platforms = [\"0123456789ABCDEF0123456789abcdef\"]\n", &config));
	assert_int_equal(config->attestation.accepted_status_count, 2);
	assert_string_equal(config->attestation.accepted_statuses[1], "ConfigurationNeeded");
	assert_int_equal(config->attestation.accepted_statuses_line, 8);
	assert_int_equal(config->attestation.platform_count, 1);
	assert_string_equal(config->attestation.platforms[0], "0123456789abcdef0123456789abcdef");
}

static void write_file(const char *dir, const char *name)
{
	mse_autofree char *path = NULL;

	assert_works(mse_path_join(dir, name, &path, &err));
	assert_works(mse_file_write(path, "x", 1, 0600, &err));
}

static void make_dir(const char *dir, const char *name)
{
	mse_autofree char *path = NULL;

	assert_works(mse_path_join(dir, name, &path, &err));
	assert_works(mse_dir_make(path, 0700, &err));
}

static void the_files_that_are_named_must_be_there(void **state)
{
	char dir[] = "/tmp/mse-test-XXXXXX";
	mse_autofree char *path = NULL;
	mse_cleanup(mse_app_config_freep) struct mse_app_config *config = NULL;
	static const char text[] = "name = 'x'\n[code]\nlocation='code'\npython_application='pkg.mod:app.wsgi'\nhealthcheck_endpoint='/h'\n"
				   "docker='mse-flask'\nsecrets='secrets.json'\n";

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_works(mse_path_join(dir, "mse.toml", &path, &err));
	assert_fails(mse_app_config_read(path, &config, &err), MSE_ERR_NOT_FOUND, path);
	assert_works(mse_file_write(path, text, strlen(text), 0600, &err));
	assert_works(mse_app_config_read(path, &config, &err));
	assert_string_equal(config->code.attribute, "app.wsgi");
	assert_fails(mse_app_config_check_files(config, &err), MSE_ERR_NOT_FOUND, "mse.toml:3: the code folder");
	make_dir(dir, "code/pkg/mod");
	assert_fails(mse_app_config_check_files(config, &err), MSE_ERR_NOT_FOUND,
		"there is neither pkg/mod.py nor pkg/mod/__init__.py; correct 'code.python_application'");
	assert_non_null(strstr(err.message, "mse.toml:4: the application module 'pkg.mod' is not in"));
	write_file(dir, "code/pkg/mod.py");
	assert_fails(mse_app_config_check_files(config, &err), MSE_ERR_NOT_FOUND, "mse.toml:7: the secrets file");
	assert_string_equal(config->code.module_path, "pkg/mod.py");
	write_file(dir, "code/pkg/mod/__init__.py");
	make_dir(dir, "secrets.json");
	assert_fails(mse_app_config_check_files(config, &err), MSE_ERR_INPUT, "(code.secrets) is not a regular file");
	assert_string_equal(config->code.module_path, "pkg/mod/__init__.py");
	assert_int_equal(rmdir(config->code.secrets), 0);
	write_file(dir, "secrets.json");
	assert_works(mse_app_config_check_files(config, &err));
	assert_int_equal(truncate(config->code.secrets, MSE_APP_CONFIG_MAX_SECRETS_SIZE + 1), 0);
	assert_fails(mse_app_config_check_files(config, &err), MSE_ERR_LIMIT, "mse.toml:7:");
	assert_works(mse_tree_remove(dir, &err));
}

static void a_file_that_is_too_large_or_nested_too_deep_is_refused(void **state)
{
	mse_cleanup(mse_toml_freep) struct mse_toml_value *root = NULL;
	mse_autofree char *text = calloc(1, MSE_TOML_MAX_SIZE + 2);
	size_t size = 0;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', MSE_TOML_MAX_SIZE + 1);
	assert_fails(mse_toml_parse(text, MSE_TOML_MAX_SIZE + 1, "it", &root, &err), MSE_ERR_LIMIT, "the limit is");
	assert_works(mse_toml_parse(text, MSE_TOML_MAX_SIZE, "it", &root, &err));
	memset(text, 0, MSE_TOML_MAX_SIZE);
	for (size_t i = 0; i < MSE_TOML_MAX_DEPTH + 1; i++)
		size += (size_t)snprintf(text + size, 8, "%sa", i > 0 ? "." : "");
	memcpy(text + size, " = 1", 5);
	mse_toml_free(mse_steal(root));
	assert_fails(mse_toml_parse(text, strlen(text), "it", &root, &err), MSE_ERR_LIMIT, "it:1: arrays and tables are nested too deep");
	/* As deep as the size lets it be: an array in a long dotted key in an array, and so on. */
	memset(text, 0, MSE_TOML_MAX_SIZE);
	size = 0;
	while (size < MSE_TOML_MAX_SIZE / 2) {
		for (size_t i = 0; i < 255; i++)
			size += (size_t)snprintf(text + size, 8, "a.");
		size += (size_t)snprintf(text + size, 16, "a = [\n{ ");
	}
	assert_true(mse_toml_parse(text, size, "it", &root, &err) < 0);
	memset(text, 0, MSE_TOML_MAX_SIZE);
	memset(text, '.', 300);
	assert_fails(mse_toml_parse(text, 300, "it", &root, &err), MSE_ERR_LIMIT, "it:1: more than 256 dots in a line");
	for (size_t i = 0; i < 5000; i++)
		memcpy(text + 4 + i, "[", 1);
	memcpy(text, "a = ", 4);
	assert_fails(mse_toml_parse(text, 5004, "it", &root, &err), MSE_ERR_INPUT, "it:1: not TOML");
}

static void toml_is_read_whole(void **state)
{
	static const char text[] = "\xef\xbb\xbf# comment\n"
				   "a = 0xff\nb = 1_000\nc = -inf\nd = true\ne = '''\nline\\'''\nf = \"\"\"x\\\n   y\"\"\"\n"
				   "g = [1, 'two', [3.5]]\nh = {i.j = 1979-05-27T07:32:00Z, k = 07:32:00}\n[[l]]\nm = 1\n[[l]]\nm = 2\n[\"quoted key\"]\n";
	mse_cleanup(mse_toml_freep) struct mse_toml_value *root = NULL;
	const struct mse_toml_value *inner;
	double real = 0;

	(void)state;
	assert_works(mse_toml_parse(text, sizeof text - 1, "it", &root, &err));
	assert_true(mse_toml_get(root, "a")->integer == 255);
	assert_true(mse_toml_get(root, "b")->integer == 1000);
	assert_fails(mse_toml_number(root, "c", true, -1, 1, "", "it", &real, &err), MSE_ERR_LIMIT, "it:4: 'c' is -inf");
	assert_true(mse_toml_get(root, "d")->boolean);
	assert_string_equal(mse_toml_get(root, "e")->text, "line\\");
	assert_string_equal(mse_toml_get(root, "f")->text, "xy");
	inner = mse_toml_get(root, "g");
	assert_int_equal(inner->count, 3);
	assert_true(inner->items[2].items[0].real > 3.4);
	inner = mse_toml_get(mse_toml_get(root, "h"), "i");
	assert_true(mse_toml_get(inner, "j")->seconds == 296638320);
	assert_int_equal(mse_toml_get(mse_toml_get(root, "h"), "k")->type, MSE_TOML_LOCAL_TIME);
	inner = mse_toml_get(root, "l");
	assert_int_equal(inner->type, MSE_TOML_ARRAY);
	assert_int_equal(inner->count, 2);
	assert_true(mse_toml_get(&inner->items[1], "m")->integer == 2);
	assert_int_equal(mse_toml_get(root, "quoted key")->type, MSE_TOML_TABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mission_pages_example_is_understood),
		cmocka_unit_test(egress_is_kept_in_the_one_form_that_manifests_have),
		cmocka_unit_test(what_may_be_left_out_has_its_default),
		cmocka_unit_test(each_mistake_is_named_with_its_line_and_remedy),
		cmocka_unit_test(an_expiry_date_may_be_written_in_each_of_the_ways),
		cmocka_unit_test(dates_before_and_after_leap_days_count_right),
		cmocka_unit_test(the_attestation_table_is_kept),
		cmocka_unit_test(the_files_that_are_named_must_be_there),
		cmocka_unit_test(a_file_that_is_too_large_or_nested_too_deep_is_refused),
		cmocka_unit_test(toml_is_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
