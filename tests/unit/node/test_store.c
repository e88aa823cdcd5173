#include "../test.h"

#include <unistd.h>

#include <sqlite3.h>

#include "base/file.h"
#include "base/text.h"
#include "node/store.h"
#include "shim/weaker.h"

static struct mse_error_info err;
static char folder[] = "/tmp/mse-test-store-XXXXXX";
static char path[64];
static uint16_t taken_port;
static unsigned next_id;

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return mse_tree_remove(folder, &err);
}

static int open_store(void **state)
{
	struct mse_store *store;

	snprintf(path, sizeof path, "%s/%u.db", folder, ++next_id);
	taken_port = 0;
	if (mse_store_open(path, &store, &err) < 0)
		return -1;
	*state = store;
	return 0;
}

static int close_store(void **state)
{
	mse_store_close(*state);
	return 0;
}

static bool port_is_free(uint16_t port)
{
	return port != taken_port;
}

static const struct mse_store_ranges ranges = { .port_first = 100, .port_last = 103, .uid_first = 5000, .uid_count = 5, .max_apps = 4,
	.max_apps_per_owner = 3, .port_is_free = port_is_free };

static char *copy(const char *text)
{
	char *to = NULL;

	assert_works(mse_strdup(text, &to, &err));
	return to;
}

/* The address is made of name and owner, as the real one is. */
static struct mse_app *app_of(const char *name, uint8_t owner)
{
	struct mse_app *app = mse_app_new();
	char id[80];

	assert_non_null(app);
	snprintf(id, sizeof id, "%08x%056x", ++next_id, 0);
	memcpy(app->id, id, sizeof app->id - 1);
	snprintf(app->address, sizeof app->address, "%.6s%02x", name, owner);
	memset(app->owner, owner, sizeof app->owner);
	app->name = copy(name);
	app->project = copy("default");
	app->plan = copy("free");
	app->image_name = copy("mse-flask");
	app->healthcheck = copy("/");
	app->reason = copy("");
	app->created_at = mse_time_now();
	app->expires_at = app->created_at + 100;
	return app;
}

static int nothing_to_prepare(void *context, const struct mse_app *app, struct mse_error_info *error)
{
	(void)context;
	(void)app;
	(void)error;
	return 0;
}

static int prepare_fails(void *context, const struct mse_app *app, struct mse_error_info *error)
{
	(void)context;
	(void)app;
	return mse_fail(error, MSE_ERR_IO, "the disk is full");
}

static int insert(struct mse_store *store, struct mse_app *app)
{
	return mse_store_insert(store, &ranges, app, nothing_to_prepare, NULL, &err);
}

static void say(struct mse_store *store, const struct mse_app *app, enum mse_shim_state state, bool final, const char *reason)
{
	struct mse_shim_status status = { .state = state, .final = final, .provisioned = state == MSE_SHIM_RUNNING };

	snprintf(status.reason, sizeof status.reason, "%s", reason);
	assert_works(mse_store_status(store, app->id, &status, &err));
}

static void what_an_app_is_without_is_remembered(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	mse_cleanup(mse_app_freep) struct mse_app *found = NULL;
	struct mse_shim_status status = { .state = MSE_SHIM_SPAWNING, .weaker = MSE_WEAKER_USER | MSE_WEAKER_HOME };

	assert_works(insert(*state, app));
	assert_works(mse_store_status(*state, app->id, &status, &err));
	assert_works(mse_store_find(*state, app->id, &found, &err));
	assert_int_equal(found->weaker, MSE_WEAKER_USER | MSE_WEAKER_HOME);
}

static void an_app_is_read_as_it_was_written(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	mse_cleanup(mse_app_freep) struct mse_app *found = NULL;
	mse_cleanup(mse_app_freep) struct mse_app *by_prefix = NULL;

	app->memory = 1, app->cpu_millis = 2, app->storage = 3, app->threads = 4;
	memset(app->image_digest, 7, sizeof app->image_digest);
	memset(app->measurement, 8, sizeof app->measurement);
	assert_works(insert(*state, app));
	assert_works(mse_store_find(*state, app->id, &found, &err));
	assert_string_equal(found->id, app->id);
	assert_string_equal(found->name, "demo");
	assert_string_equal(found->project, "default");
	assert_string_equal(found->address, app->address);
	assert_string_equal(found->image_name, "mse-flask");
	assert_memory_equal(found->owner, app->owner, sizeof app->owner);
	assert_memory_equal(found->image_digest, app->image_digest, sizeof app->image_digest);
	assert_memory_equal(found->measurement, app->measurement, sizeof app->measurement);
	assert_int_equal(found->memory * 1000 + found->cpu_millis * 100 + found->storage * 10 + found->threads, 1234);
	assert_int_equal(found->port, 100);
	assert_int_equal(found->uid, 5000);
	assert_int_equal(found->expires_at - found->created_at, 100);
	assert_int_equal(found->stopped_at, 0);
	assert_int_equal(found->state, MSE_SHIM_SPAWNING);
	app->id[8] = 0;
	assert_works(mse_store_find(*state, app->id, &by_prefix, &err));
	assert_string_equal(by_prefix->id, found->id);
}

static void what_fails_while_it_is_prepared_leaves_nothing(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	struct mse_app *found = NULL;
	uint8_t owner[MSE_SIGN_KEY_SIZE];
	bool seen = true;

	assert_fails(mse_store_insert(*state, &ranges, app, prepare_fails, NULL, &err), MSE_ERR_IO, "disk is full");
	assert_fails(mse_store_find(*state, app->id, &found, &err), MSE_ERR_NOT_FOUND, app->id);
	assert_works(mse_store_instance_seen(*state, app->id, &seen, &err));
	assert_false(seen);
	assert_fails(mse_store_name_owner(*state, "default", "demo", owner, &err), MSE_ERR_NOT_FOUND, "free");
	assert_works(insert(*state, app));
}

static void ids_names_and_quotas_are_checked_where_they_are_recorded(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	mse_cleanup(mse_app_freep) struct mse_app *same = app_of("demo", 1);
	mse_cleanup(mse_app_freep) struct mse_app *other = app_of("demo", 2);
	mse_cleanup(mse_app_freep) struct mse_app *second = app_of("second", 1);
	mse_cleanup(mse_app_freep) struct mse_app *third = app_of("third", 1);
	mse_cleanup(mse_app_freep) struct mse_app *fourth = app_of("fourth", 1);

	assert_works(insert(*state, app));
	assert_fails(insert(*state, app), MSE_ERR_EXISTS, "was used before");
	assert_fails(insert(*state, same), MSE_ERR_EXISTS, "runs");
	assert_fails(insert(*state, other), MSE_ERR_DENIED, "another owner");
	assert_works(insert(*state, second));
	assert_works(insert(*state, third));
	assert_fails(insert(*state, fourth), MSE_ERR_LIMIT, "one owner may have");
	say(*state, app, MSE_SHIM_STOPPED, true, "expired");
	assert_works(insert(*state, fourth));
	assert_fails(insert(*state, other), MSE_ERR_DENIED, "another owner");
	assert_works(mse_store_forget(*state, app->id, true, &err));
	assert_works(insert(*state, other));
	assert_fails(insert(*state, app), MSE_ERR_EXISTS, "was used before");
}

static void a_port_stays_with_its_address_as_long_as_there_are_others(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *first = app_of("one", 1);
	mse_cleanup(mse_app_freep) struct mse_app *second = app_of("two", 1);
	mse_cleanup(mse_app_freep) struct mse_app *again = app_of("one", 1);

	taken_port = 100;
	assert_works(insert(*state, first));
	assert_int_equal(first->port, 101);
	taken_port = 0;
	say(*state, first, MSE_SHIM_STOPPED, true, "expired");
	assert_works(insert(*state, second));
	assert_int_equal(second->port, 100);
	assert_works(insert(*state, again));
	assert_int_equal(again->port, 101);
	assert_int_equal(again->uid, 5002);
}

static void ports_and_users_go_round_and_end(void **state)
{
	static const struct mse_store_ranges narrow = { .port_first = 100, .port_last = 101, .uid_first = 5000, .uid_count = 2, .max_apps = 9,
		.max_apps_per_owner = 9, .port_is_free = port_is_free };
	static const char *const names[] = { "one", "two", "three", "four" };
	struct mse_app *apps[4];

	for (size_t i = 0; i < 4; i++)
		apps[i] = app_of(names[i], 1);
	assert_works(mse_store_insert(*state, &narrow, apps[0], nothing_to_prepare, NULL, &err));
	assert_works(mse_store_insert(*state, &narrow, apps[1], nothing_to_prepare, NULL, &err));
	assert_fails(mse_store_insert(*state, &narrow, apps[2], nothing_to_prepare, NULL, &err), MSE_ERR_LIMIT, "no port from 100 to 101");
	say(*state, apps[1], MSE_SHIM_STOPPED, true, "expired");
	assert_works(mse_store_insert(*state, &narrow, apps[2], nothing_to_prepare, NULL, &err));
	assert_int_equal(apps[2]->port, 101);
	assert_int_equal(apps[2]->uid, 5001);
	say(*state, apps[0], MSE_SHIM_STOPPED, true, "expired");
	taken_port = 100;
	assert_fails(mse_store_insert(*state, &narrow, apps[3], nothing_to_prepare, NULL, &err), MSE_ERR_LIMIT, "no port");
	for (size_t i = 0; i < 4; i++)
		mse_app_free(apps[i]);
}

static void a_stopped_app_stays_stopped(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	mse_cleanup(mse_app_freep) struct mse_app *ending = NULL;
	mse_cleanup(mse_app_freep) struct mse_app *found = NULL;
	mse_autojson *events = NULL;
	static const char *const expected[] = { "deployed", "initializing", "provisioned", "running", "stopped" };

	assert_works(insert(*state, app));
	say(*state, app, MSE_SHIM_INITIALIZING, false, "");
	say(*state, app, MSE_SHIM_INITIALIZING, false, "");
	say(*state, app, MSE_SHIM_RUNNING, false, "");
	say(*state, app, MSE_SHIM_STOPPED, false, "stopped by its owner");
	assert_works(mse_store_find(*state, app->id, &ending, &err));
	assert_int_equal(ending->state, MSE_SHIM_RUNNING);
	say(*state, app, MSE_SHIM_STOPPED, true, "stopped by its owner");
	say(*state, app, MSE_SHIM_RUNNING, false, "");
	assert_works(mse_store_find(*state, app->id, &found, &err));
	assert_int_equal(found->state, MSE_SHIM_STOPPED);
	assert_string_equal(found->reason, "stopped by its owner");
	assert_true(found->stopped_at > 0);
	assert_works(mse_store_events(*state, app->id, &events, &err));
	assert_int_equal(json_array_size(events), 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(json_string_value(json_object_get(json_array_get(events, i), "event")), expected[i]);
}

static void only_the_last_thousand_events_are_kept(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	mse_autojson *events = NULL;

	assert_works(insert(*state, app));
	for (int i = 0; i < 1005; i++)
		assert_works(mse_store_event(*state, app->id, MSE_EVENT_RESTARTED, i == 1004 ? "last" : "", &err));
	assert_works(mse_store_events(*state, app->id, &events, &err));
	assert_int_equal(json_array_size(events), 1000);
	assert_string_equal(json_string_value(json_object_get(json_array_get(events, 999), "detail")), "last");
}

static void an_image_in_use_is_known(void **state)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = app_of("demo", 1);
	mse_autofree char *user = NULL;
	char *nobody = NULL;

	assert_works(insert(*state, app));
	assert_works(mse_store_image_user(*state, "mse-flask", &user, &err));
	assert_string_equal(user, app->id);
	say(*state, app, MSE_SHIM_STOPPED, true, "expired");
	assert_works(mse_store_image_user(*state, "mse-flask", &nobody, &err));
	assert_null(nobody);
}

static void a_database_of_a_later_release_is_refused(void **state)
{
	struct mse_store *later = NULL;
	sqlite3 *handle;

	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
	assert_fails(mse_store_open(path, &later, &err), MSE_ERR_UNSUPPORTED, "schema version 99");
	(void)state;
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct mse_store *store = NULL;
	char junk[80];

	(void)state;
	snprintf(junk, sizeof junk, "%s/junk.db", folder);
	assert_works(mse_file_write(junk, "this is not a database, but it is long enough to look at", 56, 0600, &err));
	assert_fails(mse_store_open(junk, &store, &err), MSE_ERR_IO, "junk.db");
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(what_an_app_is_without_is_remembered),
		with_store(an_app_is_read_as_it_was_written),
		with_store(what_fails_while_it_is_prepared_leaves_nothing),
		with_store(ids_names_and_quotas_are_checked_where_they_are_recorded),
		with_store(a_port_stays_with_its_address_as_long_as_there_are_others),
		with_store(ports_and_users_go_round_and_end),
		with_store(a_stopped_app_stays_stopped),
		with_store(only_the_last_thousand_events_are_kept),
		with_store(an_image_in_use_is_known),
		with_store(a_database_of_a_later_release_is_refused),
		with_store(a_file_that_is_no_database_is_refused),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
