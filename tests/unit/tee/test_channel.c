/* The enclave's end of the channel, against a shim that does not keep to its rules: it refuses or ends, and never hangs. */
#include "../test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/view.h"
#include "tee/channel_client.h"

#define MAX_CLIENTS 128
#define PATIENCE_MS 10000u

static struct mse_error_info err;
/* A client lives as long as its process. */
static struct mse_channel_client *clients[MAX_CLIENTS];
static size_t client_count;

struct shim {
	int fd, theirs;
	struct mse_channel_client *client;
	atomic_int stops;
	const void *answer; /* given to the first question, in pieces of this size */
	size_t size, piece;
	bool hangs_up;
	pthread_t thread;
};

static void on_stop(void *context)
{
	struct shim *shim = context;

	atomic_fetch_add(&shim->stops, 1);
}

static void begin(struct shim *shim)
{
	int pair[2];

	*shim = (struct shim){ .piece = 1u << 20 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	shim->fd = pair[0];
	shim->theirs = pair[1];
	assert_works(mse_channel_client_new(shim->theirs, on_stop, shim, &shim->client, &err));
	assert_true(client_count < MAX_CLIENTS);
	clients[client_count++] = shim->client;
}

static void say(struct shim *shim, const void *data, size_t size)
{
	const char *p = data;

	for (size_t at = 0; at < size; at += shim->piece)
		assert_true(send(shim->fd, p + at, size - at < shim->piece ? size - at : shim->piece, MSG_NOSIGNAL) > 0);
}

static void *answer_one(void *argument)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *question = mse_buffer_new(1024);
	struct shim *shim = argument;
	enum mse_frame_type type;

	if (mse_channel_receive(shim->fd, &type, question, NULL) == 0)
		say(shim, shim->answer, shim->size);
	if (shim->hangs_up)
		shutdown(shim->fd, SHUT_RDWR);
	return NULL;
}

/* Asks once; what is answered is given as it stands. */
static int ask(struct shim *shim, const void *answer, size_t size, size_t max_size, struct mse_buffer **ret_answer)
{
	int result;

	shim->answer = answer;
	shim->size = size;
	assert_int_equal(pthread_create(&shim->thread, NULL, answer_one, shim), 0);
	result = mse_channel_ask(shim->client, MSE_FRAME_LOAD_STATE, NULL, 0, max_size, ret_answer, &err);
	pthread_join(shim->thread, NULL);
	return result;
}

static void await_reader(const struct shim *shim)
{
	int left = 1;

	for (unsigned waited = 0; left > 0 && waited < PATIENCE_MS; waited++) {
		assert_int_equal(ioctl(shim->theirs, FIONREAD, &left), 0);
		usleep(1000);
	}
	assert_int_equal(left, 0);
	/* The last one is read, and about to be dropped. */
	usleep(20000);
}

static void await_stop(struct shim *shim)
{
	for (unsigned waited = 0; atomic_load(&shim->stops) == 0 && waited < PATIENCE_MS; waited++)
		usleep(1000);
	assert_int_equal(atomic_load(&shim->stops), 1);
}

static void end(struct shim *shim)
{
	shutdown(shim->fd, SHUT_RDWR);
	await_stop(shim);
	close(shim->fd);
	close(shim->theirs);
}

static const uint8_t good[] = { 0, 0, 0, 6, MSE_FRAME_ANSWER, 'h', 'e', 'l', 'l', 'o' };

static void expect_good(struct shim *shim)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;

	assert_works(ask(shim, good, sizeof good, 5, &answer));
	assert_string_equal(mse_buffer_text(answer), "hello");
}

static void an_answer_that_ends_anywhere_is_none(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof good; size++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
		struct shim shim;

		begin(&shim);
		shim.hangs_up = true;
		assert_int_equal(ask(&shim, good, size, 5, &answer), MSE_ERR_CLOSED);
		assert_int_equal(mse_channel_ask(shim.client, MSE_FRAME_LOAD_STATE, NULL, 0, 5, &answer, &err), MSE_ERR_CLOSED);
		end(&shim);
	}
}

static void an_answer_in_the_smallest_pieces_is_whole(void **state)
{
	struct shim shim;

	(void)state;
	begin(&shim);
	shim.piece = 1;
	expect_good(&shim);
	expect_good(&shim);
	end(&shim);
}

static void frames_of_impossible_sizes_end_the_channel(void **state)
{
	static const uint8_t frames[][5] = { { 0, 0, 0, 0, MSE_FRAME_ANSWER }, { 255, 255, 255, 255, MSE_FRAME_ANSWER }, { 2, 0, 0, 2, MSE_FRAME_ANSWER },
		{ 128, 0, 0, 1, MSE_FRAME_STOP } };

	(void)state;
	for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
		struct shim shim;

		begin(&shim);
		assert_int_equal(ask(&shim, frames[i], sizeof frames[i], 5, &answer), MSE_ERR_CLOSED);
		end(&shim);
	}
}

static void an_answer_larger_than_was_asked_for_is_refused(void **state)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	struct shim shim;

	(void)state;
	begin(&shim);
	assert_fails(ask(&shim, good, sizeof good, 4, &answer), MSE_ERR_LIMIT, "5 bytes");
	expect_good(&shim);
	end(&shim);
}

static void a_refusal_is_told_as_text(void **state)
{
	static const uint8_t refusal[] = { 0, 0, 0, 8, MSE_FRAME_REFUSED, 'n', 'o', 27, '[', 'J', 255, 0 };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	struct shim shim;

	(void)state;
	begin(&shim);
	assert_fails(ask(&shim, refusal, sizeof refusal, 100, &answer), MSE_ERR_DENIED, "refused by the shim: no?[J?");
	expect_good(&shim);
	end(&shim);
}

static void what_nobody_asked_for_is_dropped(void **state)
{
	/* Answers, a question, and what is told to shims. */
	static const uint8_t frames[] = { 0, 0, 0, 2, MSE_FRAME_ANSWER, 'x', 0, 0, 0, 2, MSE_FRAME_REFUSED, 'x', 0, 0, 0, 1, MSE_FRAME_LOAD_STATE,
		0, 0, 0, 2, MSE_FRAME_STATUS, 3, 0, 0, 0, 1, 255, 0, 0, 0, 1, 0 };
	struct shim shim;

	(void)state;
	begin(&shim);
	for (unsigned i = 0; i < 1000; i++)
		say(&shim, frames, sizeof frames);
	await_reader(&shim);
	expect_good(&shim);
	end(&shim);
}

static void a_second_answer_to_one_question_is_dropped(void **state)
{
	static const uint8_t twice[] = { 0, 0, 0, 6, MSE_FRAME_ANSWER, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 6, MSE_FRAME_ANSWER, 'w', 'r', 'o', 'n', 'g' };
	struct shim shim;

	(void)state;
	begin(&shim);
	for (unsigned i = 0; i < 20; i++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;

		assert_works(ask(&shim, twice, sizeof twice, 5, &answer));
		assert_string_equal(mse_buffer_text(answer), "hello");
		await_reader(&shim);
	}
	end(&shim);
}

static void a_stop_ends_it_once_and_questions_with_it(void **state)
{
	static const uint8_t stops[] = { 0, 0, 0, 1, MSE_FRAME_STOP, 0, 0, 0, 1, MSE_FRAME_STOP };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	struct shim shim;

	(void)state;
	begin(&shim);
	say(&shim, stops, sizeof stops);
	await_stop(&shim);
	assert_int_equal(mse_channel_ask(shim.client, MSE_FRAME_LOAD_STATE, NULL, 0, 5, &answer, &err), MSE_ERR_CLOSED);
	end(&shim);
}

static void a_stop_in_the_place_of_an_answer_ends_the_question(void **state)
{
	static const uint8_t stop[] = { 0, 0, 0, 1, MSE_FRAME_STOP };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	struct shim shim;

	(void)state;
	begin(&shim);
	assert_int_equal(ask(&shim, stop, sizeof stop, 5, &answer), MSE_ERR_CLOSED);
	end(&shim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_that_ends_anywhere_is_none),
		cmocka_unit_test(an_answer_in_the_smallest_pieces_is_whole),
		cmocka_unit_test(frames_of_impossible_sizes_end_the_channel),
		cmocka_unit_test(an_answer_larger_than_was_asked_for_is_refused),
		cmocka_unit_test(a_refusal_is_told_as_text),
		cmocka_unit_test(what_nobody_asked_for_is_dropped),
		cmocka_unit_test(a_second_answer_to_one_question_is_dropped),
		cmocka_unit_test(a_stop_ends_it_once_and_questions_with_it),
		cmocka_unit_test(a_stop_in_the_place_of_an_answer_ends_the_question),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
