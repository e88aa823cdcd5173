/* An app's folder as msed makes it, the real mse-shim on it, and stand_in.c in place of the enclave. */
#pragma once

#include "../test.h"

#include <stdbool.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "manifest/manifest.h"
#include "shim/config.h"
#include "shim/control.h"

#define APP_UID 210001u  /* that a root shim gives its enclave */
#define USER_UID 210002u /* of somebody else */
#define PATIENCE_MS 20000u

extern struct mse_error_info err;

struct app {
	char root[64]; /* of all that is made for it */
	char dir[128]; /* the app's folder */
	uid_t user;    /* that the shim runs as */
	struct mse_sign_key owner;
	struct mse_manifest *manifest;
	struct mse_shim_config *config;
	pid_t shim; /* 0: it ended */
	int control;
	struct mse_buffer *pending;
	struct mse_shim_status status; /* what was received last */
};

/* From main()'s arguments: the shim, the stand-in, and perhaps a pattern of tests' names. */
int prepare_tests(int argc, char **argv);

/* An app whose enclave obeys these words (stand_in.c). Manifest and config may be changed until it is started. */
struct app *new_app(const char *words);
struct app *new_app_for(const char *words, uid_t user);
/* A path in its root, valid for the next seven calls. */
const char *path_in(const struct app *app, const char *name);
void put(const struct app *app, const char *name, const char *text, mode_t mode);
void make_image(const struct app *app);
void write_files(struct app *app);
char *copy_text(const char *text);

/* Writes what msed writes, starts the shim, connects. */
void start(struct app *app);
void run_shim(struct app *app);
void connect_to(struct app *app);

typedef bool condition(const struct mse_shim_status *status);
void await_for(struct app *app, condition *met, const char *what, uint64_t patience_ms);
#define await(app, met) await_for(app, met, #met, PATIENCE_MS)
bool is_initializing(const struct mse_shim_status *status);
bool is_running(const struct mse_shim_status *status);
bool is_on_error(const struct mse_shim_status *status);
bool is_final(const struct mse_shim_status *status);

/* Its exit status, 1000 and more for signals. */
int wait_for_exit(struct app *app);
void expect_gone(int64_t pid);
/* Stops it as its owner does, up to the end of the shim. */
void stop(struct app *app);
/* Also for an app whose shim has ended; nothing may be left of it. */
void end(struct app *app);
/* A teardown: ends what a failed test left. */
int clean_up(void **state);

/* The shim's own log, and the app's whole log, a line for each record; for the caller to free. */
char *shim_log(const struct app *app);
char *app_log(const struct app *app);
void expect(const char *log, const char *text);
void expect_not(const char *log, const char *text);
