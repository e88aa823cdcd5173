#include "http/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024u

bool mse_http_bytes_reserve(struct mse_http_bytes *bytes, size_t size)
{
	size_t held = mse_http_bytes_size(bytes), capacity = bytes->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : bytes->capacity;
	uint8_t *data;

	if (bytes->data != NULL && bytes->capacity - bytes->end >= size)
		return true;
	if (size > SIZE_MAX / 4 || held > SIZE_MAX / 4)
		return false;
	/* Moving to the front pays only when it makes much room: otherwise every small append would move everything. */
	if (bytes->data != NULL && bytes->capacity - held >= size && bytes->start >= held) {
		memmove(bytes->data, bytes->data + bytes->start, held);
		bytes->start = 0;
		bytes->end = held;
		return true;
	}
	while (capacity - held < size || capacity < held)
		capacity *= 2;
	data = malloc(capacity);
	if (data == NULL)
		return false;
	if (held > 0)
		memcpy(data, mse_http_bytes_front(bytes), held);
	mse_http_bytes_free(bytes);
	*bytes = (struct mse_http_bytes){ .data = data, .end = held, .capacity = capacity };
	return true;
}

bool mse_http_bytes_append(struct mse_http_bytes *bytes, const void *data, size_t size)
{
	if (size == 0)
		return true;
	if (!mse_http_bytes_reserve(bytes, size))
		return false;
	memcpy(bytes->data + bytes->end, data, size);
	bytes->end += size;
	return true;
}

bool mse_http_bytes_insert(struct mse_http_bytes *bytes, size_t offset, const void *data, size_t size)
{
	uint8_t *at;

	assert(offset <= mse_http_bytes_size(bytes));
	if (!mse_http_bytes_reserve(bytes, size))
		return false;
	at = bytes->data + bytes->start + offset;
	memmove(at + size, at, mse_http_bytes_size(bytes) - offset);
	memcpy(at, data, size);
	bytes->end += size;
	return true;
}

void mse_http_bytes_consume(struct mse_http_bytes *bytes, size_t size)
{
	assert(size <= mse_http_bytes_size(bytes));
	bytes->start += size;
	if (bytes->start == bytes->end)
		bytes->start = bytes->end = 0;
}

void mse_http_bytes_free(struct mse_http_bytes *bytes)
{
	if (bytes->data != NULL)
		explicit_bzero(bytes->data, bytes->capacity);
	free(bytes->data);
	*bytes = (struct mse_http_bytes){ 0 };
}
