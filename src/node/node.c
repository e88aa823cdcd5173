#include "node/node.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "node/bundles.h"
#include "node/supervisor.h"
#include "shim/cgroup.h"
#include "shim/config.h"
#include "shim/weaker.h"
#include "tee/sim_pki.h"

#define LOCK_FILE "msed.lock"
#define DB_FILE "msed.db"
#define MAX_CLAIMS 64

struct mse_claims {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *names[MAX_CLAIMS]; /* "project/name", or NULL */
};

int mse_node_images_path(const char *data, const struct mse_node_config *config, char **ret_path, struct mse_error_info *err)
{
	return config->images != NULL ? mse_strdup(config->images, ret_path, err) : mse_path_join(data, "images", ret_path, err);
}

int mse_node_db_path(const char *data, char **ret_path, struct mse_error_info *err)
{
	return mse_path_join(data, DB_FILE, ret_path, err);
}

int mse_node_app_dir(const struct mse_node *node, const char *id, char **ret_path, struct mse_error_info *err)
{
	return mse_path_join(node->apps, id, ret_path, err);
}

static struct mse_claims *claims_new(void)
{
	struct mse_claims *claims = calloc(1, sizeof *claims);

	if (claims != NULL) {
		pthread_mutex_init(&claims->lock, NULL);
		pthread_cond_init(&claims->changed, NULL);
	}
	return claims;
}

static void claims_free(struct mse_claims *claims)
{
	if (claims == NULL)
		return;
	pthread_cond_destroy(&claims->changed);
	pthread_mutex_destroy(&claims->lock);
	free(claims);
}

/* The slot of a name, or for NULL a free one; NULL when there is none. */
static char **find_claim(struct mse_claims *claims, const char *name)
{
	for (size_t i = 0; i < MAX_CLAIMS; i++)
		if (name == NULL ? claims->names[i] == NULL : claims->names[i] != NULL && strcmp(claims->names[i], name) == 0)
			return &claims->names[i];
	return NULL;
}

int mse_node_claim(struct mse_node *node, const char *project, const char *name, struct mse_error_info *err)
{
	mse_autofree char *whole = NULL;
	char **slot;
	int result = mse_format(&whole, err, "%s/%s", project, name);

	if (result < 0)
		return result;
	pthread_mutex_lock(&node->claims->lock);
	while (find_claim(node->claims, whole) != NULL || (slot = find_claim(node->claims, NULL)) == NULL)
		pthread_cond_wait(&node->claims->changed, &node->claims->lock);
	*slot = mse_steal(whole);
	pthread_mutex_unlock(&node->claims->lock);
	return 0;
}

void mse_node_unclaim(struct mse_node *node, const char *project, const char *name)
{
	size_t project_size = strlen(project);

	pthread_mutex_lock(&node->claims->lock);
	for (size_t i = 0; i < MAX_CLAIMS; i++) {
		char *claimed = node->claims->names[i];

		if (claimed != NULL && strncmp(claimed, project, project_size) == 0 && claimed[project_size] == '/' &&
		    strcmp(claimed + project_size + 1, name) == 0) {
			free(claimed);
			node->claims->names[i] = NULL;
		}
	}
	pthread_cond_broadcast(&node->claims->changed);
	pthread_mutex_unlock(&node->claims->lock);
}

/* True for a folder in which a shim is at work: the database has lost its app, if an older one was put in its place. */
static bool is_alive(const char *path)
{
	mse_autofree char *lock = NULL;
	mse_autoclose int fd = -1;
	struct mse_error_info ignored;

	return mse_path_join(path, MSE_SHIM_LOCK_FILE, &lock, &ignored) == 0 && mse_path_exists(lock) &&
	       mse_file_lock(lock, &fd, &ignored) == MSE_ERR_EXISTS;
}

/* An app's folder is complete before the database knows of it: one that it does not know is left from a crash. */
static int remove_unknown_apps(struct mse_node *node, struct mse_error_info *err)
{
	DIR *folder = opendir(node->apps);
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL)
		return mse_fail_errno(err, "cannot list '%s'", node->apps);
	while (result >= 0 && (entry = readdir(folder)) != NULL) {
		mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
		mse_autofree char *path = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		result = mse_store_find(node->store, entry->d_name, &app, err);
		if (result == 0 && strcmp(app->id, entry->d_name) == 0)
			continue;
		if (result < 0 && result != MSE_ERR_NOT_FOUND && result != MSE_ERR_INPUT)
			break;
		if ((result = mse_path_join(node->apps, entry->d_name, &path, err)) < 0)
			break;
		if (is_alive(path)) {
			mse_log("'%s' is of an app that the database does not know, and its shim runs: it is left alone; end that process to be rid of it", path);
			result = 0;
		} else
			result = mse_tree_remove(path, err);
	}
	closedir(folder);
	return result;
}

static int make_folders(struct mse_node *node, struct mse_error_info *err)
{
	const struct {
		const char *name;
		char **path;
	} folders[] = { { "bundles", &node->bundles }, { "apps", &node->apps }, { "sim", &node->sim } };
	int result = 0;

	for (size_t i = 0; result == 0 && i < sizeof folders / sizeof folders[0]; i++)
		if ((result = mse_path_join(node->data, folders[i].name, folders[i].path, err)) == 0)
			result = mse_dir_make(*folders[i].path, 0700, err);
	return result;
}

static int open_images(struct mse_node *node, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result;

	if ((result = mse_node_images_path(node->data, node->config, &path, err)) < 0 || (result = mse_dir_make(path, 0755, err)) < 0)
		return result;
	node->images = realpath(path, NULL);
	return node->images == NULL ? mse_fail_errno(err, "cannot find '%s'", path) : 0;
}

/* What a node finds in its folder of apps and does not know is left from a crash, and removed: so it must be that folder. `mse` keeps
 * one of the same name for owners. */
static int check_is_ours(const char *data, const char *db, struct mse_error_info *err)
{
	mse_autofree char *apps = NULL;
	int result = mse_path_join(data, "apps", &apps, err);

	if (result < 0 || mse_path_exists(db) || !mse_path_exists(apps))
		return result;
	return mse_fail(err, MSE_ERR_EXISTS, "the folder '%s' has 'apps' and no database of a node: give --data a folder that is empty or a node's own, or, if "
		"the database was lost, move 'apps' away", data);
}

static int open_data(struct mse_node *node, const char *data, struct mse_error_info *err)
{
	mse_autofree char *lock = NULL;
	mse_autofree char *db = NULL;
	int result = mse_dir_make(data, 0700, err);

	if (result < 0)
		return result;
	node->data = realpath(data, NULL);
	if (node->data == NULL)
		return mse_fail_errno(err, "cannot find '%s'", data);
	if ((result = mse_node_db_path(node->data, &db, err)) < 0 || (result = check_is_ours(node->data, db, err)) < 0)
		return result;
	if (chmod(node->data, 0700) < 0)
		return mse_fail_errno(err, "cannot keep others out of '%s'", data);
	if ((result = mse_path_join(node->data, LOCK_FILE, &lock, err)) < 0)
		return result;
	result = mse_file_lock(lock, &node->lock_fd, err);
	if (result == MSE_ERR_EXISTS)
		return mse_fail(err, MSE_ERR_EXISTS, "another msed uses the folder '%s'; every node needs one of its own", data);
	if (result < 0 || (result = mse_store_open(db, &node->store, err)) < 0)
		return result;
	return make_folders(node, err);
}

/* Before anything is made. Groups of shims that were killed go now; the shims that are started again find none. */
static int find_groups(struct mse_node *node, struct mse_error_info *err)
{
	int result = mse_cgroups_find("/proc/self", &node->groups, err);

	if (result == MSE_ERR_UNSUPPORTED && node->config->insecure_unlimited) {
		node->weaker |= MSE_WEAKER_LIMITS;
		return 0;
	}
	return result < 0 ? result : mse_cgroups_sweep(node->groups, err);
}

int mse_node_open(const char *data, const struct mse_node_config *config, struct mse_node **ret_node, struct mse_error_info *err)
{
	mse_cleanup(mse_node_freep) struct mse_node *node = calloc(1, sizeof *node);
	int result;

	if (node == NULL)
		return mse_fail_nomem(err);
	node->lock_fd = -1;
	/* Users of their own, and storage on disk, only root can give to apps. */
	node->weaker = geteuid() != 0 ? MSE_WEAKER_USER | MSE_WEAKER_HOME : 0;
	node->config = config;
	node->claims = claims_new();
	if (node->claims == NULL)
		return mse_fail_nomem(err);
	if ((result = find_groups(node, err)) < 0 || (result = open_data(node, data, err)) < 0 || (result = open_images(node, err)) < 0 ||
	    (result = mse_sim_pki_ensure(node->sim, mse_time_now(), NULL, err)) < 0 || (result = mse_runtime_open(NULL, &node->runtime, err)) < 0 ||
	    (result = remove_unknown_apps(node, err)) < 0 || (result = mse_bundles_sweep(node->bundles, true, err)) < 0)
		return result;
	*ret_node = mse_steal(node);
	return 0;
}

void mse_node_free(struct mse_node *node)
{
	if (node == NULL)
		return;
	mse_supervisor_free(node->supervisor);
	mse_store_close(node->store);
	mse_cgroups_free(node->groups);
	mse_runtime_free(node->runtime);
	claims_free(node->claims);
	mse_close(node->lock_fd);
	free(node->data);
	free(node->images);
	free(node->bundles);
	free(node->apps);
	free(node->sim);
	free(node);
}
