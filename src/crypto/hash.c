#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define READ_SIZE ((size_t)256 * 1024)

int mse_sha256(const void *data, size_t size, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot compute a digest");
	return 0;
}

static int digest_all(EVP_MD_CTX *context, int fd, uint8_t *digest, uint64_t *ret_size, struct mse_error_info *err)
{
	mse_autofree uint8_t *room = malloc(READ_SIZE);
	uint64_t total = 0;

	if (room == NULL)
		return mse_fail_nomem(err);
	for (;;) {
		ssize_t got = read(fd, room, READ_SIZE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mse_fail_errno(err, "cannot read");
		if (got == 0)
			break;
		if (EVP_DigestUpdate(context, room, (size_t)got) != 1)
			return mse_fail(err, MSE_ERR_INTERNAL, "cannot compute a digest");
		total += (uint64_t)got;
	}
	if (EVP_DigestFinal_ex(context, digest, NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot compute a digest");
	if (ret_size != NULL)
		*ret_size = total;
	return 0;
}

int mse_sha256_fd(int fd, uint8_t digest[static MSE_SHA256_SIZE], uint64_t *ret_size, struct mse_error_info *err)
{
	mse_cleanup(mse_hash_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot compute a digest");
	return digest_all(context, fd, digest, ret_size, err);
}

int mse_sha256_file(const char *path, uint8_t digest[static MSE_SHA256_SIZE], uint64_t *ret_size, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	int result;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file", path);
	result = mse_sha256_fd(fd, digest, ret_size, err);
	return result < 0 ? mse_context(err, "'%s'", path) : 0;
}

void mse_digest_format(char to[static MSE_DIGEST_TEXT_SIZE], const uint8_t digest[static MSE_SHA256_SIZE])
{
	memcpy(to, "sha256:", 7);
	mse_hex_encode(to + 7, digest, MSE_SHA256_SIZE);
}

int mse_digest_parse(const char *text, uint8_t digest[static MSE_SHA256_SIZE], const char *what, struct mse_error_info *err)
{
	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	return mse_hex_decode(digest, MSE_SHA256_SIZE, text, what, err);
}
