#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/attested.h"
#include "cli/client.h"
#include "cli/conf.h"
#include "cli/deploy.h"
#include "cli/log_reader.h"
#include "cli/store.h"

#define FOLLOW_PAUSE_MS 300
#define FOLLOW_STATUS_EVERY 7 /* pauses: the node's own lines are asked for less often than the log */
#define TAIL_BYTES (32 * 1024)
#define TAIL_LINES 20u

/* Where the findings of the reader go. */
struct log_output {
	bool json;
	bool to_terminal;
	bool mid_line;      /* the last text did not end its line */
	json_t *list;       /* --json without --follow: collected; else NULL */
	size_t findings;    /* that speak of missing, broken or unreadable records */
	struct mse_buffer *tail; /* instead of standard output; NULL: standard output */
};

static const char *stream_name(enum mse_log_stream stream)
{
	return stream == MSE_LOG_STDOUT ? "stdout" : stream == MSE_LOG_STDERR ? "stderr" : "enclave";
}

static int put(struct log_output *output, const void *data, size_t size, struct mse_error_info *err)
{
	if (size == 0)
		return 0;
	output->mid_line = ((const char *)data)[size - 1] != '\n';
	if (output->tail != NULL) {
		if (mse_buffer_size(output->tail) + size > TAIL_BYTES)
			mse_buffer_consume(output->tail, mse_buffer_size(output->tail) / 2);
		return size > TAIL_BYTES / 2 ? 0 : mse_buffer_append(output->tail, data, size, err);
	}
	return mse_cli_write(data, size, err);
}

/* An application's output may repeat what strangers sent it: it must not steer the owner's terminal. */
static int put_text(struct log_output *output, const struct mse_buffer *data, struct mse_error_info *err)
{
	size_t size = mse_buffer_size(data);
	mse_autofree char *copy = NULL;

	if (!output->to_terminal)
		return put(output, mse_buffer_data(data), size, err);
	copy = malloc(size + 1);
	if (copy == NULL)
		return mse_fail_nomem(err);
	if (size > 0)
		memcpy(copy, mse_buffer_data(data), size);
	mse_cli_clean(copy, size, "\n\t");
	return put(output, copy, size, err);
}

static int note(struct log_output *output, struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int note(struct log_output *output, struct mse_error_info *err, const char *format, ...)
{
	char line[512];
	va_list args;
	int result = output->mid_line ? put(output, "\n", 1, err) : 0;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (result < 0 || (result = put(output, "--- ", 4, err)) < 0 || (result = put(output, line, strlen(line), err)) < 0)
		return result;
	return put(output, "\n", 1, err);
}

static int visit_text(struct log_output *output, enum mse_log_finding finding, const struct mse_log_record *record, uint64_t count,
	const char *reason, struct mse_error_info *err)
{
	char time[MSE_TIME_TEXT_SIZE], run[9];

	switch (finding) {
	case MSE_LOG_NEW_RUN:
		mse_time_format(time, record->time_ms / 1000);
		mse_hex_encode(run, record->run, 4);
		return note(output, err, "%s run %s", time, run);
	case MSE_LOG_MISSING:
		return note(output, err, "%llu records are MISSING here", (unsigned long long)count);
	case MSE_LOG_BROKEN:
		return note(output, err, "the chain BREAKS here: the record before is not the one that was written before");
	case MSE_LOG_OUT_OF_ORDER:
		return note(output, err, "record %llu is OUT OF ORDER: it was shown before, or comes too late", (unsigned long long)record->number);
	case MSE_LOG_UNREADABLE:
		return note(output, err, "a record is UNREADABLE: %s", reason);
	case MSE_LOG_RECORD:
		break;
	}
	if (record->stream == MSE_LOG_ENCLAVE) {
		int result = output->mid_line ? put(output, "\n", 1, err) : 0;

		if (result < 0 || (result = put(output, "[enclave] ", 10, err)) < 0)
			return result;
	}
	return put_text(output, record->data, err);
}

static json_t *text_json(const struct mse_buffer *data)
{
	return mse_utf8_is_valid((const char *)mse_buffer_data(data), mse_buffer_size(data)) ? json_stringn(mse_buffer_text(data), mse_buffer_size(data)) : NULL;
}

static int visit_json(struct log_output *output, enum mse_log_finding finding, const struct mse_log_record *record, uint64_t count,
	const char *reason, struct mse_error_info *err)
{
	static const char *const names[] = { [MSE_LOG_RECORD] = "record", [MSE_LOG_MISSING] = "missing", [MSE_LOG_BROKEN] = "broken-chain",
		[MSE_LOG_OUT_OF_ORDER] = "out-of-order", [MSE_LOG_UNREADABLE] = "unreadable", [MSE_LOG_NEW_RUN] = "run" };
	mse_autojson *json = json_pack("{s:s}", "kind", names[finding]);
	int result;

	if (json == NULL)
		return mse_fail_nomem(err);
	if (record != NULL && ((result = mse_json_set_hex(json, "run", record->run, MSE_LOG_RUN_SIZE, err)) < 0 ||
			       (result = mse_json_set(json, "number", json_integer((json_int_t)record->number), err)) < 0 ||
			       (result = mse_json_set(json, "time_ms", json_integer(record->time_ms), err)) < 0))
		return result;
	if (finding == MSE_LOG_MISSING && (result = mse_json_set(json, "count", json_integer((json_int_t)count), err)) < 0)
		return result;
	if (reason != NULL && (result = mse_json_set(json, "reason", json_string(reason), err)) < 0)
		return result;
	if (finding == MSE_LOG_RECORD) {
		json_t *text = text_json(record->data);

		if ((result = mse_json_set(json, "stream", json_string(stream_name(record->stream)), err)) < 0)
			return result;
		/* What is not UTF-8 cannot be a JSON string. */
		result = text != NULL ? mse_json_set(json, "text", text, err)
				      : mse_json_set_base64(json, "data", mse_buffer_data(record->data), mse_buffer_size(record->data), err);
		if (result < 0)
			return result;
	}
	if (output->list != NULL)
		return json_array_append(output->list, json) < 0 ? mse_fail_nomem(err) : 0;
	return mse_cli_write_json(json, JSON_COMPACT, err);
}

static int visit(void *context, enum mse_log_finding finding, const struct mse_log_record *record, uint64_t count, const char *reason,
	struct mse_error_info *err)
{
	struct log_output *output = context;

	if (finding != MSE_LOG_RECORD && finding != MSE_LOG_NEW_RUN)
		output->findings++;
	return output->json ? visit_json(output, finding, record, count, reason, err) : visit_text(output, finding, record, count, reason, err);
}

/* One answer of the node. *offset moves on; *ret_more says whether there is more right now. */
static int read_part(struct mse_client *node, const char *id, struct mse_log_reader *reader, struct log_output *output, int64_t *offset,
	bool *ret_more, struct mse_error_info *err)
{
	struct mse_log_part part;
	size_t used = 0;
	int result = mse_client_logs(node, id, *offset, &part, err);

	if (result == 0)
		result = mse_log_read(reader, mse_buffer_data(part.bytes), mse_buffer_size(part.bytes), visit, output, &used, err);
	if (result == 0) {
		int64_t next = part.next >= 0 ? part.next : (*offset > 0 ? *offset : 0) + (int64_t)used;

		/* A node that sends us back, or keeps us where we are, would have us read for ever. */
		if (*offset >= 0 && (next < *offset || (used > 0 && next == *offset)))
			result = mse_fail(err, MSE_ERR_INPUT, "the node's log does not go on: from %lld to %lld", (long long)*offset, (long long)next);
		*ret_more = used > 0 && next < part.end;
		*offset = next;
	}
	mse_buffer_free(part.bytes);
	return result;
}

/* Nothing is written any more once an app has stopped; then *ret_reason, the caller frees it. */
static int ask_whether_stopped(struct mse_client *node, const char *id, char **ret_reason, struct mse_error_info *err)
{
	mse_autojson *app = NULL;
	const char *status;
	int result = mse_client_find_app(node, id, NULL, &app, err);

	if (result < 0)
		return result;
	status = json_string_value(json_object_get(app, "status"));
	return status != NULL && strcmp(status, "stopped") == 0 ? mse_cli_text_of(app, "reason", ret_reason, err) : 0;
}

static int follow(struct mse_cli *cli, struct mse_client *node, const char *id, struct mse_log_reader *reader, struct log_output *output,
	struct mse_error_info *err)
{
	bool goes_on = mse_cli_option(cli, MSE_OPT_FOLLOW) != NULL, more = true;
	mse_autofree char *stopped = NULL;
	int64_t offset = 0;
	int result;

	reader->expect_beginning = true;
	for (unsigned pauses = 0;; pauses++) {
		do
			result = read_part(node, id, reader, output, &offset, &more, err);
		while (result == 0 && more);
		if (result < 0)
			break;
		if ((!goes_on || stopped != NULL) && output->mid_line && (result = put(output, "\n", 1, err)) < 0)
			break;
		if (stopped != NULL)
			fprintf(stderr, "the app has stopped (%s): its log ends here\n", stopped);
		else if (!goes_on && offset == 0 && !cli->json)
			fputs("the log is empty: neither the application nor its enclave has written anything\n", stderr);
		if (!goes_on || stopped != NULL)
			return 0;
		if (pauses % FOLLOW_STATUS_EVERY == 0 && (result = ask_whether_stopped(node, id, &stopped, err)) < 0)
			break;
		/* What was written until then is still to be read. */
		if (stopped == NULL && (result = mse_cli_sleep(FOLLOW_PAUSE_MS, err)) < 0)
			break;
	}
	/* Ctrl-C is how following ends. */
	return goes_on && mse_interrupted() ? 0 : result;
}

/* A node that keeps back the end of a log is found out by asking the enclave itself, before what the node has is read. Of an
 * app that does not answer, the end cannot be checked, which is said. */
static bool ask_for_head(const struct mse_stored_app *stored, const struct mse_owner *owner, struct mse_log_head *ret_head)
{
	mse_cleanup(mse_attested_freep) struct mse_attested *attested = NULL;
	struct mse_error_info err;

	if (stored->instance_url == NULL || mse_attested_open(stored->instance_url, "127.0.0.1", &attested, &err) < 0)
		return false;
	if (mse_attested_log_head(attested, stored->id, &owner->log, stored->box_key, ret_head, &err) == 0)
		return true;
	fprintf(stderr, "whether the node keeps back the log's end cannot be checked: %s\n", err.message);
	return false;
}

static int check_end(const struct mse_log_reader *reader, const struct mse_log_head *head, struct log_output *output, struct mse_error_info *err)
{
	uint64_t missing = mse_log_missing_at_end(reader, head);

	return missing == 0 ? 0 : visit(output, MSE_LOG_MISSING, NULL, missing, NULL, err);
}

int mse_cmd_logs(struct mse_cli *cli, struct mse_error_info *err)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;
	mse_cleanup(mse_stored_app_freep) struct mse_stored_app *stored = NULL;
	mse_autojson *app = NULL, *list = NULL;
	struct mse_log_reader reader = { 0 };
	struct log_output output = { .json = cli->json, .to_terminal = isatty(STDOUT_FILENO) };
	struct mse_owner owner = { 0 };
	bool simulated;
	struct mse_log_head head;
	const char *id, *status;
	bool has_head = false;
	int result;

	if ((result = mse_client_open_known(cli, &node, err)) < 0 ||
	    (result = mse_client_find_app(node, cli->args.operands[0], mse_cli_option(cli, MSE_OPT_PROJECT), &app, err)) < 0)
		return result;
	id = json_string_value(json_object_get(app, "id"));
	if ((result = mse_stored_load(cli, id, &stored, err)) < 0)
		return mse_context(err, "the log of '%.64s' can be read only where it was deployed from", cli->args.operands[0]);
	if ((result = mse_owner_load_existing(cli, &owner, err)) < 0)
		return result;
	simulated = json_is_true(json_object_get(stored->json, "simulated"));
	if (simulated)
		fputs("SIMULATED: the operator of this machine can read everything in this app, and this log.\n", stderr);
	memcpy(reader.instance_id, stored->id, sizeof reader.instance_id);
	memcpy(reader.enclave_key, stored->box_key, sizeof reader.enclave_key);
	reader.owner = &owner.log;
	status = json_string_value(json_object_get(app, "status"));
	if (status != NULL && strcmp(status, "stopped") != 0 && strcmp(status, "on_error") != 0 && mse_cli_option(cli, MSE_OPT_FOLLOW) == NULL)
		has_head = ask_for_head(stored, &owner, &head);
	if (cli->json && mse_cli_option(cli, MSE_OPT_FOLLOW) == NULL && (output.list = list = json_array()) == NULL)
		result = mse_fail_nomem(err);
	else
		result = follow(cli, node, id, &reader, &output, err);
	if (result == 0 && has_head)
		result = check_end(&reader, &head, &output, err);
	mse_owner_clear(&owner);
	if (result == 0 && list != NULL) {
		mse_autojson *answer = json_pack("{s:s, s:b, s:O, s:b}", "id", id, "simulated", simulated ? 1 : 0, "records", list, "complete",
			output.findings == 0 ? 1 : 0);

		result = answer == NULL ? mse_fail_nomem(err) : mse_cli_answer(cli, answer, err);
	}
	if (output.mid_line && result == 0)
		result = mse_cli_write("\n", 1, err);
	cli->answered = cli->answered || (cli->json && list == NULL);
	return result;
}

void mse_logs_show_tail(struct mse_cli *cli, struct mse_client *node, const char *id, const uint8_t enclave_key[static MSE_BOX_KEY_SIZE],
	const struct mse_owner *owner)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *tail = mse_buffer_new(TAIL_BYTES);
	struct mse_log_reader reader = { .owner = &owner->log };
	struct log_output output = { .to_terminal = true, .tail = tail };
	struct mse_error_info ignored;
	int64_t offset = -TAIL_BYTES;
	bool more = true;
	const char *text;
	size_t lines = 0, at;

	if (tail == NULL || mse_hex_decode(reader.instance_id, sizeof reader.instance_id, id, "the id", &ignored) < 0)
		return;
	memcpy(reader.enclave_key, enclave_key, MSE_BOX_KEY_SIZE);
	while (more)
		if (read_part(node, id, &reader, &output, &offset, &more, &ignored) < 0)
			break;
	at = mse_buffer_size(tail);
	if (at == 0)
		return;
	text = mse_buffer_text(tail);
	while (at > 0 && (text[at - 1] != '\n' || at == mse_buffer_size(tail) || ++lines < TAIL_LINES))
		at--;
	mse_cli_say(cli, "the end of the app's log, decrypted:\n%s", text + at);
}
