/* The life of an app under mse-shim: running, crashes, restarts, stop, expiry. */
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

static bool runs_again(const struct mse_shim_status *status)
{
	return is_running(status) && status->restarts == 1;
}

/* ---- life ---- */

static void an_enclave_that_is_killed_comes_back_with_its_state_and_its_socket(void **state)
{
	struct app *app = new_app("load save started status:2 status:3 serve:0");
	mse_autofree char *log = NULL;
	int64_t first;

	(void)state;
	start(app);
	await(app, is_running);
	assert_true(app->status.provisioned);
	first = app->status.enclave_pid;
	assert_int_equal(kill((pid_t)first, SIGKILL), 0);
	await(app, runs_again);
	assert_true(app->status.enclave_pid != first);
	log = app_log(app);
	expect(log, "load 0 \n");
	expect(log, "load 12 7365616c6564207374617465\n");
	stop(app);
	end(app);
}

static void the_app_runs_once_its_health_check_says_so(void **state)
{
	struct app *app = new_app("status:1 status:2 status:3 serve:12");
	mse_autofree char *log = NULL;
	unsigned asked = 0;

	(void)state;
	start(app);
	await(app, is_running);
	stop(app);
	log = app_log(app);
	expect(log, "request GET /health?deep=1 HTTP/1.1\r\nHost: 0123456789ab.mse.localhost:");
	for (const char *p = log; (p = strstr(p, "request GET")) != NULL; p++)
		asked++;
	assert_int_equal(asked, 13);
	end(app);
}

static void stopping_destroys_state_and_bundle_and_keeps_the_log(void **state)
{
	struct app *app = new_app("save status:1 wait");
	struct mse_shim_status status;
	int64_t enclave;

	(void)state;
	start(app);
	await(app, is_initializing);
	enclave = app->status.enclave_pid;
	assert_true(mse_path_exists(path_in(app, "app/sealed")));
	put(app, "app/sealed.Ab12Cd", "half written", 0600);
	stop(app);
	expect_gone(enclave);
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	assert_false(mse_path_exists(path_in(app, "app/sealed.Ab12Cd")));
	assert_false(mse_path_exists(path_in(app, "app/bundle")));
	assert_false(mse_path_exists(path_in(app, "app/control.sock")));
	assert_true(mse_path_exists(path_in(app, "app/log")));
	assert_works(mse_shim_status_read(app->dir, app->config->instance_id, &status, &err));
	assert_true(is_final(&status));
	/* Nothing starts again. */
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 0);
	assert_works(mse_shim_status_read(app->dir, app->config->instance_id, &status, &err));
	assert_true(is_final(&status));
	end(app);
}

static void an_enclave_that_does_not_stop_is_killed(void **state)
{
	struct app *app = new_app("status:1 deaf");
	uint64_t begun;

	(void)state;
	start(app);
	await(app, is_initializing);
	begun = mse_monotonic_ms();
	stop(app);
	assert_in_range(mse_monotonic_ms() - begun, 4500, 9000);
	end(app);
}

static void at_its_expiry_an_app_stops(void **state)
{
	struct app *app = new_app("save status:1 wait");

	(void)state;
	app->manifest->expires_at = mse_time_now() + 2;
	start(app);
	await(app, is_initializing);
	await(app, is_final);
	assert_string_equal(app->status.reason, "expired");
	assert_true(mse_time_now() >= app->manifest->expires_at);
	assert_int_equal(wait_for_exit(app), 0);
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	end(app);
}

static void an_app_that_expired_while_no_shim_ran_never_starts(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct mse_shim_status status;

	(void)state;
	app->config->expires_at = mse_time_now() - 5;
	write_files(app);
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 0);
	assert_works(mse_shim_status_read(app->dir, app->config->instance_id, &status, &err));
	assert_true(is_final(&status));
	assert_string_equal(status.reason, "expired");
	assert_false(mse_path_exists(path_in(app, "app/bundle")));
	end(app);
}

static void sigterm_ends_shim_and_enclave_and_the_next_shim_resumes(void **state)
{
	struct app *app = new_app("load save status:1 wait");
	mse_autofree char *log = NULL;
	struct mse_shim_status status;
	int64_t enclave;

	(void)state;
	start(app);
	await(app, is_initializing);
	enclave = app->status.enclave_pid;
	kill(app->shim, SIGTERM);
	assert_int_equal(wait_for_exit(app), 0);
	expect_gone(enclave);
	assert_works(mse_shim_status_read(app->dir, app->config->instance_id, &status, &err));
	assert_false(status.final);
	run_shim(app);
	connect_to(app);
	await(app, is_initializing);
	log = app_log(app);
	expect(log, "load 12 ");
	stop(app);
	end(app);
}

static void a_shim_that_is_killed_takes_its_enclave_along_and_the_next_resumes(void **state)
{
	struct app *app = new_app("load save status:1 wait");
	mse_autofree char *log = NULL;
	int64_t enclave;

	(void)state;
	start(app);
	await(app, is_initializing);
	enclave = app->status.enclave_pid;
	kill(app->shim, SIGKILL);
	wait_for_exit(app);
	/* At once, while the old enclave may still hold the port. */
	run_shim(app);
	expect_gone(enclave);
	usleep(20000);
	connect_to(app);
	await(app, is_initializing);
	log = app_log(app);
	expect(log, "load 12 ");
	stop(app);
	end(app);
}

static void a_stop_that_was_interrupted_is_finished_by_the_next_shim(void **state)
{
	struct app *app = new_app("save status:1 deaf");
	struct mse_shim_status status;

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_works(mse_shim_send_stop(app->control, "replaced", &err));
	do
		assert_works(mse_shim_receive(app->control, PATIENCE_MS, app->pending, &app->status, &err));
	while (app->status.state != MSE_SHIM_STOPPED);
	assert_false(app->status.final);
	/* The line is said before the file is written, which may take its time. */
	for (unsigned tries = 0; tries < 3000; tries++) {
		if (mse_shim_status_read(app->dir, app->config->instance_id, &status, &err) == 0 && status.state == MSE_SHIM_STOPPED)
			break;
		usleep(10000);
	}
	kill(app->shim, SIGKILL);
	wait_for_exit(app);
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 0);
	assert_works(mse_shim_status_read(app->dir, app->config->instance_id, &status, &err));
	assert_true(is_final(&status));
	assert_string_equal(status.reason, "replaced");
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	end(app);
}

static void two_shims_do_not_share_a_folder(void **state)
{
	struct app *app = new_app("status:1 wait");
	pid_t first;

	(void)state;
	start(app);
	await(app, is_initializing);
	first = app->shim;
	run_shim(app);
	assert_int_equal(wait_for_exit(app), 1);
	app->shim = first;
	stop(app);
	end(app);
}

static void overwrite(const struct app *app, const char *name)
{
	int fd = open(path_in(app, name), O_WRONLY);

	assert_int_equal(pwrite(fd, "!", 1, 1), 1);
	close(fd);
}

static void what_was_written_to_under_a_running_enclave_is_refused_at_its_restart(void **state)
{
	static const struct {
		const char *file, *reason;
	} cases[] = { { "lib/libtest.so", "runtime file 'libtest.so' is not the one that the manifest names" },
		{ "app/bundle", "the bundle is not the one that the manifest names" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct app *app = new_app("status:1 wait");

		start(app);
		await(app, is_initializing);
		overwrite(app, cases[i].file);
		kill((pid_t)app->status.enclave_pid, SIGKILL);
		await(app, is_on_error);
		assert_string_equal(app->status.reason, cases[i].reason);
		stop(app);
		end(app);
	}
}

static void a_fifo_in_the_way_of_a_status_holds_nobody_up(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct mse_shim_status status;

	(void)state;
	assert_int_equal(mkfifo(path_in(app, "app/status.json.new"), 0600), 0);
	start(app);
	await(app, is_initializing);
	stop(app);
	assert_works(mse_shim_status_read(app->dir, app->config->instance_id, &status, &err));
	assert_true(is_final(&status));
	end(app);
}

static void folders_in_the_place_of_what_is_destroyed_are_removed(void **state)
{
	struct app *app = new_app("status:1 wait");

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_works(mse_dir_make(path_in(app, "app/sealed/deep"), 0700, &err));
	stop(app);
	assert_false(mse_path_exists(path_in(app, "app/sealed")));
	end(app);
}

static void an_enclave_that_ends_again_and_again_is_given_up(void **state)
{
	struct app *app = new_app("status:1 exit:3");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the enclave ends again and again");
	assert_int_equal(app->status.restarts, 2);
	assert_false(app->status.final);
	address.sin_port = htons(app->config->port);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
	close(fd);
	stop(app);
	end(app);
}

static void one_crash_is_restarted_at_once(void **state)
{
	struct app *app = new_app("once status:1 wait");
	uint64_t begun = mse_monotonic_ms();

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_int_equal(app->status.restarts, 1);
	assert_true(mse_monotonic_ms() - begun < 5000);
	stop(app);
	end(app);
}

static void failures_that_a_restart_does_not_mend_are_told_and_not_restarted(void **state)
{
	static const struct {
		const char *words, *reason;
	} cases[] = {
		{ "status:10 exit:1", "the bundle does not open, or is not what was committed to" },
		{ "status:11 exit:1", "the application could not be imported" },
		{ "status:12 exit:1", "the image has no usable libpython" },
		{ "status:13 exit:1", "the sealed state does not open here" },
		{ "status:11 status:14 status:3 exit:1", "the application could not be imported" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct app *app = new_app(cases[i].words);

		start(app);
		await(app, is_on_error);
		assert_string_equal(app->status.reason, cases[i].reason);
		assert_int_equal(app->status.restarts, 0);
		stop(app);
		end(app);
	}
}

static void an_internal_error_is_restarted_as_a_crash_is(void **state)
{
	struct app *app = new_app("status:14 exit:1");

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the enclave ends again and again");
	assert_int_equal(app->status.restarts, 2);
	end(app);
}

static void an_enclave_that_tells_its_failure_and_stays_is_killed(void **state)
{
	struct app *app = new_app("status:11 deaf");

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the application could not be imported");
	end(app);
}

static void an_enclave_that_closes_its_channel_is_ended(void **state)
{
	struct app *app = new_app("status:1 close");

	(void)state;
	start(app);
	await(app, is_on_error);
	assert_int_equal(app->status.restarts, 2);
	end(app);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_enclave_that_is_killed_comes_back_with_its_state_and_its_socket, clean_up),
		cmocka_unit_test_teardown(the_app_runs_once_its_health_check_says_so, clean_up),
		cmocka_unit_test_teardown(stopping_destroys_state_and_bundle_and_keeps_the_log, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_does_not_stop_is_killed, clean_up),
		cmocka_unit_test_teardown(at_its_expiry_an_app_stops, clean_up),
		cmocka_unit_test_teardown(an_app_that_expired_while_no_shim_ran_never_starts, clean_up),
		cmocka_unit_test_teardown(sigterm_ends_shim_and_enclave_and_the_next_shim_resumes, clean_up),
		cmocka_unit_test_teardown(a_shim_that_is_killed_takes_its_enclave_along_and_the_next_resumes, clean_up),
		cmocka_unit_test_teardown(a_stop_that_was_interrupted_is_finished_by_the_next_shim, clean_up),
		cmocka_unit_test_teardown(two_shims_do_not_share_a_folder, clean_up),
		cmocka_unit_test_teardown(what_was_written_to_under_a_running_enclave_is_refused_at_its_restart, clean_up),
		cmocka_unit_test_teardown(a_fifo_in_the_way_of_a_status_holds_nobody_up, clean_up),
		cmocka_unit_test_teardown(folders_in_the_place_of_what_is_destroyed_are_removed, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_ends_again_and_again_is_given_up, clean_up),
		cmocka_unit_test_teardown(one_crash_is_restarted_at_once, clean_up),
		cmocka_unit_test_teardown(failures_that_a_restart_does_not_mend_are_told_and_not_restarted, clean_up),
		cmocka_unit_test_teardown(an_internal_error_is_restarted_as_a_crash_is, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_tells_its_failure_and_stays_is_killed, clean_up),
		cmocka_unit_test_teardown(an_enclave_that_closes_its_channel_is_ended, clean_up),
	};

	return prepare_tests(argc, argv) < 0 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
