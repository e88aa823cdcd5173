/* What every subcommand of `mse` gets, and how it speaks: for people, or as one JSON object. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "cli/args.h"

struct mse_cli {
	const struct mse_command *command;
	struct mse_args args;
	bool json;
	bool can_ask;     /* standard input and error are terminals */
	bool usage_error; /* the failure is one of usage: exit 2 */
	bool answered;    /* the JSON object has been written */
	bool progress_shown;
	char *conf_path;  /* the configuration folder; set by mse_conf_open() */
};

/* The value of an option, or NULL. */
const char *mse_cli_option(const struct mse_cli *cli, enum mse_option option);

/* A failure of usage, which ends the program with 2. */
int mse_cli_usage(struct mse_cli *cli, struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A line for people: to standard output, or with --json to standard error. */
void mse_cli_say(struct mse_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line that is drawn over by the next one, on a terminal only; cleared by any other output here. */
void mse_cli_progress(struct mse_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mse_cli_progress_end(struct mse_cli *cli);

/* The JSON object of --json, once; does nothing without --json. The reference stays the caller's. */
int mse_cli_answer(struct mse_cli *cli, const json_t *json, struct mse_error_info *err);
/* Plain text to standard output. */
int mse_cli_write(const void *data, size_t size, struct mse_error_info *err);
/* JSON and a newline to standard output; flags are those of json_dumps(). */
int mse_cli_write_json(const json_t *json, size_t flags, struct mse_error_info *err);

/* A question that only "y" or "yes" answers with true. MSE_ERR_STATE where nobody can be asked: callers test cli->can_ask first. */
int mse_cli_ask(struct mse_cli *cli, bool *ret_yes, struct mse_error_info *err, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Replaces control characters, so that text from elsewhere cannot steer a terminal; returns text. */
char *mse_cli_printable(char *text);
/* The same for bytes; the characters of kept stay. */
void mse_cli_clean(char *bytes, size_t size, const char *kept);
/* A copy of a JSON string member, printable; "-" when it is not there. The caller frees. */
int mse_cli_text_of(const json_t *object, const char *member, char **ret_text, struct mse_error_info *err);
/* What the node says of an app that it is without (App's "weaker" in docs/node-api.md), a line each. */
int mse_cli_say_weaker(struct mse_cli *cli, const json_t *app, struct mse_error_info *err);

/* Ctrl-C and SIGTERM are remembered, and looked for wherever we wait. The second one ends the program at once. */
void mse_interrupt_install(void);
bool mse_interrupted(void);
/* For cleaning up after an interrupt. */
void mse_interrupt_forget(void);
/* Sleeps; MSE_ERR_STATE when interrupted. */
int mse_cli_sleep(unsigned milliseconds, struct mse_error_info *err);

/* The subcommands, one file each. */
int mse_cmd_scaffold(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_deploy(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_list(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_status(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_logs(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_stop(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_verify(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_context_export(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_image_digest(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_version(struct mse_cli *cli, struct mse_error_info *err);
int mse_cmd_help(struct mse_cli *cli, struct mse_error_info *err);
