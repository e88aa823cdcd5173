#include "node/image_store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "bundle/tree_scan.h"
#include "node/process.h"

#define DRAFT_PREFIX ".new-"
#define IMAGE_FILE_MAX_SIZE ((size_t)64 * 1024)

void mse_image_free(struct mse_image *image)
{
	if (image == NULL)
		return;
	free(image->name);
	free(image->description);
	free(image->packages);
	free(image);
}

int mse_image_check_name(const char *name, struct mse_error_info *err)
{
	bool lower = true;

	for (const char *p = name; *p != 0; p++)
		lower = lower && !isupper((unsigned char)*p);
	if (!lower || !mse_name_is_valid(name))
		return mse_fail(err, MSE_ERR_INPUT, "'%.100s' is not a name for an image: lower-case letters, digits, '.', '_' and '-', at most 63, the "
			"first a letter or digit", name);
	return 0;
}

static int to_json(const struct mse_image *image, json_t **ret_object, struct mse_error_info *err)
{
	char digest[MSE_DIGEST_TEXT_SIZE];

	mse_digest_format(digest, image->digest);
	*ret_object = json_pack("{s:s, s:s, s:I, s:I}", "name", image->name, "digest", digest, "size", (json_int_t)image->size, "created_at",
		(json_int_t)image->created_at);
	return *ret_object == NULL ? mse_fail_nomem(err) : 0;
}

static int read_image_file(const char *path, struct mse_image *image, struct mse_error_info *err)
{
	static const char *const members[] = { "version", "name", "digest", "size", "created_at", "description", "packages", NULL };
	mse_autojson *json = NULL;
	const char *digest, *name, *description, *packages;
	uint64_t version, created_at;
	int result;

	if ((result = mse_json_read(path, IMAGE_FILE_MAX_SIZE, &json, err)) < 0 || (result = mse_json_only(json, members, path, err)) < 0 ||
	    (result = mse_json_u64(json, "version", path, 1, 1, &version, err)) < 0 ||
	    (result = mse_json_string(json, "name", path, &name, err)) < 0 || (result = mse_json_string(json, "digest", path, &digest, err)) < 0 ||
	    (result = mse_json_u64(json, "size", path, 0, INT64_MAX, &image->size, err)) < 0 ||
	    (result = mse_json_u64(json, "created_at", path, 0, INT64_MAX, &created_at, err)) < 0 ||
	    (result = mse_json_string(json, "description", path, &description, err)) < 0 ||
	    (result = mse_json_string(json, "packages", path, &packages, err)) < 0 ||
	    (result = mse_digest_parse(digest, image->digest, path, err)) < 0)
		return result;
	image->created_at = (int64_t)created_at;
	if ((result = mse_strdup(name, &image->name, err)) < 0 || (result = mse_strdup(description, &image->description, err)) < 0)
		return result;
	return mse_strdup(packages, &image->packages, err);
}

int mse_image_find(const char *store, const char *name, struct mse_image **ret_image, struct mse_error_info *err)
{
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	mse_autofree char *path = NULL;
	int result = mse_image_check_name(name, err);

	if (result < 0 || (result = mse_format(&path, err, "%s/%s/" MSE_IMAGE_FILE, store, name)) < 0)
		return result;
	image = calloc(1, sizeof *image);
	if (image == NULL)
		return mse_fail_nomem(err);
	result = read_image_file(path, image, err);
	if (result == MSE_ERR_NOT_FOUND)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no image '%s' in the store '%s'; make one with `msed image build` or `msed image import`",
			name, store);
	if (result < 0)
		return result;
	if (strcmp(image->name, name) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' says that it describes '%.100s'", path, image->name);
	*ret_image = mse_steal(image);
	return 0;
}

static int is_candidate(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int mse_image_list(const char *store, json_t **ret_array, struct mse_error_info *err)
{
	mse_autojson *array = json_array();
	struct dirent **entries = NULL;
	int count, result = 0;

	if (array == NULL)
		return mse_fail_nomem(err);
	count = scandir(store, &entries, is_candidate, by_name);
	if (count < 0 && errno != ENOENT)
		return mse_fail_errno(err, "cannot list the images in '%s'", store);
	for (int i = 0; i < count; i++) {
		mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
		json_t *object = NULL;

		if (result == 0 && json_array_size(array) < MSE_STORE_MAX_IMAGES && mse_image_find(store, entries[i]->d_name, &image, err) == 0 &&
		    (result = to_json(image, &object, err)) == 0 && json_array_append_new(array, object) < 0)
			result = mse_fail_nomem(err);
		free(entries[i]);
	}
	free(entries);
	if (result == 0)
		*ret_array = mse_steal(array);
	return result;
}

int mse_image_paths(const char *store, const char *name, char **ret_root, char **ret_cache, struct mse_error_info *err)
{
	mse_autofree char *root = NULL;
	int result = mse_format(&root, err, "%s/%s/" MSE_IMAGE_ROOT, store, name);

	if (result < 0 || (result = mse_format(ret_cache, err, "%s/%s/" MSE_IMAGE_CACHE_FILE, store, name)) < 0)
		return result;
	*ret_root = mse_steal(root);
	return 0;
}

static int lock_file(const char *path, int operation, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return mse_fail_errno(err, "cannot open '%s'", path);
	while (flock(fd, operation) < 0)
		if (errno != EINTR)
			return mse_fail_errno(err, "cannot lock '%s'", path);
		else if (mse_process_check_signals(err) < 0)
			return err->code;
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

int mse_image_store_lock(const char *store, bool exclusive, int *ret_fd, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_dir_make(store, 0755, err);

	if (result < 0 || (result = mse_format(&path, err, "%s/.lock", store)) < 0)
		return result;
	return lock_file(path, exclusive ? LOCK_EX : LOCK_SH, ret_fd, err);
}

/* Under the store's lock, so that a draft without a held lock is one that nobody makes any more. One that cannot be removed
 * yet, because a program of a killed build is still at work in it, stays for the next time. */
static int remove_stale_drafts(const char *store, struct mse_error_info *err)
{
	DIR *folder = opendir(store);
	const struct dirent *entry;
	struct mse_error_info ignored;
	int result = 0;

	if (folder == NULL)
		return mse_fail_errno(err, "cannot list '%s'", store);
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		mse_autofree char *path = NULL;
		mse_autofree char *lock = NULL;
		mse_autoclose int fd = -1;

		if (strncmp(entry->d_name, DRAFT_PREFIX, strlen(DRAFT_PREFIX)) != 0)
			continue;
		if ((result = mse_format(&path, err, "%s/%s", store, entry->d_name)) < 0 || (result = mse_format(&lock, err, "%s/lock", path)) < 0)
			break;
		fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
			mse_tree_remove(path, &ignored);
	}
	closedir(folder);
	return result;
}

static int make_draft_folders(struct mse_image_draft *draft, struct mse_error_info *err)
{
	mse_autofree char *lock = NULL;
	int result;

	if (mkdtemp(draft->folder) == NULL)
		return mse_fail_errno(err, "cannot make a folder '%s'", draft->folder);
	if ((result = mse_format(&lock, err, "%s/lock", draft->folder)) < 0 ||
	    (result = lock_file(lock, LOCK_EX | LOCK_NB, &draft->lock_fd, err)) < 0 ||
	    (result = mse_format(&draft->root, err, "%s/" MSE_IMAGE_ROOT, draft->folder)) < 0)
		return result;
	/* The image's files are read by the apps' own users. */
	if (mkdir(draft->root, 0755) < 0 || chmod(draft->root, 0755) < 0 || chmod(draft->folder, 0755) < 0)
		return mse_fail_errno(err, "cannot make folder '%s'", draft->root);
	return 0;
}

int mse_image_draft_new(const char *store, struct mse_image_draft *ret_draft, struct mse_error_info *err)
{
	mse_autoclose int store_fd = -1;
	int result;

	*ret_draft = (struct mse_image_draft){ .lock_fd = -1 };
	if ((result = mse_image_store_lock(store, true, &store_fd, err)) < 0 || (result = remove_stale_drafts(store, err)) < 0 ||
	    (result = mse_format(&ret_draft->folder, err, "%s/" DRAFT_PREFIX "XXXXXX", store)) < 0)
		return result;
	result = make_draft_folders(ret_draft, err);
	if (result < 0)
		mse_image_draft_clear(ret_draft);
	return result;
}

void mse_image_draft_clear(struct mse_image_draft *draft)
{
	struct mse_error_info ignored;

	/* What cannot be removed now is removed by the next draft. */
	if (draft->folder != NULL)
		mse_tree_remove(draft->folder, &ignored);
	mse_close(draft->lock_fd);
	free(draft->folder);
	free(draft->root);
	*draft = (struct mse_image_draft){ .lock_fd = -1 };
}

static __thread uint64_t counted_size;

static int count_size(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)path;
	(void)where;
	if (type == FTW_F)
		counted_size += (uint64_t)status->st_size;
	return 0;
}

static int write_image_file(const struct mse_image_draft *draft, const struct mse_image *image, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autojson *json = NULL;
	int result;

	if ((result = mse_format(&path, err, "%s/" MSE_IMAGE_FILE, draft->folder)) < 0 || (result = to_json(image, &json, err)) < 0 ||
	    (result = mse_json_set(json, "version", json_integer(1), err)) < 0 ||
	    (result = mse_json_set(json, "description", json_string(image->description), err)) < 0 ||
	    (result = mse_json_set(json, "packages", json_string(image->packages), err)) < 0)
		return result;
	return mse_json_write(path, json, 0644, err);
}

static int measure_draft(const struct mse_image_draft *draft, struct mse_image *image, struct mse_error_info *err)
{
	/* A cache of what changed within the last second would not be written (bundle/tree_scan.h), and the first deployment
	 * would have to read the whole image again. */
	const struct timespec settle = { .tv_sec = 1, .tv_nsec = 200 * 1000 * 1000 };
	mse_autofree char *cache = NULL;
	int result;

	nanosleep(&settle, NULL);
	if ((result = mse_format(&cache, err, "%s/" MSE_IMAGE_CACHE_FILE, draft->folder)) < 0 ||
	    (result = mse_tree_digest_dir_cached(draft->root, cache, image->digest, NULL, err)) < 0)
		return result;
	counted_size = 0;
	if (nftw(draft->root, count_size, 64, FTW_PHYS | FTW_MOUNT) < 0)
		return mse_fail_errno(err, "cannot measure '%s'", draft->root);
	image->size = counted_size;
	image->created_at = mse_time_now();
	return 0;
}

static int put_in_place(const char *store, struct mse_image_draft *draft, const char *path, const char *name, mse_image_in_use *in_use, void *context,
	struct mse_error_info *err)
{
	mse_autofree char *lock = NULL;
	int result;

	if (!mse_path_exists(path)) {
		if ((result = mse_format(&lock, err, "%s/lock", draft->folder)) < 0)
			return result;
		unlink(lock);
		if (rename(draft->folder, path) < 0)
			return mse_fail_errno(err, "cannot put the image in place as '%s'", path);
		free(draft->folder);
		draft->folder = NULL;
		return mse_dir_sync(store, err);
	}
	if (in_use != NULL && (result = in_use(context, name, err)) < 0)
		return result;
	/* Afterwards the draft's folder holds the old image, which mse_image_draft_clear() removes. */
	if (renameat2(AT_FDCWD, draft->folder, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return mse_fail_errno(err, "cannot replace the image '%s'", path);
	return mse_dir_sync(store, err);
}

int mse_image_draft_commit(const char *store, struct mse_image_draft *draft, struct mse_image *image, mse_image_in_use *in_use, void *context,
	struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autoclose int store_fd = -1;
	mse_autoclose int folder = -1;
	int result;

	if ((result = mse_image_check_name(image->name, err)) < 0 || (result = measure_draft(draft, image, err)) < 0 ||
	    (result = write_image_file(draft, image, err)) < 0 || (result = mse_format(&path, err, "%s/%s", store, image->name)) < 0)
		return result;
	/* All of the image must be on the disk before its name is. Of this disk: others, an app's perhaps, may keep a sync() waiting for ever. */
	folder = open(draft->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || syncfs(folder) < 0)
		return mse_fail_errno(err, "cannot bring the image in '%s' to the disk", draft->folder);
	if ((result = mse_image_store_lock(store, true, &store_fd, err)) < 0 || (result = mse_process_check_signals(err)) < 0)
		return result;
	return put_in_place(store, draft, path, image->name, in_use, context, err);
}

int mse_image_remove(const char *store, const char *name, mse_image_in_use *in_use, void *context, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autofree char *away = NULL;
	mse_autoclose int store_fd = -1;
	int result;

	if ((result = mse_image_check_name(name, err)) < 0 || (result = mse_format(&path, err, "%s/%s", store, name)) < 0 ||
	    (result = mse_format(&away, err, "%s/" DRAFT_PREFIX "%s-%d", store, name, (int)getpid())) < 0 ||
	    (result = mse_image_store_lock(store, true, &store_fd, err)) < 0)
		return result;
	if (!mse_path_exists(path))
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no image '%s' in the store '%s'", name, store);
	if (in_use != NULL && (result = in_use(context, name, err)) < 0)
		return result;
	/* First out of sight, so that a crash leaves no half image under the name. */
	if (rename(path, away) < 0)
		return mse_fail_errno(err, "cannot remove the image '%s'", path);
	return mse_tree_remove(away, err);
}
