/* The seam between C and the C++ parser. No exception crosses it. */
#pragma once

#include <stddef.h>

#include "config/toml.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mse_toml_shim_error {
	int code; /* an enum mse_error */
	size_t line;
	size_t column;
	char text[256];
};

/* Fills *ret_root, a table, with malloc()ed members; on failure (a negative enum mse_error) *ret_root may be half built and is still to be cleared. */
int mse_toml_shim_parse(const char *text, size_t size, struct mse_toml_value *ret_root, struct mse_toml_shim_error *ret_error);

#ifdef __cplusplus
}
#endif
