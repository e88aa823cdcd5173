#include "shim/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define FIRST_FD 3
/* Above every descriptor that has a fixed number. */
#define PARKING_FD 64
#define MAX_INPUT_SIZE 4096
#define MAX_SAID 512
/* Who has closed its output is about to end. */
#define END_CHECK_US 200

/* The program's standard input: a pipe that holds everything before anybody reads. */
static int make_input(const struct mse_program *program, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int read_end = -1;
	mse_autoclose int write_end = -1;
	int ends[2], result;

	if (program->input == NULL) {
		*ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return *ret_fd < 0 ? mse_fail_errno(err, "cannot open '/dev/null'") : 0;
	}
	if (program->input_size > MAX_INPUT_SIZE)
		return mse_fail(err, MSE_ERR_INTERNAL, "too much input for %s", program->what);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	read_end = ends[0];
	write_end = ends[1];
	if ((result = mse_fd_write(write_end, program->input, program->input_size, err)) < 0)
		return result;
	*ret_fd = mse_steal_fd(&read_end);
	return 0;
}

static int arrange_descriptors(const struct mse_program *program, int input, int output, struct mse_error_info *err)
{
	int parked[FIRST_FD + MSE_PROGRAM_MAX_FDS];
	size_t count = FIRST_FD + program->fd_count;

	for (size_t i = 0; i < count; i++) {
		parked[i] = fcntl(i == 0 ? input : i < FIRST_FD ? output : program->fds[i - FIRST_FD], F_DUPFD_CLOEXEC, PARKING_FD);
		if (parked[i] < 0)
			return mse_fail_errno(err, "cannot arrange descriptors");
	}
	for (size_t i = 0; i < count; i++)
		if (dup2(parked[i], (int)i) < 0)
			return mse_fail_errno(err, "cannot arrange descriptors");
	if (close_range((unsigned)count, ~0u, 0) < 0)
		return mse_fail_errno(err, "cannot close the other descriptors");
	return 0;
}

static int become_user(const struct mse_program *program, pid_t parent, struct mse_error_info *err)
{
	struct rlimit none = { 0, 0 };

	if (program->uid != 0 && (setgroups(0, NULL) < 0 || setresgid(program->gid, program->gid, program->gid) < 0 ||
					 setresuid(program->uid, program->uid, program->uid) < 0))
		return mse_fail_errno(err, "cannot become user %u", program->uid);
	if (program->uid != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up new privileges");
	/* Memory of programs that are given keys must not reach the disk. */
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return mse_fail_errno(err, "cannot forbid core dumps");
	/* A change of user clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return mse_fail_errno(err, "cannot tie the program to its shim");
	return getppid() == parent ? 0 : mse_fail(err, MSE_ERR_CLOSED, "the shim ended");
}

static _Noreturn void run_child(const struct mse_program *program, pid_t parent, int input, int output)
{
	static char *const no_environment[] = { NULL };
	struct sigaction ordinary = { .sa_handler = SIG_DFL };
	struct mse_error_info err = { 0 };
	sigset_t none;

	sigaction(SIGPIPE, &ordinary, NULL);
	sigaction(SIGHUP, &ordinary, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if ((program->enter == NULL || program->enter(program->context, &err) == 0) && arrange_descriptors(program, input, output, &err) == 0) {
		output = STDERR_FILENO;
		if (become_user(program, parent, &err) == 0) {
			execve(program->argv[0], (char *const *)program->argv, no_environment);
			mse_fail_errno(&err, "cannot run '%s'", program->argv[0]);
		}
	}
	dprintf(output, "%s\n", err.message);
	_exit(127);
}

static int start(const struct mse_program *program, int output, pid_t *ret_pid, struct mse_error_info *err)
{
	mse_autoclose int input = -1;
	pid_t parent = getpid(), pid;
	int result = make_input(program, &input, err);

	if (result < 0)
		return result;
	if (program->fd_count > MSE_PROGRAM_MAX_FDS)
		return mse_fail(err, MSE_ERR_INTERNAL, "too many descriptors for %s", program->what);
	pid = fork();
	if (pid < 0)
		return mse_fail_errno(err, "cannot make a process for %s", program->what);
	if (pid == 0)
		run_child(program, parent, input, output);
	*ret_pid = pid;
	return 0;
}

int mse_program_start(const struct mse_program *program, pid_t *ret_pid, struct mse_error_info *err)
{
	return start(program, program->messages < 0 ? STDERR_FILENO : program->messages, ret_pid, err);
}

static int fail_late(const char *what, struct mse_error_info *err)
{
	return mse_fail(err, MSE_ERR_TIMEOUT, "%s did not end in time", what);
}

/* Reads until the program and all that it started have closed their output. What is said first is kept as one line. */
static int listen_to(int fd, uint64_t deadline, char said[static MAX_SAID], const char *what, struct mse_error_info *err)
{
	size_t size = 0;

	said[0] = 0;
	for (;;) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now = mse_monotonic_ms();
		char text[1024];
		ssize_t got;

		if (now >= deadline)
			return fail_late(what, err);
		if (poll(&ready, 1, (int)(deadline - now)) <= 0)
			continue;
		got = read(fd, text, sizeof text);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		for (ssize_t i = 0; i < got && size < MAX_SAID - 1; i++)
			said[size++] = text[i] < 0x20 || text[i] > 0x7e ? ' ' : text[i];
		said[size] = 0;
	}
}

/* It may have closed its output and stayed. */
static int await_end(pid_t pid, uint64_t deadline, const char *what, int *ret_status, struct mse_error_info *err)
{
	for (;;) {
		pid_t ended = waitpid(pid, ret_status, WNOHANG);

		if (ended == pid)
			return 0;
		if (ended < 0 && errno != EINTR)
			return mse_fail_errno(err, "cannot wait for %s", what);
		if (mse_monotonic_ms() >= deadline)
			return fail_late(what, err);
		usleep(END_CHECK_US);
	}
}

int mse_program_run(const struct mse_program *program, uint64_t timeout_ms, struct mse_error_info *err)
{
	uint64_t deadline = mse_monotonic_ms() + timeout_ms;
	mse_autoclose int output = -1;
	mse_autoclose int theirs = -1;
	char said[MAX_SAID];
	int ends[2], status, result;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	output = ends[0];
	theirs = ends[1];
	if ((result = start(program, theirs, &pid, err)) < 0)
		return result;
	mse_close(mse_steal_fd(&theirs));
	if ((result = listen_to(output, deadline, said, program->what, err)) < 0 ||
	    (result = await_end(pid, deadline, program->what, &status, err)) < 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return result;
	}
	if (WIFSIGNALED(status))
		return mse_fail(err, MSE_ERR_IO, "%s was ended by signal %d", program->what, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return mse_fail(err, MSE_ERR_IO, "%s failed: %s", program->what, said[0] == 0 ? "it did not say why" : said);
	return 0;
}
