/* One request as Python holds it: wsgi.input is this object, and start_response() and write() are bound to it.
 *
 * It is new for each request and detached when the request ends: whoever kept it, or something bound to it, gets an exception
 * from every method, never another request's data. */
#pragma once

#include <stdbool.h>

#include "python/py_util.h"

/* All fields belong to whoever holds the GIL. */
struct mse_py_request {
	PyObject_HEAD
	struct mse_http_request *http; /* NULL once the reference is given back */
	unsigned pins;                 /* calls on http going on without the GIL: the last of them gives the reference back */
	bool detached;

	/* The body. */
	bool reading;   /* a method of wsgi.input is at work, perhaps in another thread */
	bool body_ended;
	int64_t body_left; /* of the announced size, what has not been read yet; -1 for a chunked body */
	int body_error; /* the first error of reading, 0 for none */
	uint8_t *ahead; /* bytes read but not taken, between the two positions; NULL until a line is asked for */
	size_t ahead_start;
	size_t ahead_end;

	/* The response, see py_response.h. */
	bool start_called;
	bool head_sent;
	bool sending; /* a call of the response is at work, perhaps in another thread */
	bool ended;
	bool broken;  /* the client went away or takes nothing: errors that follow from it are not the application's */
	bool is_head;
	unsigned status;
	int64_t content_length; /* as the application announced it, or -1 */
	uint64_t sent;
	char *head; /* reason and header strings, in one block */
	const char *reason;
	struct mse_http_header *headers; /* with room for one more: Content-Length, whose value is in announced */
	size_t header_count;
	char announced[24];
};

/* Makes the type; -1 with an exception set. */
int mse_py_request_init(void);
/* Takes over the reference, also when it fails (NULL with an exception set). */
struct mse_py_request *mse_py_request_new(struct mse_http_request *http);
/* Ends the application's access. Returns the reference to be dropped (without the GIL), or NULL when a thread that is still in a call will drop it. */
struct mse_http_request *mse_py_request_detach(struct mse_py_request *self);

/* Around calls on self->http that let the GIL go. pin: false, with an exception set, when the request has ended. */
bool mse_py_request_pin(struct mse_py_request *self);
void mse_py_request_unpin(struct mse_py_request *self);

/* Sets an OSError with the errno that says best what the enclave's error is: ECONNRESET (hence ConnectionResetError) for
 * MSE_ERR_CLOSED, ETIMEDOUT, EFBIG, EBADMSG, EIO. */
void mse_py_set_error(int code, const struct mse_error_info *err);
