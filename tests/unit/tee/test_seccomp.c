/* The filter of system calls, asked of the kernel itself. Beneath the filter under test lies another that answers every call with an
 * error that no call has: what the filter under test lets through comes back with that mark, and nothing is ever executed. */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "tee/syscalls.h"
#include "tee/tee.h"

/* The highest error that a filter can give. */
#define REACHED 4095
#define NOT_ASKED (-1)

struct question {
	long number;
	long arguments[6];
	int answer; /* an errno; REACHED */
};

static struct question *questions;
static size_t question_count, question_room;

static void forget_questions(void)
{
	if (questions != NULL)
		munmap(questions, question_room * sizeof *questions);
	questions = NULL;
	question_count = question_room = 0;
}

/* Shared with the child that asks them. */
static void expect_questions(size_t count)
{
	forget_questions();
	questions = mmap(NULL, count * sizeof *questions, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(questions != MAP_FAILED);
	question_room = count;
}

static void ask(long number, long a, long b, long c, long d)
{
	assert_true(question_count < question_room);
	questions[question_count++] = (struct question){ .number = number, .arguments = { a, b, c, d }, .answer = NOT_ASKED };
}

/* All but what is needed to load the filter that is to be tested. */
static void mark_everything(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_seccomp, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_NO_NEW_PRIVS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | REACHED),
	};
	const struct sock_fprog program = { .len = sizeof instructions / sizeof instructions[0], .filter = instructions };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(1);
}

/* The child has no call left with which it could end, and so it ends by a fault. */
static void get_answers(void)
{
	struct mse_error_info err;
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGILL, SIG_DFL);
		mark_everything();
		if (mse_tee_seccomp(&err) == 0)
			for (size_t i = 0; i < question_count; i++) {
				struct question *q = &questions[i];
				const long *with = q->arguments;

				errno = 0;
				q->answer = syscall(q->number, with[0], with[1], with[2], with[3], with[4], with[5]) == 0 ? 0 : errno;
			}
		__builtin_trap();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
	for (size_t i = 0; i < question_count; i++)
		if (questions[i].answer == NOT_ASKED)
			fail_msg("the filter was not loaded");
}

static void expect_answer(const struct question *q, int expected)
{
	if (q->answer != expected)
		fail_msg("call %ld (%#lx, %#lx, %#lx, %#lx) gave %d, expected %d", q->number, q->arguments[0], q->arguments[1], q->arguments[2],
			q->arguments[3], q->answer, expected);
}

static bool is_among(long value, const int *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == value)
			return true;
	return false;
}
#define IS_AMONG(value, list) is_among((value), (list), sizeof(list) / sizeof(list)[0])

/* ---- numbers ---- */

/* Every call that gets through with all arguments 0. Whoever adds one says in syscalls.c what for, and here that he means it. */
static const int reachable[] = {
	__NR_read, __NR_write, __NR_open, __NR_close, __NR_stat, __NR_fstat, __NR_lstat, __NR_poll, __NR_lseek, __NR_mmap, __NR_mprotect,
	__NR_munmap, __NR_brk, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_pread64, __NR_pwrite64, __NR_readv, __NR_writev,
	__NR_access, __NR_pipe, __NR_select, __NR_sched_yield, __NR_mremap, __NR_msync, __NR_mincore, __NR_madvise, __NR_dup, __NR_dup2,
	__NR_pause, __NR_nanosleep, __NR_getitimer, __NR_alarm, __NR_setitimer, __NR_getpid, __NR_sendfile, __NR_connect, __NR_accept,
	__NR_sendto, __NR_recvfrom, __NR_sendmsg, __NR_recvmsg, __NR_shutdown, __NR_bind, __NR_listen, __NR_getsockname, __NR_getpeername,
	__NR_getsockopt, __NR_exit, __NR_wait4, __NR_kill, __NR_uname, __NR_fcntl, __NR_flock, __NR_fsync, __NR_fdatasync, __NR_truncate,
	__NR_ftruncate, __NR_getdents, __NR_getcwd, __NR_chdir, __NR_fchdir, __NR_rename, __NR_mkdir, __NR_rmdir, __NR_creat, __NR_link,
	__NR_unlink, __NR_symlink, __NR_readlink, __NR_chmod, __NR_fchmod, __NR_chown, __NR_fchown, __NR_lchown, __NR_umask, __NR_gettimeofday,
	__NR_getrlimit, __NR_getrusage, __NR_sysinfo, __NR_times, __NR_getuid, __NR_getgid, __NR_geteuid, __NR_getegid, __NR_getppid,
	__NR_getpgrp, __NR_getgroups, __NR_getresuid, __NR_getresgid, __NR_getpgid, __NR_getsid, __NR_capget, __NR_rt_sigpending,
	__NR_rt_sigtimedwait, __NR_rt_sigsuspend, __NR_sigaltstack, __NR_utime, __NR_mknod, __NR_statfs, __NR_fstatfs, __NR_getpriority,
	__NR_setpriority, __NR_sched_getparam, __NR_sched_getscheduler, __NR_sched_get_priority_max, __NR_sched_get_priority_min,
	__NR_sched_rr_get_interval, __NR_mlock, __NR_munlock, __NR_mlockall, __NR_munlockall, __NR_setrlimit, __NR_gettid, __NR_readahead,
	__NR_setxattr, __NR_lsetxattr, __NR_fsetxattr, __NR_getxattr, __NR_lgetxattr, __NR_fgetxattr, __NR_listxattr, __NR_llistxattr,
	__NR_flistxattr, __NR_removexattr, __NR_lremovexattr, __NR_fremovexattr, __NR_tkill, __NR_time, __NR_futex, __NR_sched_setaffinity,
	__NR_sched_getaffinity, __NR_epoll_create, __NR_getdents64, __NR_set_tid_address, __NR_restart_syscall, __NR_fadvise64,
	__NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_exit_group, __NR_epoll_wait, __NR_epoll_ctl, __NR_tgkill, __NR_utimes,
	__NR_waitid, __NR_inotify_init, __NR_inotify_add_watch, __NR_inotify_rm_watch, __NR_openat, __NR_mkdirat, __NR_mknodat, __NR_fchownat,
	__NR_futimesat, __NR_newfstatat, __NR_unlinkat, __NR_renameat, __NR_linkat, __NR_symlinkat, __NR_readlinkat, __NR_fchmodat,
	__NR_faccessat, __NR_pselect6, __NR_ppoll, __NR_set_robust_list, __NR_get_robust_list, __NR_splice, __NR_sync_file_range, __NR_utimensat,
	__NR_epoll_pwait, __NR_signalfd, __NR_timerfd_create, __NR_eventfd, __NR_fallocate, __NR_timerfd_settime, __NR_timerfd_gettime,
	__NR_accept4, __NR_signalfd4, __NR_eventfd2, __NR_epoll_create1, __NR_dup3, __NR_pipe2, __NR_inotify_init1, __NR_preadv, __NR_pwritev,
	__NR_recvmmsg, __NR_prlimit64, __NR_sendmmsg, __NR_getcpu, __NR_renameat2, __NR_getrandom, __NR_memfd_create, __NR_membarrier,
	__NR_mlock2, __NR_copy_file_range, __NR_preadv2, __NR_pwritev2, __NR_pkey_mprotect, __NR_pkey_alloc, __NR_pkey_free, __NR_statx,
	__NR_rseq, __NR_close_range, __NR_faccessat2, __NR_epoll_pwait2,
};
static const int refused[] = {
	__NR_clone, __NR_fork, __NR_vfork, __NR_execve, __NR_ptrace, __NR_syslog, __NR_setuid, __NR_setgid, __NR_setpgid, __NR_setsid,
	__NR_setreuid, __NR_setregid, __NR_setgroups, __NR_setresuid, __NR_setresgid, __NR_setfsuid, __NR_setfsgid, __NR_capset, __NR_personality,
	__NR_sched_setparam, __NR_sched_setscheduler, __NR_vhangup, __NR_pivot_root, __NR_prctl, __NR_adjtimex, __NR_chroot, __NR_sync, __NR_acct,
	__NR_settimeofday, __NR_mount, __NR_umount2, __NR_swapon, __NR_swapoff, __NR_reboot, __NR_sethostname, __NR_setdomainname, __NR_iopl,
	__NR_ioperm, __NR_init_module, __NR_delete_module, __NR_quotactl, __NR_clock_settime, __NR_kexec_load, __NR_add_key, __NR_request_key,
	__NR_keyctl, __NR_ioprio_set, __NR_unshare, __NR_perf_event_open, __NR_fanotify_init, __NR_fanotify_mark, __NR_name_to_handle_at,
	__NR_open_by_handle_at, __NR_clock_adjtime, __NR_syncfs, __NR_setns, __NR_process_vm_readv, __NR_process_vm_writev, __NR_kcmp,
	__NR_finit_module, __NR_sched_setattr, __NR_seccomp, __NR_kexec_file_load, __NR_bpf, __NR_execveat, __NR_userfaultfd, __NR_open_tree,
	__NR_move_mount, __NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_pidfd_getfd, __NR_process_madvise, __NR_mount_setattr,
	__NR_quotactl_fd, __NR_landlock_create_ruleset, __NR_landlock_add_rule, __NR_landlock_restrict_self, __NR_process_mrelease,
};
/* Known by their arguments alone; their error for others. */
static const int particular[][2] = {
	{ __NR_ioctl, ENOTTY }, { __NR_setsockopt, ENOPROTOOPT }, { __NR_socket, EAFNOSUPPORT }, { __NR_socketpair, EAFNOSUPPORT }, { __NR_arch_prctl, EINVAL },
};

static int expected_of(long number)
{
	if (IS_AMONG(number, reachable))
		return REACHED;
	if (IS_AMONG(number, refused))
		return EPERM;
	for (size_t i = 0; i < sizeof particular / sizeof particular[0]; i++)
		if (particular[i][0] == number)
			return particular[i][1];
	return ENOSYS;
}

static void exactly_these_calls_are_reachable(void **state)
{
	(void)state;
	expect_questions(1024);
	/* Linux asks no filter about uretprobe and uprobe (335, 336), which end whoever is not being traced by them. */
	for (long number = 0; number < 1024; number++)
		if (number != 335 && number != 336)
			ask(number, 0, 0, 0, 0);
	get_answers();
	for (size_t i = 0; i < question_count; i++)
		expect_answer(&questions[i], expected_of(questions[i].number));
}

static void numbers_of_other_tables_are_refused(void **state)
{
	const long x32 = 0x40000000;

	(void)state;
	expect_questions(600);
	for (long number = 0; number < 560; number++)
		ask(x32 + number, 0, 0, 0, 0);
	get_answers();
	for (size_t i = 0; i < question_count; i++)
		expect_answer(&questions[i], EPERM);
}

static void calls_by_the_32_bit_door_are_refused(void **state)
{
	int *answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct mse_error_info err;
	int status = 0;
	pid_t child;

	(void)state;
	assert_true(answer != MAP_FAILED);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int number = 20; /* getpid */

		signal(SIGILL, SIG_DFL);
		/* A kernel without that door ends the process here. */
		__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
		*answer = number == getpid() ? 1 : 2;
		if (mse_tee_seccomp(&err) == 0) {
			number = 20;
			__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
			*answer = number;
		}
		__builtin_trap();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(*answer == -EPERM || (*answer == 0 && WTERMSIG(status) == SIGSEGV));
	munmap(answer, 4096);
}

static void every_call_stands_in_the_table_once_and_with_a_reason(void **state)
{
	unsigned char seen[1024] = { 0 };

	(void)state;
	for (size_t i = 0; i < mse_syscalls_with_arguments_count; i++) {
		const struct mse_syscall_with_arguments *call = &mse_syscalls_with_arguments[i];

		assert_true(call->case_count > 0 && call->error > 0 && strlen(call->reason) > 10);
		if (seen[call->number]++)
			fail_msg("call %d stands in the table twice", call->number);
	}
	for (size_t i = 0; i < mse_syscall_group_count; i++) {
		const struct mse_syscall_group *group = &mse_syscall_groups[i];

		assert_true(group->count > 0 && strlen(group->name) > 3 && strlen(group->reason) > 10);
		for (size_t j = 0; j < group->count; j++)
			if (seen[group->numbers[j]]++)
				fail_msg("call %d stands in the table twice (%s)", group->numbers[j], group->name);
	}
}

/* ---- arguments ---- */

static void a_clone_makes_threads_as_the_C_library_does_and_nothing_else(void **state)
{
	const unsigned long as_pthread_create = 0x3d0f00;
	static const unsigned long others[] = { 0, SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD, CLONE_THREAD, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, CLONE_NEWUSER, CLONE_NEWNS,
		CLONE_PARENT | SIGCHLD };

	(void)state;
	expect_questions(64);
	ask(__NR_clone, (long)as_pthread_create, 0, 0, 0);
	for (unsigned bit = 0; bit < 32; bit++)
		ask(__NR_clone, (long)(as_pthread_create ^ 1ul << bit), 0, 0, 0);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		ask(__NR_clone, (long)others[i], 0, 0, 0);
	get_answers();
	expect_answer(&questions[0], REACHED);
	for (size_t i = 1; i < question_count; i++)
		expect_answer(&questions[i], EPERM);
}

static void sockets_are_of_the_internet_or_local(void **state)
{
	static const int protocols[] = { 0, 1, 2, 6, 17, 33, 50, 58, 132, 136, 255, 262 };
	static const int protocol_count = sizeof protocols / sizeof protocols[0];
	static const int flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK };
	unsigned reached = 0;

	(void)state;
	expect_questions((size_t)2 * 64 * 16 * (size_t)protocol_count * 4);
	for (int family = -1; family < 63; family++)
		for (int type = 0; type < 16; type++)
			for (int p = 0; p < protocol_count; p++)
				for (int f = 0; f < 4; f++) {
					ask(__NR_socket, family, type | flags[f], protocols[p], 0);
					ask(__NR_socketpair, family, type | flags[f], protocols[p], 0);
				}
	get_answers();
	for (size_t i = 0; i < question_count; i++) {
		const struct question *q = &questions[i];
		long family = q->arguments[0], type = q->arguments[1] & 15, protocol = q->arguments[2];
		bool internet = (family == AF_INET || family == AF_INET6) && ((type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
										     (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)));
		bool local = family == AF_UNIX && protocol == 0 && (type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET);
		bool expected = local || (internet && q->number == __NR_socket);

		expect_answer(q, expected ? REACHED : EAFNOSUPPORT);
		reached += expected;
	}
	assert_int_equal(reached, 4 * (11 + 3));
}

/* Asks for each value of one argument, and expects exactly these to get through. */
static void expect_values(long number, unsigned argument, long below, const int *values, size_t count, int otherwise)
{
	expect_questions((size_t)below + count);
	for (long value = 0; value < below; value++)
		ask(number, argument == 0 ? value : 0, argument == 1 ? value : 0, argument == 2 ? value : 0, 0);
	for (size_t i = 0; i < count; i++)
		if (values[i] >= below)
			ask(number, argument == 0 ? values[i] : 0, argument == 1 ? values[i] : 0, argument == 2 ? values[i] : 0, 0);
	get_answers();
	for (size_t i = 0; i < question_count; i++)
		expect_answer(&questions[i], is_among(questions[i].arguments[argument], values, count) ? REACHED : otherwise);
}
#define EXPECT_VALUES(number, argument, below, otherwise, ...)                                                                               \
	expect_values((number), (argument), (below), (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int), otherwise)

static void devices_are_asked_nothing_but_this(void **state)
{
	(void)state;
	EXPECT_VALUES(__NR_ioctl, 1, 0x10000, ENOTTY, 0x5401, 0x5411, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x8910, 0x8933);
	/* In the upper half is what devices, file systems and tunnels understand; the kernel itself looks at no more than 32 bits. */
	expect_questions(8);
	ask(__NR_ioctl, 0, 0x400454ca /* TUNSETIFF */, 0, 0);
	ask(__NR_ioctl, 0, 0x40086602 /* FS_IOC_SETFLAGS */, 0, 0);
	ask(__NR_ioctl, 0, 0x40045436, 0, 0);
	ask(__NR_ioctl, 0, 0x5412 /* TIOCSTI */ | 1l << 32, 0, 0);
	ask(__NR_ioctl, 0, 0x541b | 1l << 32, 0, 0);
	get_answers();
	for (size_t i = 0; i < 4; i++)
		expect_answer(&questions[i], ENOTTY);
	expect_answer(&questions[4], REACHED);
}

static void descriptors_are_asked_nothing_but_this(void **state)
{
	(void)state;
	EXPECT_VALUES(__NR_fcntl, 1, 4096, EINVAL, 0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1033, 1034);
}

static void a_process_says_of_itself_nothing_but_this(void **state)
{
	(void)state;
	/* PR_SET_NO_NEW_PRIVS, which the filter beneath lets through too, is 38. */
	expect_questions(4096);
	for (long option = 0; option < 4000; option++)
		if (option != PR_SET_NO_NEW_PRIVS)
			ask(__NR_prctl, option, 0, 0, 0);
	ask(__NR_prctl, 0x53564d41 /* PR_SET_VMA */, 0, 0, 0);
	ask(__NR_prctl, 0x59616d61 /* PR_SET_PTRACER */, -1, 0, 0);
	get_answers();
	for (size_t i = 0; i < question_count; i++)
		expect_answer(&questions[i], IS_AMONG(questions[i].arguments[0], ((const int[]){ 2, 3, 15, 16, 21, 23, 29, 30, 39, 41, 42, 0x53564d41 })) ? REACHED : EPERM);
#if defined(__x86_64__)
	EXPECT_VALUES(__NR_arch_prctl, 0, 0x6000, EINVAL, 0x1001, 0x1002, 0x1003, 0x1004);
#endif
}

static void memory_is_asked_nothing_but_this(void **state)
{
	(void)state;
	EXPECT_VALUES(__NR_madvise, 2, 512, EINVAL, 0, 1, 2, 3, 4, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
	expect_questions(8);
	ask(__NR_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
	ask(__NR_memfd_create, 0, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0);
	ask(__NR_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	ask(__NR_memfd_create, 0, MFD_HUGETLB, 0, 0);
	get_answers();
	expect_answer(&questions[0], REACHED);
	expect_answer(&questions[1], REACHED);
	expect_answer(&questions[2], ENOMEM);
	expect_answer(&questions[3], EINVAL);
}

static void no_devices_are_made_and_no_pipes_of_the_kernels(void **state)
{
	(void)state;
	expect_questions(64);
	for (long kind = 0; kind < 16; kind++) {
		ask(__NR_mknod, 0, kind << 12 | 0600, 0, 0);
		ask(__NR_mknodat, 0, 0, kind << 12 | 0600, 0);
	}
	for (long bit = 0; bit < 16; bit++)
		ask(__NR_pipe2, 0, 1l << bit, 0, 0);
	get_answers();
	for (size_t i = 0; i < 32; i++) {
		long kind = questions[i].arguments[questions[i].number == __NR_mknod ? 1 : 2] & S_IFMT;

		expect_answer(&questions[i], kind == 0 || kind == S_IFREG || kind == S_IFIFO || kind == S_IFSOCK ? REACHED : EPERM);
	}
	for (size_t i = 32; i < question_count; i++)
		expect_answer(&questions[i], questions[i].arguments[1] == 0x80 ? EINVAL : REACHED);
}

static void sockets_have_nothing_but_these_options(void **state)
{
	static const int of_sockets[] = { 2, 6, 7, 8, 9, 10, 12, 13, 15, 16, 18, 20, 21, 29, 66, 67 };
	static const int of_tcp[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 18, 23, 25, 30 };
	static const int of_ip[] = { 1, 2, 8, 10, 11, 24 };
	static const int of_ipv6[] = { 16, 23, 25, 26, 49, 67 };

	(void)state;
	expect_questions((size_t)2 * 300 * 128);
	for (long level = 0; level < 300; level++)
		for (long name = 0; name < 128; name++) {
			ask(__NR_setsockopt, 0, level, name, 0);
			ask(__NR_getsockopt, 0, level, name, 0);
		}
	get_answers();
	for (size_t i = 0; i < question_count; i++) {
		const struct question *q = &questions[i];
		long level = q->arguments[1], name = q->arguments[2];
		bool known = level == 0 || level == 1 || level == 6 || level == 41;
		bool settable = (level == 1 && IS_AMONG(name, of_sockets)) || (level == 6 && IS_AMONG(name, of_tcp)) || (level == 0 && IS_AMONG(name, of_ip)) ||
				(level == 41 && IS_AMONG(name, of_ipv6));

		expect_answer(q, (q->number == __NR_getsockopt ? known : settable) ? REACHED : ENOPROTOOPT);
	}
}

static int forget(void **state)
{
	(void)state;
	forget_questions();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(exactly_these_calls_are_reachable, forget),
		cmocka_unit_test_teardown(numbers_of_other_tables_are_refused, forget),
		cmocka_unit_test(calls_by_the_32_bit_door_are_refused),
		cmocka_unit_test(every_call_stands_in_the_table_once_and_with_a_reason),
		cmocka_unit_test_teardown(a_clone_makes_threads_as_the_C_library_does_and_nothing_else, forget),
		cmocka_unit_test_teardown(sockets_are_of_the_internet_or_local, forget),
		cmocka_unit_test_teardown(devices_are_asked_nothing_but_this, forget),
		cmocka_unit_test_teardown(descriptors_are_asked_nothing_but_this, forget),
		cmocka_unit_test_teardown(a_process_says_of_itself_nothing_but_this, forget),
		cmocka_unit_test_teardown(memory_is_asked_nothing_but_this, forget),
		cmocka_unit_test_teardown(no_devices_are_made_and_no_pipes_of_the_kernels, forget),
		cmocka_unit_test_teardown(sockets_have_nothing_but_these_options, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
