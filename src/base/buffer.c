#include "base/buffer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

#define FIRST_CAPACITY 256u

struct mse_buffer {
	uint8_t *bytes; /* capacity + 1 bytes: the last is for the NUL */
	size_t start;   /* consumed from the front */
	size_t size;
	size_t capacity;
	size_t max_size;
};

static uint8_t empty[1];

struct mse_buffer *mse_buffer_new(size_t max_size)
{
	struct mse_buffer *buffer = calloc(1, sizeof *buffer);

	if (buffer != NULL)
		buffer->max_size = max_size;
	return buffer;
}

void mse_buffer_free(struct mse_buffer *buffer)
{
	if (buffer == NULL)
		return;
	if (buffer->bytes != NULL)
		mse_wipe(buffer->bytes, buffer->capacity);
	free(buffer->bytes);
	free(buffer);
}

int mse_buffer_reserve(struct mse_buffer *buffer, size_t size, uint8_t **ret_room, struct mse_error_info *err)
{
	if (size > buffer->max_size || buffer->size > buffer->max_size - size)
		return mse_fail(err, MSE_ERR_LIMIT, "data of more than %zu bytes where that is the limit", buffer->max_size);
	if (buffer->bytes == NULL || buffer->start + buffer->size + size > buffer->capacity) {
		size_t capacity = buffer->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buffer->capacity;
		uint8_t *bytes;

		while (capacity < buffer->size + size)
			capacity = capacity > buffer->max_size / 2 ? buffer->max_size : capacity * 2;
		bytes = malloc(capacity + 1);
		if (bytes == NULL)
			return mse_fail_nomem(err);
		if (buffer->bytes != NULL) {
			memcpy(bytes, buffer->bytes + buffer->start, buffer->size);
			mse_wipe(buffer->bytes, buffer->capacity);
			free(buffer->bytes);
		}
		bytes[buffer->size] = 0;
		buffer->bytes = bytes;
		buffer->capacity = capacity;
		buffer->start = 0;
	}
	*ret_room = buffer->bytes + buffer->start + buffer->size;
	return 0;
}

void mse_buffer_commit(struct mse_buffer *buffer, size_t size)
{
	assert(buffer->bytes != NULL && size <= buffer->capacity - buffer->start - buffer->size);
	buffer->size += size;
	buffer->bytes[buffer->start + buffer->size] = 0;
}

int mse_buffer_append(struct mse_buffer *buffer, const void *data, size_t size, struct mse_error_info *err)
{
	uint8_t *room;
	int result = mse_buffer_reserve(buffer, size, &room, err);

	if (result < 0)
		return result;
	if (size > 0)
		memcpy(room, data, size);
	mse_buffer_commit(buffer, size);
	return 0;
}

int mse_buffer_append_text(struct mse_buffer *buffer, const char *text, struct mse_error_info *err)
{
	return mse_buffer_append(buffer, text, strlen(text), err);
}

int mse_buffer_printf(struct mse_buffer *buffer, struct mse_error_info *err, const char *format, ...)
{
	va_list args;
	uint8_t *room;
	int size, result;

	va_start(args, format);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (size < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot format text");
	/* The NUL that vsnprintf writes falls on the byte kept behind the capacity. */
	result = mse_buffer_reserve(buffer, (size_t)size, &room, err);
	if (result < 0)
		return result;
	va_start(args, format);
	vsnprintf((char *)room, (size_t)size + 1, format, args);
	va_end(args);
	mse_buffer_commit(buffer, (size_t)size);
	return 0;
}

const uint8_t *mse_buffer_data(const struct mse_buffer *buffer)
{
	return buffer->bytes == NULL ? empty : buffer->bytes + buffer->start;
}

const char *mse_buffer_text(const struct mse_buffer *buffer)
{
	return (const char *)mse_buffer_data(buffer);
}

size_t mse_buffer_size(const struct mse_buffer *buffer)
{
	return buffer->size;
}

void mse_buffer_consume(struct mse_buffer *buffer, size_t size)
{
	if (size >= buffer->size) {
		mse_buffer_clear(buffer);
		return;
	}
	mse_wipe(buffer->bytes + buffer->start, size);
	buffer->start += size;
	buffer->size -= size;
}

void mse_buffer_clear(struct mse_buffer *buffer)
{
	if (buffer->bytes != NULL) {
		mse_wipe(buffer->bytes + buffer->start, buffer->size);
		buffer->bytes[0] = 0;
	}
	buffer->start = 0;
	buffer->size = 0;
}
