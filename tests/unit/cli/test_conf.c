#include "tests.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/conf.h"
#include "cli/client.h"
#include "cli/runtime.h"
#include "cli/store.h"

static struct mse_error_info err;
static char folder[64];
static struct mse_cli cli;

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "%s", "/tmp/mse-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	setenv("MSE_CONF_PATH", folder, 1);
	cli = (struct mse_cli){ .json = true };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(cli.conf_path);
	assert_works(mse_tree_remove(folder, &err));
	return 0;
}

static char *in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void the_owner_s_key_is_made_once_and_is_private(void **state)
{
	struct mse_owner first, second;
	struct stat status;
	mse_autojson *json = NULL;

	(void)state;
	assert_fails(mse_owner_load_existing(&cli, &first, &err), MSE_ERR_NOT_FOUND, "MSE_CONF_PATH");
	assert_works(mse_owner_load(&cli, &first, &err));
	assert_works(mse_owner_load_existing(&cli, &second, &err));
	assert_memory_equal(first.sign.public_key, second.sign.public_key, 32);
	assert_memory_equal(first.log.public_key, second.log.public_key, 32);
	assert_memory_equal(mse_sign_key_seed(&first.sign), mse_sign_key_seed(&second.sign), 32);
	assert_int_equal(stat(in_folder("owner.key"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_works(mse_json_read(in_folder("owner.key"), 4096, &json, &err));
	mse_owner_clear(&first);
	mse_owner_clear(&second);
}

static void a_key_that_others_can_read_or_that_is_damaged_is_refused(void **state)
{
	struct mse_owner owner;
	mse_autofree uint8_t *data = NULL;
	size_t size;

	(void)state;
	assert_works(mse_owner_load(&cli, &owner, &err));
	mse_owner_clear(&owner);
	assert_int_equal(chmod(in_folder("owner.key"), 0640), 0);
	assert_fails(mse_owner_load(&cli, &owner, &err), MSE_ERR_DENIED, "chmod 600");
	assert_works(mse_file_read(in_folder("owner.key"), 4096, &data, &size, &err));
	assert_works(mse_file_write(in_folder("owner.key"), data, size - 1, 0600, &err));
	assert_fails(mse_owner_load(&cli, &owner, &err), MSE_ERR_INPUT, "backup");
	data[30] = '!';
	assert_works(mse_file_write(in_folder("owner.key"), data, size, 0600, &err));
	assert_fails(mse_owner_load(&cli, &owner, &err), MSE_ERR_INPUT, "owner.key");
}

static void a_configuration_folder_that_others_can_write_to_is_refused(void **state)
{
	(void)state;
	assert_int_equal(chmod(folder, 0770), 0);
	assert_fails(mse_conf_open(&cli, &err), MSE_ERR_DENIED, "chmod 700");
	assert_int_equal(chmod(folder, 0700), 0);
	assert_works(mse_conf_open(&cli, &err));
}

static void what_is_pinned_of_a_node_is_kept_per_address(void **state)
{
	struct mse_node_record record, found;
	mse_autofree char *path = NULL, *other = NULL, *again = NULL;

	(void)state;
	assert_works(mse_node_record_load(&cli, "unix:/a", &record, &path, &err));
	assert_false(record.has_root || record.has_platform);
	record.has_root = true;
	memset(record.simulation_root, 7, sizeof record.simulation_root);
	assert_works(mse_node_record_save(&cli, "unix:/a", &record, &err));
	assert_works(mse_node_record_load(&cli, "unix:/a", &found, &again, &err));
	assert_true(found.has_root);
	assert_false(found.has_platform);
	assert_memory_equal(found.simulation_root, record.simulation_root, 32);
	assert_works(mse_node_record_load(&cli, "unix:/b", &found, &other, &err));
	assert_false(found.has_root);
}

static void a_damaged_pin_is_an_error_and_not_a_first_contact(void **state)
{
	struct mse_node_record record = { .has_root = true };
	mse_autofree char *path = NULL, *again = NULL;

	(void)state;
	assert_works(mse_node_record_save(&cli, "unix:/a", &record, &err));
	assert_works(mse_node_record_load(&cli, "unix:/a", &record, &path, &err));
	assert_works(mse_file_write(path, "{", 1, 0600, &err));
	assert_true(mse_node_record_load(&cli, "unix:/a", &record, &again, &err) < 0);
	assert_works(mse_file_write(path, "{\"address\":\"unix:/a\",\"simulation_root\":\"ab\"}", 44, 0600, &err));
	assert_true(mse_node_record_load(&cli, "unix:/a", &record, &again, &err) < 0);
}

static void only_local_nodes_are_spoken_to(void **state)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;

	(void)state;
	assert_fails(mse_client_open_address("https://node.example", &node, &err), MSE_ERR_UNSUPPORTED, "later release");
	assert_fails(mse_client_open_address("unix:", &node, &err), MSE_ERR_UNSUPPORTED, "unix:PATH");
	assert_fails(mse_client_open_address("unix:/nowhere/node.sock", &node, &err), MSE_ERR_NOT_FOUND, "msed");
}

static void a_link_in_a_socket_s_place_has_the_name_of_the_socket(void **state)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;
	char address[300];

	(void)state;
	assert_works(mse_file_write(in_folder("other"), "", 0, 0600, &err));
	assert_int_equal(symlink(in_folder("other"), "/tmp/mse-test-link.sock"), 0);
	snprintf(address, sizeof address, "%s", "unix:/tmp/mse-test-link.sock");
	assert_works(mse_client_open_address(address, &node, &err));
	unlink("/tmp/mse-test-link.sock");
	assert_string_equal(mse_client_address(node), address);
}

static void apps_are_chosen_by_name_and_by_id(void **state)
{
	static const char text[] =
		"[{\"id\":\"aaaa1111\",\"name\":\"web\",\"project\":\"p\",\"status\":\"stopped\"},"
		"{\"id\":\"bbbb2222\",\"name\":\"web\",\"project\":\"p\",\"status\":\"running\"},"
		"{\"id\":\"bbbb3333\",\"name\":\"api\",\"project\":\"p\",\"status\":\"running\"},"
		"{\"id\":\"cccc4444\",\"name\":\"api\",\"project\":\"q\",\"status\":\"running\"},"
		"{\"id\":\"dddd5555\",\"name\":\"old\",\"project\":\"p\",\"status\":\"stopped\"},"
		"{\"id\":\"dddd6666\",\"name\":\"old\",\"project\":\"p\",\"status\":\"stopped\"}]";
	mse_autojson *apps = NULL, *by_name = NULL, *by_id = NULL, *by_project = NULL, *newest = NULL, *none = NULL;

	(void)state;
	assert_works(mse_json_parse(text, sizeof text - 1, "apps", &apps, &err));
	assert_works(mse_apps_choose(apps, "web", NULL, &by_name, &err));
	assert_string_equal(json_string_value(json_object_get(by_name, "id")), "bbbb2222");
	assert_works(mse_apps_choose(apps, "cccc", NULL, &by_id, &err));
	assert_string_equal(json_string_value(json_object_get(by_id, "id")), "cccc4444");
	assert_works(mse_apps_choose(apps, "api", "q", &by_project, &err));
	assert_string_equal(json_string_value(json_object_get(by_project, "id")), "cccc4444");
	assert_works(mse_apps_choose(apps, "old", NULL, &newest, &err));
	assert_string_equal(json_string_value(json_object_get(newest, "id")), "dddd5555");
	assert_fails(mse_apps_choose(apps, "api", NULL, &none, &err), MSE_ERR_INPUT, "--project");
	assert_fails(mse_apps_choose(apps, "bbbb", NULL, &none, &err), MSE_ERR_INPUT, "more digits");
	assert_fails(mse_apps_choose(apps, "ccc", NULL, &none, &err), MSE_ERR_NOT_FOUND, "mse list");
	assert_fails(mse_apps_choose(apps, "web", "q", &none, &err), MSE_ERR_NOT_FOUND, "'q'");
}

static void store_app(const char *id, const char *name, const char *url, int64_t created_at)
{
	mse_autofree char *path = NULL, *file = NULL;
	mse_autojson *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "id", id, "name", name, "project", "p", "url", url, "instance_url",
		"https://i.mse.localhost:1/", "created_at", (json_int_t)created_at, "status", "", "box_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");

	assert_works(mse_stored_begin(&cli, id, &path, &err));
	assert_works(mse_path_join(path, "app.json", &file, &err));
	assert_works(mse_json_write(file, json, 0600, &err));
	assert_works(mse_stored_finish(&cli, id, &path, &err));
}

#define ID_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define ID_2 "2222222222222222222222222222222222222222222222222222222222222222"

static void the_newest_deployment_of_a_url_is_found(void **state)
{
	mse_cleanup(mse_stored_app_freep) struct mse_stored_app *by_host = NULL, *by_port = NULL, *by_name = NULL, *none = NULL, *by_id = NULL;

	(void)state;
	store_app(ID_1, "web", "https://abc.mse.localhost:8443/", 1000);
	store_app(ID_2, "web", "https://abc.mse.localhost:8443/", 2000);
	assert_works(mse_stored_find_url(&cli, "abc.mse.localhost", "https://abc.mse.localhost:8443/x", &by_host, &err));
	assert_string_equal(by_host->id_text, ID_2);
	assert_works(mse_stored_find_url(&cli, "127.0.0.1", "https://127.0.0.1:8443", &by_port, &err));
	assert_non_null(by_port);
	assert_works(mse_stored_find_url(&cli, "127.0.0.1", "https://127.0.0.1:8444", &none, &err));
	assert_null(none);
	assert_works(mse_stored_find_url(&cli, "bc.mse.localhost", "https://bc.mse.localhost:8443", &none, &err));
	assert_null(none);
	assert_works(mse_stored_find(&cli, "web", NULL, &by_name, &err));
	assert_string_equal(by_name->id_text, ID_2);
	assert_works(mse_stored_find(&cli, "11111", NULL, &by_id, &err));
	assert_string_equal(by_id->id_text, ID_1);
}

static void the_runtime_of_the_release_is_sorted_and_strict(void **state)
{
	static const char good[] = "{\"security_version\":3,\"files\":{\"mse-enclave\":\"sha256:" ID_1 "\",\"libmse_python.so\":\"sha256:" ID_2 "\"}}";
	static const char bad[] = "{\"security_version\":3,\"files\":{}}";
	struct mse_runtime runtime;

	(void)state;
	assert_works(mse_file_write(in_folder("runtime.json"), good, sizeof good - 1, 0600, &err));
	assert_works(mse_runtime_read(in_folder("runtime.json"), &runtime, &err));
	assert_int_equal(runtime.count, 2);
	assert_int_equal(runtime.security_version, 3);
	assert_string_equal(runtime.files[0].name, "libmse_python.so");
	assert_int_equal(runtime.files[1].sha256[0], 0x11);
	mse_runtime_clear(&runtime);
	assert_works(mse_file_write(in_folder("runtime.json"), bad, sizeof bad - 1, 0600, &err));
	assert_fails(mse_runtime_read(in_folder("runtime.json"), &runtime, &err), MSE_ERR_LIMIT, "0 files");
	assert_fails(mse_runtime_read(in_folder("nothing.json"), &runtime, &err), MSE_ERR_NOT_FOUND, "install it again");
}

static void an_owner_s_public_key_is_taken_as_hex_base64_or_file(void **state)
{
	uint8_t key[32];

	(void)state;
	assert_works(mse_owner_key_parse(ID_1, key, &err));
	assert_int_equal(key[31], 0x11);
	assert_works(mse_owner_key_parse("IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI=", key, &err));
	assert_int_equal(key[0], 0x22);
	assert_works(mse_file_write(in_folder("key.pub"), ID_1 "\n", 65, 0600, &err));
	assert_works(mse_owner_key_parse(in_folder("key.pub"), key, &err));
	assert_int_equal(key[0], 0x11);
	assert_fails(mse_owner_key_parse("abcd", key, &err), MSE_ERR_NOT_FOUND, "hex");
	assert_works(mse_file_write(in_folder("key.pub"), "nonsense", 8, 0600, &err));
	assert_fails(mse_owner_key_parse(in_folder("key.pub"), key, &err), MSE_ERR_INPUT, "key.pub");
}

static void text_from_elsewhere_cannot_steer_a_terminal(void **state)
{
	char text[] = "a\033[2Jb\nc\177\xc2\x9b" "2Jd\xc3\xa9";

	(void)state;
	assert_string_equal(mse_cli_printable(text), "a?[2Jb?c??" "?2Jd\xc3\xa9");
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int test_conf(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(the_owner_s_key_is_made_once_and_is_private),
		WITH_FOLDER(a_key_that_others_can_read_or_that_is_damaged_is_refused),
		WITH_FOLDER(a_configuration_folder_that_others_can_write_to_is_refused),
		WITH_FOLDER(what_is_pinned_of_a_node_is_kept_per_address),
		WITH_FOLDER(a_damaged_pin_is_an_error_and_not_a_first_contact),
		WITH_FOLDER(only_local_nodes_are_spoken_to),
		WITH_FOLDER(a_link_in_a_socket_s_place_has_the_name_of_the_socket),
		cmocka_unit_test(apps_are_chosen_by_name_and_by_id),
		WITH_FOLDER(the_newest_deployment_of_a_url_is_found),
		WITH_FOLDER(the_runtime_of_the_release_is_sorted_and_strict),
		WITH_FOLDER(an_owner_s_public_key_is_taken_as_hex_base64_or_file),
		cmocka_unit_test(text_from_elsewhere_cannot_steer_a_terminal),
	};

	return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
