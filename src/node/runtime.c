#include "node/runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "tee/channel.h"

#define SHIM "mse-shim"

/* A file's digest, and the stat data under which it was found. */
struct known_file {
	char *path;
	struct stat status;
	uint8_t sha256[MSE_SHA256_SIZE];
};

struct mse_runtime {
	char *shim;
	char *program;
	char *lib_dir;
	pthread_mutex_t lock;
	struct known_file known[MSE_MANIFEST_MAX_FILES];
	size_t known_count;
};

static int own_folder(char **ret_folder, struct mse_error_info *err)
{
	mse_autofree char *path = realpath("/proc/self/exe", NULL);
	char *slash = path != NULL ? strrchr(path, '/') : NULL;

	if (slash == NULL)
		return mse_fail_errno(err, "cannot find out where this program is");
	*slash = 0;
	return mse_strdup(path, ret_folder, err);
}

static int require(const char *path, int mode, struct mse_error_info *err)
{
	if (access(path, mode) == 0)
		return 0;
	return mse_fail_errno(err, "'%s', which every node needs beside msed, cannot be used", path);
}

int mse_runtime_open(const char *bin_dir, struct mse_runtime **ret_runtime, struct mse_error_info *err)
{
	mse_cleanup(mse_runtime_freep) struct mse_runtime *runtime = calloc(1, sizeof *runtime);
	mse_autofree char *folder = NULL;
	mse_autofree char *lib_dir = NULL;
	int result;

	if (runtime == NULL)
		return mse_fail_nomem(err);
	pthread_mutex_init(&runtime->lock, NULL);
	if ((result = bin_dir != NULL ? mse_strdup(bin_dir, &folder, err) : own_folder(&folder, err)) < 0 ||
	    (result = mse_format(&runtime->shim, err, "%s/" SHIM, folder)) < 0 ||
	    (result = mse_format(&runtime->program, err, "%s/" MSE_ENCLAVE_PROGRAM_NAME, folder)) < 0 ||
	    (result = mse_format(&lib_dir, err, "%s/../lib", folder)) < 0 || (result = require(runtime->shim, X_OK, err)) < 0 ||
	    (result = require(runtime->program, X_OK, err)) < 0 || (result = require(lib_dir, X_OK, err)) < 0)
		return result;
	runtime->lib_dir = realpath(lib_dir, NULL);
	if (runtime->lib_dir == NULL)
		return mse_fail_errno(err, "cannot find '%s'", lib_dir);
	*ret_runtime = mse_steal(runtime);
	return 0;
}

void mse_runtime_free(struct mse_runtime *runtime)
{
	if (runtime == NULL)
		return;
	for (size_t i = 0; i < runtime->known_count; i++)
		free(runtime->known[i].path);
	free(runtime->shim);
	free(runtime->program);
	free(runtime->lib_dir);
	pthread_mutex_destroy(&runtime->lock);
	free(runtime);
}

const char *mse_runtime_shim(const struct mse_runtime *runtime)
{
	return runtime->shim;
}

const char *mse_runtime_program(const struct mse_runtime *runtime)
{
	return runtime->program;
}

const char *mse_runtime_lib_dir(const struct mse_runtime *runtime)
{
	return runtime->lib_dir;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int digest_of(struct mse_runtime *runtime, const char *path, uint8_t sha256[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	struct known_file *known = NULL;
	struct stat status;
	int result;

	if (stat(path, &status) < 0)
		return mse_fail_errno(err, "cannot examine '%s'", path);
	for (size_t i = 0; i < runtime->known_count; i++)
		if (strcmp(runtime->known[i].path, path) == 0)
			known = &runtime->known[i];
	if (known != NULL && same_file(&known->status, &status)) {
		memcpy(sha256, known->sha256, MSE_SHA256_SIZE);
		return 0;
	}
	if ((result = mse_sha256_file(path, sha256, NULL, err)) < 0)
		return result;
	/* Names come from manifests, but only of files that are here: there cannot be many. */
	if (known == NULL && runtime->known_count < MSE_MANIFEST_MAX_FILES) {
		if ((result = mse_strdup(path, &runtime->known[runtime->known_count].path, err)) < 0)
			return result;
		known = &runtime->known[runtime->known_count++];
	}
	if (known != NULL) {
		known->status = status;
		memcpy(known->sha256, sha256, MSE_SHA256_SIZE);
	}
	return 0;
}

static int check_file(struct mse_runtime *runtime, const struct mse_named_digest *file, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	uint8_t found[MSE_SHA256_SIZE];
	char expected_text[MSE_DIGEST_TEXT_SIZE], found_text[MSE_DIGEST_TEXT_SIZE];
	int result = strcmp(file->name, MSE_ENCLAVE_PROGRAM_NAME) == 0 ? mse_strdup(runtime->program, &path, err) :
								    mse_format(&path, err, "%s/%s", runtime->lib_dir, file->name);

	if (result < 0)
		return result;
	result = digest_of(runtime, path, found, err);
	if (result == MSE_ERR_NOT_FOUND)
		return mse_fail(err, MSE_ERR_VERIFY, "the manifest names '%s' of the runtime, which this node does not have", file->name);
	if (result < 0)
		return result;
	if (memcmp(found, file->sha256, sizeof found) == 0)
		return 0;
	mse_digest_format(expected_text, file->sha256);
	mse_digest_format(found_text, found);
	return mse_fail(err, MSE_ERR_VERIFY, "the manifest wants '%s' with %s, this node has %s: use releases of mse and msed that go together",
		file->name, expected_text, found_text);
}

int mse_runtime_check(struct mse_runtime *runtime, const struct mse_manifest *manifest, struct mse_error_info *err)
{
	static const char *const required[] = { MSE_ENCLAVE_PROGRAM_NAME, MSE_ENCLAVE_PYTHON_HOST_NAME };
	int result = 0;

	for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
		bool there = false;

		for (size_t j = 0; j < manifest->runtime_file_count; j++)
			there = there || strcmp(manifest->runtime_files[j].name, required[i]) == 0;
		if (!there)
			return mse_fail(err, MSE_ERR_VERIFY, "the manifest does not name '%s' among the runtime's files", required[i]);
	}
	pthread_mutex_lock(&runtime->lock);
	for (size_t i = 0; result == 0 && i < manifest->runtime_file_count; i++)
		result = check_file(runtime, &manifest->runtime_files[i], err);
	pthread_mutex_unlock(&runtime->lock);
	return result;
}
