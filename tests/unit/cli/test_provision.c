#include "tests.h"

#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/deploy.h"

static struct mse_error_info err;

static json_t *body_of(const void *secrets, size_t size)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL, *app_secrets = NULL, *body = NULL;
	json_t *json;

	assert_works(mse_secret_new(32, &key, &err));
	memset(mse_secret_data(key), 0x5a, 32);
	if (secrets != NULL)
		assert_works(mse_secret_copy(secrets, size, &app_secrets, &err));
	assert_works(mse_provision_body("abcd", key, app_secrets, &body, &err));
	/* All of it is JSON: no byte too many, none too few. */
	assert_works(mse_json_parse(mse_secret_view(body), mse_secret_size(body), "the body", &json, &err));
	return json;
}

static void the_message_carries_the_exact_bytes_of_the_secrets_file(void **state)
{
	static const uint8_t secrets[] = { '{', 0, 0xff, '"', '\n', '}' };
	uint8_t found[sizeof secrets], key[32];
	mse_autojson *json = NULL;
	const char *uuid;

	(void)state;
	for (size_t size = 0; size <= sizeof secrets; size++) {
		mse_autojson *each = body_of(secrets, size);

		assert_works(mse_json_base64(each, "app_secrets", "the body", found, size, &err));
		assert_memory_equal(found, secrets, size);
	}
	json = body_of(secrets, sizeof secrets);
	assert_works(mse_json_string(json, "uuid", "the body", &uuid, &err));
	assert_string_equal(uuid, "abcd");
	assert_works(mse_json_base64(json, "code_secret_key", "the body", key, 32, &err));
	assert_int_equal(key[31], 0x5a);
	assert_true(json_is_null(json_object_get(json, "ssl_private_key")));
	assert_true(json_is_null(json_object_get(json, "ssl_certificate")));
	assert_int_equal(json_object_size(json), 5);
}

static void no_secrets_file_is_null_and_not_empty(void **state)
{
	mse_autojson *json = body_of(NULL, 0);

	(void)state;
	assert_true(json_is_null(json_object_get(json, "app_secrets")));
}

static void an_address_that_a_node_gives_is_of_exactly_one_form(void **state)
{
	static const char *const bad[] = { "https://a.b:24000", "https://a.b/", "http://a.b:24000/", "https://a.bc:24000/", "https://x@a.b:24000/", "https://a.b:/",
		"https://a.b:0/", "https://a.b:65536/", "https://a.b:024/", "https://a.b:24000/;rm", "https://a.b:24000/\033[2J", "https://a.b:1$(x)/", "" };

	(void)state;
	assert_true(mse_url_names("https://a.b:24000/", "a.b"));
	assert_true(mse_url_names("https://a.b:65535/", "a.b"));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(mse_url_names(bad[i], "a.b"));
}

int test_provision(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_message_carries_the_exact_bytes_of_the_secrets_file),
		cmocka_unit_test(no_secrets_file_is_null_and_not_empty),
		cmocka_unit_test(an_address_that_a_node_gives_is_of_exactly_one_form),
	};

	return cmocka_run_group_tests_name("provisioning", tests, NULL, NULL);
}
