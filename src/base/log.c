#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

static const char *log_program = "mse";
static long log_max_size; /* 0: none */

void mse_log_open(const char *program)
{
	log_program = program;
}

void mse_log_limit(long max_size)
{
	log_max_size = max_size;
}

static void keep_limit(void)
{
	static const char note[] = "the lines before this one were dropped\n";
	struct stat status;

	if (log_max_size == 0 || fstat(STDERR_FILENO, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size <= log_max_size)
		return;
	if (ftruncate(STDERR_FILENO, 0) < 0 || write(STDERR_FILENO, note, sizeof note - 1) < 0)
		return;
}

void mse_log(const char *format, ...)
{
	char line[2048], time[MSE_TIME_TEXT_SIZE];
	va_list args;
	int used;

	mse_time_format(time, mse_time_now());
	used = snprintf(line, sizeof line, "%s %s: ", time, log_program);
	va_start(args, format);
	vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
	va_end(args);
	mse_make_printable(line);
	/* What came from outside must not look like lines of ours. */
	for (char *p = line; *p != 0; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	used = (int)strlen(line);
	line[used++] = 0x0a;
	keep_limit();
	if (write(STDERR_FILENO, line, (size_t)used) < 0)
		return;
}
