#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static const char *log_program = "mse";

void mse_log_open(const char *program)
{
	log_program = program;
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
	/* What came from outside must not look like lines of ours. */
	for (char *p = line; *p != 0; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	used = (int)strlen(line);
	line[used++] = 0x0a;
	if (write(STDERR_FILENO, line, (size_t)used) < 0)
		return;
}
