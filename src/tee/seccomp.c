/* The process's own filter: no new process and no other program, and none of the kernel's interfaces that an application
 * server has no use for. Refusals are errors, not signals: one library's attempt must not take the whole app down. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "tee/tee.h"

struct refusal {
	int number;
	int error;
};

static const struct refusal refusals[] = {
	/* new processes, and becoming another program */
	{ SCMP_SYS(fork), EPERM },
	{ SCMP_SYS(vfork), EPERM },
	{ SCMP_SYS(execve), EPERM },
	{ SCMP_SYS(execveat), EPERM },
	/* its flags are behind a pointer, where a filter cannot look: glibc falls back to clone */
	{ SCMP_SYS(clone3), ENOSYS },
	/* other processes */
	{ SCMP_SYS(ptrace), EPERM },
	{ SCMP_SYS(process_vm_readv), EPERM },
	{ SCMP_SYS(process_vm_writev), EPERM },
	{ SCMP_SYS(process_madvise), EPERM },
	{ SCMP_SYS(pidfd_getfd), EPERM },
	{ SCMP_SYS(kcmp), EPERM },
	/* namespaces and mounts */
	{ SCMP_SYS(unshare), EPERM },
	{ SCMP_SYS(setns), EPERM },
	{ SCMP_SYS(mount), EPERM },
	{ SCMP_SYS(umount2), EPERM },
	{ SCMP_SYS(pivot_root), EPERM },
	{ SCMP_SYS(chroot), EPERM },
	{ SCMP_SYS(open_tree), EPERM },
	{ SCMP_SYS(move_mount), EPERM },
	{ SCMP_SYS(fsopen), EPERM },
	{ SCMP_SYS(fsconfig), EPERM },
	{ SCMP_SYS(fsmount), EPERM },
	{ SCMP_SYS(fspick), EPERM },
	{ SCMP_SYS(mount_setattr), EPERM },
	/* the kernel's larger attack surfaces */
	{ SCMP_SYS(bpf), EPERM },
	{ SCMP_SYS(perf_event_open), EPERM },
	{ SCMP_SYS(userfaultfd), EPERM },
	{ SCMP_SYS(io_uring_setup), ENOSYS },
	{ SCMP_SYS(io_uring_enter), ENOSYS },
	{ SCMP_SYS(io_uring_register), ENOSYS },
	{ SCMP_SYS(keyctl), EPERM },
	{ SCMP_SYS(add_key), EPERM },
	{ SCMP_SYS(request_key), EPERM },
	{ SCMP_SYS(init_module), EPERM },
	{ SCMP_SYS(finit_module), EPERM },
	{ SCMP_SYS(delete_module), EPERM },
	{ SCMP_SYS(kexec_load), EPERM },
	{ SCMP_SYS(kexec_file_load), EPERM },
	{ SCMP_SYS(open_by_handle_at), EPERM },
	{ SCMP_SYS(name_to_handle_at), EPERM },
	{ SCMP_SYS(quotactl), EPERM },
	{ SCMP_SYS(swapon), EPERM },
	{ SCMP_SYS(swapoff), EPERM },
	{ SCMP_SYS(reboot), EPERM },
	{ SCMP_SYS(acct), EPERM },
	{ SCMP_SYS(settimeofday), EPERM },
	{ SCMP_SYS(clock_settime), EPERM },
	{ SCMP_SYS(clock_adjtime), EPERM },
	{ SCMP_SYS(personality), EPERM },
};

static void filter_freep(scmp_filter_ctx *filter)
{
	if (*filter != NULL)
		seccomp_release(*filter);
}

static int add_refusals(scmp_filter_ctx filter)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < sizeof refusals / sizeof refusals[0]; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)refusals[i].error), refusals[i].number, 0);
	/* posix_spawn() and system() clone with CLONE_VM: only CLONE_THREAD tells a thread from a process. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return result;
}

int mse_tee_seccomp(struct mse_error_info *err)
{
	mse_cleanup(filter_freep) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result;

	if (filter == NULL)
		return mse_fail_nomem(err);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up new privileges");
	/* System calls of the 32-bit and x32 tables would slip past the numbers above. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
	if (result == 0)
		result = add_refusals(filter);
	if (result == 0)
		result = seccomp_load(filter);
	if (result < 0)
		return mse_fail(err, MSE_ERR_IO, "cannot load the seccomp filter: %s", strerror(-result));
	return 0;
}
