#include "base/view.h"

#include <string.h>

struct mse_view mse_view_of(const void *data, size_t size)
{
	return (struct mse_view){ .data = data, .size = size };
}

struct mse_view mse_view_of_text(const char *text)
{
	return mse_view_of(text, strlen(text));
}

bool mse_view_equals_text(struct mse_view view, const char *text)
{
	return view.size == strlen(text) && memcmp(view.data, text, view.size) == 0;
}

bool mse_view_take(struct mse_view *view, size_t size, struct mse_view *ret_part)
{
	if (view->size < size)
		return false;
	*ret_part = mse_view_of(view->data, size);
	view->data += size;
	view->size -= size;
	return true;
}

bool mse_view_copy(struct mse_view *view, void *to, size_t size)
{
	struct mse_view part;

	if (!mse_view_take(view, size, &part))
		return false;
	if (size > 0)
		memcpy(to, part.data, size);
	return true;
}

static bool take_number(struct mse_view *view, unsigned size, bool big_endian, uint64_t *ret_value)
{
	struct mse_view part;
	uint64_t value = 0;

	if (!mse_view_take(view, size, &part))
		return false;
	for (unsigned i = 0; i < size; i++)
		value = value << 8 | part.data[big_endian ? i : size - 1 - i];
	*ret_value = value;
	return true;
}

bool mse_view_u8(struct mse_view *view, uint8_t *ret_value)
{
	return mse_view_copy(view, ret_value, 1);
}

bool mse_view_le16(struct mse_view *view, uint16_t *ret_value)
{
	uint64_t value;

	if (!take_number(view, 2, false, &value))
		return false;
	*ret_value = (uint16_t)value;
	return true;
}

bool mse_view_le32(struct mse_view *view, uint32_t *ret_value)
{
	uint64_t value;

	if (!take_number(view, 4, false, &value))
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

bool mse_view_be32(struct mse_view *view, uint32_t *ret_value)
{
	uint64_t value;

	if (!take_number(view, 4, true, &value))
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

bool mse_view_be64(struct mse_view *view, uint64_t *ret_value)
{
	return take_number(view, 8, true, ret_value);
}

void mse_put_be32(uint8_t to[static 4], uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (24 - 8 * i));
}

void mse_put_be64(uint8_t to[static 8], uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(value >> (56 - 8 * i));
}

void mse_put_le16(uint8_t to[static 2], uint16_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

void mse_put_le32(uint8_t to[static 4], uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}
