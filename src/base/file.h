/* Files and folders, with limits and without half-written states. Paths are bytes as the kernel takes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/secret.h"

/* The whole of a regular file (links are followed; fifos, devices and folders are refused), at most max_size bytes.
 * *ret_data is newly allocated and has a NUL behind the content, outside *ret_size. */
int mse_file_read(const char *path, size_t max_size, uint8_t **ret_data, size_t *ret_size, struct mse_error_info *err);
int mse_file_read_secret(const char *path, size_t max_size, struct mse_secret **ret_secret, struct mse_error_info *err);

/* Replaces or creates path at once: a temporary file beside it, fsync, rename, fsync of the folder. */
int mse_file_write(const char *path, const void *data, size_t size, mode_t mode, struct mse_error_info *err);

/* All of it, or an error; EINTR and short writes are handled. */
int mse_fd_write(int fd, const void *data, size_t size, struct mse_error_info *err);
/* Exactly size bytes; MSE_ERR_CLOSED at the end of the file before that. */
int mse_fd_read(int fd, void *to, size_t size, struct mse_error_info *err);

/* Makes the folder and its parents; one that is there already is fine. */
int mse_dir_make(const char *path, mode_t mode, struct mse_error_info *err);
/* Removes a file or a whole folder, never through a link; one that is not there is fine. */
int mse_tree_remove(const char *path, struct mse_error_info *err);
/* Makes the entries of a folder durable. */
int mse_dir_sync(const char *path, struct mse_error_info *err);

bool mse_path_exists(const char *path);
/* "dir/name", newly allocated; a dir of NULL or "" gives name. */
int mse_path_join(const char *dir, const char *name, char **ret_path, struct mse_error_info *err);

/* An exclusive lock on path (created 0600), held until the descriptor is closed; MSE_ERR_EXISTS when another process has it. */
int mse_file_lock(const char *path, int *ret_fd, struct mse_error_info *err);
