/* SHA-256 of bytes and of files. */
#pragma once

#include <openssl/evp.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/fields.h"

/* For hashes that are fed piece by piece, with mse_cleanup(). */
__attribute__((unused)) static inline void mse_hash_freep(EVP_MD_CTX **hash)
{
	EVP_MD_CTX_free(*hash);
}

int mse_sha256(const void *data, size_t size, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err);
/* Of a regular file of any size, in bounded memory. *ret_size may be NULL. */
int mse_sha256_file(const char *path, uint8_t digest[static MSE_SHA256_SIZE], uint64_t *ret_size, struct mse_error_info *err);
int mse_sha256_fd(int fd, uint8_t digest[static MSE_SHA256_SIZE], uint64_t *ret_size, struct mse_error_info *err);

/* "sha256:<64 hex digits>", the form in which digests are shown and typed. */
#define MSE_DIGEST_TEXT_SIZE (7 + 64 + 1)
void mse_digest_format(char to[static MSE_DIGEST_TEXT_SIZE], const uint8_t digest[static MSE_SHA256_SIZE]);
/* Takes the form above, or the 64 hex digits alone. */
int mse_digest_parse(const char *text, uint8_t digest[static MSE_SHA256_SIZE], const char *what, struct mse_error_info *err);
