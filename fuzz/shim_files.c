/* What msed reads of what a shim wrote: a status, and the log (as a file, from any offset). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/view.h"
#include "shim/control.h"
#include "shim/log_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_log(const uint8_t *data, size_t size, int64_t from)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *records = mse_buffer_new((size_t)32 * 1024 * 1024);
	char path[] = "/tmp/mse-fuzz-log-XXXXXX";
	struct mse_log_span span;
	int fd = mkstemp(path);

	if (records == NULL || fd < 0 || mse_fd_write(fd, data, size, NULL) < 0)
		abort();
	if (mse_log_file_read(path, from, 4096, records, &span, NULL) == 0 &&
	    (span.next - span.from != mse_buffer_size(records) || span.from < span.start || span.next > span.end))
		abort();
	close(fd);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mse_view view = mse_view_of(data, size);
	struct mse_shim_status status;
	uint64_t from;

	if (mse_shim_status_parse((const char *)data, size, &status, NULL) == 0) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(MSE_SHIM_LINE_MAX_SIZE);

		if (text == NULL || mse_shim_status_format(&status, text, NULL) < 0)
			abort();
	}
	if (mse_view_be64(&view, &from))
		read_log(view.data, view.size, (int64_t)from);
	return 0;
}
