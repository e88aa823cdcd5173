#include "shim/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/view.h"
#include "shim/config.h"
#include "tee/channel.h"

#define MAGIC "mse-log\n"
#define MAGIC_SIZE 8u
#define SIZE_FIELD 4u
/* What a file can reach, whatever limit it was written under. */
#define FILE_MAX_SIZE ((size_t)MSE_SHIM_LOG_MAX_SIZE + MSE_LOG_FILE_HEADER_SIZE)

struct mse_log_file {
	char *path;
	int fd;
	uint64_t max_size;
	uint64_t start; /* the log's offset of the first record in the file */
	uint64_t size;  /* of the file, header included */
};

/* A whole file in memory: its first offset, and its whole records. */
struct content {
	uint8_t *data;
	uint64_t start;
	const uint8_t *records;
	size_t size;
};

/* The size of the record at the front with its size field, or 0 when what is there is not a whole record. */
static size_t record_size(struct mse_view rest)
{
	struct mse_view record;
	uint32_t size;

	if (!mse_view_be32(&rest, &size) || size == 0 || size > MSE_LOG_RECORD_MAX_SIZE || !mse_view_take(&rest, size, &record))
		return 0;
	return SIZE_FIELD + size;
}

/* The size of all whole records at the front. */
static size_t whole_records(struct mse_view rest)
{
	struct mse_view record;
	size_t whole = 0, size;

	while ((size = record_size(rest)) > 0) {
		mse_view_take(&rest, size, &record);
		whole += size;
	}
	return whole;
}

static int content_read(const char *path, struct content *ret_content, struct mse_error_info *err)
{
	mse_autofree uint8_t *data = NULL;
	struct mse_view view, magic;
	uint64_t start;
	size_t size;
	int result = mse_file_read(path, FILE_MAX_SIZE, &data, &size, err);

	if (result < 0)
		return result;
	view = mse_view_of(data, size);
	if (!mse_view_take(&view, MAGIC_SIZE, &magic) || !mse_view_equals_text(magic, MAGIC) || !mse_view_be64(&view, &start) || start > INT64_MAX)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a log of sealed records", path);
	ret_content->start = start;
	ret_content->records = view.data;
	ret_content->size = whole_records(view);
	ret_content->data = mse_steal(data);
	return 0;
}

static void encode_header(uint8_t header[static MSE_LOG_FILE_HEADER_SIZE], uint64_t start)
{
	memcpy(header, MAGIC, MAGIC_SIZE);
	mse_put_be64(header + MAGIC_SIZE, start);
}

/* O_NONBLOCK: what was a log when it was read may be a fifo by now. */
static int open_to_append(const char *path, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file", path);
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

void mse_log_file_free(struct mse_log_file *file)
{
	if (file == NULL)
		return;
	mse_close(file->fd);
	free(file->path);
	free(file);
}

/* Replaces the file by one with these records, and appends to that from now on. */
static int replace(struct mse_log_file *file, uint64_t start, const uint8_t *records, size_t size, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *whole = mse_buffer_new(FILE_MAX_SIZE);
	uint8_t header[MSE_LOG_FILE_HEADER_SIZE];
	mse_autoclose int fd = -1;
	int result;

	if (whole == NULL)
		return mse_fail_nomem(err);
	encode_header(header, start);
	if ((result = mse_buffer_append(whole, header, sizeof header, err)) < 0 || (result = mse_buffer_append(whole, records, size, err)) < 0 ||
	    (result = mse_file_write(file->path, mse_buffer_data(whole), mse_buffer_size(whole), 0600, err)) < 0 ||
	    (result = open_to_append(file->path, &fd, err)) < 0)
		return result;
	mse_close(file->fd);
	file->fd = mse_steal_fd(&fd);
	file->start = start;
	file->size = MSE_LOG_FILE_HEADER_SIZE + size;
	return 0;
}

/* Drops records from the front until at most keep bytes of them are left. */
static int shorten(struct mse_log_file *file, uint64_t keep, struct mse_error_info *err)
{
	struct content content = { 0 };
	mse_autofree uint8_t *data = NULL;
	struct mse_view rest, record;
	int result = content_read(file->path, &content, err);

	if (result < 0)
		return result;
	data = content.data;
	rest = mse_view_of(content.records, content.size);
	while (rest.size > keep)
		mse_view_take(&rest, record_size(rest), &record);
	return replace(file, content.start + (content.size - rest.size), rest.data, rest.size, err);
}

int mse_log_file_open(const char *path, uint64_t max_size, struct mse_log_file **ret_file, struct mse_error_info *err)
{
	mse_cleanup(mse_log_file_freep) struct mse_log_file *file = calloc(1, sizeof *file);
	struct content content = { 0 };
	mse_autofree uint8_t *data = NULL;
	int result;

	if (file == NULL)
		return mse_fail_nomem(err);
	file->fd = -1;
	file->max_size = max_size;
	if (max_size < 2 * (SIZE_FIELD + MSE_LOG_RECORD_MAX_SIZE) + MSE_LOG_FILE_HEADER_SIZE || max_size > MSE_SHIM_LOG_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "a log cannot be kept to %llu bytes", (unsigned long long)max_size);
	if ((result = mse_strdup(path, &file->path, err)) < 0)
		return result;
	result = content_read(path, &content, err);
	data = content.data;
	if (result == MSE_ERR_NOT_FOUND)
		result = replace(file, 0, NULL, 0, err);
	else if (result == 0) {
		file->start = content.start;
		file->size = MSE_LOG_FILE_HEADER_SIZE + content.size;
		result = open_to_append(path, &file->fd, err);
		if (result == 0 && ftruncate(file->fd, (off_t)file->size) < 0)
			result = mse_fail_errno(err, "cannot write log '%s'", path);
	}
	if (result < 0)
		return result;
	*ret_file = mse_steal(file);
	return 0;
}

int mse_log_file_append(struct mse_log_file *file, const void *record, size_t size, struct mse_error_info *err)
{
	uint8_t whole[SIZE_FIELD + MSE_LOG_RECORD_MAX_SIZE];
	int result;

	if (size == 0 || size > MSE_LOG_RECORD_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "a log record of %zu bytes, allowed are 1 to %zu", size, MSE_LOG_RECORD_MAX_SIZE);
	if (file->size + SIZE_FIELD + size > file->max_size && (result = shorten(file, file->max_size / 2, err)) < 0)
		return result;
	mse_put_be32(whole, (uint32_t)size);
	memcpy(whole + SIZE_FIELD, record, size);
	result = mse_fd_write(file->fd, whole, SIZE_FIELD + size, err);
	if (result < 0) {
		/* A torn record would hide all that come after it. */
		if (ftruncate(file->fd, (off_t)file->size) < 0)
			return mse_fail_errno(err, "cannot take back half a record of '%s'", file->path);
		return mse_context(err, "cannot append to '%s'", file->path);
	}
	file->size += SIZE_FIELD + size;
	return 0;
}

/* Where reading begins: at the first record that does not begin before `from`. */
static struct mse_view seek(const struct content *content, int64_t from)
{
	struct mse_view rest = mse_view_of(content->records, content->size), record;
	uint64_t end = content->start + content->size, at = content->start, wanted;

	if (from >= 0)
		wanted = (uint64_t)from;
	else {
		uint64_t back = (uint64_t)0 - (uint64_t)from;

		wanted = back > end ? 0 : end - back;
	}
	while (rest.size > 0 && at < wanted) {
		size_t size = record_size(rest);

		mse_view_take(&rest, size, &record);
		at += size;
	}
	return rest;
}

int mse_log_file_read(const char *path, int64_t from, size_t max_size, struct mse_buffer *to, struct mse_log_span *ret_span, struct mse_error_info *err)
{
	struct content content = { 0 };
	mse_autofree uint8_t *data = NULL;
	struct mse_view rest, record;
	size_t taken = 0, size;
	int result = content_read(path, &content, err);

	data = content.data;
	if (result == MSE_ERR_NOT_FOUND) {
		*ret_span = (struct mse_log_span){ 0 };
		return 0;
	}
	if (result < 0)
		return result;
	rest = seek(&content, from);
	ret_span->start = content.start;
	ret_span->end = content.start + content.size;
	ret_span->from = ret_span->end - rest.size;
	while ((size = record_size(rest)) > 0 && (taken == 0 || size <= max_size - taken)) {
		mse_view_take(&rest, size, &record);
		if ((result = mse_buffer_append(to, record.data, record.size, err)) < 0)
			return result;
		taken += size;
		if (taken >= max_size)
			break;
	}
	ret_span->next = ret_span->from + taken;
	return 0;
}
