/* The owner's configuration folder: MSE_CONF_PATH, else ~/.config/mse (0700).
 *
 *     owner.key                  0600: the owner's Ed25519 seed and X25519 log secret
 *     nodes/<sha256>.json        one per node address: what is pinned of it
 *     apps/<instance id>/        one per deployment: see store.h */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"
#include "crypto/hash.h"
#include "crypto/keys.h"
#include "ratls/verify.h"

struct mse_owner {
	struct mse_sign_key sign; /* approves and signs everything */
	struct mse_box_key log;   /* opens the logs */
};
void mse_owner_clear(struct mse_owner *owner);

/* Finds or makes the folder and sets cli->conf_path; refuses one that others can write to. */
int mse_conf_open(struct mse_cli *cli, struct mse_error_info *err);

/* The owner's keys, made at the first use, which is said. Refuses a file that others can read. */
int mse_owner_load(struct mse_cli *cli, struct mse_owner *ret_owner, struct mse_error_info *err);
/* The same without making any: MSE_ERR_NOT_FOUND. */
int mse_owner_load_existing(struct mse_cli *cli, struct mse_owner *ret_owner, struct mse_error_info *err);

/* How a public key is shown to be compared by people: "sha256:<hex>" of its 32 bytes. */
int mse_key_fingerprint(const uint8_t key[static MSE_SIGN_KEY_SIZE], char to[static MSE_DIGEST_TEXT_SIZE], struct mse_error_info *err);
/* An owner's public key as typed: hex, base64, or a file that holds one of these. */
int mse_owner_key_parse(const char *text, uint8_t key[static MSE_SIGN_KEY_SIZE], struct mse_error_info *err);

/* What is pinned of a node. */
struct mse_node_record {
	bool has_root;
	uint8_t simulation_root[MSE_SHA256_SIZE]; /* of the root's SubjectPublicKeyInfo */
	bool has_platform;
	uint8_t platform[MSE_PLATFORM_SIZE];
};

/* All false for a node that is not known yet. *ret_path (the caller frees) is the record's file, for messages. */
int mse_node_record_load(struct mse_cli *cli, const char *address, struct mse_node_record *ret_record, char **ret_path, struct mse_error_info *err);
int mse_node_record_save(struct mse_cli *cli, const char *address, const struct mse_node_record *record, struct mse_error_info *err);
