#include "config/toml.h"

#include <stdlib.h>
#include <string.h>

#include "config/toml_shim.h"

/* toml++ follows dotted keys recursively; no key of ours has more parts. */
#define MAX_DOTS_IN_LINE 256
#define MAX_SUGGESTED_KEY_SIZE 64

static void clear_value(struct mse_toml_value *value)
{
	for (size_t i = 0; i < value->count; i++)
		clear_value(&value->items[i]);
	free(value->items);
	free(value->key);
	free(value->text);
}

void mse_toml_free(struct mse_toml_value *root)
{
	if (root == NULL)
		return;
	clear_value(root);
	free(root);
}

static int compare_lines(const void *a, const void *b)
{
	const struct mse_toml_value *left = a;
	const struct mse_toml_value *right = b;

	return left->line != right->line ? (left->line < right->line ? -1 : 1) : strcmp(left->key, right->key);
}

static void sort_tables(struct mse_toml_value *value)
{
	for (size_t i = 0; i < value->count; i++)
		sort_tables(&value->items[i]);
	if (value->type == MSE_TOML_TABLE && value->count > 0)
		qsort(value->items, value->count, sizeof *value->items, compare_lines);
}

static int check_dots(const char *text, size_t size, const char *name, struct mse_error_info *err)
{
	size_t line = 1;
	size_t dots = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n') {
			line++;
			dots = 0;
		} else if (text[i] == '.' && ++dots > MAX_DOTS_IN_LINE) {
			return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: more than %d dots in a line", name, line, MAX_DOTS_IN_LINE);
		}
	}
	return 0;
}

int mse_toml_parse(const char *text, size_t size, const char *name, struct mse_toml_value **ret_root, struct mse_error_info *err)
{
	mse_cleanup(mse_toml_freep) struct mse_toml_value *root = NULL;
	struct mse_toml_shim_error error = { 0 };
	int result;

	if (size > MSE_TOML_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "%s has %zu bytes, the limit is %zu", name, size, MSE_TOML_MAX_SIZE);
	result = check_dots(text, size, name, err);
	if (result < 0)
		return result;
	root = calloc(1, sizeof *root);
	if (root == NULL)
		return mse_fail_nomem(err);
	root->line = 1;
	result = mse_toml_shim_parse(text, size, root, &error);
	if (result < 0 && error.column > 0)
		return mse_fail(err, result, "%s:%zu: not TOML: %s (column %zu)", name, error.line, error.text, error.column);
	if (result < 0 && error.line > 0)
		return mse_fail(err, result, "%s:%zu: %s", name, error.line, error.text);
	if (result < 0)
		return mse_fail(err, result, "cannot read %s: %s", name, error.text);
	sort_tables(root);
	*ret_root = mse_steal(root);
	return 0;
}

const char *mse_toml_type_name(enum mse_toml_type type)
{
	static const char *const names[] = { "a string", "an integer", "a real number", "true or false", "a date-time", "a date or time without a time zone",
		"an array", "a table" };

	return names[type];
}

const struct mse_toml_value *mse_toml_get(const struct mse_toml_value *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++) {
		if (strcmp(table->items[i].key, key) == 0)
			return &table->items[i];
	}
	return NULL;
}

/* How many letters must be put in, taken out or changed to make one word the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
	size_t row[MAX_SUGGESTED_KEY_SIZE + 1];
	size_t size = strlen(b);

	if (strlen(a) > MAX_SUGGESTED_KEY_SIZE || size > MAX_SUGGESTED_KEY_SIZE)
		return SIZE_MAX;
	for (size_t i = 0; i <= size; i++)
		row[i] = i;
	for (size_t i = 0; a[i] != 0; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < size; j++) {
			size_t best = diagonal + (a[i] == b[j] ? 0 : 1);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[size];
}

static const char *nearest(const char *key, const char *const keys[])
{
	const char *best = NULL;
	size_t best_distance = strlen(key) / 3 + 2;

	for (size_t i = 0; keys[i] != NULL; i++) {
		size_t found = distance(key, keys[i]);

		if (found < best_distance) {
			best = keys[i];
			best_distance = found;
		}
	}
	return best;
}

int mse_toml_only(const struct mse_toml_value *table, const char *const keys[], const char *prefix, const char *name, struct mse_error_info *err)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct mse_toml_value *item = &table->items[i];
		const char *suggestion;
		bool known = false;

		for (size_t k = 0; keys[k] != NULL && !known; k++)
			known = strcmp(item->key, keys[k]) == 0;
		if (known)
			continue;
		suggestion = nearest(item->key, keys);
		if (suggestion != NULL) {
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: unknown key '%s%.100s'; did you mean '%s'?", name, item->line, prefix, item->key,
				suggestion);
		}
		return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: unknown key '%s%.100s'; remove it", name, item->line, prefix, item->key);
	}
	return 0;
}

static int fail_missing(const struct mse_toml_value *table, const char *key, const char *prefix, const char *name, struct mse_error_info *err)
{
	return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: the key '%s%s' is missing; add it", name, table->line, prefix, key);
}

static int fail_type(const struct mse_toml_value *value, const char *expected, const char *prefix, const char *name, struct mse_error_info *err)
{
	return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: '%s%s' must be %s, not %s", name, value->line, prefix, value->key, expected,
		mse_toml_type_name(value->type));
}

int mse_toml_string(const struct mse_toml_value *table, const char *key, bool required, size_t max_size, const char *prefix, const char *name,
	const char **ret_text, struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);

	*ret_text = NULL;
	if (value == NULL)
		return required ? fail_missing(table, key, prefix, name, err) : 0;
	if (value->type != MSE_TOML_STRING)
		return fail_type(value, "a string", prefix, name, err);
	if (value->text[0] == 0)
		return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: '%s%s' is empty; give it a value%s", name, value->line, prefix, key, required ? "" : " or remove it");
	if (strlen(value->text) > max_size)
		return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: '%s%s' is longer than %zu bytes", name, value->line, prefix, key, max_size);
	for (const char *at = value->text; *at != 0; at++) {
		if ((uint8_t)*at < 0x20 || *at == 0x7f)
			return mse_fail(err, MSE_ERR_INPUT, "%s:%zu: '%s%s' has a control character in it; remove it", name, value->line, prefix, key);
	}
	*ret_text = value->text;
	return 0;
}

int mse_toml_integer(const struct mse_toml_value *table, const char *key, bool required, int64_t min, int64_t max, const char *prefix, const char *name,
	int64_t *ret_value, struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);

	if (value == NULL)
		return required ? fail_missing(table, key, prefix, name, err) : 0;
	if (value->type != MSE_TOML_INTEGER)
		return fail_type(value, "an integer", prefix, name, err);
	if (value->integer < min || value->integer > max) {
		return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: '%s%s' is %jd; it must be from %jd to %jd", name, value->line, prefix, key,
			(intmax_t)value->integer, (intmax_t)min, (intmax_t)max);
	}
	*ret_value = value->integer;
	return 0;
}

int mse_toml_boolean(const struct mse_toml_value *table, const char *key, bool required, const char *prefix, const char *name, bool *ret_value,
	struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);

	if (value == NULL)
		return required ? fail_missing(table, key, prefix, name, err) : 0;
	if (value->type != MSE_TOML_BOOLEAN)
		return fail_type(value, "true or false", prefix, name, err);
	*ret_value = value->boolean;
	return 0;
}

int mse_toml_number(const struct mse_toml_value *table, const char *key, bool required, double min, double max, const char *prefix, const char *name,
	double *ret_value, struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);
	double number;

	if (value == NULL)
		return required ? fail_missing(table, key, prefix, name, err) : 0;
	if (value->type != MSE_TOML_INTEGER && value->type != MSE_TOML_REAL)
		return fail_type(value, "a number", prefix, name, err);
	number = value->type == MSE_TOML_REAL ? value->real : (double)value->integer;
	/* So put, it refuses what is not a number too. */
	if (!(number >= min && number <= max))
		return mse_fail(err, MSE_ERR_LIMIT, "%s:%zu: '%s%s' is %g; it must be from %g to %g", name, value->line, prefix, key, number, min, max);
	*ret_value = number;
	return 0;
}

int mse_toml_table(const struct mse_toml_value *table, const char *key, bool required, const char *prefix, const char *name,
	const struct mse_toml_value **ret_table, struct mse_error_info *err)
{
	const struct mse_toml_value *value = mse_toml_get(table, key);

	*ret_table = NULL;
	if (value == NULL)
		return required ? fail_missing(table, key, prefix, name, err) : 0;
	if (value->type != MSE_TOML_TABLE)
		return fail_type(value, "a table", prefix, name, err);
	*ret_table = value;
	return 0;
}
