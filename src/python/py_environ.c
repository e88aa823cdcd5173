#include "python/py_environ.h"

#include <string.h>

#include "python/py_str.h"

static int set_text(PyObject *dict, PyObject *key, const char *text, size_t size)
{
	mse_autopy PyObject *value = size == 0 ? Py_NewRef(mse_py_str.empty) : PyUnicode_DecodeLatin1(text, (Py_ssize_t)size, NULL);

	return value == NULL ? -1 : PyDict_SetItem(dict, key, value);
}

static int set_number(PyObject *dict, PyObject *key, unsigned number)
{
	mse_autopy PyObject *value = PyUnicode_FromFormat("%u", number);

	return value == NULL ? -1 : PyDict_SetItem(dict, key, value);
}

/* Steals value, which may be NULL after a failure. */
static int set_new(PyObject *dict, const char *key, PyObject *value)
{
	int result = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);

	Py_XDECREF(value);
	return result;
}

int mse_py_environ_init(void)
{
	const struct mse_python_host *host = mse_python.host;
	PyObject *borrowed_errors = PySys_GetObject("stderr");
	mse_autopy PyObject *dict = PyDict_New();

	if (dict == NULL)
		return -1;
	if (borrowed_errors == NULL) {
		PyErr_SetString(PyExc_RuntimeError, "mse: sys.stderr is gone: there is nothing for wsgi.errors");
		return -1;
	}
	if (PyDict_SetItem(dict, mse_py_str.SCRIPT_NAME, mse_py_str.empty) < 0 || PyDict_SetItem(dict, mse_py_str.PATH_INFO, mse_py_str.slash) < 0 ||
		set_text(dict, mse_py_str.SERVER_NAME, host->server_name, strlen(host->server_name)) < 0 ||
		set_number(dict, mse_py_str.SERVER_PORT, host->server_port) < 0 ||
		set_text(dict, mse_py_str.SERVER_SOFTWARE, "mse/" MSE_VERSION, strlen("mse/" MSE_VERSION)) < 0 ||
		set_new(dict, "wsgi.version", Py_BuildValue("(ii)", 1, 0)) < 0 || PyDict_SetItemString(dict, "wsgi.errors", borrowed_errors) < 0 ||
		PyDict_SetItemString(dict, "wsgi.multithread", Py_True) < 0 || PyDict_SetItemString(dict, "wsgi.multiprocess", Py_False) < 0 ||
		PyDict_SetItemString(dict, "wsgi.run_once", Py_False) < 0 || PyDict_SetItemString(dict, "wsgi.input_terminated", Py_True) < 0)
		return -1;
	mse_python.environ_prototype = mse_steal(dict);
	return 0;
}

/* Usual methods are made once; a client's own invention is never interned, as it might live for ever. */
static PyObject *method_of(const char *method)
{
	PyObject *const known[] = {mse_py_str.GET, mse_py_str.POST, mse_py_str.HEAD, mse_py_str.PUT, mse_py_str.DELETE, mse_py_str.OPTIONS,
		mse_py_str.PATCH};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (PyUnicode_CompareWithASCIIString(known[i], method) == 0)
			return Py_NewRef(known[i]);
	}
	return PyUnicode_DecodeLatin1(method, (Py_ssize_t)strlen(method), NULL);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* PATH_INFO is percent-decoded, and its bytes are written as Latin-1 (PEP 3333, "Unicode issues"). What is no escape stays as it is. */
static PyObject *decode_path(const char *path)
{
	size_t size = strlen(path), used = 0;

	if (size == 1 && path[0] == '*') /* OPTIONS *, about the server: PATH_INFO must begin with '/' */
		return Py_NewRef(mse_py_str.slash);
	if (memchr(path, '%', size) == NULL)
		return PyUnicode_DecodeLatin1(path, (Py_ssize_t)size, NULL);
	mse_autofree char *decoded = malloc(size);
	if (decoded == NULL)
		return PyErr_NoMemory();
	for (size_t i = 0; i < size; i++) {
		if (path[i] == '%' && i + 2 < size && hex_digit(path[i + 1]) >= 0 && hex_digit(path[i + 2]) >= 0) {
			decoded[used++] = (char)(hex_digit(path[i + 1]) << 4 | hex_digit(path[i + 2]));
			i += 2;
		} else {
			decoded[used++] = path[i];
		}
	}
	return PyUnicode_DecodeLatin1(decoded, (Py_ssize_t)used, NULL);
}

static int set_request_line(PyObject *environ, struct mse_py_request *request)
{
	const struct mse_python_host *host = mse_python.host;
	const char *target = host->request_target(request->http);
	const char *query = host->request_query(request->http);
	const char *peer = host->request_peer_address(request->http);
	mse_autopy PyObject *method = method_of(host->request_method(request->http));
	mse_autopy PyObject *path = decode_path(host->request_path(request->http));
	mse_autopy PyObject *uri = PyUnicode_DecodeLatin1(target, (Py_ssize_t)strlen(target), NULL);

	if (method == NULL || path == NULL || uri == NULL || PyDict_SetItem(environ, mse_py_str.REQUEST_METHOD, method) < 0 ||
		PyDict_SetItem(environ, mse_py_str.PATH_INFO, path) < 0 || PyDict_SetItem(environ, mse_py_str.REQUEST_URI, uri) < 0 ||
		PyDict_SetItem(environ, mse_py_str.RAW_URI, uri) < 0)
		return -1;
	if (set_text(environ, mse_py_str.QUERY_STRING, query, strlen(query)) < 0 ||
		PyDict_SetItem(environ, mse_py_str.SERVER_PROTOCOL,
			host->request_minor_version(request->http) == 0 ? mse_py_str.http_1_0 : mse_py_str.http_1_1) < 0 ||
		PyDict_SetItem(environ, mse_py_str.url_scheme,
			strcmp(host->request_scheme(request->http), "https") == 0 ? mse_py_str.https : mse_py_str.http) < 0)
		return -1;
	if (set_text(environ, mse_py_str.REMOTE_ADDR, peer, strlen(peer)) < 0)
		return -1;
	return peer[0] == '\0' ? 0 : set_number(environ, mse_py_str.REMOTE_PORT, host->request_peer_port(request->http));
}

static bool header_is(const struct mse_http_header *header, const char *name)
{
	return header->name_size == strlen(name) && memcmp(header->name, name, header->name_size) == 0;
}

/* A name with '_' would pass for one with '-'; "Proxy" would pass for the variable HTTP_PROXY, which clients of other servers
 * obey (httpoxy, CVE-2016-5385); Host comes from the request target where that names one (RFC 9112 section 3.2.2). */
static bool is_left_out(const struct mse_http_header *header)
{
	return memchr(header->name, '_', header->name_size) != NULL || header_is(header, "proxy") || header_is(header, "host");
}

/* Headers of one name become one value (RFC 9110 section 5.3); cookies have a separator of their own (RFC 9113 section 8.2.3). */
static int set_header(PyObject *environ, const struct mse_http_header *header)
{
	mse_autopy PyObject *key = mse_py_header_key(header->name, header->name_size);
	mse_autopy PyObject *value = PyUnicode_DecodeLatin1(header->value, (Py_ssize_t)header->value_size, NULL);
	PyObject *borrowed_before;

	if (key == NULL || value == NULL)
		return -1;
	borrowed_before = PyDict_GetItemWithError(environ, key);
	if (borrowed_before == NULL)
		return PyErr_Occurred() != NULL ? -1 : PyDict_SetItem(environ, key, value);
	mse_autopy PyObject *with_separator =
		PyUnicode_Concat(borrowed_before, header_is(header, "cookie") ? mse_py_str.semicolon : mse_py_str.comma);
	mse_autopy PyObject *joined = with_separator == NULL ? NULL : PyUnicode_Concat(with_separator, value);
	return joined == NULL ? -1 : PyDict_SetItem(environ, key, joined);
}

PyObject *mse_py_environ_new(struct mse_py_request *request)
{
	const struct mse_python_host *host = mse_python.host;
	mse_autopy PyObject *environ = PyDict_Copy(mse_python.environ_prototype);
	const char *name = host->request_host(request->http);
	size_t count = host->request_header_count(request->http);

	if (environ == NULL || set_request_line(environ, request) < 0 || PyDict_SetItem(environ, mse_py_str.input, (PyObject *)request) < 0)
		return NULL;
	if (name[0] != '\0' && set_text(environ, mse_py_str.HTTP_HOST, name, strlen(name)) < 0)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const struct mse_http_header *header = host->request_header_at(request->http, i);

		if (!is_left_out(header) && set_header(environ, header) < 0)
			return NULL;
	}
	return mse_steal(environ);
}
