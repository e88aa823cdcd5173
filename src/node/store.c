#include "node/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/db.h"
#include "shim/weaker.h"

#define MAX_EVENTS 1000
#define MIN_PREFIX 8u
#define COLUMNS "id, project, name, owner, plan, address, port, uid, image_name, image_digest, measurement, healthcheck, memory, cpu_millis, storage," \
	" threads, created_at, expires_at, stopped_at, restarts, provisioned, status, reason, weaker"

struct mse_store {
	struct mse_db *db;
	pthread_mutex_t lock;
};

static const char *const event_names[] = {
	[MSE_EVENT_DEPLOYED] = "deployed",
	[MSE_EVENT_SUPERVISOR_STARTED] = "supervisor-started",
	[MSE_EVENT_SUPERVISOR_LOST] = "supervisor-lost",
	[MSE_EVENT_SPAWNING] = "spawning",
	[MSE_EVENT_INITIALIZING] = "initializing",
	[MSE_EVENT_PROVISIONED] = "provisioned",
	[MSE_EVENT_RUNNING] = "running",
	[MSE_EVENT_RESTARTED] = "restarted",
	[MSE_EVENT_ON_ERROR] = "on_error",
	[MSE_EVENT_STOPPED] = "stopped",
};

struct mse_app *mse_app_new(void)
{
	return calloc(1, sizeof(struct mse_app));
}

void mse_app_free(struct mse_app *app)
{
	if (app == NULL)
		return;
	free(app->project);
	free(app->name);
	free(app->plan);
	free(app->image_name);
	free(app->healthcheck);
	free(app->reason);
	free(app);
}

static struct mse_store *lock_store(struct mse_store *store)
{
	pthread_mutex_lock(&store->lock);
	return store;
}

static void unlock_storep(struct mse_store **store)
{
	pthread_mutex_unlock(&(*store)->lock);
}

/* Holds the lock to the end of the block. */
#define HOLD(store) __attribute__((unused)) mse_cleanup(unlock_storep) struct mse_store *held_ = lock_store(store)

int mse_store_open(const char *path, struct mse_store **ret_store, struct mse_error_info *err)
{
	mse_cleanup(mse_store_closep) struct mse_store *store = calloc(1, sizeof *store);
	pthread_mutexattr_t attributes;
	int result;

	if (store == NULL)
		return mse_fail_nomem(err);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&store->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	if ((result = mse_db_open(path, &store->db, err)) < 0)
		return result;
	*ret_store = mse_steal(store);
	return 0;
}

void mse_store_close(struct mse_store *store)
{
	if (store == NULL)
		return;
	mse_db_close(store->db);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

static int read_state(const char *text, enum mse_shim_state *ret_state, struct mse_error_info *err)
{
	for (enum mse_shim_state state = MSE_SHIM_SPAWNING; state <= MSE_SHIM_ON_ERROR; state++)
		if (strcmp(text, mse_shim_state_name(state)) == 0) {
			*ret_state = state;
			return 0;
		}
	return mse_fail(err, MSE_ERR_INTERNAL, "the database knows an unknown status '%.40s'", text);
}

static void read_fixed_text(sqlite3_stmt *row, int column, char *to, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	snprintf(to, size, "%s", text != NULL ? text : "");
}

static int read_row(sqlite3_stmt *row, struct mse_app **ret_app, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = mse_app_new();
	mse_autofree char *status = NULL;
	mse_autofree char *weaker = NULL;
	int result;

	if (app == NULL)
		return mse_fail_nomem(err);
	read_fixed_text(row, 0, app->id, sizeof app->id);
	read_fixed_text(row, 5, app->address, sizeof app->address);
	app->port = (uint16_t)sqlite3_column_int64(row, 6);
	app->uid = (uint32_t)sqlite3_column_int64(row, 7);
	app->memory = (uint64_t)sqlite3_column_int64(row, 12);
	app->cpu_millis = (uint64_t)sqlite3_column_int64(row, 13);
	app->storage = (uint64_t)sqlite3_column_int64(row, 14);
	app->threads = (uint64_t)sqlite3_column_int64(row, 15);
	app->created_at = sqlite3_column_int64(row, 16);
	app->expires_at = sqlite3_column_int64(row, 17);
	app->stopped_at = sqlite3_column_int64(row, 18);
	app->restarts = (uint64_t)sqlite3_column_int64(row, 19);
	app->provisioned = sqlite3_column_int64(row, 20) != 0;
	if ((result = mse_db_column_text(row, 1, &app->project, err)) < 0 || (result = mse_db_column_text(row, 2, &app->name, err)) < 0 ||
	    (result = mse_db_column_blob(row, 3, app->owner, sizeof app->owner, err)) < 0 ||
	    (result = mse_db_column_text(row, 4, &app->plan, err)) < 0 || (result = mse_db_column_text(row, 8, &app->image_name, err)) < 0 ||
	    (result = mse_db_column_blob(row, 9, app->image_digest, sizeof app->image_digest, err)) < 0 ||
	    (result = mse_db_column_blob(row, 10, app->measurement, sizeof app->measurement, err)) < 0 ||
	    (result = mse_db_column_text(row, 11, &app->healthcheck, err)) < 0 || (result = mse_db_column_text(row, 21, &status, err)) < 0 ||
	    (result = mse_db_column_text(row, 22, &app->reason, err)) < 0 || (result = read_state(status, &app->state, err)) < 0 ||
	    (result = mse_db_column_text(row, 23, &weaker, err)) < 0 || (result = mse_weaker_parse(weaker, &app->weaker, err)) < 0)
		return result;
	*ret_app = mse_steal(app);
	return 0;
}

int mse_store_find(struct mse_store *store, const char *id, struct mse_app **ret_app, struct mse_error_info *err)
{
	HOLD(store);
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *rows = NULL;
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	mse_autofree char *last = NULL;
	size_t size = strlen(id);
	int result;

	if (size < MIN_PREFIX || size >= MSE_INSTANCE_ID_TEXT_SIZE || strspn(id, "0123456789abcdef") != size)
		return mse_fail(err, MSE_ERR_INPUT, "'%.80s' is not an instance id: 8 to 64 lower-case hex digits", id);
	/* 'g' follows all hex digits. */
	if ((result = mse_format(&last, err, "%sg", id)) < 0 ||
	    (result = mse_db_prepare(store->db, &rows, err, "SELECT " COLUMNS " FROM apps WHERE id >= ? AND id < ? LIMIT 2", "tt", id, last)) < 0 ||
	    (result = mse_db_step(store->db, rows, err)) < 0)
		return result;
	if (result == 0)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no app with the id %s", id);
	if ((result = read_row(rows, &app, err)) < 0 || (result = mse_db_step(store->db, rows, err)) < 0)
		return result;
	if (result == 1)
		return mse_fail(err, MSE_ERR_EXISTS, "several apps have ids that begin with %s; give more digits", id);
	*ret_app = mse_steal(app);
	return 0;
}

struct app_list {
	struct mse_app **apps;
	size_t count;
};

static void app_list_clear(struct app_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		mse_app_free(list->apps[i]);
	free(list->apps);
}

static int read_list(struct mse_store *store, const char *project, const char *name, struct app_list *list, struct mse_error_info *err)
{
	HOLD(store);
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *rows = NULL;
	int result;

	result = mse_db_prepare(store->db, &rows, err, "SELECT " COLUMNS " FROM apps WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR name = ?2)"
		" ORDER BY created_at DESC, rowid DESC", "tt", project, name);
	while (result >= 0 && (result = mse_db_step(store->db, rows, err)) == 1) {
		struct mse_app **grown = reallocarray(list->apps, list->count + 1, sizeof *grown);

		if (grown == NULL)
			return mse_fail_nomem(err);
		list->apps = grown;
		if ((result = read_row(rows, &list->apps[list->count], err)) == 0)
			list->count++;
	}
	return result;
}

int mse_store_each(struct mse_store *store, const char *project, const char *name, mse_app_visit *visit, void *context, struct mse_error_info *err)
{
	mse_cleanup(app_list_clear) struct app_list list = { NULL, 0 };
	int result = read_list(store, project, name, &list, err);

	for (size_t i = 0; result == 0 && i < list.count; i++)
		result = visit(context, list.apps[i], err);
	return result;
}

int mse_store_instance_seen(struct mse_store *store, const char *id, bool *ret_seen, struct mse_error_info *err)
{
	HOLD(store);
	int64_t count = 0;
	int result;

	result = mse_db_number(store->db, 0, &count, err, "SELECT count(*) FROM instances WHERE id = ?", "t", id);
	*ret_seen = count > 0;
	return result;
}

int mse_store_name_owner(struct mse_store *store, const char *project, const char *name, uint8_t owner[static MSE_SIGN_KEY_SIZE],
	struct mse_error_info *err)
{
	HOLD(store);
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *rows = NULL;
	int result;

	if ((result = mse_db_prepare(store->db, &rows, err, "SELECT owner FROM names WHERE project = ? AND name = ?", "tt", project, name)) < 0 ||
	    (result = mse_db_step(store->db, rows, err)) < 0)
		return result;
	if (result == 0)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "the name '%s' in project '%s' is free", name, project);
	return mse_db_column_blob(rows, 0, owner, MSE_SIGN_KEY_SIZE, err);
}

int mse_store_counts(struct mse_store *store, const uint8_t owner[static MSE_SIGN_KEY_SIZE], uint64_t *ret_all, uint64_t *ret_owner,
	struct mse_error_info *err)
{
	HOLD(store);
	int64_t all, mine;
	int result;

	if ((result = mse_db_number(store->db, 0, &all, err, "SELECT count(*) FROM apps WHERE stopped_at = 0", "")) < 0 ||
	    (result = mse_db_number(store->db, 0, &mine, err, "SELECT count(*) FROM apps WHERE stopped_at = 0 AND owner = ?", "b", owner,
		     (size_t)MSE_SIGN_KEY_SIZE)) < 0)
		return result;
	*ret_all = (uint64_t)all;
	*ret_owner = (uint64_t)mine;
	return 0;
}

int mse_store_image_user(struct mse_store *store, const char *image_name, char **ret_id, struct mse_error_info *err)
{
	HOLD(store);
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *rows = NULL;
	int result;

	*ret_id = NULL;
	if ((result = mse_db_prepare(store->db, &rows, err, "SELECT id FROM apps WHERE stopped_at = 0 AND image_name = ? LIMIT 1", "t", image_name)) < 0 ||
	    (result = mse_db_step(store->db, rows, err)) <= 0)
		return result;
	return mse_db_column_text(rows, 0, ret_id, err);
}

static int check_name(struct mse_store *store, const struct mse_app *app, struct mse_error_info *err)
{
	uint8_t owner[MSE_SIGN_KEY_SIZE];
	int64_t running;
	bool seen;
	int result;

	if ((result = mse_store_instance_seen(store, app->id, &seen, err)) < 0)
		return result;
	if (seen)
		return mse_fail(err, MSE_ERR_EXISTS, "the instance id %s was used before on this node; every deployment needs a fresh one", app->id);
	result = mse_store_name_owner(store, app->project, app->name, owner, err);
	if (result == 0 && memcmp(owner, app->owner, sizeof owner) != 0)
		return mse_fail(err, MSE_ERR_DENIED, "the name '%s' in project '%s' belongs to another owner", app->name, app->project);
	if (result < 0 && result != MSE_ERR_NOT_FOUND)
		return result;
	if ((result = mse_db_number(store->db, 0, &running, err, "SELECT count(*) FROM apps WHERE project = ? AND name = ? AND stopped_at = 0", "tt",
		     app->project, app->name)) < 0)
		return result;
	if (running > 0)
		return mse_fail(err, MSE_ERR_EXISTS, "the app '%s' of project '%s' runs; replace it by its instance id, or stop it first", app->name,
			app->project);
	return 0;
}

static int check_quota(struct mse_store *store, const struct mse_store_ranges *ranges, const struct mse_app *app, struct mse_error_info *err)
{
	uint64_t all, mine;
	int result = mse_store_counts(store, app->owner, &all, &mine, err);

	if (result < 0)
		return result;
	if (all >= ranges->max_apps)
		return mse_fail(err, MSE_ERR_LIMIT, "this node runs %llu apps, which is all that it may", (unsigned long long)all);
	if (mine >= ranges->max_apps_per_owner)
		return mse_fail(err, MSE_ERR_LIMIT, "%llu apps of this owner run here, which is all that one owner may have", (unsigned long long)mine);
	return 0;
}

static int take_port(struct mse_store *store, struct mse_app *app, uint16_t port, struct mse_error_info *err)
{
	int result;

	/* Another address that once had this port, and has no app that uses it, loses it. */
	if ((result = mse_db_run(store->db, NULL, err, "DELETE FROM ports WHERE port = ? OR address = ?", "it", (int64_t)port, app->address)) < 0)
		return result;
	app->port = port;
	return mse_db_run(store->db, NULL, err, "INSERT INTO ports (address, port, used_at) VALUES (?, ?, ?)", "tii", app->address, (int64_t)port,
		app->created_at);
}

static bool port_is_used(struct mse_store *store, int64_t port)
{
	struct mse_error_info ignored;
	int64_t count = 1;

	return mse_db_number(store->db, 1, &count, &ignored, "SELECT count(*) FROM apps WHERE port = ? AND stopped_at = 0", "i", port) < 0 || count > 0;
}

static int choose_port(struct mse_store *store, const struct mse_store_ranges *ranges, struct mse_app *app, struct mse_error_info *err)
{
	int64_t port = 0;
	int result = mse_db_number(store->db, 0, &port, err, "SELECT port FROM ports WHERE address = ?", "t", app->address);

	if (result < 0)
		return result;
	if (port >= ranges->port_first && port <= ranges->port_last && !port_is_used(store, port) && ranges->port_is_free((uint16_t)port))
		return take_port(store, app, (uint16_t)port, err);
	/* First those that no address has had, then the one that has been out of use for longest. */
	for (uint32_t next = ranges->port_first; next <= ranges->port_last; next++) {
		if ((result = mse_db_number(store->db, 0, &port, err, "SELECT count(*) FROM ports WHERE port = ?", "i", (int64_t)next)) < 0)
			return result;
		if (port == 0 && ranges->port_is_free((uint16_t)next))
			return take_port(store, app, (uint16_t)next, err);
	}
	for (int64_t skip = 0;; skip++) {
		if ((result = mse_db_number(store->db, 0, &port, err, "SELECT port FROM ports ORDER BY used_at, port LIMIT 1 OFFSET ?", "i", skip)) < 0)
			return result;
		if (port == 0)
			return mse_fail(err, MSE_ERR_LIMIT, "no port from %u to %u is free on this node", ranges->port_first, ranges->port_last);
		if (port >= ranges->port_first && port <= ranges->port_last && !port_is_used(store, port) && ranges->port_is_free((uint16_t)port))
			return take_port(store, app, (uint16_t)port, err);
	}
}

/* Round and round through the range, so that a uid rests for long after its app. */
static int choose_uid(struct mse_store *store, const struct mse_store_ranges *ranges, struct mse_app *app, struct mse_error_info *err)
{
	int64_t next, used;
	int result;

	app->uid = 0;
	if (ranges->uid_count == 0)
		return 0;
	if ((result = mse_db_number(store->db, 0, &next, err, "SELECT value FROM counters WHERE name = 'uid'", "")) < 0)
		return result;
	for (uint32_t tried = 0; tried < ranges->uid_count; tried++, next++) {
		int64_t uid = ranges->uid_first + next % ranges->uid_count;

		if ((result = mse_db_number(store->db, 0, &used, err, "SELECT count(*) FROM apps WHERE uid = ? AND stopped_at = 0", "i", uid)) < 0)
			return result;
		if (used == 0) {
			app->uid = (uint32_t)uid;
			return mse_db_run(store->db, NULL, err, "INSERT OR REPLACE INTO counters (name, value) VALUES ('uid', ?)", "i",
				(next + 1) % ranges->uid_count);
		}
	}
	return mse_fail(err, MSE_ERR_LIMIT, "all %u user ids of this node's range are in use", ranges->uid_count);
}

static int insert_rows(struct mse_store *store, const struct mse_app *app, struct mse_error_info *err)
{
	int result;

	if ((result = mse_db_run(store->db, NULL, err, "INSERT INTO instances (id, seen_at) VALUES (?, ?)", "ti", app->id, app->created_at)) < 0 ||
	    (result = mse_db_run(store->db, NULL, err, "INSERT OR IGNORE INTO names (project, name, owner) VALUES (?, ?, ?)", "ttb", app->project,
		     app->name, app->owner, sizeof app->owner)) < 0 ||
	    (result = mse_db_run(store->db, NULL, err, "INSERT INTO apps (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
			" 0, 0, 0, ?, NULL, '')", "tttbttiitbbtiiiiiit", app->id, app->project, app->name, app->owner, sizeof app->owner, app->plan,
		     app->address, (int64_t)app->port, (int64_t)app->uid, app->image_name, app->image_digest, sizeof app->image_digest,
		     app->measurement, sizeof app->measurement, app->healthcheck, (int64_t)app->memory, (int64_t)app->cpu_millis, (int64_t)app->storage,
		     (int64_t)app->threads, app->created_at, app->expires_at, mse_shim_state_name(app->state))) < 0)
		return result;
	return mse_store_event(store, app->id, MSE_EVENT_DEPLOYED, app->name, err);
}

int mse_store_insert(struct mse_store *store, const struct mse_store_ranges *ranges, struct mse_app *app, mse_store_prepare *prepare, void *context,
	struct mse_error_info *err)
{
	HOLD(store);
	struct mse_error_info ignored;
	int result;

	if ((result = mse_db_run(store->db, NULL, err, "BEGIN IMMEDIATE", "")) < 0)
		return result;
	app->state = MSE_SHIM_SPAWNING;
	if ((result = check_name(store, app, err)) < 0 || (result = check_quota(store, ranges, app, err)) < 0 ||
	    (result = choose_port(store, ranges, app, err)) < 0 || (result = choose_uid(store, ranges, app, err)) < 0 ||
	    (result = insert_rows(store, app, err)) < 0 || (result = prepare(context, app, err)) < 0 ||
	    (result = mse_db_run(store->db, NULL, err, "COMMIT", "")) < 0)
		mse_db_run(store->db, NULL, &ignored, "ROLLBACK", "");
	return result;
}

static int add_events(struct mse_store *store, const struct mse_app *app, const struct mse_shim_status *status, struct mse_error_info *err)
{
	static const enum mse_event of_state[] = { [MSE_SHIM_SPAWNING] = MSE_EVENT_SPAWNING, [MSE_SHIM_INITIALIZING] = MSE_EVENT_INITIALIZING,
		[MSE_SHIM_RUNNING] = MSE_EVENT_RUNNING, [MSE_SHIM_STOPPED] = MSE_EVENT_STOPPED, [MSE_SHIM_ON_ERROR] = MSE_EVENT_ON_ERROR };
	int result = 0;

	if (status->provisioned && !app->provisioned)
		result = mse_store_event(store, app->id, MSE_EVENT_PROVISIONED, "", err);
	if (result == 0 && status->restarts > app->restarts)
		result = mse_store_event(store, app->id, MSE_EVENT_RESTARTED, status->reason, err);
	if (result == 0 && (status->state != app->state || strcmp(status->reason, app->reason) != 0))
		result = mse_store_event(store, app->id, of_state[status->state], status->reason, err);
	return result;
}

static int write_status(struct mse_store *store, const char *id, const struct mse_shim_status *status, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	struct mse_error_info ignored;
	char weaker[MSE_WEAKER_TEXT_SIZE];
	int64_t stopped_at = status->final ? mse_time_now() : 0;
	int result;

	if ((result = mse_store_find(store, id, &app, err)) < 0)
		return result;
	/* "stopped" is only said of an app whose storage is gone and whose name is free to be deployed again. */
	if (status->state == MSE_SHIM_STOPPED && !status->final)
		return 0;
	if (app->stopped_at != 0 || (status->state == app->state && status->restarts == app->restarts && status->provisioned == app->provisioned &&
		    strcmp(status->reason, app->reason) == 0 && status->weaker == app->weaker && !status->final))
		return 0;
	if ((result = mse_db_run(store->db, NULL, err, "BEGIN IMMEDIATE", "")) < 0)
		return result;
	mse_weaker_format(status->weaker, weaker);
	if ((result = add_events(store, app, status, err)) < 0 ||
	    (result = mse_db_run(store->db, NULL, err, "UPDATE apps SET status = ?, reason = ?, restarts = ?, provisioned = ?, stopped_at = ?, weaker = ?"
		     " WHERE id = ?", "ttiiitt", mse_shim_state_name(status->final ? MSE_SHIM_STOPPED : status->state), status->reason[0] != 0 ? status->reason : NULL,
		     (int64_t)status->restarts, (int64_t)status->provisioned, stopped_at, weaker, id)) < 0 ||
	    (status->final && (result = mse_db_run(store->db, NULL, err, "UPDATE ports SET used_at = ? WHERE address = ?", "it", stopped_at,
		     app->address)) < 0) ||
	    (result = mse_db_run(store->db, NULL, err, "COMMIT", "")) < 0)
		mse_db_run(store->db, NULL, &ignored, "ROLLBACK", "");
	return result;
}

int mse_store_status(struct mse_store *store, const char *id, const struct mse_shim_status *status, struct mse_error_info *err)
{
	HOLD(store);
	int result = write_status(store, id, status, err);

	/* The end of an app frees room, and must not fail for the want of it. */
	return result < 0 && status->final && mse_db_make_room(store->db) ? write_status(store, id, status, err) : result;
}

int mse_store_event(struct mse_store *store, const char *id, enum mse_event event, const char *detail, struct mse_error_info *err)
{
	HOLD(store);
	int result;

	if ((result = mse_db_run(store->db, NULL, err, "INSERT INTO events (app, time, event, detail) VALUES (?, ?, ?, ?)", "titt", id, mse_time_now(),
		     event_names[event], detail)) < 0)
		return result;
	return mse_db_run(store->db, NULL, err, "DELETE FROM events WHERE app = ?1 AND number <= (SELECT number FROM events WHERE app = ?1"
		" ORDER BY number DESC LIMIT 1 OFFSET ?2)", "ti", id, (int64_t)MAX_EVENTS);
}

int mse_store_events(struct mse_store *store, const char *id, json_t **ret_array, struct mse_error_info *err)
{
	HOLD(store);
	mse_autojson *array = json_array();
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *rows = NULL;
	int result;

	if (array == NULL)
		return mse_fail_nomem(err);
	result = mse_db_prepare(store->db, &rows, err, "SELECT time, event, detail FROM events WHERE app = ? ORDER BY number", "t", id);
	while (result >= 0 && (result = mse_db_step(store->db, rows, err)) == 1) {
		json_t *event = json_pack("{s:I, s:s, s:s}", "time", (json_int_t)sqlite3_column_int64(rows, 0), "event",
			(const char *)sqlite3_column_text(rows, 1), "detail", (const char *)sqlite3_column_text(rows, 2));

		if (json_array_append_new(array, event) < 0)
			return mse_fail_nomem(err);
	}
	if (result == 0)
		*ret_array = mse_steal(array);
	return result;
}

static int forget(struct mse_store *store, const char *id, bool free_name, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	struct mse_error_info ignored;
	int result;

	if ((result = mse_store_find(store, id, &app, err)) < 0 || (result = mse_db_run(store->db, NULL, err, "BEGIN IMMEDIATE", "")) < 0)
		return result;
	if ((result = mse_db_run(store->db, NULL, err, "DELETE FROM apps WHERE id = ?", "t", id)) < 0 ||
	    (free_name && (result = mse_db_run(store->db, NULL, err, "DELETE FROM names WHERE project = ?1 AND name = ?2 AND NOT EXISTS"
			" (SELECT 1 FROM apps WHERE project = ?1 AND name = ?2)", "tt", app->project, app->name)) < 0) ||
	    (result = mse_db_run(store->db, NULL, err, "COMMIT", "")) < 0)
		mse_db_run(store->db, NULL, &ignored, "ROLLBACK", "");
	return result;
}

int mse_store_forget(struct mse_store *store, const char *id, bool free_name, struct mse_error_info *err)
{
	HOLD(store);
	int result = forget(store, id, free_name, err);

	return result < 0 && mse_db_make_room(store->db) ? forget(store, id, free_name, err) : result;
}

int mse_store_keep_reserve(struct mse_store *store, struct mse_error_info *err)
{
	HOLD(store);

	return mse_db_keep_reserve(store->db, err);
}
