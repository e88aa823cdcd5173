#include "bundle/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "bundle/stream.h"
#include "bundle/walk.h"
#include "crypto/hash.h"

#define READ_SIZE ((size_t)256 * 1024)

/* Takes one entry after the other into the tree and, when there is an archive, into it. */
struct packer {
	const struct mse_walk *walk;
	struct mse_tree *tree;
	struct archive *archive;
	struct mse_stream_writer *writer;
	uint64_t inner_size;
	int write_result; /* of the last write callback, which fills *write_err */
	struct mse_error_info write_err;
};

static void free_archive(struct archive **archive)
{
	archive_write_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static int archive_failed(struct packer *packer, struct mse_error_info *err)
{
	const char *text = archive_error_string(packer->archive);

	if (packer->write_result < 0 && err != NULL)
		*err = packer->write_err;
	if (packer->write_result < 0)
		return packer->write_result;
	return mse_fail(err, MSE_ERR_INTERNAL, "cannot make the archive: %s", text != NULL ? text : "unknown error");
}

static int add_header(struct packer *packer, const char *path, enum mse_tree_type type, uint32_t mode, uint64_t size, const char *target,
	struct mse_error_info *err)
{
	mse_cleanup(free_entry) struct archive_entry *entry = NULL;

	if (packer->archive == NULL)
		return 0;
	entry = archive_entry_new();
	if (entry == NULL)
		return mse_fail_nomem(err);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, type == MSE_TREE_DIR ? AE_IFDIR : type == MSE_TREE_LINK ? AE_IFLNK : AE_IFREG);
	archive_entry_set_perm(entry, mode);
	archive_entry_set_size(entry, (int64_t)size);
	archive_entry_set_mtime(entry, 0, 0);
	if (target != NULL)
		archive_entry_set_symlink(entry, target);
	if (archive_write_header(packer->archive, entry) != ARCHIVE_OK)
		return archive_failed(packer, err);
	return 0;
}

static int add_data(struct packer *packer, const void *data, size_t size, struct mse_error_info *err)
{
	if (packer->archive != NULL && size > 0 && archive_write_data(packer->archive, data, size) != (ssize_t)size)
		return archive_failed(packer, err);
	return 0;
}

static int add_app_json(struct packer *packer, const void *app_json, size_t size, struct mse_error_info *err)
{
	struct mse_tree_entry *entry;
	int result;

	if (size > MSE_BUNDLE_MAX_APP_JSON_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, MSE_BUNDLE_APP_JSON " has %zu bytes, the limit is %zu", size, MSE_BUNDLE_MAX_APP_JSON_SIZE);
	result = mse_tree_add(packer->tree, MSE_BUNDLE_DIR, MSE_TREE_DIR, 0755, 0, NULL, NULL, err);
	if (result == 0)
		result = mse_tree_add(packer->tree, MSE_BUNDLE_APP_JSON, MSE_TREE_FILE, 0644, size, NULL, &entry, err);
	if (result == 0)
		result = mse_sha256(app_json, size, entry->content, err);
	if (result == 0)
		result = add_header(packer, MSE_BUNDLE_APP_JSON, MSE_TREE_FILE, 0644, size, NULL, err);
	return result < 0 ? result : add_data(packer, app_json, size, err);
}

static int add_content(struct packer *packer, int fd, const struct mse_walk_entry *from, struct mse_tree_entry *to, struct mse_error_info *err)
{
	mse_cleanup(mse_hash_freep) EVP_MD_CTX *hash = EVP_MD_CTX_new();
	mse_autofree uint8_t *room = malloc(READ_SIZE);
	uint64_t left = from->size;

	if (hash == NULL || room == NULL)
		return mse_fail_nomem(err);
	if (EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", from->path);
	for (;;) {
		/* One byte more than is left, to see a file that grew. */
		ssize_t got = read(fd, room, left < READ_SIZE ? (size_t)left + 1 : READ_SIZE);
		int result;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mse_fail_errno(err, "cannot read '%s'", from->path);
		if ((uint64_t)got > left || (got == 0 && left > 0))
			return mse_fail(err, MSE_ERR_STATE, "'%s' changed while it was packed; try again", from->path);
		if (got == 0)
			break;
		if (EVP_DigestUpdate(hash, room, (size_t)got) != 1)
			return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", from->path);
		result = add_data(packer, room, (size_t)got, err);
		if (result < 0)
			return result;
		left -= (uint64_t)got;
	}
	if (EVP_DigestFinal_ex(hash, to->content, NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", from->path);
	return 0;
}

static int add_entry(struct packer *packer, const struct mse_walk_entry *from, struct mse_error_info *err)
{
	uint32_t mode = from->type == MSE_TREE_FILE && !from->executable ? 0644 : 0755;
	mse_autoclose int fd = -1;
	struct mse_tree_entry *to;
	int result = mse_tree_add(packer->tree, from->path, from->type, mode, from->size, from->target, &to, err);

	if (result < 0)
		return result;
	if (from->type == MSE_TREE_FILE) {
		result = mse_walk_open_file(packer->walk, from, &fd, err);
		if (result < 0)
			return result;
	}
	result = add_header(packer, from->path, from->type, mode, from->size, from->target, err);
	return result < 0 || fd < 0 ? result : add_content(packer, fd, from, to, err);
}

static int add_all(struct packer *packer, const void *app_json, size_t app_json_size, uint8_t *ret_digest, struct mse_error_info *err)
{
	int result = mse_tree_new(&mse_code_limits, &packer->tree, err);

	if (result == 0)
		result = add_app_json(packer, app_json, app_json_size, err);
	for (size_t i = 0; result == 0 && i < mse_walk_count(packer->walk); i++)
		result = add_entry(packer, mse_walk_at(packer->walk, i), err);
	if (result == 0)
		result = mse_tree_digest(packer->tree, ret_digest, err);
	mse_tree_free(mse_steal(packer->tree));
	return result;
}

int mse_bundle_tree_digest(const struct mse_walk *walk, const void *app_json, size_t app_json_size,
	uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err)
{
	struct packer packer = { .walk = walk };

	return add_all(&packer, app_json, app_json_size, ret_digest, err);
}

static ssize_t write_inner(struct archive *archive, void *context, const void *data, size_t size)
{
	struct packer *packer = context;

	packer->write_result = mse_stream_write(packer->writer, data, size, &packer->write_err);
	if (packer->write_result < 0) {
		archive_set_error(archive, EIO, "cannot write");
		return -1;
	}
	packer->inner_size += size;
	return (ssize_t)size;
}

static int write_padding(struct packer *packer, uint64_t size, struct mse_error_info *err)
{
	static const uint8_t zeros[4096];

	while (size > 0) {
		size_t part = size < sizeof zeros ? (size_t)size : sizeof zeros;
		int result = mse_stream_write(packer->writer, zeros, part, err);

		if (result < 0)
			return result;
		size -= part;
	}
	return 0;
}

uint64_t mse_bundle_padded_size(uint64_t size)
{
	unsigned exponent, digits;
	uint64_t mask;

	if (size < 2)
		return size;
	exponent = 63 - (unsigned)__builtin_clzll(size);
	digits = 32 - (unsigned)__builtin_clz(exponent | 1); /* of the exponent: bits that stay */
	mask = exponent < digits ? 0 : ((uint64_t)1 << (exponent - digits)) - 1;
	return (size + mask) & ~mask;
}

static int seal_into(struct packer *packer, const void *app_json, size_t app_json_size, struct mse_bundle_summary *summary, struct mse_error_info *err)
{
	mse_cleanup(free_archive) struct archive *archive = archive_write_new();
	int result;

	if (archive == NULL)
		return mse_fail_nomem(err);
	packer->archive = archive;
	/* BINARY: names go in as the bytes that they are, whatever the locale. */
	if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK || archive_write_set_options(archive, "hdrcharset=BINARY") != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(archive, (int)MSE_STREAM_CHUNK_SIZE) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
		archive_write_open(archive, packer, NULL, write_inner, NULL) != ARCHIVE_OK)
		return archive_failed(packer, err);
	result = add_all(packer, app_json, app_json_size, summary->tree_digest, err);
	if (result < 0)
		return result;
	if (archive_write_close(archive) != ARCHIVE_OK)
		return archive_failed(packer, err);
	summary->inner_size = packer->inner_size;
	summary->padded_size = mse_bundle_padded_size(packer->inner_size);
	result = write_padding(packer, summary->padded_size - summary->inner_size, err);
	return result < 0 ? result : mse_stream_finish(packer->writer, summary->sha256, &summary->sealed_size, err);
}

static int seal_file(const struct mse_walk *walk, const void *app_json, size_t app_json_size, int fd, const struct mse_secret *key,
	struct mse_bundle_summary *summary, struct mse_error_info *err)
{
	mse_cleanup(mse_stream_writer_freep) struct mse_stream_writer *writer = NULL;
	struct packer packer = { .walk = walk };
	int result = mse_stream_writer_new(fd, key, &writer, err);

	if (result < 0)
		return result;
	packer.writer = writer;
	return seal_into(&packer, app_json, app_json_size, summary, err);
}

int mse_bundle_seal(const struct mse_walk *walk, const void *app_json, size_t app_json_size, const char *out_path, struct mse_secret **ret_key,
	struct mse_bundle_summary *ret_summary, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_autofree char *temporary = NULL;
	mse_autoclose int fd = -1;
	struct mse_bundle_summary summary = { 0 };
	int result = mse_secret_random(MSE_BUNDLE_KEY_SIZE, &key, err);

	if (result == 0)
		result = mse_format(&temporary, err, "%s.XXXXXX", out_path);
	if (result < 0)
		return result;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create a file beside '%s'", out_path);
	result = seal_file(walk, app_json, app_json_size, fd, key, &summary, err);
	if (result == 0 && rename(temporary, out_path) < 0)
		result = mse_fail_errno(err, "cannot put the bundle in place");
	if (result < 0) {
		unlink(temporary);
		return mse_context(err, "cannot seal the code into '%s'", out_path);
	}
	*ret_summary = summary;
	*ret_key = mse_steal(key);
	return 0;
}
