/* mse: the command line. Exit status: 0 done, 1 failed, 2 usage. */
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/cli.h"

static void report(struct mse_cli *cli, const struct mse_error_info *error)
{
	struct mse_error_info ignored;
	mse_autojson *answer = NULL;

	mse_cli_progress_end(cli);
	fprintf(stderr, "mse: %s\n", error->message);
	if (!cli->json || cli->answered)
		return;
	answer = json_pack("{s:{s:s, s:s}}", "error", "code", mse_error_name(error->code), "message", error->message);
	if (answer != NULL)
		mse_cli_answer(cli, answer, &ignored);
}

static void show_usage(const struct mse_cli *cli)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *text = mse_buffer_new(4096);
	struct mse_error_info ignored;

	if (text != NULL && cli->command != NULL && mse_args_usage(cli->command, text, &ignored) == 0)
		fprintf(stderr, "usage: %s\n", mse_buffer_text(text));
}

/* The JSON form is promised also for mistakes on the command line, where parsing ended early. */
static bool asks_for_json(int count, const char *const words[])
{
	for (int i = 0; i < count; i++)
		if (strcmp(words[i], "--json") == 0)
			return true;
	return false;
}

int main(int argc, char *argv[])
{
	struct mse_cli cli = { 0 };
	struct mse_error_info error = { 0 };
	int result;

	setlocale(LC_CTYPE, "");
	/* OpenSSL's key log, which libcurl offers to whoever sets this, would give the provisioning connection away. */
	unsetenv("SSLKEYLOGFILE");
	cli.json = asks_for_json(argc - 1, (const char *const *)argv + 1);
	cli.can_ask = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	result = mse_args_parse(argc - 1, (const char *const *)argv + 1, &cli.command, &cli.args, &error);
	if (result < 0) {
		report(&cli, &error);
		show_usage(&cli);
		return 2;
	}
	cli.json = mse_cli_option(&cli, MSE_OPT_JSON) != NULL;
	if ((result = mse_secret_init(&error)) == 0) {
		if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
			result = mse_fail(&error, MSE_ERR_INTERNAL, "libcurl cannot be initialised");
		} else {
			mse_interrupt_install();
			result = cli.command->run(&cli, &error);
			curl_global_cleanup();
		}
	}
	if (result < 0)
		report(&cli, &error);
	if (cli.usage_error)
		show_usage(&cli);
	free(cli.conf_path);
	return result == 0 ? 0 : cli.usage_error ? 2 : 1;
}
