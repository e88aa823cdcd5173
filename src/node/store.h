/* What the node remembers of its apps, in msed.db. Thread-safe: every function takes the store's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "manifest/manifest.h"
#include "shim/control.h"

/* Why an app is as it is, from this list or from its shim. */
#define MSE_REASON_SUPERVISOR_FAILS "its supervisor does not start"
#define MSE_REASON_FOREIGN_SUPERVISOR "another app's supervisor answers in its place"
#define MSE_REASON_FOLDER_MISSING "its folder is missing from the node"
#define MSE_REASON_REPLACED "replaced by its owner"

/* The node's own lines about an app. */
enum mse_event {
	MSE_EVENT_DEPLOYED,
	MSE_EVENT_SUPERVISOR_STARTED, /* a shim was started */
	MSE_EVENT_SUPERVISOR_LOST,    /* a shim that should run does not */
	MSE_EVENT_SPAWNING,
	MSE_EVENT_INITIALIZING,
	MSE_EVENT_PROVISIONED,
	MSE_EVENT_RUNNING,
	MSE_EVENT_RESTARTED, /* the enclave ended and was started again */
	MSE_EVENT_ON_ERROR,
	MSE_EVENT_STOPPED,
};

struct mse_app {
	char id[MSE_INSTANCE_ID_TEXT_SIZE];
	char *project;
	char *name;
	uint8_t owner[MSE_SIGN_KEY_SIZE];
	char *plan;
	char address[MSE_ADDRESS_TEXT_SIZE];
	uint16_t port;
	uint32_t uid; /* 0: the node's own */
	char *image_name;
	uint8_t image_digest[MSE_SHA256_SIZE];
	uint8_t measurement[MSE_SHA256_SIZE];
	char *healthcheck;
	uint64_t memory, cpu_millis, storage, threads;
	int64_t created_at, expires_at, stopped_at; /* stopped_at 0: not stopped */
	uint64_t restarts;
	bool provisioned;
	enum mse_shim_state state;
	char *reason; /* "": none */
	uint32_t weaker; /* enum mse_weaker */
};

struct mse_app *mse_app_new(void);
void mse_app_free(struct mse_app *app);
MSE_DEFINE_CLEANUP(struct mse_app, mse_app_free)

struct mse_store;

int mse_store_open(const char *path, struct mse_store **ret_store, struct mse_error_info *err);
void mse_store_close(struct mse_store *store);
MSE_DEFINE_CLEANUP(struct mse_store, mse_store_close)

/* By instance id or a prefix of it of at least 8 digits. MSE_ERR_NOT_FOUND; MSE_ERR_INPUT for what is no id; MSE_ERR_EXISTS when several begin so. */
int mse_store_find(struct mse_store *store, const char *id, struct mse_app **ret_app, struct mse_error_info *err);

/* Calls visit with the apps, newest first, that have this project and name (each may be NULL: any). Stops at a negative result. The store is
 * not locked meanwhile: visit may call it. */
typedef int mse_app_visit(void *context, const struct mse_app *app, struct mse_error_info *err);
int mse_store_each(struct mse_store *store, const char *project, const char *name, mse_app_visit *visit, void *context, struct mse_error_info *err);

/* Whether an instance id was ever deployed here. */
int mse_store_instance_seen(struct mse_store *store, const char *id, bool *ret_seen, struct mse_error_info *err);
/* MSE_ERR_NOT_FOUND when the name is free. */
int mse_store_name_owner(struct mse_store *store, const char *project, const char *name, uint8_t owner[static MSE_SIGN_KEY_SIZE],
	struct mse_error_info *err);
/* Apps that are not stopped: all, and this owner's. */
int mse_store_counts(struct mse_store *store, const uint8_t owner[static MSE_SIGN_KEY_SIZE], uint64_t *ret_all, uint64_t *ret_owner,
	struct mse_error_info *err);
/* The id of an app that is not stopped and uses the image, newly allocated, or NULL. */
int mse_store_image_user(struct mse_store *store, const char *image_name, char **ret_id, struct mse_error_info *err);

struct mse_store_ranges {
	uint16_t port_first, port_last;
	uint32_t uid_first, uid_count; /* uid_count 0: every app gets uid 0 */
	uint64_t max_apps, max_apps_per_owner;
	/* Whether a port can be bound now. */
	bool (*port_is_free)(uint16_t port);
};
/* Records a new app, all at once: the id is marked as seen, the name as the owner's, port and uid are chosen and put into *app. What another
 * deployment could have changed since it was checked is checked again: MSE_ERR_EXISTS (id seen, name running), MSE_ERR_DENIED (name of another owner),
 * MSE_ERR_LIMIT (quota, ports, uids). `prepare` runs before this is committed, with port and uid known; its failure undoes everything. */
typedef int mse_store_prepare(void *context, const struct mse_app *app, struct mse_error_info *err);
int mse_store_insert(struct mse_store *store, const struct mse_store_ranges *ranges, struct mse_app *app, mse_store_prepare *prepare, void *context,
	struct mse_error_info *err);

/* Writes down what a shim says, and the events that follow from the change. An app that is stopped stays as it is. */
int mse_store_status(struct mse_store *store, const char *id, const struct mse_shim_status *status, struct mse_error_info *err);
int mse_store_event(struct mse_store *store, const char *id, enum mse_event event, const char *detail, struct mse_error_info *err);
/* An array of {"time", "event", "detail"}, oldest first, at most the last 1000. */
int mse_store_events(struct mse_store *store, const char *id, json_t **ret_array, struct mse_error_info *err);

/* Keeps some room on the disk for writing down the end of apps, which must not fail on a full one. */
int mse_store_keep_reserve(struct mse_store *store, struct mse_error_info *err);

/* Forgets an app (not its id). With free_name, the name too, unless another app still has it. */
int mse_store_forget(struct mse_store *store, const char *id, bool free_name, struct mse_error_info *err);
