#include "base/json.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"

int mse_json_parse(const void *text, size_t size, const char *what, json_t **ret_json, struct mse_error_info *err)
{
	json_error_t error;
	json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (json == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "%s is not valid JSON: line %d, column %d: %s", what, error.line, error.column, error.text);
	*ret_json = json;
	return 0;
}

int mse_json_read(const char *path, size_t max_size, json_t **ret_json, struct mse_error_info *err)
{
	mse_autofree uint8_t *data = NULL;
	size_t size;
	int result = mse_file_read(path, max_size, &data, &size, err);

	if (result < 0)
		return result;
	result = mse_json_parse(data, size, path, ret_json, err);
	mse_wipe(data, size);
	return result;
}

int mse_json_write(const char *path, const json_t *json, mode_t mode, struct mse_error_info *err)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);
	mse_autofree char *line = NULL;
	int result;

	if (text == NULL)
		return mse_fail_nomem(err);
	result = mse_format(&line, err, "%s\n", text);
	if (result == 0)
		result = mse_file_write(path, line, strlen(line), mode, err);
	mse_wipe(text, strlen(text));
	free(text);
	if (line != NULL)
		mse_wipe(line, strlen(line));
	return result;
}

static int member_of(const json_t *object, const char *member, const char *what, json_t **ret_value, struct mse_error_info *err)
{
	json_t *value;

	if (!json_is_object(object))
		return mse_fail(err, MSE_ERR_INPUT, "%s is not a JSON object", what);
	value = json_object_get(object, member);
	if (value == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "%s lacks the member '%s'", what, member);
	*ret_value = value;
	return 0;
}

static int wrong_type(const char *member, const char *what, const char *type, struct mse_error_info *err)
{
	return mse_fail(err, MSE_ERR_INPUT, "%s: member '%s' is not %s", what, member, type);
}

int mse_json_string(const json_t *object, const char *member, const char *what, const char **ret_text, struct mse_error_info *err)
{
	json_t *value;
	int result = member_of(object, member, what, &value, err);

	if (result < 0)
		return result;
	/* jansson refuses \u0000 unless told otherwise, so the C string is the whole text. */
	if (!json_is_string(value))
		return wrong_type(member, what, "a string", err);
	*ret_text = json_string_value(value);
	return 0;
}

int mse_json_u64(const json_t *object, const char *member, const char *what, uint64_t min, uint64_t max, uint64_t *ret_value, struct mse_error_info *err)
{
	json_t *value;
	int result = member_of(object, member, what, &value, err);

	if (result < 0)
		return result;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return wrong_type(member, what, "a whole number of 0 or more", err);
	if ((uint64_t)json_integer_value(value) < min || (uint64_t)json_integer_value(value) > max)
		return mse_fail(err, MSE_ERR_LIMIT, "%s: member '%s' is %lld, allowed are %llu to %llu", what, member,
			(long long)json_integer_value(value), (unsigned long long)min, (unsigned long long)max);
	*ret_value = (uint64_t)json_integer_value(value);
	return 0;
}

int mse_json_bool(const json_t *object, const char *member, const char *what, bool *ret_value, struct mse_error_info *err)
{
	json_t *value;
	int result = member_of(object, member, what, &value, err);

	if (result < 0)
		return result;
	if (!json_is_boolean(value))
		return wrong_type(member, what, "true or false", err);
	*ret_value = json_is_true(value);
	return 0;
}

int mse_json_object(const json_t *object, const char *member, const char *what, json_t **ret_object, struct mse_error_info *err)
{
	json_t *value;
	int result = member_of(object, member, what, &value, err);

	if (result < 0)
		return result;
	if (!json_is_object(value))
		return wrong_type(member, what, "an object", err);
	*ret_object = value;
	return 0;
}

int mse_json_array(const json_t *object, const char *member, const char *what, json_t **ret_array, struct mse_error_info *err)
{
	json_t *value;
	int result = member_of(object, member, what, &value, err);

	if (result < 0)
		return result;
	if (!json_is_array(value))
		return wrong_type(member, what, "an array", err);
	*ret_array = value;
	return 0;
}

int mse_json_base64(const json_t *object, const char *member, const char *what, uint8_t *to, size_t size, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(object, member, what, &text, err);

	if (result < 0)
		return result;
	result = mse_base64_decode_fixed(text, to, size, member, err);
	return result < 0 ? mse_context(err, "%s", what) : 0;
}

int mse_json_hex(const json_t *object, const char *member, const char *what, uint8_t *to, size_t size, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(object, member, what, &text, err);

	if (result < 0)
		return result;
	result = mse_hex_decode(to, size, text, member, err);
	return result < 0 ? mse_context(err, "%s", what) : 0;
}

int mse_json_only(const json_t *object, const char *const members[], const char *what, struct mse_error_info *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return mse_fail(err, MSE_ERR_INPUT, "%s is not a JSON object", what);
	json_object_foreach ((json_t *)object, key, value) {
		size_t i = 0;

		while (members[i] != NULL && strcmp(members[i], key) != 0)
			i++;
		if (members[i] == NULL)
			return mse_fail(err, MSE_ERR_INPUT, "%s has a member '%.100s' that is not known here", what, key);
	}
	return 0;
}

int mse_json_set(json_t *object, const char *member, json_t *value, struct mse_error_info *err)
{
	if (json_object_set_new(object, member, value) < 0)
		return mse_fail(err, MSE_ERR_NOMEM, "cannot set JSON member '%s': out of memory, or text that is not UTF-8", member);
	return 0;
}

int mse_json_set_base64(json_t *object, const char *member, const void *data, size_t size, struct mse_error_info *err)
{
	mse_autofree char *text = NULL;
	int result = mse_base64_encode(data, size, &text, err);

	return result < 0 ? result : mse_json_set(object, member, json_string(text), err);
}

int mse_json_set_hex(json_t *object, const char *member, const void *data, size_t size, struct mse_error_info *err)
{
	mse_autofree char *text = malloc(2 * size + 1);

	if (text == NULL)
		return mse_fail_nomem(err);
	mse_hex_encode(text, data, size);
	return mse_json_set(object, member, json_string(text), err);
}

/* RFC 8785 section 3.2.2.2: the two-character escapes, \u00xx for other control characters, all else as it is. */
static int canonical_string(const char *text, size_t size, struct mse_buffer *to, struct mse_error_info *err)
{
	int result = mse_buffer_append(to, "\"", 1, err);

	for (size_t i = 0; result == 0 && i < size; i++) {
		static const char from[] = "\b\t\n\f\r\"\\", into[] = "btnfr\"\\";
		unsigned char byte = (unsigned char)text[i];
		const char *short_form = byte == 0 ? NULL : strchr(from, byte);

		if (short_form != NULL)
			result = mse_buffer_printf(to, err, "\\%c", into[short_form - from]);
		else if (byte < 0x20)
			result = mse_buffer_printf(to, err, "\\u%04x", byte);
		else
			result = mse_buffer_append(to, &text[i], 1, err);
	}
	return result < 0 ? result : mse_buffer_append(to, "\"", 1, err);
}

/* Orders UTF-8 strings as their UTF-16 forms: as bytes, save that U+E000..U+FFFF come after the surrogates of what is beyond. */
static int compare_utf16(const void *left, const void *right)
{
	const unsigned char *a = *(const unsigned char *const *)left, *b = *(const unsigned char *const *)right;

	while (*a != 0 && *a == *b)
		a++, b++;
	if ((*a == 0xee || *a == 0xef) && *b >= 0xf0)
		return 1;
	if ((*b == 0xee || *b == 0xef) && *a >= 0xf0)
		return -1;
	return *a - *b;
}

static int canonical_object(const json_t *json, struct mse_buffer *to, struct mse_error_info *err)
{
	size_t count = json_object_size(json), i = 0;
	mse_autofree const char **keys = calloc(count + 1, sizeof *keys);
	const char *key;
	json_t *value;
	int result;

	if (keys == NULL)
		return mse_fail_nomem(err);
	json_object_foreach ((json_t *)json, key, value)
		keys[i++] = key;
	qsort(keys, count, sizeof *keys, compare_utf16);
	result = mse_buffer_append(to, "{", 1, err);
	for (i = 0; result == 0 && i < count; i++) {
		if (i > 0)
			result = mse_buffer_append(to, ",", 1, err);
		if (result == 0)
			result = canonical_string(keys[i], strlen(keys[i]), to, err);
		if (result == 0)
			result = mse_buffer_append(to, ":", 1, err);
		if (result == 0)
			result = mse_json_canonical(json_object_get(json, keys[i]), to, err);
	}
	return result < 0 ? result : mse_buffer_append(to, "}", 1, err);
}

static int canonical_array(const json_t *json, struct mse_buffer *to, struct mse_error_info *err)
{
	int result = mse_buffer_append(to, "[", 1, err);

	for (size_t i = 0; result == 0 && i < json_array_size(json); i++) {
		if (i > 0)
			result = mse_buffer_append(to, ",", 1, err);
		if (result == 0)
			result = mse_json_canonical(json_array_get(json, i), to, err);
	}
	return result < 0 ? result : mse_buffer_append(to, "]", 1, err);
}

int mse_json_canonical(const json_t *json, struct mse_buffer *to, struct mse_error_info *err)
{
	/* RFC 8785 section 3.2.2.3: beyond 2^53 - 1 a number has no exact canonical form. */
	const json_int_t largest = 9007199254740991;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return canonical_object(json, to, err);
	case JSON_ARRAY:
		return canonical_array(json, to, err);
	case JSON_STRING:
		return canonical_string(json_string_value(json), json_string_length(json), to, err);
	case JSON_INTEGER:
		if (json_integer_value(json) > largest || json_integer_value(json) < -largest)
			return mse_fail(err, MSE_ERR_INPUT, "the number %lld is too large for canonical JSON", (long long)json_integer_value(json));
		return mse_buffer_printf(to, err, "%lld", (long long)json_integer_value(json));
	case JSON_TRUE:
		return mse_buffer_append_text(to, "true", err);
	case JSON_FALSE:
		return mse_buffer_append_text(to, "false", err);
	case JSON_NULL:
		return mse_buffer_append_text(to, "null", err);
	case JSON_REAL:
		break;
	}
	return mse_fail(err, MSE_ERR_INPUT, "canonical JSON here has whole numbers only");
}
