/* A throw-away folder for a test, and short ways to put things into it. */
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/file.h"
#include "base/text.h"

static struct mse_error_info err;
static char top[32];

__attribute__((unused)) static int make_top(void **state)
{
	(void)state;
	memcpy(top, "/tmp/mse-test-XXXXXX", sizeof "/tmp/mse-test-XXXXXX");
	return mkdtemp(top) == NULL ? -1 : 0;
}

__attribute__((unused)) static int remove_top(void **state)
{
	(void)state;
	return mse_tree_remove(top, &err);
}

/* The full path of a name in the folder: valid for eight more calls. */
__attribute__((unused)) static const char *in_top(const char *name)
{
	static char paths[8][4096];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", top, name);
	return path;
}

__attribute__((unused)) static void put(const char *name, const char *text)
{
	mse_autofree char *folder = strdup(in_top(name));

	assert_non_null(folder);
	*strrchr(folder, '/') = 0;
	assert_works(mse_dir_make(folder, 0755, &err));
	assert_works(mse_file_write(in_top(name), text, strlen(text), 0644, &err));
}

__attribute__((unused)) static void link_to(const char *target, const char *name)
{
	assert_int_equal(symlink(target, in_top(name)), 0);
}
