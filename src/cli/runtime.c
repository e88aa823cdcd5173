#include "cli/runtime.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/hash.h"

#define MAX_SIZE ((size_t)64 * 1024)

void mse_runtime_clear(struct mse_runtime *runtime)
{
	for (size_t i = 0; i < runtime->count; i++)
		free(mse_steal(runtime->files[i].name));
	runtime->count = 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct mse_named_digest *)a)->name, ((const struct mse_named_digest *)b)->name);
}

static int read_files(const json_t *root, const char *path, struct mse_runtime *runtime, struct mse_error_info *err)
{
	json_t *files, *value;
	const char *name, *digest;
	int result = mse_json_object(root, "files", path, &files, err);

	if (result < 0)
		return result;
	if (json_object_size(files) == 0 || json_object_size(files) > MSE_MANIFEST_MAX_FILES)
		return mse_fail(err, MSE_ERR_LIMIT, "'%s' lists %zu files, allowed are 1 to %d", path, json_object_size(files), MSE_MANIFEST_MAX_FILES);
	json_object_foreach (files, name, value) {
		struct mse_named_digest *file = &runtime->files[runtime->count];

		if ((result = mse_json_string(files, name, path, &digest, err)) < 0 || (result = mse_digest_parse(digest, file->sha256, name, err)) < 0 ||
		    (result = mse_strdup(name, &file->name, err)) < 0)
			return result;
		runtime->count++;
	}
	qsort(runtime->files, runtime->count, sizeof runtime->files[0], compare_names);
	return 0;
}

int mse_runtime_read(const char *path, struct mse_runtime *ret_runtime, struct mse_error_info *err)
{
	mse_autojson *root = NULL;
	int result;

	*ret_runtime = (struct mse_runtime){ 0 };
	if ((result = mse_json_read(path, MAX_SIZE, &root, err)) < 0)
		return mse_context(err, "cannot tell which enclave runtime belongs to this mse; install it again");
	if ((result = mse_json_u64(root, "security_version", path, 0, UINT16_MAX, &ret_runtime->security_version, err)) == 0)
		result = read_files(root, path, ret_runtime, err);
	if (result < 0)
		mse_runtime_clear(ret_runtime);
	return result;
}

int mse_runtime_load(struct mse_runtime *ret_runtime, struct mse_error_info *err)
{
	char program[PATH_MAX];
	mse_autofree char *path = NULL;
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
	char *slash;
	int result;

	*ret_runtime = (struct mse_runtime){ 0 };
	if (size < 0)
		return mse_fail_errno(err, "cannot find the place of this program");
	program[size] = 0;
	slash = strrchr(program, '/');
	if (slash == NULL)
		return mse_fail(err, MSE_ERR_INTERNAL, "this program has no path: '%s'", program);
	*slash = 0;
	if ((result = mse_format(&path, err, "%s/../share/mse/runtime.json", program)) < 0)
		return result;
	return mse_runtime_read(path, ret_runtime, err);
}
