#include "node/image_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/text.h"
#include "bundle/tree.h"
#include "node/apt_sources.h"
#include "node/image_normalize.h"
#include "node/process.h"

#define RELEASE "bookworm"
#define MAX_PACKAGES_SIZE ((size_t)4096)
#define MAX_ENV 16

const struct mse_image_recipe mse_image_recipes[] = {
	{ "mse-flask", "python3,libpython3.11,python3-flask,ca-certificates,tzdata", "Debian 12, Python 3.11 and Flask" },
	{ "mse-python", "python3,libpython3.11,ca-certificates,tzdata", "Debian 12 and Python 3.11" },
	{ NULL, NULL, NULL },
};

static const struct mse_image_recipe *find_recipe(const char *name)
{
	for (const struct mse_image_recipe *recipe = mse_image_recipes; recipe->name != NULL; recipe++)
		if (strcmp(recipe->name, name) == 0)
			return recipe;
	return NULL;
}

static int fail_unknown_recipe(const char *name, struct mse_error_info *err)
{
	char known[256] = "";
	size_t used = 0;

	for (const struct mse_image_recipe *recipe = mse_image_recipes; recipe->name != NULL && used < sizeof known - 1; recipe++) {
		int printed = snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ", recipe->name);

		used += printed > 0 ? (size_t)printed : 0;
	}
	return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no recipe for an image '%.100s'; there are: %s", name, known);
}

/* Debian Policy, section 5.6.1. */
static bool package_name_is_valid(const char *name, size_t size)
{
	return size >= 2 && size <= 100 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") > 0 &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-") >= size;
}

static bool list_has(const char *list, const char *word, size_t size)
{
	for (const char *p = list; *p != 0;) {
		size_t length = strcspn(p, ",");

		if (length == size && strncmp(p, word, size) == 0)
			return true;
		p += length + (p[length] == ',');
	}
	return false;
}

int mse_image_recipe_packages(const char *name, const char *include, char **ret_packages, struct mse_error_info *err)
{
	const struct mse_image_recipe *recipe = find_recipe(name);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *packages = mse_buffer_new(MAX_PACKAGES_SIZE);
	int result;

	if (recipe == NULL)
		return fail_unknown_recipe(name, err);
	if (packages == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_buffer_append_text(packages, recipe->packages, err)) < 0)
		return result;
	while (include != NULL && *include != 0) {
		size_t size = strcspn(include, ",");

		if (!package_name_is_valid(include, size))
			return mse_fail(err, MSE_ERR_INPUT, "--include: '%.*s' is not the name of a Debian package", size > 100 ? 100 : (int)size, include);
		if (!list_has(mse_buffer_text(packages), include, size) &&
		    ((result = mse_buffer_append_text(packages, ",", err)) < 0 || (result = mse_buffer_append(packages, include, size, err)) < 0))
			return mse_context(err, "--include");
		include += size + (include[size] == ',');
	}
	return mse_strdup(mse_buffer_text(packages), ret_packages, err);
}

/* The way to the mirrors and nothing else of the caller's environment, which could otherwise show in the image. */
static size_t fill_env(char *kept[static MAX_ENV], const char *env[static MAX_ENV + 4], struct mse_error_info *err)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TMPDIR" };
	size_t count = 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && mse_format(&kept[count], err, "%s=%s", names[i], value) == 0)
			count++;
	}
	for (size_t i = 0; i < count; i++)
		env[i] = kept[i];
	env[count] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	env[count + 1] = "LANG=C.UTF-8";
	env[count + 2] = "DEBIAN_FRONTEND=noninteractive";
	env[count + 3] = NULL;
	return count;
}

static int run_mmdebstrap(const char *packages, const char *root, struct mse_error_info *err)
{
	/* The store is closed to apt's own user. Documentation and translations are two thirds of the entries of such an image, and nothing reads them there. */
	const char *argv[17 + MSE_APT_MAX_SOURCES] = { NULL, "--mode=root", "--variant=minbase", "--format=directory",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--aptopt=APT::Sandbox::User \"root\"", NULL, RELEASE, root };
	const char *env[MAX_ENV + 4];
	char *kept[MAX_ENV] = { NULL };
	mse_autofree char *program = NULL;
	mse_autofree char *include = NULL;
	struct mse_apt_sources sources = { 0 };
	size_t kept_count;
	int result;

	if ((result = mse_process_find("mmdebstrap", "mmdebstrap", &program, err)) < 0 ||
	    (result = mse_format(&include, err, "--include=%s", packages)) < 0 ||
	    (result = mse_apt_sources_read("/etc/apt", RELEASE, &sources, err)) < 0)
		return result;
	argv[0] = program;
	argv[10] = include;
	for (size_t i = 0; i < sources.count; i++)
		argv[13 + i] = sources.lines[i];
	kept_count = fill_env(kept, env, err);
	result = mse_process_run(&(struct mse_process){ .argv = argv, .env = env, .what = "mmdebstrap" }, err);
	for (size_t i = 0; i < kept_count; i++)
		free(kept[i]);
	mse_apt_sources_clear(&sources);
	return result;
}

static int new_image(const char *name, const char *description, const char *packages, struct mse_image **ret_image, struct mse_error_info *err)
{
	mse_cleanup(mse_image_freep) struct mse_image *image = calloc(1, sizeof *image);
	int result;

	if (image == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_strdup(name, &image->name, err)) < 0 || (result = mse_strdup(description, &image->description, err)) < 0 ||
	    (result = mse_strdup(packages, &image->packages, err)) < 0)
		return result;
	*ret_image = mse_steal(image);
	return 0;
}

static int require_root(const char *name, struct mse_error_info *err)
{
	if (geteuid() == 0)
		return 0;
	return mse_fail(err, MSE_ERR_DENIED, "it takes root, since packages are unpacked as files of several users; have root build it, here or elsewhere, pack it with "
		"`tar -C DIR/images/%s/rootfs -cf %s.tar .`, and take it over with `msed image import %s %s.tar`: its digest stays the same", name, name, name, name);
}

int mse_image_build(const char *store, const char *name, const char *include, bool rebuild, mse_image_in_use *in_use, void *context,
	struct mse_image **ret_image, bool *ret_built, struct mse_error_info *err)
{
	mse_cleanup(mse_image_draft_clear) struct mse_image_draft draft = { .lock_fd = -1 };
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	mse_autofree char *packages = NULL;
	int result = mse_image_recipe_packages(name, include, &packages, err);

	if (result < 0)
		return result;
	*ret_built = false;
	result = mse_image_find(store, name, &image, err);
	if (result == 0 && !rebuild) {
		if (strcmp(image->packages, packages) != 0)
			return mse_fail(err, MSE_ERR_EXISTS, "there is an image '%s' already, made of other packages (%s); --rebuild replaces it", name,
				image->packages[0] != 0 ? image->packages : "imported");
		*ret_image = mse_steal(image);
		return 0;
	}
	if (result < 0 && result != MSE_ERR_NOT_FOUND && !rebuild)
		return result;
	mse_image_free(mse_steal(image));
	/* Asked again when the image is put in place; here so that nobody waits for a build that cannot be used. */
	if (result == 0 && in_use != NULL && (result = in_use(context, name, err)) < 0)
		return result;
	if ((result = require_root(name, err)) < 0 ||
	    (result = new_image(name, find_recipe(name)->description, packages, &image, err)) < 0 ||
	    (result = mse_image_draft_new(store, &draft, err)) < 0 || (result = run_mmdebstrap(packages, draft.root, err)) < 0 ||
	    (result = mse_image_normalize_build(draft.root, err)) < 0 ||
	    (result = mse_image_draft_commit(store, &draft, image, in_use, context, err)) < 0)
		return result == MSE_ERR_CLOSED ? result : mse_context(err, "cannot build the image '%s'", name);
	*ret_image = mse_steal(image);
	*ret_built = true;
	return 0;
}

static int fail_archive(struct mse_error_info *err, struct archive *archive, const char *what)
{
	const char *text = archive_error_string(archive);

	return mse_fail(err, MSE_ERR_INPUT, "%s: %s", what, text != NULL ? text : "libarchive does not say why");
}

/* Devices are left out where normalisation would remove them anyway; elsewhere, and for other kinds, the tree digest refuses the image by name. */
static bool entry_is_dropped(const char *path, uint64_t *dropped)
{
	static const char *const folders[] = { "dev/", "proc/", "sys/" };

	while (strncmp(path, "./", 2) == 0 || path[0] == '/')
		path += path[0] == '/' ? 1 : 2;
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
		if (strncmp(path, folders[i], strlen(folders[i])) == 0 && path[strlen(folders[i])] != 0) {
			++*dropped;
			return true;
		}
	return false;
}

static int copy_entry(struct archive *in, struct archive *out, struct archive_entry *entry, const char *path, uint64_t *total, struct mse_error_info *err)
{
	const void *block;
	size_t size;
	int64_t offset;
	int status = archive_write_header(out, entry);

	if (status < ARCHIVE_OK)
		return fail_archive(err, out, path);
	while ((status = archive_read_data_block(in, &block, &size, &offset)) == ARCHIVE_OK) {
		*total += size;
		if (*total > mse_image_limits.total_size)
			return mse_fail(err, MSE_ERR_LIMIT, "the archive holds more than %llu bytes", (unsigned long long)mse_image_limits.total_size);
		if (archive_write_data_block(out, block, size, offset) < ARCHIVE_OK)
			return fail_archive(err, out, path);
		if (mse_process_check_signals(err) < 0)
			return err->code;
	}
	if (status != ARCHIVE_EOF)
		return fail_archive(err, in, path);
	return archive_write_finish_entry(out) < ARCHIVE_OK ? fail_archive(err, out, path) : 0;
}

/* Paths are taken below the root, which is where "/etc/passwd" and "./etc/passwd" of an archive are meant to be. */
static int place_below(struct archive_entry *entry, const char *root, struct mse_error_info *err)
{
	const char *path = archive_entry_pathname(entry), *target = archive_entry_hardlink(entry);
	mse_autofree char *placed = NULL;
	mse_autofree char *placed_target = NULL;
	int result;

	if (path == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "the archive has an entry whose name cannot be read");
	for (const char *p = path; (p = strstr(p, "..")) != NULL; p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == 0 || p[2] == '/'))
			return mse_fail(err, MSE_ERR_DENIED, "the archive has an entry that leads out of it: '%.200s'", path);
	if ((result = mse_format(&placed, err, "%s/%s", root, path)) < 0)
		return result;
	if (target != NULL) {
		if ((result = mse_format(&placed_target, err, "%s/%s", root, target)) < 0)
			return result;
		archive_entry_copy_hardlink(entry, placed_target);
	}
	archive_entry_copy_pathname(entry, placed);
	/* An ordinary user can give files to nobody else; as nobody else's they keep their modes, the only thing of the two that is measured. */
	if (geteuid() != 0) {
		archive_entry_set_uid(entry, geteuid());
		archive_entry_set_gid(entry, getegid());
	}
	return 0;
}

static int extract_all(struct archive *in, struct archive *out, const char *root, uint64_t *dropped, struct mse_error_info *err)
{
	struct archive_entry *entry;
	uint64_t total = 0;
	size_t count = 0;
	int status, result = 0;

	while (result == 0 && (status = archive_read_next_header(in, &entry)) != ARCHIVE_EOF) {
		mse_autofree char *path = NULL;

		if (status < ARCHIVE_WARN)
			return fail_archive(err, in, "the archive cannot be read");
		if (++count > mse_image_limits.entries)
			return mse_fail(err, MSE_ERR_LIMIT, "the archive holds more than %zu entries", mse_image_limits.entries);
		if (archive_entry_pathname(entry) != NULL && entry_is_dropped(archive_entry_pathname(entry), dropped))
			continue;
		if ((result = place_below(entry, root, err)) == 0 && (result = mse_strdup(archive_entry_pathname(entry), &path, err)) == 0)
			result = copy_entry(in, out, entry, path, &total, err);
	}
	return result;
}

static int extract_tar(const char *from, const char *root, uint64_t *dropped, struct mse_error_info *err)
{
	struct archive *in = archive_read_new(), *out = archive_write_disk_new();
	/* Without links of its own, since libarchive refuses to walk through any. */
	mse_autofree char *real_root = realpath(root, NULL);
	int result = 0;

	if (in == NULL || out == NULL || real_root == NULL)
		result = mse_fail_nomem(err);
	/* Links inside an image are commonly absolute, so entries are held below the root by refusing to walk through any link. */
	else if (archive_write_disk_set_options(out, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
			 ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT) < ARCHIVE_OK ||
		 archive_read_support_filter_all(in) < ARCHIVE_WARN || archive_read_support_format_tar(in) < ARCHIVE_WARN ||
		 archive_read_support_format_empty(in) < ARCHIVE_WARN)
		result = mse_fail(err, MSE_ERR_INTERNAL, "cannot set up libarchive");
	else if (archive_read_open_filename(in, from, 256 * 1024) < ARCHIVE_OK)
		result = fail_archive(err, in, from);
	else
		result = extract_all(in, out, real_root, dropped, err);
	if (result == 0 && archive_write_close(out) < ARCHIVE_OK)
		result = fail_archive(err, out, from);
	archive_read_free(in);
	archive_write_free(out);
	return result;
}

static int copy_folder(const char *from, const char *root, struct mse_error_info *err)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };
	mse_autofree char *program = NULL;
	mse_autofree char *source = NULL;
	int result;

	if ((result = mse_process_find("cp", "coreutils", &program, err)) < 0 || (result = mse_format(&source, err, "%s/.", from)) < 0)
		return result;
	return mse_process_run(&(struct mse_process){ .argv = (const char *const[]){ program, "-dR",
		geteuid() == 0 ? "--preserve=mode,ownership,timestamps,links" : "--preserve=mode,timestamps,links", "--reflink=auto", "--one-file-system", "--", source, root, NULL }, .env = env, .what = "cp" }, err);
}

static int fill_draft(const char *from, const char *root, uint64_t *ret_dropped, struct mse_error_info *err)
{
	struct stat status;
	uint64_t dropped = 0, removed = 0;
	int result;

	if (stat(from, &status) < 0)
		return mse_fail_errno(err, "cannot read '%s'", from);
	if (S_ISDIR(status.st_mode))
		result = copy_folder(from, root, err);
	else if (S_ISREG(status.st_mode))
		result = extract_tar(from, root, &dropped, err);
	else
		result = mse_fail(err, MSE_ERR_INPUT, "'%s' is neither a folder nor a tar archive", from);
	if (result < 0 || (result = mse_image_normalize_import(root, &removed, err)) < 0)
		return result;
	*ret_dropped = dropped + removed;
	return chmod(root, 0755) < 0 ? mse_fail_errno(err, "cannot set the mode of '%s'", root) : 0;
}

int mse_image_import(const char *store, const char *name, const char *from, bool replace, mse_image_in_use *in_use, void *context,
	struct mse_image **ret_image, uint64_t *ret_dropped, struct mse_error_info *err)
{
	mse_cleanup(mse_image_draft_clear) struct mse_image_draft draft = { .lock_fd = -1 };
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	int result = mse_image_check_name(name, err);

	if (result < 0)
		return result;
	result = mse_image_find(store, name, &image, err);
	if (result == 0 && !replace)
		return mse_fail(err, MSE_ERR_EXISTS, "there is an image '%s' already; --replace replaces it", name);
	if (result == 0 && in_use != NULL && (result = in_use(context, name, err)) < 0)
		return result;
	mse_image_free(mse_steal(image));
	if ((result = new_image(name, "imported", "", &image, err)) < 0 ||
	    (result = mse_image_draft_new(store, &draft, err)) < 0 || (result = fill_draft(from, draft.root, ret_dropped, err)) < 0 ||
	    (result = mse_image_draft_commit(store, &draft, image, in_use, context, err)) < 0)
		return result == MSE_ERR_CLOSED ? result : mse_context(err, "cannot import the image '%s' from '%s'", name, from);
	*ret_image = mse_steal(image);
	return 0;
}
