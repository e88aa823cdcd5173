/* The log of one app, as its enclave sealed it: `log` in the app's folder. The shim appends, msed reads; neither can open a record.
 *
 *     header   "mse-log\n" (8 bytes), then 64 bits big-endian: the offset of the first record in this file
 *     records  each its size (32 bits big-endian, 1 to MSE_LOG_RECORD_MAX_SIZE) and its bytes
 *
 * Offsets are those of the whole log since the app began, the size fields counted, the header not: they stay what they are when
 * old records go. Records go from the front, whole ones, when the file would pass its limit: what is kept (about
 * half) is written to a new file that replaces the old one at once, so a reader that has the file open reads on in
 * what it opened. A file may end in a torn record, after a crash or while one is being written: it is no part of the log. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

#define MSE_LOG_FILE_HEADER_SIZE ((size_t)16)

/* The writing side. One process at a time: the holder of the folder's lock. */
struct mse_log_file;

/* Opens or creates path (0600) and cuts a torn record off; a file that is not a log is MSE_ERR_INPUT. max_size in bytes, at least
 * twice a record's largest size. */
int mse_log_file_open(const char *path, uint64_t max_size, struct mse_log_file **ret_file, struct mse_error_info *err);
void mse_log_file_free(struct mse_log_file *file);
MSE_DEFINE_CLEANUP(struct mse_log_file, mse_log_file_free)

/* Appends one record of 1 to MSE_LOG_RECORD_MAX_SIZE bytes; not synced. After an error the log is as before. */
int mse_log_file_append(struct mse_log_file *file, const void *record, size_t size, struct mse_error_info *err);

struct mse_log_span {
	uint64_t start; /* the first offset that is still kept */
	uint64_t end;   /* behind the last whole record */
	uint64_t from;  /* where the records that were read begin */
	uint64_t next;  /* behind the last of them: where to read on */
};

/* The reading side, for anybody: appends to `to` whole records with their size fields, from the first that begins at or behind
 * `from`, as many as fit into max_size bytes (at least one, if there is one). A negative `from` counts from the end. A `from` before the
 * start begins at the start, one behind the end gives nothing. A log that is not there is empty. */
int mse_log_file_read(const char *path, int64_t from, size_t max_size, struct mse_buffer *to, struct mse_log_span *ret_span, struct mse_error_info *err);
