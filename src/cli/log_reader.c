#include "cli/log_reader.h"

#include <string.h>

#include "base/secret.h"
#include "base/view.h"

static int visit_record(struct mse_log_reader *reader, const struct mse_log_record *record, mse_log_visit *visit, void *context,
	struct mse_error_info *err)
{
	bool same_run = reader->has_run && memcmp(reader->run, record->run, MSE_LOG_RUN_SIZE) == 0;
	int result = 0;

	if (!same_run) {
		result = visit(context, MSE_LOG_NEW_RUN, record, 0, NULL, err);
		if (result == 0 && record->number > 0 && (reader->has_run || reader->expect_beginning))
			result = visit(context, MSE_LOG_MISSING, record, record->number, NULL, err);
	} else if (record->number < reader->next_number) {
		return visit(context, MSE_LOG_OUT_OF_ORDER, record, 0, NULL, err);
	} else if (record->number > reader->next_number) {
		result = visit(context, MSE_LOG_MISSING, record, record->number - reader->next_number, NULL, err);
	} else if (!mse_equal(record->previous, reader->last_hash, MSE_SHA256_SIZE)) {
		result = visit(context, MSE_LOG_BROKEN, record, 0, NULL, err);
	}
	if (result < 0)
		return result;
	reader->has_run = true;
	memcpy(reader->run, record->run, MSE_LOG_RUN_SIZE);
	reader->next_number = record->number + 1;
	memcpy(reader->last_hash, record->hash, MSE_SHA256_SIZE);
	return visit(context, MSE_LOG_RECORD, record, 0, NULL, err);
}

int mse_log_read(struct mse_log_reader *reader, const void *bytes, size_t size, mse_log_visit *visit, void *context, size_t *ret_used,
	struct mse_error_info *err)
{
	struct mse_view view = mse_view_of(bytes, size), sealed;
	int result;

	*ret_used = 0;
	while (view.size > 0) {
		struct mse_log_record record = { 0 };
		uint32_t record_size;

		if (!mse_view_be32(&view, &record_size) || record_size > MSE_LOG_RECORD_MAX_SIZE || !mse_view_take(&view, record_size, &sealed))
			return mse_fail(err, MSE_ERR_INPUT, "the log that the node sent is not a sequence of records at byte %zu", *ret_used);
		result = mse_log_record_open(sealed.data, sealed.size, reader->instance_id, reader->owner, reader->enclave_key, &record, err);
		if (result == MSE_ERR_NOMEM)
			return result;
		if (result < 0)
			result = visit(context, MSE_LOG_UNREADABLE, NULL, 0, err->message, err);
		else
			result = visit_record(reader, &record, visit, context, err);
		mse_log_record_clear(&record);
		if (result < 0)
			return result;
		*ret_used = size - view.size;
	}
	return 0;
}

uint64_t mse_log_missing_at_end(const struct mse_log_reader *reader, const struct mse_log_head *head)
{
	bool same_run = reader->has_run && memcmp(reader->run, head->run, sizeof head->run) == 0;
	uint64_t seen = same_run ? reader->next_number : 0;

	return head->count > seen ? head->count - seen : 0;
}
