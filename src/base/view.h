/* A window on bytes that somebody else owns, and bounded reads from its front. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mse_view {
	const uint8_t *data;
	size_t size;
};

struct mse_view mse_view_of(const void *data, size_t size);
struct mse_view mse_view_of_text(const char *text);
bool mse_view_equals_text(struct mse_view view, const char *text);

/* Each takes its bytes from the front of *view, or returns false and leaves *view alone when there are too few. */
bool mse_view_take(struct mse_view *view, size_t size, struct mse_view *ret_part);
bool mse_view_copy(struct mse_view *view, void *to, size_t size);
bool mse_view_u8(struct mse_view *view, uint8_t *ret_value);
bool mse_view_le16(struct mse_view *view, uint16_t *ret_value);
bool mse_view_le32(struct mse_view *view, uint32_t *ret_value);
bool mse_view_be32(struct mse_view *view, uint32_t *ret_value);
bool mse_view_be64(struct mse_view *view, uint64_t *ret_value);

/* Big- and little-endian stores, for the writing side. */
void mse_put_be32(uint8_t to[static 4], uint32_t value);
void mse_put_be64(uint8_t to[static 8], uint64_t value);
void mse_put_le16(uint8_t to[static 2], uint16_t value);
void mse_put_le32(uint8_t to[static 4], uint32_t value);
