/* A node: its folders, what it remembers, and the apps that live on it. */
#pragma once

#include <stdbool.h>

#include "config/node_config.h"
#include "node/runtime.h"
#include "node/store.h"

#define MSE_NODE_API_VERSION 1
#define MSE_NODE_TEE "sim"

struct mse_cgroups;
struct mse_claims;
struct mse_supervisor;

struct mse_node {
	const struct mse_node_config *config; /* the caller's */
	char *data;    /* absolute, as the rest */
	char *images;
	char *bundles;
	char *apps;
	char *sim;
	int lock_fd;   /* of data/msed.lock */
	struct mse_store *store;
	struct mse_runtime *runtime;
	struct mse_claims *claims;
	struct mse_cgroups *groups; /* that limit apps; NULL: none, as the configuration allows */
	uint32_t weaker; /* enum mse_weaker: what no app of this node has */
	struct mse_supervisor *supervisor; /* NULL until it is started */
};

/* Where a node keeps its images: without opening the node. The caller frees *ret_path. */
int mse_node_images_path(const char *data, const struct mse_node_config *config, char **ret_path, struct mse_error_info *err);
/* data/msed.db. */
int mse_node_db_path(const char *data, char **ret_path, struct mse_error_info *err);

/* Makes what is missing in the data folder, takes its lock (MSE_ERR_EXISTS: another msed has it), opens the database, and removes what a
 * crash has left half done. config must outlive the node. */
int mse_node_open(const char *data, const struct mse_node_config *config, struct mse_node **ret_node, struct mse_error_info *err);
/* Ends the supervisor's thread, if there is one; apps live on. */
void mse_node_free(struct mse_node *node);
MSE_DEFINE_CLEANUP(struct mse_node, mse_node_free)

/* The folder of an app. */
int mse_node_app_dir(const struct mse_node *node, const char *id, char **ret_path, struct mse_error_info *err);

/* One change at a time of the app that has a name: waits while another thread has claimed it. */
int mse_node_claim(struct mse_node *node, const char *project, const char *name, struct mse_error_info *err);
void mse_node_unclaim(struct mse_node *node, const char *project, const char *name);
