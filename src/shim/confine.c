#include "shim/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tee/syscalls.h"

#define BIT(capability) (UINT64_C(1) << (capability))

/* What shims use, and why. */
#define OF_SHIMS ( \
	BIT(CAP_SYS_ADMIN) |    /* mounts and namespaces of the sandbox */ \
	BIT(CAP_SETUID) |       /* enclaves and helpers run as users of their own */ \
	BIT(CAP_SETGID) | \
	BIT(CAP_KILL) |         /* and are ended */ \
	BIT(CAP_SYS_PTRACE) |   /* what is left of a killed shim is known by its folder in /proc */ \
	BIT(CAP_DAC_OVERRIDE) | /* every file of an image is read, whoever it belongs to */ \
	BIT(CAP_NET_ADMIN) |    /* the filter of the listening socket, for which newer kernels ask for it (seen on 6.18) */ \
	BIT(CAP_CHOWN) |        /* an app's folders are handed to its user */ \
	BIT(CAP_MKNOD))         /* the device files of programs that get a /dev of their own */
/* user_namespaces(7): a namespace with a root of its own can only be made below one that has this. */
#define OF_USERS BIT(CAP_SETFCAP)
/* What msed itself uses: it ends what killed shims have left in their control groups. */
#define OF_NODE BIT(CAP_KILL)
/* To give up the rest. */
#define TO_BEGIN BIT(CAP_SETPCAP)

static const int denied[] = {
	/* The kernel itself. */
	SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_syslog,
	SYS_acct, SYS_quotactl, SYS_vhangup,
	/* The clocks, by which apps expire. */
	SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
	/* The memory and the files of other processes. A sanitizer looks for leaks through the first. */
#ifndef __SANITIZE_ADDRESS__
	SYS_ptrace,
#endif
	SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise, SYS_migrate_pages, SYS_move_pages,
	/* Files by number, around the walls of mounts. */
	SYS_open_by_handle_at,
	/* Keys of the kernel's keeping, shared between all processes of a user. */
	SYS_add_key, SYS_request_key, SYS_keyctl,
	/* Large parts of the kernel that nothing here uses. */
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_fanotify_init,
	SYS_lookup_dcookie,
#ifdef __x86_64__
	SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib,
#endif
};
#define DENIED_COUNT (sizeof denied / sizeof denied[0])


static int deny_calls(struct mse_error_info *err)
{
	struct sock_filter code[DENIED_COUNT + 8];
	struct sock_fprog program = { .filter = code };
	unsigned short count = 0;

	_Static_assert(DENIED_COUNT < 250, "a jump goes 255 instructions far");
	code[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MSE_SYSCALL_ARCHITECTURE, 1, 0);
	code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	code[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, MSE_SYSCALL_END, DENIED_COUNT + 1, 0);
	for (size_t i = 0; i < DENIED_COUNT; i++)
		code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)denied[i], (uint8_t)(DENIED_COUNT - i), 0);
	code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program.len = count;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? mse_fail_errno(err, "cannot load the filter of system calls") : 0;
}

static int limit_bounds(uint64_t kept, struct mse_error_info *err)
{
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		if ((kept & BIT(capability)) == 0 && prctl(PR_CAPBSET_READ, capability) == 1 && prctl(PR_CAPBSET_DROP, capability) < 0)
			return mse_fail_errno(err, "cannot give up capability %d for good", capability);
	return 0;
}

static int set_capabilities(uint64_t permitted, uint64_t effective, struct mse_error_info *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .permitted = (uint32_t)permitted, .effective = (uint32_t)effective },
		{ .permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32) },
	};

	return syscall(SYS_capset, &header, data) < 0 ? mse_fail_errno(err, "cannot give up capabilities") : 0;
}

static int current_capabilities(uint64_t *ret_permitted, uint64_t *ret_effective, struct mse_error_info *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return mse_fail_errno(err, "cannot read this program's capabilities");
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	*ret_effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	return 0;
}

int mse_confine(enum mse_confined who, struct mse_error_info *err)
{
	uint64_t kept = OF_SHIMS | OF_USERS | (who == MSE_CONFINED_NODE ? TO_BEGIN : 0), permitted, effective;
	int result;

	if ((result = current_capabilities(&permitted, &effective, err)) < 0)
		return result;
	/* An ordinary user's msed has neither capabilities nor the right to lower its bounds, and the next line keeps it so. */
	if ((effective & TO_BEGIN) != 0 && (result = limit_bounds(kept, err)) < 0)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up what setuid programs would give");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up ambient capabilities");
	kept &= permitted;
	/* The others that msed keeps are for its shims, which get them when they are started. */
	if ((result = set_capabilities(kept, who == MSE_CONFINED_NODE ? kept & OF_NODE : kept, err)) < 0)
		return result;
	return deny_calls(err);
}
