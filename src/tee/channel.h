/* The channel between an enclave and its shim: frames over a Unix stream socket, each a 32-bit big-endian size of what
 * follows, one byte of type, and the payload. The enclave asks, one question at a time, and the shim answers with
 * MSE_FRAME_ANSWER or MSE_FRAME_REFUSED (payload: a reason as text); what is marked "told" has no answer. Neither
 * side trusts the other's frames: sizes are bounded before anything is allocated. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "crypto/log_record.h"

#define MSE_CHANNEL_MAX_PAYLOAD ((size_t)32 * 1024 * 1024)

enum mse_frame_type {
	/* enclave to shim */
	MSE_FRAME_GET_QUOTE = 1,       /* 64 bytes of report data; answer: the quote */
	MSE_FRAME_GET_SEALING_KEY = 2, /* label as text; answer: 32 bytes; refused once MSE_FRAME_STARTED was told */
	MSE_FRAME_STARTED = 3,         /* told: no sealing key is to leave the CPU for this process any more */
	MSE_FRAME_GET_COLLATERAL = 4,  /* empty; answer: the collateral's JSON */
	MSE_FRAME_LOAD_STATE = 5,      /* empty; answer: the sealed state, empty when there is none */
	MSE_FRAME_SAVE_STATE = 6,      /* the sealed state; answered, empty, when it is durable */
	MSE_FRAME_LOG = 7,             /* told: one sealed log record, at most MSE_LOG_RECORD_MAX_SIZE bytes */
	MSE_FRAME_STATUS = 8,          /* told: one byte, enum mse_enclave_status */
	MSE_FRAME_METRICS = 9,         /* told: struct of numbers, 64-bit big-endian: requests, errors, in flight, bytes in, bytes out */
	MSE_FRAME_OPEN_STORAGE = 10,   /* told, once: one byte, 1 for a fresh one and 0 for the one that is there, and the key of 32 bytes */
	MSE_FRAME_AWAIT_STORAGE = 11,  /* empty; answered, empty, when MSE_ENCLAVE_HOME_DIR is what was asked for; refused when it will not be */
	/* shim to enclave */
	MSE_FRAME_ANSWER = 64,
	MSE_FRAME_REFUSED = 65,
	MSE_FRAME_STOP = 66, /* told: finish requests, then end */
};

#define MSE_SEALED_STATE_MAX_SIZE ((size_t)24 * 1024 * 1024)
#define MSE_STORAGE_KEY_SIZE 32
#define MSE_COLLATERAL_MAX_SIZE ((size_t)1024 * 1024)

/* What the enclave says of itself; also why it ended, from this fixed list, for the node's own log. */
enum mse_enclave_status {
	MSE_ENCLAVE_WAITING = 1,            /* serves evidence, waits for its owner */
	MSE_ENCLAVE_STARTING = 2,           /* provisioned; the application is being imported */
	MSE_ENCLAVE_SERVING = 3,            /* the application answers */
	MSE_ENCLAVE_BUNDLE_REFUSED = 10,    /* the bundle does not open, or is not what was committed to */
	MSE_ENCLAVE_IMPORT_FAILED = 11,     /* the application could not be imported */
	MSE_ENCLAVE_PYTHON_MISSING = 12,    /* the image has no usable libpython */
	MSE_ENCLAVE_STATE_REFUSED = 13,     /* sealed state does not open here */
	MSE_ENCLAVE_INTERNAL_ERROR = 14,
	MSE_ENCLAVE_STORAGE_REFUSED = 15,   /* $HOME cannot be had: the shim knows why */
	MSE_ENCLAVE_STOPPED = 20,           /* ended because it was told to, or expired */
};
const char *mse_enclave_status_name(enum mse_enclave_status status);

/* What stands before a payload of so many bytes. */
#define MSE_CHANNEL_HEAD_SIZE 5
void mse_channel_head(uint8_t head[static MSE_CHANNEL_HEAD_SIZE], enum mse_frame_type type, size_t size);

/* Blocking; MSE_ERR_CLOSED when the other end is gone. The payload replaces what *payload holds; its maximum is the limit. */
int mse_channel_send(int fd, enum mse_frame_type type, const void *payload, size_t size, struct mse_error_info *err);
int mse_channel_receive(int fd, enum mse_frame_type *ret_type, struct mse_buffer *payload, struct mse_error_info *err);

/* Descriptors and paths that an enclave finds in its sandbox. */
#define MSE_ENCLAVE_CHANNEL_FD 3
#define MSE_ENCLAVE_LISTEN_FD 4
#define MSE_ENCLAVE_BUNDLE_FD 5 /* the sealed bundle; closed before the application starts */
/* What every enclave is made of, by the names under which manifests list it. */
#define MSE_ENCLAVE_PROGRAM_NAME "mse-enclave"
#define MSE_ENCLAVE_PYTHON_HOST_NAME "libmse_python.so"
#define MSE_ENCLAVE_BIN_DIR "/mse/bin"
#define MSE_ENCLAVE_PROGRAM MSE_ENCLAVE_BIN_DIR "/" MSE_ENCLAVE_PROGRAM_NAME
#define MSE_ENCLAVE_LIB_DIR "/mse/lib"                        /* libmse_python.so and libraries shipped beside it */
#define MSE_ENCLAVE_MANIFEST_PATH "/mse/manifest.json"
#define MSE_ENCLAVE_MANIFEST_SIGNATURE_PATH "/mse/manifest.sig" /* 64 bytes: the owner's approval */
#define MSE_ENCLAVE_APP_DIR "/mse-app"
#define MSE_ENCLAVE_HOME_DIR "/root"
#define MSE_ENCLAVE_TMP_DIR "/tmp"
