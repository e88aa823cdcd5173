#include "shim/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/peer.h"
#include "base/text.h"
#include "shim/config.h"
#include "shim/weaker.h"

#define WHAT "the shim's status"

static const char *const state_names[] = { "spawning", "initializing", "running", "stopped", "on_error" };
static const char *const members[] = { "instance_id", "status", "reason", "final", "provisioned", "restarts", "enclave_pid", "measurement", "changed_at", "weaker",
	"metrics", NULL };

#define METRIC_COUNT 6
static const char *const metric_names[METRIC_COUNT + 1] = { "requests", "errors", "in_flight", "bytes_in", "bytes_out", "log_lost", NULL };

static uint64_t *metric_at(struct mse_shim_metrics *metrics, size_t index)
{
	uint64_t *const fields[METRIC_COUNT] = { &metrics->requests, &metrics->errors, &metrics->in_flight, &metrics->bytes_in, &metrics->bytes_out,
		&metrics->log_lost };

	return fields[index];
}

const char *mse_shim_state_name(enum mse_shim_state state)
{
	return state_names[state];
}

bool mse_shim_reason_is_valid(const char *reason)
{
	for (const char *p = reason; *p != 0; p++)
		if (*p < 0x20 || *p > 0x7e)
			return false;
	return reason[0] != 0 && strlen(reason) < MSE_SHIM_REASON_SIZE;
}

/* Counters come from the enclave, which may say anything. RFC 8785 (with RFC 7493) ends integers here. */
#define MAX_COUNTER (((uint64_t)1 << 53) - 1)

static json_t *counter(uint64_t value)
{
	return json_integer((json_int_t)(value > MAX_COUNTER ? MAX_COUNTER : value));
}

int mse_shim_status_format(const struct mse_shim_status *status, struct mse_buffer *to, struct mse_error_info *err)
{
	struct mse_shim_metrics numbers = status->metrics;
	mse_autojson *metrics = json_object();
	char weaker[MSE_WEAKER_TEXT_SIZE];
	mse_autojson *root = NULL;
	int result = 0;

	for (size_t i = 0; result == 0 && i < METRIC_COUNT; i++)
		result = mse_json_set(metrics, metric_names[i], counter(*metric_at(&numbers, i)), err);
	if (result < 0)
		return result;
	mse_weaker_format(status->weaker, weaker);
	root = json_pack("{s:s, s:s, s:s?, s:b, s:b, s:o, s:I, s:s?, s:I, s:s, s:O}", "instance_id", status->instance_id, "status", state_names[status->state],
		"reason", status->reason[0] == 0 ? NULL : status->reason, "final", (int)status->final, "provisioned", (int)status->provisioned,
		"restarts", counter(status->restarts), "enclave_pid", (json_int_t)status->enclave_pid,
		"measurement", status->measurement[0] == 0 ? NULL : status->measurement, "changed_at", (json_int_t)status->changed_at,
		"weaker", weaker, "metrics", metrics);
	if (root == NULL)
		return mse_fail(err, MSE_ERR_NOMEM, "cannot format a status: out of memory, or text that is not UTF-8");
	return mse_json_canonical(root, to, err);
}

static int parse_state(const json_t *root, struct mse_shim_status *status, struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(root, "status", WHAT, &text, err);

	if (result < 0)
		return result;
	for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
		if (strcmp(text, state_names[i]) == 0) {
			status->state = (enum mse_shim_state)i;
			return 0;
		}
	return mse_fail(err, MSE_ERR_INPUT, WHAT ": '%.40s' is not a status", text);
}

static int parse_instance(const json_t *root, struct mse_shim_status *status, struct mse_error_info *err)
{
	uint8_t id[MSE_INSTANCE_ID_SIZE];
	int result = mse_json_hex(root, "instance_id", WHAT, id, sizeof id, err);

	if (result == 0)
		mse_hex_encode(status->instance_id, id, sizeof id);
	return result;
}

static int parse_texts(const json_t *root, struct mse_shim_status *status, struct mse_error_info *err)
{
	const json_t *reason = json_object_get(root, "reason"), *measurement = json_object_get(root, "measurement");
	uint8_t bytes[32];
	int result;

	if (json_is_string(reason)) {
		const char *text = json_string_value(reason);

		if (!mse_shim_reason_is_valid(text))
			return mse_fail(err, MSE_ERR_INPUT, WHAT ": the reason is not 1 to %zu printable characters", sizeof status->reason - 1);
		memcpy(status->reason, text, strlen(text) + 1);
	} else if (!json_is_null(reason))
		return mse_fail(err, MSE_ERR_INPUT, WHAT ": 'reason' is neither text nor null");
	if (json_is_null(measurement))
		return 0;
	if ((result = mse_json_hex(root, "measurement", WHAT, bytes, sizeof bytes, err)) < 0)
		return result;
	mse_hex_encode(status->measurement, bytes, sizeof bytes);
	return 0;
}

static int parse_metrics(const json_t *root, struct mse_shim_status *status, struct mse_error_info *err)
{
	json_t *metrics;
	int result = mse_json_object(root, "metrics", WHAT, &metrics, err);

	if (result == 0)
		result = mse_json_only(metrics, metric_names, WHAT, err);
	for (size_t i = 0; result == 0 && i < METRIC_COUNT; i++)
		result = mse_json_u64(metrics, metric_names[i], WHAT, 0, MAX_COUNTER, metric_at(&status->metrics, i), err);
	return result;
}

int mse_shim_status_parse(const char *text, size_t size, struct mse_shim_status *ret_status, struct mse_error_info *err)
{
	struct mse_shim_status status = { 0 };
	mse_autojson *root = NULL;
	uint64_t pid = 0, changed_at = 0;
	const char *weaker;
	int result;

	if (size > MSE_SHIM_LINE_MAX_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, WHAT " has %zu bytes, the limit is %zu", size, MSE_SHIM_LINE_MAX_SIZE);
	if ((result = mse_json_parse(text, size, WHAT, &root, err)) < 0 || (result = mse_json_only(root, members, WHAT, err)) < 0 ||
	    (result = parse_instance(root, &status, err)) < 0 || (result = parse_state(root, &status, err)) < 0 || (result = parse_texts(root, &status, err)) < 0 ||
	    (result = mse_json_bool(root, "final", WHAT, &status.final, err)) < 0 ||
	    (result = mse_json_bool(root, "provisioned", WHAT, &status.provisioned, err)) < 0 ||
	    (result = mse_json_u64(root, "restarts", WHAT, 0, MAX_COUNTER, &status.restarts, err)) < 0 ||
	    (result = mse_json_u64(root, "enclave_pid", WHAT, 0, INT32_MAX, &pid, err)) < 0 ||
	    (result = mse_json_u64(root, "changed_at", WHAT, 0, MSE_TIME_MAX, &changed_at, err)) < 0 ||
	    (result = mse_json_string(root, "weaker", WHAT, &weaker, err)) < 0 ||
	    (result = mse_weaker_parse(weaker, &status.weaker, err)) < 0 || (result = parse_metrics(root, &status, err)) < 0)
		return result;
	status.enclave_pid = (int64_t)pid;
	status.changed_at = (int64_t)changed_at;
	*ret_status = status;
	return 0;
}

int mse_shim_status_check(const struct mse_shim_status *status, const char *instance_id, struct mse_error_info *err)
{
	if (strcmp(status->instance_id, instance_id) == 0)
		return 0;
	return mse_fail(err, MSE_ERR_DENIED, WHAT " is that of instance %.12s, not of %.12s", status->instance_id, instance_id);
}

int mse_shim_status_read(const char *app_dir, const char *instance_id, struct mse_shim_status *ret_status, struct mse_error_info *err)
{
	struct mse_shim_status status;
	mse_autofree char *path = NULL;
	mse_autofree uint8_t *data = NULL;
	size_t size;
	int result;

	if ((result = mse_path_join(app_dir, MSE_SHIM_STATUS_FILE, &path, err)) < 0 ||
	    (result = mse_file_read(path, MSE_SHIM_LINE_MAX_SIZE, &data, &size, err)) < 0)
		return result;
	if ((result = mse_shim_status_parse((const char *)data, size, &status, err)) < 0 ||
	    (result = mse_shim_status_check(&status, instance_id, err)) < 0)
		return mse_context(err, "'%s'", path);
	*ret_status = status;
	return 0;
}

int mse_shim_connect(const char *app_dir, int *ret_fd, struct mse_error_info *err)
{
	mse_autoclose int dir = open(app_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mse_autoclose int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uid_t user;
	int result;

	if (dir < 0)
		return mse_fail_errno(err, "cannot open folder '%s'", app_dir);
	/* The address of a Unix socket has room for 107 bytes, an app's folder may be longer. */
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" MSE_SHIM_CONTROL_SOCKET, dir);
	/* Not to be held up by one that is stopped, or does not read. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		if (errno == ECONNREFUSED)
			return mse_fail(err, MSE_ERR_CLOSED, "no shim is running in '%s'", app_dir);
		if (errno == EAGAIN)
			return mse_fail(err, MSE_ERR_TIMEOUT, "the shim in '%s' takes no connections: too many wait for it already", app_dir);
		return mse_fail_errno(err, "cannot connect to the shim in '%s'", app_dir);
	}
	if ((result = mse_peer_user(fd, &user, err)) < 0)
		return result;
	if (user != geteuid())
		return mse_fail(err, MSE_ERR_DENIED, "what listens at the control socket in '%s' runs as user %u, and is no shim of this node", app_dir, user);
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

int mse_shim_send_stop(int fd, const char *reason, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *line = mse_buffer_new(MSE_SHIM_LINE_MAX_SIZE);
	mse_autojson *root = NULL;
	const char *rest;
	size_t left;
	int result;

	if (line == NULL)
		return mse_fail_nomem(err);
	if (!mse_shim_reason_is_valid(reason))
		return mse_fail(err, MSE_ERR_INPUT, "a reason to stop is 1 to %d printable characters", MSE_SHIM_REASON_SIZE - 1);
	root = json_pack("{s:s, s:s}", "command", "stop", "reason", reason);
	if (root == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_canonical(root, line, err)) < 0 || (result = mse_buffer_append_text(line, "\n", err)) < 0)
		return result;
	rest = mse_buffer_text(line);
	left = mse_buffer_size(line);
	while (left > 0) {
		ssize_t sent = send(fd, rest, left, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return mse_fail(err, MSE_ERR_CLOSED, "the shim closed the connection");
		if (sent < 0 && errno == EAGAIN)
			return mse_fail(err, MSE_ERR_TIMEOUT, "the shim does not read what it is sent");
		if (sent < 0)
			return mse_fail_errno(err, "cannot send to the shim");
		rest += sent;
		left -= (size_t)sent;
	}
	return 0;
}

/* One read, once something is there. */
static int receive_some(int fd, uint64_t deadline, struct mse_buffer *pending, struct mse_error_info *err)
{
	uint64_t now = mse_monotonic_ms();
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t *room;
	ssize_t got;
	int result;

	if (now >= deadline)
		return mse_fail(err, MSE_ERR_TIMEOUT, "the shim said nothing in time");
	result = poll(&wait, 1, deadline - now > 60000 ? 60000 : (int)(deadline - now));
	if (result < 0 && errno != EINTR)
		return mse_fail_errno(err, "cannot wait for the shim");
	if (result <= 0)
		return 0;
	if ((result = mse_buffer_reserve(pending, MSE_SHIM_LINE_MAX_SIZE, &room, err)) < 0)
		return result;
	got = recv(fd, room, MSE_SHIM_LINE_MAX_SIZE, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return mse_fail(err, MSE_ERR_CLOSED, "the shim closed the connection");
	if (got < 0 && errno != EINTR && errno != EAGAIN)
		return mse_fail_errno(err, "cannot read from the shim");
	if (got > 0)
		mse_buffer_commit(pending, (size_t)got);
	return 0;
}

int mse_shim_receive(int fd, uint64_t timeout_ms, struct mse_buffer *pending, struct mse_shim_status *ret_status, struct mse_error_info *err)
{
	uint64_t deadline = mse_monotonic_ms() + timeout_ms;
	int result;

	for (;;) {
		const char *text = mse_buffer_text(pending);
		const char *end = memchr(text, '\n', mse_buffer_size(pending));

		if (end != NULL) {
			result = mse_shim_status_parse(text, (size_t)(end - text), ret_status, err);
			mse_buffer_consume(pending, (size_t)(end - text) + 1);
			return result;
		}
		if (mse_buffer_size(pending) >= MSE_SHIM_LINE_MAX_SIZE)
			return mse_fail(err, MSE_ERR_LIMIT, "the shim sent a line of more than %zu bytes", MSE_SHIM_LINE_MAX_SIZE);
		if ((result = receive_some(fd, deadline, pending, err)) < 0)
			return result;
	}
}
