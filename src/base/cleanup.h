/* Cleanup attributes, so that a function can return from anywhere without leaking. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Declares what runs when a variable leaves its scope: `mse_cleanup(mse_buffer_freep)`. */
#define mse_cleanup(function) __attribute__((cleanup(function)))

/* Takes the pointer out of a cleaned-up variable: the variable becomes NULL, the caller owns the value. */
#define mse_steal(pointer)                        \
	(__extension__({                          \
		__auto_type stolen_ = (pointer);  \
		(pointer) = NULL;                 \
		stolen_;                          \
	}))

/* Defines `void <name>p(type **)`, which frees through the pointer, for use with mse_cleanup(). */
#define MSE_DEFINE_CLEANUP(type, name)                       \
	__attribute__((unused)) static inline void name##p(type **pointer) \
	{                                                    \
		name(*pointer);                              \
	}

__attribute__((unused)) static inline void mse_freep(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes a descriptor that is not negative; errno is kept. */
__attribute__((unused)) static inline void mse_close(int fd)
{
	int kept = errno;

	if (fd >= 0)
		close(fd);
	errno = kept;
}

__attribute__((unused)) static inline void mse_closep(int *fd)
{
	mse_close(*fd);
}

/* Takes the descriptor out of a cleaned-up variable, which becomes -1. */
__attribute__((unused)) static inline int mse_steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

__attribute__((unused)) static inline void mse_closedirp(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

#define mse_autofree mse_cleanup(mse_freep)
#define mse_autoclose mse_cleanup(mse_closep)
#define mse_autoclosedir mse_cleanup(mse_closedirp)
