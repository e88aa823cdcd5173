/* Calls the WSGI application for one request. */
#pragma once

#include "python/py_util.h"

/* Handles the request from its environ to the end of its response and the close() of what the application returned, and
 * logs what goes wrong: no exception is set afterwards. Takes over the reference to http and returns it when the request is still to be
 * dropped, without the GIL; else NULL. */
struct mse_http_request *mse_py_wsgi_handle(struct mse_http_request *http);
