/* The environ dictionary of PEP 3333. */
#pragma once

#include "python/py_request.h"

/* Makes what all requests share; -1 with an exception set. */
int mse_py_environ_init(void);
/* A new dictionary for this request, nobody else's; NULL with an exception set. */
PyObject *mse_py_environ_new(struct mse_py_request *request);
