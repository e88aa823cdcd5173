#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "enclave/enclave.h"

#define READ_SIZE ((size_t)32 * 1024)

struct mse_log_pump {
	struct mse_enclave *enclave;
	pthread_mutex_t lock; /* the chain, and the order in which records leave */
	struct mse_log_chain chain;
	int outputs[2]; /* the reading ends of what is standard output and standard error */
	int wake[2];    /* closed to say: read what is there, and end */
	pthread_t thread;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void send_record(struct mse_log_pump *pump, enum mse_log_stream stream, const void *data, size_t size)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *record = mse_buffer_new(MSE_LOG_RECORD_MAX_SIZE);
	struct mse_enclave *enclave = pump->enclave;
	struct mse_error_info ignored;

	pthread_mutex_lock(&pump->lock);
	/* What cannot be sealed or sent is lost; the owner sees the gap in the numbers. */
	if (record != NULL && mse_log_record_seal(&pump->chain, &enclave->state.box, enclave->manifest->owner_log_key, now_ms(), stream, data, size,
				      record, &ignored) == 0)
		(void)mse_channel_tell(enclave->channel, MSE_FRAME_LOG, mse_buffer_data(record), mse_buffer_size(record), &ignored);
	pthread_mutex_unlock(&pump->lock);
}

/* False when there is nothing to read now. */
static bool pump_once(struct mse_log_pump *pump, int output, uint8_t *room)
{
	ssize_t got;

	do
		got = read(pump->outputs[output], room, READ_SIZE);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return false;
	send_record(pump, output == 0 ? MSE_LOG_STDOUT : MSE_LOG_STDERR, room, (size_t)got);
	return true;
}

static void *pump_outputs(void *argument)
{
	struct mse_log_pump *pump = argument;
	mse_autofree uint8_t *room = malloc(READ_SIZE);
	struct pollfd polled[3] = { { pump->outputs[0], POLLIN, 0 }, { pump->outputs[1], POLLIN, 0 }, { pump->wake[0], POLLIN, 0 } };

	while (room != NULL) {
		if (poll(polled, 3, -1) < 0 && errno != EINTR)
			break;
		for (int output = 0; output < 2; output++)
			if ((polled[output].revents & POLLIN) != 0)
				pump_once(pump, output, room);
		if (polled[2].revents != 0) {
			for (int output = 0; output < 2; output++)
				while (pump_once(pump, output, room))
					;
			break;
		}
	}
	return NULL;
}

/* Makes `fd` (1 or 2) a pipe whose other end the pump reads. */
static int capture(int fd, int *ret_reader, struct mse_error_info *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[1], fd) < 0)
		return mse_fail_errno(err, "cannot capture descriptor %d", fd);
	close(ends[1]);
	/* Only the reading end: a program's standard output must not fail with EAGAIN. */
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return mse_fail_errno(err, "cannot set up a pipe");
	*ret_reader = ends[0];
	return 0;
}

int mse_log_pump_start(struct mse_enclave *enclave, struct mse_error_info *err)
{
	struct mse_log_pump *pump = calloc(1, sizeof *pump);
	int result;

	if (pump == NULL)
		return mse_fail_nomem(err);
	pump->enclave = enclave;
	pthread_mutex_init(&pump->lock, NULL);
	mse_log_chain_begin(&pump->chain, enclave->manifest->instance_id);
	if ((result = capture(STDOUT_FILENO, &pump->outputs[0], err)) < 0 || (result = capture(STDERR_FILENO, &pump->outputs[1], err)) < 0)
		return result;
	if (pipe2(pump->wake, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	errno = pthread_create(&pump->thread, NULL, pump_outputs, pump);
	if (errno != 0)
		return mse_fail_errno(err, "cannot start the thread that seals the log");
	enclave->log = pump;
	return 0;
}

void mse_enclave_log(struct mse_enclave *enclave, const char *format, ...)
{
	char line[2 * MSE_ERROR_MESSAGE_SIZE];
	va_list args;
	int size;

	if (enclave->log == NULL)
		return;
	va_start(args, format);
	size = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (size < 0)
		return;
	if ((size_t)size > sizeof line - 2)
		size = (int)sizeof line - 2;
	line[size] = '\n';
	send_record(enclave->log, MSE_LOG_ENCLAVE, line, (size_t)size + 1);
}

int mse_log_pump_head(struct mse_enclave *enclave, const uint8_t nonce[static MSE_LOG_NONCE_SIZE], struct mse_buffer *to, struct mse_error_info *err)
{
	struct mse_log_pump *pump = enclave->log;
	int result;

	if (pump == NULL)
		return mse_fail(err, MSE_ERR_STATE, "the enclave is ending");
	pthread_mutex_lock(&pump->lock);
	result = mse_log_head_seal(&pump->chain, &enclave->state.box, enclave->manifest->owner_log_key, nonce, to, err);
	pthread_mutex_unlock(&pump->lock);
	return result;
}

void mse_log_pump_finish(struct mse_enclave *enclave)
{
	struct mse_log_pump *pump = mse_steal(enclave->log);

	if (pump == NULL)
		return;
	close(pump->wake[1]);
	pthread_join(pump->thread, NULL);
}
