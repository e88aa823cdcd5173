/* Opening what is beneath a folder, one component after the other, following no link. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* openat() of a relative path beneath root_fd with O_NOFOLLOW for every component; O_CLOEXEC is added. */
int mse_beneath_open(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd, struct mse_error_info *err);

/* The folder that holds `path`, and the last component (a pointer into path). */
int mse_beneath_parent(int root_fd, const char *path, int *ret_fd, const char **ret_name, struct mse_error_info *err);
