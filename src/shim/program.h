/* Other programs that work for the shim (gocryptfs, slirp4netns, mkfs.ext4 …): found at build time, run without a shell, with an
 * empty environment, and with no descriptor but those that are meant for them. They end when the shim ends. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define MSE_PROGRAM_MAX_FDS 8

struct mse_program {
	const char *const *argv; /* argv[0] is an absolute path; NULL at the end. Never a secret: everybody can read it */
	const char *what;        /* for errors: "gocryptfs" */
	const void *input;       /* standard input, at most a pipe's 4096 bytes, so that secrets go in without a file; NULL: empty */
	size_t input_size;
	int fds[MSE_PROGRAM_MAX_FDS]; /* inherited as descriptors 3, 4, … */
	size_t fd_count;
	uint32_t uid, gid;       /* what it runs as, without capabilities; 0 and 0: what the shim runs as */
	/* Called in the child, before the change of user, where a program needs other surroundings (a namespace, a control group); NULL: none.
	 * Negative ends the child with the message that it has set. */
	int (*enter)(void *context, struct mse_error_info *err);
	void *context;
	int messages;            /* descriptor for standard output and error; -1: the shim's own log */
};

/* Starts it. The caller waits for it. */
int mse_program_start(const struct mse_program *program, pid_t *ret_pid, struct mse_error_info *err);
/* Runs it to its end, at most timeout_ms, then it is killed: MSE_ERR_TIMEOUT. An exit status that is not 0 or a signal is
 * MSE_ERR_IO; the message has what the program said first. `messages` is not used. */
int mse_program_run(const struct mse_program *program, uint64_t timeout_ms, struct mse_error_info *err);
