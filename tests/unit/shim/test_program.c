/* Programs that work for the shim, and the surroundings in which it lives. */
#include "../test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "shim/program.h"
#include "shim/world.h"

#define USER 65432u /* whom nobody else uses */
#define TIMEOUT_MS 20000u

static struct mse_error_info err;

/* What a script says, as the message of a program that fails. */
static const char *said_by(const char *script, struct mse_program program)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };

	program.argv = argv;
	program.what = "the script";
	assert_int_equal(mse_program_run(&program, TIMEOUT_MS, &err), MSE_ERR_IO);
	return err.message;
}

static int run_script(const char *script)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	const struct mse_program program = { .argv = argv, .what = "the script" };

	return mse_program_run(&program, TIMEOUT_MS, &err);
}

static void a_program_that_ends_well_is_a_success(void **state)
{
	(void)state;
	assert_works(run_script("exit 0"));
}

static void a_failure_is_told_in_the_programs_own_first_words(void **state)
{
	(void)state;
	assert_fails(run_script("echo the disk is on fire >&2; exit 3"), MSE_ERR_IO, "the script failed: the disk is on fire");
	assert_fails(run_script("exit 3"), MSE_ERR_IO, "it did not say why");
	assert_fails(run_script("kill -SEGV $$"), MSE_ERR_IO, "ended by signal 11");
}

static void what_a_program_says_is_cut_and_made_text(void **state)
{
	(void)state;
	assert_fails(run_script("printf 'a\\033[2Jb\\n'; exit 1"), MSE_ERR_IO, "a [2Jb");
	assert_fails(run_script("head -c 1000000 /dev/zero | tr '\\0' x; exit 1"), MSE_ERR_IO, "xxxx");
	assert_true(strlen(err.message) < 600);
}

static void a_program_that_is_not_there_is_named(void **state)
{
	static const char *const argv[] = { "/nonexistent/program", NULL };
	const struct mse_program program = { .argv = argv, .what = "nothing" };

	(void)state;
	assert_fails(mse_program_run(&program, TIMEOUT_MS, &err), MSE_ERR_IO, "cannot run '/nonexistent/program'");
}

static void a_program_that_takes_too_long_is_killed(void **state)
{
	static const char *const argv[] = { "/bin/sleep", "1000", NULL };
	const struct mse_program program = { .argv = argv, .what = "the sleeper" };

	(void)state;
	assert_fails(mse_program_run(&program, 300, &err), MSE_ERR_TIMEOUT, "the sleeper did not end");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void a_program_that_closes_its_output_and_stays_is_killed_too(void **state)
{
	static const char *const argv[] = { "/bin/sh", "-c", "exec >&- 2>&-; exec sleep 1000", NULL };
	const struct mse_program program = { .argv = argv, .what = "the silent one" };

	(void)state;
	assert_fails(mse_program_run(&program, 300, &err), MSE_ERR_TIMEOUT, "the silent one did not end");
}

static void the_environment_is_empty(void **state)
{
	(void)state;
	assert_int_equal(setenv("MSE_TEST_SECRET", "passed on", 1), 0);
	/* The shell sets some of its own. */
	assert_null(strstr(said_by("env; exit 1", (struct mse_program){ 0 }), "MSE_TEST_SECRET"));
}

static void only_the_descriptors_meant_for_it_are_there(void **state)
{
	int kept = open("/dev/null", O_RDONLY), given = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	const char *said = said_by("for f in /proc/self/fd/*; do echo $f $(readlink $f); done; exit 1", (struct mse_program){ .fds = { given }, .fd_count = 1 });

	(void)state;
	assert_non_null(strstr(said, "/proc/self/fd/3 /etc/hostname"));
	assert_null(strstr(said, "/proc/self/fd/4 /"));
	close(kept);
	close(given);
}

static void input_comes_on_standard_input_and_ends(void **state)
{
	(void)state;
	assert_non_null(strstr(said_by("cat; exit 1", (struct mse_program){ .input = "the key", .input_size = 7 }), "failed: the key"));
	assert_non_null(strstr(said_by("cat; exit 1", (struct mse_program){ 0 }), "it did not say why"));
}

static void input_that_a_pipe_does_not_hold_is_refused(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	static const char much[4097];
	const struct mse_program program = { .argv = argv, .what = "true", .input = much, .input_size = sizeof much };

	(void)state;
	assert_fails(mse_program_run(&program, TIMEOUT_MS, &err), MSE_ERR_INTERNAL, "too much input");
}

static void another_user_is_without_power_and_cannot_get_it_back(void **state)
{
	const char *said;

	(void)state;
	if (geteuid() != 0)
		skip();
	said = said_by("id -u; id -g; id -G; grep -E '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status; ulimit -c; exit 1", (struct mse_program){ .uid = USER, .gid = USER });
	assert_non_null(strstr(said, "failed: 65432 65432 65432 CapPrm: 0000000000000000 CapEff: 0000000000000000 NoNewPrivs: 1 0"));
}

static int refuse(void *context, struct mse_error_info *error)
{
	return mse_fail(error, MSE_ERR_DENIED, "%s", (const char *)context);
}

static void what_fails_before_the_program_begins_is_told(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	const struct mse_program program = { .argv = argv, .what = "true", .enter = refuse, .context = (void *)"no such group" };

	(void)state;
	assert_fails(mse_program_run(&program, TIMEOUT_MS, &err), MSE_ERR_IO, "true failed: no such group");
}

/* Whether the process ends by itself within a while. */
static bool ends(pid_t pid)
{
	for (unsigned i = 0; i < 400; i++) {
		char path[64];

		snprintf(path, sizeof path, "/proc/%d", (int)pid);
		if (access(path, F_OK) < 0)
			return true;
		usleep(10000);
	}
	return false;
}

static void a_program_ends_with_its_shim(void **state)
{
	static const char *const argv[] = { "/bin/sleep", "1000", NULL };
	const struct mse_program program = { .argv = argv, .what = "the sleeper", .messages = -1 };
	int ends_of[2];
	pid_t shim, sleeper = 0;

	(void)state;
	assert_int_equal(pipe(ends_of), 0);
	shim = fork();
	if (shim == 0) {
		if (mse_program_start(&program, &sleeper, &err) < 0 || write(ends_of[1], &sleeper, sizeof sleeper) != sizeof sleeper)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends_of[0], &sleeper, sizeof sleeper), sizeof sleeper);
	assert_int_equal(kill(sleeper, 0), 0);
	kill(shim, SIGKILL);
	waitpid(shim, NULL, 0);
	assert_true(ends(sleeper));
	close(ends_of[0]);
	close(ends_of[1]);
}

/* In a child, since there is no way back. */
static int in_child(int (*body)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(body());
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static bool is_mounted(const char *path)
{
	struct stat there, above;

	return stat(path, &there) == 0 && stat("/", &above) == 0 && there.st_dev != above.st_dev;
}

static char place[] = "/tmp/mse-world-XXXXXX";

static int enter_and_mount(void)
{
	bool host_root;

	if (mse_world_enter(&host_root, &err) < 0 || mount("mse", place, "tmpfs", 0, NULL) < 0)
		return 1;
	return is_mounted(place) ? (host_root ? 10 : 20) : 2;
}

static int enter_as_user(void)
{
	if (geteuid() == 0 && (setresgid(USER, USER, USER) < 0 || setresuid(USER, USER, USER) < 0))
		return 3;
	/* A change of user makes a process's files in /proc root's; a user's own program has them. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return 3;
	/* Root of a namespace where nobody else exists. */
	return enter_and_mount() == 20 && geteuid() == 0 && setuid(1) < 0 ? 20 : 4;
}

static void what_a_shim_mounts_nobody_else_sees(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(place));
	assert_int_equal(chmod(place, 0777), 0);
	assert_int_equal(in_child(enter_and_mount), geteuid() == 0 ? 10 : 20);
	assert_false(is_mounted(place));
	assert_int_equal(in_child(enter_as_user), 20);
	assert_false(is_mounted(place));
	assert_int_equal(rmdir(place), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_ends_well_is_a_success),
		cmocka_unit_test(a_failure_is_told_in_the_programs_own_first_words),
		cmocka_unit_test(what_a_program_says_is_cut_and_made_text),
		cmocka_unit_test(a_program_that_is_not_there_is_named),
		cmocka_unit_test(a_program_that_takes_too_long_is_killed),
		cmocka_unit_test(a_program_that_closes_its_output_and_stays_is_killed_too),
		cmocka_unit_test(the_environment_is_empty),
		cmocka_unit_test(only_the_descriptors_meant_for_it_are_there),
		cmocka_unit_test(input_comes_on_standard_input_and_ends),
		cmocka_unit_test(input_that_a_pipe_does_not_hold_is_refused),
		cmocka_unit_test(another_user_is_without_power_and_cannot_get_it_back),
		cmocka_unit_test(what_fails_before_the_program_begins_is_told),
		cmocka_unit_test(a_program_ends_with_its_shim),
		cmocka_unit_test(what_a_shim_mounts_nobody_else_sees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
