/* Reading an app's log: opens the sealed records as they come from the node, and tells where something is missing. */
#pragma once

#include <stdbool.h>

#include "crypto/log_record.h"

/* The last run and record that were read. */
struct mse_log_reader {
	uint8_t instance_id[32];
	const struct mse_box_key *owner;            /* borrowed */
	uint8_t enclave_key[MSE_BOX_KEY_SIZE];
	bool has_run;
	bool expect_beginning; /* nothing was cut off before what comes: a first record with another number than 0 follows missing ones */
	uint8_t run[MSE_LOG_RUN_SIZE];
	uint64_t next_number;
	uint8_t last_hash[MSE_SHA256_SIZE];
};

enum mse_log_finding {
	MSE_LOG_RECORD,     /* a record, in its place */
	MSE_LOG_MISSING,    /* records are missing before this one: `count` of them */
	MSE_LOG_BROKEN,     /* the chain breaks before this one: it does not follow on the one before it, though its number does */
	MSE_LOG_OUT_OF_ORDER, /* this one was there before, or comes too late */
	MSE_LOG_UNREADABLE, /* not a record of this enclave for this owner; record is NULL */
	MSE_LOG_NEW_RUN,    /* the enclave was started (again) here; comes before the record itself */
};

/* Called for each finding; count is of MSE_LOG_MISSING alone, reason of MSE_LOG_UNREADABLE. A negative result ends the reading. */
typedef int mse_log_visit(void *context, enum mse_log_finding finding, const struct mse_log_record *record, uint64_t count, const char *reason,
	struct mse_error_info *err);

/* Reads a part of the log, each record with its size before it (32 bits big-endian). MSE_ERR_INPUT when the part ends within a
 * record: what came before has been visited. *ret_used bytes were whole records. */
int mse_log_read(struct mse_log_reader *reader, const void *bytes, size_t size, mse_log_visit *visit, void *context, size_t *ret_used,
	struct mse_error_info *err);

/* How many records of the head's run are missing at the end of what was read; 0 also when what was read is newer. */
uint64_t mse_log_missing_at_end(const struct mse_log_reader *reader, const struct mse_log_head *head);
