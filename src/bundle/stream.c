#include "bundle/stream.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/view.h"
#include "bundle/bundle.h"

#define MAGIC "mse-bundle\n"
#define MAGIC_SIZE 11
#define VERSION 1
#define ALGORITHM_XCHACHA20_POLY1305 1
#define PREFIX_SIZE 19
#define SEALED_CHUNK_SIZE (MSE_STREAM_CHUNK_SIZE + MSE_STREAM_TAG_SIZE)

_Static_assert(MAGIC_SIZE + 2 + PREFIX_SIZE == MSE_STREAM_HEADER_SIZE, "the header is full");
_Static_assert(PREFIX_SIZE + 4 + 1 == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the nonce is full");
_Static_assert(MSE_BUNDLE_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the key fits");
_Static_assert(MSE_STREAM_TAG_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag fits");

/* What both directions know. */
struct chain {
	const struct mse_secret *key;
	uint8_t header[MSE_STREAM_HEADER_SIZE];
	uint32_t counter;
	uint64_t total; /* bytes of the sealed stream so far */
};

static void make_nonce(const struct chain *chain, bool last, uint8_t nonce[static crypto_aead_xchacha20poly1305_ietf_NPUBBYTES])
{
	memcpy(nonce, chain->header + MAGIC_SIZE + 2, PREFIX_SIZE);
	mse_put_be32(nonce + PREFIX_SIZE, chain->counter);
	nonce[PREFIX_SIZE + 4] = last ? 1 : 0;
}

/* The limit keeps the counter far from wrapping, too. */
static int count_sealed(struct chain *chain, size_t size, struct mse_error_info *err)
{
	if (size > MSE_BUNDLE_MAX_SIZE - chain->total)
		return mse_fail(err, MSE_ERR_LIMIT, "the bundle is larger than the limit of %ju bytes", (uintmax_t)MSE_BUNDLE_MAX_SIZE);
	chain->total += size;
	return 0;
}

static int check_key(const struct mse_secret *key, struct mse_error_info *err)
{
	if (mse_secret_size(key) != MSE_BUNDLE_KEY_SIZE)
		return mse_fail(err, MSE_ERR_INPUT, "a code key has %d bytes, not %zu", MSE_BUNDLE_KEY_SIZE, mse_secret_size(key));
	return 0;
}

struct mse_stream_writer {
	struct chain chain;
	int fd;
	EVP_MD_CTX *hash;
	size_t size; /* of what waits in plain */
	uint8_t plain[MSE_STREAM_CHUNK_SIZE];
	uint8_t sealed[SEALED_CHUNK_SIZE];
};

static int put(struct mse_stream_writer *writer, const void *data, size_t size, struct mse_error_info *err)
{
	int result = count_sealed(&writer->chain, size, err);

	if (result < 0)
		return result;
	if (EVP_DigestUpdate(writer->hash, data, size) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash the bundle");
	return mse_fd_write(writer->fd, data, size, err);
}

int mse_stream_writer_new(int fd, const struct mse_secret *key, struct mse_stream_writer **ret_writer, struct mse_error_info *err)
{
	mse_cleanup(mse_stream_writer_freep) struct mse_stream_writer *writer = calloc(1, sizeof *writer);
	int result = check_key(key, err);

	if (result < 0)
		return result;
	if (writer == NULL || (writer->hash = EVP_MD_CTX_new()) == NULL)
		return mse_fail_nomem(err);
	if (EVP_DigestInit_ex(writer->hash, EVP_sha256(), NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash the bundle");
	writer->fd = fd;
	writer->chain.key = key;
	memcpy(writer->chain.header, MAGIC, MAGIC_SIZE);
	writer->chain.header[MAGIC_SIZE] = VERSION;
	writer->chain.header[MAGIC_SIZE + 1] = ALGORITHM_XCHACHA20_POLY1305;
	randombytes_buf(writer->chain.header + MAGIC_SIZE + 2, PREFIX_SIZE);
	result = put(writer, writer->chain.header, sizeof writer->chain.header, err);
	if (result < 0)
		return result;
	*ret_writer = mse_steal(writer);
	return 0;
}

void mse_stream_writer_free(struct mse_stream_writer *writer)
{
	if (writer == NULL)
		return;
	EVP_MD_CTX_free(writer->hash);
	mse_wipe(writer->plain, sizeof writer->plain);
	free(writer);
}

static int seal_chunk(struct mse_stream_writer *writer, bool last, struct mse_error_info *err)
{
	uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	unsigned long long sealed_size;

	make_nonce(&writer->chain, last, nonce);
	if (crypto_aead_xchacha20poly1305_ietf_encrypt(writer->sealed, &sealed_size, writer->plain, writer->size, writer->chain.header,
		    sizeof writer->chain.header, NULL, nonce, mse_secret_view(writer->chain.key)) != 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot seal the bundle");
	writer->chain.counter++;
	writer->size = 0;
	return put(writer, writer->sealed, (size_t)sealed_size, err);
}

int mse_stream_write(struct mse_stream_writer *writer, const void *data, size_t size, struct mse_error_info *err)
{
	const uint8_t *at = data;

	while (size > 0) {
		size_t part = MSE_STREAM_CHUNK_SIZE - writer->size;

		/* A full chunk waits until it is known not to be the last. */
		if (part == 0) {
			int result = seal_chunk(writer, false, err);

			if (result < 0)
				return result;
			continue;
		}
		if (part > size)
			part = size;
		memcpy(writer->plain + writer->size, at, part);
		writer->size += part;
		at += part;
		size -= part;
	}
	return 0;
}

int mse_stream_finish(struct mse_stream_writer *writer, uint8_t ret_sha256[static 32], uint64_t *ret_size, struct mse_error_info *err)
{
	int result;

	if (writer->size == 0)
		return mse_fail(err, MSE_ERR_STATE, "a bundle without content");
	result = seal_chunk(writer, true, err);
	if (result < 0)
		return result;
	if (EVP_DigestFinal_ex(writer->hash, ret_sha256, NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash the bundle");
	*ret_size = writer->chain.total;
	return 0;
}

struct mse_stream_reader {
	struct chain chain;
	int fd;
	bool ended;  /* the last chunk was given out */
	size_t size; /* of what waits in sealed */
	/* One byte more than a chunk: whether there is one tells whether the chunk is the last. */
	uint8_t sealed[SEALED_CHUNK_SIZE + 1];
	uint8_t plain[MSE_STREAM_CHUNK_SIZE];
};

static int fill(struct mse_stream_reader *reader, size_t size, struct mse_error_info *err)
{
	while (reader->size < size) {
		ssize_t got = read(reader->fd, reader->sealed + reader->size, size - reader->size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mse_fail_errno(err, "cannot read the bundle");
		if (got == 0)
			return 0;
		reader->size += (size_t)got;
	}
	return 0;
}

int mse_stream_reader_new(int fd, const struct mse_secret *key, struct mse_stream_reader **ret_reader, struct mse_error_info *err)
{
	mse_cleanup(mse_stream_reader_freep) struct mse_stream_reader *reader = calloc(1, sizeof *reader);
	int result = check_key(key, err);

	if (result < 0)
		return result;
	if (reader == NULL)
		return mse_fail_nomem(err);
	reader->fd = fd;
	reader->chain.key = key;
	result = fill(reader, MSE_STREAM_HEADER_SIZE, err);
	if (result < 0)
		return result;
	if (reader->size < MSE_STREAM_HEADER_SIZE || memcmp(reader->sealed, MAGIC, MAGIC_SIZE) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "this is not a sealed mse bundle");
	if (reader->sealed[MAGIC_SIZE] != VERSION) {
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the bundle is of version %u, this release knows version %d", reader->sealed[MAGIC_SIZE], VERSION);
	}
	if (reader->sealed[MAGIC_SIZE + 1] != ALGORITHM_XCHACHA20_POLY1305) {
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the bundle is sealed with algorithm %u, this release knows algorithm %d (XChaCha20-Poly1305)",
			reader->sealed[MAGIC_SIZE + 1], ALGORITHM_XCHACHA20_POLY1305);
	}
	memcpy(reader->chain.header, reader->sealed, MSE_STREAM_HEADER_SIZE);
	reader->size = 0;
	reader->chain.total = MSE_STREAM_HEADER_SIZE;
	*ret_reader = mse_steal(reader);
	return 0;
}

void mse_stream_reader_free(struct mse_stream_reader *reader)
{
	if (reader == NULL)
		return;
	mse_wipe(reader->plain, sizeof reader->plain);
	free(reader);
}

int mse_stream_read(struct mse_stream_reader *reader, const uint8_t **ret_data, size_t *ret_size, struct mse_error_info *err)
{
	uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	unsigned long long plain_size = 0;
	size_t chunk;
	bool last;
	int result;

	*ret_data = reader->plain;
	*ret_size = 0;
	if (reader->ended)
		return 0;
	result = fill(reader, sizeof reader->sealed, err);
	if (result < 0)
		return result;
	last = reader->size <= SEALED_CHUNK_SIZE;
	chunk = last ? reader->size : SEALED_CHUNK_SIZE;
	result = count_sealed(&reader->chain, chunk, err);
	if (result < 0)
		return result;
	make_nonce(&reader->chain, last, nonce);
	/* An empty last chunk is none that a writer makes. */
	if (chunk <= MSE_STREAM_TAG_SIZE ||
		crypto_aead_xchacha20poly1305_ietf_decrypt(reader->plain, &plain_size, NULL, reader->sealed, chunk, reader->chain.header,
			sizeof reader->chain.header, nonce, mse_secret_view(reader->chain.key)) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "the bundle cannot be opened: another key sealed it, or it was changed or cut (at chunk %u)",
			reader->chain.counter);
	reader->chain.counter++;
	reader->size -= chunk;
	if (reader->size > 0)
		reader->sealed[0] = reader->sealed[SEALED_CHUNK_SIZE];
	reader->ended = last;
	*ret_size = (size_t)plain_size;
	return 0;
}
