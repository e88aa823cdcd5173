/* The system calls that an enclave may make where no library OS is beneath it: an allow-list. What is in no table is answered
 * with ENOSYS, as by a kernel that is older than the call, for which libraries have ways around. */
#pragma once

#include <linux/audit.h>
#include <stddef.h>
#include <stdint.h>

/* Of every filter: the one table whose numbers it looks at, and where those end. */
#if defined(__x86_64__)
#define MSE_SYSCALL_ARCHITECTURE AUDIT_ARCH_X86_64
/* From here on they are those of the x32 table, which would slip past ours. */
#define MSE_SYSCALL_END 0x40000000u
#elif defined(__aarch64__)
#define MSE_SYSCALL_ARCHITECTURE AUDIT_ARCH_AARCH64
#define MSE_SYSCALL_END 0x80000000u
#else
#error "the table of system calls has not been written for this architecture"
#endif

/* (argument & mask) == value, of the argument's lower 32 bits: the kernel looks at no more of the arguments compared here. mask 0: nothing to compare. */
struct mse_syscall_condition {
	uint8_t argument;
	uint32_t mask;
	uint32_t value;
};
#define MSE_SYSCALL_MAX_CONDITIONS 3

/* All of its conditions hold. */
struct mse_syscall_case {
	struct mse_syscall_condition conditions[MSE_SYSCALL_MAX_CONDITIONS];
};

/* Allowed in these cases, and an error in all others. */
struct mse_syscall_with_arguments {
	int number;
	int error;
	const struct mse_syscall_case *cases;
	size_t case_count;
	const char *reason;
};

/* Allowed with any arguments, or refused with one error. */
struct mse_syscall_group {
	const char *name;
	const char *reason;
	const int *numbers;
	size_t count;
	int error; /* 0: allowed */
};

extern const struct mse_syscall_with_arguments mse_syscalls_with_arguments[];
extern const size_t mse_syscalls_with_arguments_count;
extern const struct mse_syscall_group mse_syscall_groups[];
extern const size_t mse_syscall_group_count;
