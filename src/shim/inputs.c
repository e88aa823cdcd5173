#include "shim/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "bundle/bundle.h"
#include "bundle/tree_scan.h"
#include "crypto/hash.h"
#include "tee/channel.h"

#define MAX_RUNTIME_FILE_SIZE ((uint64_t)256 * 1024 * 1024)

static void file_clear(struct mse_shim_file *file)
{
	free(file->path);
	free(file->name);
	mse_close(file->fd);
}

void mse_shim_inputs_free(struct mse_shim_inputs *inputs)
{
	if (inputs == NULL)
		return;
	mse_manifest_free(inputs->manifest);
	free(inputs->manifest_bytes);
	file_clear(&inputs->image);
	file_clear(&inputs->bundle);
	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		file_clear(&inputs->runtime[i]);
	free(inputs);
}

/* Reading what is too large anyway would only take its time. */
static int compare(const struct mse_shim_file *file, const uint8_t expected[static MSE_SHA256_SIZE], uint64_t max_size, const char *what,
	struct mse_error_info *err)
{
	uint8_t digest[MSE_SHA256_SIZE];
	struct stat status;
	int result;

	if (fstat(file->fd, &status) < 0)
		return mse_fail_errno(err, "%s cannot be examined", what);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_CRYPTO, "%s is not a regular file", what);
	if ((uint64_t)status.st_size > max_size)
		return mse_fail(err, MSE_ERR_CRYPTO, "%s has %jd bytes, the limit is %ju", what, (intmax_t)status.st_size, (uintmax_t)max_size);
	if (lseek(file->fd, 0, SEEK_SET) < 0)
		return mse_fail_errno(err, "%s cannot be read", what);
	if ((result = mse_sha256_fd(file->fd, digest, NULL, err)) < 0)
		return mse_context(err, "%s", what);
	if (memcmp(digest, expected, sizeof digest) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "%s is not the one that the manifest names", what);
	return 0;
}

/* Opens a regular file, following links (the runtime may be installed through them), and compares what the descriptor reads. */
static int open_and_compare(struct mse_shim_file *file, const uint8_t expected[static MSE_SHA256_SIZE], uint64_t max_size, const char *what,
	struct mse_error_info *err)
{
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return mse_fail_errno(err, "%s cannot be opened", what);
	return compare(file, expected, max_size, what, err);
}

#define WHAT_SIZE 160
static const char what_bundle[] = "the bundle";

static void name_runtime_file(char what[static WHAT_SIZE], const struct mse_named_digest *named)
{
	snprintf(what, WHAT_SIZE, "runtime file '%s'", named->name);
}

static int check_bundle(struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	int result = mse_strdup(MSE_SHIM_BUNDLE_FILE, &inputs->bundle.path, err);

	if (result < 0 || (result = open_and_compare(&inputs->bundle, inputs->manifest->bundle_sha256, MSE_BUNDLE_MAX_SIZE, what_bundle, err)) < 0)
		return result;
	/* It is sealed, and the app's folder is closed: the enclave reads it as another user. */
	if (fchmod(inputs->bundle.fd, 0444) < 0)
		return mse_fail_errno(err, "the bundle cannot be made readable");
	return 0;
}

static int check_runtime(const struct mse_shim_config *config, struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = inputs->manifest;
	bool program = false;
	int result;

	for (size_t i = 0; i < manifest->runtime_file_count; i++) {
		const struct mse_named_digest *named = &manifest->runtime_files[i];
		struct mse_shim_file *file = &inputs->runtime[i];
		bool is_program = strcmp(named->name, MSE_ENCLAVE_PROGRAM_NAME) == 0;
		char what[WHAT_SIZE];

		name_runtime_file(what, named);
		inputs->runtime_count++;
		if ((result = mse_strdup(named->name, &file->name, err)) < 0)
			return result;
		result = is_program ? mse_strdup(config->program, &file->path, err) : mse_path_join(config->lib_dir, named->name, &file->path, err);
		if (result < 0 || (result = open_and_compare(file, named->sha256, MAX_RUNTIME_FILE_SIZE, what, err)) < 0)
			return result;
		program |= is_program;
	}
	if (!program)
		return mse_fail(err, MSE_ERR_INPUT, "the manifest names no runtime file '" MSE_ENCLAVE_PROGRAM_NAME "'");
	return 0;
}

static int compare_image(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	uint8_t digest[MSE_TREE_DIGEST_SIZE];
	char path[64];
	int result;

	/* The folder that will be mounted, whatever its path leads to by now. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", inputs->image.fd);
	result = mse_tree_digest_dir_cached(path, config->image_cache, digest, NULL, err);
	if (result < 0)
		return mse_context(err, "image '%s'", inputs->manifest->image_name);
	if (memcmp(digest, inputs->manifest->image_digest, sizeof digest) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "image '%s' is not the one that the manifest names: its files differ", inputs->manifest->image_name);
	return 0;
}

static int check_image(const struct mse_shim_config *config, struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	int result = mse_strdup(config->image, &inputs->image.path, err);

	if (result < 0)
		return result;
	inputs->image.fd = open(config->image, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (inputs->image.fd < 0)
		return mse_fail_errno(err, "image '%s' cannot be opened", inputs->manifest->image_name);
	return compare_image(config, inputs, err);
}

int mse_shim_inputs_check_again(const struct mse_shim_config *config, const struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = inputs->manifest;
	int result = compare_image(config, inputs, err);

	if (result == 0)
		result = compare(&inputs->bundle, manifest->bundle_sha256, MSE_BUNDLE_MAX_SIZE, what_bundle, err);
	for (size_t i = 0; result == 0 && i < inputs->runtime_count; i++) {
		char what[WHAT_SIZE];

		name_runtime_file(what, &manifest->runtime_files[i]);
		result = compare(&inputs->runtime[i], manifest->runtime_files[i].sha256, MAX_RUNTIME_FILE_SIZE, what, err);
	}
	return result;
}

/* A health check is asked for with it: no byte of it may end a line or a field. */
static int check_endpoint(const char *endpoint, struct mse_error_info *err)
{
	for (const char *p = endpoint; *p != 0; p++)
		if (*p <= 0x20 || *p >= 0x7f || *p == '#')
			return mse_fail(err, MSE_ERR_INPUT, "the manifest's healthcheck_endpoint is not a path that can be asked for");
	return 0;
}

static int read_manifest(const struct mse_shim_config *config, struct mse_shim_inputs *inputs, struct mse_error_info *err)
{
	mse_autofree uint8_t *signature = NULL;
	char instance_id[MSE_INSTANCE_ID_TEXT_SIZE];
	size_t size;
	int result;

	if ((result = mse_file_read(MSE_SHIM_MANIFEST_FILE, MSE_MANIFEST_MAX_SIZE, &inputs->manifest_bytes, &inputs->manifest_size, err)) < 0 ||
	    (result = mse_manifest_parse(inputs->manifest_bytes, inputs->manifest_size, &inputs->manifest, err)) < 0 ||
	    (result = mse_measurement(inputs->manifest_bytes, inputs->manifest_size, inputs->measurement, err)) < 0 ||
	    (result = check_endpoint(inputs->manifest->healthcheck_endpoint, err)) < 0 ||
	    (result = mse_file_read(MSE_SHIM_SIGNATURE_FILE, MSE_SIGNATURE_SIZE, &signature, &size, err)) < 0)
		return result;
	mse_hex_encode(instance_id, inputs->manifest->instance_id, MSE_INSTANCE_ID_SIZE);
	if (strcmp(instance_id, config->instance_id) != 0)
		return mse_fail(err, MSE_ERR_CRYPTO, "the manifest is another instance's");
	if (size != MSE_SIGNATURE_SIZE)
		return mse_fail(err, MSE_ERR_INPUT, "the manifest's signature has %zu bytes, expected %d", size, MSE_SIGNATURE_SIZE);
	memcpy(inputs->signature, signature, size);
	result = mse_manifest_verify_signature(inputs->manifest->owner_key, inputs->measurement, inputs->signature, err);
	return result < 0 ? mse_context(err, "the manifest's signature") : 0;
}

int mse_shim_inputs_check(const struct mse_shim_config *config, struct mse_shim_inputs **ret_inputs, struct mse_error_info *err)
{
	mse_cleanup(mse_shim_inputs_freep) struct mse_shim_inputs *inputs = calloc(1, sizeof *inputs);
	int result;

	if (inputs == NULL)
		return mse_fail_nomem(err);
	inputs->image.fd = inputs->bundle.fd = -1;
	for (size_t i = 0; i < MSE_MANIFEST_MAX_FILES; i++)
		inputs->runtime[i].fd = -1;
	if ((result = read_manifest(config, inputs, err)) < 0 || (result = check_runtime(config, inputs, err)) < 0 ||
	    (result = check_image(config, inputs, err)) < 0 || (result = check_bundle(inputs, err)) < 0)
		return result;
	*ret_inputs = mse_steal(inputs);
	return 0;
}
