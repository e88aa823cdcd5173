#include "node/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define BUSY_TIMEOUT_MS 10000

/* What is written down when apps end is some pages in the log that SQLite writes ahead, and in the database. */
#define RESERVE_SUFFIX ".reserve"
#define RESERVE_SIZE ((off_t)4 * 1024 * 1024)

struct mse_db {
	sqlite3 *handle;
	char *path;
	char *reserve;
	bool was_full; /* something failed for want of room */
};

/* Each entry brings the schema from its index to the next version; entries are never changed once released. */
static const char *const schema[] = {
	/* An app's row goes when the app is removed or its log has been kept long enough; `instances` never forgets. */
	"CREATE TABLE apps ("
	" id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, owner BLOB NOT NULL, plan TEXT NOT NULL,"
	" address TEXT NOT NULL, port INTEGER NOT NULL, uid INTEGER NOT NULL, image_name TEXT NOT NULL, image_digest BLOB NOT NULL,"
	" measurement BLOB NOT NULL, healthcheck TEXT NOT NULL, memory INTEGER NOT NULL, cpu_millis INTEGER NOT NULL, storage INTEGER NOT NULL,"
	" threads INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, stopped_at INTEGER NOT NULL DEFAULT 0,"
	" restarts INTEGER NOT NULL DEFAULT 0, provisioned INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, reason TEXT);"
	"CREATE INDEX apps_by_name ON apps (project, name);"
	/* The port stays with the address, and the name with the owner, from one deployment to the next. */
	"CREATE TABLE names (project TEXT NOT NULL, name TEXT NOT NULL, owner BLOB NOT NULL, PRIMARY KEY (project, name));"
	"CREATE TABLE ports (address TEXT PRIMARY KEY, port INTEGER NOT NULL UNIQUE, used_at INTEGER NOT NULL);"
	"CREATE TABLE instances (id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,"
	" time INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL);"
	"CREATE INDEX events_by_app ON events (app, number);"
	"CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);",
	/* What an app has less of on this node: names as of shim/weaker.h. */
	"ALTER TABLE apps ADD COLUMN weaker TEXT NOT NULL DEFAULT '';",
};
#define SCHEMA_VERSION ((int64_t)(sizeof schema / sizeof schema[0]))

static int fail_db(struct mse_db *db, struct mse_error_info *err, const char *what)
{
	int code = sqlite3_errcode(db->handle);
	bool is_full = code == SQLITE_FULL || (code == SQLITE_IOERR && sqlite3_system_errno(db->handle) == ENOSPC);

	/* Up to mse_db_make_room(): what is rolled back afterwards may fail in other ways. */
	db->was_full |= is_full;
	return mse_fail(err, code == SQLITE_NOMEM ? MSE_ERR_NOMEM : MSE_ERR_IO, "%s the database '%s': %s%s", what, db->path, sqlite3_errmsg(db->handle),
		is_full ? "; the disk is full: free some space" : "");
}

static int execute(struct mse_db *db, const char *sql, struct mse_error_info *err)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_db(db, err, "cannot write to");
}

static int migrate(struct mse_db *db, struct mse_error_info *err)
{
	int64_t version;
	int result = mse_db_number(db, 0, &version, err, "PRAGMA user_version", "");

	if (result < 0)
		return result;
	if (version > SCHEMA_VERSION)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the database '%s' has schema version %lld, this msed knows versions up to %lld: use the newer msed",
			db->path, (long long)version, (long long)SCHEMA_VERSION);
	for (; version < SCHEMA_VERSION; version++) {
		mse_autofree char *sql = NULL;

		if ((result = mse_format(&sql, err, "BEGIN IMMEDIATE; %s PRAGMA user_version = %lld; COMMIT;", schema[version], (long long)version + 1)) < 0 ||
		    (result = execute(db, sql, err)) < 0)
			return result;
	}
	return 0;
}

static int check_integrity(struct mse_db *db, struct mse_error_info *err)
{
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *statement = NULL;
	mse_autofree char *answer = NULL;
	int result = mse_db_prepare(db, &statement, err, "PRAGMA quick_check(1)", "");

	if (result < 0 || (result = mse_db_step(db, statement, err)) < 0 || (result = mse_db_column_text(statement, 0, &answer, err)) < 0)
		return result;
	return strcmp(answer, "ok") == 0 ? 0 : mse_fail(err, MSE_ERR_IO, "the database '%s' is damaged: %s", db->path, answer);
}

static int open_handle(const char *path, int flags, struct mse_db **ret_db, struct mse_error_info *err)
{
	mse_cleanup(mse_db_closep) struct mse_db *db = calloc(1, sizeof *db);
	int result;

	if (db == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_strdup(path, &db->path, err)) < 0 || (result = mse_format(&db->reserve, err, "%s" RESERVE_SUFFIX, path)) < 0)
		return result;
	if (sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL) != SQLITE_OK)
		return db->handle == NULL ? mse_fail_nomem(err) : fail_db(db, err, "cannot open");
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	*ret_db = mse_steal(db);
	return 0;
}

static int set_up(struct mse_db *db, struct mse_error_info *err)
{
	/* FULL: an instance id once used must not be forgotten by a crash of the machine. */
	int result = execute(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", err);

	return result < 0 || (result = check_integrity(db, err)) < 0 ? result : migrate(db, err);
}

int mse_db_open(const char *path, struct mse_db **ret_db, struct mse_error_info *err)
{
	mse_cleanup(mse_db_closep) struct mse_db *db = NULL;
	/* SQLite would create it with the mode that the umask gives. */
	mse_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat status;
	int result;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open the database '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "the database '%s' is not a regular file", path);
	if ((result = open_handle(path, SQLITE_OPEN_READWRITE, &db, err)) < 0)
		return result;
	if ((result = set_up(db, err)) < 0 && (!mse_db_make_room(db) || (result = set_up(db, err)) < 0))
		return result;
	*ret_db = mse_steal(db);
	return 0;
}

void mse_db_close(struct mse_db *db)
{
	if (db == NULL)
		return;
	sqlite3_close_v2(db->handle);
	free(db->path);
	free(db->reserve);
	free(db);
}

static int open_reserve(const struct mse_db *db, struct stat *status, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int fd = open(db->reserve, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0 || fstat(fd, status) < 0)
		return mse_fail_errno(err, "cannot open '%s'", db->reserve);
	if (!S_ISREG(status->st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file; remove it", db->reserve);
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

int mse_db_keep_reserve(const struct mse_db *db, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;
	struct stat status;
	int result = open_reserve(db, &status, &fd, err);

	if (result < 0 || (off_t)status.st_blocks * 512 >= RESERVE_SIZE)
		return result;
	errno = posix_fallocate(fd, 0, RESERVE_SIZE);
	if (errno != 0) {
		mse_fail_errno(err, "cannot keep %d MiB of the disk for the end of apps in '%s'; free some space", (int)(RESERVE_SIZE / 1024 / 1024), db->reserve);
		/* Half of it would be of no use to anybody. */
		return ftruncate(fd, 0) < 0 ? mse_context(err, "cannot give back") : err->code;
	}
	return 0;
}

bool mse_db_make_room(struct mse_db *db)
{
	struct mse_error_info ignored;
	mse_autoclose int fd = -1;
	struct stat status;

	if (!db->was_full || open_reserve(db, &status, &fd, &ignored) < 0)
		return false;
	db->was_full = false;
	return status.st_blocks > 0 && ftruncate(fd, 0) == 0;
}

static int bind_all(sqlite3_stmt *statement, const char *types, va_list values)
{
	int status = SQLITE_OK;

	for (int i = 1; *types != 0 && status == SQLITE_OK; types++, i++) {
		if (*types == 't') {
			status = sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
		} else if (*types == 'i') {
			status = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
		} else {
			const void *data = va_arg(values, const void *);

			status = sqlite3_bind_blob64(statement, i, data, va_arg(values, size_t), SQLITE_STATIC);
		}
	}
	return status;
}

static int prepare(struct mse_db *db, sqlite3_stmt **ret_statement, struct mse_error_info *err, const char *sql, const char *types, va_list values)
{
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) != SQLITE_OK || bind_all(statement, types, values) != SQLITE_OK)
		return fail_db(db, err, "cannot query");
	*ret_statement = mse_steal(statement);
	return 0;
}

int mse_db_prepare(struct mse_db *db, sqlite3_stmt **ret_statement, struct mse_error_info *err, const char *sql, const char *types, ...)
{
	va_list values;
	int result;

	va_start(values, types);
	result = prepare(db, ret_statement, err, sql, types, values);
	va_end(values);
	return result;
}

int mse_db_step(struct mse_db *db, sqlite3_stmt *statement, struct mse_error_info *err)
{
	int status = sqlite3_step(statement);

	if (status == SQLITE_ROW)
		return 1;
	return status == SQLITE_DONE ? 0 : fail_db(db, err, "cannot query");
}

int mse_db_run(struct mse_db *db, int *ret_changes, struct mse_error_info *err, const char *sql, const char *types, ...)
{
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *statement = NULL;
	va_list values;
	int result;

	va_start(values, types);
	result = prepare(db, &statement, err, sql, types, values);
	va_end(values);
	if (result < 0 || (result = mse_db_step(db, statement, err)) < 0)
		return result;
	if (ret_changes != NULL)
		*ret_changes = sqlite3_changes(db->handle);
	return 0;
}

int mse_db_number(struct mse_db *db, int64_t missing, int64_t *ret_number, struct mse_error_info *err, const char *sql, const char *types, ...)
{
	mse_cleanup(mse_db_stmt_freep) sqlite3_stmt *statement = NULL;
	va_list values;
	int result;

	va_start(values, types);
	result = prepare(db, &statement, err, sql, types, values);
	va_end(values);
	if (result < 0 || (result = mse_db_step(db, statement, err)) < 0)
		return result;
	*ret_number = result == 1 && sqlite3_column_type(statement, 0) != SQLITE_NULL ? sqlite3_column_int64(statement, 0) : missing;
	return 0;
}

int mse_db_column_text(sqlite3_stmt *statement, int column, char **ret_text, struct mse_error_info *err)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return mse_strdup(text != NULL ? text : "", ret_text, err);
}

int mse_db_column_blob(sqlite3_stmt *statement, int column, void *to, size_t size, struct mse_error_info *err)
{
	const void *blob = sqlite3_column_blob(statement, column);

	if (blob == NULL || (size_t)sqlite3_column_bytes(statement, column) != size)
		return mse_fail(err, MSE_ERR_INTERNAL, "the database's column '%s' does not hold %zu bytes", sqlite3_column_name(statement, column), size);
	memcpy(to, blob, size);
	return 0;
}
