#include "cli/store.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/conf.h"

#define APP_JSON_MAX_SIZE ((size_t)256 * 1024)
#define NEW_PREFIX ".new-"
#define STALE_SECONDS 86400

void mse_stored_app_free(struct mse_stored_app *app)
{
	if (app == NULL)
		return;
	json_decref(app->json);
	free(app->folder);
	free(app);
}

static int apps_folder(struct mse_cli *cli, char **ret_path, struct mse_error_info *err)
{
	int result = mse_conf_open(cli, err);

	return result < 0 ? result : mse_path_join(cli->conf_path, "apps", ret_path, err);
}

static void remove_stale(const char *apps)
{
	mse_autoclosedir DIR *dir = opendir(apps);
	struct mse_error_info ignored;
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		mse_autofree char *path = NULL;
		struct stat status;

		if (strncmp(entry->d_name, NEW_PREFIX, strlen(NEW_PREFIX)) != 0 || mse_path_join(apps, entry->d_name, &path, &ignored) < 0)
			continue;
		if (lstat(path, &status) == 0 && status.st_mtime < mse_time_now() - STALE_SECONDS)
			mse_tree_remove(path, &ignored);
	}
}

int mse_stored_begin(struct mse_cli *cli, const char *id, char **ret_folder, struct mse_error_info *err)
{
	mse_autofree char *apps = NULL, *folder = NULL;
	int result;

	if ((result = apps_folder(cli, &apps, err)) < 0 || (result = mse_dir_make(apps, 0700, err)) < 0)
		return result;
	remove_stale(apps);
	if ((result = mse_format(&folder, err, "%s/" NEW_PREFIX "%s", apps, id)) < 0)
		return result;
	if (mkdir(folder, 0700) < 0)
		return mse_fail_errno(err, "cannot make folder '%s'", folder);
	*ret_folder = mse_steal(folder);
	return 0;
}

int mse_stored_finish(struct mse_cli *cli, const char *id, char **folder, struct mse_error_info *err)
{
	mse_autofree char *apps = NULL, *final = NULL;
	int result;

	if ((result = apps_folder(cli, &apps, err)) < 0 || (result = mse_path_join(apps, id, &final, err)) < 0)
		return result;
	if (rename(*folder, final) < 0)
		return mse_fail_errno(err, "cannot rename '%s' to '%s'", *folder, final);
	free(*folder);
	*folder = mse_steal(final);
	return mse_dir_sync(apps, err);
}

static int read_app(struct mse_stored_app *app, const char *path, struct mse_error_info *err)
{
	uint64_t created_at;
	uint8_t id[MSE_INSTANCE_ID_SIZE];
	int result;

	if ((result = mse_json_read(path, APP_JSON_MAX_SIZE, &app->json, err)) < 0 ||
	    (result = mse_json_hex(app->json, "id", path, id, sizeof id, err)) < 0 ||
	    (result = mse_json_string(app->json, "name", path, &app->name, err)) < 0 ||
	    (result = mse_json_string(app->json, "project", path, &app->project, err)) < 0 ||
	    (result = mse_json_string(app->json, "url", path, &app->url, err)) < 0 ||
	    (result = mse_json_string(app->json, "instance_url", path, &app->instance_url, err)) < 0 ||
	    (result = mse_json_base64(app->json, "box_key", path, app->box_key, sizeof app->box_key, err)) < 0 ||
	    (result = mse_json_u64(app->json, "created_at", path, 0, INT64_MAX, &created_at, err)) < 0)
		return result;
	app->created_at = (int64_t)created_at;
	if (memcmp(id, app->id, sizeof id) != 0)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' speaks of another instance", path);
	return 0;
}

int mse_stored_load(struct mse_cli *cli, const char *id, struct mse_stored_app **ret_app, struct mse_error_info *err)
{
	mse_cleanup(mse_stored_app_freep) struct mse_stored_app *app = calloc(1, sizeof *app);
	mse_autofree char *apps = NULL, *path = NULL;
	int result;

	if (app == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_hex_decode(app->id, sizeof app->id, id, "the instance id", err)) < 0 || (result = apps_folder(cli, &apps, err)) < 0)
		return result;
	mse_hex_encode(app->id_text, app->id, sizeof app->id);
	if ((result = mse_path_join(apps, app->id_text, &app->folder, err)) < 0 || (result = mse_path_join(app->folder, "app.json", &path, err)) < 0)
		return result;
	if (!mse_path_exists(path))
		return mse_fail(err, MSE_ERR_NOT_FOUND, "the instance %.12s… was not deployed from here: '%s' is not there", app->id_text, path);
	if ((result = read_app(app, path, err)) < 0)
		return result;
	*ret_app = mse_steal(app);
	return 0;
}

/* Every app of the store that can be read, newest first, as an array of app.json's contents. */
static int load_all(struct mse_cli *cli, json_t **ret_apps, struct mse_error_info *err)
{
	mse_autojson *apps = json_array();
	mse_autofree char *folder = NULL;
	mse_autoclosedir DIR *dir = NULL;
	struct dirent *entry;
	int result;

	if (apps == NULL)
		return mse_fail_nomem(err);
	if ((result = apps_folder(cli, &folder, err)) < 0)
		return result;
	dir = opendir(folder);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		mse_cleanup(mse_stored_app_freep) struct mse_stored_app *app = NULL;
		size_t at = 0;

		if (strlen(entry->d_name) != MSE_INSTANCE_ID_TEXT_SIZE - 1)
			continue;
		result = mse_stored_load(cli, entry->d_name, &app, err);
		if (result == MSE_ERR_NOT_FOUND)
			continue;
		if (result < 0)
			return result;
		while (at < json_array_size(apps) &&
		       json_integer_value(json_object_get(json_array_get(apps, at), "created_at")) > app->created_at)
			at++;
		if (json_array_insert(apps, at, app->json) < 0)
			return mse_fail_nomem(err);
	}
	*ret_apps = mse_steal(apps);
	return 0;
}

int mse_stored_find(struct mse_cli *cli, const char *what, const char *project, struct mse_stored_app **ret_app, struct mse_error_info *err)
{
	mse_autojson *apps = NULL, *found = NULL;
	int result;

	if ((result = load_all(cli, &apps, err)) < 0)
		return result;
	result = mse_apps_choose(apps, what, project, &found, err);
	if (result == MSE_ERR_NOT_FOUND)
		return mse_fail(err, result, "no app with the name or id '%.64s' was deployed from here ('%s/apps')", what, cli->conf_path);
	return result < 0 ? result : mse_stored_load(cli, json_string_value(json_object_get(found, "id")), ret_app, err);
}

/* Host and port of "https://host:port/…" as a view, "host:port". */
static struct mse_view authority_of(const char *url)
{
	const char *begin = strstr(url, "://");

	begin = begin == NULL ? url : begin + 3;
	return mse_view_of(begin, strcspn(begin, "/?#"));
}

static bool same_authority(const char *stored, const char *host, const char *asked)
{
	struct mse_view a = authority_of(stored), b = authority_of(asked);
	bool local = strcmp(host, "127.0.0.1") == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
	const char *port_a = memrchr(a.data, ':', a.size), *port_b = memrchr(b.data, ':', b.size);
	size_t host_size = port_a == NULL ? a.size : (size_t)(port_a - (const char *)a.data);

	/* Loopback says nothing about which app is meant: there the port decides. */
	if (local)
		return port_a != NULL && port_b != NULL && a.size - host_size == b.size - (size_t)(port_b - (const char *)b.data) &&
		       memcmp(port_a, port_b, a.size - host_size) == 0;
	return strlen(host) == host_size && strncasecmp((const char *)a.data, host, host_size) == 0;
}

int mse_stored_find_url(struct mse_cli *cli, const char *host, const char *url, struct mse_stored_app **ret_app, struct mse_error_info *err)
{
	mse_autojson *apps = NULL;
	json_t *app;
	size_t i;
	int result;

	*ret_app = NULL;
	if ((result = load_all(cli, &apps, err)) < 0)
		return result;
	json_array_foreach (apps, i, app)
		if (same_authority(json_string_value(json_object_get(app, "url")), host, url) ||
		    same_authority(json_string_value(json_object_get(app, "instance_url")), host, url))
			return mse_stored_load(cli, json_string_value(json_object_get(app, "id")), ret_app, err);
	return 0;
}

int mse_stored_path(const struct mse_stored_app *app, const char *name, char **ret_path, struct mse_error_info *err)
{
	return mse_path_join(app->folder, name, ret_path, err);
}
