/* A queue of bytes: appended behind, consumed in front, wiped when freed or moved. Its users bound it: it knows no maximum itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mse_http_bytes {
	uint8_t *data;
	size_t start;
	size_t end;
	size_t capacity;
};

static inline size_t mse_http_bytes_size(const struct mse_http_bytes *bytes)
{
	return bytes->end - bytes->start;
}

static inline const uint8_t *mse_http_bytes_front(const struct mse_http_bytes *bytes)
{
	return bytes->data + bytes->start;
}

/* Room for size more bytes behind the content; false when memory is out. */
bool mse_http_bytes_reserve(struct mse_http_bytes *bytes, size_t size);
bool mse_http_bytes_append(struct mse_http_bytes *bytes, const void *data, size_t size);
/* Inserts at an offset from the front. */
bool mse_http_bytes_insert(struct mse_http_bytes *bytes, size_t offset, const void *data, size_t size);
void mse_http_bytes_consume(struct mse_http_bytes *bytes, size_t size);
/* Back to nothing held. */
void mse_http_bytes_free(struct mse_http_bytes *bytes);
