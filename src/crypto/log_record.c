#include "crypto/log_record.h"

#include <sodium.h>
#include <string.h>

#include "base/view.h"
#include "crypto/hash.h"

#define RECORD_VERSION 1
#define TAG "mse-log-v1"
#define HEAD_TAG "mse-log-head-v1"
#define FIELD_COUNT 7

void mse_log_chain_begin(struct mse_log_chain *chain, const uint8_t instance_id[static 32])
{
	memset(chain, 0, sizeof *chain);
	memcpy(chain->instance_id, instance_id, sizeof chain->instance_id);
	randombytes_buf(chain->run, sizeof chain->run);
}

int mse_log_record_seal(struct mse_log_chain *chain, const struct mse_box_key *enclave, const uint8_t log_key[static MSE_BOX_KEY_SIZE],
	int64_t time_ms, enum mse_log_stream stream, const void *data, size_t size, struct mse_buffer *to, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *inside = NULL;
	size_t start = mse_buffer_size(to);
	uint8_t number[8], time[8], kind = (uint8_t)stream, version = RECORD_VERSION;
	const struct mse_view fields[FIELD_COUNT] = {
		mse_view_of(chain->instance_id, sizeof chain->instance_id),
		mse_view_of(chain->run, sizeof chain->run),
		mse_view_of(number, sizeof number),
		mse_view_of(chain->previous, sizeof chain->previous),
		mse_view_of(time, sizeof time),
		mse_view_of(&kind, 1),
		mse_view_of(data, size),
	};
	int result;

	if (size > MSE_LOG_DATA_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "a log record of %zu bytes, the limit is %zu", size, MSE_LOG_DATA_MAX_SIZE);
	mse_put_be64(number, chain->number);
	mse_put_be64(time, (uint64_t)time_ms);
	if ((result = mse_fields_encode(TAG, fields, FIELD_COUNT, &inside, err)) < 0 || (result = mse_buffer_append(to, &version, 1, err)) < 0 ||
	    (result = mse_buffer_append(to, chain->run, sizeof chain->run, err)) < 0 ||
	    (result = mse_buffer_append(to, number, sizeof number, err)) < 0 ||
	    (result = mse_box_seal(enclave, log_key, mse_buffer_data(inside), mse_buffer_size(inside), to, err)) < 0)
		return result;
	result = mse_sha256(mse_buffer_data(to) + start, mse_buffer_size(to) - start, chain->previous, err);
	chain->number++;
	return result;
}

void mse_log_record_clear(struct mse_log_record *record)
{
	mse_buffer_free(mse_steal(record->data));
}

/* Takes one field, and requires its size where size is not SIZE_MAX. */
static bool take_field(struct mse_view *view, size_t size, struct mse_view *ret_field)
{
	uint32_t found;

	return mse_view_be32(view, &found) && (size == SIZE_MAX || found == size) && mse_view_take(view, found, ret_field);
}

static int read_inside(const struct mse_buffer *inside, const uint8_t *instance_id, struct mse_log_record *record, struct mse_error_info *err)
{
	static const size_t sizes[FIELD_COUNT] = { 32, MSE_LOG_RUN_SIZE, 8, MSE_SHA256_SIZE, 8, 1, SIZE_MAX };
	struct mse_view view = mse_view_of(mse_buffer_data(inside), mse_buffer_size(inside)), tag, fields[FIELD_COUNT];
	uint64_t number, time;

	if (!take_field(&view, SIZE_MAX, &tag) || !mse_view_equals_text(tag, TAG))
		return mse_fail(err, MSE_ERR_INPUT, "a sealed box that is not a log record");
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (!take_field(&view, sizes[i], &fields[i]))
			return mse_fail(err, MSE_ERR_INPUT, "a malformed log record");
	mse_view_be64(&fields[2], &number);
	mse_view_be64(&fields[4], &time);
	if (view.size != 0 || memcmp(fields[0].data, instance_id, 32) != 0 || memcmp(fields[1].data, record->run, MSE_LOG_RUN_SIZE) != 0 ||
	    number != record->number)
		return mse_fail(err, MSE_ERR_INPUT, "a log record of another instance, run or number than its head says");
	if (fields[5].data[0] < MSE_LOG_STDOUT || fields[5].data[0] > MSE_LOG_ENCLAVE || fields[6].size > MSE_LOG_DATA_MAX_SIZE)
		return mse_fail(err, MSE_ERR_INPUT, "a malformed log record");
	memcpy(record->previous, fields[3].data, sizeof record->previous);
	record->time_ms = (int64_t)time;
	record->stream = (enum mse_log_stream)fields[5].data[0];
	record->data = mse_buffer_new(MSE_LOG_DATA_MAX_SIZE);
	if (record->data == NULL)
		return mse_fail_nomem(err);
	return mse_buffer_append(record->data, fields[6].data, fields[6].size, err);
}

int mse_log_record_open(const void *record, size_t size, const uint8_t instance_id[static 32], const struct mse_box_key *owner,
	const uint8_t enclave_key[static MSE_BOX_KEY_SIZE], struct mse_log_record *ret_record, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *inside = mse_buffer_new(2 * MSE_LOG_DATA_MAX_SIZE);
	struct mse_view view = mse_view_of(record, size);
	uint8_t version;
	int result;

	memset(ret_record, 0, sizeof *ret_record);
	if (inside == NULL)
		return mse_fail_nomem(err);
	if (!mse_view_u8(&view, &version) || version != RECORD_VERSION || !mse_view_copy(&view, ret_record->run, MSE_LOG_RUN_SIZE) ||
	    !mse_view_be64(&view, &ret_record->number))
		return mse_fail(err, MSE_ERR_INPUT, "not a log record of version %d", RECORD_VERSION);
	if ((result = mse_sha256(record, size, ret_record->hash, err)) < 0 ||
	    (result = mse_box_open(owner, enclave_key, view.data, view.size, inside, err)) < 0)
		return result;
	result = read_inside(inside, instance_id, ret_record, err);
	if (result < 0)
		mse_log_record_clear(ret_record);
	return result;
}

#define HEAD_FIELD_COUNT 5

int mse_log_head_seal(const struct mse_log_chain *chain, const struct mse_box_key *enclave, const uint8_t log_key[static MSE_BOX_KEY_SIZE],
	const uint8_t nonce[static MSE_LOG_NONCE_SIZE], struct mse_buffer *to, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *inside = NULL;
	uint8_t count[8];
	const struct mse_view fields[HEAD_FIELD_COUNT] = {
		mse_view_of(nonce, MSE_LOG_NONCE_SIZE),
		mse_view_of(chain->instance_id, sizeof chain->instance_id),
		mse_view_of(chain->run, sizeof chain->run),
		mse_view_of(count, sizeof count),
		mse_view_of(chain->previous, sizeof chain->previous),
	};
	int result;

	mse_put_be64(count, chain->number);
	result = mse_fields_encode(HEAD_TAG, fields, HEAD_FIELD_COUNT, &inside, err);
	return result < 0 ? result : mse_box_seal(enclave, log_key, mse_buffer_data(inside), mse_buffer_size(inside), to, err);
}

int mse_log_head_open(const void *box, size_t size, const uint8_t instance_id[static 32], const uint8_t nonce[static MSE_LOG_NONCE_SIZE],
	const struct mse_box_key *owner, const uint8_t enclave_key[static MSE_BOX_KEY_SIZE], struct mse_log_head *ret_head, struct mse_error_info *err)
{
	static const size_t sizes[HEAD_FIELD_COUNT] = { MSE_LOG_NONCE_SIZE, 32, MSE_LOG_RUN_SIZE, 8, MSE_SHA256_SIZE };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *inside = mse_buffer_new(MSE_LOG_HEAD_MAX_SIZE);
	struct mse_view view, tag, fields[HEAD_FIELD_COUNT];
	int result;

	if (inside == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_box_open(owner, enclave_key, box, size, inside, err)) < 0)
		return result;
	view = mse_view_of(mse_buffer_data(inside), mse_buffer_size(inside));
	if (!take_field(&view, SIZE_MAX, &tag) || !mse_view_equals_text(tag, HEAD_TAG))
		return mse_fail(err, MSE_ERR_INPUT, "a sealed box that is not the head of a log");
	for (size_t i = 0; i < HEAD_FIELD_COUNT; i++)
		if (!take_field(&view, sizes[i], &fields[i]))
			return mse_fail(err, MSE_ERR_INPUT, "a malformed head of a log");
	if (view.size != 0 || memcmp(fields[0].data, nonce, MSE_LOG_NONCE_SIZE) != 0 || memcmp(fields[1].data, instance_id, 32) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "the head of a log that answers another question, or is another instance's");
	memcpy(ret_head->run, fields[2].data, sizeof ret_head->run);
	mse_view_be64(&fields[3], &ret_head->count);
	memcpy(ret_head->last, fields[4].data, sizeof ret_head->last);
	return 0;
}
