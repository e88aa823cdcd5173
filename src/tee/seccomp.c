/* Turns the table of system calls into the kernel's filter, and loads it. Assembled here and not by libseccomp, which cannot give
 * "any other value of this argument" an error of its own: ioctl's callers know ENOTTY, setsockopt's ENOPROTOOPT. */
#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tee/syscalls.h"
#include "tee/tee.h"

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the lower half of an argument comes first");

#define MAX_INSTRUCTIONS 2048
_Static_assert(MAX_INSTRUCTIONS <= BPF_MAXINSNS, "as many as the kernel takes");

struct filter {
	struct sock_filter instructions[MAX_INSTRUCTIONS];
	size_t count; /* those beyond the maximum are counted and not kept */
};

static void emit(struct filter *filter, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false)
{
	if (filter->count < MAX_INSTRUCTIONS)
		filter->instructions[filter->count] = (struct sock_filter){ .code = code, .jt = if_true, .jf = if_false, .k = value };
	filter->count++;
}

static void emit_answer(struct filter *filter, int error)
{
	emit(filter, BPF_RET | BPF_K, error == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | (uint32_t)error, 0, 0);
}

static void emit_load(struct filter *filter, size_t offset)
{
	emit(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static uint8_t size_of(const struct mse_syscall_condition *condition)
{
	return condition->mask == 0 ? 0 : condition->mask == UINT32_MAX ? 2 : 3;
}

/* Goes on behind the case unless all of it holds. */
static void emit_case(struct filter *filter, const struct mse_syscall_case *one)
{
	uint8_t left = 1;

	for (size_t i = 0; i < MSE_SYSCALL_MAX_CONDITIONS; i++)
		left = (uint8_t)(left + size_of(&one->conditions[i]));
	for (size_t i = 0; i < MSE_SYSCALL_MAX_CONDITIONS; i++) {
		const struct mse_syscall_condition *condition = &one->conditions[i];

		if (condition->mask == 0)
			continue;
		emit_load(filter, offsetof(struct seccomp_data, args) + condition->argument * sizeof(uint64_t));
		if (condition->mask != UINT32_MAX)
			emit(filter, BPF_ALU | BPF_AND | BPF_K, condition->mask, 0, 0);
		left = (uint8_t)(left - size_of(condition));
		emit(filter, BPF_JMP | BPF_JEQ | BPF_K, condition->value, 0, left);
	}
	emit_answer(filter, 0);
}

/* Every way through it ends with an answer, so that whoever goes around it still has the call's number loaded. */
static void emit_with_arguments(struct filter *filter, const struct mse_syscall_with_arguments *call)
{
	size_t around;

	emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call->number, 1, 0);
	around = filter->count;
	emit(filter, BPF_JMP | BPF_JA, 0, 0, 0);
	for (size_t i = 0; i < call->case_count; i++)
		emit_case(filter, &call->cases[i]);
	emit_answer(filter, call->error);
	if (around < MAX_INSTRUCTIONS)
		filter->instructions[around].k = (uint32_t)(filter->count - around - 1);
}

static void assemble(struct filter *filter)
{
	emit_load(filter, offsetof(struct seccomp_data, arch));
	emit(filter, BPF_JMP | BPF_JEQ | BPF_K, MSE_SYSCALL_ARCHITECTURE, 1, 0);
	emit_answer(filter, EPERM);
	emit_load(filter, offsetof(struct seccomp_data, nr));
	emit(filter, BPF_JMP | BPF_JGE | BPF_K, MSE_SYSCALL_END, 0, 1);
	emit_answer(filter, EPERM);
	for (size_t i = 0; i < mse_syscalls_with_arguments_count; i++)
		emit_with_arguments(filter, &mse_syscalls_with_arguments[i]);
	for (size_t i = 0; i < mse_syscall_group_count; i++)
		for (size_t j = 0; j < mse_syscall_groups[i].count; j++) {
			emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)mse_syscall_groups[i].numbers[j], 0, 1);
			emit_answer(filter, mse_syscall_groups[i].error);
		}
	emit_answer(filter, ENOSYS);
}

int mse_tee_seccomp(struct mse_error_info *err)
{
	struct filter filter = { .count = 0 };
	struct sock_fprog program = { .filter = filter.instructions };

	assemble(&filter);
	if (filter.count > MAX_INSTRUCTIONS)
		return mse_fail(err, MSE_ERR_INTERNAL, "the seccomp filter has %zu instructions", filter.count);
	program.len = (unsigned short)filter.count;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot give up new privileges");
	if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return mse_fail_errno(err, "cannot load the seccomp filter: the kernel needs CONFIG_SECCOMP_FILTER");
	return 0;
}
