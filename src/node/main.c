/* msed: the node's daemon, and the tools of its image store. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/secret.h"
#include "config/node_config.h"
#include "node/commands.h"

enum option_bit { NEEDS_DATA = 1, TAKES_LISTEN = 2, TAKES_INCLUDE = 4, TAKES_REBUILD = 8, TAKES_REPLACE = 16, TAKES_JSON = 32 };

struct command {
	const char *group; /* first word, or "" */
	const char *name;
	const char *operands; /* as shown */
	int operand_count;
	unsigned options;
	mse_node_command *run; /* NULL: done by main itself */
	const char *description;
};

static const struct command commands[] = {
	{ "", "", "", 0, NEEDS_DATA | TAKES_LISTEN, mse_node_serve, "runs the node in the foreground until SIGTERM; apps go on when it ends" },
	{ "image", "build", "NAME", 1, NEEDS_DATA | TAKES_INCLUDE | TAKES_REBUILD, mse_node_image_build, "builds an image of Debian packages by its recipe" },
	{ "image", "import", "NAME DIR|TAR", 2, NEEDS_DATA | TAKES_REPLACE, mse_node_image_import, "takes an image from a folder or a tar archive" },
	{ "image", "list", "", 0, NEEDS_DATA | TAKES_JSON, mse_node_image_list, "lists the images in the node's store" },
	{ "image", "remove", "NAME", 1, NEEDS_DATA, mse_node_image_remove, "removes an image that no app uses" },
	{ "", "version", "", 0, 0, NULL, "prints the version" },
	{ "", "help", "", 0, 0, NULL, "prints this" },
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct {
	enum option_bit bit;
	const char *text;
} shown_options[] = {
	{ NEEDS_DATA, " --data DIR" },
	{ TAKES_LISTEN, " --listen unix:PATH" },
	{ NEEDS_DATA, " [--config FILE]" },
	{ TAKES_INCLUDE, " [--include PACKAGE,…]" },
	{ TAKES_REBUILD, " [--rebuild]" },
	{ TAKES_REPLACE, " [--replace]" },
	{ TAKES_JSON, " [--json]" },
};

static void print_usage(FILE *to)
{
	fputs("usage:\n", to);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];

		fprintf(to, "  msed%s%s%s%s%s%s", command->group[0] != 0 ? " " : "", command->group, command->name[0] != 0 ? " " : "", command->name,
			command->operands[0] != 0 ? " " : "", command->operands);
		for (size_t j = 0; j < sizeof shown_options / sizeof shown_options[0]; j++)
			if (command->options & shown_options[j].bit)
				fputs(shown_options[j].text, to);
		fprintf(to, "\n      %s\n", command->description);
	}
	fputs("Exit status: 0 done, 1 failed, 2 wrong usage.\n", to);
}

static int usage_error(const char *message, const char *detail)
{
	fprintf(stderr, "msed: %s%s\n", message, detail);
	print_usage(stderr);
	return 2;
}

/* The command that the operands begin with; *ret_words of them belong to its name. */
static const struct command *find_command(int count, char **words, int *ret_words)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];
		bool grouped = command->group[0] != 0;

		if (command->name[0] == 0 ? count == 0 :
			    grouped	  ? count >= 2 && strcmp(words[0], command->group) == 0 && strcmp(words[1], command->name) == 0 :
					    count >= 1 && strcmp(words[0], command->name) == 0) {
			*ret_words = command->name[0] == 0 ? 0 : grouped ? 2 : 1;
			return command;
		}
	}
	return NULL;
}

static unsigned parse_options(int argc, char **argv, struct mse_node_options *options)
{
	static const struct option known[] = { { "data", required_argument, NULL, 'd' }, { "listen", required_argument, NULL, 'l' },
		{ "config", required_argument, NULL, 'c' }, { "include", required_argument, NULL, 'i' }, { "rebuild", no_argument, NULL, 'r' },
		{ "replace", no_argument, NULL, 'p' }, { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' }, { NULL, 0, NULL, 0 } };
	unsigned given = 0;
	int letter;

	while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (letter) {
		case 'd': options->data = optarg; given |= NEEDS_DATA; break;
		case 'l': options->listen = optarg; given |= TAKES_LISTEN; break;
		case 'c': options->config = optarg; given |= NEEDS_DATA; break;
		case 'i': options->include = optarg; given |= TAKES_INCLUDE; break;
		case 'r': options->rebuild = true; given |= TAKES_REBUILD; break;
		case 'p': options->replace = true; given |= TAKES_REPLACE; break;
		case 'j': options->json = true; given |= TAKES_JSON; break;
		case 'h': print_usage(stdout); exit(0);
		case 'v': printf("msed %s\n", MSE_VERSION); exit(0);
		default: print_usage(stderr); exit(2);
		}
	}
	return given;
}

static int run_command(const struct command *command, const struct mse_node_options *options)
{
	mse_cleanup(mse_node_config_freep) struct mse_node_config *config = NULL;
	struct mse_error_info err;

	if (mse_secret_init(&err) < 0 || mse_node_config_read(options->config, &config, &err) < 0 || command->run(options, config, &err) < 0) {
		mse_log("%s", err.message);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct mse_node_options options = { NULL };
	const struct command *command;
	unsigned given;
	int words;

	mse_log_open("msed");
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	given = parse_options(argc, argv, &options);
	command = find_command(argc - optind, argv + optind, &words);
	if (command == NULL)
		return usage_error("there is no such command: ", argv[optind]);
	if (given & ~command->options)
		return usage_error("an option that this command does not take was given", "");
	if (argc - optind - words != command->operand_count)
		return usage_error("this command takes as operands: ", command->operand_count == 0 ? "none" : command->operands);
	if (command->run == NULL) {
		if (strcmp(command->name, "version") == 0)
			printf("msed %s\n", MSE_VERSION);
		else
			print_usage(stdout);
		return 0;
	}
	if (options.data == NULL)
		return usage_error("--data is missing", "");
	if ((command->options & TAKES_LISTEN) && options.listen == NULL)
		return usage_error("--listen is missing", "");
	for (int i = 0; i < command->operand_count; i++)
		options.operands[options.operand_count++] = argv[optind + words + i];
	return run_command(command, &options);
}
