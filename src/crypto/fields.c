#include "crypto/fields.h"

#include <openssl/evp.h>
#include <string.h>

#define MAX_ENCODED_SIZE ((size_t)16 * 1024 * 1024)

static int append_field(struct mse_buffer *to, struct mse_view field, struct mse_error_info *err)
{
	uint8_t size[4];
	int result;

	if (field.size > UINT32_MAX)
		return mse_fail(err, MSE_ERR_LIMIT, "a signed field of more than 4 GiB");
	mse_put_be32(size, (uint32_t)field.size);
	result = mse_buffer_append(to, size, sizeof size, err);
	return result < 0 ? result : mse_buffer_append(to, field.data, field.size, err);
}

int mse_fields_encode(const char *tag, const struct mse_view *fields, size_t count, struct mse_buffer **ret_bytes, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = mse_buffer_new(MAX_ENCODED_SIZE);
	int result;

	if (bytes == NULL)
		return mse_fail_nomem(err);
	result = append_field(bytes, mse_view_of_text(tag), err);
	for (size_t i = 0; result == 0 && i < count; i++)
		result = append_field(bytes, fields[i], err);
	if (result == 0)
		*ret_bytes = mse_steal(bytes);
	return result;
}

static int digest_fields(const EVP_MD *md, const char *tag, const struct mse_view *fields, size_t count, uint8_t *digest, struct mse_error_info *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int good = context != NULL && EVP_DigestInit_ex(context, md, NULL) == 1;

	for (size_t i = 0; good && i <= count; i++) {
		struct mse_view field = i == 0 ? mse_view_of_text(tag) : fields[i - 1];
		uint8_t size[4];

		mse_put_be32(size, (uint32_t)field.size);
		good = field.size <= UINT32_MAX && EVP_DigestUpdate(context, size, sizeof size) == 1 &&
		       (field.size == 0 || EVP_DigestUpdate(context, field.data, field.size) == 1);
	}
	good = good && EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);
	return good ? 0 : mse_fail(err, MSE_ERR_INTERNAL, "cannot compute a digest");
}

int mse_fields_sha256(const char *tag, const struct mse_view *fields, size_t count, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	return digest_fields(EVP_sha256(), tag, fields, count, digest, err);
}

int mse_fields_sha512(const char *tag, const struct mse_view *fields, size_t count, uint8_t digest[static MSE_SHA512_SIZE], struct mse_error_info *err)
{
	return digest_fields(EVP_sha512(), tag, fields, count, digest, err);
}
