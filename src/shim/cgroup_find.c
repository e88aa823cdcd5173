#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "shim/cgroup_tree.h"

#define HOME_GROUP "mse"
/* Where this process goes that stands in the way of inner groups. */
#define SELF_GROUP "mse-node"
#define MAX_PROC_FILE_SIZE ((size_t)1024 * 1024)
#define PATH_SIZE ((size_t)4096)
/* Of all apps together, for each CPU: twice an ordinary process. Shims and msed are such processes and stay responsive, and what else
 * the machine does cannot starve its apps. */
#define HOME_WEIGHT_PER_CPU 200
#define MAX_WEIGHT 10000

static const char *const controllers[MSE_CGROUP_CONTROLLERS] = { [MSE_CGROUP_MEMORY] = "memory", [MSE_CGROUP_CPU] = "cpu", [MSE_CGROUP_PIDS] = "pids" };

/* What was tried in vain, for the message: the failure that is nearest to success. */
struct attempt {
	char *mounts;  /* /proc/self/mountinfo */
	char *own;     /* /proc/self/cgroup */
	struct mse_error_info tried;
};

/* Whether a list has the word; separators are spaces, commas and line ends. */
static bool has_word(const char *list, const char *word)
{
	size_t size = strlen(word);

	for (const char *p = list; *p != 0; p += strcspn(p, " ,\n"), p += strspn(p, " ,\n"))
		if (strncmp(p, word, size) == 0 && (p[size] == 0 || strchr(" ,\n", p[size]) != NULL))
			return true;
	return false;
}

/* proc(5): white space and backslashes in mountinfo are written as three octal digits. */
static void decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != 0; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else
			*to = *from++;
	}
	*to = 0;
}

/* The mount of a hierarchy: the line's 4th and 5th field, root and mount point, where the file system's type and the last field,
 * its options, are as wanted. */
static bool parse_mount(char *line, const char *type, const char *option, char **ret_root, char **ret_point)
{
	char *rest = line, *tail = strstr(line, " - "), *mount_root, *point, *found_type;

	if (tail == NULL)
		return false;
	*tail = 0;
	tail += strlen(" - ");
	for (unsigned i = 0; i < 3; i++)
		strsep(&rest, " ");
	mount_root = strsep(&rest, " ");
	point = strsep(&rest, " ");
	if (mount_root == NULL || point == NULL)
		return false;
	found_type = strsep(&tail, " ");
	if (strcmp(found_type, type) != 0 || strsep(&tail, " ") == NULL || tail == NULL || (option != NULL && !has_word(tail, option)))
		return false;
	decode(mount_root);
	decode(point);
	*ret_root = mount_root;
	*ret_point = point;
	return true;
}

/* This process's own group in a hierarchy, as the kernel names it; controller "": v2's. "/" when it is not known. */
static void find_own(const char *own, const char *controller, char path[static PATH_SIZE])
{
	mse_autofree char *copy = strdup(own);
	char *rest = copy, *line;

	snprintf(path, PATH_SIZE, "/");
	while (copy != NULL && (line = strsep(&rest, "\n")) != NULL) {
		char *names = strchr(line, ':'), *where = names == NULL ? NULL : strchr(names + 1, ':');

		if (where == NULL)
			continue;
		*where++ = 0;
		if (controller[0] == 0 ? names[1] == 0 : has_word(names + 1, controller))
			snprintf(path, PATH_SIZE, "%s", where);
	}
}

/* Leaves that part of the own group's path that is under the mount. */
static void cut_to_mount(char own[static PATH_SIZE], const char *root)
{
	size_t size = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(own, root, size) != 0 || (own[size] != '/' && own[size] != 0) || strcmp(own + size, "/") == 0)
		own[0] = 0;
	else
		memmove(own, own + size, strlen(own + size) + 1);
}

static bool may_use(int group)
{
	return faccessat(group, ".", W_OK | X_OK, AT_EACCESS) == 0 && faccessat(group, "cgroup.procs", W_OK, AT_EACCESS) == 0;
}

static int enable(int group, const char *const names[], size_t count, struct mse_error_info *err)
{
	char text[MSE_CGROUP_TEXT_SIZE], wanted[64];
	int result = mse_cgroup_read(group, "cgroup.subtree_control", text, err);

	for (size_t i = 0; result == 0 && i < count; i++) {
		if (has_word(text, names[i]))
			continue;
		snprintf(wanted, sizeof wanted, "+%s", names[i]);
		result = mse_cgroup_write(group, "cgroup.subtree_control", wanted, err);
	}
	return result;
}

/* cgroups(7), "no internal processes": a group that hands controllers down has no processes of its own, the hierarchy's root excepted. */
static int step_aside(int group, struct mse_error_info *err)
{
	mse_autoclose int leaf = -1;
	int result = mse_cgroup_make(group, SELF_GROUP, &leaf, err);

	return result < 0 ? result : mse_cgroup_write(leaf, "cgroup.procs", "0", err);
}

static int prepare_v2(int group, bool is_own, struct mse_error_info *err)
{
	char text[MSE_CGROUP_TEXT_SIZE];
	int result = mse_cgroup_read(group, "cgroup.controllers", text, err);

	if (result < 0)
		return result;
	for (size_t i = 0; i < MSE_CGROUP_CONTROLLERS; i++)
		if (!has_word(text, controllers[i]))
			return mse_fail(err, MSE_ERR_UNSUPPORTED, "it has no controller '%s'", controllers[i]);
	if (enable(group, controllers, MSE_CGROUP_CONTROLLERS, err) == 0)
		return 0;
	if (!is_own)
		return err->code;
	return (result = step_aside(group, err)) < 0 ? result : enable(group, controllers, MSE_CGROUP_CONTROLLERS, err);
}

/* Makes `mse` in a group. */
static int settle_in(const char *path, bool v2, bool is_own, struct mse_cgroup_tree *ret_tree, struct mse_error_info *err)
{
	mse_autoclose int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mse_autoclose int home = -1;
	int result;

	if (group < 0)
		return mse_fail_errno(err, "it cannot be opened");
	if (!may_use(group))
		return mse_fail(err, MSE_ERR_DENIED, "this user may not make groups in it");
	if ((v2 && (result = prepare_v2(group, is_own, err)) < 0) || (result = mse_cgroup_make(group, HOME_GROUP, &home, err)) < 0 ||
	    (v2 && (result = enable(home, controllers, MSE_CGROUP_CONTROLLERS, err)) < 0) ||
	    (result = mse_path_join(path, HOME_GROUP, &ret_tree->path, err)) < 0)
		return result;
	ret_tree->fd = mse_steal_fd(&home);
	return 0;
}

/* From the mount's top down to this process's own group: the first that will have us, since it is there for every later start too. */
static int settle(struct attempt *attempt, const char *point, const char *under, bool v2, struct mse_cgroup_tree *ret_tree)
{
	mse_autofree char *path = NULL;
	struct mse_error_info err;
	size_t length;

	if (mse_format(&path, &attempt->tried, "%s%s", point, under) < 0)
		return attempt->tried.code;
	length = strlen(path);
	for (size_t end = strlen(point); end <= length; end++) {
		char kept = path[end];
		int result;

		if (kept != '/' && kept != 0)
			continue;
		path[end] = 0;
		result = settle_in(path, v2, end == length, ret_tree, &err);
		if (result == 0)
			return 0;
		if (result != MSE_ERR_DENIED || attempt->tried.code == 0)
			mse_fail(&attempt->tried, result, "the control group '%.300s': %.400s", path, err.message);
		path[end] = kept;
	}
	return attempt->tried.code;
}

static int find_hierarchy(struct attempt *attempt, bool v2, const char *controller, struct mse_cgroup_tree *ret_tree)
{
	mse_autofree char *copy = strdup(attempt->mounts);
	char *rest = copy, *line, *root, *point, own[PATH_SIZE];

	if (copy == NULL)
		return mse_fail_nomem(&attempt->tried);
	find_own(attempt->own, v2 ? "" : controller, own);
	while ((line = strsep(&rest, "\n")) != NULL)
		if (parse_mount(line, v2 ? "cgroup2" : "cgroup", v2 ? NULL : controller, &root, &point)) {
			cut_to_mount(own, root);
			return settle(attempt, point, own, v2, ret_tree);
		}
	return mse_fail(&attempt->tried, MSE_ERR_NOT_FOUND, v2 ? "no cgroup v2 is mounted" : "no cgroup v1 with the controller '%s' is mounted", controller);
}

static void add_tree(struct mse_cgroups *groups, enum mse_cgroup_controller controller, struct mse_cgroup_tree *tree)
{
	/* v1 hierarchies can have several controllers. */
	for (size_t i = 0; i < groups->tree_count; i++)
		if (strcmp(groups->trees[i].path, tree->path) == 0) {
			groups->tree_of[controller] = i;
			mse_close(tree->fd);
			free(tree->path);
			return;
		}
	groups->tree_of[controller] = groups->tree_count;
	groups->trees[groups->tree_count++] = *tree;
}

static int find_all(struct attempt *attempt, struct mse_cgroups *groups)
{
	struct mse_cgroup_tree tree;
	int result = find_hierarchy(attempt, true, "", &tree);

	if (result == 0) {
		groups->v2 = true;
		add_tree(groups, MSE_CGROUP_MEMORY, &tree);
		return 0;
	}
	for (size_t i = 0; i < MSE_CGROUP_CONTROLLERS; i++) {
		struct mse_error_info v2 = attempt->tried;

		attempt->tried.code = 0;
		if ((result = find_hierarchy(attempt, false, controllers[i], &tree)) < 0)
			return i == 0 && result == MSE_ERR_NOT_FOUND && v2.code != MSE_ERR_NOT_FOUND ? mse_fail(&attempt->tried, v2.code, "%s", v2.message) : result;
		add_tree(groups, (enum mse_cgroup_controller)i, &tree);
	}
	return 0;
}

static int weigh(const struct mse_cgroups *groups, struct mse_error_info *err)
{
	int group = groups->trees[groups->tree_of[MSE_CGROUP_CPU]].fd;
	long weight = HOME_WEIGHT_PER_CPU * sysconf(_SC_NPROCESSORS_ONLN);
	char text[32];

	if (weight < HOME_WEIGHT_PER_CPU || weight > MAX_WEIGHT)
		weight = MAX_WEIGHT;
	snprintf(text, sizeof text, "%ld", groups->v2 ? weight : weight * 1024 / 100);
	return mse_cgroup_write(group, groups->v2 ? "cpu.weight" : "cpu.shares", text, err);
}

static int read_proc(const char *proc, const char *name, char **ret_text, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autofree char *text = malloc(MAX_PROC_FILE_SIZE);
	mse_autoclose int fd = -1;
	size_t size = 0;
	ssize_t got;
	int result = mse_path_join(proc, name, &path, err);

	if (result < 0)
		return result;
	if (text == NULL)
		return mse_fail_nomem(err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	while ((got = read(fd, text + size, MAX_PROC_FILE_SIZE - 1 - size)) != 0) {
		if (got < 0 && errno != EINTR)
			return mse_fail_errno(err, "cannot read '%s'", path);
		size += got > 0 ? (size_t)got : 0;
	}
	if (size == MAX_PROC_FILE_SIZE - 1)
		return mse_fail(err, MSE_ERR_LIMIT, "'%s' has more than %zu bytes", path, MAX_PROC_FILE_SIZE);
	text[size] = 0;
	*ret_text = mse_steal(text);
	return 0;
}

void mse_cgroups_free(struct mse_cgroups *groups)
{
	if (groups == NULL)
		return;
	for (size_t i = 0; i < groups->tree_count; i++) {
		mse_close(groups->trees[i].fd);
		free(groups->trees[i].path);
	}
	free(groups->name);
	free(groups);
}

int mse_cgroups_find(const char *proc, struct mse_cgroups **ret_groups, struct mse_error_info *err)
{
	mse_cleanup(mse_cgroups_freep) struct mse_cgroups *groups = calloc(1, sizeof *groups);
	mse_autofree char *mounts = NULL;
	mse_autofree char *own = NULL;
	struct attempt attempt = { .tried = { .code = 0 } };
	int result;

	if (groups == NULL)
		return mse_fail_nomem(err);
	if ((result = read_proc(proc, "mountinfo", &mounts, err)) < 0 || (result = read_proc(proc, "cgroup", &own, err)) < 0)
		return result;
	attempt.mounts = mounts;
	attempt.own = own;
	if (find_all(&attempt, groups) < 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED,
			"this machine gives no control groups for memory, CPU and processes (%s). As root, mount cgroup2 at /sys/fs/cgroup, writable; as another user, "
			"run msed as a service with 'Delegate=yes', or with 'systemd-run --user'; or see 'insecure_unlimited' in msed(8)", attempt.tried.message);
	if ((result = weigh(groups, err)) < 0 ||
	    (result = mse_format(&groups->name, err, "cgroup %s at %s", groups->v2 ? "v2" : "v1", groups->trees[0].path)) < 0)
		return result;
	*ret_groups = mse_steal(groups);
	return 0;
}

const char *mse_cgroups_name(const struct mse_cgroups *groups)
{
	return groups->name;
}
