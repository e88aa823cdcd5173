#include "bundle/tree_scan.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "crypto/hash.h"

#define READ_SIZE ((size_t)256 * 1024)
/* tar makes hard links to a file's first name; links to links to … are not what it writes. */
#define MAX_HARD_LINK_ROUNDS 8

struct hard_link {
	char *path;
	char *target; /* NULL once it is resolved */
};

struct tar {
	struct archive *archive;
	enum mse_tree_flags flags;
	struct mse_tree *tree;
	struct hard_link *links;
	size_t link_count;
	size_t link_room;
	uint8_t *room;
	locale_t locale;
	locale_t previous_locale;
};

static void clear_tar(struct tar *tar)
{
	for (size_t i = 0; i < tar->link_count; i++) {
		free(tar->links[i].path);
		free(tar->links[i].target);
	}
	free(tar->links);
	free(tar->room);
	mse_tree_free(tar->tree);
	archive_read_free(tar->archive);
	if (tar->locale != (locale_t)0) {
		uselocale(tar->previous_locale);
		freelocale(tar->locale);
	}
}

static int archive_failed(const struct tar *tar, struct mse_error_info *err)
{
	const char *text = archive_error_string(tar->archive);

	return mse_fail(err, MSE_ERR_INPUT, "the archive cannot be read: %s", text != NULL ? text : "unknown error");
}

/* Without "./" before and "/" behind; "" is the root. */
static int copy_path(const char *name, char **ret_path, struct mse_error_info *err)
{
	size_t size;
	int result;

	if (name == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "the archive has an entry without a name");
	if (strnlen(name, MSE_IMAGE_MAX_PATH_SIZE + 4) > MSE_IMAGE_MAX_PATH_SIZE + 3)
		return mse_fail(err, MSE_ERR_LIMIT, "the archive has a name longer than %zu bytes", MSE_IMAGE_MAX_PATH_SIZE);
	while (name[0] == '.' && name[1] == '/')
		name += 1 + strspn(name + 1, "/");
	if (strcmp(name, ".") == 0)
		name++;
	result = mse_strdup(name, ret_path, err);
	if (result < 0)
		return result;
	size = strlen(*ret_path);
	while (size > 1 && (*ret_path)[size - 1] == '/')
		(*ret_path)[--size] = 0;
	return 0;
}

static int add_hard_link(struct tar *tar, const char *path, const char *target, struct mse_error_info *err)
{
	mse_autofree char *path_copy = NULL;
	mse_autofree char *target_copy = NULL;
	int result = mse_strdup(path, &path_copy, err);

	if (result == 0)
		result = copy_path(target, &target_copy, err);
	if (result < 0)
		return result;
	if (tar->link_count == MSE_IMAGE_MAX_ENTRIES)
		return mse_fail(err, MSE_ERR_LIMIT, "there are more than %zu hard links", MSE_IMAGE_MAX_ENTRIES);
	if (tar->link_count == tar->link_room) {
		size_t room = tar->link_room == 0 ? 64 : tar->link_room * 2;
		struct hard_link *links = reallocarray(tar->links, room, sizeof *links);

		if (links == NULL)
			return mse_fail_nomem(err);
		tar->links = links;
		tar->link_room = room;
	}
	tar->links[tar->link_count++] = (struct hard_link){ .path = mse_steal(path_copy), .target = mse_steal(target_copy) };
	return 0;
}

static int hash_content(struct tar *tar, struct mse_tree_entry *entry, struct mse_error_info *err)
{
	mse_cleanup(mse_hash_freep) EVP_MD_CTX *hash = EVP_MD_CTX_new();
	uint64_t done = 0;

	if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot hash '%s'", entry->path);
	for (;;) {
		ssize_t got = archive_read_data(tar->archive, tar->room, READ_SIZE);

		if (got < 0)
			return archive_failed(tar, err);
		if (got == 0)
			break;
		done += (uint64_t)got;
		if (done > entry->size || EVP_DigestUpdate(hash, tar->room, (size_t)got) != 1)
			return mse_fail(err, MSE_ERR_INPUT, "'%s' has more content than its size says", entry->path);
	}
	if (done != entry->size || EVP_DigestFinal_ex(hash, entry->content, NULL) != 1)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' has less content than its size says", entry->path);
	return 0;
}

static int take_entry(struct tar *tar, struct archive_entry *entry, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mode_t mode = archive_entry_perm(entry);
	int64_t size = archive_entry_size(entry);
	struct mse_tree_entry *added;
	bool code = tar->flags == MSE_TREE_CODE;
	int result = copy_path(archive_entry_pathname(entry), &path, err);

	if (result < 0)
		return result;
	if (archive_entry_hardlink(entry) != NULL)
		return add_hard_link(tar, path, archive_entry_hardlink(entry), err);
	switch (archive_entry_filetype(entry)) {
	case AE_IFDIR:
		return path[0] == 0 ? 0 : mse_tree_add(tar->tree, path, MSE_TREE_DIR, code ? 0755 : mode & 07777, 0, NULL, NULL, err);
	case AE_IFLNK:
		if (archive_entry_symlink(entry) == NULL)
			return mse_fail(err, MSE_ERR_INPUT, "the symbolic link '%s' has no target", path);
		return mse_tree_add(tar->tree, path, MSE_TREE_LINK, 0, 0, archive_entry_symlink(entry), NULL, err);
	case AE_IFREG:
		if (size < 0)
			return mse_fail(err, MSE_ERR_INPUT, "'%s' has a wrong size", path);
		result = mse_tree_add(tar->tree, path, MSE_TREE_FILE, !code ? mode & 07777 : (mode & S_IXUSR) != 0 ? 0755 : 0644, (uint64_t)size, NULL, &added, err);
		return result < 0 ? result : hash_content(tar, added, err);
	default:
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "'%s' is neither a file nor a folder nor a symbolic link", path);
	}
}

/* Gives every hard link the entry of its target. */
static int resolve_hard_links(struct tar *tar, struct mse_error_info *err)
{
	const char *unresolved = NULL;

	for (unsigned round = 0; round < MAX_HARD_LINK_ROUNDS; round++) {
		int result = mse_tree_sort(tar->tree, err);

		unresolved = NULL;
		if (result < 0)
			return result;
		for (size_t i = 0; i < tar->link_count; i++) {
			struct hard_link *link = &tar->links[i];
			struct mse_tree_entry *target = NULL;
			struct mse_tree_entry copy;

			if (link->target == NULL)
				continue;
			target = mse_tree_find(tar->tree, link->target);
			if (target == NULL) {
				unresolved = link->path;
				continue;
			}
			if (target->type == MSE_TREE_DIR)
				return mse_fail(err, MSE_ERR_INPUT, "'%s' is a hard link to the folder '%s'", link->path, link->target);
			copy = *target;
			free(link->target);
			link->target = NULL;
			result = mse_tree_add(tar->tree, link->path, copy.type, copy.mode, copy.size, copy.target, &target, err);
			if (result < 0)
				return result;
			memcpy(target->content, copy.content, sizeof copy.content);
		}
		if (unresolved == NULL)
			return mse_tree_sort(tar->tree, err);
	}
	return mse_fail(err, MSE_ERR_INPUT, "'%s' is a hard link to something that the archive does not hold", unresolved);
}

/* Folders that the archive only implies. All that is below one folder stands together in a sorted list. */
static int add_parents(struct tar *tar, struct mse_error_info *err)
{
	bool added = true;

	while (added) {
		size_t count = mse_tree_count(tar->tree);
		mse_autofree char *last = NULL;

		added = false;
		for (size_t i = 0; i < count; i++) {
			const char *path = mse_tree_at(tar->tree, i)->path;
			const char *slash = strrchr(path, '/');
			mse_autofree char *parent = NULL;
			int result;

			if (slash == NULL)
				continue;
			result = mse_format(&parent, err, "%.*s", (int)(slash - path), path);
			if (result < 0)
				return result;
			if ((last != NULL && strcmp(last, parent) == 0) || mse_tree_find(tar->tree, parent) != NULL)
				continue;
			result = mse_tree_add(tar->tree, parent, MSE_TREE_DIR, 0755, 0, NULL, NULL, err);
			if (result < 0)
				return result;
			free(last);
			last = mse_steal(parent);
			added = true;
		}
		if (added) {
			int result = mse_tree_sort(tar->tree, err);

			if (result < 0)
				return result;
		}
	}
	return 0;
}

static int open_tar(struct tar *tar, int fd, struct mse_error_info *err)
{
	int (*const filters[])(struct archive *) = { archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
		archive_read_support_filter_lzma, archive_read_support_filter_zstd, archive_read_support_filter_lz4, archive_read_support_filter_compress };

	tar->room = malloc(READ_SIZE);
	tar->archive = archive_read_new();
	/* In the C locale libarchive gives out names as the bytes that stand in the archive; elsewhere it normalises Unicode. */
	tar->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (tar->room == NULL || tar->archive == NULL || tar->locale == (locale_t)0)
		return mse_fail_nomem(err);
	tar->previous_locale = uselocale(tar->locale);
	/* Those that are built in: none of them runs a program. */
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
		if (filters[i](tar->archive) != ARCHIVE_OK)
			return archive_failed(tar, err);
	}
	if (archive_read_support_format_tar(tar->archive) != ARCHIVE_OK || archive_read_open_fd(tar->archive, fd, READ_SIZE) != ARCHIVE_OK)
		return archive_failed(tar, err);
	return mse_tree_new(tar->flags == MSE_TREE_CODE ? &mse_code_limits : &mse_image_limits, &tar->tree, err);
}

static int digest_tar(int fd, enum mse_tree_flags flags, uint8_t *ret_digest, struct mse_error_info *err)
{
	mse_cleanup(clear_tar) struct tar tar = { .flags = flags };
	struct archive_entry *entry;
	int status;
	int result = open_tar(&tar, fd, err);

	if (result < 0)
		return result;
	/* A warning is about a name that is not ASCII: its raw bytes, which we want, are there. */
	while ((status = archive_read_next_header(tar.archive, &entry)) == ARCHIVE_OK || status == ARCHIVE_WARN) {
		result = take_entry(&tar, entry, err);
		if (result < 0)
			return result;
	}
	if (status != ARCHIVE_EOF)
		return archive_failed(&tar, err);
	result = resolve_hard_links(&tar, err);
	if (result == 0)
		result = add_parents(&tar, err);
	return result < 0 ? result : mse_tree_digest(tar.tree, ret_digest, err);
}

int mse_tree_digest_tar(const char *path, enum mse_tree_flags flags, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	int result;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open the archive '%s'", path);
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a regular file", path);
	result = digest_tar(fd, flags, ret_digest, err);
	return result < 0 ? mse_context(err, "cannot digest the archive '%s'", path) : 0;
}
