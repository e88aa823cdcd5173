/* Sealed log records: what the application and the enclave write, for the owner's eyes only.
 *
 * A record is: version (1 byte, 1), run (16 random bytes, new at each start of the enclave), number (64 bits big-endian,
 * from 0 in each run), box: crypto_box from the enclave's attested box key to the owner's log key (24 bytes of nonce, ciphertext).
 * Inside: fields (crypto/fields.h) with the tag "mse-log-v1": instance id, run, number, SHA-256 of the previous record of
 * the run as a whole (zeros for the first), time in milliseconds since 1970, stream (1 byte), data. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "crypto/keys.h"

#define MSE_LOG_RUN_SIZE 16
#define MSE_LOG_DATA_MAX_SIZE ((size_t)64 * 1024)
#define MSE_LOG_RECORD_MAX_SIZE (MSE_LOG_DATA_MAX_SIZE + 16 * 1024) /* sealed, on its way and where it is kept */

enum mse_log_stream {
	MSE_LOG_STDOUT = 1,
	MSE_LOG_STDERR = 2,
	MSE_LOG_ENCLAVE = 3, /* the enclave's own lines */
};

/* One run's chain, on the writing side. */
struct mse_log_chain {
	uint8_t instance_id[32];
	uint8_t run[MSE_LOG_RUN_SIZE];
	uint64_t number;
	uint8_t previous[MSE_SHA256_SIZE];
};

void mse_log_chain_begin(struct mse_log_chain *chain, const uint8_t instance_id[static 32]);
/* Appends the next record to `to` and moves the chain on. size at most MSE_LOG_DATA_MAX_SIZE. */
int mse_log_record_seal(struct mse_log_chain *chain, const struct mse_box_key *enclave, const uint8_t log_key[static MSE_BOX_KEY_SIZE],
	int64_t time_ms, enum mse_log_stream stream, const void *data, size_t size, struct mse_buffer *to, struct mse_error_info *err);

/* A record as its owner reads it. */
struct mse_log_record {
	uint8_t run[MSE_LOG_RUN_SIZE];
	uint64_t number;
	uint8_t previous[MSE_SHA256_SIZE]; /* as the enclave wrote it: equal to `hash` of number - 1, or the chain is broken */
	uint8_t hash[MSE_SHA256_SIZE];     /* of this record */
	int64_t time_ms;
	enum mse_log_stream stream;
	struct mse_buffer *data;
};
void mse_log_record_clear(struct mse_log_record *record);

/* MSE_ERR_CRYPTO: not from the attested enclave, or changed; MSE_ERR_INPUT: malformed, or its head does not say what is inside. */
int mse_log_record_open(const void *record, size_t size, const uint8_t instance_id[static 32], const struct mse_box_key *owner,
	const uint8_t enclave_key[static MSE_BOX_KEY_SIZE], struct mse_log_record *ret_record, struct mse_error_info *err);

/* Where a chain stands, so that a host that keeps back its end is found out: asked for with a fresh nonce, and sealed like
 * a record, with the tag "mse-log-head-v1": nonce, instance id, run, count, SHA-256 of the last record (zeros: none yet). */
#define MSE_LOG_NONCE_SIZE 32
#define MSE_LOG_HEAD_MAX_SIZE ((size_t)512)

struct mse_log_head {
	uint8_t run[MSE_LOG_RUN_SIZE];
	uint64_t count; /* records of the run so far */
	uint8_t last[MSE_SHA256_SIZE];
};

int mse_log_head_seal(const struct mse_log_chain *chain, const struct mse_box_key *enclave, const uint8_t log_key[static MSE_BOX_KEY_SIZE],
	const uint8_t nonce[static MSE_LOG_NONCE_SIZE], struct mse_buffer *to, struct mse_error_info *err);
/* MSE_ERR_CRYPTO: not from the attested enclave; MSE_ERR_INPUT: not an answer to this nonce about this instance. */
int mse_log_head_open(const void *box, size_t size, const uint8_t instance_id[static 32], const uint8_t nonce[static MSE_LOG_NONCE_SIZE],
	const struct mse_box_key *owner, const uint8_t enclave_key[static MSE_BOX_KEY_SIZE], struct mse_log_head *ret_head, struct mse_error_info *err);
