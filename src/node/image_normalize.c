#include "node/image_normalize.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "node/process.h"

#define MAX_TEXT_SIZE ((size_t)1024 * 1024)
#define SHADOW_DAY "19523" /* 2023-06-15 */
#define MAX_PYTHON_FOLDERS 8

/* Emptied, the folder itself stays. What the sandbox mounts, and what is state of one host. */
static const char *const emptied[] = { "dev", "proc", "sys", "run", "tmp", "var/tmp", "var/log", "var/cache", "var/lib/apt/lists", "root", "boot" };
static const char *const emptied_on_import[] = { "dev", "proc", "sys" };

/* Patterns of glob(7). */
static const char *const removed[] = { "etc/.pwd.lock", "etc/passwd-", "etc/shadow-", "etc/group-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
	"etc/apt/sources.list", "etc/apt/sources.list.d/*", "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
	"var/lib/dpkg/*-old", "var/lib/dpkg/lock*", "var/lib/dpkg/triggers/Lock", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "etc/mtab" };

static const struct {
	const char *path;
	const char *content;
	mode_t mode;
} written[] = {
	{ "etc/hostname", "mse\n", 0644 },
	{ "etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", 0644 },
	{ "etc/resolv.conf", "", 0644 },
	{ "etc/machine-id", "", 0444 },
};

/* Mount points that the sandbox needs, for its root is read-only. */
static const struct {
	const char *path;
	mode_t mode;
} folders[] = { { "dev", 0755 }, { "proc", 0755 }, { "sys", 0755 }, { "run", 0755 }, { "tmp", 01777 }, { "root", 0700 }, { "mse", 0755 }, { "mse-app", 0755 } };

static int open_root(const char *root, int *ret_fd, struct mse_error_info *err)
{
	*ret_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? mse_fail_errno(err, "cannot open the image's folder '%s'", root) : 0;
}

/* A folder of the image, unless there is none of that name, or a link, which may lead out of the image. */
static DIR *open_folder(int root_fd, const char *path)
{
	int fd = openat(root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && folder == NULL)
		mse_close(fd);
	return folder;
}

static int empty_folder(const char *root, int root_fd, const char *path, uint64_t *removed_count, struct mse_error_info *err)
{
	DIR *folder = open_folder(root_fd, path);
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL)
		return errno == ENOENT || errno == ELOOP || errno == ENOTDIR ? 0 : mse_fail_errno(err, "cannot open '%s' of the image", path);
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		mse_autofree char *victim = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((result = mse_format(&victim, err, "%s/%s/%s", root, path, entry->d_name)) == 0)
			result = mse_tree_remove(victim, err);
		++*removed_count;
	}
	closedir(folder);
	return result;
}

static int remove_matches(const char *root, const char *pattern, struct mse_error_info *err)
{
	mse_autofree char *whole = NULL;
	glob_t found = { 0 };
	int result = mse_format(&whole, err, "%s/%s", root, pattern);

	if (result < 0)
		return result;
	/* GLOB_NOMATCH is the common case. */
	if (glob(whole, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
			result = mse_tree_remove(found.gl_pathv[i], err);
	globfree(&found);
	return result;
}

static int write_file(int root_fd, const char *path, const char *content, mode_t mode, struct mse_error_info *err)
{
	mse_autoclose int fd = -1;

	if (unlinkat(root_fd, path, 0) < 0 && errno != ENOENT)
		return mse_fail_errno(err, "cannot remove '%s' of the image", path);
	fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create '%s' in the image", path);
	if (mse_fd_write(fd, content, strlen(content), err) < 0)
		return mse_context(err, "'%s' of the image", path);
	return fchmod(fd, mode) < 0 ? mse_fail_errno(err, "cannot set the mode of '%s' of the image", path) : 0;
}

static int make_folder(int root_fd, const char *path, mode_t mode, struct mse_error_info *err)
{
	if (mkdirat(root_fd, path, 0755) < 0 && errno != EEXIST)
		return mse_fail_errno(err, "cannot make the folder '%s' in the image", path);
	return fchmodat(root_fd, path, mode, 0) < 0 ? mse_fail_errno(err, "cannot set the mode of '%s' of the image", path) : 0;
}

/* name:password:DAY:rest */
static int append_shadow_line(struct mse_buffer *to, const char *line, size_t size, struct mse_error_info *err)
{
	const char *name_end = memchr(line, ':', size), *password_end = NULL, *day_end = NULL;
	int result;

	if (name_end != NULL)
		password_end = memchr(name_end + 1, ':', (size_t)(line + size - name_end - 1));
	if (password_end != NULL)
		day_end = memchr(password_end + 1, ':', (size_t)(line + size - password_end - 1));
	if (day_end == NULL || day_end == password_end + 1)
		return mse_buffer_append(to, line, size, err);
	if ((result = mse_buffer_append(to, line, (size_t)(password_end + 1 - line), err)) < 0 ||
	    (result = mse_buffer_append_text(to, SHADOW_DAY, err)) < 0)
		return result;
	return mse_buffer_append(to, day_end, (size_t)(line + size - day_end), err);
}

int mse_image_normalize_shadow(const char *text, char **ret_text, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *buffer = mse_buffer_new(2 * MAX_TEXT_SIZE);
	int result = 0;

	if (buffer == NULL)
		return mse_fail_nomem(err);
	while (result == 0 && *text != 0) {
		size_t size = strcspn(text, "\n");

		size += text[size] == '\n';
		result = append_shadow_line(buffer, text, size, err);
		text += size;
	}
	return result < 0 ? result : mse_strdup(mse_buffer_text(buffer), ret_text, err);
}

static int fix_shadow(const char *root, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	mse_autofree uint8_t *text = NULL;
	mse_autofree char *fixed = NULL;
	mse_autoclose int fd = -1;
	size_t size;
	int result = mse_format(&path, err, "%s/etc/shadow", root);

	if (result < 0 || !mse_path_exists(path))
		return result;
	if ((result = mse_file_read(path, MAX_TEXT_SIZE, &text, &size, err)) < 0 ||
	    (result = mse_image_normalize_shadow((const char *)text, &fixed, err)) < 0)
		return result;
	/* In place: owner and mode stay. */
	fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return mse_fail_errno(err, "cannot rewrite '%s'", path);
	return mse_fd_write(fd, fixed, strlen(fixed), err);
}

/* Compiled modules carry their source's time, which neither the tree digest nor a copy need keep: unchecked ones do not, and
 * load without a look at the source, which matters in a read-only image that cannot store them later. */
static int compile_python(const char *root, struct mse_error_info *err)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", "PYTHONHASHSEED=0", NULL };
	const char *argv[10 + MAX_PYTHON_FOLDERS] = { "/usr/bin/python3", "-P", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash" };
	mse_autofree char *python = NULL;
	mse_autofree char *pattern = NULL;
	glob_t found = { 0 };
	size_t count = 8;
	int result;

	if ((result = mse_format(&python, err, "%s/usr/bin/python3", root)) < 0 ||
	    (result = mse_format(&pattern, err, "%s/usr/lib/python3*", root)) < 0)
		return result;
	if (access(python, X_OK) < 0 || glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc && i < MAX_PYTHON_FOLDERS; i++)
		argv[count++] = found.gl_pathv[i] + strlen(root);
	result = mse_process_run(&(struct mse_process){ .argv = argv, .env = env, .root = root, .what = "the image's python3 (compileall)" }, err);
	globfree(&found);
	return result;
}

int mse_image_normalize_build(const char *root, struct mse_error_info *err)
{
	mse_autoclose int root_fd = -1;
	uint64_t ignored = 0;
	int result;

	if ((result = open_root(root, &root_fd, err)) < 0 || (result = compile_python(root, err)) < 0)
		return result;
	for (size_t i = 0; result == 0 && i < sizeof emptied / sizeof emptied[0]; i++)
		result = empty_folder(root, root_fd, emptied[i], &ignored, err);
	for (size_t i = 0; result == 0 && i < sizeof removed / sizeof removed[0]; i++)
		result = remove_matches(root, removed[i], err);
	for (size_t i = 0; result == 0 && i < sizeof written / sizeof written[0]; i++)
		result = write_file(root_fd, written[i].path, written[i].content, written[i].mode, err);
	for (size_t i = 0; result == 0 && i < sizeof folders / sizeof folders[0]; i++)
		result = make_folder(root_fd, folders[i].path, folders[i].mode, err);
	if (result == 0 && fchmod(root_fd, 0755) < 0)
		result = mse_fail_errno(err, "cannot set the mode of '%s'", root);
	return result < 0 ? result : fix_shadow(root, err);
}

int mse_image_normalize_import(const char *root, uint64_t *ret_removed, struct mse_error_info *err)
{
	mse_autoclose int root_fd = -1;
	int result = open_root(root, &root_fd, err);

	*ret_removed = 0;
	for (size_t i = 0; result == 0 && i < sizeof emptied_on_import / sizeof emptied_on_import[0]; i++)
		result = empty_folder(root, root_fd, emptied_on_import[i], ret_removed, err);
	return result;
}
