#include "tests.h"

#include "base/file.h"
#include "base/text.h"
#include "cli/image_lock.h"

static struct mse_error_info err;
static char path[64];

static const uint8_t digest_a[32] = { 0xaa }, digest_b[32] = { 0xbb };

static int set_up(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "%s", "/tmp/mse-test-XXXXXX");
	assert_non_null(mkdtemp(path));
	snprintf(path + strlen(path), sizeof path - strlen(path), "/mse.lock");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	*strrchr(path, '/') = 0;
	assert_works(mse_tree_remove(path, &err));
	return 0;
}

static void write_text(const char *text)
{
	assert_works(mse_file_write(path, text, strlen(text), 0644, &err));
}

static void what_is_written_is_read_again(void **state)
{
	struct mse_image_lock lock;

	(void)state;
	assert_works(mse_image_lock_read(path, &lock, &err));
	assert_false(lock.present);
	assert_works(mse_image_lock_write(path, "ghcr.io/cosmian/mse-flask:1", "mse-flask", digest_a, &err));
	assert_works(mse_image_lock_read(path, &lock, &err));
	assert_true(lock.present);
	assert_string_equal(lock.requested, "ghcr.io/cosmian/mse-flask:1");
	assert_string_equal(lock.name, "mse-flask");
	assert_memory_equal(lock.digest, digest_a, 32);
	mse_image_lock_clear(&lock);
}

static void a_damaged_or_newer_lock_is_never_an_absent_one(void **state)
{
	struct mse_image_lock lock;

	(void)state;
	write_text("");
	assert_true(mse_image_lock_read(path, &lock, &err) < 0);
	write_text("{\"version\":2,\"image\":{}}");
	assert_fails(mse_image_lock_read(path, &lock, &err), MSE_ERR_UNSUPPORTED, "version 2");
	write_text("{\"version\":1}");
	assert_fails(mse_image_lock_read(path, &lock, &err), MSE_ERR_INPUT, "image");
	write_text("{\"version\":1,\"image\":{\"requested\":\"a\",\"name\":\"a\",\"digest\":\"sha256:00\"}}");
	assert_true(mse_image_lock_read(path, &lock, &err) < 0);
	write_text("{\"version\":1,\"wheels\":[],\"image\":{\"requested\":\"a\",\"name\":\"a\",\"digest\":\"sha256:00\"}}");
	assert_fails(mse_image_lock_read(path, &lock, &err), MSE_ERR_INPUT, "wheels");
}

static void a_digest_that_only_the_node_told_is_unknown(void **state)
{
	struct mse_image_lock none = { 0 };
	enum mse_image_trust trust;

	(void)state;
	assert_works(mse_image_trust(&none, NULL, "img", "img", digest_a, &trust, &err));
	assert_int_equal(trust, MSE_IMAGE_UNKNOWN);
}

static void the_lock_counts_for_the_name_it_was_made_for_alone(void **state)
{
	struct mse_image_lock lock;
	enum mse_image_trust trust;

	(void)state;
	assert_works(mse_image_lock_write(path, "img", "img", digest_a, &err));
	assert_works(mse_image_lock_read(path, &lock, &err));
	assert_works(mse_image_trust(&lock, NULL, "img", "img", digest_a, &trust, &err));
	assert_int_equal(trust, MSE_IMAGE_TRUSTED_BY_LOCK);
	assert_works(mse_image_trust(&lock, NULL, "other", "img", digest_a, &trust, &err));
	assert_int_equal(trust, MSE_IMAGE_UNKNOWN);
	assert_fails(mse_image_trust(&lock, NULL, "img", "img", digest_b, &trust, &err), MSE_ERR_VERIFY, "sha256:bb");
	assert_non_null(strstr(err.message, "sha256:aa"));
	mse_image_lock_clear(&lock);
}

static void the_option_must_name_what_the_node_has(void **state)
{
	static const char option_a[] = "sha256:aa00000000000000000000000000000000000000000000000000000000000000";
	struct mse_image_lock none = { 0 };
	enum mse_image_trust trust;

	(void)state;
	assert_works(mse_image_trust(&none, option_a, "img", "img", digest_a, &trust, &err));
	assert_int_equal(trust, MSE_IMAGE_TRUSTED_BY_OPTION);
	assert_fails(mse_image_trust(&none, option_a, "img", "img", digest_b, &trust, &err), MSE_ERR_VERIFY, "--trust-image");
	assert_fails(mse_image_trust(&none, "sha256:aa", "img", "img", digest_a, &trust, &err), MSE_ERR_INPUT, "--trust-image");
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int test_image_lock(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(what_is_written_is_read_again),
		WITH_FOLDER(a_damaged_or_newer_lock_is_never_an_absent_one),
		cmocka_unit_test(a_digest_that_only_the_node_told_is_unknown),
		WITH_FOLDER(the_lock_counts_for_the_name_it_was_made_for_alone),
		cmocka_unit_test(the_option_must_name_what_the_node_has),
	};

	return cmocka_run_group_tests_name("mse.lock", tests, NULL, NULL);
}
