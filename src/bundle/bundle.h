/* Bundles: a code folder packed into a tar and sealed, as one blob that tells the host nothing but a rounded size.
 *
 * A bundle is a header of 32 bytes and then chunks.
 *
 *     header   magic "mse-bundle\n" (11 bytes), version 1 (1 byte), algorithm 1 (1 byte), nonce prefix (19 bytes)
 *     chunk    64 KiB of the inner stream (the last one: 1 byte to 64 KiB) and a tag of 16 bytes: XChaCha20-Poly1305-IETF
 *              with nonce = prefix, chunk number (32 bits big-endian, from 0), 1 for the last chunk or 0 (1 byte), and
 *              the whole header as associated data (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015)
 *
 * The inner stream is a tar archive and then zeros up to the Padmé size (Nikitin et al., PoPETs 2019): `.mse/app.json` first,
 * then the entries sorted bytewise by path; mtime 0, uid and gid 0, modes 0644 and 0755, names raw UTF-8.
 *
 * Bundles are opened by bundle_open.c, which is all that the enclave links (bundle_open_dep in meson). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include "bundle/tree.h"

#define MSE_BUNDLE_KEY_SIZE 32
#define MSE_BUNDLE_SALT_SIZE 32
#define MSE_BUNDLE_DIR ".mse"
#define MSE_BUNDLE_APP_JSON MSE_BUNDLE_DIR "/app.json"
#define MSE_BUNDLE_MAX_APP_JSON_SIZE ((size_t)64 * 1024)
/* Larger than what MSE_CODE_MAX_… allow with every header. */
#define MSE_BUNDLE_MAX_SIZE ((uint64_t)1536 * 1024 * 1024)

struct mse_walk;

struct mse_bundle_summary {
	uint8_t sha256[32];                        /* of the sealed file */
	uint8_t tree_digest[MSE_TREE_DIGEST_SIZE]; /* with .mse and .mse/app.json */
	uint64_t inner_size;                       /* of the tar, in bytes */
	uint64_t padded_size;                      /* of the tar and its padding */
	uint64_t sealed_size;                      /* of the file */
};

/* Packs and seals what the walk found, under a fresh key and prefix, into out_path (replaced at once, mode 0600, not synced).
 * Memory does not grow with the files. MSE_ERR_STATE when a file changed since the walk. */
int mse_bundle_seal(const struct mse_walk *walk, const void *app_json, size_t app_json_size, const char *out_path, struct mse_secret **ret_key,
	struct mse_bundle_summary *ret_summary, struct mse_error_info *err);

/* The tree digest that sealing the same walk and app.json gives, without sealing. */
int mse_bundle_tree_digest(const struct mse_walk *walk, const void *app_json, size_t app_json_size,
	uint8_t ret_digest[static MSE_TREE_DIGEST_SIZE], struct mse_error_info *err);

struct mse_bundle_opened {
	uint8_t tree_digest[MSE_TREE_DIGEST_SIZE];
	uint8_t *app_json; /* a NUL stands behind it, outside its size */
	size_t app_json_size;
	size_t entry_count; /* files, folders and links written to the destination */
};
void mse_bundle_opened_clear(struct mse_bundle_opened *opened);

/* Opens the bundle read from bundle_fd (from its current position to its end) into the empty folder dest_fd: files 0644 or 0755
 * created with O_EXCL and no link followed, links last and only if they stay inside. limits may be NULL: mse_code_limits.
 * `.mse/app.json` is returned, not written. The tree digest is for the caller to check against the commitment, for the cipher
 * does not commit to its key. On any error everything written is removed again.
 * MSE_ERR_CRYPTO: a wrong key, or a changed or cut bundle. MSE_ERR_UNSUPPORTED: another version or algorithm.
 * MSE_ERR_INPUT, MSE_ERR_LIMIT, MSE_ERR_DENIED: sealed with this key, but not a bundle that mse_bundle_seal() could have made. */
int mse_bundle_open(int bundle_fd, const struct mse_secret *key, int dest_fd, const struct mse_tree_limits *limits,
	struct mse_bundle_opened *ret_opened, struct mse_error_info *err);

/* SHA-256("mse-code-v1", salt, tree digest): what the manifest says of the code. */
int mse_code_commitment(const uint8_t salt[static MSE_BUNDLE_SALT_SIZE], const uint8_t tree_digest[static MSE_TREE_DIGEST_SIZE],
	uint8_t ret_commitment[static 32], struct mse_error_info *err);

/* The Padmé size of a length: at least it, at most 12% more, and one of few. */
uint64_t mse_bundle_padded_size(uint64_t size);
