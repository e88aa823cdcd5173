#include "../test.h"

#include "base/secret.h"
#include "base/text.h"
#include "manifest/app_json.h"
#include "manifest/manifest.h"

static struct mse_error_info err;

static struct mse_manifest *example(void)
{
	struct mse_manifest *manifest = mse_manifest_new();

	memset(manifest->instance_id, 0x11, sizeof manifest->instance_id);
	manifest->runtime_security_version = 1;
	manifest->runtime_file_count = 2;
	manifest->runtime_files[0].name = strdup("libmse_python.so");
	manifest->runtime_files[1].name = strdup("mse-enclave");
	manifest->image_name = strdup("mse-flask");
	manifest->image_env_count = 1;
	manifest->image_env[0].name = strdup("TZ");
	manifest->image_env[0].value = strdup("Europe/Paris");
	manifest->app_name = strdup("demo");
	manifest->app_project = strdup("default");
	manifest->healthcheck_endpoint = strdup("/health");
	manifest->tls_name_count = 1;
	manifest->tls_names[0] = strdup("0123456789ab.mse.localhost");
	manifest->memory = 512u << 20;
	manifest->cpu_millis = 380;
	manifest->storage = 1;
	manifest->threads = 8;
	manifest->expires_at = 2000000000;
	return manifest;
}

static char *example_text(void)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = example();
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;

	assert_works(mse_manifest_encode(manifest, &bytes, &err));
	return strdup(mse_buffer_text(bytes));
}

static void a_manifest_is_read_as_it_was_written(void **state)
{
	mse_autofree char *text = example_text();
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *again = NULL;

	(void)state;
	assert_works(mse_manifest_parse(text, strlen(text), &manifest, &err));
	assert_string_equal(manifest->app_name, "demo");
	assert_string_equal(manifest->image_env[0].value, "Europe/Paris");
	assert_int_equal(manifest->threads, 8);
	assert_works(mse_manifest_encode(manifest, &again, &err));
	assert_string_equal(mse_buffer_text(again), text);
}

/* Replaces the first `from` in the example by `to`. */
static int parse_changed(const char *from, const char *to)
{
	mse_autofree char *text = example_text();
	mse_autofree char *changed = NULL;
	char *place = strstr(text, from);
	struct mse_manifest *manifest = NULL;
	int result;

	if (place == NULL)
		fail_msg("the example has no '%s'", from);
	assert_works(mse_format(&changed, &err, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from)));
	result = mse_manifest_parse(changed, strlen(changed), &manifest, &err);
	mse_manifest_free(manifest);
	return result;
}

static void unknown_and_missing_members_are_refused_by_name(void **state)
{
	(void)state;
	assert_fails(parse_changed("\"version\":1,", "\"surprise\":1,\"version\":1,"), MSE_ERR_INPUT, "surprise");
	assert_fails(parse_changed(",\"threads\":8", ""), MSE_ERR_INPUT, "threads");
	assert_fails(parse_changed("\"threads\":8", "\"threads\":8,\"zest\":1"), MSE_ERR_INPUT, "zest");
	assert_fails(parse_changed("\"threads\":8", "\"threads\":\"8\""), MSE_ERR_INPUT, "threads");
	assert_fails(parse_changed("\"version\":1", "\"version\":2"), MSE_ERR_UNSUPPORTED, "version 2");
}

static void only_the_canonical_form_is_read(void **state)
{
	(void)state;
	assert_fails(parse_changed("\"version\":1,", "\"version\": 1,"), MSE_ERR_INPUT, "canonical");
	assert_fails(parse_changed("demo", "d\\u0065mo"), MSE_ERR_INPUT, "canonical");
	assert_fails(parse_changed("\"egress\":\"any\",", "\"egress\":\"any\",\"egress\":\"any\","), MSE_ERR_INPUT, "duplicate");
}

static void what_is_not_there_yet_is_refused_by_name(void **state)
{
	(void)state;
	assert_fails(parse_changed("zero-trust", "operator"), MSE_ERR_UNSUPPORTED, "operator");
	assert_fails(parse_changed("\"wheels\":[]", "\"wheels\":[1]"), MSE_ERR_UNSUPPORTED, "wheels");
	assert_fails(parse_changed("\"requirements_sha256\":null", "\"requirements_sha256\":\"00\""), MSE_ERR_UNSUPPORTED, "requirements.txt");
}

static void egress_has_one_form(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *message;
	} bad[] = {
		{ "\"some\"", MSE_ERR_INPUT, "'egress' is not" },
		{ "[]", MSE_ERR_INPUT, "'egress' is not" },
		{ "null", MSE_ERR_INPUT, "'egress' is not" },
		{ "{}", MSE_ERR_INPUT, "'egress' is not" },
		{ "[\"any\"]", MSE_ERR_INPUT, "no port" },
		{ "[1]", MSE_ERR_INPUT, "element 0 is not text" },
		{ "[\"A.example:443\"]", MSE_ERR_INPUT, "is not written as 'a.example:443'" },
		{ "[\"[2001:DB8::1]:443\"]", MSE_ERR_INPUT, "is not written as '[2001:db8::1]:443'" },
		{ "[\"b.example:1\",\"a.example:1\"]", MSE_ERR_INPUT, "out of order" },
		{ "[\"a.example:1\",\"a.example:1\"]", MSE_ERR_INPUT, "twice" },
		{ "[\"127.0.0.1:1\"]", MSE_ERR_DENIED, "the machine itself" },
		{ "[\"*.example:1\"]", MSE_ERR_INPUT, "neither the name" },
	};
	static const char *const good[] = { "\"any\"", "\"none\"", "[\"a.example:443\"]", "[\"192.0.2.1:1\",\"[2001:db8::1]:443\",\"a.example:443\",\"a.example:80\"]" };
	char many[MSE_EGRESS_MAX_TARGETS * 16 + 64] = "[\"a.example:1000\"";

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		mse_autofree char *member = NULL;

		assert_works(mse_format(&member, &err, "\"egress\":%s", good[i]));
		assert_works(parse_changed("\"egress\":\"any\"", member));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		mse_autofree char *member = NULL;

		assert_works(mse_format(&member, &err, "\"egress\":%s", bad[i].text));
		assert_fails(parse_changed("\"egress\":\"any\"", member), bad[i].code, bad[i].message);
	}
	for (unsigned i = 1; i <= MSE_EGRESS_MAX_TARGETS; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), ",\"a:%u\"", 1000 + i);
	strcat(many, "]");
	{
		mse_autofree char *member = NULL;

		assert_works(mse_format(&member, &err, "\"egress\":%s", many));
		assert_fails(parse_changed("\"egress\":\"any\"", member), MSE_ERR_LIMIT, "the limit is 64");
	}
}

static void variables_that_would_change_the_enclave_itself_are_refused(void **state)
{
	static const char *const names[] = { "LD_PRELOAD", "GLIBC_TUNABLES", "PYTHONPATH", "OPENSSL_CONF", "HOME", "SECRETS_PATH", "A-B", "SSLKEYLOGFILE" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char member[100];

		snprintf(member, sizeof member, "\"%s\":", names[i]);
		assert_fails(parse_changed("\"TZ\":", member), MSE_ERR_DENIED, names[i]);
	}
}

static void names_and_paths_are_checked(void **state)
{
	(void)state;
	assert_fails(parse_changed("\"name\":\"demo\"", "\"name\":\"../demo\""), MSE_ERR_INPUT, "name");
	assert_fails(parse_changed("\"/health\"", "\"health\""), MSE_ERR_INPUT, "healthcheck_endpoint");
	assert_fails(parse_changed("\"mse-enclave\"", "\"x/mse-enclave\""), MSE_ERR_INPUT, "plain file name");
	assert_fails(parse_changed("0123456789ab.mse", "*.mse"), MSE_ERR_INPUT, "DNS name");
}

static void an_approval_is_of_one_owner_and_one_measurement(void **state)
{
	struct mse_sign_key owner = { 0 }, other = { 0 };
	uint8_t measurement[32] = { 1 }, signature[MSE_SIGNATURE_SIZE];

	(void)state;
	assert_works(mse_sign_key_generate(&owner, &err));
	assert_works(mse_sign_key_generate(&other, &err));
	assert_works(mse_manifest_sign(&owner, measurement, signature, &err));
	assert_works(mse_manifest_verify_signature(owner.public_key, measurement, signature, &err));
	assert_fails(mse_manifest_verify_signature(other.public_key, measurement, signature, &err), MSE_ERR_CRYPTO, "signature");
	measurement[31] ^= 1;
	assert_fails(mse_manifest_verify_signature(owner.public_key, measurement, signature, &err), MSE_ERR_CRYPTO, "signature");
	mse_sign_key_clear(&owner);
	mse_sign_key_clear(&other);
}

static void an_address_depends_on_project_name_and_owner(void **state)
{
	static const uint8_t owner[32] = { 7 }, other[32] = { 8 };
	char one[MSE_ADDRESS_TEXT_SIZE], again[MSE_ADDRESS_TEXT_SIZE];

	(void)state;
	assert_works(mse_address("default", "demo", owner, one, &err));
	assert_works(mse_address("default", "demo", owner, again, &err));
	assert_string_equal(one, again);
	assert_int_equal(strlen(one), 12);
	assert_works(mse_address("default", "demo2", owner, again, &err));
	assert_string_not_equal(one, again);
	assert_works(mse_address("defaul", "tdemo", owner, again, &err));
	assert_string_not_equal(one, again);
	assert_works(mse_address("default", "demo", other, again, &err));
	assert_string_not_equal(one, again);
}

static void app_json_is_read_as_it_was_written_and_strictly(void **state)
{
	static const uint8_t salt[MSE_BUNDLE_SALT_SIZE] = { 1, 2, 3 };
	static const char unknown[] = "{\"python_application\":\"a:b\",\"salt\":\"00\",\"version\":1,\"x\":1}";
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	struct mse_app_json app = { 0 };

	(void)state;
	assert_works(mse_app_json_encode("app:app", salt, &bytes, &err));
	assert_works(mse_app_json_parse(mse_buffer_data(bytes), mse_buffer_size(bytes), &app, &err));
	assert_string_equal(app.python_application, "app:app");
	assert_memory_equal(app.salt, salt, sizeof salt);
	mse_app_json_clear(&app);
	assert_fails(mse_app_json_parse(unknown, strlen(unknown), &app, &err), MSE_ERR_INPUT, "'x'");
}

static int count_member(void *context, const char *path, const char *value, struct mse_error_info *visit_err)
{
	(void)visit_err;
	if (strcmp(path, "app.name") == 0)
		assert_string_equal(value, "\"demo\"");
	++*(int *)context;
	return 0;
}

static void every_leaf_is_visited_by_its_path(void **state)
{
	mse_autofree char *text = example_text();
	int count = 0;

	(void)state;
	assert_works(mse_manifest_members(text, strlen(text), count_member, &count, &err));
	/* instance_id, version, egress, wheels; runtime 2+1; image 1+1+1; app 6; owner 2; tls 2; limits 5 */
	assert_int_equal(count, 4 + 3 + 3 + 6 + 2 + 2 + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_is_read_as_it_was_written),
		cmocka_unit_test(unknown_and_missing_members_are_refused_by_name),
		cmocka_unit_test(only_the_canonical_form_is_read),
		cmocka_unit_test(what_is_not_there_yet_is_refused_by_name),
		cmocka_unit_test(egress_has_one_form),
		cmocka_unit_test(variables_that_would_change_the_enclave_itself_are_refused),
		cmocka_unit_test(names_and_paths_are_checked),
		cmocka_unit_test(an_approval_is_of_one_owner_and_one_measurement),
		cmocka_unit_test(an_address_depends_on_project_name_and_owner),
		cmocka_unit_test(app_json_is_read_as_it_was_written_and_strictly),
		cmocka_unit_test(every_leaf_is_visited_by_its_path),
	};

	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
