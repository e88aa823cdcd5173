/* Running another program to its end, for the image tools: never through a shell. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct mse_process {
	const char *const *argv; /* argv[0] is the program's path; NULL at the end */
	const char *const *env;  /* "NAME=value"; NULL at the end */
	const char *root;        /* chroot there first, or NULL */
	const char *what;        /* for errors: "mmdebstrap" */
};

/* The program found in the usual folders, newly allocated; MSE_ERR_NOT_FOUND says which Debian package has it. */
int mse_process_find(const char *program, const char *package, char **ret_path, struct mse_error_info *err);

/* Runs it with standard input empty and standard output going to standard error, and waits. SIGINT and SIGTERM, which
 * mse_process_catch_signals() keeps from ending this program, are passed on to it and make the result MSE_ERR_CLOSED. Its exit
 * status, if it is not 0, and its death by a signal are MSE_ERR_IO. Only for programs of one thread. */
int mse_process_run(const struct mse_process *process, struct mse_error_info *err);

void mse_process_catch_signals(void);
/* MSE_ERR_CLOSED once a signal has asked this program to end. */
int mse_process_check_signals(struct mse_error_info *err);
