/* TOML 1.0, read whole into a tree of values that know their lines. The C++ parser behind it stays in toml_shim.cc. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define MSE_TOML_MAX_SIZE ((size_t)64 * 1024)
#define MSE_TOML_MAX_DEPTH 32

enum mse_toml_type {
	MSE_TOML_STRING,
	MSE_TOML_INTEGER,
	MSE_TOML_REAL,
	MSE_TOML_BOOLEAN,
	MSE_TOML_TIME,       /* a date-time with an offset: an instant */
	MSE_TOML_LOCAL_TIME, /* a date, a time, or both, of no known place */
	MSE_TOML_ARRAY,
	MSE_TOML_TABLE,
};

struct mse_toml_value {
	enum mse_toml_type type;
	char *key;   /* in a table: its name, UTF-8 without NUL; else NULL */
	size_t line; /* from 1: of the key in a table, else of the value */
	char *text;  /* MSE_TOML_STRING: UTF-8, without NUL */
	union {
		int64_t integer;
		double real;
		bool boolean;
		int64_t seconds; /* MSE_TOML_TIME: since 1970-01-01T00:00:00Z; fractions are cut off */
	};
	struct mse_toml_value *items; /* elements of an array; members of a table, sorted by line */
	size_t count;
};

/* One document; *ret_root is a table. name names the file in errors ("mse.toml:7: …"). MSE_ERR_INPUT for malformed text,
 * MSE_ERR_LIMIT beyond the limits above. */
int mse_toml_parse(const char *text, size_t size, const char *name, struct mse_toml_value **ret_root, struct mse_error_info *err);
void mse_toml_free(struct mse_toml_value *root);
MSE_DEFINE_CLEANUP(struct mse_toml_value, mse_toml_free)

const char *mse_toml_type_name(enum mse_toml_type type);

/* A table's member, or NULL. */
const struct mse_toml_value *mse_toml_get(const struct mse_toml_value *table, const char *key);

/* MSE_ERR_INPUT for the first member of `table` that is not in the NULL-terminated list:
 * "mse.toml:7: unknown key 'code.pyton_application'; did you mean 'python_application'?". prefix is "code." or "". */
int mse_toml_only(const struct mse_toml_value *table, const char *const keys[], const char *prefix, const char *name, struct mse_error_info *err);

/* Members by type, each checked: *ret_value is left alone (or *ret_text set to NULL) when an optional one is missing.
 * Strings: UTF-8 without control characters, 1 to max_size bytes; they stay owned by the tree. */
int mse_toml_string(const struct mse_toml_value *table, const char *key, bool required, size_t max_size, const char *prefix, const char *name,
	const char **ret_text, struct mse_error_info *err);
int mse_toml_integer(const struct mse_toml_value *table, const char *key, bool required, int64_t min, int64_t max, const char *prefix, const char *name,
	int64_t *ret_value, struct mse_error_info *err);
int mse_toml_boolean(const struct mse_toml_value *table, const char *key, bool required, const char *prefix, const char *name, bool *ret_value,
	struct mse_error_info *err);
int mse_toml_number(const struct mse_toml_value *table, const char *key, bool required, double min, double max, const char *prefix, const char *name,
	double *ret_value, struct mse_error_info *err);
int mse_toml_table(const struct mse_toml_value *table, const char *key, bool required, const char *prefix, const char *name,
	const struct mse_toml_value **ret_table, struct mse_error_info *err);
