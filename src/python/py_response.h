/* The response of one request: start_response(), write(), and what is sent. */
#pragma once

#include "python/py_request.h"

/* The two callables of PEP 3333, bound to the request. */
PyObject *mse_py_start_response_new(struct mse_py_request *self);

/* Sends data (the head first, if that has not been done) and, when last, ends the response, all without the GIL. size may be
 * 0: with last false nothing is done then. -1 with an exception set: RuntimeError when start_response() was not called, when the body is longer than its
 * Content-Length or when the response has ended; ValueError when the head is refused; OSError, and self->broken set, when
 * the client is gone or takes nothing. */
int mse_py_response_send(struct mse_py_request *self, const void *data, size_t size, bool last);
/* Announces the size of the whole body, if the application has not and HTTP lets one do so. Before anything is sent. */
void mse_py_response_announce(struct mse_py_request *self, uint64_t size);
/* The plain 500 page. Best effort, before anything is sent; with the GIL held, which is let go meanwhile. */
void mse_py_response_fail(struct mse_py_request *self);
/* Closes the connection, so that the client sees that the response is incomplete. */
void mse_py_response_abort(struct mse_py_request *self);
