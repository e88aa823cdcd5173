/* The verifying client: an enclave's answer to a session evidence request, examined against what the caller holds. */
#pragma once

#include <openssl/x509.h>

#include "manifest/manifest.h"
#include "mse/attest.h"
#include "ratls/session.h"

/* A platform's identity: its PIID, or its PPID where there is none. */
#define MSE_PLATFORM_SIZE 16

/* What the caller knows at first hand; everything is optional, but a manifest member that nothing here fixes is a failed
 * check ("manifest.<member>", "nothing to compare with: …"). Pointers are borrowed. */
struct mse_expectations {
	const uint8_t *measurement;          /* 32 bytes: fixes every member */
	struct mse_view manifest;            /* the exact bytes, from a context: fixes every member */
	const uint8_t *owner_key;            /* 32 bytes: the owner's approval in the evidence fixes what is the owner's to choose */
	const uint8_t *image_digest;         /* 32 bytes, with owner_key */
	const uint8_t *bundle_sha256;        /* 32 bytes, with owner_key: the sealed bundle at hand */
	const uint8_t *code_commitment;      /* 32 bytes: of the source at hand and the salt; compared whatever else is given */
	const struct mse_named_digest *runtime; /* of this release, sorted by name */
	size_t runtime_count;
	uint64_t runtime_security_version;
	const char *host;                    /* of the URL: must be one of the manifest's names, or 127.0.0.1 or localhost (then it says nothing); NULL: not compared */
	const uint8_t (*platforms)[MSE_PLATFORM_SIZE]; /* identities of which one must be the evidence's; NULL: not compared */
	size_t platform_count;
};

/* The connection as the caller's own TLS stack sees it. */
struct mse_connection_facts {
	X509 *leaf;                               /* the certificate that the other side showed */
	uint8_t nonce[MSE_NONCE_SIZE];            /* that the caller sent */
	uint8_t exporter[MSE_EXPORTER_SIZE];      /* MSE_EXPORTER_ATTESTATION with the nonce, of this connection */
};

/* What a passing verdict vouches for. */
struct mse_peer {
	struct mse_enclave_keys keys;
	uint8_t measurement[MSE_SHA256_SIZE];
	struct mse_manifest *manifest;
	struct mse_buffer *manifest_bytes;
	uint8_t platform[MSE_PLATFORM_SIZE];
	char *state; /* "waiting", "starting", "serving" */
};
void mse_peer_free(struct mse_peer *peer);
MSE_DEFINE_CLEANUP(struct mse_peer, mse_peer_free)

/* Verifies the certificate's own evidence and the session's. Returns 0 with a verdict, passed or failed, and with a peer
 * only when it passed (*ret_peer is NULL otherwise); negative only when memory is out or the parameters make no sense.
 * Checks are added in this order: "certificate" (self-signature, CA:FALSE, validity, names, key binding of the
 * quote in it), then those of the quote (include/mse/attest.h), "measurement", "manifest.<member>" for each member,
 * "connection" (leaf, exporter), "freshness" (nonce), "platform". evidence is the body of the answer. */
int mse_session_verify(const void *evidence, size_t size, const struct mse_connection_facts *facts, const struct mse_expectations *expected,
	const struct mse_verify_params *params, struct mse_verdict **ret_verdict, struct mse_peer **ret_peer, struct mse_error_info *err);
