/* What is given up, seen from inside: each attempt in a process of its own, since nothing can be taken back. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/confine.h"

typedef int attempt(void);

static int in_confined_child(enum mse_confined who, attempt *try)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct mse_error_info err;

		_exit(mse_confine(who, &err) < 0 ? 99 : try());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static uint64_t capabilities(bool effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return UINT64_MAX;
	return effective ? (uint64_t)data[1].effective << 32 | data[0].effective : (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

static int try_denied_calls(void)
{
	static const long calls[] = { SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_bpf,
		SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_process_vm_readv, SYS_process_vm_writev,
		SYS_kcmp, SYS_open_by_handle_at, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_syslog, SYS_acct, SYS_fanotify_init, SYS_vhangup };

	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		/* With arguments that none of them accepts: only the filter answers EPERM to a process that may do all this. */
		if (syscall(calls[i], -1L, -1L, -1L, -1L, -1L, -1L) != -1 || errno != EPERM)
			return 1 + (int)i;
	return 0;
}

static void the_kernel_its_clocks_and_other_processes_are_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(in_confined_child(MSE_CONFINED_SHIM, try_denied_calls), 0);
	assert_int_equal(in_confined_child(MSE_CONFINED_NODE, try_denied_calls), 0);
}

static int try_needed_calls(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("mse", "/tmp", "tmpfs", 0, NULL) < 0)
		return 1;
	if (mknod("/tmp/null", S_IFCHR | 0666, makedev(1, 3)) < 0 || chown("/tmp/null", 1000, 1000) < 0)
		return 2;
	return setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0 || capabilities(false) != 0 ? 3 : 0;
}

static void a_shim_of_root_can_do_its_work(void **state)
{
	(void)state;
	if (geteuid() == 0)
		assert_int_equal(in_confined_child(MSE_CONFINED_SHIM, try_needed_calls), 0);
}

static int try_capabilities_of_a_shim(void)
{
	static const int lost[] = { CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_BPF, CAP_PERFMON, CAP_NET_RAW, CAP_SETPCAP,
		CAP_LINUX_IMMUTABLE, CAP_DAC_READ_SEARCH, CAP_MAC_ADMIN, CAP_AUDIT_CONTROL, CAP_SYSLOG, CAP_SYS_CHROOT };

	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
		if (prctl(PR_CAPBSET_READ, lost[i]) != 0 || (capabilities(false) >> lost[i] & 1) != 0)
			return 1 + (int)i;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYS_ADMIN, 0, 0) == 0 ? 0 : 98;
}

static void capabilities_that_nobody_uses_are_gone_for_good(void **state)
{
	(void)state;
	if (geteuid() == 0)
		assert_int_equal(in_confined_child(MSE_CONFINED_SHIM, try_capabilities_of_a_shim), 0);
}

static int try_capabilities_of_msed(void)
{
	if (capabilities(true) != UINT64_C(1) << CAP_KILL || capabilities(false) == capabilities(true))
		return 1;
	/* Root without the others is an ordinary user to whom system files belong. */
	if (mount("mse", "/tmp", "tmpfs", 0, NULL) == 0 || chown("/tmp", 1, 1) == 0 || setresuid(1000, 1000, 1000) == 0)
		return 2;
	return 0;
}

static void msed_hands_capabilities_on_and_has_one_to_end_processes(void **state)
{
	(void)state;
	if (geteuid() == 0)
		assert_int_equal(in_confined_child(MSE_CONFINED_NODE, try_capabilities_of_msed), 0);
}

static int try_again(void)
{
	struct mse_error_info err;

	/* As a shim that msed has started does. */
	return mse_confine(MSE_CONFINED_SHIM, &err) == 0 ? 0 : 1;
}

static void what_is_confined_can_be_confined_again(void **state)
{
	(void)state;
	assert_int_equal(in_confined_child(MSE_CONFINED_NODE, try_again), 0);
	assert_int_equal(in_confined_child(MSE_CONFINED_SHIM, try_again), 0);
}

static void an_ordinary_user_is_confined_too(void **state)
{
	pid_t child;
	int status;

	(void)state;
	child = fork();
	if (child == 0) {
		struct mse_error_info err;

		if (geteuid() == 0 && setresuid(54321, 54321, 54321) < 0)
			_exit(97);
		_exit(mse_confine(MSE_CONFINED_NODE, &err) < 0 ? 99 : prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 96 : try_denied_calls());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_its_clocks_and_other_processes_are_out_of_reach),
		cmocka_unit_test(a_shim_of_root_can_do_its_work),
		cmocka_unit_test(capabilities_that_nobody_uses_are_gone_for_good),
		cmocka_unit_test(msed_hands_capabilities_on_and_has_one_to_end_processes),
		cmocka_unit_test(what_is_confined_can_be_confined_again),
		cmocka_unit_test(an_ordinary_user_is_confined_too),
	};

	return cmocka_run_group_tests_name("shim confine", tests, NULL, NULL);
}
