/* What msed and mse-shim share: configuration, status, log file; and when an enclave is started again. */
#include "../test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/view.h"
#include "shim/config.h"
#include "shim/control.h"
#include "shim/log_file.h"
#include "shim/restarts.h"
#include "shim/weaker.h"
#include "tee/channel.h"

static struct mse_error_info err;
static char dir[64];

static const char *path_in(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/mse-test-files-XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return mse_tree_remove(dir, &err);
}

/* ---- configuration ---- */

static struct mse_shim_config *example(void)
{
	struct mse_shim_config *config = mse_shim_config_new();

	memset(config->instance_id, 'a', 64);
	config->image = strdup("/images/one");
	config->image_cache = strdup("/images/one.cache");
	config->program = strdup("/bin/mse-enclave");
	config->lib_dir = strdup("/lib/mse");
	config->sim_dir = strdup("/data/sim");
	config->uid = config->gid = 200000;
	config->port = 24000;
	config->expires_at = 1900000000;
	config->denied[0] = (struct mse_prefix){ .family = MSE_ADDRESS_IPV4, .address = { 10 }, .length = 8 };
	config->denied[1] = (struct mse_prefix){ .family = MSE_ADDRESS_IPV6, .address = { 0x20, 1 }, .length = 128 };
	config->denied_count = 2;
	return config;
}

static void a_configuration_is_read_as_it_was_written(void **state)
{
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *config = example();
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *again = NULL;
	struct stat status;

	(void)state;
	assert_works(mse_shim_config_write(path_in("shim.json"), config, &err));
	assert_works(mse_shim_config_read(path_in("shim.json"), &again, &err));
	assert_string_equal(again->instance_id, config->instance_id);
	assert_string_equal(again->image, "/images/one");
	assert_string_equal(again->image_cache, "/images/one.cache");
	assert_string_equal(again->program, "/bin/mse-enclave");
	assert_string_equal(again->lib_dir, "/lib/mse");
	assert_string_equal(again->sim_dir, "/data/sim");
	assert_int_equal(again->uid, 200000);
	assert_int_equal(again->gid, 200000);
	assert_int_equal(again->port, 24000);
	assert_int_equal(again->expires_at, 1900000000);
	assert_int_equal(again->log_size, 1024 * 1024);
	assert_int_equal(again->restart_failures, 10);
	assert_int_equal(again->restart_seconds, 60);
	assert_int_equal(again->denied_count, 2);
	assert_memory_equal(again->denied, config->denied, 2 * sizeof config->denied[0]);
	assert_int_equal(stat(path_in("shim.json"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void a_configuration_that_could_not_be_read_is_not_written(void **state)
{
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *config = example();

	(void)state;
	config->port = 0;
	assert_fails(mse_shim_config_write(path_in("bad.json"), config, &err), MSE_ERR_LIMIT, "port");
	config->port = 1;
	config->uid = 0;
	assert_fails(mse_shim_config_write(path_in("bad.json"), config, &err), MSE_ERR_INPUT, "'uid' and 'gid'");
	config->uid = 1;
	config->image[0] = 'x';
	assert_fails(mse_shim_config_write(path_in("bad.json"), config, &err), MSE_ERR_INPUT, "'image' is not an absolute path");
	free(config->image);
	config->image = NULL;
	assert_fails(mse_shim_config_write(path_in("bad.json"), config, &err), MSE_ERR_INPUT, "image");
	assert_false(mse_path_exists(path_in("bad.json")));
}

static void a_configuration_with_more_or_less_is_refused(void **state)
{
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *config = example();
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *again = NULL;
	mse_autojson *root = NULL;

	(void)state;
	assert_works(mse_shim_config_write(path_in("shim.json"), config, &err));
	assert_works(mse_json_read(path_in("shim.json"), 65536, &root, &err));
	assert_works(mse_json_set(root, "more", json_true(), &err));
	assert_works(mse_json_write(path_in("shim.json"), root, 0600, &err));
	assert_fails(mse_shim_config_read(path_in("shim.json"), &again, &err), MSE_ERR_INPUT, "more");
	json_object_del(root, "more");
	json_object_del(root, "sim_dir");
	assert_works(mse_json_write(path_in("shim.json"), root, 0600, &err));
	assert_fails(mse_shim_config_read(path_in("shim.json"), &again, &err), MSE_ERR_INPUT, "sim_dir");
}

/* ---- status ---- */

static void a_status_is_parsed_as_it_was_formatted(void **state)
{
	struct mse_shim_status status = { .state = MSE_SHIM_ON_ERROR, .reason = "it \"broke\"", .provisioned = true, .restarts = 3, .enclave_pid = 77,
		.changed_at = 1900000000, .weaker = MSE_WEAKER_USER | MSE_WEAKER_LIMITS, .metrics = { 1, 2, 3, 4, UINT64_MAX, 6 } }, again;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(MSE_SHIM_LINE_MAX_SIZE);

	(void)state;
	memset(status.measurement, 'b', 64);
	memset(status.instance_id, 'c', 64);
	assert_works(mse_shim_status_format(&status, text, &err));
	assert_null(memchr(mse_buffer_data(text), '\n', mse_buffer_size(text)));
	assert_works(mse_shim_status_parse(mse_buffer_text(text), mse_buffer_size(text), &again, &err));
	assert_int_equal(again.metrics.bytes_out, (1ull << 53) - 1);
	again.metrics.bytes_out = UINT64_MAX;
	assert_string_equal(again.reason, status.reason);
	assert_string_equal(again.measurement, status.measurement);
	assert_works(mse_shim_status_check(&again, status.instance_id, &err));
	again.instance_id[63] = 'd';
	assert_fails(mse_shim_status_check(&again, status.instance_id, &err), MSE_ERR_DENIED, "of instance cccccccccccc");
	assert_int_equal(again.state, status.state);
	assert_true(again.provisioned);
	assert_false(again.final);
	assert_int_equal(again.restarts, 3);
	assert_int_equal(again.enclave_pid, 77);
	assert_int_equal(again.changed_at, 1900000000);
	assert_int_equal(again.weaker, MSE_WEAKER_USER | MSE_WEAKER_LIMITS);
	assert_memory_equal(&again.metrics, &status.metrics, sizeof status.metrics);
}

#define INSTANCE "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static void a_status_of_another_form_is_refused(void **state)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"status\": \"running\"}",
		"{\"instance_id\":\"" INSTANCE "\",\"status\":\"dancing\",\"reason\":null,\"final\":false,\"provisioned\":false,\"restarts\":0,\"enclave_pid\":0,\"measurement\":null,"
		"\"changed_at\":0,\"weaker\":\"\",\"metrics\":{\"requests\":0,\"errors\":0,\"in_flight\":0,\"bytes_in\":0,\"bytes_out\":0,\"log_lost\":0}}",
		"{\"instance_id\":\"" INSTANCE "\",\"status\":\"running\",\"reason\":\"\\u001b[2J\",\"final\":false,\"provisioned\":false,\"restarts\":0,\"enclave_pid\":0,\"measurement\":null,"
		"\"changed_at\":0,\"weaker\":\"\",\"metrics\":{\"requests\":0,\"errors\":0,\"in_flight\":0,\"bytes_in\":0,\"bytes_out\":0,\"log_lost\":0}}",
		"{\"instance_id\":\"" INSTANCE "\",\"status\":\"running\",\"reason\":null,\"final\":false,\"provisioned\":false,\"restarts\":0,\"enclave_pid\":0,\"measurement\":null,"
		"\"changed_at\":0,\"weaker\":\"user walls\",\"metrics\":{\"requests\":0,\"errors\":0,\"in_flight\":0,\"bytes_in\":0,\"bytes_out\":0,"
		"\"log_lost\":0}}" };
	struct mse_shim_status status;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(mse_shim_status_parse(bad[i], strlen(bad[i]), &status, &err), MSE_ERR_INPUT);
}

static void each_thing_that_an_app_is_without_has_one_name(void **state)
{
	const uint32_t all = (1u << MSE_WEAKER_COUNT) - 1;
	char text[MSE_WEAKER_TEXT_SIZE];
	uint32_t weaker = 1;

	(void)state;
	mse_weaker_format(all, text);
	assert_true(strlen(text) < sizeof text - 1);
	for (unsigned i = 0; i < MSE_WEAKER_COUNT; i++) {
		assert_non_null(strstr(text, mse_weaker_name(i)));
		assert_works(mse_weaker_parse(mse_weaker_name(i), &weaker, &err));
		assert_int_equal(weaker, 1u << i);
		assert_true(strlen(mse_weaker_text(i)) > 20);
	}
	assert_works(mse_weaker_parse(text, &weaker, &err));
	assert_int_equal(weaker, all);
	assert_works(mse_weaker_parse("", &weaker, &err));
	assert_int_equal(weaker, 0);
	assert_fails(mse_weaker_parse("use", &weaker, &err), MSE_ERR_INPUT, "'use'");
	assert_fails(mse_weaker_parse("user  home", &weaker, &err), MSE_ERR_INPUT, "nothing that an app");
}

/* ---- log ---- */

static void append(struct mse_log_file *file, unsigned number, size_t size)
{
	mse_autofree uint8_t *record = calloc(1, size);

	for (size_t i = 0; i < size; i++)
		record[i] = (uint8_t)(number + i);
	mse_put_be32(record, number);
	assert_works(mse_log_file_append(file, record, size, &err));
}

/* The numbers of the records in a span, checked for their content; -1 behind them. */
static size_t read_numbers(int64_t from, size_t max_size, struct mse_log_span *span, unsigned *numbers, size_t room)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *records = mse_buffer_new(32u << 20);
	struct mse_view view, record;
	uint32_t size, number = 0;
	size_t count = 0;

	assert_works(mse_log_file_read(path_in("log"), from, max_size, records, span, &err));
	assert_int_equal(span->next - span->from, mse_buffer_size(records));
	view = mse_view_of(mse_buffer_data(records), mse_buffer_size(records));
	while (mse_view_be32(&view, &size)) {
		assert_true(mse_view_take(&view, size, &record));
		assert_int_equal(record.data[size - 1], size > 4 ? (uint8_t)(((uint32_t)record.data[0] << 24 | (uint32_t)record.data[1] << 16 |
			(uint32_t)record.data[2] << 8 | record.data[3]) + size - 1) : record.data[3]);
		mse_view_be32(&record, &number);
		assert_true(count < room);
		numbers[count++] = number;
	}
	assert_int_equal(view.size, 0);
	return count;
}

static void a_log_that_is_not_there_is_empty(void **state)
{
	struct mse_log_span span;
	unsigned numbers[1];

	(void)state;
	assert_int_equal(read_numbers(0, 1000, &span, numbers, 1), 0);
	assert_int_equal(span.end, 0);
	assert_int_equal(read_numbers(-5, 1000, &span, numbers, 1), 0);
}

static void offsets_stay_what_they_are_when_old_records_go(void **state)
{
	mse_cleanup(mse_log_file_freep) struct mse_log_file *file = NULL;
	static uint64_t offsets[4001];
	struct mse_log_span span;
	unsigned numbers[4000];
	struct stat status;
	size_t count;

	(void)state;
	assert_works(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err));
	for (unsigned i = 0; i < 4000; i++) {
		size_t size = 4 + i * 31 % 900;

		append(file, i, size);
		offsets[i + 1] = offsets[i] + 4 + size;
		if (i % 997 == 0) {
			mse_log_file_free(mse_steal(file));
			assert_works(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err));
		}
	}
	assert_int_equal(stat(path_in("log"), &status), 0);
	assert_true(status.st_size <= (off_t)MSE_SHIM_LOG_MIN_SIZE && status.st_size > (off_t)MSE_SHIM_LOG_MIN_SIZE / 3);
	count = read_numbers(0, 16u << 20, &span, numbers, 4000);
	assert_int_equal(numbers[count - 1], 3999);
	assert_int_equal(span.end, offsets[4000]);
	assert_int_equal(span.start, offsets[numbers[0]]);
	assert_int_equal(span.from, span.start);
	/* Record by record, and at each from within the one before it. */
	for (size_t i = 1; i < count; i++) {
		unsigned one;
		unsigned number = numbers[i];

		assert_int_equal(read_numbers((int64_t)offsets[number], 1, &span, &one, 1), 1);
		assert_int_equal(one, number);
		assert_int_equal(span.next, offsets[number + 1]);
		assert_int_equal(read_numbers((int64_t)offsets[number] - 1, 1, &span, &one, 1), 1);
		assert_int_equal(one, number);
	}
	assert_int_equal(read_numbers((int64_t)offsets[4000], 100, &span, numbers, 1), 0);
	assert_int_equal(read_numbers(INT64_MAX, 100, &span, numbers, 1), 0);
	assert_int_equal(read_numbers(-1, 100, &span, numbers, 1), 0);
	assert_int_equal(read_numbers(-(int64_t)(offsets[4000] - offsets[3999]), 100000, &span, numbers, 1), 1);
	assert_int_equal(numbers[0], 3999);
	assert_true(read_numbers(INT64_MIN, 16u << 20, &span, numbers, 4000) == count);
}

static void an_answer_holds_as_many_records_as_fit(void **state)
{
	mse_cleanup(mse_log_file_freep) struct mse_log_file *file = NULL;
	struct mse_log_span span;
	unsigned numbers[10];

	(void)state;
	assert_works(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err));
	for (unsigned i = 0; i < 10; i++)
		append(file, i, 96);
	assert_int_equal(read_numbers(0, 299, &span, numbers, 10), 2);
	assert_int_equal(read_numbers(0, 300, &span, numbers, 10), 3);
	assert_int_equal(span.next, 300);
	assert_int_equal(read_numbers((int64_t)span.next, 10000, &span, numbers, 10), 7);
	assert_int_equal(numbers[0], 3);
	assert_int_equal(span.next, span.end);
}

static void a_torn_record_is_no_part_of_the_log(void **state)
{
	mse_cleanup(mse_log_file_freep) struct mse_log_file *file = NULL;
	struct mse_log_span span;
	unsigned numbers[10];
	int fd;

	(void)state;
	assert_works(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err));
	append(file, 0, 50);
	append(file, 1, 50);
	mse_log_file_free(mse_steal(file));
	fd = open(path_in("log"), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "\0\0\0\62only half of it", 20), 20);
	close(fd);
	assert_int_equal(read_numbers(0, 1000, &span, numbers, 10), 2);
	assert_int_equal(span.end, 108);
	assert_works(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err));
	append(file, 2, 50);
	assert_int_equal(read_numbers(0, 1000, &span, numbers, 10), 3);
	assert_int_equal(numbers[2], 2);
}

static void records_out_of_bounds_and_other_files_are_refused(void **state)
{
	mse_cleanup(mse_log_file_freep) struct mse_log_file *file = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *records = mse_buffer_new(1000);
	static uint8_t large[MSE_LOG_RECORD_MAX_SIZE + 1];
	struct mse_log_span span;
	unsigned number;

	(void)state;
	assert_works(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err));
	assert_fails(mse_log_file_append(file, large, sizeof large, &err), MSE_ERR_LIMIT, "log record");
	assert_fails(mse_log_file_append(file, large, 0, &err), MSE_ERR_LIMIT, "log record");
	assert_int_equal(read_numbers(0, 1000, &span, &number, 1), 0);
	mse_log_file_free(mse_steal(file));
	assert_works(mse_file_write(path_in("log"), "something else entirely", 23, 0600, &err));
	assert_fails(mse_log_file_open(path_in("log"), MSE_SHIM_LOG_MIN_SIZE, &file, &err), MSE_ERR_INPUT, "not a log");
	assert_fails(mse_log_file_read(path_in("log"), 0, 100, records, &span, &err), MSE_ERR_INPUT, "not a log");
}

/* ---- restarts ---- */

static void restarts_come_later_and_later_and_end(void **state)
{
	static const uint64_t delays[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000 };
	struct mse_restarts restarts;
	uint64_t now = 1000, delay;

	(void)state;
	mse_restarts_init(&restarts, 10, 60);
	for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
		assert_true(mse_restarts_next(&restarts, now, 5, &delay));
		assert_int_equal(delay, delays[i]);
		now += delay + 5;
	}
	assert_false(mse_restarts_next(&restarts, now, 5, &delay));
}

static void rare_failures_are_restarted_for_ever_and_at_once_after_a_good_run(void **state)
{
	struct mse_restarts restarts;
	uint64_t now = 0, delay;

	(void)state;
	mse_restarts_init(&restarts, 3, 60);
	for (unsigned i = 0; i < 1000; i++) {
		now += 61000;
		assert_true(mse_restarts_next(&restarts, now, 61000, &delay));
		assert_int_equal(delay, 0);
	}
	assert_true(mse_restarts_next(&restarts, now + 1, 1, &delay));
	assert_false(mse_restarts_next(&restarts, now + 2, 1, &delay));
}

static void one_failure_is_enough_where_one_is_the_limit(void **state)
{
	struct mse_restarts restarts;
	uint64_t delay;

	(void)state;
	mse_restarts_init(&restarts, 1, 60);
	assert_false(mse_restarts_next(&restarts, 5, 5, &delay));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_configuration_is_read_as_it_was_written, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_configuration_that_could_not_be_read_is_not_written, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_configuration_with_more_or_less_is_refused, make_dir, remove_dir),
		cmocka_unit_test(a_status_is_parsed_as_it_was_formatted),
		cmocka_unit_test(a_status_of_another_form_is_refused),
		cmocka_unit_test(each_thing_that_an_app_is_without_has_one_name),
		cmocka_unit_test_setup_teardown(a_log_that_is_not_there_is_empty, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(offsets_stay_what_they_are_when_old_records_go, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_answer_holds_as_many_records_as_fit, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_torn_record_is_no_part_of_the_log, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(records_out_of_bounds_and_other_files_are_refused, make_dir, remove_dir),
		cmocka_unit_test(restarts_come_later_and_later_and_end),
		cmocka_unit_test(rare_failures_are_restarted_for_ever_and_at_once_after_a_good_run),
		cmocka_unit_test(one_failure_is_enough_where_one_is_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
