#include "../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "node/apt_sources.h"
#include "node/bundles.h"
#include "node/image_build.h"
#include "node/image_normalize.h"
#include "node/image_store.h"

static struct mse_error_info err;
static char folder[] = "/tmp/mse-test-images-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mse_secret_init(&err) < 0 || mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return mse_tree_remove(folder, &err);
}

static void path_in_folder(char *to, size_t size, const char *name)
{
	snprintf(to, size, "%s/%s", folder, name);
}

static void one_line_sources_of_the_release_are_taken(void **state)
{
	static const char text[] = "# deb http://old bookworm main\n"
				   "deb http://deb.debian.org/debian bookworm main contrib # comment\n"
				   "deb [ signed-by=/usr/share/keyrings/k.gpg arch=amd64 ] http://mirror/debian bookworm-updates main\n"
				   "deb-src http://deb.debian.org/debian bookworm main\n"
				   "deb http://security bookworm-security/updates main\n"
				   "deb http://security\tbookworm-security   main\n"
				   "deb http://other trixie main\n"
				   "deb http://other bookworm contrib\n"
				   "deb https://packages.cloud.google.com/apt cloud-sdk-bookworm main\n"
				   "deb [broken http://x bookworm main\n"
				   "deb http://deb.debian.org/debian bookworm main\n"
				   "deb\n";
	struct mse_apt_sources sources = { 0 };

	(void)state;
	assert_works(mse_apt_sources_add_list(&sources, text, "bookworm", &err));
	assert_int_equal(sources.count, 3);
	assert_string_equal(sources.lines[0], "deb http://deb.debian.org/debian bookworm main");
	assert_string_equal(sources.lines[1], "deb [signed-by=/usr/share/keyrings/k.gpg arch=amd64] http://mirror/debian bookworm-updates main");
	assert_string_equal(sources.lines[2], "deb http://security bookworm-security main");
	mse_apt_sources_clear(&sources);
}

static void deb822_sources_of_the_release_are_taken(void **state)
{
	static const char text[] = "Types: deb\n"
				   "# http://snapshot.debian.org/archive/debian/20250520T000000Z\n"
				   "URIs: http://deb.debian.org/debian\n"
				   "Suites: bookworm bookworm-updates\n"
				   "Components: main non-free\n"
				   "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
				   "\n"
				   "Enabled: no\nTypes: deb\nURIs: http://disabled\nSuites: bookworm\nComponents: main\n"
				   "\n"
				   "types: deb deb-src\nURIs: http://a http://b\nSuites: bookworm-security\nComponents: main\n"
				   "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n Types: deb\n"
				   "\n"
				   "Types: deb-src\nURIs: http://c\nSuites: bookworm\nComponents: main\n"
				   "\n"
				   "Types: deb\nURIs: https://deb.nodesource.com/node_20.x\nSuites: nodistro\nComponents: main";
	struct mse_apt_sources sources = { 0 };

	(void)state;
	assert_works(mse_apt_sources_add_deb822(&sources, text, "bookworm", &err));
	assert_int_equal(sources.count, 4);
	assert_string_equal(sources.lines[0], "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main");
	assert_string_equal(sources.lines[1],
		"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-updates main");
	assert_string_equal(sources.lines[2], "deb http://a bookworm-security main");
	assert_string_equal(sources.lines[3], "deb http://b bookworm-security main");
	mse_apt_sources_clear(&sources);
}

static void a_machine_without_sources_is_no_error(void **state)
{
	struct mse_apt_sources sources;

	(void)state;
	assert_works(mse_apt_sources_read(folder, "bookworm", &sources, &err));
	assert_int_equal(sources.count, 0);
}

static void packages_are_those_of_the_recipe_and_the_included_once(void **state)
{
	mse_autofree char *plain = NULL;
	mse_autofree char *more = NULL;
	char *bad = NULL;

	(void)state;
	assert_works(mse_image_recipe_packages("mse-flask", NULL, &plain, &err));
	assert_non_null(strstr(plain, "libpython3.11,python3-flask"));
	assert_works(mse_image_recipe_packages("mse-flask", "python3-numpy,python3-flask,g++", &more, &err));
	assert_int_equal(strncmp(more, plain, strlen(plain)), 0);
	assert_string_equal(more + strlen(plain), ",python3-numpy,g++");
	assert_fails(mse_image_recipe_packages("debian", NULL, &bad, &err), MSE_ERR_NOT_FOUND, "mse-flask");
	assert_fails(mse_image_recipe_packages("mse-flask", "a", &bad, &err), MSE_ERR_INPUT, "Debian package");
	assert_fails(mse_image_recipe_packages("mse-flask", "vim,,nano", &bad, &err), MSE_ERR_INPUT, "Debian package");
	assert_fails(mse_image_recipe_packages("mse-flask", "--hook", &bad, &err), MSE_ERR_INPUT, "--hook");
	assert_fails(mse_image_recipe_packages("mse-flask", "Vim nano", &bad, &err), MSE_ERR_INPUT, "Vim nano");
}

static void the_day_of_a_password_is_fixed(void **state)
{
	mse_autofree char *fixed = NULL;

	(void)state;
	assert_works(mse_image_normalize_shadow("root:*:20780:0:99999:7:::\nnobody:!::0:::::\nodd\nlast:x:1:", &fixed, &err));
	assert_string_equal(fixed, "root:*:19523:0:99999:7:::\nnobody:!::0:::::\nodd\nlast:x:19523:");
}

static void image_names_are_lower_case_and_stay_in_the_store(void **state)
{
	static const char *const bad[] = { "", ".new-x", "..", "a/b", "MSE", "-x", "a b" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(mse_image_check_name(bad[i], &err), MSE_ERR_INPUT);
	assert_works(mse_image_check_name("mse-flask_2.0", &err));
}

static int refuse(void *context, const char *name, struct mse_error_info *error)
{
	(void)context;
	return mse_fail(error, MSE_ERR_STATE, "'%s' is in use", name);
}

static void a_draft_becomes_an_image_or_nothing(void **state)
{
	char store[64], file[512];
	struct mse_image_draft draft, abandoned;
	struct mse_image image = { .name = (char *)(uintptr_t)"one", .description = (char *)(uintptr_t)"x", .packages = (char *)(uintptr_t)"" };
	mse_cleanup(mse_image_freep) struct mse_image *found = NULL;
	mse_autojson *list = NULL;

	(void)state;
	path_in_folder(store, sizeof store, "store");
	assert_works(mse_image_draft_new(store, &draft, &err));
	snprintf(file, sizeof file, "%s/file", draft.root);
	assert_works(mse_file_write(file, "content", 7, 0644, &err));
	/* While one is being made, another's start does not take it for a stale one. */
	assert_works(mse_image_draft_new(store, &abandoned, &err));
	mse_image_draft_clear(&abandoned);
	assert_true(mse_path_exists(file));
	assert_works(mse_image_draft_commit(store, &draft, &image, NULL, NULL, &err));
	mse_image_draft_clear(&draft);
	assert_works(mse_image_find(store, "one", &found, &err));
	assert_int_equal(found->size, 7);
	assert_memory_equal(found->digest, image.digest, sizeof image.digest);
	assert_works(mse_image_draft_new(store, &draft, &err));
	assert_fails(mse_image_draft_commit(store, &draft, &image, refuse, NULL, &err), MSE_ERR_STATE, "'one' is in use");
	mse_image_draft_clear(&draft);
	assert_fails(mse_image_remove(store, "one", refuse, NULL, &err), MSE_ERR_STATE, "'one' is in use");
	assert_works(mse_image_list(store, &list, &err));
	assert_int_equal(json_array_size(list), 1);
	assert_works(mse_image_remove(store, "one", NULL, NULL, &err));
	assert_fails(mse_image_remove(store, "one", NULL, NULL, &err), MSE_ERR_NOT_FOUND, "no image 'one'");
}

static void an_image_file_that_names_another_image_is_refused(void **state)
{
	static const char text[] = "{\"version\": 1, \"name\": \"a\", \"digest\": \"sha256:"
				   "0000000000000000000000000000000000000000000000000000000000000000\", \"size\": 1, \"created_at\": 1, \"description\": \"\", \"packages\": \"\"}";
	struct mse_image *image = NULL;
	char path[128];

	(void)state;
	path_in_folder(path, sizeof path, "moved/b");
	assert_works(mse_dir_make(path, 0700, &err));
	path_in_folder(path, sizeof path, "moved/b/image.json");
	assert_works(mse_file_write(path, text, strlen(text), 0600, &err));
	path_in_folder(path, sizeof path, "moved");
	assert_fails(mse_image_find(path, "b", &image, &err), MSE_ERR_INPUT, "describes 'a'");
}

static void a_bundle_lands_under_its_digest_only(void **state)
{
	/* SHA-256("abc"): FIPS 180-2, appendix B.1. */
	static const uint8_t abc[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
		0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };
	struct mse_bundle_upload *upload;
	char store[64], to[64];

	(void)state;
	path_in_folder(store, sizeof store, "bundles");
	path_in_folder(to, sizeof to, "taken");
	assert_works(mse_dir_make(store, 0700, &err));
	assert_works(mse_bundle_upload_new(store, abc, &upload, &err));
	assert_works(mse_bundle_upload_write(upload, "abd", 3, &err));
	assert_fails(mse_bundle_upload_finish(upload, &err), MSE_ERR_CRYPTO, "changed or cut");
	mse_bundle_upload_free(upload);
	assert_false(mse_bundles_has(store, abc));
	assert_fails(mse_bundles_take(store, abc, to, &err), MSE_ERR_NOT_FOUND, "PUT /v1/bundles");
	assert_works(mse_bundle_upload_new(store, abc, &upload, &err));
	assert_works(mse_bundle_upload_write(upload, "ab", 2, &err));
	assert_works(mse_bundle_upload_write(upload, "c", 1, &err));
	assert_works(mse_bundle_upload_finish(upload, &err));
	mse_bundle_upload_free(upload);
	assert_true(mse_bundles_has(store, abc));
	assert_works(mse_bundles_sweep(store, true, &err));
	assert_works(mse_bundles_take(store, abc, to, &err));
	mse_bundles_remove(store, abc);
	assert_false(mse_bundles_has(store, abc));
	assert_true(mse_path_exists(to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_sources_of_the_release_are_taken),
		cmocka_unit_test(deb822_sources_of_the_release_are_taken),
		cmocka_unit_test(a_machine_without_sources_is_no_error),
		cmocka_unit_test(packages_are_those_of_the_recipe_and_the_included_once),
		cmocka_unit_test(the_day_of_a_password_is_fixed),
		cmocka_unit_test(image_names_are_lower_case_and_stay_in_the_store),
		cmocka_unit_test(a_draft_becomes_an_image_or_nothing),
		cmocka_unit_test(an_image_file_that_names_another_image_is_refused),
		cmocka_unit_test(a_bundle_lands_under_its_digest_only),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
