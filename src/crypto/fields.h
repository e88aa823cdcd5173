/* Signed and hashed inputs: fields one after the other, each with its length before it as 32 bits big-endian, the
 * first of them a tag that no other purpose uses. Integers are 64-bit big-endian fields. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/view.h"

#define MSE_SHA256_SIZE 32
#define MSE_SHA512_SIZE 64

/* The encoded bytes in a new buffer, for signing. Fields may be empty, never NULL with a size. */
int mse_fields_encode(const char *tag, const struct mse_view *fields, size_t count, struct mse_buffer **ret_bytes, struct mse_error_info *err);

/* SHA-256 or SHA-512 of the same bytes, without building them. */
int mse_fields_sha256(const char *tag, const struct mse_view *fields, size_t count, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err);
int mse_fields_sha512(const char *tag, const struct mse_view *fields, size_t count, uint8_t digest[static MSE_SHA512_SIZE], struct mse_error_info *err);
