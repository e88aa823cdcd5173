#include "cli/args.h"

#include <string.h>

static const struct mse_option_info options[MSE_OPT_COUNT] = {
	[MSE_OPT_JSON] = { "json", 0, NULL, "write one JSON object to standard output, everything else to standard error" },
	[MSE_OPT_NODE] = { "node", 0, "ADDRESS", "the node to talk to, unix:PATH; else from the variable MSE_NODE" },
	[MSE_OPT_PROJECT] = { "project", 0, "PROJECT", "look for the name in this project" },
	[MSE_OPT_PATH] = { "path", 0, "FILE", "the configuration to deploy; mse.toml in this folder when not given" },
	[MSE_OPT_YES] = { "yes", 'y', NULL, "replace a running app without asking; whether an image is to be trusted is still asked" },
	[MSE_OPT_TRUST_IMAGE] = { "trust-image", 0, "DIGEST", "the tree digest of the image that is to be trusted, sha256:…" },
	[MSE_OPT_FOLLOW] = { "follow", 'f', NULL, "go on with what is logged from now on, until Ctrl-C" },
	[MSE_OPT_CONTEXT] = { "context", 0, "FILE", "compare with a context exported and signed by the owner" },
	[MSE_OPT_MEASUREMENT] = { "measurement", 0, "HEX", "compare with this measurement, which fixes everything" },
	[MSE_OPT_BUNDLE] = { "bundle", 0, "FILE", "compare with the sealed bundle at hand" },
	[MSE_OPT_CODE] = { "code", 0, "DIR", "compare with the source at hand" },
	[MSE_OPT_OWNER] = { "owner", 0, "KEY", "the owner's public key: a file, hex or base64" },
	[MSE_OPT_SALT] = { "salt", 0, "HEX", "the salt of the code commitment, with --code and without a context" },
	[MSE_OPT_PYTHON_APPLICATION] = { "python-application", 0, "MODULE:NAME", "as in mse.toml, with --code and without a context" },
	[MSE_OPT_ALLOW_SIMULATION] = { "allow-simulation", 0, NULL, "accept evidence of a simulated TEE, which protects nothing from the operator" },
	[MSE_OPT_SIMULATION_ROOT] = { "simulation-root", 0, "FILE|SHA256", "the one simulation root to accept: a certificate, or the hash of its key" },
	[MSE_OPT_OUTPUT] = { "output", 0, "FILE", "where to write the result" },
	[MSE_OPT_HELP] = { "help", 'h', NULL, "show the help of the command" },
};

#define EVERYWHERE (MSE_OPT_BIT(MSE_OPT_JSON) | MSE_OPT_BIT(MSE_OPT_HELP))

const struct mse_option_info *mse_option_info(enum mse_option option)
{
	return &options[option];
}

static bool name_is(const char *name, const char *first, const char *second)
{
	size_t size = strlen(first);

	if (second == NULL)
		return strcmp(name, first) == 0;
	return strncmp(name, first, size) == 0 && name[size] == ' ' && strcmp(name + size + 1, second) == 0;
}

const struct mse_command *mse_command_find(const char *first, const char *second)
{
	for (const struct mse_command *command = mse_commands; command->name != NULL; command++)
		if (name_is(command->name, first, second))
			return command;
	return NULL;
}

static bool is_group(const char *word)
{
	size_t size = strlen(word);

	for (const struct mse_command *command = mse_commands; command->name != NULL; command++)
		if (strncmp(command->name, word, size) == 0 && command->name[size] == ' ')
			return true;
	return false;
}

static int find_command(int count, const char *const words[], const struct mse_command **ret_command, int *ret_used, struct mse_error_info *err)
{
	if (count == 0)
		return mse_fail(err, MSE_ERR_INPUT, "no command given; 'mse help' lists them");
	if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)
		*ret_command = mse_command_find("help", NULL);
	else if (strcmp(words[0], "--version") == 0)
		*ret_command = mse_command_find("version", NULL);
	else if (is_group(words[0])) {
		if (count < 2 || words[1][0] == '-')
			return mse_fail(err, MSE_ERR_INPUT, "'mse %s' needs one more word; 'mse help' lists the commands", words[0]);
		*ret_command = mse_command_find(words[0], words[1]);
		if (*ret_command == NULL)
			return mse_fail(err, MSE_ERR_INPUT, "there is no command 'mse %.60s %.60s'; 'mse help' lists them", words[0], words[1]);
		*ret_used = 2;
		return 0;
	} else {
		*ret_command = mse_command_find(words[0], NULL);
	}
	if (*ret_command == NULL)
		return mse_fail(err, MSE_ERR_INPUT, "there is no command '%.60s'; 'mse help' lists them", words[0]);
	*ret_used = 1;
	return 0;
}

static int find_option(const struct mse_command *command, const char *word, enum mse_option *ret_option, const char **ret_value,
	struct mse_error_info *err)
{
	const char *equals = strchr(word, '=');
	size_t size = equals == NULL ? strlen(word) : (size_t)(equals - word);

	for (unsigned i = 0; i < MSE_OPT_COUNT; i++) {
		bool is_long = word[1] == '-' && size - 2 == strlen(options[i].name) && strncmp(word + 2, options[i].name, size - 2) == 0;
		bool is_short = word[1] != '-' && size == 2 && word[1] == options[i].letter;

		if (!is_long && !is_short)
			continue;
		if (((command->options | EVERYWHERE) & MSE_OPT_BIT(i)) == 0)
			return mse_fail(err, MSE_ERR_INPUT, "'mse %s' has no option '%.*s'", command->name, (int)size, word);
		if (equals != NULL && options[i].argument == NULL)
			return mse_fail(err, MSE_ERR_INPUT, "option '%.*s' takes no value", (int)size, word);
		*ret_option = (enum mse_option)i;
		*ret_value = equals == NULL ? NULL : equals + 1;
		return 0;
	}
	return mse_fail(err, MSE_ERR_INPUT, "'mse %s' has no option '%.60s'", command->name, word);
}

static int take_option(const struct mse_command *command, int count, const char *const words[], int *at, struct mse_args *args, struct mse_error_info *err)
{
	const char *word = words[*at], *value = NULL;
	enum mse_option option;
	int result = find_option(command, word, &option, &value, err);

	if (result < 0)
		return result;
	if (args->values[option] != NULL)
		return mse_fail(err, MSE_ERR_INPUT, "option --%s is given twice", options[option].name);
	if (options[option].argument == NULL) {
		args->values[option] = "";
		return 0;
	}
	if (value == NULL) {
		if (*at + 1 >= count)
			return mse_fail(err, MSE_ERR_INPUT, "option --%s needs a value: %s", options[option].name, options[option].argument);
		value = words[++*at];
	}
	if (value[0] == 0)
		return mse_fail(err, MSE_ERR_INPUT, "option --%s has an empty value where %s is needed", options[option].name,
			options[option].argument);
	args->values[option] = value;
	return 0;
}

int mse_args_parse(int count, const char *const words[], const struct mse_command **ret_command, struct mse_args *ret_args, struct mse_error_info *err)
{
	const struct mse_command *command = NULL;
	bool options_end = false;
	int used = 0;
	int result;

	*ret_args = (struct mse_args){ 0 };
	*ret_command = NULL;
	if ((result = find_command(count, words, &command, &used, err)) < 0)
		return result;
	*ret_command = command;
	for (int i = used; i < count; i++) {
		if (!options_end && strcmp(words[i], "--") == 0) {
			options_end = true;
		} else if (!options_end && words[i][0] == '-' && words[i][1] != 0) {
			if ((result = take_option(command, count, words, &i, ret_args, err)) < 0)
				return result;
		} else if (ret_args->operand_count == command->max_operands) {
			return mse_fail(err, MSE_ERR_INPUT, "'mse %s' has no use for '%.100s'", command->name, words[i]);
		} else {
			ret_args->operands[ret_args->operand_count++] = words[i];
		}
	}
	if (ret_args->values[MSE_OPT_HELP] != NULL) {
		ret_args->operand_count = 1;
		ret_args->operands[0] = command->name;
		*ret_command = mse_command_find("help", NULL);
		return 0;
	}
	if (ret_args->operand_count < command->min_operands)
		return mse_fail(err, MSE_ERR_INPUT, "'mse %s' needs %s", command->name, command->operands);
	return 0;
}

int mse_args_usage(const struct mse_command *command, struct mse_buffer *to, struct mse_error_info *err)
{
	int result = mse_buffer_printf(to, err, "mse %s%s%s", command->name, command->operands[0] == 0 ? "" : " ", command->operands);

	for (unsigned i = 0; result == 0 && i < MSE_OPT_COUNT; i++) {
		const struct mse_option_info *option = &options[i];

		if ((command->options & MSE_OPT_BIT(i)) == 0)
			continue;
		result = mse_buffer_printf(to, err, " [--%s%s%s]", option->name, option->argument == NULL ? "" : " ",
			option->argument == NULL ? "" : option->argument);
	}
	return result < 0 ? result : mse_buffer_append_text(to, " [--json]", err);
}

static int append_option(const struct mse_option_info *option, struct mse_buffer *to, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *left = mse_buffer_new(256);
	int result;

	if (left == NULL)
		return mse_fail_nomem(err);
	if (option->letter != 0)
		result = mse_buffer_printf(left, err, "-%c, ", option->letter);
	else
		result = 0;
	if (result == 0)
		result = mse_buffer_printf(left, err, "--%s%s%s", option->name, option->argument == NULL ? "" : " ",
			option->argument == NULL ? "" : option->argument);
	return result < 0 ? result : mse_buffer_printf(to, err, "  %-34s %s\n", mse_buffer_text(left), option->help);
}

int mse_args_help(const struct mse_command *command, struct mse_buffer *to, struct mse_error_info *err)
{
	int result = mse_buffer_printf(to, err, "%s\n\nusage: ", command->summary);

	if (result < 0 || (result = mse_args_usage(command, to, err)) < 0)
		return result;
	if (command->help != NULL && (result = mse_buffer_printf(to, err, "\n\n%s", command->help)) < 0)
		return result;
	if ((result = mse_buffer_append_text(to, "\n\n", err)) < 0)
		return result;
	for (unsigned i = 0; i < MSE_OPT_COUNT; i++)
		if (((command->options | EVERYWHERE) & MSE_OPT_BIT(i)) != 0 && (result = append_option(&options[i], to, err)) < 0)
			return result;
	return 0;
}

int mse_args_overview(struct mse_buffer *to, struct mse_error_info *err)
{
	int result = mse_buffer_append_text(to,
		"mse deploys Python web applications into enclaves and verifies what runs there.\n\nusage: mse COMMAND …\n\n", err);

	for (const struct mse_command *command = mse_commands; result == 0 && command->name != NULL; command++)
		result = mse_buffer_printf(to, err, "  %-16s %s\n", command->name, command->summary);
	return result < 0 ? result : mse_buffer_append_text(to, "\n'mse help COMMAND' tells more about one of them; mse(1) tells all.\n", err);
}
