#include "shim/channel_server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/view.h"
#include "shim/config.h"
#include "shim/timer.h"

#define READ_SIZE ((size_t)64 * 1024)
/* One turn of the event loop gives an enclave so much, then others have theirs. */
#define READS_PER_TURN 4
#define FRAMES_PER_TURN 64

#define LOG_RECORD_COST 256
#define LOG_BURST (4 * 1024 * 1024)
#define LOG_PER_SECOND (1024 * 1024)
/* The largest state can be saved at once. */
#define SAVE_COST (1024 * 1024)
#define SAVE_BURST ((int64_t)MSE_SEALED_STATE_MAX_SIZE + 8 * SAVE_COST)
#define SAVE_PER_SECOND (1024 * 1024)
/* An enclave has a limit of CPU; what it has done here does not count there, so it is little. */
#define WORK_BURST_US 1000000
#define WORK_US_PER_SECOND 150000
/* What a turn costs beside its callback. */
#define WORK_US_PER_TURN 20
#define COMPLAINT_BURST 10
#define COMPLAINTS_PER_SECOND 1

#define METRICS_SIZE (5u * 8)

struct mse_channel_server {
	int fd;
	struct event *readable;
	struct event *writable;
	struct event *pause; /* pending while nothing is read, because the enclave has had its share of this process */
	struct mse_buffer *in;
	struct mse_buffer *out;
	struct mse_channel_services *services;
	const struct mse_channel_events *events;
	void *context;
	pid_t peer;
	bool started;
	enum {
		STORAGE_NOT_WANTED,
		STORAGE_OPENING,
		STORAGE_THERE,
		STORAGE_REFUSED,
	} storage;
	bool storage_awaited; /* a question about it is still to be answered */
};

/* What each kind of frame may carry. */
static const struct frame_rule {
	enum mse_frame_type type;
	size_t min, max;
} rules[] = {
	{ MSE_FRAME_GET_QUOTE, 64, 64 },
	{ MSE_FRAME_GET_SEALING_KEY, 1, MSE_SIM_LABEL_MAX_SIZE },
	{ MSE_FRAME_STARTED, 0, 0 },
	{ MSE_FRAME_GET_COLLATERAL, 0, 0 },
	{ MSE_FRAME_LOAD_STATE, 0, 0 },
	{ MSE_FRAME_SAVE_STATE, 1, MSE_SEALED_STATE_MAX_SIZE },
	{ MSE_FRAME_LOG, 1, MSE_LOG_RECORD_MAX_SIZE },
	{ MSE_FRAME_STATUS, 1, 1 },
	{ MSE_FRAME_METRICS, METRICS_SIZE, METRICS_SIZE },
	{ MSE_FRAME_OPEN_STORAGE, 1 + MSE_STORAGE_KEY_SIZE, 1 + MSE_STORAGE_KEY_SIZE },
	{ MSE_FRAME_AWAIT_STORAGE, 0, 0 },
};

static const char fault_frame[] = "a frame of an unknown kind or of a wrong size";
static const char fault_status[] = "a status that does not exist";
static const char fault_storage[] = "storage is asked for once, as a fresh one or not";
static const char fault_socket[] = "the channel failed";

void mse_channel_services_init(struct mse_channel_services *services)
{
	uint64_t now = mse_monotonic_ms();

	services->log_allowance = mse_allowance_of(LOG_BURST, LOG_PER_SECOND, now);
	services->save_allowance = mse_allowance_of(SAVE_BURST, SAVE_PER_SECOND, now);
	services->work_allowance = mse_allowance_of(WORK_BURST_US, WORK_US_PER_SECOND, now);
	services->complaint_allowance = mse_allowance_of(COMPLAINT_BURST, COMPLAINTS_PER_SECOND, now);
}

/* Sends what the socket takes. While something is left, no further question is read. */
static int flush(struct mse_channel_server *server)
{
	while (mse_buffer_size(server->out) > 0) {
		ssize_t sent = send(server->fd, mse_buffer_data(server->out), mse_buffer_size(server->out), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN) {
			event_del(server->readable);
			return event_add(server->writable, NULL);
		}
		/* The enclave is gone: what it said before is still to be read, and then the end. */
		if (sent < 0) {
			mse_buffer_clear(server->out);
			break;
		}
		mse_buffer_consume(server->out, (size_t)sent);
	}
	event_del(server->writable);
	return evtimer_pending(server->pause, NULL) ? 0 : event_add(server->readable, NULL);
}

static int reply(struct mse_channel_server *server, enum mse_frame_type type, const void *payload, size_t size, struct mse_error_info *err)
{
	uint8_t head[MSE_CHANNEL_HEAD_SIZE];
	int result;

	mse_channel_head(head, type, size);
	if ((result = mse_buffer_append(server->out, head, sizeof head, err)) < 0)
		return result;
	return mse_buffer_append(server->out, payload, size, err);
}

/* Reasons are fixed texts: what went wrong on the host is not the enclave's to know. */
static int refuse(struct mse_channel_server *server, const char *reason, struct mse_error_info *err)
{
	return reply(server, MSE_FRAME_REFUSED, reason, strlen(reason), err);
}

/* The same for a failure of the host's, which its log tells in full. */
static int refuse_for(struct mse_channel_server *server, const char *reason, const struct mse_error_info *why, struct mse_error_info *err)
{
	if (mse_allowance_take(&server->services->complaint_allowance, 1, mse_monotonic_ms()))
		mse_log("%s: %s", reason, why->message);
	return refuse(server, reason, err);
}

static int get_quote(struct mse_channel_server *server, struct mse_view payload, struct mse_error_info *err)
{
	struct mse_sim_report report = { .isv_svn = server->services->security_version };
	mse_autofree uint8_t *quote = NULL;
	struct mse_error_info why;
	size_t size;

	memcpy(report.mrenclave, server->services->measurement, sizeof report.mrenclave);
	memcpy(report.report_data, payload.data, sizeof report.report_data);
	if (mse_sim_cpu_quote(server->services->platform, &report, &quote, &size, &why) < 0)
		return refuse_for(server, "the platform cannot quote", &why, err);
	return reply(server, MSE_FRAME_ANSWER, quote, size, err);
}

static int get_sealing_key(struct mse_channel_server *server, struct mse_view payload, struct mse_error_info *err)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	char label[MSE_SIM_LABEL_MAX_SIZE + 1];
	struct mse_error_info why;

	if (server->started)
		return refuse(server, "no sealing key leaves the CPU after the start", err);
	memcpy(label, payload.data, payload.size);
	label[payload.size] = 0;
	/* The CPU has no list of labels: each enclave has keys of its own for whatever it calls them. */
	if (strlen(label) != payload.size)
		return refuse(server, "a label is text", err);
	if (mse_sim_cpu_sealing_key(server->services->platform, server->services->measurement, label, &key, &why) < 0)
		return refuse_for(server, "the platform has no key", &why, err);
	return reply(server, MSE_FRAME_ANSWER, mse_secret_view(key), mse_secret_size(key), err);
}

static int get_collateral(struct mse_channel_server *server, struct mse_error_info *err)
{
	mse_autofree char *text = NULL;
	struct mse_error_info why;

	if (mse_sim_pki_collateral_json(server->services->sim_dir, &text, &why) < 0)
		return refuse_for(server, "there is no collateral", &why, err);
	if (strlen(text) > MSE_COLLATERAL_MAX_SIZE)
		return refuse(server, "the collateral is too large", err);
	return reply(server, MSE_FRAME_ANSWER, text, strlen(text), err);
}

static int load_state(struct mse_channel_server *server, struct mse_error_info *err)
{
	mse_autofree uint8_t *data = NULL;
	struct mse_error_info why;
	size_t size = 0;
	int result = mse_file_read(MSE_SHIM_SEALED_FILE, MSE_SEALED_STATE_MAX_SIZE, &data, &size, &why);

	if (result < 0 && result != MSE_ERR_NOT_FOUND)
		return refuse_for(server, "the sealed state cannot be read", &why, err);
	return reply(server, MSE_FRAME_ANSWER, data, size, err);
}

static int save_state(struct mse_channel_server *server, struct mse_view payload, struct mse_error_info *err)
{
	struct mse_error_info why;

	if (server->services->closing)
		return refuse(server, "the app is being stopped", err);
	if (!mse_allowance_take(&server->services->save_allowance, (int64_t)payload.size + SAVE_COST, mse_monotonic_ms()))
		return refuse(server, "state is saved too often", err);
	if (mse_file_write(MSE_SHIM_SEALED_FILE, payload.data, payload.size, 0600, &why) < 0)
		return refuse_for(server, "the sealed state cannot be written", &why, err);
	return reply(server, MSE_FRAME_ANSWER, NULL, 0, err);
}

static void keep_record(struct mse_channel_services *services, struct mse_view record)
{
	struct mse_error_info why;

	if (!mse_allowance_take(&services->log_allowance, (int64_t)record.size + LOG_RECORD_COST, mse_monotonic_ms())) {
		services->log_lost++;
		return;
	}
	if (mse_log_file_append(services->log, record.data, record.size, &why) < 0) {
		services->log_lost++;
		if (mse_allowance_take(&services->complaint_allowance, 1, mse_monotonic_ms()))
			mse_log("a log record is lost: %s", why.message);
	}
}

static bool status_is_known(uint8_t status)
{
	return strcmp(mse_enclave_status_name((enum mse_enclave_status)status), "unknown") != 0;
}

static void take_metrics(struct mse_channel_server *server, struct mse_view payload)
{
	struct mse_shim_metrics metrics = { 0 };
	uint64_t *const fields[] = { &metrics.requests, &metrics.errors, &metrics.in_flight, &metrics.bytes_in, &metrics.bytes_out };

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		mse_view_be64(&payload, fields[i]);
	server->events->metrics(server->context, &metrics);
}

/* Returns a fault, or NULL. */
static const char *open_storage(struct mse_channel_server *server, struct mse_view payload)
{
	uint8_t key[MSE_STORAGE_KEY_SIZE];
	uint8_t fresh = payload.data[0];

	if (server->storage != STORAGE_NOT_WANTED || fresh > 1)
		return fault_storage;
	memcpy(key, payload.data + 1, sizeof key);
	/* The frame lies in our own buffer. */
	mse_wipe((uint8_t *)payload.data + 1, sizeof key);
	server->storage = STORAGE_OPENING;
	server->events->open_storage(server->context, fresh == 1, key);
	mse_wipe(key, sizeof key);
	return NULL;
}

static int answer_storage(struct mse_channel_server *server, struct mse_error_info *err)
{
	switch (server->storage) {
	case STORAGE_NOT_WANTED:
		return refuse(server, "no storage was asked for", err);
	case STORAGE_OPENING:
		server->storage_awaited = true;
		return 0;
	case STORAGE_THERE:
		return reply(server, MSE_FRAME_ANSWER, NULL, 0, err);
	case STORAGE_REFUSED:
		return refuse(server, "there is no storage", err);
	}
	return mse_fail(err, MSE_ERR_INTERNAL, "a state of storage that does not exist");
}

void mse_channel_server_storage(struct mse_channel_server *server, bool there)
{
	server->storage = there ? STORAGE_THERE : STORAGE_REFUSED;
	/* A channel that cannot be written to tells of its end when it is read. */
	if (server->storage_awaited && answer_storage(server, NULL) == 0)
		(void)flush(server);
	server->storage_awaited = false;
}

/* Returns a fault, or NULL. */
static const char *handle(struct mse_channel_server *server, enum mse_frame_type type, struct mse_view payload)
{
	int result = 0;

	switch (type) {
	case MSE_FRAME_GET_QUOTE:
		result = get_quote(server, payload, NULL);
		break;
	case MSE_FRAME_GET_SEALING_KEY:
		result = get_sealing_key(server, payload, NULL);
		break;
	case MSE_FRAME_STARTED:
		server->started = true;
		break;
	case MSE_FRAME_GET_COLLATERAL:
		result = get_collateral(server, NULL);
		break;
	case MSE_FRAME_LOAD_STATE:
		result = load_state(server, NULL);
		break;
	case MSE_FRAME_SAVE_STATE:
		result = save_state(server, payload, NULL);
		break;
	case MSE_FRAME_LOG:
		keep_record(server->services, payload);
		break;
	case MSE_FRAME_STATUS:
		if (!status_is_known(payload.data[0]))
			return fault_status;
		server->events->status(server->context, (enum mse_enclave_status)payload.data[0]);
		break;
	case MSE_FRAME_METRICS:
		take_metrics(server, payload);
		break;
	case MSE_FRAME_OPEN_STORAGE:
		return open_storage(server, payload);
	case MSE_FRAME_AWAIT_STORAGE:
		result = answer_storage(server, NULL);
		break;
	case MSE_FRAME_ANSWER:
	case MSE_FRAME_REFUSED:
	case MSE_FRAME_STOP:
		return fault_frame;
	}
	return result < 0 || flush(server) < 0 ? fault_socket : NULL;
}

static bool frame_is_allowed(uint8_t type, uint32_t size)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (rules[i].type == type)
			return size >= 1 && size - 1 >= rules[i].min && size - 1 <= rules[i].max;
	return false;
}

/* Handles one frame at the front of what was read. *ret_more is false when there is no whole one, or its turn is not yet. */
static const char *next_frame(struct mse_channel_server *server, bool *ret_more)
{
	struct mse_view view = mse_view_of(mse_buffer_data(server->in), mse_buffer_size(server->in)), payload;
	const char *fault;
	uint32_t size;
	uint8_t type;

	*ret_more = false;
	if (mse_buffer_size(server->out) > 0 || !mse_view_be32(&view, &size) || !mse_view_u8(&view, &type))
		return NULL;
	if (!frame_is_allowed(type, size))
		return fault_frame;
	if (!mse_view_take(&view, size - 1, &payload))
		return NULL;
	fault = handle(server, (enum mse_frame_type)type, payload);
	mse_buffer_consume(server->in, MSE_CHANNEL_HEAD_SIZE + size - 1);
	*ret_more = true;
	return fault;
}

static void note_peer(struct mse_channel_server *server, struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
		struct ucred credentials;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS || part->cmsg_len < CMSG_LEN(sizeof credentials))
			continue;
		memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
		server->peer = credentials.pid;
	}
}

/* 1: something was read, 0: nothing is there now, negative: the end. */
static int read_some(struct mse_channel_server *server)
{
	/* Room for credentials only: descriptors that are sent along are dropped by the kernel. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = { .iov_len = READ_SIZE };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	uint8_t *room;
	ssize_t got;

	if (mse_buffer_reserve(server->in, READ_SIZE, &room, NULL) < 0)
		return -1;
	part.iov_base = room;
	got = recvmsg(server->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		return -1;
	note_peer(server, &message);
	mse_buffer_commit(server->in, (size_t)got);
	return 1;
}

/* As many frames as are a turn's; *ret_rest tells that whole ones may be left. */
static const char *handle_frames(struct mse_channel_server *server, bool *ret_rest)
{
	const char *fault = NULL;
	bool more = true;

	for (unsigned i = 0; i < FRAMES_PER_TURN && more && fault == NULL; i++)
		fault = next_frame(server, &more);
	*ret_rest = more;
	return fault;
}

/* One turn; *ret_rest tells that another is due at once. Returns false at the channel's end, with a fault or none. */
static bool take_turn(struct mse_channel_server *server, bool *ret_rest, const char **ret_fault)
{
	const char *fault = handle_frames(server, ret_rest);
	bool ended = false;

	for (unsigned i = 0; i < READS_PER_TURN && fault == NULL && !*ret_rest && !ended && mse_buffer_size(server->out) == 0; i++) {
		int got = read_some(server);

		if (got == 0)
			break;
		ended = got < 0;
		if (got > 0)
			fault = handle_frames(server, ret_rest);
	}
	*ret_fault = fault;
	return fault == NULL && !ended;
}

static int64_t cpu_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* Charges the enclave for what it made this process do, and lets it wait when that is more than its share. */
static bool has_to_wait(struct mse_channel_server *server, int64_t begun_us)
{
	struct mse_allowance *allowance = &server->services->work_allowance;
	uint64_t now = mse_monotonic_ms(), wait;

	mse_allowance_charge(allowance, cpu_us() - begun_us + WORK_US_PER_TURN, now);
	wait = mse_allowance_wait_ms(allowance, now);
	if (wait == 0)
		return false;
	event_del(server->readable);
	mse_timer_set(server->pause, wait);
	return true;
}

static void on_event(evutil_socket_t fd, short what, void *argument)
{
	struct mse_channel_server *server = argument;
	int64_t begun = cpu_us();
	const char *fault = NULL;
	bool rest = false;

	(void)fd;
	if ((what & EV_WRITE) != 0 && flush(server) < 0) {
		server->events->closed(server->context, fault_socket);
		return;
	}
	if (evtimer_pending(server->pause, NULL))
		return;
	if (!take_turn(server, &rest, &fault)) {
		server->events->closed(server->context, fault);
		return;
	}
	if (!has_to_wait(server, begun) && rest)
		event_active(server->readable, EV_TIMEOUT, 0);
}

static void on_pause_over(evutil_socket_t fd, short what, void *argument)
{
	struct mse_channel_server *server = argument;

	(void)fd;
	(void)what;
	if (mse_buffer_size(server->out) == 0 && event_add(server->readable, NULL) < 0)
		server->events->closed(server->context, fault_socket);
	else
		event_active(server->readable, EV_TIMEOUT, 0);
}

int mse_channel_server_new(struct event_base *base, int fd, struct mse_channel_services *services, const struct mse_channel_events *events, void *context,
	struct mse_channel_server **ret_server, struct mse_error_info *err)
{
	mse_cleanup(mse_channel_server_freep) struct mse_channel_server *server = calloc(1, sizeof *server);
	const int on = 1;

	if (server == NULL)
		return mse_fail_nomem(err);
	server->fd = -1;
	server->services = services;
	server->events = events;
	server->context = context;
	/* The largest frame, and what is read behind it. */
	server->in = mse_buffer_new(MSE_CHANNEL_HEAD_SIZE + MSE_SEALED_STATE_MAX_SIZE + 2 * READ_SIZE);
	server->out = mse_buffer_new(MSE_CHANNEL_HEAD_SIZE + MSE_CHANNEL_MAX_PAYLOAD);
	server->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_event, server);
	server->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_event, server);
	server->pause = evtimer_new(base, on_pause_over, server);
	if (server->in == NULL || server->out == NULL || server->readable == NULL || server->writable == NULL ||
	    server->pause == NULL)
		return mse_fail_nomem(err);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 || evutil_make_socket_nonblocking(fd) < 0)
		return mse_fail_errno(err, "cannot prepare the channel");
	if (event_add(server->readable, NULL) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot watch the channel");
	server->fd = fd;
	*ret_server = mse_steal(server);
	return 0;
}

void mse_channel_server_free(struct mse_channel_server *server)
{
	if (server == NULL)
		return;
	if (server->readable != NULL)
		event_free(server->readable);
	if (server->writable != NULL)
		event_free(server->writable);
	if (server->pause != NULL)
		event_free(server->pause);
	mse_buffer_free(server->in);
	mse_buffer_free(server->out);
	mse_close(server->fd);
	free(server);
}

int mse_channel_server_stop(struct mse_channel_server *server, struct mse_error_info *err)
{
	int result = reply(server, MSE_FRAME_STOP, NULL, 0, err);

	if (result == 0 && flush(server) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot watch the channel");
	return result;
}

pid_t mse_channel_server_peer(const struct mse_channel_server *server)
{
	return server->peer;
}
