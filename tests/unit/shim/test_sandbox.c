/* The sandbox that mse-shim builds, the CPU that it plays in it, and what it refuses to run. */
#include "harness.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "bundle/tree_scan.h"

/* ---- the sandbox ---- */

static void expect_sandbox(const char *log)
{
	static const char *const lines[] = {
		"fd 0 /dev/null\n", "fd 3 socket:",
		"fd 4 socket:", "fd 5 /", "write /: Read-only", "write /usr: Read-only", "write /etc: Read-only", "write /mse: Read-only",
		"write /mse/lib: Read-only", "write /dev: Read-only", "write /tmp: yes mode 1777 size 16777216", "write /root: yes mode 700 size ",
		"write /mse-app: yes mode 755 size 33554432", "write /run: yes mode 755 size 4194304",
		"write /dev/shm: yes mode 1777 size 8388608", "dir /mse: bin lib manifest.json manifest.sig\n", "dir /mse/bin: mse-enclave\n",
		"dir /mse/lib: libtest.so\n", "file /mse/lib/libtest.so: a library\n", "file /usr/share/marker: of the image\n",
		"127.0.0.1 localhost mse\n", "file /etc/image-release: 1\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
		"CapBnd:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "core 0 files 8192 host mse uid 0 gid 0\n",
		"link works\n", "userns: refused\n",
		"dir /: dev etc home mse mse-app proc root run shortcut tmp usr\n",
	};
	static const char *const never[] = { "fd 6 ", "fd 7 ", "fd 20 ", "fd 300 ", "leaked", "unlisted", "not to be seen", "chown: yes", "bundle write: yes",
		"image write: yes" };
	unsigned variables = 0;

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		expect(log, lines[i]);
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
		expect_not(log, never[i]);
	for (const char *p = log; (p = strstr(p, "\nenv ")) != NULL; p++)
		variables++;
	/* Which bubblewrap adds. */
	assert_int_equal(variables + (strncmp(log, "env ", 4) == 0), 1);
	expect(log, "env PWD=/\n");
}

/* What the host sees of the process. */
static void expect_host_user(int64_t pid, unsigned uid)
{
	mse_autofree uint8_t *map = NULL;
	char path[64], line[64], text[4096] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof text - 1, file) > 0);
	fclose(file);
	snprintf(line, sizeof line, "Uid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
	expect(text, line);
	snprintf(line, sizeof line, "Gid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
	expect(text, line);
	expect(text, "Name:\tmse-enclave\n");
}

static void probe_as(uid_t user, unsigned enclave_uid)
{
	struct app *app = new_app_for("storage:1 await probe status:1 wait", user);
	mse_autofree char *log = NULL;

	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect_sandbox(log);
	expect_host_user(app->status.enclave_pid, enclave_uid);
	stop(app);
	end(app);
}

static void the_sandbox_is_what_was_promised(void **state)
{
	(void)state;
	probe_as(geteuid(), geteuid() == 0 ? APP_UID : geteuid());
}

static void a_shim_without_root_builds_the_same_sandbox(void **state)
{
	(void)state;
	/* Without root the test above was that. */
	if (geteuid() == 0)
		probe_as(USER_UID, USER_UID);
}

static void files_of_a_folder_in_memory_are_limited_in_number(void **state)
{
	struct app *app = new_app("storage:1 await probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	if (geteuid() == 0)
		expect(log, "write /tmp: yes mode 1777 size 16777216 inodes 5120 nosuid 1 nodev 1\n");
	stop(app);
	end(app);
}

static void names_are_resolved_by_the_apps_own_gateway(void **state)
{
	struct app *app = new_app("storage:1 await probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	/* As regular files, as links to nowhere, and missing: the image's own are never used. */
	put(app, "image/etc/hosts", "10.0.0.1 wrong", 0644);
	assert_int_equal(symlink("../run/wrong/resolv.conf", path_in(app, "image/etc/resolv.conf")), 0);
	assert_works(mse_tree_digest_dir(path_in(app, "image"), MSE_TREE_IMAGE, app->manifest->image_digest, &err));
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect_not(log, "wrong");
	expect(log, "127.0.0.1 localhost mse\n");
	expect(log, "file /etc/resolv.conf: nameserver 192.0.2.3\n");
	stop(app);
	end(app);
}

static void an_image_with_places_for_the_hosts_files_is_bound_in_one_piece(void **state)
{
	struct app *app = new_app("storage:1 await probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	put(app, "image/etc/hosts", "10.0.0.1 wrong", 0644);
	put(app, "image/etc/resolv.conf", "nameserver wrong", 0644);
	assert_works(mse_tree_digest_dir(path_in(app, "image"), MSE_TREE_IMAGE, app->manifest->image_digest, &err));
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect_not(log, "wrong");
	expect_sandbox(log);
	stop(app);
	end(app);
}

/* ---- the CPU ---- */

static const char *hex_after(const char *log, const char *name)
{
	const char *line = strstr(log, name);

	if (line == NULL)
		fail_msg("'%s' is not in:\n%s", name, log);
	return strrchr(name, ' ') == NULL ? line : line + strlen(name);
}

static void a_quote_carries_the_manifests_digest_and_the_report_data(void **state)
{
	struct app *app = new_app("quote collateral status:1 wait");
	mse_autofree char *log = NULL;
	uint8_t quote[600];
	char measurement[65];
	const char *hex;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	hex = strchr(hex_after(log, "quote "), ' ') + 1;
	for (size_t i = 0; i < sizeof quote; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &quote[i]), 1);
	/* Intel SGX ECDSA quote library API, appendix A: a header of 48 bytes, then the report body: MRENCLAVE at 64, ISVSVN at 258,
	 * report data at 320. */
	mse_hex_encode(measurement, quote + 48 + 64, 32);
	assert_string_equal(measurement, app->status.measurement);
	assert_int_equal(quote[48 + 258], 7);
	assert_memory_equal(quote + 48 + 320, "report data", 12);
	expect(log, "collateral is there");
	stop(app);
	end(app);
}

static void sealing_keys_are_an_enclaves_own_and_end_with_its_start(void **state)
{
	struct app *app = new_app("key:one key:two key:one nul-key started key:one key:three status:1 wait");
	mse_autofree char *log = NULL;
	const char *first, *second, *third;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	first = strstr(log, "key:one 32 ");
	second = strstr(log, "key:two 32 ");
	assert_non_null(first);
	assert_non_null(second);
	third = strstr(first + 1, "key:one 32 ");
	assert_non_null(third);
	assert_memory_equal(first, third, 11 + 64);
	assert_memory_not_equal(first + 11, second + 11, 64);
	expect(log, "nul-key refused: a label is text");
	expect(log, "key:one refused: no sealing key leaves the CPU after the start");
	expect(log, "key:three refused: no sealing key");
	stop(app);
	end(app);
}

/* ---- what differs from the manifest ---- */

static void refused(struct app *app, const char *reason)
{
	mse_autofree char *log = NULL;

	if (app->shim == 0)
		start(app);
	await(app, is_on_error);
	if (strstr(app->status.reason, reason) == NULL)
		fail_msg("the reason '%s' does not speak of '%s'", app->status.reason, reason);
	assert_int_equal(app->status.enclave_pid, 0);
	log = shim_log(app);
	expect_not(log, "the sandbox");
	stop(app);
	end(app);
}

static void a_changed_bundle_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	put(app, "app/bundle", "status:2 wait", 0600);
	refused(app, "the bundle is not the one that the manifest names");
}

static void a_missing_bundle_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	assert_int_equal(unlink(path_in(app, "app/bundle")), 0);
	refused(app, "the bundle cannot be opened");
}

static void a_changed_image_is_refused_although_its_digest_was_kept(void **state)
{
	struct app *app = new_app("status:1 wait");
	uint8_t digest[32];

	(void)state;
	/* A file is believed by its stat data only when these are not of this very moment. */
	sleep(1);
	assert_works(mse_tree_digest_dir_cached(path_in(app, "image"), path_in(app, "image.cache"), digest, NULL, &err));
	put(app, "image/usr/share/marker", "of an attack", 0644);
	refused(app, "image 'nothing' is not the one that the manifest names");
}

static bool runs_again_or_not(const struct mse_shim_status *status)
{
	return is_on_error(status) || (is_initializing(status) && status->restarts > 0);
}

static void an_image_changed_while_the_app_runs_is_found_at_the_restart(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	start(app);
	await(app, is_initializing);
	put(app, "image/usr/share/another", "file", 0644);
	kill((pid_t)app->status.enclave_pid, SIGKILL);
	await(app, runs_again_or_not);
	assert_string_equal(app->status.reason, "image 'nothing' is not the one that the manifest names: its files differ");
	stop(app);
	end(app);
}

static void another_image_at_the_same_path_is_not_used_by_a_restart(void **state)
{
	struct app *app = new_app("storage:1 await probe status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	if (geteuid() != 0)
		return;
	start(app);
	await(app, is_initializing);
	assert_int_equal(rename(path_in(app, "image"), path_in(app, "image.old")), 0);
	make_image(app);
	put(app, "image/usr/share/marker", "of an attack", 0644);
	kill((pid_t)app->status.enclave_pid, SIGKILL);
	await(app, runs_again_or_not);
	assert_int_equal(app->status.state, MSE_SHIM_INITIALIZING);
	log = app_log(app);
	expect_not(log, "of an attack");
	stop(app);
	end(app);
}

static void another_program_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	put(app, "bin/mse-enclave", "#!/bin/sh\n", 0755);
	refused(app, "runtime file 'mse-enclave' is not the one that the manifest names");
}

static void another_library_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	put(app, "lib/libtest.so", "a  library", 0755);
	refused(app, "runtime file 'libtest.so' is not the one that the manifest names");
}

static void a_manifest_without_the_program_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	app->manifest->runtime_file_count = 1;
	refused(app, "names no runtime file 'mse-enclave'");
}

static void another_instances_manifest_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	app->manifest->instance_id[0] ^= 1;
	refused(app, "the manifest is another instance's");
}

static void a_manifest_that_the_owner_did_not_sign_is_refused(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct mse_sign_key other;

	(void)state;
	assert_works(mse_sign_key_generate(&other, &err));
	mse_sign_key_clear(&app->owner);
	app->owner = other;
	refused(app, "the manifest's signature");
}

static void a_file_that_is_replaced_while_the_app_runs_changes_nothing(void **state)
{
	struct app *app = new_app("status:1 wait");
	int64_t first;

	(void)state;
	/* Without root there is no way to bind what has no path any more. */
	if (geteuid() != 0)
		return;
	start(app);
	await(app, is_initializing);
	first = app->status.enclave_pid;
	put(app, "bin/mse-enclave", "another version", 0755);
	put(app, "app/bundle", "exit:9", 0600);
	kill((pid_t)first, SIGKILL);
	await(app, is_initializing);
	assert_true(app->status.enclave_pid != first);
	stop(app);
	end(app);
}

static void as_root_an_enclave_must_have_a_user_of_its_own(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	app->config->uid = app->config->gid = app->config->uid == 0 ? 12345 : 0;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, app->config->uid == 0 ? "the sandbox cannot be started: as root, an app needs a user of its own"
								      : "the sandbox cannot be started: only root can give an app a user of its own");
	end(app);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_sandbox_is_what_was_promised, clean_up),
		cmocka_unit_test_teardown(a_shim_without_root_builds_the_same_sandbox, clean_up),
		cmocka_unit_test_teardown(files_of_a_folder_in_memory_are_limited_in_number, clean_up),
		cmocka_unit_test_teardown(names_are_resolved_by_the_apps_own_gateway, clean_up),
		cmocka_unit_test_teardown(an_image_with_places_for_the_hosts_files_is_bound_in_one_piece, clean_up),
		cmocka_unit_test_teardown(a_quote_carries_the_manifests_digest_and_the_report_data, clean_up),
		cmocka_unit_test_teardown(sealing_keys_are_an_enclaves_own_and_end_with_its_start, clean_up),
		cmocka_unit_test_teardown(a_changed_bundle_is_refused, clean_up),
		cmocka_unit_test_teardown(a_missing_bundle_is_refused, clean_up),
		cmocka_unit_test_teardown(a_changed_image_is_refused_although_its_digest_was_kept, clean_up),
		cmocka_unit_test_teardown(an_image_changed_while_the_app_runs_is_found_at_the_restart, clean_up),
		cmocka_unit_test_teardown(another_image_at_the_same_path_is_not_used_by_a_restart, clean_up),
		cmocka_unit_test_teardown(another_program_is_refused, clean_up),
		cmocka_unit_test_teardown(another_library_is_refused, clean_up),
		cmocka_unit_test_teardown(a_manifest_without_the_program_is_refused, clean_up),
		cmocka_unit_test_teardown(another_instances_manifest_is_refused, clean_up),
		cmocka_unit_test_teardown(a_manifest_that_the_owner_did_not_sign_is_refused, clean_up),
		cmocka_unit_test_teardown(a_file_that_is_replaced_while_the_app_runs_changes_nothing, clean_up),
		cmocka_unit_test_teardown(as_root_an_enclave_must_have_a_user_of_its_own, clean_up),
	};

	return prepare_tests(argc, argv) < 0 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
