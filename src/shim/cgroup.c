#include "shim/cgroup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/text.h"
#include "shim/cgroup_tree.h"

#define ENCLAVE "enclave"
#define HELPERS "helpers"
#define NAME_SIZE 12
/* Of CPU quotas, the kernel's own choice. */
#define PERIOD_US 100000u
/* Enough for gocryptfs, slirp4netns and dnsmasq together, several times over. */
#define HELPERS_MEMORY ((uint64_t)256 * 1024 * 1024)
#define HELPERS_TASKS 128u
/* Of its memory, what an app's sockets may hold beside it on v1, where they are counted apart. */
#define SOCKETS_SHARE 4
/* Whoever holds a group's lock for a moment is sweeping, or ending. */
#define LOCK_WAIT_MS 5000u
#define LOCK_PAUSE_US 5000u
/* What may be asked for at once, and so refused although less than that is left. */
#define LIMIT_SLACK ((uint64_t)1024 * 1024)
#define MAX_SWEPT 100000u

struct mse_cgroup {
	const struct mse_cgroups *groups;
	char name[NAME_SIZE + 1];
	/* By tree. */
	int whole[MSE_CGROUP_CONTROLLERS], enclave[MSE_CGROUP_CONTROLLERS], helpers[MSE_CGROUP_CONTROLLERS];
	uint64_t memory;          /* the enclave's limit */
	uint64_t kills, refusals; /* seen so far */
};

static int group_of(const struct mse_cgroup *group, const int fds[static MSE_CGROUP_CONTROLLERS], enum mse_cgroup_controller controller)
{
	return fds[group->groups->tree_of[controller]];
}

/* ---- whose it is ---- */

static bool is_still_there(int parent, const char *name, int group)
{
	struct stat there, here;

	return fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && fstat(group, &here) == 0 && there.st_ino == here.st_ino;
}

/* Locks an app's group in the first tree, which is made before those in the others and removed after them. MSE_ERR_EXISTS: somebody has it. */
static int own(const struct mse_cgroups *groups, const char *name, unsigned wait_ms, int *ret_group, struct mse_error_info *err)
{
	uint64_t deadline = mse_monotonic_ms() + wait_ms;
	int parent = groups->trees[0].fd;

	for (;;) {
		mse_autoclose int group = -1;
		int result = mse_cgroup_make(parent, name, &group, err);

		/* Between making and opening, who removes it may have been faster. */
		if (result < 0 && result != MSE_ERR_NOT_FOUND)
			return result;
		if (result == 0 && flock(group, LOCK_EX | LOCK_NB) == 0 && is_still_there(parent, name, group)) {
			*ret_group = mse_steal_fd(&group);
			return 0;
		}
		if (mse_monotonic_ms() >= deadline)
			return mse_fail(err, MSE_ERR_EXISTS, "the control group '%s/%s' belongs to another shim that runs", groups->trees[0].path, name);
		usleep(LOCK_PAUSE_US);
	}
}

static int destroy_in(int parent, const char *name, struct mse_error_info *err)
{
	mse_autoclose int group = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int result;

	if (group >= 0 && ((result = mse_cgroup_destroy(group, ENCLAVE, err)) < 0 || (result = mse_cgroup_destroy(group, HELPERS, err)) < 0))
		return result;
	return mse_cgroup_destroy(parent, name, err);
}

/* With the lock held. */
static int destroy(const struct mse_cgroups *groups, const char *name, struct mse_error_info *err)
{
	int result = 0;

	for (size_t i = groups->tree_count; result == 0 && i-- > 0;)
		result = destroy_in(groups->trees[i].fd, name, err);
	return result;
}

static bool is_app_name(const char *name)
{
	return strspn(name, "0123456789abcdef") == NAME_SIZE && name[NAME_SIZE] == 0;
}

static int sweep_tree(const struct mse_cgroups *groups, size_t tree, struct mse_error_info *err)
{
	int fd = openat(groups->trees[tree].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mse_autoclosedir DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (folder == NULL) {
		mse_close(fd);
		return mse_fail_errno(err, "cannot list the control group '%s'", groups->trees[tree].path);
	}
	for (unsigned count = 0; count < MAX_SWEPT && (entry = readdir(folder)) != NULL; count++) {
		mse_autoclose int lock = -1;
		int result;

		if (!is_app_name(entry->d_name))
			continue;
		result = own(groups, entry->d_name, 0, &lock, err);
		if (result == 0)
			result = destroy(groups, entry->d_name, err);
		if (result < 0 && result != MSE_ERR_EXISTS && result != MSE_ERR_TIMEOUT)
			return result;
	}
	return 0;
}

int mse_cgroups_sweep(const struct mse_cgroups *groups, struct mse_error_info *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < groups->tree_count; i++)
		result = sweep_tree(groups, i, err);
	return result;
}

/* ---- limits ---- */

static int write_u64(int group, const char *file, uint64_t value, struct mse_error_info *err)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, value);
	return mse_cgroup_write(group, file, text, err);
}

/* v2 counts what sockets hold as memory; v1 counts it apart, and only where it has a limit. */
static int limit_sockets(const struct mse_cgroup *group, int leaf, uint64_t memory, struct mse_error_info *err)
{
	char text[32];

	if (group->groups->v2)
		return 0;
	snprintf(text, sizeof text, "%" PRIu64, memory / SOCKETS_SHARE);
	return mse_cgroup_write_if_there(leaf, "memory.kmem.tcp.limit_in_bytes", text, err);
}

/* Memory is no limit where the rest goes to a disk: neither counted, nor secret any more. */
static int limit_memory(const struct mse_cgroup *group, int leaf, uint64_t size, struct mse_error_info *err)
{
	char text[32];
	int result;

	if (group->groups->v2) {
		if ((result = write_u64(leaf, "memory.max", size, err)) < 0 || (result = mse_cgroup_write_if_there(leaf, "memory.swap.max", "0", err)) < 0)
			return result;
		return mse_cgroup_write_if_there(leaf, "memory.oom.group", "1", err);
	}
	snprintf(text, sizeof text, "%" PRIu64, size);
	/* In this order: memory and swap together are never less than memory. */
	if ((result = mse_cgroup_write(leaf, "memory.limit_in_bytes", text, err)) < 0 ||
	    (result = mse_cgroup_write_if_there(leaf, "memory.memsw.limit_in_bytes", text, err)) < 0)
		return result;
	if ((result = mse_cgroup_write_if_there(leaf, "memory.swappiness", "0", err)) < 0)
		return result;
	return limit_sockets(group, leaf, size, err);
}

int mse_cgroup_set_cpu(struct mse_cgroup *group, uint32_t cpu_millis, struct mse_error_info *err)
{
	int whole = group_of(group, group->whole, MSE_CGROUP_CPU), result;
	uint64_t quota = (uint64_t)cpu_millis * (PERIOD_US / 1000);
	char text[48];

	if (group->groups->v2) {
		snprintf(text, sizeof text, "%" PRIu64 " %u", quota, PERIOD_US);
		return mse_cgroup_write(whole, "cpu.max", text, err);
	}
	return (result = write_u64(whole, "cpu.cfs_period_us", PERIOD_US, err)) < 0 ? result : write_u64(whole, "cpu.cfs_quota_us", quota, err);
}

/* Where CPUs are short, apps share them as their plans do: a whole CPU weighs as much as an ordinary process. */
static int set_weight(const struct mse_cgroup *group, uint32_t cpu_millis, struct mse_error_info *err)
{
	int whole = group_of(group, group->whole, MSE_CGROUP_CPU);
	uint64_t weight = cpu_millis / 10, shares = (uint64_t)cpu_millis * 1024 / 1000;

	if (group->groups->v2)
		return write_u64(whole, "cpu.weight", weight < 1 ? 1 : weight > 10000 ? 10000 : weight, err);
	return write_u64(whole, "cpu.shares", shares < 2 ? 2 : shares > 262144 ? 262144 : shares, err);
}

static int set_limits(struct mse_cgroup *group, const struct mse_cgroup_limits *limits, struct mse_error_info *err)
{
	int result;

	if ((result = mse_cgroup_set_cpu(group, limits->cpu_millis, err)) < 0 || (result = set_weight(group, limits->cpu_millis, err)) < 0 ||
	    (result = limit_memory(group, group_of(group, group->enclave, MSE_CGROUP_MEMORY), limits->memory, err)) < 0 ||
	    (result = limit_memory(group, group_of(group, group->helpers, MSE_CGROUP_MEMORY), HELPERS_MEMORY, err)) < 0 ||
	    (result = write_u64(group_of(group, group->enclave, MSE_CGROUP_PIDS), "pids.max", limits->tasks, err)) < 0)
		return result;
	return write_u64(group_of(group, group->helpers, MSE_CGROUP_PIDS), "pids.max", HELPERS_TASKS, err);
}

/* ---- one app's groups ---- */

static int make_groups(struct mse_cgroup *group, struct mse_error_info *err)
{
	const struct mse_cgroups *groups = group->groups;
	int result;

	for (size_t i = 0; i < groups->tree_count; i++) {
		/* The first is there already, and locked. Limits that were in force are not lifted, they go with their groups. */
		if ((i > 0 && (result = mse_cgroup_make(groups->trees[i].fd, group->name, &group->whole[i], err)) < 0) ||
		    (result = mse_cgroup_destroy(group->whole[i], ENCLAVE, err)) < 0 || (result = mse_cgroup_destroy(group->whole[i], HELPERS, err)) < 0 ||
		    (groups->v2 && (result = mse_cgroup_write(group->whole[i], "cgroup.subtree_control", "+memory +pids", err)) < 0) ||
		    (result = mse_cgroup_make(group->whole[i], ENCLAVE, &group->enclave[i], err)) < 0 ||
		    (result = mse_cgroup_make(group->whole[i], HELPERS, &group->helpers[i], err)) < 0)
			return result;
	}
	return 0;
}

int mse_cgroup_new(const struct mse_cgroups *groups, const char *instance_id, const struct mse_cgroup_limits *limits, struct mse_cgroup **ret_group,
	struct mse_error_info *err)
{
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = calloc(1, sizeof *group);
	int result;

	if (group == NULL)
		return mse_fail_nomem(err);
	group->groups = groups;
	group->memory = limits->memory;
	snprintf(group->name, sizeof group->name, "%s", instance_id);
	for (size_t i = 0; i < MSE_CGROUP_CONTROLLERS; i++)
		group->whole[i] = group->enclave[i] = group->helpers[i] = -1;
	if ((result = own(groups, group->name, LOCK_WAIT_MS, &group->whole[0], err)) < 0 || (result = make_groups(group, err)) < 0 ||
	    (result = set_limits(group, limits, err)) < 0)
		return mse_context(err, "cannot limit the app");
	*ret_group = mse_steal(group);
	return 0;
}

void mse_cgroup_free(struct mse_cgroup *group)
{
	if (group == NULL)
		return;
	/* The lock is the last that goes. */
	if (group->whole[0] >= 0)
		destroy(group->groups, group->name, NULL);
	for (size_t i = MSE_CGROUP_CONTROLLERS; i-- > 0;) {
		mse_close(group->helpers[i]);
		mse_close(group->enclave[i]);
		mse_close(group->whole[i]);
	}
	free(group);
}

static int enter(const struct mse_cgroup *group, const int fds[static MSE_CGROUP_CONTROLLERS], struct mse_error_info *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < group->groups->tree_count; i++)
		result = mse_cgroup_write(fds[i], "cgroup.procs", "0", err);
	return result;
}

int mse_cgroup_enter_enclave(const struct mse_cgroup *group, struct mse_error_info *err)
{
	return group == NULL ? 0 : enter(group, group->enclave, err);
}

int mse_cgroup_enter_helpers(void *context, struct mse_error_info *err)
{
	const struct mse_cgroup *group = context;

	return group == NULL ? 0 : enter(group, group->helpers, err);
}

/* ---- out of memory ---- */

/* A line "name number" of a file. */
static int read_counter(int group, const char *file, const char *name, uint64_t *ret_value, struct mse_error_info *err)
{
	char text[MSE_CGROUP_TEXT_SIZE], *rest = text, *line;
	size_t size = strlen(name);
	int result = mse_cgroup_read(group, file, text, err);

	if (result < 0)
		return result;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, name, size) == 0 && (size == 0 || line[size] == ' '))
			return mse_parse_u64(line + size + (size > 0), 0, UINT64_MAX, ret_value, file, err);
	return mse_fail(err, MSE_ERR_UNSUPPORTED, "the control group's '%s' has no '%s': the kernel is older than 4.13", file, name);
}

/* Whether the group's own limit was met since the last call: by what it has refused, or on v1, where not all kernels count that, by the
 * most that was used. */
static int met_own_limit(struct mse_cgroup *group, int leaf, bool *ret_met, struct mse_error_info *err)
{
	uint64_t value;
	int result;

	if (group->groups->v2) {
		if ((result = read_counter(leaf, "memory.events", "oom", &value, err)) < 0)
			return result;
		*ret_met = value > group->refusals;
		group->refusals = value;
		return 0;
	}
	if ((result = read_counter(leaf, "memory.max_usage_in_bytes", "", &value, err)) < 0)
		return result;
	*ret_met = value + LIMIT_SLACK >= group->memory;
	return mse_cgroup_write(leaf, "memory.max_usage_in_bytes", "0", err);
}

int mse_cgroup_was_out_of_memory(struct mse_cgroup *group, bool *ret_was, struct mse_error_info *err)
{
	int leaf = group_of(group, group->enclave, MSE_CGROUP_MEMORY), result;
	uint64_t kills;
	bool met;

	/* Kills are counted whoever was short of memory: the group, or the machine. */
	if ((result = read_counter(leaf, group->groups->v2 ? "memory.events" : "memory.oom_control", "oom_kill", &kills, err)) < 0 ||
	    (result = met_own_limit(group, leaf, &met, err)) < 0)
		return result;
	*ret_was = kills > group->kills && met;
	group->kills = kills;
	return 0;
}
