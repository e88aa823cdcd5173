/* A byte buffer that cannot grow beyond a maximum given at birth, and is wiped when it is freed or shrinks. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct mse_buffer;

/* NULL only when memory is out. max_size in bytes is mandatory; nothing is allocated for content yet. */
struct mse_buffer *mse_buffer_new(size_t max_size);
void mse_buffer_free(struct mse_buffer *buffer);
MSE_DEFINE_CLEANUP(struct mse_buffer, mse_buffer_free)

/* MSE_ERR_LIMIT when the content would pass max_size; then the buffer is unchanged. */
int mse_buffer_append(struct mse_buffer *buffer, const void *data, size_t size, struct mse_error_info *err);
int mse_buffer_append_text(struct mse_buffer *buffer, const char *text, struct mse_error_info *err);
int mse_buffer_printf(struct mse_buffer *buffer, struct mse_error_info *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Makes room for size bytes behind the content and points *ret_room at it; mse_buffer_commit() makes them content. */
int mse_buffer_reserve(struct mse_buffer *buffer, size_t size, uint8_t **ret_room, struct mse_error_info *err);
void mse_buffer_commit(struct mse_buffer *buffer, size_t size);

/* Valid until the next call that changes the buffer. A NUL byte always stands behind the content, outside its size. */
const uint8_t *mse_buffer_data(const struct mse_buffer *buffer);
const char *mse_buffer_text(const struct mse_buffer *buffer);
size_t mse_buffer_size(const struct mse_buffer *buffer);

/* Removes size bytes from the front (at most all of them). */
void mse_buffer_consume(struct mse_buffer *buffer, size_t size);
void mse_buffer_clear(struct mse_buffer *buffer);
