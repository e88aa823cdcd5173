/* One deployment, step by step: each step takes what those before it left here. */
#pragma once

#include "bundle/bundle.h"
#include "bundle/walk.h"
#include "cli/attested.h"
#include "cli/client.h"
#include "cli/conf.h"
#include "cli/runtime.h"
#include "config/app_config.h"
#include "manifest/manifest.h"

struct mse_deployment {
	struct mse_cli *cli;
	uint64_t step_began;   /* monotonic, in microseconds */
	json_t *steps;         /* [{"name", "seconds"}] */
	const char *step_name; /* that is under way */

	struct mse_app_config *config;
	struct mse_walk *walk;
	struct mse_owner owner;
	struct mse_runtime runtime;
	struct mse_secret *app_secrets; /* NULL: none */

	char id[MSE_INSTANCE_ID_TEXT_SIZE];
	char *folder; /* in the store */
	uint8_t salt[MSE_BUNDLE_SALT_SIZE];
	struct mse_secret *code_key;
	struct mse_bundle_summary bundle;

	struct mse_client *node;
	struct mse_node_record record;
	struct mse_node_info info;
	char *image_name;
	uint8_t image_digest[MSE_SHA256_SIZE];
	char *replaces; /* instance id, or "" */

	struct mse_manifest *manifest;
	struct mse_buffer *manifest_bytes;
	uint8_t measurement[MSE_SHA256_SIZE];

	bool started; /* the node has the instance */
	bool provisioned;
	json_t *app; /* as the node tells */
	char *url;
	char *instance_url;
	struct mse_attested *attested;
	struct mse_peer *peer;
	struct mse_verdict *verdict;
	char *certificate; /* path of ratls.pem */
};

/* Begins a step; the one before ends with mse_deploy_done(), which prints its line. */
void mse_deploy_begin(struct mse_deployment *deployment, const char *name);
int mse_deploy_done(struct mse_deployment *deployment, struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* deploy_prepare.c: on the owner's machine alone */
int mse_deploy_read_config(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_check(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_seal(struct mse_deployment *deployment, struct mse_error_info *err);

/* deploy_node.c: with the node */
int mse_deploy_contact_node(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_resolve_image(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_choose_replaced(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_upload(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_start(struct mse_deployment *deployment, struct mse_error_info *err);
/* Whether url is https://NAME:PORT/ and nothing else: a node's word ends up in commands that people copy. */
bool mse_url_names(const char *url, const char *name);
/* Asks the node for the App again. */
int mse_deploy_refresh(struct mse_deployment *deployment, struct mse_error_info *err);
/* Has the node stop the instance, after a failure; what became of that is said. */
void mse_deploy_abandon(struct mse_deployment *deployment);

/* deploy_enclave.c: with the enclave */
int mse_deploy_verify(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_provision(struct mse_deployment *deployment, struct mse_error_info *err);
int mse_deploy_wait_ready(struct mse_deployment *deployment, struct mse_error_info *err);
/* The message that is provisioned, in secret memory; app_secrets may be NULL. */
int mse_provision_body(const char *instance_id, const struct mse_secret *code_key, const struct mse_secret *app_secrets, struct mse_secret **ret_body,
	struct mse_error_info *err);

/* cmd_logs.c: the last lines of an instance's log, decrypted, for an error; nothing when it cannot be had. */
void mse_logs_show_tail(struct mse_cli *cli, struct mse_client *node, const char *id, const uint8_t enclave_key[static MSE_BOX_KEY_SIZE],
	const struct mse_owner *owner);
