/* The shim's end of the channel alone: every frame cut at every byte, in every order, with every bit of every byte changed. */
#include "../test.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/view.h"
#include "shim/channel_server.h"

#define FRAME_COUNT 9
#define MAX_FRAME 80

static struct mse_error_info err;
static char dir[] = "/tmp/mse-test-channel-XXXXXX";
static struct mse_channel_services services;
static struct mse_sim_platform *platform;
static struct event_base *base;

static struct frame {
	uint8_t bytes[MAX_FRAME];
	size_t size;
	unsigned answers;
} frames[FRAME_COUNT];

struct session {
	struct mse_channel_server *server;
	int fd;
	unsigned closed;
	const char *fault;
	unsigned answers;
	size_t answer_rest; /* of an answer of which a part was read */
	uint8_t head[MSE_CHANNEL_HEAD_SIZE];
	size_t head_size;
};

static void on_status(void *context, enum mse_enclave_status status)
{
	(void)context;
	assert_string_not_equal(mse_enclave_status_name(status), "unknown");
}

static void on_metrics(void *context, const struct mse_shim_metrics *metrics)
{
	(void)context;
	(void)metrics;
}

static void on_closed(void *context, const char *fault)
{
	struct session *session = context;

	session->closed++;
	session->fault = fault;
	mse_channel_server_free(mse_steal(session->server));
}

static void begin(struct session *session)
{
	static const struct mse_channel_events events = { .status = on_status, .metrics = on_metrics, .closed = on_closed };
	int pair[2];

	*session = (struct session){ 0 };
	/* Limits over time are other tests'. */
	mse_channel_services_init(&services);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_works(mse_channel_server_new(base, pair[0], &services, &events, session, &session->server, &err));
	session->fd = pair[1];
}

static void count_answers(struct session *session, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		if (session->answer_rest > 0) {
			size_t part = size < session->answer_rest ? size : session->answer_rest;

			session->answer_rest -= part;
			bytes += part;
			size -= part;
			continue;
		}
		session->head[session->head_size++] = *bytes++;
		size--;
		if (session->head_size == sizeof session->head) {
			struct mse_view view = mse_view_of(session->head, sizeof session->head);
			uint32_t whole;

			assert_true(mse_view_be32(&view, &whole) && (session->head[4] == MSE_FRAME_ANSWER || session->head[4] == MSE_FRAME_REFUSED));
			session->answer_rest = whole - 1;
			session->head_size = 0;
			session->answers++;
		}
	}
}

static void turn(struct session *session)
{
	uint8_t answers[65536];
	ssize_t got;

	do {
		event_base_loop(base, EVLOOP_NONBLOCK);
		got = recv(session->fd, answers, sizeof answers, MSG_DONTWAIT);
		if (got > 0)
			count_answers(session, answers, (size_t)got);
	} while (got > 0);
}

static void say(struct session *session, const void *bytes, size_t size)
{
	if (session->server != NULL && size > 0)
		assert_int_equal(send(session->fd, bytes, size, MSG_NOSIGNAL), size);
	turn(session);
}

/* However it went, the end is found, and told once. */
static void end(struct session *session)
{
	close(session->fd);
	for (unsigned i = 0; session->server != NULL && i < 1000; i++)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(session->closed, 1);
	assert_null(session->server);
}

static void a_frame_that_is_cut_anywhere_is_the_end_and_no_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_COUNT; i++)
		for (size_t size = 0; size <= frames[i].size; size++) {
			struct session session;

			begin(&session);
			say(&session, frames[i].bytes, size);
			assert_int_equal(session.answers, size == frames[i].size ? frames[i].answers : 0);
			end(&session);
			assert_null(session.fault);
		}
}

static void frames_in_any_order_and_any_number_of_times_are_each_answered_once(void **state)
{
	(void)state;
	for (size_t first = 0; first < FRAME_COUNT; first++)
		for (size_t second = 0; second < FRAME_COUNT; second++) {
			unsigned expected = 0;
			struct session session;

			begin(&session);
			for (size_t third = 0; third < FRAME_COUNT; third++) {
				const size_t order[] = { first, second, third };

				for (size_t i = 0; i < 3; i++) {
					say(&session, frames[order[i]].bytes, frames[order[i]].size);
					expected += frames[order[i]].answers;
				}
			}
			assert_int_equal(session.answers, expected);
			end(&session);
			assert_null(session.fault);
		}
}

static void every_changed_bit_is_a_fault_or_another_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_COUNT; i++)
		for (size_t bit = 0; bit < 8 * frames[i].size; bit++) {
			struct frame changed = frames[i];
			struct session session;

			changed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			begin(&session);
			say(&session, changed.bytes, changed.size);
			say(&session, frames[0].bytes, frames[0].size);
			end(&session);
		}
}

static void make_frame(struct frame *frame, enum mse_frame_type type, size_t size, unsigned answers)
{
	mse_channel_head(frame->bytes, type, size);
	memset(frame->bytes + MSE_CHANNEL_HEAD_SIZE, 'a', size);
	frame->size = MSE_CHANNEL_HEAD_SIZE + size;
	frame->answers = answers;
}

static int set_up(void **state)
{
	(void)state;
	make_frame(&frames[0], MSE_FRAME_GET_QUOTE, 64, 1);
	make_frame(&frames[1], MSE_FRAME_GET_SEALING_KEY, 6, 1);
	make_frame(&frames[2], MSE_FRAME_STARTED, 0, 0);
	make_frame(&frames[3], MSE_FRAME_GET_COLLATERAL, 0, 1);
	make_frame(&frames[4], MSE_FRAME_LOAD_STATE, 0, 1);
	make_frame(&frames[5], MSE_FRAME_SAVE_STATE, 12, 1);
	make_frame(&frames[6], MSE_FRAME_LOG, 20, 0);
	make_frame(&frames[7], MSE_FRAME_STATUS, 1, 0);
	frames[7].bytes[MSE_CHANNEL_HEAD_SIZE] = MSE_ENCLAVE_SERVING;
	make_frame(&frames[8], MSE_FRAME_METRICS, 40, 0);
	if (mkdtemp(dir) == NULL || chdir(dir) < 0)
		return -1;
	base = event_base_new();
	assert_non_null(base);
	assert_works(mse_sim_pki_ensure("sim", mse_time_now(), NULL, &err));
	assert_works(mse_sim_pki_load("sim", &platform, &err));
	assert_works(mse_log_file_open("log", 1024 * 1024, &services.log, &err));
	services.platform = platform;
	services.sim_dir = "sim";
	return 0;
}

static int clean_up(void **state)
{
	(void)state;
	mse_log_file_free(services.log);
	mse_sim_platform_free(platform);
	event_base_free(base);
	return chdir("/") < 0 ? -1 : mse_tree_remove(dir, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_that_is_cut_anywhere_is_the_end_and_no_frame),
		cmocka_unit_test(frames_in_any_order_and_any_number_of_times_are_each_answered_once),
		cmocka_unit_test(every_changed_bit_is_a_fault_or_another_frame),
	};

	signal(SIGPIPE, SIG_IGN);
	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests_name("shim channel", tests, set_up, clean_up);
}
