/* SQLite with our error contract. One connection, used by one thread at a time: the callers hold the lock of store.h. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct mse_db;

/* Opens or creates path (0600), brings its schema to this release's version, and checks its integrity. MSE_ERR_UNSUPPORTED for a database
 * that a later release has written. */
int mse_db_open(const char *path, struct mse_db **ret_db, struct mse_error_info *err);
/* Sees to it that a file of 4 MiB beside the database keeps room on the disk ... */
int mse_db_keep_reserve(const struct mse_db *db, struct mse_error_info *err);
/* ... and gives it up: true when what has just failed for want of room is worth another try. */
bool mse_db_make_room(struct mse_db *db);
void mse_db_close(struct mse_db *db);
MSE_DEFINE_CLEANUP(struct mse_db, mse_db_close)

__attribute__((unused)) static inline void mse_db_stmt_freep(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

/* A statement with its parameters bound in order, one letter of types each: t (const char *, may be NULL), i (int64_t),
 * b (const void *, size_t). The caller frees it; texts and blobs must stay until then. */
int mse_db_prepare(struct mse_db *db, sqlite3_stmt **ret_statement, struct mse_error_info *err, const char *sql, const char *types, ...);
/* 1: a row is there; 0: no more. */
int mse_db_step(struct mse_db *db, sqlite3_stmt *statement, struct mse_error_info *err);
/* Prepares and runs a statement that gives no rows. *ret_changes (may be NULL): rows changed. */
int mse_db_run(struct mse_db *db, int *ret_changes, struct mse_error_info *err, const char *sql, const char *types, ...);
/* One number from a statement of one row and column; `missing` when there is no row or it is NULL. */
int mse_db_number(struct mse_db *db, int64_t missing, int64_t *ret_number, struct mse_error_info *err, const char *sql, const char *types, ...);

/* Columns of the current row. The text is newly allocated, "" for NULL; the blob must have exactly size bytes. */
int mse_db_column_text(sqlite3_stmt *statement, int column, char **ret_text, struct mse_error_info *err);
int mse_db_column_blob(sqlite3_stmt *statement, int column, void *to, size_t size, struct mse_error_info *err);
