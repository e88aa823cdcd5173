/* A .mseignore (all before the first NUL byte) asked about a path (all behind it). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *separator = size > 0 ? memchr(data, 0, size) : NULL;
	size_t text_size = separator != NULL ? (size_t)(separator - data) : size;
	char *path = separator != NULL ? strndup((const char *)separator + 1, size - text_size - 1) : strdup("a/b.py");
	struct mse_ignore *above = NULL;
	struct mse_ignore *below = NULL;
	struct mse_error_info err;

	if (path != NULL && mse_ignore_parse(data, text_size, "", NULL, &above, &err) == 0 && mse_ignore_parse(data, text_size, "a", above, &below, &err) == 0) {
		mse_ignore_match(below, path, false, NULL);
		mse_ignore_match(below, path, true, NULL);
	}
	mse_ignore_free(below);
	mse_ignore_free(above);
	free(path);
	return 0;
}
