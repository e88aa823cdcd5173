#include "python/py_response.h"

#include <string.h>

#include "python/py_str.h"

/* Of a response: what the application gives beyond is refused with an exception. */
#define MAX_HEADERS ((size_t)512)
#define MAX_HEAD_SIZE ((size_t)256 * 1024)

/* Headers that speak of the connection, which the application does not own (PEP 3333, "Other HTTP features"; RFC 9110 section 7.6.1). */
static const char *const hop_by_hop[] = {
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding",
	"upgrade",
};

/* A head under construction; it takes the place of the request's only when it is whole. */
struct head {
	char *text; /* one block for all strings, each with a NUL behind */
	size_t used;
	size_t capacity;
	struct mse_http_header *headers;
	size_t count;
	const char *reason;
	unsigned status;
	int64_t content_length;
};

static void head_clear(struct head *head)
{
	free(head->text);
	free(head->headers);
}

/* The bytes that a str takes in Latin-1. */
static int measure(PyObject *text, const char *what, size_t *total)
{
	Py_ssize_t length;

	if (!PyUnicode_Check(text)) {
		mse_autopy PyObject *type = PyType_GetName(Py_TYPE(text));
		PyErr_Format(PyExc_TypeError, "mse: start_response(): %s must be a str, not %U", what, type);
		return -1;
	}
	length = PyUnicode_GetLength(text);
	if (length < 0)
		return -1;
	if ((size_t)length + 1 > MAX_HEAD_SIZE - *total) {
		PyErr_Format(PyExc_ValueError, "mse: start_response(): status and headers are larger than %zu bytes", MAX_HEAD_SIZE);
		return -1;
	}
	*total += (size_t)length + 1;
	return 0;
}

/* Appends the str in Latin-1. Room was made by measure(); NULL with an exception set. */
static const char *append(struct head *head, PyObject *text, const char *what, size_t *ret_size)
{
	char *to = head->text + head->used;
	Py_ssize_t size;
	const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
	mse_autopy PyObject *latin1 = NULL;

	if (bytes == NULL || size != PyUnicode_GetLength(text)) { /* not ASCII */
		PyErr_Clear();
		latin1 = PyUnicode_AsLatin1String(text);
		if (latin1 == NULL) {
			PyErr_Clear();
			PyErr_Format(PyExc_ValueError, "mse: start_response(): %s has characters that Latin-1 does not have: %R", what, text);
			return NULL;
		}
		bytes = PyBytes_AsString(latin1);
		size = PyBytes_Size(latin1);
	}
	if ((size_t)size >= head->capacity - head->used) {
		PyErr_SetString(PyExc_RuntimeError, "mse: start_response(): the headers were changed by another thread");
		return NULL;
	}
	memcpy(to, bytes, (size_t)size);
	to[size] = '\0';
	head->used += (size_t)size + 1;
	*ret_size = (size_t)size;
	return to;
}

/* Visible characters, blanks, tabs and obs-text: no CR, LF, NUL or other control, with which a response could be split (RFC 9110 section 5.5). */
static bool is_field_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t c = (uint8_t)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL)))
			return false;
	}
	return size > 0;
}

static bool name_is(const struct mse_http_header *header, const char *name)
{
	return header->name_size == strlen(name) && strncasecmp(header->name, name, header->name_size) == 0;
}

static int parse_content_length(struct head *head, const struct mse_http_header *header)
{
	int64_t value = 0;

	if (head->content_length >= 0) {
		PyErr_SetString(PyExc_ValueError, "mse: start_response(): Content-Length is given twice");
		return -1;
	}
	for (size_t i = 0; i < header->value_size; i++) {
		if (header->value[i] < '0' || header->value[i] > '9' || i >= 18) {
			value = -1;
			break;
		}
		value = value * 10 + (header->value[i] - '0');
	}
	if (header->value_size == 0 || value < 0) {
		PyErr_Format(PyExc_ValueError, "mse: start_response(): Content-Length is no number of bytes: '%s'", header->value);
		return -1;
	}
	head->content_length = value;
	return 0;
}

/* "200 OK": three digits, then a blank and the reason (PEP 3333; RFC 9112 section 4 lets the reason be empty). */
static int parse_status(struct head *head, PyObject *status)
{
	size_t size;
	const char *text = append(head, status, "the status", &size);

	if (text == NULL)
		return -1;
	if (size < 3 || text[0] < '2' || text[0] > '5' || text[1] < '0' || text[1] > '9' || text[2] < '0' || text[2] > '9' ||
		(size > 3 && text[3] != ' ') || !is_field_text(text, size)) {
		PyErr_Format(PyExc_ValueError, "mse: start_response(): the status must be like '200 OK', with 200 to 599, not %R", status);
		return -1;
	}
	head->status = (unsigned)((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
	head->reason = size > 4 ? text + 4 : NULL;
	return 0;
}

/* Either item of a pair; PEP 3333 asks for a tuple, other servers accept a list too. Borrowed. */
static PyObject *pair_item(PyObject *pair, Py_ssize_t index)
{
	return PyTuple_Check(pair) ? PyTuple_GetItem(pair, index) : PyList_GetItem(pair, index);
}

static bool is_pair(PyObject *pair)
{
	return (PyTuple_Check(pair) && PyTuple_Size(pair) == 2) || (PyList_Check(pair) && PyList_Size(pair) == 2);
}

static int add_header(struct head *head, PyObject *pair)
{
	struct mse_http_header header = {0};
	PyObject *borrowed_name = pair_item(pair, 0);
	PyObject *borrowed_value = pair_item(pair, 1);

	if (borrowed_name == NULL || borrowed_value == NULL)
		return -1;
	header.name = append(head, borrowed_name, "a header's name", &header.name_size);
	if (header.name == NULL)
		return -1;
	if (!is_token(header.name, header.name_size)) {
		PyErr_Format(PyExc_ValueError, "mse: start_response(): a header's name must be a token (RFC 9110), not %R", borrowed_name);
		return -1;
	}
	header.value = append(head, borrowed_value, "a header's value", &header.value_size);
	if (header.value == NULL)
		return -1;
	if (!is_field_text(header.value, header.value_size)) {
		PyErr_Format(PyExc_ValueError, "mse: start_response(): the value of '%s' has a control character: %R", header.name, borrowed_value);
		return -1;
	}
	for (size_t i = 0; i < sizeof hop_by_hop / sizeof hop_by_hop[0]; i++) {
		if (name_is(&header, hop_by_hop[i])) {
			PyErr_Format(PyExc_ValueError, "mse: start_response(): '%s' is about the connection, which is the server's (PEP 3333): leave it out",
				header.name);
			return -1;
		}
	}
	if (name_is(&header, "content-length")) {
		if (parse_content_length(head, &header) < 0)
			return -1;
		if (head->status == 204) /* RFC 9110 section 8.6 */
			return 0;
	}
	head->headers[head->count++] = header;
	return 0;
}

static int parse_head(struct head *head, PyObject *status, PyObject *headers)
{
	mse_autopy PyObject *pairs = NULL;
	size_t count, total = 0;

	if (!PyList_Check(headers) && !PyTuple_Check(headers)) {
		mse_autopy PyObject *type = PyType_GetName(Py_TYPE(headers));
		PyErr_Format(PyExc_TypeError, "mse: start_response(): the headers must be a list of (name, value) tuples, not %U", type);
		return -1;
	}
	pairs = PySequence_Tuple(headers);
	if (pairs == NULL || measure(status, "the status", &total) < 0)
		return -1;
	count = (size_t)PyTuple_Size(pairs);
	if (count > MAX_HEADERS) {
		PyErr_Format(PyExc_ValueError, "mse: start_response(): more than %zu headers", MAX_HEADERS);
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		PyObject *borrowed_pair = PyTuple_GetItem(pairs, (Py_ssize_t)i);

		if (!is_pair(borrowed_pair)) {
			PyErr_Format(PyExc_TypeError, "mse: start_response(): a header must be a (name, value) tuple, not %R", borrowed_pair);
			return -1;
		}
		if (measure(pair_item(borrowed_pair, 0), "a header's name", &total) < 0 ||
			measure(pair_item(borrowed_pair, 1), "a header's value", &total) < 0)
			return -1;
	}
	head->text = malloc(total);
	head->headers = calloc(count + 1, sizeof *head->headers);
	if (head->text == NULL || head->headers == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	head->capacity = total;
	head->content_length = -1;
	if (parse_status(head, status) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		PyObject *borrowed_pair = PyTuple_GetItem(pairs, (Py_ssize_t)i);

		if (!is_pair(borrowed_pair) || add_header(head, borrowed_pair) < 0)
			return -1;
	}
	return 0;
}

/* exc_info, once the head is on its way: the application's own exception goes on (PEP 3333, "Error Handling"). */
static void raise_exc_info(PyObject *exc_info)
{
	PyObject *borrowed_value = PyTuple_Check(exc_info) && PyTuple_Size(exc_info) == 3 ? PyTuple_GetItem(exc_info, 1) : NULL;

	if (borrowed_value == NULL || !PyExceptionInstance_Check(borrowed_value)) {
		PyErr_Clear();
		PyErr_SetString(PyExc_TypeError, "mse: start_response(): exc_info must be what sys.exc_info() gives while an exception is handled");
		return;
	}
	PyErr_SetObject((PyObject *)Py_TYPE(borrowed_value), borrowed_value);
}

static int start_response(struct mse_py_request *self, PyObject *status, PyObject *headers, PyObject *exc_info)
{
	mse_cleanup(head_clear) struct head head = {0};

	if (exc_info != Py_None && self->head_sent) {
		raise_exc_info(exc_info);
		return -1;
	}
	if (exc_info == Py_None && self->start_called) {
		PyErr_SetString(PyExc_RuntimeError, "mse: start_response() was called a second time without exc_info");
		return -1;
	}
	if (parse_head(&head, status, headers) < 0)
		return -1;
	free(self->head);
	free(self->headers);
	self->head = mse_steal(head.text);
	self->headers = mse_steal(head.headers);
	self->header_count = head.count;
	self->reason = head.reason;
	self->status = head.status;
	self->content_length = head.content_length;
	self->start_called = true;
	return 0;
}

static PyObject *write_call(PyObject *object, PyObject *data)
{
	struct mse_py_request *self = (struct mse_py_request *)object;

	if (!PyBytes_Check(data)) {
		mse_autopy PyObject *type = PyType_GetName(Py_TYPE(data));
		return PyErr_Format(PyExc_TypeError, "mse: write() takes bytes, not %U", type);
	}
	if (mse_py_response_send(self, PyBytes_AsString(data), (size_t)PyBytes_Size(data), false) < 0)
		return NULL;
	return Py_NewRef(Py_None);
}

static PyObject *start_response_call(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static PyMethodDef write_method = {"write", write_call, METH_O, "write(data): sends bytes of the body at once"};
	struct mse_py_request *self = (struct mse_py_request *)object;
	Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
	PyObject *borrowed_exc_info = count + named == 3 ? args[2] : Py_None;
	int started;

	if (count < 2 || count + named > 3 || (named == 1 && PyUnicode_Compare(PyTuple_GetItem(keywords, 0), mse_py_str.exc_info) != 0)) {
		PyErr_SetString(PyExc_TypeError, "mse: start_response() takes status, headers and, optionally, exc_info");
		return NULL;
	}
	if (!mse_py_request_pin(self))
		return NULL;
	started = start_response(self, args[0], args[1], borrowed_exc_info);
	mse_py_request_unpin(self);
	return started < 0 ? NULL : PyCFunction_New(&write_method, object);
}

PyObject *mse_py_start_response_new(struct mse_py_request *self)
{
	static PyMethodDef method = {"start_response", (PyCFunction)(void (*)(void))start_response_call, METH_FASTCALL | METH_KEYWORDS,
		"start_response(status, headers, exc_info=None) -> write"};

	return PyCFunction_New(&method, (PyObject *)self);
}

/* Whether the client gets a body at all (RFC 9110 sections 9.3.2, 15.3.5, 15.4.5). */
static bool has_body(const struct mse_py_request *self)
{
	return !self->is_head && self->status != 204 && self->status != 304;
}

void mse_py_response_announce(struct mse_py_request *self, uint64_t size)
{
	struct mse_http_header *header;

	if (self->head_sent || self->content_length >= 0 || self->status == 204 || self->status == 304 || size > INT64_MAX)
		return;
	/* An application that leaves the body out of its answer to HEAD has not said that it is empty. */
	if (self->is_head && size == 0)
		return;
	snprintf(self->announced, sizeof self->announced, "%llu", (unsigned long long)size);
	header = &self->headers[self->header_count++];
	*header = (struct mse_http_header)MSE_HTTP_HEADER("Content-Length", self->announced);
	self->content_length = (int64_t)size;
}

/* What must hold before bytes are sent. -1 with an exception set. */
static int check_send(struct mse_py_request *self, size_t size)
{
	if (!self->start_called)
		PyErr_SetString(PyExc_RuntimeError, "mse: the application gave a body, or its end, without having called start_response()");
	else if (self->sending)
		PyErr_SetString(PyExc_RuntimeError, "mse: another thread is writing this response");
	else if (has_body(self) && self->content_length >= 0 && size > (uint64_t)self->content_length - self->sent)
		PyErr_Format(PyExc_RuntimeError, "mse: the application gave more than the %lld bytes that its Content-Length announced",
			(long long)self->content_length);
	else if (self->ended)
		PyErr_SetString(PyExc_RuntimeError, "mse: the response has ended");
	else
		return 0;
	return -1;
}

int mse_py_response_send(struct mse_py_request *self, const void *data, size_t size, bool last)
{
	const struct mse_python_host *host = mse_python.host;
	bool start, refused = false;
	struct mse_error_info err;
	int result = 0;

	if (!mse_py_request_pin(self))
		return -1;
	if ((size == 0 && !last) || check_send(self, size) < 0) {
		mse_py_request_unpin(self);
		return PyErr_Occurred() != NULL ? -1 : 0;
	}
	start = !self->head_sent;
	self->head_sent = true;
	self->sending = true;
	Py_BEGIN_ALLOW_THREADS
	if (start) {
		result = host->response_start(self->http, self->status, self->reason, self->headers, self->header_count, &err);
		refused = result == MSE_ERR_INPUT; /* nothing was started */
	}
	if (result == 0 && size > 0)
		result = host->response_write(self->http, data, size, &err);
	if (result == 0 && last)
		result = host->response_end(self->http, &err);
	Py_END_ALLOW_THREADS
	self->sending = false;
	if (result == 0) {
		self->sent += size;
		self->ended = self->ended || last;
	} else if (refused) {
		self->head_sent = false;
		PyErr_Format(PyExc_ValueError, "mse: the response cannot be started: %s", err.message);
	} else if (result == MSE_ERR_CLOSED || result == MSE_ERR_TIMEOUT) {
		self->broken = true;
		mse_py_set_error(result, &err);
	} else {
		PyErr_Format(PyExc_RuntimeError, "mse: the response cannot be sent: %s", err.message);
	}
	mse_py_request_unpin(self);
	return result < 0 ? -1 : 0;
}

void mse_py_response_fail(struct mse_py_request *self)
{
	static const char body[] = "Internal Server Error\n";
	static const struct mse_http_header headers[] = {
		{.name = "Content-Type", .name_size = 12, .value = "text/plain; charset=utf-8", .value_size = 25},
		{.name = "Content-Length", .name_size = 14, .value = "22", .value_size = 2},
	};
	const struct mse_python_host *host = mse_python.host;
	struct mse_error_info err;

	_Static_assert(sizeof body - 1 == 22, "the Content-Length above");
	self->head_sent = true;
	self->ended = true;
	Py_BEGIN_ALLOW_THREADS
	if (host->response_start(self->http, 500, NULL, headers, 2, &err) < 0 || host->response_write(self->http, body, sizeof body - 1, &err) < 0 ||
		host->response_end(self->http, &err) < 0)
		host->request_abort(self->http);
	Py_END_ALLOW_THREADS
}

void mse_py_response_abort(struct mse_py_request *self)
{
	self->ended = true;
	Py_BEGIN_ALLOW_THREADS
	mse_python.host->request_abort(self->http);
	Py_END_ALLOW_THREADS
}
