#include "python/py_wsgi.h"

#include <string.h>

#include "python/py_environ.h"
#include "python/py_request.h"
#include "python/py_response.h"
#include "python/py_str.h"

/* Lists of small pieces are sent together up to this size. */
#define JOIN_SIZE ((size_t)64 * 1024)

/* "GET /path", cut to what a log line bears. Printable ASCII, as http/request.h promises. */
static void describe(const struct mse_py_request *self, const char *what, char *to, size_t size)
{
	const struct mse_python_host *host = mse_python.host;

	snprintf(to, size, "mse: %.16s %.256s: %s", host->request_method(self->http), host->request_path(self->http), what);
}

static void report(const struct mse_py_request *self, const char *what)
{
	char text[512];

	describe(self, what, text, sizeof text);
	mse_py_report(text);
}

static int check_chunk(PyObject *chunk)
{
	if (PyBytes_Check(chunk))
		return 0;
	mse_autopy PyObject *type = PyType_GetName(Py_TYPE(chunk));
	PyErr_Format(PyExc_TypeError, "mse: the application's iterable must give bytes, not %U", type);
	return -1;
}

/* Whether these bytes are the last that the response can have, so that they and its end are sent at once. */
static bool is_last(const struct mse_py_request *self, size_t size)
{
	return self->start_called && self->content_length >= 0 && self->sent + size == (uint64_t)self->content_length;
}

/* An application that gives empty pieces while it waits for something would not learn otherwise that nobody waits for it. */
static int check_client(struct mse_py_request *self)
{
	struct mse_error_info err = {.message = "the client has gone away"};

	if (!mse_python.host->request_is_closed(self->http))
		return 0;
	self->broken = true;
	mse_py_set_error(MSE_ERR_CLOSED, &err);
	return -1;
}

/* Sends every piece before the next is asked for (PEP 3333, "Buffering and Streaming"). */
static int respond_iterable(struct mse_py_request *self, PyObject *iterable)
{
	mse_autopy PyObject *iterator = PyObject_GetIter(iterable);

	if (iterator == NULL)
		return -1;
	for (;;) {
		mse_autopy PyObject *chunk = PyIter_Next(iterator);
		size_t size;

		if (chunk == NULL)
			break;
		if (check_chunk(chunk) < 0)
			return -1;
		size = (size_t)PyBytes_Size(chunk);
		if (size == 0 ? check_client(self) < 0 : mse_py_response_send(self, PyBytes_AsString(chunk), size, is_last(self, size)) < 0)
			return -1;
	}
	if (PyErr_Occurred() != NULL)
		return -1;
	return self->ended ? 0 : mse_py_response_send(self, NULL, 0, true);
}

static int send_joined(struct mse_py_request *self, PyObject *chunks, size_t count, size_t total)
{
	mse_autofree char *joined = malloc(total + 1);
	size_t used = 0;

	if (joined == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		PyObject *borrowed_chunk = PyTuple_GetItem(chunks, (Py_ssize_t)i);
		size_t size = (size_t)PyBytes_Size(borrowed_chunk);

		memcpy(joined + used, PyBytes_AsString(borrowed_chunk), size);
		used += size;
	}
	return mse_py_response_send(self, joined, used, true);
}

/* A list or tuple: its size is known, so that the client is told. `chunks` is a tuple of our own, or the application's, which cannot change. */
static int respond_sequence(struct mse_py_request *self, PyObject *chunks)
{
	size_t count = (size_t)PyTuple_Size(chunks), total = 0;

	for (size_t i = 0; i < count; i++) {
		PyObject *borrowed_chunk = PyTuple_GetItem(chunks, (Py_ssize_t)i);

		if (check_chunk(borrowed_chunk) < 0)
			return -1;
		total += (size_t)PyBytes_Size(borrowed_chunk);
	}
	if (self->start_called)
		mse_py_response_announce(self, total);
	if (count == 1) {
		PyObject *borrowed_chunk = PyTuple_GetItem(chunks, 0);

		return mse_py_response_send(self, PyBytes_AsString(borrowed_chunk), total, true);
	}
	if (total <= JOIN_SIZE)
		return send_joined(self, chunks, count, total);
	for (size_t i = 0; i < count; i++) {
		PyObject *borrowed_chunk = PyTuple_GetItem(chunks, (Py_ssize_t)i);
		size_t size = (size_t)PyBytes_Size(borrowed_chunk);

		if (mse_py_response_send(self, PyBytes_AsString(borrowed_chunk), size, i == count - 1) < 0)
			return -1;
	}
	return 0;
}

static int respond(struct mse_py_request *self, PyObject *result)
{
	if (PyTuple_CheckExact(result))
		return respond_sequence(self, result);
	if (PyList_CheckExact(result)) {
		mse_autopy PyObject *chunks = PyList_AsTuple(result);

		return chunks == NULL ? -1 : respond_sequence(self, chunks);
	}
	return respond_iterable(self, result);
}

/* What the client gets, and the owner's log, when there is an exception. */
static void finish_failed(struct mse_py_request *self)
{
	bool is_io = PyErr_ExceptionMatches(PyExc_OSError) != 0;

	if (is_io && (self->broken || self->body_error == MSE_ERR_CLOSED)) {
		PyErr_Clear(); /* nobody is left to be told, and the application did nothing wrong */
	} else if (is_io && self->body_error != 0) {
		char text[512];

		PyErr_Clear();
		describe(self, "the request's body was not received whole", text, sizeof text);
		mse_py_log("%s", text);
	} else {
		report(self, self->head_sent ? "the application failed in the middle of its response" : "the application failed");
	}
	if (self->ended)
		return;
	if (self->head_sent)
		mse_py_response_abort(self);
	else if (!self->broken && (self->body_error == 0 || !is_io))
		mse_py_response_fail(self);
	/* Otherwise dropping the request answers it with the status that fits what was wrong with the body. */
}

/* "If the iterable has a close() method, it must be called, whether the request ends well or not." */
static void close_result(const struct mse_py_request *self, PyObject *result)
{
	mse_autopy PyObject *close = NULL, *closed = NULL;

	if (PyTuple_CheckExact(result) || PyList_CheckExact(result))
		return;
	close = PyObject_GetAttr(result, mse_py_str.close);
	if (close == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
		PyErr_Clear();
		return;
	}
	if (close != NULL)
		closed = PyObject_CallNoArgs(close);
	if (closed == NULL)
		report(self, "close() of the application's iterable failed");
}

static void handle(struct mse_py_request *self)
{
	mse_autopy PyObject *environ = mse_py_environ_new(self);
	mse_autopy PyObject *start_response = environ == NULL ? NULL : mse_py_start_response_new(self);
	mse_autopy PyObject *result =
		start_response == NULL ? NULL : PyObject_CallFunctionObjArgs(mse_python.application, environ, start_response, NULL);

	if (result == NULL || respond(self, result) < 0)
		finish_failed(self);
	if (result != NULL)
		close_result(self, result);
}

struct mse_http_request *mse_py_wsgi_handle(struct mse_http_request *http)
{
	struct mse_py_request *self = mse_py_request_new(http);
	struct mse_http_request *rest;

	if (self == NULL) {
		mse_py_report("mse: a request could not be handled");
		return NULL;
	}
	handle(self);
	rest = mse_py_request_detach(self);
	Py_DECREF((PyObject *)self);
	return rest;
}
