/* The request's life, and wsgi.input: read, readline, readlines and iteration as PEP 3333 asks, over a body that is read without the GIL. */
#include "python/py_request.h"

#include <errno.h>
#include <string.h>

/* Read-ahead for lines; larger reads go into the caller's bytes directly. */
#define AHEAD_SIZE ((size_t)16 * 1024)
/* What is allocated before any byte has come, whatever size was announced or asked for; doubled as the body arrives. */
#define FIRST_SIZE ((size_t)64 * 1024)

static PyTypeObject *request_type;

void mse_py_set_error(int code, const struct mse_error_info *err)
{
	int number = EIO;

	if (code == MSE_ERR_CLOSED)
		number = ECONNRESET;
	else if (code == MSE_ERR_TIMEOUT)
		number = ETIMEDOUT;
	else if (code == MSE_ERR_LIMIT)
		number = EFBIG;
	else if (code == MSE_ERR_INPUT)
		number = EBADMSG;
	else if (code == MSE_ERR_NOMEM)
		number = ENOMEM;
	mse_autopy PyObject *error = PyObject_CallFunction(PyExc_OSError, "is", number, err->message);
	if (error != NULL)
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
}

bool mse_py_request_pin(struct mse_py_request *self)
{
	if (self->detached) {
		PyErr_SetString(PyExc_ValueError, "mse: this request has ended: its wsgi.input, start_response and write cannot be used any more");
		return false;
	}
	self->pins++;
	return true;
}

/* The reference, once nobody uses it any more. */
static struct mse_http_request *take_http(struct mse_py_request *self)
{
	if (!self->detached || self->pins > 0)
		return NULL;
	return mse_steal(self->http);
}

void mse_py_request_unpin(struct mse_py_request *self)
{
	struct mse_http_request *http;

	self->pins--;
	http = take_http(self);
	if (http != NULL) {
		Py_BEGIN_ALLOW_THREADS
		mse_python.host->request_unref(http);
		Py_END_ALLOW_THREADS
	}
}

struct mse_http_request *mse_py_request_detach(struct mse_py_request *self)
{
	self->detached = true;
	return take_http(self);
}

struct mse_py_request *mse_py_request_new(struct mse_http_request *http)
{
	struct mse_py_request *self = PyObject_New(struct mse_py_request, request_type);

	if (self == NULL) {
		Py_BEGIN_ALLOW_THREADS
		mse_python.host->request_unref(http);
		Py_END_ALLOW_THREADS
		return NULL;
	}
	/* PyObject_New() sets the object's head only. */
	memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
	self->http = http;
	self->content_length = -1;
	self->body_left = mse_python.host->request_content_length(http);
	self->body_ended = self->body_left == 0 || !mse_python.host->request_has_body(http);
	self->is_head = strcmp(mse_python.host->request_method(http), "HEAD") == 0;
	return self;
}

static void request_dealloc(PyObject *object)
{
	struct mse_py_request *self = (struct mse_py_request *)object;
	PyTypeObject *type = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	if (self->http != NULL)
		mse_python.host->request_unref(self->http);
	free(self->ahead);
	free(self->headers);
	free(self->head);
	release(self);
	Py_DECREF(type);
}

/* Reads once, up to size bytes, without the GIL; *ret_got 0 at the body's end. -1 with an exception set. */
static int read_some(struct mse_py_request *self, void *to, size_t size, size_t *ret_got)
{
	struct mse_error_info err;
	int result;

	*ret_got = 0;
	if (self->body_ended)
		return 0;
	if (!mse_py_request_pin(self))
		return -1;
	Py_BEGIN_ALLOW_THREADS
	result = mse_python.host->request_read(self->http, to, size, ret_got, &err);
	Py_END_ALLOW_THREADS
	mse_py_request_unpin(self);
	if (result < 0) {
		*ret_got = 0;
		if (self->body_error == 0)
			self->body_error = result;
		mse_py_set_error(result, &err);
		return -1;
	}
	if (*ret_got > size) {
		*ret_got = 0;
		PyErr_SetString(PyExc_SystemError, "mse: more of the body was read than fits");
		return -1;
	}
	if (self->body_left > 0)
		self->body_left = *ret_got < (uint64_t)self->body_left ? self->body_left - (int64_t)*ret_got : 0;
	if (*ret_got == 0 || self->body_left == 0)
		self->body_ended = true;
	return 0;
}

/* Every method of wsgi.input runs between these two: the read-ahead is no use to two threads at once. */
static bool begin_reading(struct mse_py_request *self)
{
	if (self->reading) {
		PyErr_SetString(PyExc_RuntimeError, "mse: wsgi.input is being read by another thread");
		return false;
	}
	if (!mse_py_request_pin(self))
		return false;
	self->reading = true;
	return true;
}

static void end_reading(struct mse_py_request *self)
{
	self->reading = false;
	mse_py_request_unpin(self);
}

/* A bytes object that is replaced by a larger one while the body comes in. What is handed out holds exactly what was read, so that
 * nothing that lay in this memory before is seen. */
struct collector {
	PyObject *bytes;
	size_t capacity;
	size_t used;
};

static void collector_clear(struct collector *collector)
{
	Py_CLEAR(collector->bytes);
}

/* Room for at least one byte more, at most `limit` in all. */
static int collector_grow(struct collector *collector, size_t limit)
{
	size_t capacity = collector->capacity == 0 ? FIRST_SIZE : collector->capacity;
	PyObject *larger;

	if (collector->bytes != NULL && collector->used < collector->capacity)
		return 0;
	if (collector->capacity > (size_t)PY_SSIZE_T_MAX / 2) {
		PyErr_NoMemory();
		return -1;
	}
	if (collector->capacity > 0)
		capacity *= 2;
	if (capacity > limit)
		capacity = limit;
	larger = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)capacity);
	if (larger == NULL)
		return -1;
	if (collector->used > 0)
		memcpy(PyBytes_AsString(larger), PyBytes_AsString(collector->bytes), collector->used);
	Py_XDECREF(collector->bytes);
	collector->bytes = larger;
	collector->capacity = capacity;
	return 0;
}

static PyObject *collector_finish(struct collector *collector)
{
	if (collector->used > 0 && collector->used == collector->capacity)
		return mse_steal(collector->bytes);
	return PyBytes_FromStringAndSize(collector->used > 0 ? PyBytes_AsString(collector->bytes) : "", (Py_ssize_t)collector->used);
}

/* Takes up to size bytes from the read-ahead. */
static size_t take_ahead(struct mse_py_request *self, void *to, size_t size)
{
	size_t have = self->ahead_end - self->ahead_start;

	if (have == 0)
		return 0;
	if (size > have)
		size = have;
	memcpy(to, self->ahead + self->ahead_start, size);
	self->ahead_start += size;
	return size;
}

/* As a file's read(): exactly limit bytes, or fewer at the end of the body only. What is left of an announced body bounds the memory, which
 * is then neither too large at the end nor copied. */
static PyObject *read_up_to(struct mse_py_request *self, size_t limit)
{
	mse_cleanup(collector_clear) struct collector collector = {0};
	size_t ahead = self->ahead_end - self->ahead_start;

	if (self->body_left >= 0 && (uint64_t)self->body_left < limit - (ahead < limit ? ahead : limit))
		limit = ahead + (size_t)self->body_left;
	while (collector.used < limit && !(self->body_ended && self->ahead_start == self->ahead_end)) {
		size_t got;
		char *to;

		if (collector_grow(&collector, limit) < 0)
			return NULL;
		to = PyBytes_AsString(collector.bytes) + collector.used;
		got = take_ahead(self, to, collector.capacity - collector.used);
		if (got == 0) {
			if (read_some(self, to, collector.capacity - collector.used, &got) < 0)
				return NULL;
			if (got == 0)
				break;
		}
		collector.used += got;
	}
	return collector_finish(&collector);
}

static PyObject *read_line(struct mse_py_request *self, size_t limit)
{
	mse_cleanup(collector_clear) struct collector collector = {0};
	bool complete = false;

	if (self->ahead == NULL) {
		self->ahead = calloc(1, AHEAD_SIZE);
		if (self->ahead == NULL)
			return PyErr_NoMemory();
	}
	while (!complete && collector.used < limit) {
		const uint8_t *from, *newline;
		size_t take;

		if (self->ahead_start == self->ahead_end) {
			size_t got;

			if (read_some(self, self->ahead, AHEAD_SIZE, &got) < 0)
				return NULL;
			self->ahead_start = 0;
			self->ahead_end = got;
			if (got == 0)
				break;
		}
		from = self->ahead + self->ahead_start;
		take = self->ahead_end - self->ahead_start;
		if (take > limit - collector.used)
			take = limit - collector.used;
		newline = memchr(from, '\n', take);
		if (newline != NULL) {
			take = (size_t)(newline - from) + 1;
			complete = true;
		}
		if (collector.used == 0 && complete) {
			self->ahead_start += take;
			return PyBytes_FromStringAndSize((const char *)from, (Py_ssize_t)take);
		}
		if (collector_grow(&collector, limit) < 0)
			return NULL;
		if (take > collector.capacity - collector.used) {
			take = collector.capacity - collector.used;
			complete = false;
		}
		collector.used += take_ahead(self, PyBytes_AsString(collector.bytes) + collector.used, take);
	}
	return collector_finish(&collector);
}

/* The optional size of read(), readline() and readlines(): none, None and negative mean everything. */
static int parse_size(PyObject *const *args, Py_ssize_t count, const char *method, size_t *ret_size)
{
	Py_ssize_t size;

	*ret_size = (size_t)PY_SSIZE_T_MAX;
	if (count > 1) {
		PyErr_Format(PyExc_TypeError, "%s() takes at most one argument (%zd given)", method, count);
		return -1;
	}
	if (count == 0 || args[0] == Py_None)
		return 0;
	size = PyNumber_AsSsize_t(args[0], NULL);
	if (size == -1 && PyErr_Occurred() != NULL)
		return -1;
	if (size >= 0)
		*ret_size = (size_t)size;
	return 0;
}

static PyObject *input_read(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct mse_py_request *self = (struct mse_py_request *)object;
	PyObject *result;
	size_t size;

	if (parse_size(args, count, "read", &size) < 0 || !begin_reading(self))
		return NULL;
	result = read_up_to(self, size);
	end_reading(self);
	return result;
}

static PyObject *input_readline(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct mse_py_request *self = (struct mse_py_request *)object;
	PyObject *result;
	size_t size;

	if (parse_size(args, count, "readline", &size) < 0 || !begin_reading(self))
		return NULL;
	result = read_line(self, size);
	end_reading(self);
	return result;
}

/* Lines until the end, or until they make up `hint` bytes; 0 is no hint, as in the io module. */
static PyObject *input_readlines(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct mse_py_request *self = (struct mse_py_request *)object;
	size_t hint, total = 0;

	if (parse_size(args, count, "readlines", &hint) < 0)
		return NULL;
	if (hint == 0)
		hint = (size_t)PY_SSIZE_T_MAX;
	mse_autopy PyObject *lines = PyList_New(0);
	if (lines == NULL || !begin_reading(self))
		return NULL;
	while (total < hint) {
		mse_autopy PyObject *line = read_line(self, (size_t)PY_SSIZE_T_MAX);
		Py_ssize_t size = line == NULL ? -1 : PyBytes_Size(line);

		if (size <= 0 || PyList_Append(lines, line) < 0)
			break;
		total += (size_t)size;
	}
	end_reading(self);
	return PyErr_Occurred() != NULL ? NULL : mse_steal(lines);
}

static PyObject *input_next(PyObject *object)
{
	PyObject *line = input_readline(object, NULL, 0);

	if (line != NULL && PyBytes_Size(line) == 0)
		Py_CLEAR(line); /* NULL without an exception ends an iteration */
	return line;
}

static PyObject *input_iter(PyObject *object)
{
	return Py_NewRef(object);
}

static PyMethodDef input_methods[] = {
	{"read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL, "read(size=-1): that many bytes of the body, fewer at its end only"},
	{"readline", (PyCFunction)(void (*)(void))input_readline, METH_FASTCALL, "readline(size=-1): one line, at most size bytes of it"},
	{"readlines", (PyCFunction)(void (*)(void))input_readlines, METH_FASTCALL, "readlines(hint=-1): the lines of the body, about hint bytes"},
	{NULL, NULL, 0, NULL},
};

int mse_py_request_init(void)
{
	static PyType_Slot slots[] = {
		{Py_tp_dealloc, (void *)request_dealloc},
		{Py_tp_methods, input_methods},
		{Py_tp_iter, (void *)input_iter},
		{Py_tp_iternext, (void *)input_next},
		{Py_tp_doc, (void *)(uintptr_t)"The body of one request (PEP 3333)."},
		{0, NULL},
	};
	static PyType_Spec spec = {
		.name = "mse.Input",
		.basicsize = sizeof(struct mse_py_request),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};

	request_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return request_type == NULL ? -1 : 0;
}
