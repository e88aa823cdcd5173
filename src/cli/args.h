/* The command line of `mse`: one table of commands and one of options drive parsing, dispatch, usage and `help`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum mse_option {
	MSE_OPT_JSON,
	MSE_OPT_NODE,
	MSE_OPT_PROJECT,
	MSE_OPT_PATH,
	MSE_OPT_YES,
	MSE_OPT_TRUST_IMAGE,
	MSE_OPT_FOLLOW,
	MSE_OPT_CONTEXT,
	MSE_OPT_MEASUREMENT,
	MSE_OPT_BUNDLE,
	MSE_OPT_CODE,
	MSE_OPT_OWNER,
	MSE_OPT_SALT,
	MSE_OPT_PYTHON_APPLICATION,
	MSE_OPT_ALLOW_SIMULATION,
	MSE_OPT_SIMULATION_ROOT,
	MSE_OPT_OUTPUT,
	MSE_OPT_HELP,
	MSE_OPT_COUNT,
};

#define MSE_OPT_BIT(option) (1u << (option))

struct mse_option_info {
	const char *name;     /* without the dashes */
	char letter;          /* 0: no short form */
	const char *argument; /* what stands for it in usage; NULL: a switch */
	const char *help;
};

struct mse_cli;

struct mse_command {
	const char *name;      /* one word, or two for a command of a group: "context export" */
	const char *operands;  /* "NAME", "ID|NAME", "" */
	size_t min_operands;
	size_t max_operands;
	uint32_t options;      /* bits of enum mse_option; --json and --help are understood everywhere */
	const char *summary;   /* one line */
	const char *help;      /* more, for `mse help COMMAND`; may be NULL */
	int (*run)(struct mse_cli *cli, struct mse_error_info *err);
};

#define MSE_MAX_OPERANDS 4

/* Pointers into argv. */
struct mse_args {
	const char *values[MSE_OPT_COUNT]; /* NULL: not given; "" for a switch */
	const char *operands[MSE_MAX_OPERANDS];
	size_t operand_count;
};

/* The table, ended by an entry without a name. */
extern const struct mse_command mse_commands[];

const struct mse_option_info *mse_option_info(enum mse_option option);

/* Parses what stands behind the program's name. Every failure is a mistake in usage: MSE_ERR_INPUT, with a message that
 * says what to type. *ret_command may be set although it fails, for usage. --help gives the command `help` with the name as its operand;
 * so does --version for `version`. */
int mse_args_parse(int count, const char *const words[], const struct mse_command **ret_command, struct mse_args *ret_args, struct mse_error_info *err);

/* "mse deploy [--path FILE] …", and the whole help of one command or of all. */
int mse_args_usage(const struct mse_command *command, struct mse_buffer *to, struct mse_error_info *err);
int mse_args_help(const struct mse_command *command, struct mse_buffer *to, struct mse_error_info *err);
int mse_args_overview(struct mse_buffer *to, struct mse_error_info *err);

/* The command of that name, in one or two words (second may be NULL); NULL: none. */
const struct mse_command *mse_command_find(const char *first, const char *second);
