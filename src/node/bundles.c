#include "node/bundles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "bundle/bundle.h"
#include "crypto/tls_key.h"

#define TEMPORARY_PREFIX ".new-"

struct mse_bundle_upload {
	char *folder;
	char *temporary; /* NULL once it is in place */
	uint8_t expected[MSE_SHA256_SIZE];
	EVP_MD_CTX *hash;
	uint64_t size;
	int fd;
};

static int bundle_path(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE], char **ret_path, struct mse_error_info *err)
{
	char hex[2 * MSE_SHA256_SIZE + 1];

	mse_hex_encode(hex, sha256, MSE_SHA256_SIZE);
	return mse_path_join(folder, hex, ret_path, err);
}

static int check_room(const char *folder, struct mse_error_info *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	uint64_t size = 0;
	size_t count = 0;

	if (dir == NULL)
		return mse_fail_errno(err, "cannot list '%s'", folder);
	while ((entry = readdir(dir)) != NULL) {
		struct stat status;

		if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode)) {
			size += (uint64_t)status.st_size;
			count++;
		}
	}
	closedir(dir);
	if (count >= MSE_BUNDLES_MAX_WAITING || size >= MSE_BUNDLES_MAX_WAITING_SIZE)
		return mse_fail(err, MSE_ERR_STATE, "%zu bundles wait for their deployment on this node; try again later", count);
	return 0;
}

int mse_bundle_upload_new(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE], struct mse_bundle_upload **ret_upload, struct mse_error_info *err)
{
	mse_cleanup(mse_bundle_upload_freep) struct mse_bundle_upload *upload = calloc(1, sizeof *upload);
	mse_autofree char *temporary = NULL;
	int result;

	if (upload == NULL)
		return mse_fail_nomem(err);
	upload->fd = -1;
	memcpy(upload->expected, sha256, MSE_SHA256_SIZE);
	if ((result = check_room(folder, err)) < 0 || (result = mse_strdup(folder, &upload->folder, err)) < 0 ||
	    (result = mse_format(&temporary, err, "%s/" TEMPORARY_PREFIX "XXXXXX", folder)) < 0)
		return result;
	upload->hash = EVP_MD_CTX_new();
	if (upload->hash == NULL || EVP_DigestInit_ex(upload->hash, EVP_sha256(), NULL) != 1)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot start SHA-256");
	upload->fd = mkostemp(temporary, O_CLOEXEC);
	if (upload->fd < 0)
		return mse_fail_errno(err, "cannot create a file in '%s'", folder);
	upload->temporary = mse_steal(temporary);
	*ret_upload = mse_steal(upload);
	return 0;
}

int mse_bundle_upload_write(struct mse_bundle_upload *upload, const void *data, size_t size, struct mse_error_info *err)
{
	if (size > MSE_BUNDLE_MAX_SIZE - upload->size)
		return mse_fail(err, MSE_ERR_LIMIT, "the bundle is larger than %llu bytes", (unsigned long long)MSE_BUNDLE_MAX_SIZE);
	upload->size += size;
	if (EVP_DigestUpdate(upload->hash, data, size) != 1)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot compute SHA-256");
	return mse_fd_write(upload->fd, data, size, err) < 0 ? mse_context(err, "cannot store the bundle") : 0;
}

int mse_bundle_upload_finish(struct mse_bundle_upload *upload, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	uint8_t found[MSE_SHA256_SIZE];
	int result;

	if (EVP_DigestFinal_ex(upload->hash, found, NULL) != 1)
		return mse_fail_openssl(err, MSE_ERR_INTERNAL, "cannot compute SHA-256");
	if (!mse_equal(found, upload->expected, sizeof found))
		return mse_fail(err, MSE_ERR_CRYPTO, "what was received (%llu bytes) is not the bundle with the SHA-256 in the request's path: it was changed or cut "
			"on its way", (unsigned long long)upload->size);
	/* The app's own user reads it in its sandbox; who may come this far is decided by the folder above. */
	if (fchmod(upload->fd, 0644) < 0 || fsync(upload->fd) < 0)
		return mse_fail_errno(err, "cannot store the bundle");
	if ((result = bundle_path(upload->folder, upload->expected, &path, err)) < 0)
		return result;
	if (rename(upload->temporary, path) < 0)
		return mse_fail_errno(err, "cannot store the bundle");
	free(upload->temporary);
	upload->temporary = NULL;
	return mse_dir_sync(upload->folder, err);
}

void mse_bundle_upload_free(struct mse_bundle_upload *upload)
{
	if (upload == NULL)
		return;
	if (upload->temporary != NULL)
		unlink(upload->temporary);
	mse_close(upload->fd);
	EVP_MD_CTX_free(upload->hash);
	free(upload->temporary);
	free(upload->folder);
	free(upload);
}

bool mse_bundles_has(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE])
{
	struct mse_error_info ignored;
	mse_autofree char *path = NULL;

	return bundle_path(folder, sha256, &path, &ignored) == 0 && utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
}

int mse_bundles_take(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE], const char *to, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = bundle_path(folder, sha256, &path, err);

	if (result < 0 || link(path, to) == 0)
		return result;
	if (errno == ENOENT)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "the bundle that the manifest names is not here: send it with PUT /v1/bundles/<its SHA-256> first");
	return mse_fail_errno(err, "cannot put the bundle into the app's folder");
}

void mse_bundles_remove(const char *folder, const uint8_t sha256[static MSE_SHA256_SIZE])
{
	struct mse_error_info ignored;
	mse_autofree char *path = NULL;

	/* One that stays is swept later. */
	if (bundle_path(folder, sha256, &path, &ignored) == 0)
		unlink(path);
}

int mse_bundles_sweep(const char *folder, bool temporary, struct mse_error_info *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int64_t now = mse_time_now();

	if (dir == NULL)
		return mse_fail_errno(err, "cannot list '%s'", folder);
	while ((entry = readdir(dir)) != NULL) {
		bool half = strncmp(entry->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0;
		struct stat status;

		if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
			continue;
		if (half ? temporary : status.st_mtim.tv_sec + MSE_BUNDLE_WAIT_SECONDS < now)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	return 0;
}
