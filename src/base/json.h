/* JSON read strictly (RFC 8259, no duplicate members, bounded size and depth) and written canonically (RFC 8785). */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

__attribute__((unused)) static inline void mse_json_freep(json_t **json)
{
	json_decref(*json);
}
#define mse_autojson mse_cleanup(mse_json_freep) json_t

/* One value that takes up all of the text; what names it in errors ("mse.lock", "the manifest"). */
int mse_json_parse(const void *text, size_t size, const char *what, json_t **ret_json, struct mse_error_info *err);
int mse_json_read(const char *path, size_t max_size, json_t **ret_json, struct mse_error_info *err);
/* Writes indented JSON with a newline at its end, as mse_file_write() does. */
int mse_json_write(const char *path, const json_t *json, mode_t mode, struct mse_error_info *err);

/* Members of an object. The required forms fail with MSE_ERR_INPUT naming `what` and the member; the strings stay owned by the object. */
int mse_json_string(const json_t *object, const char *member, const char *what, const char **ret_text, struct mse_error_info *err);
int mse_json_u64(const json_t *object, const char *member, const char *what, uint64_t min, uint64_t max, uint64_t *ret_value, struct mse_error_info *err);
int mse_json_bool(const json_t *object, const char *member, const char *what, bool *ret_value, struct mse_error_info *err);
int mse_json_object(const json_t *object, const char *member, const char *what, json_t **ret_object, struct mse_error_info *err);
int mse_json_array(const json_t *object, const char *member, const char *what, json_t **ret_array, struct mse_error_info *err);
/* A member of standard base64 or hex that decodes to exactly size bytes. */
int mse_json_base64(const json_t *object, const char *member, const char *what, uint8_t *to, size_t size, struct mse_error_info *err);
int mse_json_hex(const json_t *object, const char *member, const char *what, uint8_t *to, size_t size, struct mse_error_info *err);

/* MSE_ERR_INPUT naming the first member that is not in the NULL-terminated list. */
int mse_json_only(const json_t *object, const char *const members[], const char *what, struct mse_error_info *err);

/* Sets a member to base64 or hex text of bytes. */
int mse_json_set_base64(json_t *object, const char *member, const void *data, size_t size, struct mse_error_info *err);
int mse_json_set_hex(json_t *object, const char *member, const void *data, size_t size, struct mse_error_info *err);
/* Takes the reference of value, also on failure; NULL (as json_string() gives when memory is out or the text is not UTF-8) is a failure. */
int mse_json_set(json_t *object, const char *member, json_t *value, struct mse_error_info *err);

/* RFC 8785 for values without real numbers: sorted members (by UTF-16 code units), no white space. */
int mse_json_canonical(const json_t *json, struct mse_buffer *to, struct mse_error_info *err);
