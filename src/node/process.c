#include "node/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "base/cleanup.h"

static volatile sig_atomic_t asked_to_end;
static volatile pid_t running;

static void note_signal(int number)
{
	asked_to_end = number;
	if (running > 0)
		kill(running, SIGTERM);
}

void mse_process_catch_signals(void)
{
	struct sigaction action = { .sa_handler = note_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

int mse_process_check_signals(struct mse_error_info *err)
{
	return asked_to_end != 0 ? mse_fail(err, MSE_ERR_CLOSED, "interrupted; nothing was changed") : 0;
}

int mse_process_find(const char *program, const char *package, char **ret_path, struct mse_error_info *err)
{
	static const char *const folders[] = { "/usr/bin", "/usr/sbin", "/bin", "/sbin" };

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		mse_autofree char *path = NULL;
		int result = mse_format(&path, err, "%s/%s", folders[i], program);

		if (result < 0)
			return result;
		if (access(path, X_OK) == 0) {
			*ret_path = mse_steal(path);
			return 0;
		}
	}
	return mse_fail(err, MSE_ERR_NOT_FOUND, "the program '%s' is not installed: apt-get install %s", program, package);
}

static _Noreturn void run_child(const struct mse_process *process, pid_t parent)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* It must not go on filling a folder that nobody will ever look at again. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	umask(022);
	if (null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0)
		_exit(127);
	if (process->root != NULL && (chroot(process->root) < 0 || chdir("/") < 0))
		_exit(127);
	execve(process->argv[0], (char *const *)process->argv, (char *const *)process->env);
	_exit(127);
}

int mse_process_run(const struct mse_process *process, struct mse_error_info *err)
{
	sigset_t ending, before;
	pid_t parent = getpid(), child;
	int status, result = mse_process_check_signals(err);

	if (result < 0)
		return result;
	/* A signal between fork() and the assignment must find the child. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, &before);
	child = fork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		run_child(process, parent);
	}
	running = child;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0)
		return mse_fail_errno(err, "cannot start %s", process->what);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return mse_fail_errno(err, "cannot wait for %s", process->what);
	running = 0;
	if ((result = mse_process_check_signals(err)) < 0)
		return result;
	if (WIFSIGNALED(status))
		return mse_fail(err, MSE_ERR_IO, "%s was ended by signal %d (%s)", process->what, WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 127)
		return mse_fail(err, MSE_ERR_IO, "%s ('%s') could not be run", process->what, process->argv[0]);
	if (WEXITSTATUS(status) != 0)
		return mse_fail(err, MSE_ERR_IO, "%s failed with exit status %d; its own messages stand above", process->what, WEXITSTATUS(status));
	return 0;
}
