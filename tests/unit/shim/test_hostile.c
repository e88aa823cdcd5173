/* Enclaves that do not keep to the channel's rules, and visitors of the control socket. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "shim/config.h"

#define OTHER_UID 210003u

/* ---- hostile enclaves ---- */

static void a_malformed_frame_ends_that_enclave_and_nothing_else(void **state)
{
	static const char *const words[] = { "huge", "empty", "long-log", "long-state", "short-quote", "long-status", "bad-status", "bad-type", "shim-type" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		mse_autofree char *log = NULL;
		char script[64];
		struct app *app;

		snprintf(script, sizeof script, "status:1 %s deaf", words[i]);
		app = new_app(script);
		app->config->restart_failures = 1;
		start(app);
		await(app, is_on_error);
		assert_int_equal(app->status.restarts, 0);
		log = shim_log(app);
		expect(log, strcmp(words[i], "bad-status") == 0 ? "a status that does not exist" : "a frame of an unknown kind or of a wrong size");
		stop(app);
		end(app);
	}
}

static void half_a_frame_holds_nobody_up(void **state)
{
	struct app *app = new_app("status:1 half deaf");

	(void)state;
	start(app);
	await(app, is_initializing);
	stop(app);
	end(app);
}

static void descriptors_on_the_channel_are_dropped(void **state)
{
	struct app *app = new_app("descriptors quote status:1 wait");
	mse_autofree char *log = NULL;
	char path[64];
	unsigned open_files = 0;

	(void)state;
	start(app);
	await(app, is_initializing);
	do {
		free(log);
		log = app_log(app);
	} while (strstr(log, "quote ") == NULL);
	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)app->shim, fd);
		open_files += readlink(path, (char[8]){ 0 }, 8) >= 0;
	}
	assert_in_range(open_files, geteuid() == 0 ? 5 : 0, 60);
	stop(app);
	end(app);
}

static bool has_lost_records(const struct mse_shim_status *status)
{
	return status->metrics.log_lost > 0;
}

static void a_flood_of_records_loses_records_and_nothing_else(void **state)
{
	struct app *app = new_app("flood");
	struct stat status;
	uint64_t begun;

	(void)state;
	app->config->log_size = MSE_SHIM_LOG_MIN_SIZE;
	start(app);
	await(app, has_lost_records);
	begun = mse_monotonic_ms();
	stop(app);
	/* The grace is for an enclave that may be busy with requests; the flood must not add to it. */
	assert_true(mse_monotonic_ms() - begun < 9000);
	assert_int_equal(stat(path_in(app, "app/log"), &status), 0);
	assert_true(status.st_size <= (off_t)MSE_SHIM_LOG_MIN_SIZE);
	end(app);
}

/* ---- what a restless enclave costs its shim ---- */

/* Far above what is needed, far below what hurts. */
/* The sanitizers' own memory says nothing of the shim's. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#define MAX_RSS_PAGES ((128u << 20) / 4096)
#define MAX_OPEN_FILES 64u
#define MAX_FILE_SIZE ((off_t)3 << 20)
#define MAX_CPU_PERCENT 40u
#define WARM_UP_MS 1500u
#define WINDOW_MS 1500u
#define MAX_WINDOWS 3u

static uint64_t cpu_ms(pid_t pid)
{
	unsigned long user, system;
	char path[64];
	int fd;
	char line[1024];
	ssize_t got;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = read(fd, line, sizeof line - 1);
	close(fd);
	assert_true(got > 0);
	line[got] = 0;
	assert_int_equal(sscanf(strrchr(line, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static unsigned long rss_pages(pid_t pid)
{
	unsigned long resident = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*u %lu", &resident), 1);
	fclose(file);
	return resident;
}

static unsigned open_files(pid_t pid)
{
	unsigned count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void expect_small_files(const struct app *app)
{
	DIR *dir = opendir(app->dir);
	const struct dirent *entry;
	struct stat status;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) && status.st_size > MAX_FILE_SIZE)
			fail_msg("%s has %jd bytes", entry->d_name, (intmax_t)status.st_size);
	closedir(dir);
}

/* It answers somebody new, in no time. */
static void expect_answer(const struct app *app)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *pending = mse_buffer_new(2 * MSE_SHIM_LINE_MAX_SIZE);
	struct mse_shim_status status;
	int fd;

	assert_works(mse_shim_connect(app->dir, &fd, &err));
	assert_works(mse_shim_receive(fd, PATIENCE_MS, pending, &status, &err));
	close(fd);
}

static void expect_cheap(struct app *app, const char *words)
{
	uint64_t used = 0, passed = 0;
	bool cheap = false;

	expect_answer(app);
	usleep(WARM_UP_MS * 1000);
	/* The second that an enclave has saved up takes longer to spend where others want the CPU too. */
	for (unsigned i = 0; i < MAX_WINDOWS && !cheap; i++) {
		uint64_t begun = mse_monotonic_ms(), before = cpu_ms(app->shim);

		usleep(WINDOW_MS * 1000);
		passed = mse_monotonic_ms() - begun;
		used = cpu_ms(app->shim) - before;
		cheap = used * 100 <= passed * MAX_CPU_PERCENT;
	}
	if (!cheap)
		fail_msg("'%s' made the shim work for %d of %d ms", words, (int)used, (int)passed);
	if (!SANITIZED && rss_pages(app->shim) > MAX_RSS_PAGES)
		fail_msg("'%s' made the shim grow to %lu pages", words, rss_pages(app->shim));
	assert_in_range(open_files(app->shim), 0, MAX_OPEN_FILES);
	expect_small_files(app);
	expect_answer(app);
}

static void a_storm_costs_the_shim_little_and_it_answers_meanwhile(void **state)
{
	static const char *const words[] = { "storm-quotes", "storm-answered", "storm-loads", "storm-collateral", "storm-saves", "storm-dribbled",
		"storm-statuses", "flood", "status:1 storm-messages", "storm-messages", "endless-interim", "endless-heads", "endless-body" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		struct app *app = new_app(words[i]);
		uint64_t begun;

		app->config->log_size = MSE_SHIM_LOG_MIN_SIZE;
		/* Those that are ended for what they do are started again. */
		app->config->restart_failures = 100;
		start(app);
		expect_cheap(app, words[i]);
		/* Each stop takes the grace that deaf enclaves are given: once is enough, with answers in the way. */
		if (strcmp(words[i], "storm-loads") == 0) {
			begun = mse_monotonic_ms();
			connect_to(app);
			stop(app);
			assert_true(mse_monotonic_ms() - begun < 9000);
		}
		end(app);
	}
}

static bool is_gone_once(const struct mse_shim_status *status)
{
	return status->state == MSE_SHIM_ON_ERROR;
}

static void failures_told_without_end_put_the_end_off_no_further(void **state)
{
	struct app *app = new_app("status:1 storm-failures");

	(void)state;
	start(app);
	await_for(app, is_gone_once, "the end", 15000);
	assert_string_equal(app->status.reason, "the bundle does not open, or is not what was committed to");
	stop(app);
	end(app);
}

static void messages_are_shown_as_text(void **state)
{
	struct app *app = new_app("storm-messages exit:9");
	mse_autofree char *log = NULL;

	(void)state;
	app->config->restart_failures = 1;
	start(app);
	await(app, is_on_error);
	stop(app);
	log = shim_log(app);
	expect(log, "from the loader:");
	for (const char *p = log; *p != 0; p++)
		if (((unsigned char)*p < 0x20 && *p != '\n') || (unsigned char)*p == 0x7f || (unsigned char)*p == 0x9b || (unsigned char)*p == 0xff)
			fail_msg("byte %02x in the shim's log", (unsigned char)*p);
	end(app);
}

static void the_reason_of_a_sandbox_that_does_not_start_is_what_its_loader_said_last(void **state)
{
	struct app *app = new_app("say-first say-\x1b[2J\xc2\x9b exit:9");

	(void)state;
	app->config->restart_failures = 1;
	start(app);
	await(app, is_on_error);
	assert_string_equal(app->status.reason, "the sandbox cannot be started: say-?[2J?? on stderr");
	stop(app);
	end(app);
}

static void a_reason_has_no_more_of_it_than_fits(void **state)
{
	static const char begin[] = "the sandbox cannot be started: say-xxxx";
	char words[400] = "say-";
	struct app *app;

	(void)state;
	memset(words + strlen(words), 'x', 300);
	strcat(words, " exit:9");
	app = new_app(words);
	app->config->restart_failures = 1;
	start(app);
	await(app, is_on_error);
	assert_memory_equal(app->status.reason, begin, sizeof begin - 1);
	assert_in_range(strlen(app->status.reason), 200, MSE_SHIM_REASON_SIZE - 1);
	stop(app);
	end(app);
}

static void a_listening_socket_that_was_shut_down_is_made_anew(void **state)
{
	struct app *app = new_app("shutdown-once status:3 serve:0");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_running);
	stop(app);
	log = app_log(app);
	expect(log, "shutdown: yes");
	end(app);
}

static void state_is_not_saved_without_end(void **state)
{
	struct app *app = new_app("save-often status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_initializing);
	log = app_log(app);
	expect(log, "often 0 \n");
	expect(log, "often refused: state is saved too often\n");
	stop(app);
	end(app);
}

static void what_the_app_writes_does_not_reach_the_shims_log(void **state)
{
	struct app *app = new_app("say-before started say-later status:2 quote say-after status:1 wait");
	mse_autofree char *log = NULL;

	(void)state;
	start(app);
	await(app, is_initializing);
	stop(app);
	log = shim_log(app);
	expect(log, "from the loader: say-before on stdout");
	expect(log, "from the loader: say-before on stderr");
	expect(log, "from the loader: say-later on stderr");
#if !defined(__SANITIZE_ADDRESS__)
	expect_not(log, "say-after");
#endif
	end(app);
}

/* ---- the control socket ---- */

static bool is_closed(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char some[4096];
	ssize_t got = 1;

	while (got > 0 && poll(&wait, 1, PATIENCE_MS) > 0)
		got = recv(fd, some, sizeof some, 0);
	return got == 0 || (got < 0 && errno == ECONNRESET);
}

static void malformed_commands_close_that_connection(void **state)
{
	static const char *const lines[] = { "\n", "{}\n", "stop\n", "{\"command\": \"start\", \"reason\": \"x\"}\n", "{\"command\": \"stop\"}\n",
		"{\"command\": \"stop\", \"reason\": \"\"}\n", "{\"command\": \"stop\", \"reason\": \"a\\nb\"}\n",
		"{\"command\": \"stop\", \"reason\": \"x\", \"more\": 1}\n", NULL };
	struct app *app = new_app("status:1 wait");
	char long_line[5000];
	int fd;

	(void)state;
	start(app);
	await(app, is_initializing);
	for (size_t i = 0; lines[i] != NULL; i++) {
		assert_works(mse_shim_connect(app->dir, &fd, &err));
		assert_int_equal(send(fd, lines[i], strlen(lines[i]), MSG_NOSIGNAL), strlen(lines[i]));
		assert_true(is_closed(fd));
		close(fd);
	}
	memset(long_line, 'x', sizeof long_line);
	assert_works(mse_shim_connect(app->dir, &fd, &err));
	assert_true(send(fd, long_line, sizeof long_line, MSG_NOSIGNAL) > 0);
	assert_true(is_closed(fd));
	close(fd);
	stop(app);
	end(app);
}

static void connections_beyond_eight_are_closed(void **state)
{
	struct app *app = new_app("status:1 wait");
	char some[8];
	int fds[8];

	(void)state;
	start(app);
	await(app, is_initializing);
	/* One is app->control. */
	for (size_t i = 0; i < 8; i++)
		assert_works(mse_shim_connect(app->dir, &fds[i], &err));
	assert_true(is_closed(fds[7]));
	for (size_t i = 0; i < 7; i++)
		assert_true(poll(&(struct pollfd){ .fd = fds[i], .events = POLLIN }, 1, PATIENCE_MS) == 1 && recv(fds[i], some, 1, 0) == 1);
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
	stop(app);
	end(app);
}

static int connect_unchecked(const struct app *app)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = MSE_SHIM_CONTROL_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return chdir(app->dir) < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -1 : fd;
}

static void others_are_not_heard_by_a_shim_of(uid_t user)
{
	struct app *app = new_app_for("status:1 wait", user);
	pid_t other;
	int status;

	start(app);
	await(app, is_initializing);
	/* Were the folder open and the socket too. */
	assert_int_equal(chmod(app->root, 0755), 0);
	assert_int_equal(chmod(app->dir, 0755), 0);
	assert_int_equal(chmod(path_in(app, "app/control.sock"), 0777), 0);
	other = fork();
	if (other == 0) {
		int fd = setresuid(OTHER_UID, OTHER_UID, OTHER_UID) < 0 ? -1 : connect_unchecked(app);

		if (fd < 0)
			_exit(2);
		mse_shim_send_stop(fd, MSE_SHIM_REASON_OWNER, &err);
		_exit(is_closed(fd) ? 0 : 1);
	}
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	assert_int_equal(kill(app->shim, 0), 0);
	stop(app);
	end(app);
}

static void other_users_are_not_heard(void **state)
{
	(void)state;
	if (geteuid() == 0)
		others_are_not_heard_by_a_shim_of(0);
}

static void other_users_are_not_heard_by_an_ordinary_users_shim(void **state)
{
	(void)state;
	if (geteuid() == 0)
		others_are_not_heard_by_a_shim_of(USER_UID);
}

static void another_users_socket_is_no_shim(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = MSE_SHIM_CONTROL_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), here = open(".", O_PATH | O_CLOEXEC), connected;

	(void)state;
	if (geteuid() != 0)
		return;
	start(app);
	await(app, is_initializing);
	assert_int_equal(kill(app->shim, SIGKILL), 0);
	wait_for_exit(app);
	assert_int_equal(chdir(app->dir), 0);
	assert_int_equal(unlink(MSE_SHIM_CONTROL_SOCKET), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	/* Whose it is, is decided by who listens. */
	assert_int_equal(seteuid(OTHER_UID), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(seteuid(0), 0);
	assert_fails(mse_shim_connect(app->dir, &connected, &err), MSE_ERR_DENIED, "runs as user 210003");
	assert_int_equal(fchdir(here), 0);
	close(here);
	close(fd);
	end(app);
}

static void the_control_socket_is_its_users_own(void **state)
{
	struct app *app = new_app("status:1 wait");
	struct stat status;

	(void)state;
	start(app);
	await(app, is_initializing);
	assert_int_equal(stat(path_in(app, "app/control.sock"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	stop(app);
	end(app);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_malformed_frame_ends_that_enclave_and_nothing_else, clean_up),
		cmocka_unit_test_teardown(half_a_frame_holds_nobody_up, clean_up),
		cmocka_unit_test_teardown(descriptors_on_the_channel_are_dropped, clean_up),
		cmocka_unit_test_teardown(a_flood_of_records_loses_records_and_nothing_else, clean_up),
		cmocka_unit_test_teardown(a_storm_costs_the_shim_little_and_it_answers_meanwhile, clean_up),
		cmocka_unit_test_teardown(failures_told_without_end_put_the_end_off_no_further, clean_up),
		cmocka_unit_test_teardown(messages_are_shown_as_text, clean_up),
		cmocka_unit_test_teardown(the_reason_of_a_sandbox_that_does_not_start_is_what_its_loader_said_last, clean_up),
		cmocka_unit_test_teardown(a_reason_has_no_more_of_it_than_fits, clean_up),
		cmocka_unit_test_teardown(a_listening_socket_that_was_shut_down_is_made_anew, clean_up),
		cmocka_unit_test_teardown(state_is_not_saved_without_end, clean_up),
		cmocka_unit_test_teardown(what_the_app_writes_does_not_reach_the_shims_log, clean_up),
		cmocka_unit_test_teardown(malformed_commands_close_that_connection, clean_up),
		cmocka_unit_test_teardown(connections_beyond_eight_are_closed, clean_up),
		cmocka_unit_test_teardown(other_users_are_not_heard, clean_up),
		cmocka_unit_test_teardown(other_users_are_not_heard_by_an_ordinary_users_shim, clean_up),
		cmocka_unit_test_teardown(another_users_socket_is_no_shim, clean_up),
		cmocka_unit_test_teardown(the_control_socket_is_its_users_own, clean_up),
	};

	return prepare_tests(argc, argv) < 0 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
