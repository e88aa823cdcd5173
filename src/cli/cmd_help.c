#include <string.h>

#include "cli/cli.h"

static int answer_json(struct mse_cli *cli, const struct mse_command *only, struct mse_error_info *err)
{
	mse_autojson *commands = json_array(), *answer = NULL;

	for (const struct mse_command *command = mse_commands; command->name != NULL; command++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *usage = mse_buffer_new(4096);
		int result;

		if (only != NULL && only != command)
			continue;
		if (usage == NULL)
			return mse_fail_nomem(err);
		if ((result = mse_args_usage(command, usage, err)) < 0)
			return result;
		if (json_array_append_new(commands,
			    json_pack("{s:s, s:s, s:s}", "name", command->name, "usage", mse_buffer_text(usage), "summary", command->summary)) < 0)
			return mse_fail_nomem(err);
	}
	answer = json_pack("{s:O}", "commands", commands);
	return answer == NULL ? mse_fail_nomem(err) : mse_cli_answer(cli, answer, err);
}

int mse_cmd_help(struct mse_cli *cli, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new((size_t)64 * 1024);
	const char *first = cli->args.operand_count > 0 ? cli->args.operands[0] : NULL;
	const char *second = cli->args.operand_count > 1 ? cli->args.operands[1] : NULL;
	const struct mse_command *command = NULL;
	int result;

	if (text == NULL)
		return mse_fail_nomem(err);
	if (first != NULL) {
		command = mse_command_find(first, second);
		if (command == NULL)
			return mse_cli_usage(cli, err, "there is no command '%.60s%s%.60s'; 'mse help' lists them", first, second == NULL ? "" : " ",
				second == NULL ? "" : second);
	}
	if (cli->json)
		return answer_json(cli, command, err);
	result = command == NULL ? mse_args_overview(text, err) : mse_args_help(command, text, err);
	return result < 0 ? result : mse_cli_write(mse_buffer_data(text), mse_buffer_size(text), err);
}
