/* What Landlock holds by itself, without the filter of system calls in front of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "tee/tee.h"

static char folder[] = "/tmp/mse-landlock-XXXXXX";

static const char *in_folder(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

/* What the child's exit tells: 0, or the line that was not so. */
#define SO(condition)                  \
	do {                           \
		if (!(condition))      \
			_exit(__LINE__ % 251 + 1); \
	} while (0)

static void restricted(int abi)
{
	char *const arguments[] = { (char *)"true", NULL };
	const struct sockaddr_un abstract = { .sun_family = AF_UNIX, .sun_path = "\0mse-landlock" };
	int found = 0, number;
	struct mse_error_info err;

	SO(mse_tee_landlock(&found, &err) == 0 && found == abi);
	SO(execve("/bin/true", arguments, arguments + 1) < 0 && errno == EACCES);
	SO(mknod(in_folder("device"), S_IFCHR | 0600, makedev(1, 3)) < 0 && errno == (geteuid() == 0 ? EACCES : EPERM));
	SO(mknod(in_folder("disk"), S_IFBLK | 0600, makedev(7, 0)) < 0 && errno == (geteuid() == 0 ? EACCES : EPERM));
	/* Files and their places are as ever. */
	SO(open(in_folder("one/file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0);
	SO(rename(in_folder("one/file"), in_folder("two/file")) == 0 && link(in_folder("two/file"), in_folder("one/link")) == 0);
	SO(mkfifo(in_folder("fifo"), 0600) == 0);
	if (abi >= 5)
		SO(ioctl(open("/dev/null", O_RDWR | O_CLOEXEC), FIONREAD, &number) < 0 && errno == EACCES);
	if (abi >= MSE_TEE_LANDLOCK_COMPLETE) {
		SO(kill(getppid(), 0) < 0 && errno == EPERM);
		SO(connect(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (const struct sockaddr *)&abstract, sizeof(sa_family_t) + 13) < 0 && errno == EPERM);
	}
	SO(kill(getpid(), 0) == 0);
	_exit(0);
}

static void nothing_is_executed_and_no_device_and_no_stranger_is_reached(void **state)
{
	const struct sockaddr_un abstract = { .sun_family = AF_UNIX, .sun_path = "\0mse-landlock" };
	int abi = (int)syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION), status = 0;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t child;

	(void)state;
	if (abi < 2) {
		print_message("this kernel's Landlock has version %d\n", abi);
		skip();
	}
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(in_folder("one"), 0700) | mkdir(in_folder("two"), 0700), 0);
	assert_true(listener >= 0 && bind(listener, (const struct sockaddr *)&abstract, sizeof(sa_family_t) + 13) == 0 && listen(listener, 5) == 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		restricted(abi);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("in the child line %d (modulo 251, and 1) was not so", WEXITSTATUS(status));
	close(listener);
	unlink(in_folder("one/link"));
	unlink(in_folder("two/file"));
	unlink(in_folder("fifo"));
	rmdir(in_folder("one"));
	rmdir(in_folder("two"));
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_executed_and_no_device_and_no_stranger_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
