/* The measure is what a library OS for SGX offers its applications (Gramine's table of system calls), and what Python's
 * standard library and usual extension modules need beyond it. */
#include "tee/syscalls.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/net.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ALL_BITS UINT32_MAX
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define ONE(argument, value) { { { (argument), ALL_BITS, (uint32_t)(value) } } }
#define BITS(argument, mask, value) { { { (argument), (uint32_t)(mask), (uint32_t)(value) } } }

/* As pthread_create() asks: all of a process is shared, and nothing of it, nor a namespace, is new. */
static const struct mse_syscall_case thread[] = {
	ONE(0, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID |
		       CLONE_CHILD_CLEARTID),
};

#define SOCKET(family, type, protocol)                                                                                        \
	{                                                                                                                     \
		{                                                                                                             \
			{ 0, ALL_BITS, (family) }, { 1, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), (type) }, { 2, ALL_BITS, (protocol) }, \
		}                                                                                                             \
	}
static const struct mse_syscall_case sockets[] = {
	SOCKET(AF_UNIX, SOCK_STREAM, 0),
	SOCKET(AF_UNIX, SOCK_DGRAM, 0),
	SOCKET(AF_UNIX, SOCK_SEQPACKET, 0),
	SOCKET(AF_INET, SOCK_STREAM, 0),
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET, SOCK_DGRAM, 0),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	SOCKET(AF_INET6, SOCK_STREAM, 0),
	SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET6, SOCK_DGRAM, 0),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
};
static const struct mse_syscall_case pairs[] = {
	SOCKET(AF_UNIX, SOCK_STREAM, 0),
	SOCKET(AF_UNIX, SOCK_DGRAM, 0),
	SOCKET(AF_UNIX, SOCK_SEQPACKET, 0),
};

#define OPTION(level, name) { { { 1, ALL_BITS, (level) }, { 2, ALL_BITS, (name) } } }
static const struct mse_syscall_case socket_options[] = {
	OPTION(SOL_SOCKET, SO_REUSEADDR), OPTION(SOL_SOCKET, SO_REUSEPORT), OPTION(SOL_SOCKET, SO_KEEPALIVE), OPTION(SOL_SOCKET, SO_BROADCAST),
	OPTION(SOL_SOCKET, SO_SNDBUF), OPTION(SOL_SOCKET, SO_RCVBUF), OPTION(SOL_SOCKET, SO_LINGER), OPTION(SOL_SOCKET, SO_OOBINLINE),
	OPTION(SOL_SOCKET, SO_RCVLOWAT), OPTION(SOL_SOCKET, SO_PRIORITY), OPTION(SOL_SOCKET, SO_PASSCRED), OPTION(SOL_SOCKET, SO_TIMESTAMP),
	/* in both widths of time_t */
	OPTION(SOL_SOCKET, 20), OPTION(SOL_SOCKET, 21), OPTION(SOL_SOCKET, 66), OPTION(SOL_SOCKET, 67),
	OPTION(IPPROTO_TCP, TCP_NODELAY), OPTION(IPPROTO_TCP, TCP_MAXSEG), OPTION(IPPROTO_TCP, TCP_CORK), OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL), OPTION(IPPROTO_TCP, TCP_KEEPCNT), OPTION(IPPROTO_TCP, TCP_SYNCNT), OPTION(IPPROTO_TCP, TCP_LINGER2),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT), OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP), OPTION(IPPROTO_TCP, TCP_QUICKACK),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT), OPTION(IPPROTO_TCP, TCP_FASTOPEN), OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	OPTION(IPPROTO_IP, IP_TOS), OPTION(IPPROTO_IP, IP_TTL), OPTION(IPPROTO_IP, IP_RECVERR), OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
	OPTION(IPPROTO_IP, IP_PKTINFO), OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY), OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS), OPTION(IPPROTO_IPV6, IPV6_RECVERR),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER), OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO), OPTION(IPPROTO_IPV6, IPV6_TCLASS),
};
static const struct mse_syscall_case option_levels[] = { ONE(1, SOL_SOCKET), ONE(1, IPPROTO_TCP), ONE(1, IPPROTO_IP), ONE(1, IPPROTO_IPV6) };

static const struct mse_syscall_case device_requests[] = {
	ONE(1, FIONREAD), ONE(1, FIONBIO), ONE(1, FIOCLEX), ONE(1, FIONCLEX), ONE(1, TIOCOUTQ), ONE(1, TCGETS), ONE(1, TIOCGWINSZ),
	ONE(1, SIOCGIFNAME), ONE(1, SIOCGIFINDEX),
};

static const struct mse_syscall_case descriptor_commands[] = {
	ONE(1, F_DUPFD), ONE(1, F_DUPFD_CLOEXEC), ONE(1, F_GETFD), ONE(1, F_SETFD), ONE(1, F_GETFL), ONE(1, F_SETFL), ONE(1, F_GETLK), ONE(1, F_SETLK),
	ONE(1, F_SETLKW), ONE(1, F_OFD_GETLK), ONE(1, F_OFD_SETLK), ONE(1, F_OFD_SETLKW), ONE(1, F_GETPIPE_SZ), ONE(1, F_SETPIPE_SZ),
	ONE(1, F_ADD_SEALS), ONE(1, F_GET_SEALS),
};

static const struct mse_syscall_case process_options[] = {
	ONE(0, PR_SET_NAME), ONE(0, PR_GET_NAME), ONE(0, PR_GET_DUMPABLE), ONE(0, PR_GET_PDEATHSIG), ONE(0, PR_GET_SECCOMP),
	ONE(0, PR_CAPBSET_READ), ONE(0, PR_GET_TIMERSLACK), ONE(0, PR_SET_TIMERSLACK), ONE(0, PR_SET_NO_NEW_PRIVS), ONE(0, PR_GET_NO_NEW_PRIVS),
	ONE(0, PR_SET_THP_DISABLE), ONE(0, PR_GET_THP_DISABLE), ONE(0, PR_SET_VMA),
};

static const struct mse_syscall_case no_huge_mapping[] = { BITS(3, MAP_HUGETLB, 0) };
static const struct mse_syscall_case no_huge_file[] = { BITS(1, MFD_HUGETLB, 0) };
/* O_EXCL asks for a pipe of the kernel's own notices. */
static const struct mse_syscall_case plain_pipe[] = { BITS(1, O_EXCL, 0) };

/* None of MADV_MERGEABLE: the time that a write to a merged page takes tells what another app's memory holds. */
static const struct mse_syscall_case advices[] = {
	ONE(2, MADV_NORMAL), ONE(2, MADV_RANDOM), ONE(2, MADV_SEQUENTIAL), ONE(2, MADV_WILLNEED), ONE(2, MADV_DONTNEED), ONE(2, MADV_FREE),
	ONE(2, MADV_REMOVE), ONE(2, MADV_DONTFORK), ONE(2, MADV_DOFORK), ONE(2, MADV_HUGEPAGE), ONE(2, MADV_NOHUGEPAGE), ONE(2, MADV_DONTDUMP),
	ONE(2, MADV_DODUMP), ONE(2, MADV_WIPEONFORK), ONE(2, MADV_KEEPONFORK), ONE(2, MADV_COLD), ONE(2, MADV_PAGEOUT), ONE(2, MADV_POPULATE_READ),
	ONE(2, MADV_POPULATE_WRITE),
};

#define NODES(argument) { BITS(argument, S_IFMT, 0), BITS(argument, S_IFMT, S_IFREG), BITS(argument, S_IFMT, S_IFIFO), BITS(argument, S_IFMT, S_IFSOCK) }
static const struct mse_syscall_case nodes_at[] = NODES(2);

#if defined(__x86_64__)
static const struct mse_syscall_case nodes[] = NODES(1);
static const struct mse_syscall_case thread_pointers[] = { ONE(0, ARCH_SET_FS), ONE(0, ARCH_GET_FS), ONE(0, ARCH_SET_GS), ONE(0, ARCH_GET_GS) };
#endif

#define WITH(call, failure, list, why) { .number = __NR_##call, .error = (failure), .cases = (list), .case_count = COUNT(list), .reason = (why) }
/* Those that are called often come first: the kernel goes through them in this order. */
const struct mse_syscall_with_arguments mse_syscalls_with_arguments[] = {
	WITH(mmap, ENOMEM, no_huge_mapping, "huge pages are the host's reserve, which no limit of the app's counts. Writable and executable at once is allowed: just-in-time compilers and libffi need it, and code of the app's choice runs anyhow"),
	WITH(madvise, EINVAL, advices, "advice about one's own memory, but for merging it with that of others"),
	WITH(fcntl, EINVAL, descriptor_commands, "descriptors, locks, pipes, seals; no signals about files, leases, notifications, hints for the disk"),
	WITH(ioctl, ENOTTY, device_requests, "how much can be read, not blocking, whether it is a terminal, names of interfaces. Every other request reaches some driver: terminals (TIOCSTI), file systems, block devices"),
	WITH(setsockopt, ENOPROTOOPT, socket_options, "what servers and clients of HTTP, databases and name servers set; no filter programs (SO_ATTACH_*), no protocols within protocols (TCP_ULP), no zero copy, no devices"),
	WITH(getsockopt, ENOPROTOOPT, option_levels, "reading options of the protocols there are"),
	WITH(socket, EAFNOSUPPORT, sockets, "TCP, UDP and Unix; no netlink, packets, vsock, kernel crypto, nor raw or rare protocols of the internet families"),
	WITH(socketpair, EAFNOSUPPORT, pairs, "only Unix has pairs"),
	WITH(clone, EPERM, thread, "threads, and neither processes nor namespaces"),
	WITH(prctl, EPERM, process_options, "names of threads and questions. Being dumpable, another filter, dispatching, keeping capabilities are refused"),
	WITH(pipe2, EINVAL, plain_pipe, "ordinary pipes"),
	WITH(memfd_create, EINVAL, no_huge_file, "files in memory count as the app's memory. Loading a library from one is allowed, as from any other file of the app's: it cannot be executed as a program"),
	WITH(mknodat, EPERM, nodes_at, "files, pipes and sockets with a name; no devices"),
#if defined(__x86_64__)
	WITH(mknod, EPERM, nodes, "as mknodat, by its older name"),
	WITH(arch_prctl, EINVAL, thread_pointers, "where a thread keeps its own variables; no faulting CPUID, no shadow stacks, no further register sets"),
#endif
};
const size_t mse_syscalls_with_arguments_count = COUNT(mse_syscalls_with_arguments);

static const int content[] = { __NR_read, __NR_write, __NR_readv, __NR_writev, __NR_pread64, __NR_pwrite64, __NR_preadv, __NR_pwritev, __NR_preadv2,
	__NR_pwritev2, __NR_lseek, __NR_openat, __NR_close, __NR_close_range, __NR_dup, __NR_dup3, __NR_fstat, __NR_newfstatat, __NR_statx,
	__NR_faccessat, __NR_faccessat2, __NR_readlinkat, __NR_getdents64, __NR_getcwd, __NR_chdir, __NR_fchdir, __NR_umask, __NR_statfs, __NR_fstatfs,
	__NR_ftruncate, __NR_truncate, __NR_fallocate, __NR_fsync, __NR_fdatasync, __NR_sync_file_range, __NR_fadvise64, __NR_readahead, __NR_flock,
	__NR_sendfile, __NR_copy_file_range, __NR_splice };
static const int names[] = { __NR_mkdirat, __NR_unlinkat, __NR_renameat, __NR_renameat2, __NR_linkat, __NR_symlinkat, __NR_fchmod, __NR_fchmodat, __NR_fchown,
	__NR_fchownat, __NR_utimensat, __NR_setxattr, __NR_lsetxattr, __NR_fsetxattr, __NR_getxattr, __NR_lgetxattr, __NR_fgetxattr, __NR_listxattr,
	__NR_llistxattr, __NR_flistxattr, __NR_removexattr, __NR_lremovexattr, __NR_fremovexattr };
static const int notices[] = { __NR_inotify_init1, __NR_inotify_add_watch, __NR_inotify_rm_watch };
static const int waiting[] = { __NR_ppoll, __NR_pselect6, __NR_epoll_create1, __NR_epoll_ctl, __NR_epoll_pwait, __NR_epoll_pwait2, __NR_eventfd2,
	__NR_timerfd_create, __NR_timerfd_settime, __NR_timerfd_gettime, __NR_signalfd4 };
static const int network[] = { __NR_bind, __NR_listen, __NR_accept, __NR_accept4, __NR_connect, __NR_getsockname, __NR_getpeername, __NR_sendto,
	__NR_recvfrom, __NR_sendmsg, __NR_recvmsg, __NR_sendmmsg, __NR_recvmmsg, __NR_shutdown };
static const int memory[] = { __NR_munmap, __NR_mprotect, __NR_mremap, __NR_msync, __NR_mincore, __NR_brk, __NR_mlock, __NR_mlock2, __NR_munlock,
	__NR_mlockall, __NR_munlockall, __NR_membarrier, __NR_pkey_alloc, __NR_pkey_free, __NR_pkey_mprotect };
static const int threads[] = { __NR_futex, __NR_set_robust_list, __NR_get_robust_list, __NR_set_tid_address, __NR_rseq, __NR_gettid, __NR_getpid,
	__NR_getppid, __NR_exit, __NR_exit_group, __NR_sched_yield, __NR_sched_getaffinity, __NR_sched_setaffinity, __NR_sched_getparam,
	__NR_sched_getscheduler, __NR_sched_get_priority_max, __NR_sched_get_priority_min, __NR_sched_rr_get_interval, __NR_getpriority,
	__NR_setpriority, __NR_getcpu };
static const int signals[] = { __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_rt_sigpending, __NR_rt_sigtimedwait,
	__NR_rt_sigsuspend, __NR_sigaltstack, __NR_kill, __NR_tkill, __NR_tgkill, __NR_setitimer, __NR_getitimer, __NR_restart_syscall,
	__NR_wait4, __NR_waitid };
static const int times[] = { __NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday, __NR_times };
static const int oneself[] = { __NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid, __NR_getresuid, __NR_getresgid, __NR_getgroups, __NR_getpgid,
	__NR_getsid, __NR_capget, __NR_uname, __NR_sysinfo, __NR_getrusage, __NR_getrlimit, __NR_setrlimit, __NR_prlimit64, __NR_getrandom };
#if defined(__x86_64__)
static const int older_names[] = { __NR_open, __NR_creat, __NR_dup2, __NR_stat, __NR_lstat, __NR_access, __NR_readlink, __NR_getdents, __NR_mkdir,
	__NR_rmdir, __NR_unlink, __NR_rename, __NR_link, __NR_symlink, __NR_chmod, __NR_chown, __NR_lchown, __NR_utime, __NR_utimes,
	__NR_futimesat, __NR_inotify_init, __NR_pipe, __NR_poll, __NR_select, __NR_epoll_create, __NR_epoll_wait, __NR_eventfd, __NR_signalfd,
	__NR_alarm, __NR_pause, __NR_time, __NR_getpgrp };
#endif

static const int programs[] = { __NR_execve, __NR_execveat,
#if defined(__x86_64__)
	__NR_fork, __NR_vfork,
#endif
};
static const int other_processes[] = { __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_process_madvise, __NR_process_mrelease,
	__NR_pidfd_getfd, __NR_kcmp };
static const int views[] = { __NR_unshare, __NR_setns, __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_open_tree, __NR_move_mount,
	__NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr, __NR_sethostname, __NR_setdomainname };
static const int identities[] = { __NR_setuid, __NR_setgid, __NR_setreuid, __NR_setregid, __NR_setresuid, __NR_setresgid, __NR_setgroups,
	__NR_setfsuid, __NR_setfsgid, __NR_capset, __NR_setsid, __NR_setpgid };
static const int rules[] = { __NR_seccomp, __NR_landlock_create_ruleset, __NR_landlock_add_rule, __NR_landlock_restrict_self, __NR_personality };
static const int surfaces[] = { __NR_bpf, __NR_perf_event_open, __NR_userfaultfd, __NR_keyctl, __NR_add_key, __NR_request_key, __NR_open_by_handle_at,
	__NR_name_to_handle_at, __NR_fanotify_init, __NR_fanotify_mark };
static const int machine[] = { __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load,
#if defined(__NR_kexec_file_load)
	__NR_kexec_file_load,
#endif
	__NR_quotactl, __NR_quotactl_fd, __NR_swapon, __NR_swapoff, __NR_reboot, __NR_acct, __NR_syslog, __NR_vhangup, __NR_settimeofday,
	__NR_clock_settime, __NR_clock_adjtime, __NR_adjtimex, __NR_sync, __NR_syncfs, __NR_sched_setscheduler, __NR_sched_setparam,
	__NR_sched_setattr, __NR_ioprio_set,
#if defined(__x86_64__)
	__NR_iopl, __NR_ioperm,
#endif
};

#define ALLOWED(what, list, why) { .name = (what), .reason = (why), .numbers = (list), .count = COUNT(list) }
#define REFUSED(what, list, why) { .name = (what), .reason = (why), .numbers = (list), .count = COUNT(list), .error = EPERM }
const struct mse_syscall_group mse_syscall_groups[] = {
	ALLOWED("content of files", content, "reading and writing files, within what mounts, Landlock and limits of size leave"),
	ALLOWED("names of files", names, "making, renaming, removing; attributes, which copying files asks for"),
	ALLOWED("notices about files", notices, "reloading what has changed; counted by the kernel per user"),
	ALLOWED("waiting", waiting, "event loops: asyncio, selectors, the enclave's own server"),
	ALLOWED("network", network, "servers and clients over the sockets that can be made; where to is the network's rule, not this one's"),
	ALLOWED("memory", memory, "allocators, locked memory for keys, checks of extension modules; sealing and memory policies of a machine's nodes are left out"),
	ALLOWED("threads", threads, "the C library's threads and locks, and where threads run"),
	ALLOWED("signals", signals, "handlers, timers, waiting for children that cannot be; no process but this one is in its namespace to be signalled"),
	ALLOWED("time", times, "clocks, as the host tells them"),
	ALLOWED("oneself", oneself, "questions about this process and its kernel, randomness, and limits, which can only be lowered"),
#if defined(__x86_64__)
	ALLOWED("older names", older_names, "the same as above by the names that C libraries still use on this architecture"),
#endif
	REFUSED("programs and processes", programs, "an enclave is one process and one program"),
	REFUSED("other processes", other_processes, "there are none; were there any, their memory would be open"),
	REFUSED("views", views, "namespaces and mounts are the sandbox's work, which is over"),
	REFUSED("identities", identities, "one user without capabilities, and nothing else to become"),
	REFUSED("rules", rules, "the filter and Landlock's rules are complete; more of them would only add ways to confuse this process"),
	REFUSED("large interfaces", surfaces, "programs in the kernel, faults handled by oneself, keys, file handles: much code of the kernel, for which an application server has no use"),
	REFUSED("the machine", machine, "the host's modules, disks, clocks, logs and priorities"),
};
const size_t mse_syscall_group_count = COUNT(mse_syscall_groups);
