#include "bundle/tree.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/view.h"

#define TREE_TAG "mse-tree-v1"
/* As Linux: path_resolution(7). */
#define MAX_LINKS_FOLLOWED 40
#define MAX_RESOLVED_SIZE 8192

const struct mse_tree_limits mse_code_limits = {
	.entries = MSE_CODE_MAX_ENTRIES,
	.total_size = MSE_CODE_MAX_TOTAL_SIZE,
	.path_size = MSE_CODE_MAX_PATH_SIZE,
	.depth = MSE_CODE_MAX_DEPTH,
};

const struct mse_tree_limits mse_image_limits = {
	.entries = MSE_IMAGE_MAX_ENTRIES,
	.total_size = MSE_IMAGE_MAX_TOTAL_SIZE,
	.path_size = MSE_IMAGE_MAX_PATH_SIZE,
	.depth = MSE_IMAGE_MAX_DEPTH,
};

struct mse_tree {
	const struct mse_tree_limits *limits;
	struct mse_tree_entry *entries;
	size_t count;
	size_t room;
	size_t sorted; /* how many of the first entries mse_tree_sort() has seen */
	uint64_t total_size;
};

int mse_tree_new(const struct mse_tree_limits *limits, struct mse_tree **ret_tree, struct mse_error_info *err)
{
	struct mse_tree *tree = calloc(1, sizeof *tree);

	if (tree == NULL)
		return mse_fail_nomem(err);
	tree->limits = limits;
	*ret_tree = tree;
	return 0;
}

void mse_tree_free(struct mse_tree *tree)
{
	if (tree == NULL)
		return;
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->entries[i].path);
		free(tree->entries[i].target);
	}
	free(tree->entries);
	free(tree);
}

static int check_path(const char *path, const struct mse_tree_limits *limits, struct mse_error_info *err)
{
	size_t depth = 0;

	if (strnlen(path, limits->path_size + 1) > limits->path_size)
		return mse_fail(err, MSE_ERR_LIMIT, "the path '%.80s…' is longer than the limit of %zu bytes", path, limits->path_size);
	for (const char *at = path;; at++) {
		size_t size = strcspn(at, "/");

		if (size == 0 || (size <= 2 && strncmp(at, "..", size) == 0))
			return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a plain relative path", path);
		if (++depth > limits->depth)
			return mse_fail(err, MSE_ERR_LIMIT, "'%.80s…' lies deeper than the limit of %zu folders", path, limits->depth);
		at += size;
		if (*at == 0)
			return 0;
	}
}

int mse_tree_add(struct mse_tree *tree, const char *path, enum mse_tree_type type, uint32_t mode, uint64_t size, const char *target,
	struct mse_tree_entry **ret_entry, struct mse_error_info *err)
{
	mse_autofree char *path_copy = NULL;
	mse_autofree char *target_copy = NULL;
	int result = check_path(path, tree->limits, err);

	if (result < 0)
		return result;
	if (tree->count == tree->limits->entries)
		return mse_fail(err, MSE_ERR_LIMIT, "there are more than %zu files and folders (at '%s')", tree->limits->entries, path);
	if (size > tree->limits->total_size || tree->total_size > tree->limits->total_size - size)
		return mse_fail(err, MSE_ERR_LIMIT, "the files have more than %ju bytes in all (at '%s')", (uintmax_t)tree->limits->total_size, path);
	if (target != NULL && strnlen(target, tree->limits->path_size + 1) > tree->limits->path_size)
		return mse_fail(err, MSE_ERR_LIMIT, "the target of the link '%s' is longer than the limit of %zu bytes", path, tree->limits->path_size);
	if (tree->count == tree->room) {
		size_t room = tree->room == 0 ? 64 : tree->room * 2;
		struct mse_tree_entry *entries = reallocarray(tree->entries, room, sizeof *entries);

		if (entries == NULL)
			return mse_fail_nomem(err);
		tree->entries = entries;
		tree->room = room;
	}
	if ((result = mse_strdup(path, &path_copy, err)) < 0 || (target != NULL && (result = mse_strdup(target, &target_copy, err)) < 0))
		return result;
	tree->total_size += size;
	tree->entries[tree->count] = (struct mse_tree_entry){
		.path = mse_steal(path_copy),
		.type = type,
		.mode = mode,
		.size = size,
		.target = mse_steal(target_copy),
	};
	if (ret_entry != NULL)
		*ret_entry = &tree->entries[tree->count];
	tree->count++;
	return 0;
}

size_t mse_tree_count(const struct mse_tree *tree)
{
	return tree->count;
}

struct mse_tree_entry *mse_tree_at(struct mse_tree *tree, size_t index)
{
	return &tree->entries[index];
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct mse_tree_entry *)a)->path, ((const struct mse_tree_entry *)b)->path);
}

struct mse_tree_entry *mse_tree_find(struct mse_tree *tree, const char *path)
{
	struct mse_tree_entry key = { .path = (char *)path };

	return tree->sorted == 0 ? NULL : bsearch(&key, tree->entries, tree->sorted, sizeof key, compare_entries);
}

/* What is above the entry is a listed folder. */
static int check_parent(struct mse_tree *tree, const struct mse_tree_entry *entry, struct mse_error_info *err)
{
	const char *slash = strrchr(entry->path, '/');
	mse_autofree char *parent = NULL;
	struct mse_tree_entry *found;

	if (slash == NULL)
		return 0;
	parent = strndup(entry->path, (size_t)(slash - entry->path));
	if (parent == NULL)
		return mse_fail_nomem(err);
	found = mse_tree_find(tree, parent);
	if (found == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' stands in a folder that is not listed", entry->path);
	if (found->type != MSE_TREE_DIR)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' stands below '%s', which is not a folder", entry->path, parent);
	return 0;
}

int mse_tree_sort(struct mse_tree *tree, struct mse_error_info *err)
{
	if (tree->count > 0)
		qsort(tree->entries, tree->count, sizeof *tree->entries, compare_entries);
	for (size_t i = 1; i < tree->count; i++) {
		if (strcmp(tree->entries[i - 1].path, tree->entries[i].path) == 0)
			return mse_fail(err, MSE_ERR_INPUT, "'%s' occurs twice", tree->entries[i].path);
	}
	tree->sorted = tree->count;
	return 0;
}

/* Puts "target/rest" into pending; rest may point into it. */
static bool prepend(char pending[static MAX_RESOLVED_SIZE], const char *target, const char *rest)
{
	size_t target_size = strlen(target);
	size_t rest_size = strlen(rest);

	if (target_size + 1 + rest_size + 1 > MAX_RESOLVED_SIZE)
		return false;
	memmove(pending + target_size + 1, rest, rest_size + 1);
	memcpy(pending, target, target_size);
	pending[target_size] = '/';
	return true;
}

static int follow(struct mse_tree *tree, const struct mse_tree_entry *link, struct mse_error_info *err)
{
	char resolved[MAX_RESOLVED_SIZE * 2]; /* the folder reached so far: "" is the root */
	char pending[MAX_RESOLVED_SIZE];
	const char *slash = strrchr(link->path, '/');
	size_t resolved_size = slash == NULL ? 0 : (size_t)(slash - link->path);
	unsigned followed = 0;
	const char *at = pending;

	if (!prepend(pending, link->target, "") || resolved_size >= MAX_RESOLVED_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the symbolic link '%s' is too long to follow", link->path);
	memcpy(resolved, link->path, resolved_size);
	resolved[resolved_size] = 0;
	while (*(at += strspn(at, "/")) != 0) {
		size_t size = strcspn(at, "/");
		const char *name = at;
		struct mse_tree_entry *entry;

		at += size;
		if (size == 1 && name[0] == '.')
			continue;
		if (size == 2 && name[0] == '.' && name[1] == '.') {
			char *last = strrchr(resolved, '/');

			if (resolved_size == 0)
				return mse_fail(err, MSE_ERR_DENIED, "the symbolic link '%s' -> '%s' leads out of the folder", link->path, link->target);
			resolved_size = last == NULL ? 0 : (size_t)(last - resolved);
			resolved[resolved_size] = 0;
			continue;
		}
		if (resolved_size + 1 + size + 1 > sizeof resolved)
			return mse_fail(err, MSE_ERR_LIMIT, "the symbolic link '%s' is too long to follow", link->path);
		if (resolved_size > 0)
			resolved[resolved_size++] = '/';
		memcpy(resolved + resolved_size, name, size);
		resolved_size += size;
		resolved[resolved_size] = 0;
		entry = mse_tree_find(tree, resolved);
		if (entry == NULL || entry->type != MSE_TREE_LINK)
			continue;
		if (++followed > MAX_LINKS_FOLLOWED)
			return 0; /* the kernel gives up here too: ELOOP */
		if (!prepend(pending, entry->target, at))
			return mse_fail(err, MSE_ERR_LIMIT, "the symbolic link '%s' is too long to follow", link->path);
		at = pending;
		slash = strrchr(resolved, '/');
		resolved_size = slash == NULL ? 0 : (size_t)(slash - resolved);
		resolved[resolved_size] = 0;
	}
	return 0;
}

int mse_tree_check_links(struct mse_tree *tree, struct mse_error_info *err)
{
	/* All are looked at alone first, so that follow() meets no absolute target. */
	for (size_t i = 0; i < tree->count; i++) {
		const struct mse_tree_entry *entry = &tree->entries[i];

		if (entry->type == MSE_TREE_LINK && (entry->target == NULL || entry->target[0] == 0))
			return mse_fail(err, MSE_ERR_INPUT, "the symbolic link '%s' has no target", entry->path);
		if (entry->type == MSE_TREE_LINK && entry->target[0] == '/') {
			return mse_fail(err, MSE_ERR_DENIED, "the symbolic link '%s' -> '%s' is absolute; make it relative, or a copy", entry->path,
				entry->target);
		}
	}
	for (size_t i = 0; i < tree->count; i++) {
		int result = tree->entries[i].type == MSE_TREE_LINK ? follow(tree, &tree->entries[i], err) : 0;

		if (result < 0)
			return result;
	}
	return 0;
}

static bool hash_field(EVP_MD_CTX *hash, const void *data, size_t size)
{
	uint8_t length[4];

	mse_put_be32(length, (uint32_t)size);
	return EVP_DigestUpdate(hash, length, sizeof length) == 1 && EVP_DigestUpdate(hash, data, size) == 1;
}

static bool hash_entry(EVP_MD_CTX *hash, const struct mse_tree_entry *entry)
{
	char type = (char)entry->type;
	uint8_t mode[8];
	uint8_t size[8];
	const void *content = entry->type == MSE_TREE_FILE ? (const void *)entry->content : entry->type == MSE_TREE_LINK ? entry->target : "";
	size_t content_size = entry->type == MSE_TREE_FILE ? sizeof entry->content : entry->type == MSE_TREE_LINK ? strlen(entry->target) : 0;

	mse_put_be64(mode, entry->type == MSE_TREE_LINK ? 0 : entry->mode);
	mse_put_be64(size, entry->type == MSE_TREE_FILE ? entry->size : 0);
	return hash_field(hash, entry->path, strlen(entry->path)) && hash_field(hash, &type, 1) && hash_field(hash, mode, sizeof mode) &&
		hash_field(hash, size, sizeof size) && hash_field(hash, content, content_size);
}

int mse_tree_digest(struct mse_tree *tree, uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err)
{
	EVP_MD_CTX *hash;
	int result = mse_tree_sort(tree, err);
	bool ok;

	for (size_t i = 0; result == 0 && i < tree->count; i++)
		result = check_parent(tree, &tree->entries[i], err);
	if (result < 0)
		return result;
	hash = EVP_MD_CTX_new();
	ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && hash_field(hash, TREE_TAG, strlen(TREE_TAG));
	for (size_t i = 0; ok && i < tree->count; i++)
		ok = hash_entry(hash, &tree->entries[i]);
	ok = ok && EVP_DigestFinal_ex(hash, ret_digest, NULL) == 1;
	EVP_MD_CTX_free(hash);
	return ok ? 0 : mse_fail(err, MSE_ERR_INTERNAL, "cannot compute a tree digest: SHA-256 failed");
}
