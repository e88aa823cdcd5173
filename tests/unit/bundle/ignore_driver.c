/* What our ignore rules say of real folders, for compare_with_git.py.
 *
 *     ignore_driver match NAME FOLDER…   of every path below each folder: FOLDER NUL path NUL deciding folder NUL deciding line NUL verdict NUL,
 *                                        with NAME in the place of .mseignore; line 0: no pattern speaks of it
 *     ignore_driver walk FOLDER…         the files and links that are packed: FOLDER NUL path NUL
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "bundle/ignore.h"
#include "bundle/walk.h"

static struct mse_error_info err;
static const char *file_name;

static void check(int result)
{
	if (result < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
}

static void match_folder(const char *root, const char *folder, const struct mse_ignore *above, const struct mse_ignore_reason *excluded)
{
	mse_cleanup(mse_ignore_freep) struct mse_ignore *own = NULL;
	mse_autofree char *full = NULL;
	mse_autofree char *file = NULL;
	mse_autofree uint8_t *text = NULL;
	size_t size;
	struct dirent *entry;
	DIR *dir;

	check(mse_path_join(root, folder, &full, &err));
	check(mse_path_join(full, file_name, &file, &err));
	if (excluded == NULL && mse_path_exists(file)) {
		check(mse_file_read(file, MSE_IGNORE_MAX_FILE_SIZE, &text, &size, &err));
		check(mse_ignore_parse(text, size, folder, above, &own, &err));
		above = own;
	}
	dir = opendir(full);
	if (dir == NULL)
		exit(1);
	while ((entry = readdir(dir)) != NULL) {
		mse_autofree char *path = NULL;
		mse_autofree char *full_path = NULL;
		struct mse_ignore_reason reason = { .folder = "", .line = 0 };
		enum mse_ignore_verdict verdict = MSE_IGNORE_EXCLUDE;
		struct stat status;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		check(mse_path_join(folder, entry->d_name, &path, &err));
		check(mse_path_join(root, path, &full_path, &err));
		if (lstat(full_path, &status) < 0)
			exit(1);
		if (excluded != NULL)
			reason = *excluded;
		else
			verdict = mse_ignore_match(above, path, S_ISDIR(status.st_mode), &reason);
		printf("%s%c%s%c%s%c%zu%c%s%c", root, 0, path, 0, reason.folder, 0, reason.line, 0,
			verdict == MSE_IGNORE_EXCLUDE ? "exclude" : verdict == MSE_IGNORE_INCLUDE ? "include" : "silent", 0);
		if (S_ISDIR(status.st_mode))
			match_folder(root, path, above, verdict == MSE_IGNORE_EXCLUDE ? &reason : NULL);
	}
	closedir(dir);
}

static void walk(const char *root)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;

	check(mse_walk_open(root, &walk, &err));
	for (size_t i = 0; i < mse_walk_count(walk); i++) {
		const struct mse_walk_entry *entry = mse_walk_at(walk, i);

		if (entry->type != MSE_TREE_DIR)
			printf("%s%c%s%c", root, 0, entry->path, 0);
	}
}

int main(int argc, char **argv)
{
	bool match = argc > 3 && strcmp(argv[1], "match") == 0;

	if (!match && (argc < 3 || strcmp(argv[1], "walk") != 0))
		return 2;
	if (match)
		file_name = argv[2];
	for (int i = match ? 3 : 2; i < argc; i++) {
		if (match)
			match_folder(argv[i], "", NULL, NULL);
		else
			walk(argv[i]);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
