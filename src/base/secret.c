#include "base/secret.h"

#include <sodium.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct mse_secret {
	uint8_t *bytes; /* sodium_malloc: guard pages, mlock, MADV_DONTDUMP */
	size_t size;
};

int mse_secret_init(struct mse_error_info *err)
{
	struct rlimit none = { 0, 0 };

	if (sodium_init() < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "libsodium cannot be initialised: is there a source of random numbers?");
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return mse_fail_errno(err, "cannot turn core dumps off");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return mse_fail_errno(err, "cannot make the process undumpable");
	return 0;
}

static atomic_bool some_unlocked;

bool mse_secret_some_unlocked(void)
{
	return atomic_load(&some_unlocked);
}

int mse_secret_new(size_t size, struct mse_secret **ret_secret, struct mse_error_info *err)
{
	struct mse_secret *secret;

	if (size > MSE_SECRET_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "a secret of %zu bytes, the limit is %zu", size, MSE_SECRET_MAX_SIZE);
	secret = calloc(1, sizeof *secret);
	if (secret == NULL)
		return mse_fail_nomem(err);
	secret->bytes = sodium_malloc(size == 0 ? 1 : size);
	if (secret->bytes == NULL) {
		free(secret);
		return mse_fail(err, MSE_ERR_NOMEM, "no guarded memory for a secret of %zu bytes", size);
	}
	memset(secret->bytes, 0, size);
	secret->size = size;
	/* libsodium has tried, and does not tell. */
	if (mlock(secret->bytes, size == 0 ? 1 : size) < 0) {
		if (size <= MSE_SECRET_ALWAYS_LOCKED) {
			mse_secret_free(secret);
			return mse_fail_errno(err, "cannot keep a key of %zu bytes from being swapped to disk: raise the limit of locked memory (ulimit -l, RLIMIT_MEMLOCK)", size);
		}
		atomic_store(&some_unlocked, true);
	}
	*ret_secret = secret;
	return 0;
}

int mse_secret_copy(const void *data, size_t size, struct mse_secret **ret_secret, struct mse_error_info *err)
{
	int result = mse_secret_new(size, ret_secret, err);

	if (result == 0 && size > 0)
		memcpy((*ret_secret)->bytes, data, size);
	return result;
}

int mse_secret_random(size_t size, struct mse_secret **ret_secret, struct mse_error_info *err)
{
	int result = mse_secret_new(size, ret_secret, err);

	if (result == 0)
		randombytes_buf((*ret_secret)->bytes, size);
	return result;
}

void mse_secret_free(struct mse_secret *secret)
{
	if (secret == NULL)
		return;
	sodium_free(secret->bytes);
	free(secret);
}

uint8_t *mse_secret_data(struct mse_secret *secret)
{
	return secret->bytes;
}

const uint8_t *mse_secret_view(const struct mse_secret *secret)
{
	return secret->bytes;
}

size_t mse_secret_size(const struct mse_secret *secret)
{
	return secret->size;
}

int mse_secret_from_base64(const char *text, size_t text_size, size_t size, struct mse_secret **ret_secret, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *room = NULL;
	size_t decoded = 0;
	unsigned char all_bits = 0;
	int result = mse_secret_new(text_size / 4 * 3 + 3, &room, err);

	if (result < 0)
		return result;
	/* libsodium takes every byte above 0x7f for a '/'. */
	for (size_t i = 0; i < text_size; i++)
		all_bits |= (unsigned char)text[i];
	if ((all_bits & 0x80) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "not standard base64");
	if (sodium_base642bin(room->bytes, room->size, text, text_size, NULL, &decoded, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "not standard base64");
	if (size != 0 && decoded != size)
		return mse_fail(err, MSE_ERR_INPUT, "base64 of %zu bytes, expected %zu", decoded, size);
	return mse_secret_copy(room->bytes, decoded, ret_secret, err);
}

void mse_wipe(void *data, size_t size)
{
	sodium_memzero(data, size);
}

bool mse_equal(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}
