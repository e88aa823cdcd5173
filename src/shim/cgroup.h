/* Control groups: what keeps one app from taking the machine's memory, CPU and processes from others. cgroup v2, or v1 where only that
 * has the three controllers.
 *
 *     mse/                   made by msed in the topmost group that it may write to: root's is the hierarchy's root, an ordinary
 *                            user's is what was delegated to him (systemd: user@UID.service, or a unit with Delegate=yes)
 *       0123456789ab/        one app, named by its instance: the CPU quota of all that runs for it. Locked while a shim owns it
 *         enclave/           the enclave: memory without swap, tasks
 *         helpers/           programs that serve it (gocryptfs …), so that they are not what it takes down when its memory is out
 *
 * Groups of the same name stand in each of v1's hierarchies. They do not lie in the group of msed's own service, since a service with
 * inner groups could not be started again while its apps live on (cgroups(7), "no internal processes"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* This machine's groups for apps, and how to make them. */
struct mse_cgroups;

/* proc: "/proc/self", or a test's folder with `mountinfo` and `cgroup`. Makes `mse` and hands controllers down to it, for which this
 * process may have to move itself one group down, once, where it alone stands in the way. MSE_ERR_UNSUPPORTED: the machine has no
 * usable groups; the message says what was tried, and what to change. */
int mse_cgroups_find(const char *proc, struct mse_cgroups **ret_groups, struct mse_error_info *err);
void mse_cgroups_free(struct mse_cgroups *groups);
MSE_DEFINE_CLEANUP(struct mse_cgroups, mse_cgroups_free)
/* "cgroup v2 at /sys/fs/cgroup/mse". */
const char *mse_cgroups_name(const struct mse_cgroups *groups);

/* Removes the groups of apps that no shim owns: of a shim that was killed, and whose app is not started again. One that does not go
 * (its processes are still ending) is left for the next time. */
int mse_cgroups_sweep(const struct mse_cgroups *groups, struct mse_error_info *err);

/* One app's groups. */
struct mse_cgroup;

struct mse_cgroup_limits {
	uint64_t memory;     /* bytes */
	uint32_t cpu_millis; /* thousandths of a core */
	uint32_t tasks;      /* processes and threads of the enclave */
};

/* Makes them and takes them as this shim's own; what an earlier shim's left is killed. MSE_ERR_EXISTS: another shim owns them. */
int mse_cgroup_new(const struct mse_cgroups *groups, const char *instance_id, const struct mse_cgroup_limits *limits, struct mse_cgroup **ret_group,
	struct mse_error_info *err);
/* Kills what is left in them and removes them; what does not go is left to mse_cgroups_sweep(). */
void mse_cgroup_free(struct mse_cgroup *group);
MSE_DEFINE_CLEANUP(struct mse_cgroup, mse_cgroup_free)

/* For a child between fork and execve, before it drops privileges: the calling process (of one thread) enters the enclave's group. With NULL,
 * where the configuration allows apps without limits, it stays where it is. */
int mse_cgroup_enter_enclave(const struct mse_cgroup *group, struct mse_error_info *err);
/* As mse_program.enter, with the struct mse_cgroup (or NULL) as its context: for programs that serve the app. */
int mse_cgroup_enter_helpers(void *group, struct mse_error_info *err);

/* The quota of CPU, which may differ from the plan's while an app starts. */
int mse_cgroup_set_cpu(struct mse_cgroup *group, uint32_t cpu_millis, struct mse_error_info *err);

/* Whether the kernel has, since the last call, killed something in the enclave's group because its memory was out: the group's own limit, not
 * the machine's memory. */
int mse_cgroup_was_out_of_memory(struct mse_cgroup *group, bool *ret_was, struct mse_error_info *err);
