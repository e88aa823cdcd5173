/* What the owner keeps of each deployment, in apps/<instance id>/ of the configuration folder:
 *
 *     app.json        name, project, node, URLs, keys of the enclave for receipts and logs
 *     context.json    the signed context, as `mse context export` gives it out
 *     secret.json     0600: code key and salt
 *     manifest.json   the exact bytes that were measured
 *     bundle          the sealed code
 *     ratls.pem       the verified certificate
 *     receipt.json    the enclave's signed receipt
 *
 * While a deployment is not provisioned its folder is called apps/.new-<instance id>. */
#pragma once

#include "cli/cli.h"
#include "crypto/keys.h"
#include "manifest/manifest.h"

struct mse_stored_app {
	uint8_t id[MSE_INSTANCE_ID_SIZE];
	char id_text[MSE_INSTANCE_ID_TEXT_SIZE];
	char *folder;
	json_t *json; /* of app.json */
	const char *name, *project, *url, *instance_url; /* within json */
	int64_t created_at;
	uint8_t box_key[MSE_BOX_KEY_SIZE];
};
void mse_stored_app_free(struct mse_stored_app *app);
MSE_DEFINE_CLEANUP(struct mse_stored_app, mse_stored_app_free)

/* The folder of an app being deployed, made anew (0700); the caller frees. Folders that crashed deployments of more than a day ago left are removed. */
int mse_stored_begin(struct mse_cli *cli, const char *id, char **ret_folder, struct mse_error_info *err);
/* Gives it its final name; *folder is replaced. */
int mse_stored_finish(struct mse_cli *cli, const char *id, char **folder, struct mse_error_info *err);

/* The app with this instance id: MSE_ERR_NOT_FOUND when this owner's store does not have it. */
int mse_stored_load(struct mse_cli *cli, const char *id, struct mse_stored_app **ret_app, struct mse_error_info *err);
/* By name or id, as mse_apps_choose() does; the newest of several with one name. */
int mse_stored_find(struct mse_cli *cli, const char *what, const char *project, struct mse_stored_app **ret_app, struct mse_error_info *err);
/* The newest app whose URL or instance URL has this host, and this port where it is given; *ret_app is NULL when there is none. */
int mse_stored_find_url(struct mse_cli *cli, const char *host, const char *url, struct mse_stored_app **ret_app, struct mse_error_info *err);

/* "folder/name"; the caller frees. */
int mse_stored_path(const struct mse_stored_app *app, const char *name, char **ret_path, struct mse_error_info *err);
