/* The error contract of every library here: functions return 0 or a negative enum mse_error and, on failure, fill
 * the caller's struct mse_error_info once; callers on the way up add what they were trying with mse_context(). */
#pragma once

enum mse_error {
	MSE_OK = 0,
	MSE_ERR_INTERNAL = -1,    /* a bug, or something that the machine should never do */
	MSE_ERR_NOMEM = -2,       /* memory could not be had */
	MSE_ERR_IO = -3,          /* the operating system refused: file, socket, process */
	MSE_ERR_NOT_FOUND = -4,   /* the named thing is not there */
	MSE_ERR_EXISTS = -5,      /* the named thing is there already */
	MSE_ERR_INPUT = -6,       /* malformed input: the message names the file, field or byte */
	MSE_ERR_LIMIT = -7,       /* larger or more than a named limit */
	MSE_ERR_UNSUPPORTED = -8, /* well-formed, but not something this release does */
	MSE_ERR_CRYPTO = -9,      /* a signature, tag or digest does not match */
	MSE_ERR_DENIED = -10,     /* understood, and not allowed */
	MSE_ERR_STATE = -11,      /* right request, wrong moment */
	MSE_ERR_TIMEOUT = -12,    /* no answer in time */
	MSE_ERR_VERIFY = -13,     /* evidence was examined and does not convince */
	MSE_ERR_CLOSED = -14,     /* the other side went away */
};

#define MSE_ERROR_MESSAGE_SIZE 1024

/* Owned by the caller, who need not initialise it; valid only after a function has returned a negative value. */
struct mse_error_info {
	int code;
	char message[MSE_ERROR_MESSAGE_SIZE];
};

/* Sets *err (which may be NULL) and returns code, so that `return mse_fail(...)` reads as it acts. The message says
 * what was tried, on what, why it failed and what to do; whatever it quotes, it is UTF-8 without control characters but
 * line feeds and tabs. Never put a secret into it. */
int mse_fail(struct mse_error_info *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As mse_fail() with MSE_ERR_IO, or NOT_FOUND, EXISTS, NOMEM or DENIED where errno says so; ": " and errno's text are appended. */
int mse_fail_errno(struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

int mse_fail_nomem(struct mse_error_info *err);

/* What every message goes through: other bytes than UTF-8 and control characters but line feeds and tabs become '?'. */
void mse_make_printable(char *text);

/* Puts "<formatted>: " before the message already in *err, and returns err->code. */
int mse_context(struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short stable name for JSON: "input", "not-found"; "unknown" for anything else. */
const char *mse_error_name(int code);
