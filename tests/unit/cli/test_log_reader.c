#include "tests.h"

#include "base/view.h"
#include "cli/log_reader.h"

static struct mse_error_info err;

struct scene {
	struct mse_box_key enclave, owner;
	struct mse_log_chain chain;
	struct mse_buffer *records[8];
	struct mse_log_reader reader;
	char seen[512]; /* what the visitor was told, in short */
};

static int set_up(void **state)
{
	static const uint8_t instance_id[32] = { 9 };
	struct scene *scene = calloc(1, sizeof *scene);

	assert_works(mse_box_key_generate(&scene->enclave, &err));
	assert_works(mse_box_key_generate(&scene->owner, &err));
	mse_log_chain_begin(&scene->chain, instance_id);
	for (size_t i = 0; i < 8; i++) {
		char text[16];

		if (i == 5)
			mse_log_chain_begin(&scene->chain, instance_id);
		snprintf(text, sizeof text, "line%zu", i);
		scene->records[i] = mse_buffer_new(4096);
		assert_works(mse_log_record_seal(&scene->chain, &scene->enclave, scene->owner.public_key, 1000, MSE_LOG_STDOUT, text, strlen(text),
			scene->records[i], &err));
	}
	memcpy(scene->reader.instance_id, instance_id, 32);
	memcpy(scene->reader.enclave_key, scene->enclave.public_key, 32);
	scene->reader.owner = &scene->owner;
	scene->reader.expect_beginning = true;
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	for (size_t i = 0; i < 8; i++)
		mse_buffer_free(scene->records[i]);
	mse_box_key_clear(&scene->enclave);
	mse_box_key_clear(&scene->owner);
	free(scene);
	return 0;
}

static int note(void *context, enum mse_log_finding finding, const struct mse_log_record *record, uint64_t count, const char *reason,
	struct mse_error_info *ignored)
{
	struct scene *scene = context;
	size_t used = strlen(scene->seen);

	(void)ignored;
	switch (finding) {
	case MSE_LOG_RECORD:
		snprintf(scene->seen + used, sizeof scene->seen - used, "%s ", mse_buffer_text(record->data));
		break;
	case MSE_LOG_MISSING:
		snprintf(scene->seen + used, sizeof scene->seen - used, "missing:%llu ", (unsigned long long)count);
		break;
	case MSE_LOG_BROKEN:
		snprintf(scene->seen + used, sizeof scene->seen - used, "broken ");
		break;
	case MSE_LOG_OUT_OF_ORDER:
		snprintf(scene->seen + used, sizeof scene->seen - used, "order ");
		break;
	case MSE_LOG_UNREADABLE:
		assert_non_null(reason);
		assert_null(record);
		snprintf(scene->seen + used, sizeof scene->seen - used, "unreadable ");
		break;
	case MSE_LOG_NEW_RUN:
		snprintf(scene->seen + used, sizeof scene->seen - used, "run ");
		break;
	}
	return 0;
}

/* Reads the records with these numbers, in this order. */
static int read_some(struct scene *scene, const char *which, size_t cut)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *part = mse_buffer_new(65536);
	size_t used;

	for (; *which != 0; which++) {
		const struct mse_buffer *record = scene->records[*which - '0'];
		uint8_t size[4];

		mse_put_be32(size, (uint32_t)mse_buffer_size(record));
		assert_works(mse_buffer_append(part, size, 4, &err));
		assert_works(mse_buffer_append(part, mse_buffer_data(record), mse_buffer_size(record), &err));
	}
	return mse_log_read(&scene->reader, mse_buffer_data(part), mse_buffer_size(part) - cut, note, scene, &used, &err);
}

static void a_whole_log_is_read_run_by_run(void **state)
{
	struct scene *scene = *state;

	assert_works(read_some(scene, "012", 0));
	assert_works(read_some(scene, "34567", 0));
	assert_string_equal(scene->seen, "run line0 line1 line2 line3 line4 run line5 line6 line7 ");
}

static void missing_records_are_counted(void **state)
{
	struct scene *scene = *state;

	assert_works(read_some(scene, "0347", 0));
	assert_string_equal(scene->seen, "run line0 missing:2 line3 line4 run missing:2 line7 ");
}

static void a_cut_beginning_is_told_only_where_a_beginning_is_expected(void **state)
{
	struct scene *scene = *state;

	scene->reader.expect_beginning = false;
	assert_works(read_some(scene, "23", 0));
	assert_string_equal(scene->seen, "run line2 line3 ");
}

static void repeated_records_are_out_of_order(void **state)
{
	struct scene *scene = *state;

	assert_works(read_some(scene, "01012", 0));
	assert_string_equal(scene->seen, "run line0 line1 order order line2 ");
}

static void a_chain_that_does_not_follow_is_broken(void **state)
{
	struct scene *scene = *state;
	struct mse_log_chain forged = scene->chain;
	struct mse_buffer *other = mse_buffer_new(4096);

	/* The same run and number, on another record before it. */
	forged.number = 2;
	memset(forged.previous, 1, sizeof forged.previous);
	assert_works(mse_log_record_seal(&forged, &scene->enclave, scene->owner.public_key, 1000, MSE_LOG_STDERR, "forged", 6, other, &err));
	mse_buffer_free(scene->records[7]);
	scene->records[7] = other;
	assert_works(read_some(scene, "567", 0));
	assert_string_equal(scene->seen, "run line5 line6 broken forged ");
}

static void changed_and_foreign_records_are_unreadable_and_the_rest_is_read(void **state)
{
	struct scene *scene = *state;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *changed = mse_buffer_new(4096);
	uint8_t *room;
	size_t size = mse_buffer_size(scene->records[1]);

	assert_works(mse_buffer_reserve(changed, size, &room, &err));
	memcpy(room, mse_buffer_data(scene->records[1]), size);
	room[size - 1] ^= 1;
	mse_buffer_commit(changed, size);
	mse_buffer_free(scene->records[1]);
	scene->records[1] = mse_steal(changed);
	assert_works(read_some(scene, "012", 0));
	assert_string_equal(scene->seen, "run line0 unreadable missing:1 line2 ");
	/* Another instance's records do not pass for this one's. */
	scene->reader.instance_id[0] ^= 1;
	scene->seen[0] = 0;
	assert_works(read_some(scene, "3", 0));
	assert_string_equal(scene->seen, "unreadable ");
}

static void a_part_that_ends_within_a_record_is_an_error_after_what_was_whole(void **state)
{
	struct scene *scene = *state;

	assert_fails(read_some(scene, "01", 1), MSE_ERR_INPUT, "sequence of records");
	assert_string_equal(scene->seen, "run line0 ");
}

static void a_size_beyond_any_record_is_refused(void **state)
{
	struct scene *scene = *state;
	static const uint8_t huge[8] = { 0xff, 0xff, 0xff, 0xff };
	size_t used;

	assert_fails(mse_log_read(&scene->reader, huge, sizeof huge, note, scene, &used, &err), MSE_ERR_INPUT, "byte 0");
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int test_log_reader(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(a_whole_log_is_read_run_by_run),
		IN_SCENE(missing_records_are_counted),
		IN_SCENE(a_cut_beginning_is_told_only_where_a_beginning_is_expected),
		IN_SCENE(repeated_records_are_out_of_order),
		IN_SCENE(a_chain_that_does_not_follow_is_broken),
		IN_SCENE(changed_and_foreign_records_are_unreadable_and_the_rest_is_read),
		IN_SCENE(a_part_that_ends_within_a_record_is_an_error_after_what_was_whole),
		IN_SCENE(a_size_beyond_any_record_is_refused),
	};

	return cmocka_run_group_tests_name("logs", tests, NULL, NULL);
}
