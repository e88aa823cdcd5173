/* The sealed stream of bundle.h, written and read chunk by chunk in bounded memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"

#define MSE_STREAM_CHUNK_SIZE ((size_t)64 * 1024)
#define MSE_STREAM_HEADER_SIZE 32
#define MSE_STREAM_TAG_SIZE 16

struct mse_stream_writer;

/* Writes the header to fd. The key (MSE_BUNDLE_KEY_SIZE bytes, never used for another stream) must outlive the writer. */
int mse_stream_writer_new(int fd, const struct mse_secret *key, struct mse_stream_writer **ret_writer, struct mse_error_info *err);
void mse_stream_writer_free(struct mse_stream_writer *writer);
MSE_DEFINE_CLEANUP(struct mse_stream_writer, mse_stream_writer_free)
int mse_stream_write(struct mse_stream_writer *writer, const void *data, size_t size, struct mse_error_info *err);
/* Seals the last chunk, which must not be empty: something was written. sha256 and size are of all that went to fd. */
int mse_stream_finish(struct mse_stream_writer *writer, uint8_t ret_sha256[static 32], uint64_t *ret_size, struct mse_error_info *err);

struct mse_stream_reader;

/* Reads and checks the header. The key must outlive the reader. */
int mse_stream_reader_new(int fd, const struct mse_secret *key, struct mse_stream_reader **ret_reader, struct mse_error_info *err);
void mse_stream_reader_free(struct mse_stream_reader *reader);
MSE_DEFINE_CLEANUP(struct mse_stream_reader, mse_stream_reader_free)
/* The next chunk's content, valid until the next call; 0 bytes once the last chunk has been given out. Nothing unauthenticated is given out. */
int mse_stream_read(struct mse_stream_reader *reader, const uint8_t **ret_data, size_t *ret_size, struct mse_error_info *err);
