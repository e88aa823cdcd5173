#include "tests.h"

#include "base/text.h"
#include "cli/context.h"

static struct mse_error_info err;

struct scene {
	struct mse_sign_key owner, impostor;
	struct mse_context_info context;
	json_t *signed_json;
};

static struct mse_buffer *make_manifest(const struct mse_sign_key *owner)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = mse_manifest_new();
	struct mse_buffer *bytes;

	manifest->runtime_file_count = 1;
	manifest->runtime_files[0].name = strdup("mse-enclave");
	manifest->image_name = strdup("mse-flask");
	manifest->app_name = strdup("demo");
	manifest->app_project = strdup("default");
	manifest->healthcheck_endpoint = strdup("/health");
	memcpy(manifest->owner_key, owner->public_key, 32);
	manifest->tls_names[0] = strdup("a.mse.localhost");
	manifest->tls_name_count = 1;
	manifest->memory = manifest->cpu_millis = manifest->storage = manifest->threads = 1;
	manifest->expires_at = 1;
	assert_works(mse_manifest_encode(manifest, &bytes, &err));
	return bytes;
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);

	assert_works(mse_sign_key_generate(&scene->owner, &err));
	assert_works(mse_sign_key_generate(&scene->impostor, &err));
	scene->context.name = strdup("demo");
	scene->context.project = strdup("default");
	scene->context.url = strdup("https://a.mse.localhost:1/");
	scene->context.python_application = strdup("app:app");
	scene->context.tee = strdup("sim");
	scene->context.manifest = make_manifest(&scene->owner);
	scene->context.platform_count = 1;
	scene->context.platforms[0][0] = 0xcd;
	scene->context.has_simulation_root = true;
	scene->context.simulation_root[0] = 0xef;
	scene->context.created_at = 77;
	assert_works(mse_context_sign(&scene->context, &scene->owner, &scene->signed_json, &err));
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	free(scene->context.name);
	free(scene->context.project);
	free(scene->context.url);
	free(scene->context.python_application);
	free(scene->context.tee);
	mse_buffer_free(scene->context.manifest);
	json_decref(scene->signed_json);
	mse_sign_key_clear(&scene->owner);
	mse_sign_key_clear(&scene->impostor);
	free(scene);
	return 0;
}

static int read_it(struct scene *scene)
{
	mse_cleanup(mse_context_info_freep) struct mse_context_info *found = NULL;

	return mse_context_read(scene->signed_json, "c.json", &found, &err);
}

static void a_signed_context_says_what_was_put_into_it(void **state)
{
	struct scene *scene = *state;
	mse_cleanup(mse_context_info_freep) struct mse_context_info *found = NULL;
	mse_autojson *parsed = NULL;
	char *text = json_dumps(scene->signed_json, JSON_INDENT(2));

	/* However the file is laid out. */
	assert_works(mse_json_parse(text, strlen(text), "it", &parsed, &err));
	free(text);
	assert_works(mse_context_read(parsed, "c.json", &found, &err));
	assert_string_equal(found->url, "https://a.mse.localhost:1/");
	assert_string_equal(found->python_application, "app:app");
	assert_int_equal(found->platform_count, 1);
	assert_int_equal(found->platforms[0][0], 0xcd);
	assert_true(found->has_simulation_root);
	assert_int_equal(found->simulation_root[0], 0xef);
	assert_memory_equal(found->owner, scene->owner.public_key, 32);
	assert_int_equal(mse_buffer_size(found->manifest), mse_buffer_size(scene->context.manifest));
}

static void a_context_holds_no_key_of_the_owner_s(void **state)
{
	struct scene *scene = *state;
	mse_autofree char *seed = NULL;
	char *text = json_dumps(scene->signed_json, 0);

	assert_works(mse_base64_encode(mse_sign_key_seed(&scene->owner), 32, &seed, &err));
	assert_null(strstr(text, seed));
	free(text);
}

static void every_changed_member_breaks_the_signature(void **state)
{
	struct scene *scene = *state;
	json_t *inner = json_object_get(scene->signed_json, "context");
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe (inner, next, key, value) {
		mse_autojson *kept = json_incref(value);
		mse_autofree char *name = strdup(key);

		assert_works(mse_json_set(inner, name, json_string("another"), &err));
		assert_fails(read_it(scene), MSE_ERR_CRYPTO, "forged");
		assert_works(mse_json_set(inner, name, json_incref(kept), &err));
		assert_works(read_it(scene));
	}
	assert_works(mse_json_set(inner, "more", json_true(), &err));
	assert_fails(read_it(scene), MSE_ERR_CRYPTO, "forged");
}

static void a_context_signed_by_somebody_else_is_a_forgery(void **state)
{
	struct scene *scene = *state;

	/* With the impostor's key beside it the signature verifies: what gives it away is the owner in the manifest. */
	json_decref(scene->signed_json);
	scene->signed_json = NULL;
	assert_works(mse_context_sign(&scene->context, &scene->impostor, &scene->signed_json, &err));
	assert_fails(read_it(scene), MSE_ERR_CRYPTO, "forgery");
	/* And with the owner's key put beside it, the signature does not. */
	assert_works(mse_json_set_base64(scene->signed_json, "owner", scene->owner.public_key, 32, &err));
	assert_fails(read_it(scene), MSE_ERR_CRYPTO, "forged");
}

static void malformed_contexts_are_errors(void **state)
{
	struct scene *scene = *state;

	assert_works(mse_json_set(scene->signed_json, "extra", json_true(), &err));
	assert_fails(read_it(scene), MSE_ERR_INPUT, "extra");
	json_object_del(scene->signed_json, "extra");
	json_object_del(scene->signed_json, "signature");
	assert_fails(read_it(scene), MSE_ERR_INPUT, "signature");
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int test_context(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(a_signed_context_says_what_was_put_into_it),
		IN_SCENE(a_context_holds_no_key_of_the_owner_s),
		IN_SCENE(every_changed_member_breaks_the_signature),
		IN_SCENE(a_context_signed_by_somebody_else_is_a_forgery),
		IN_SCENE(malformed_contexts_are_errors),
	};

	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
