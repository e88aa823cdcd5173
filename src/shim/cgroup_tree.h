/* For shim/cgroup*.c alone: the hierarchies that hold the groups, and their files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "shim/cgroup.h"

#define MSE_CGROUP_TEXT_SIZE 4096

enum mse_cgroup_controller { MSE_CGROUP_MEMORY, MSE_CGROUP_CPU, MSE_CGROUP_PIDS, MSE_CGROUP_CONTROLLERS };

/* The group `mse` in one hierarchy. */
struct mse_cgroup_tree {
	char *path;
	int fd;
};

struct mse_cgroups {
	bool v2;
	struct mse_cgroup_tree trees[MSE_CGROUP_CONTROLLERS];
	size_t tree_count;                      /* one for v2; v1 has one for each hierarchy */
	size_t tree_of[MSE_CGROUP_CONTROLLERS]; /* by controller */
	char *name;
};

/* One file of a group. */
int mse_cgroup_write(int group, const char *file, const char *value, struct mse_error_info *err);
/* As above, where kernels have done without the file: no error then. */
int mse_cgroup_write_if_there(int group, const char *file, const char *value, struct mse_error_info *err);
/* What does not fit is cut off. */
int mse_cgroup_read(int group, const char *file, char text[static MSE_CGROUP_TEXT_SIZE], struct mse_error_info *err);

/* Makes a group unless it is there, and opens it. */
int mse_cgroup_make(int parent, const char *name, int *ret_group, struct mse_error_info *err);
/* Kills all processes of a group, and removes it when they have gone. One that is not there is no error. MSE_ERR_TIMEOUT when it does not go. */
int mse_cgroup_destroy(int parent, const char *name, struct mse_error_info *err);
