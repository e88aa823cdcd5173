/* `.mseignore`: the syntax and semantics of .gitignore (gitignore(5)), one list per file, chained from folder to folder. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

#define MSE_IGNORE_FILE_NAME ".mseignore"
#define MSE_IGNORE_MAX_FILE_SIZE ((size_t)256 * 1024)
#define MSE_IGNORE_MAX_PATTERN_SIZE ((size_t)4096)

/* The patterns of one file. */
struct mse_ignore;

enum mse_ignore_verdict {
	MSE_IGNORE_SILENT = 0,  /* no pattern speaks of the path */
	MSE_IGNORE_EXCLUDE = 1, /* left out */
	MSE_IGNORE_INCLUDE = 2, /* kept, by a pattern beginning with '!' */
};

/* Which pattern decided. The folder is owned by the list it points into. */
struct mse_ignore_reason {
	const char *folder; /* that of the .mseignore, as given to mse_ignore_parse() */
	size_t line;        /* from 1 */
};

/* The patterns of the .mseignore in `folder`, a path relative to the root without slashes at its ends ("" for the root
 * itself). No text is a syntax error in this language. MSE_ERR_LIMIT when the text or one pattern passes the limits
 * above. parent is the list of the nearest folder above that has one, or NULL; it must outlive *ret_ignore. */
int mse_ignore_parse(const void *text, size_t size, const char *folder, const struct mse_ignore *parent, struct mse_ignore **ret_ignore,
	struct mse_error_info *err);
void mse_ignore_free(struct mse_ignore *ignore);
MSE_DEFINE_CLEANUP(struct mse_ignore, mse_ignore_free)

/* What the list and its parents say of one path, relative to the root: the nearest folder's list that speaks decides,
 * in it the last pattern. ignore may be NULL: SILENT. The answer is about this path alone: a path below an excluded
 * folder is excluded whatever the patterns say of it, so the caller does not descend into an excluded folder.
 * is_dir is false for a symbolic link to a folder. ret_reason may be NULL and is set unless the verdict is SILENT.
 * Takes time proportional to the sizes of patterns and path (no backtracking). */
enum mse_ignore_verdict mse_ignore_match(const struct mse_ignore *ignore, const char *path, bool is_dir, struct mse_ignore_reason *ret_reason);
