/* Strings that every request needs, made once. */
#pragma once

#include "python/py_util.h"

#define MSE_PY_STRINGS(X)                     \
	X(empty, "")                          \
	X(slash, "/")                         \
	X(comma, ",")                         \
	X(semicolon, "; ")                    \
	X(close, "close")                     \
	X(exc_info, "exc_info")               \
	X(http, "http")                       \
	X(https, "https")                     \
	X(http_1_0, "HTTP/1.0")               \
	X(http_1_1, "HTTP/1.1")               \
	X(GET, "GET")                         \
	X(HEAD, "HEAD")                       \
	X(POST, "POST")                       \
	X(PUT, "PUT")                         \
	X(DELETE, "DELETE")                   \
	X(OPTIONS, "OPTIONS")                 \
	X(PATCH, "PATCH")                     \
	X(REQUEST_METHOD, "REQUEST_METHOD")   \
	X(REQUEST_URI, "REQUEST_URI")         \
	X(RAW_URI, "RAW_URI")                 \
	X(SCRIPT_NAME, "SCRIPT_NAME")         \
	X(PATH_INFO, "PATH_INFO")             \
	X(QUERY_STRING, "QUERY_STRING")       \
	X(SERVER_NAME, "SERVER_NAME")         \
	X(SERVER_PORT, "SERVER_PORT")         \
	X(SERVER_PROTOCOL, "SERVER_PROTOCOL") \
	X(SERVER_SOFTWARE, "SERVER_SOFTWARE") \
	X(REMOTE_ADDR, "REMOTE_ADDR")         \
	X(REMOTE_PORT, "REMOTE_PORT")         \
	X(HTTP_HOST, "HTTP_HOST")             \
	X(url_scheme, "wsgi.url_scheme")      \
	X(input, "wsgi.input")

#define MSE_PY_FIELD(name, text) PyObject *name;
struct mse_py_strings {
	MSE_PY_STRINGS(MSE_PY_FIELD)
};
#undef MSE_PY_FIELD

extern struct mse_py_strings mse_py_str;

/* Makes them all; -1 with an exception set. */
int mse_py_strings_init(void);
/* The environ key of a request header: CONTENT_TYPE, HTTP_ACCEPT. A new reference; NULL with an exception set. name: a token in lower case. */
PyObject *mse_py_header_key(const char *name, size_t size);
