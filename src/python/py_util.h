/* Python.h as every file here includes it, and how references are held. */
#pragma once

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "python/host.h"

__attribute__((unused)) static inline void mse_py_decrefp(PyObject **object)
{
	Py_XDECREF(*object);
}

/* Holds a reference, dropped when the variable leaves its scope; mse_steal() gives it away. Borrowed references are named `borrowed_…`. */
#define mse_autopy mse_cleanup(mse_py_decrefp)

/* What is one per process, as the interpreter is. Set before the workers start, constant from then on. */
struct mse_python {
	const struct mse_python_host *host;
	PyObject *application;       /* the WSGI callable */
	PyObject *report;            /* report(what, exception) writes one traceback to the application's stderr */
	PyObject *environ_prototype; /* what every request's environ starts from */
};

extern struct mse_python mse_python;

/* One line into the host's log. With the GIL held, which is let go meanwhile. */
void mse_py_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes the current exception, which becomes unset, to the application's stderr under the line `what`. */
void mse_py_report(const char *what);
