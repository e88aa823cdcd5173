#include "python/py_str.h"

#include <string.h>

struct mse_py_strings mse_py_str;

/* Headers that clients and proxies usually send: their keys are made once. Others get a key of their own each time, never
 * interned, since interned strings may live for ever and their number would be the client's choice. */
static const char *const common_headers[] = {
	"accept", "accept-charset", "accept-encoding", "accept-language", "access-control-request-headers", "access-control-request-method",
	"authorization", "cache-control", "connection", "content-encoding", "content-length", "content-type", "cookie", "date", "dnt", "expect",
	"forwarded", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "origin",
	"pragma", "priority", "range", "referer", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode",
	"sec-fetch-site", "sec-fetch-user", "te", "trailer", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "via",
	"x-csrf-token", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip", "x-request-id",
	"x-requested-with",
};

#define COMMON_COUNT (sizeof common_headers / sizeof common_headers[0])
#define SLOT_COUNT 256 /* a power of two, several times COMMON_COUNT, so that probing ends soon */

static struct {
	const char *name;
	size_t size;
	PyObject *key;
} slots[SLOT_COUNT];

static size_t slot_of(const char *name, size_t size)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619U;
	return (hash ^ (hash >> 16)) & (SLOT_COUNT - 1);
}

static PyObject *make_key(const char *name, size_t size)
{
	static const char prefix[] = "HTTP_";
	mse_autofree char *large = NULL;
	char small[128];
	char *text = small;
	size_t used = 0;

	if (size > sizeof small - sizeof prefix) {
		large = malloc(size + sizeof prefix);
		if (large == NULL)
			return PyErr_NoMemory();
		text = large;
	}
	if (!(size == 12 && memcmp(name, "content-type", 12) == 0) && !(size == 14 && memcmp(name, "content-length", 14) == 0)) {
		memcpy(text, prefix, sizeof prefix - 1);
		used = sizeof prefix - 1;
	}
	for (size_t i = 0; i < size; i++) {
		char c = name[i];

		if (c == '-')
			c = '_';
		else if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		text[used++] = c;
	}
	return PyUnicode_DecodeLatin1(text, (Py_ssize_t)used, NULL);
}

int mse_py_strings_init(void)
{
#define MAKE(name, text)                                       \
	mse_py_str.name = PyUnicode_InternFromString(text);    \
	if (mse_py_str.name == NULL)                           \
		return -1;
	MSE_PY_STRINGS(MAKE)
#undef MAKE
	for (size_t i = 0; i < COMMON_COUNT; i++) {
		size_t size = strlen(common_headers[i]);
		size_t slot = slot_of(common_headers[i], size);

		while (slots[slot].key != NULL)
			slot = (slot + 1) & (SLOT_COUNT - 1);
		slots[slot].key = make_key(common_headers[i], size);
		if (slots[slot].key == NULL)
			return -1;
		PyUnicode_InternInPlace(&slots[slot].key);
		slots[slot].name = common_headers[i];
		slots[slot].size = size;
	}
	return 0;
}

PyObject *mse_py_header_key(const char *name, size_t size)
{
	for (size_t slot = slot_of(name, size); slots[slot].key != NULL; slot = (slot + 1) & (SLOT_COUNT - 1)) {
		if (slots[slot].size == size && memcmp(slots[slot].name, name, size) == 0)
			return Py_NewRef(slots[slot].key);
	}
	return make_key(name, size);
}
