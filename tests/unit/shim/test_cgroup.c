/* Control groups on trees of plain files that stand in for the kernel's: what is written where, for v1 and v2, and the boost of starts. */
#include "../test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "shim/boost.h"
#include "shim/cgroup.h"

#define INSTANCE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define GROUP "0123456789ab"
#define MIB (1024ull * 1024)

static struct mse_error_info err;

/* ---- the stand-in ---- */

static char root[64];
static char transcript[16384];
static char self_group[256];    /* v2: where this process is, below the root; "/": the hierarchy's own */
static const char *forbidden;   /* below the root: not writable for this user */
static const char *missing;     /* a file that this kernel does not have */
static bool crowded;            /* others' processes are in every group */
static bool preparing;          /* what is written is the test's own */
static uint64_t clock_step_ms;  /* by which each look at the clock moves it */

int __real_mkdirat(int parent, const char *name, mode_t mode);
int __real_unlinkat(int parent, const char *name, int flags);
int __real_faccessat(int parent, const char *name, int mode, int flags);
ssize_t __real_write(int fd, const void *data, size_t size);
uint64_t __real_mse_monotonic_ms(void);
int __wrap_mkdirat(int parent, const char *name, mode_t mode);
int __wrap_unlinkat(int parent, const char *name, int flags);
int __wrap_faccessat(int parent, const char *name, int mode, int flags);
ssize_t __wrap_write(int fd, const void *data, size_t size);
uint64_t __wrap_mse_monotonic_ms(void);

/* The part of a descriptor's path below the root, or NULL. */
static const char *path_of(int fd)
{
	static char path[512];
	char link[64];
	ssize_t size;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof path - 1);
	if (size <= 0)
		return NULL;
	path[size] = 0;
	return root[0] != 0 && strncmp(path, root, strlen(root)) == 0 && path[strlen(root)] == '/' ? path + strlen(root) : NULL;
}

static void make_file(int group, const char *name, const char *text)
{
	int fd;

	if (missing != NULL && strcmp(name, missing) == 0)
		return;
	fd = openat(group, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(__real_write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void read_in(int group, const char *name, char text[static 1024])
{
	int fd = openat(group, name, O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, text, 1023);

	text[got < 0 ? 0 : got] = 0;
	if (fd >= 0)
		close(fd);
}

/* The files of a new group, by its parent's kind. */
static void fill(int parent, int group)
{
	static const char *const v2[] = { "cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "memory.max", "memory.swap.max", "memory.oom.group",
		"cpu.max", "cpu.weight", "pids.max" };
	static const char *const v1[] = { "cgroup.procs", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness",
		"memory.max_usage_in_bytes", "memory.kmem.tcp.limit_in_bytes",
		"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares", "pids.max" };
	char text[1024];

	if (faccessat(parent, "cgroup.controllers", F_OK, 0) == 0) {
		read_in(parent, "cgroup.subtree_control", text);
		make_file(group, "cgroup.controllers", text);
		make_file(group, "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
		for (size_t i = 0; i < sizeof v2 / sizeof v2[0]; i++)
			make_file(group, v2[i], "");
		return;
	}
	make_file(group, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
	for (size_t i = 0; i < sizeof v1 / sizeof v1[0]; i++)
		make_file(group, v1[i], strcmp(v1[i], "memory.max_usage_in_bytes") == 0 ? "0\n" : "");
}

int __wrap_mkdirat(int parent, const char *name, mode_t mode)
{
	int result = __real_mkdirat(parent, name, mode), group;

	if (result < 0 || path_of(parent) == NULL)
		return result;
	group = openat(parent, name, O_RDONLY | O_DIRECTORY);
	assert_true(group >= 0);
	fill(parent, group);
	close(group);
	return 0;
}

/* A group with a living process is busy; the kernel takes the files along with the others. */
int __wrap_unlinkat(int parent, const char *name, int flags)
{
	int group = flags == AT_REMOVEDIR && path_of(parent) != NULL ? openat(parent, name, O_RDONLY | O_DIRECTORY) : -1;
	const struct dirent *entry;
	char procs[1024];
	DIR *folder;

	if (group < 0)
		return __real_unlinkat(parent, name, flags);
	read_in(group, "cgroup.procs", procs);
	if (atoi(procs) > 0 && waitpid(atoi(procs), NULL, WNOHANG) == 0) {
		close(group);
		errno = EBUSY;
		return -1;
	}
	folder = fdopendir(group);
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL)
		if (entry->d_type == DT_REG)
			assert_int_equal(__real_unlinkat(group, entry->d_name, 0), 0);
	closedir(folder);
	return __real_unlinkat(parent, name, flags);
}

int __wrap_faccessat(int parent, const char *name, int mode, int flags)
{
	const char *path = path_of(parent);

	if (path != NULL && forbidden != NULL && strcmp(path, forbidden) == 0 && (mode & W_OK)) {
		errno = EACCES;
		return -1;
	}
	return __real_faccessat(parent, name, mode, flags);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	const char *path = path_of(fd), *name = path == NULL ? NULL : strrchr(path, '/');
	size_t length = strlen(transcript), dir = path == NULL ? 0 : (size_t)(name - path);
	char value[128];

	if (path == NULL || preparing)
		return __real_write(fd, data, size);
	snprintf(value, sizeof value, "%.*s", (int)size, (const char *)data);
	if (strcmp(name, "/cgroup.procs") == 0)
		snprintf(self_group, sizeof self_group, "%.*s", (int)dir, path);
	if (strcmp(name, "/cgroup.subtree_control") == 0) {
		if (crowded || (strlen(self_group) == dir && strncmp(self_group, path, dir) == 0)) {
			errno = EBUSY;
			return -1;
		}
		/* What a reader sees is a list without the signs. */
		lseek(fd, 0, SEEK_END);
		for (char *p = value; *p != 0; p++)
			*p = *p == '+' ? ' ' : *p;
		assert_int_equal(__real_write(fd, value, strlen(value)), strlen(value));
		snprintf(value, sizeof value, "%.*s", (int)size, (const char *)data);
	}
	snprintf(transcript + length, sizeof transcript - length, "%s %s\n", path + 1, value);
	return (ssize_t)size;
}

uint64_t __wrap_mse_monotonic_ms(void)
{
	static uint64_t skew;

	return __real_mse_monotonic_ms() + (skew += clock_step_ms);
}

/* ---- a machine ---- */

static void put(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *name, const char *format, ...)
{
	char path[512], text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(path, sizeof path, "%s/%s", root, name);
	preparing = true;
	assert_works(mse_file_write(path, text, strlen(text), 0644, &err));
	preparing = false;
}

static void make_dir(const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/mse-test-cgroup-XXXXXX");
	assert_non_null(mkdtemp(root));
	transcript[0] = self_group[0] = 0;
	forbidden = missing = NULL;
	crowded = false;
	clock_step_ms = 0;
	make_dir("proc");
	return 0;
}

static int tear_down(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s", root);
	root[0] = 0;
	clock_step_ms = 0;
	return mse_tree_remove(path, &err);
}

static void make_v2(const char *name, const char *controllers)
{
	char path[128];

	make_dir(name);
	snprintf(path, sizeof path, "%s/cgroup.controllers", name);
	put(path, "%s\n", controllers);
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", name);
	put(path, "%s", "");
	snprintf(path, sizeof path, "%s/cgroup.procs", name);
	put(path, "%s", "");
}

#define MOUNT "%s/%s rw,nosuid,nodev,noexec,relatime shared:4 - "

static void make_v2_machine(const char *own)
{
	make_v2("v2", "cpuset cpu io memory hugetlb pids rdma");
	put("proc/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n30 1 0:27 / " MOUNT "cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n", root, "v2");
	put("proc/cgroup", "0::%s\n", own);
}

static void make_v1_machine(void)
{
	static const char *const names[] = { "memory", "cpu", "pids" };

	for (size_t i = 0; i < 3; i++) {
		char path[64];

		make_dir(names[i]);
		snprintf(path, sizeof path, "%s/cgroup.procs", names[i]);
		put(path, "%s", "");
	}
	put("proc/mountinfo", "31 1 0:29 / " MOUNT "cgroup cgroup rw,memory\n32 1 0:30 / " MOUNT "cgroup cgroup rw,cpu,cpuacct\n33 1 0:31 / " MOUNT
		"cgroup cgroup rw,pids\n34 1 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n", root, "memory", root, "cpu", root, "pids");
	put("proc/cgroup", "8:pids:/\n4:memory:/process/1f\n1:cpu,cpuacct:/\n2:name=systemd:/x\n");
}

static int find(struct mse_cgroups **ret_groups)
{
	char proc[128];

	snprintf(proc, sizeof proc, "%s/proc", root);
	return mse_cgroups_find(proc, ret_groups, &err);
}

static const struct mse_cgroup_limits limits = { .memory = 512 * MIB, .cpu_millis = 380, .tasks = 258 };

static bool there(const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", root, name);
	return mse_path_exists(path);
}

/* What was written last to a file. */
static void expect_last(const char *file, const char *value)
{
	char line[512];
	const char *found = NULL;
	size_t size = (size_t)snprintf(line, sizeof line, "%s ", file);

	for (const char *p = transcript; *p != 0; p += strcspn(p, "\n") + 1)
		if (strncmp(p, line, size) == 0)
			found = p + size;
	if (found == NULL || strncmp(found, value, strlen(value)) != 0 || found[strlen(value)] != '\n')
		fail_msg("'%s' was not set to '%s':\n%s", file, value, transcript);
}

static void expect_never(const char *file)
{
	if (strstr(transcript, file) != NULL)
		fail_msg("'%s' was written:\n%s", file, transcript);
}

/* ---- v2 ---- */

static void on_v2_an_app_gets_its_plan_and_nothing_of_the_swap(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;

	(void)state;
	make_v2_machine("/user.slice/session-1.scope");
	assert_works(find(&groups));
	assert_non_null(strstr(mse_cgroups_name(groups), "cgroup v2 at "));
	expect_last("v2/cgroup.subtree_control", "+pids");
	expect_last("v2/mse/cgroup.subtree_control", "+pids");
	assert_non_null(strstr(transcript, "v2/mse/cgroup.subtree_control +memory\nv2/mse/cgroup.subtree_control +cpu\n"));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	expect_last("v2/mse/" GROUP "/cgroup.subtree_control", "+memory +pids");
	expect_last("v2/mse/" GROUP "/cpu.max", "38000 100000");
	expect_last("v2/mse/" GROUP "/cpu.weight", "38");
	expect_last("v2/mse/" GROUP "/enclave/memory.max", "536870912");
	expect_last("v2/mse/" GROUP "/enclave/memory.swap.max", "0");
	expect_last("v2/mse/" GROUP "/enclave/memory.oom.group", "1");
	expect_last("v2/mse/" GROUP "/enclave/pids.max", "258");
	expect_last("v2/mse/" GROUP "/helpers/memory.max", "268435456");
	expect_last("v2/mse/" GROUP "/helpers/memory.swap.max", "0");
	expect_last("v2/mse/" GROUP "/helpers/pids.max", "128");
	assert_works(mse_cgroup_set_cpu(group, 1000, &err));
	expect_last("v2/mse/" GROUP "/cpu.max", "100000 100000");
	assert_works(mse_cgroup_enter_enclave(group, &err));
	expect_last("v2/mse/" GROUP "/enclave/cgroup.procs", "0");
	assert_works(mse_cgroup_enter_helpers(group, &err));
	expect_last("v2/mse/" GROUP "/helpers/cgroup.procs", "0");
	mse_cgroup_free(mse_steal(group));
	assert_false(there("v2/mse/" GROUP));
}

static void controllers_that_are_handed_down_already_are_left_alone(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *first = NULL, *second = NULL;

	(void)state;
	make_v2_machine("/");
	assert_works(find(&first));
	transcript[0] = 0;
	assert_works(find(&second));
	expect_never("subtree_control");
}

static void an_ordinary_user_uses_the_topmost_group_that_was_delegated_to_him(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	make_v2_machine("/user@1000.service/app.slice");
	make_v2("v2/user@1000.service", "cpu memory pids");
	make_v2("v2/user@1000.service/app.slice", "memory pids");
	forbidden = "/v2";
	assert_works(find(&groups));
	assert_true(there("v2/user@1000.service/mse"));
	assert_false(there("v2/mse"));
	expect_never("app.slice");
}

static void where_msed_alone_is_in_the_way_it_steps_aside(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	make_v2_machine("/system.slice/msed.service");
	make_v2("v2/system.slice", "cpu memory pids");
	make_v2("v2/system.slice/msed.service", "cpu memory pids");
	snprintf(self_group, sizeof self_group, "/v2/system.slice/msed.service");
	forbidden = "/v2";
	/* Nothing can be had further up. */
	put("v2/system.slice/cgroup.controllers", "cpuset\n");
	assert_works(find(&groups));
	expect_last("v2/system.slice/msed.service/mse-node/cgroup.procs", "0");
	expect_last("v2/system.slice/msed.service/cgroup.subtree_control", "+pids");
	assert_true(there("v2/system.slice/msed.service/mse"));
}

static void where_others_processes_are_in_the_way_nothing_is_done_and_it_is_said(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	make_v2_machine("/elsewhere");
	make_v2("v2/elsewhere", "cpu memory pids");
	crowded = true;
	assert_fails(find(&groups), MSE_ERR_UNSUPPORTED, "Device or resource busy");
	assert_non_null(strstr(err.message, "Delegate=yes"));
	assert_false(there("v2/mse"));
}

static void a_controller_that_is_not_there_is_named(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	make_v2_machine("/");
	put("v2/cgroup.controllers", "cpu pids\n");
	assert_fails(find(&groups), MSE_ERR_UNSUPPORTED, "it has no controller 'memory'");
}

static void without_any_mount_the_message_says_what_to_do(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	put("proc/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n\nshort\n - \n1 2 3 - cgroup2\n");
	put("proc/cgroup", "0::/\nnothing\n:\n");
	assert_fails(find(&groups), MSE_ERR_UNSUPPORTED, "mount cgroup2 at /sys/fs/cgroup");
	assert_non_null(strstr(err.message, "insecure_unlimited"));
}

static void only_the_part_of_the_own_group_that_is_mounted_here_counts(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	make_dir("a container");
	make_v2("a container/v2", "cpu memory pids");
	put("proc/mountinfo", "30 1 0:27 /docker/12 %s/a\\040container/v2 rw - cgroup2 cgroup2 rw\n", root);
	put("proc/cgroup", "0::/docker/12/inner\n");
	make_v2("a container/v2/inner", "cpu memory pids");
	forbidden = "/a container/v2";
	assert_works(find(&groups));
	assert_true(there("a container/v2/inner/mse"));
}

/* ---- v1 ---- */

static void on_v1_each_hierarchy_gets_its_own(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;

	(void)state;
	make_v1_machine();
	assert_works(find(&groups));
	assert_non_null(strstr(mse_cgroups_name(groups), "cgroup v1 at "));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	expect_last("memory/mse/" GROUP "/enclave/memory.limit_in_bytes", "536870912");
	expect_last("memory/mse/" GROUP "/enclave/memory.memsw.limit_in_bytes", "536870912");
	expect_last("memory/mse/" GROUP "/enclave/memory.swappiness", "0");
	expect_last("memory/mse/" GROUP "/enclave/memory.kmem.tcp.limit_in_bytes", "134217728");
	expect_last("memory/mse/" GROUP "/helpers/memory.limit_in_bytes", "268435456");
	expect_last("memory/mse/" GROUP "/helpers/memory.kmem.tcp.limit_in_bytes", "67108864");
	expect_last("cpu/mse/" GROUP "/cpu.cfs_period_us", "100000");
	expect_last("cpu/mse/" GROUP "/cpu.cfs_quota_us", "38000");
	expect_last("cpu/mse/" GROUP "/cpu.shares", "389");
	expect_last("pids/mse/" GROUP "/enclave/pids.max", "258");
	expect_last("pids/mse/" GROUP "/helpers/pids.max", "128");
	expect_never("memory.max");
	assert_works(mse_cgroup_enter_enclave(group, &err));
	expect_last("memory/mse/" GROUP "/enclave/cgroup.procs", "0");
	expect_last("cpu/mse/" GROUP "/enclave/cgroup.procs", "0");
	expect_last("pids/mse/" GROUP "/enclave/cgroup.procs", "0");
	mse_cgroup_free(mse_steal(group));
	assert_false(there("memory/mse/" GROUP) || there("cpu/mse/" GROUP) || there("pids/mse/" GROUP));
}

static void a_v2_without_controllers_beside_v1_is_no_obstacle(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_autofree char *mounts = NULL;
	char path[128];
	size_t size;

	(void)state;
	make_v1_machine();
	make_v2("unified", "hugetlb");
	snprintf(path, sizeof path, "%s/proc/mountinfo", root);
	assert_works(mse_file_read(path, 4096, (uint8_t **)&mounts, &size, &err));
	put("proc/mountinfo", "%s35 1 0:38 / %s/unified rw - cgroup2 cgroup2 rw\n", mounts, root);
	assert_works(find(&groups));
	assert_non_null(strstr(mse_cgroups_name(groups), "cgroup v1 at "));
}

static void a_kernel_that_does_not_count_swap_is_told_not_to_use_it(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;

	(void)state;
	make_v1_machine();
	missing = "memory.memsw.limit_in_bytes";
	assert_works(find(&groups));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	expect_never("memsw");
	expect_last("memory/mse/" GROUP "/enclave/memory.swappiness", "0");
}

static void a_limit_that_cannot_be_set_is_no_group(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	struct mse_cgroup *group = NULL;

	(void)state;
	make_v1_machine();
	missing = "pids.max";
	assert_works(find(&groups));
	assert_fails(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err), MSE_ERR_NOT_FOUND, "cannot limit the app: cannot open the control group's 'pids.max'");
	assert_null(group);
	assert_false(there("memory/mse/" GROUP));
}

/* ---- owners ---- */

static void what_is_left_in_a_group_is_killed_with_it(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;
	pid_t child;

	(void)state;
	make_v1_machine();
	assert_works(find(&groups));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	put("pids/mse/" GROUP "/enclave/cgroup.procs", "%d\n", (int)child);
	mse_cgroup_free(mse_steal(group));
	/* Reaped by the stand-in, once it was killed. */
	assert_int_equal(waitpid(child, NULL, 0), -1);
	assert_false(there("pids/mse/" GROUP));
}

static void a_group_that_a_shim_owns_is_neither_swept_nor_given_away(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;
	struct mse_cgroup *second = NULL;

	(void)state;
	make_v1_machine();
	assert_works(find(&groups));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	assert_works(mse_cgroups_sweep(groups, &err));
	assert_true(there("memory/mse/" GROUP "/enclave") && there("cpu/mse/" GROUP "/enclave") && there("pids/mse/" GROUP "/enclave"));
	clock_step_ms = 1000;
	assert_fails(mse_cgroup_new(groups, INSTANCE, &limits, &second, &err), MSE_ERR_EXISTS, "belongs to another shim");
	assert_true(there("memory/mse/" GROUP "/enclave"));
}

static void groups_that_nobody_owns_are_swept_in_every_hierarchy(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;

	(void)state;
	make_v1_machine();
	assert_works(find(&groups));
	make_dir("memory/mse/" GROUP);
	make_dir("memory/mse/" GROUP "/enclave");
	make_dir("pids/mse/aaaaaaaaaaaa");
	make_dir("pids/mse/not-an-app");
	make_dir("pids/mse/aaaaaaaaaaaaa");
	assert_works(mse_cgroups_sweep(groups, &err));
	assert_false(there("memory/mse/" GROUP) || there("pids/mse/aaaaaaaaaaaa") || there("memory/mse/aaaaaaaaaaaa"));
	assert_true(there("pids/mse/not-an-app") && there("pids/mse/aaaaaaaaaaaaa"));
}

/* ---- out of memory ---- */

static void expect_out_of_memory(struct mse_cgroup *group, bool expected)
{
	bool was = !expected;

	assert_works(mse_cgroup_was_out_of_memory(group, &was, &err));
	assert_int_equal(was, expected);
}

static void on_v2_a_kill_for_the_groups_own_limit_is_told_once(void **state)
{
	static const char events[] = "v2/mse/" GROUP "/enclave/memory.events";
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;

	(void)state;
	make_v2_machine("/");
	assert_works(find(&groups));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	expect_out_of_memory(group, false);
	put(events, "low 0\nhigh 0\nmax 9\noom 0\noom_kill 1\noom_group_kill 0\n");
	/* The machine's own. */
	expect_out_of_memory(group, false);
	put(events, "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n");
	expect_out_of_memory(group, true);
	expect_out_of_memory(group, false);
}

static void on_v1_a_kill_for_the_groups_own_limit_is_told_once(void **state)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = NULL;
	mse_cleanup(mse_cgroup_freep) struct mse_cgroup *group = NULL;

	(void)state;
	make_v1_machine();
	assert_works(find(&groups));
	assert_works(mse_cgroup_new(groups, INSTANCE, &limits, &group, &err));
	expect_out_of_memory(group, false);
	put("memory/mse/" GROUP "/enclave/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
	put("memory/mse/" GROUP "/enclave/memory.max_usage_in_bytes", "%llu\n", 512 * MIB - 4096);
	expect_out_of_memory(group, true);
	expect_last("memory/mse/" GROUP "/enclave/memory.max_usage_in_bytes", "0");
	expect_out_of_memory(group, false);
	put("memory/mse/" GROUP "/enclave/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	put("memory/mse/" GROUP "/enclave/memory.max_usage_in_bytes", "%llu\n", 200 * MIB);
	/* The machine's own. */
	expect_out_of_memory(group, false);
	put("memory/mse/" GROUP "/enclave/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n");
	assert_fails(mse_cgroup_was_out_of_memory(group, &(bool){ false }, &err), MSE_ERR_UNSUPPORTED, "has no 'oom_kill'");
}

/* ---- the boost ---- */

static void a_start_is_boosted_for_ten_seconds_at_most(void **state)
{
	struct mse_boost boost;

	(void)state;
	mse_boost_init(&boost, 1000);
	assert_int_equal(mse_boost_begin(&boost, 1000), 10000);
	assert_int_equal(mse_boost_begin(&boost, 4000), 7000);
	assert_int_equal(mse_boost_begin(&boost, 12000), 0);
}

static void crashing_again_and_again_gains_a_sixtieth_of_a_cpu(void **state)
{
	const uint64_t hour = 3600 * 1000;
	struct mse_boost boost;
	uint64_t now = 5, boosted = 0;

	(void)state;
	mse_boost_init(&boost, now);
	while (now < hour) {
		uint64_t may = mse_boost_begin(&boost, now), used = may < 700 ? may : 700;

		now += used;
		boosted += used;
		mse_boost_end(&boost, now);
		now += 300;
	}
	assert_in_range(boosted, hour / 60 * 9 / 10, hour / 60 + 10000);
}

static void an_app_that_has_run_for_long_has_its_whole_boost_again(void **state)
{
	struct mse_boost boost;

	(void)state;
	mse_boost_init(&boost, 0);
	assert_int_equal(mse_boost_begin(&boost, 1), 10000);
	mse_boost_end(&boost, 10001);
	mse_boost_end(&boost, 10002);
	assert_int_equal(mse_boost_begin(&boost, 10100), 0);
	assert_int_equal(mse_boost_begin(&boost, 10001 + 300000), 5000);
	mse_boost_end(&boost, 10001 + 300000);
	assert_int_equal(mse_boost_begin(&boost, 10001 + 24 * 3600000), 10000);
}

#define on_a_tree(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_tree(on_v2_an_app_gets_its_plan_and_nothing_of_the_swap),
		on_a_tree(controllers_that_are_handed_down_already_are_left_alone),
		on_a_tree(an_ordinary_user_uses_the_topmost_group_that_was_delegated_to_him),
		on_a_tree(where_msed_alone_is_in_the_way_it_steps_aside),
		on_a_tree(where_others_processes_are_in_the_way_nothing_is_done_and_it_is_said),
		on_a_tree(a_controller_that_is_not_there_is_named),
		on_a_tree(without_any_mount_the_message_says_what_to_do),
		on_a_tree(only_the_part_of_the_own_group_that_is_mounted_here_counts),
		on_a_tree(on_v1_each_hierarchy_gets_its_own),
		on_a_tree(a_v2_without_controllers_beside_v1_is_no_obstacle),
		on_a_tree(a_kernel_that_does_not_count_swap_is_told_not_to_use_it),
		on_a_tree(a_limit_that_cannot_be_set_is_no_group),
		on_a_tree(what_is_left_in_a_group_is_killed_with_it),
		on_a_tree(a_group_that_a_shim_owns_is_neither_swept_nor_given_away),
		on_a_tree(groups_that_nobody_owns_are_swept_in_every_hierarchy),
		on_a_tree(on_v2_a_kill_for_the_groups_own_limit_is_told_once),
		on_a_tree(on_v1_a_kill_for_the_groups_own_limit_is_told_once),
		cmocka_unit_test(a_start_is_boosted_for_ten_seconds_at_most),
		cmocka_unit_test(crashing_again_and_again_gains_a_sixtieth_of_a_cpu),
		cmocka_unit_test(an_app_that_has_run_for_long_has_its_whole_boost_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
