#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static volatile sig_atomic_t interrupts;

const char *mse_cli_option(const struct mse_cli *cli, enum mse_option option)
{
	return cli->args.values[option];
}

int mse_cli_usage(struct mse_cli *cli, struct mse_error_info *err, const char *format, ...)
{
	char message[MSE_ERROR_MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	cli->usage_error = true;
	return mse_fail(err, MSE_ERR_INPUT, "%s", message);
}

static void print(FILE *to, const char *before, const char *format, va_list args, const char *after) __attribute__((format(printf, 3, 0)));

static void print(FILE *to, const char *before, const char *format, va_list args, const char *after)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		return;
	fprintf(to, "%s%s%s", before, text, after);
	fflush(to);
	free(text);
}

void mse_cli_say(struct mse_cli *cli, const char *format, ...)
{
	va_list args;

	mse_cli_progress_end(cli);
	va_start(args, format);
	print(cli->json ? stderr : stdout, "", format, args, "\n");
	va_end(args);
}

void mse_cli_progress(struct mse_cli *cli, const char *format, ...)
{
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	print(stderr, "\r\033[K", format, args, "");
	va_end(args);
	cli->progress_shown = true;
}

void mse_cli_progress_end(struct mse_cli *cli)
{
	if (!cli->progress_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	cli->progress_shown = false;
}

int mse_cli_write(const void *data, size_t size, struct mse_error_info *err)
{
	if (fwrite(data, 1, size, stdout) != size || fflush(stdout) != 0)
		return mse_fail_errno(err, "cannot write to standard output");
	return 0;
}

int mse_cli_write_json(const json_t *json, size_t flags, struct mse_error_info *err)
{
	mse_autofree char *text = json_dumps(json, flags);
	int result;

	if (text == NULL)
		return mse_fail_nomem(err);
	result = mse_cli_write(text, strlen(text), err);
	return result < 0 ? result : mse_cli_write("\n", 1, err);
}

int mse_cli_answer(struct mse_cli *cli, const json_t *json, struct mse_error_info *err)
{
	int result;

	if (!cli->json)
		return 0;
	mse_cli_progress_end(cli);
	result = mse_cli_write_json(json, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
	cli->answered = result != MSE_ERR_NOMEM;
	return result;
}

int mse_cli_ask(struct mse_cli *cli, bool *ret_yes, struct mse_error_info *err, const char *format, ...)
{
	char answer[16];
	va_list args;

	if (!cli->can_ask)
		return mse_fail(err, MSE_ERR_STATE, "there is no terminal to ask on");
	mse_cli_progress_end(cli);
	va_start(args, format);
	print(stderr, "", format, args, " [y/N] ");
	va_end(args);
	*ret_yes = false;
	if (fgets(answer, sizeof answer, stdin) == NULL) {
		fputc('\n', stderr);
		if (mse_interrupted())
			return mse_fail(err, MSE_ERR_STATE, "interrupted");
		clearerr(stdin);
		return 0;
	}
	answer[strcspn(answer, "\r\n")] = 0;
	*ret_yes = strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
	return 0;
}

void mse_cli_clean(char *bytes, size_t size, const char *kept)
{
	unsigned char *p = (unsigned char *)bytes;

	for (size_t i = 0; i < size; i++) {
		/* C1 controls travel in UTF-8 as c2 80 to c2 9f. */
		if (p[i] == 0xc2 && i + 1 < size && p[i + 1] >= 0x80 && p[i + 1] <= 0x9f)
			p[i] = p[i + 1] = '?';
		else if ((p[i] < 0x20 && memchr(kept, p[i], strlen(kept)) == NULL) || p[i] == 0x7f)
			p[i] = '?';
	}
}

char *mse_cli_printable(char *text)
{
	mse_cli_clean(text, strlen(text), "");
	return text;
}

int mse_cli_text_of(const json_t *object, const char *member, char **ret_text, struct mse_error_info *err)
{
	const char *text = json_string_value(json_object_get(object, member));
	int result = mse_strdup(text == NULL ? "-" : text, ret_text, err);

	if (result == 0)
		mse_cli_printable(*ret_text);
	return result;
}

int mse_cli_say_weaker(struct mse_cli *cli, const json_t *app, struct mse_error_info *err)
{
	const json_t *weakness;
	size_t i;

	json_array_foreach(json_object_get(app, "weaker"), i, weakness) {
		mse_autofree char *text = NULL;
		int result = mse_cli_text_of(weakness, "text", &text, err);

		if (result < 0)
			return result;
		mse_cli_say(cli, "weaker here: %s", text);
	}
	return 0;
}

static void on_interrupt(int number)
{
	(void)number;
	if (interrupts++ > 0)
		_exit(1);
}

void mse_interrupt_install(void)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigemptyset(&action.sa_mask);
	sigemptyset(&ignore.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

bool mse_interrupted(void)
{
	return interrupts > 0;
}

void mse_interrupt_forget(void)
{
	interrupts = 0;
}

int mse_cli_sleep(unsigned milliseconds, struct mse_error_info *err)
{
	struct timespec time = { .tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000 };

	if (!mse_interrupted())
		nanosleep(&time, NULL);
	return mse_interrupted() ? mse_fail(err, MSE_ERR_STATE, "interrupted") : 0;
}
