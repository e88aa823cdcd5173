/* The client of the node's API (docs/node-api.md). Nothing that a node says is trusted: what it decides is checked
 * by the enclave's evidence, what it tells is shown as what it tells. */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/conf.h"

struct mse_client;

/* The node of --node or MSE_NODE. Makes no connection yet. Only unix:PATH is spoken in this release. */
int mse_client_open(struct mse_cli *cli, struct mse_client **ret_node, struct mse_error_info *err);
/* The same for a given address. */
int mse_client_open_address(const char *address, struct mse_client **ret_node, struct mse_error_info *err);
void mse_client_free(struct mse_client *node);
MSE_DEFINE_CLEANUP(struct mse_client, mse_client_free)
/* "unix:/absolute/path": names the node in messages and pins. */
const char *mse_client_address(const struct mse_client *node);

/* What a node says of itself. */
struct mse_node_info {
	char *version;
	char *tee;
	char *domain;
	bool simulated;
	int64_t time;
};
void mse_node_info_clear(struct mse_node_info *info);

/* Asks the node what it is, and holds its simulation root against the pinned one: MSE_ERR_VERIFY when they differ. At first contact
 * it is pinned, and said so. ret_info and ret_record may be NULL. */
int mse_client_contact(struct mse_client *node, struct mse_cli *cli, struct mse_node_info *ret_info, struct mse_node_record *ret_record,
	struct mse_error_info *err);
/* mse_client_open() and mse_client_contact(), for commands that need no more. */
int mse_client_open_known(struct mse_cli *cli, struct mse_client **ret_node, struct mse_error_info *err);

/* Requests with a JSON answer. An error answer becomes an error with the node's own words. */
int mse_client_get(struct mse_client *node, const char *path, json_t **ret_json, struct mse_error_info *err);
/* Signs the body as request->verb … say, and posts it to path. */
struct mse_node_request;
int mse_client_post_signed(struct mse_client *node, const char *path, const struct mse_owner *owner, const struct mse_node_request *request,
	json_t **ret_json, struct mse_error_info *err);
/* Has an instance of the owner's stopped; *ret_app is its last App. */
int mse_client_stop(struct mse_client *node, const struct mse_owner *owner, const char *project, const char *name, const char *id, json_t **ret_app,
	struct mse_error_info *err);
/* Uploads a file; draws progress where cli has a terminal. */
int mse_client_put_file(struct mse_client *node, struct mse_cli *cli, const char *path, const char *file, struct mse_error_info *err);

/* Sealed log records, as they are. */
struct mse_log_part {
	struct mse_buffer *bytes; /* the caller frees */
	int64_t end;              /* behind what is there */
	int64_t next;             /* to ask for next */
};
int mse_client_logs(struct mse_client *node, const char *id, int64_t from, struct mse_log_part *ret_part, struct mse_error_info *err);

/* A path segment or query value, percent-encoded; the caller frees. */
int mse_client_escape(const char *text, char **ret_text, struct mse_error_info *err);

/* The app that the operand of a command means: by name (in --project, or the only one; a live one before stopped ones, the
 * newest of these), or by an instance id or its unique beginning. A new reference to its App. */
int mse_client_find_app(struct mse_client *node, const char *what, const char *project, json_t **ret_app, struct mse_error_info *err);
/* The same in a list of Apps, newest first. */
int mse_apps_choose(const json_t *apps, const char *what, const char *project, json_t **ret_app, struct mse_error_info *err);
