/* What msed and its shims give up, so that a hole in one of them opens less than root's machine. Both are confined by the same table, for what
 * msed has given up its shims cannot get back: neither they nor the programs that they start. */
#pragma once

#include "base/error.h"

enum mse_confined {
	MSE_CONFINED_NODE, /* msed: hands capabilities on to its shims, and uses one itself */
	MSE_CONFINED_SHIM,
};

/* Gives up all capabilities that no part of a node uses (those of an ordinary user's shim are of its own user namespace), what setuid programs
 * would give, and the system calls that change the kernel, its clocks or other processes; those answer EPERM from now on. Before any thread
 * is started. Cannot be undone, and works again on a process that is confined already. */
int mse_confine(enum mse_confined who, struct mse_error_info *err);
