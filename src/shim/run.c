#include "shim/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "shim/sandbox.h"
#include "shim/timer.h"

#define GRACE_MS 5000u
/* A channel outlives its process only by what is still to be read from it. */
#define CHANNEL_REST_MS 1000u
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#define MAX_MESSAGES_SIZE ((size_t)65536)
#else
#define SANITIZED false
#define MAX_MESSAGES_SIZE ((size_t)4096)
#endif

struct mse_run {
	struct mse_run_setting setting;
	pid_t pid; /* of bubblewrap; 0: reaped, or never there */
	struct mse_channel_server *channel;
	struct event *kill_timer;
	struct event *messages;
	int messages_fd;
	char line[1024]; /* of a message that is not complete yet */
	size_t line_size;
	size_t messages_size; /* kept so far */
	char last_words[MSE_RUN_LAST_WORDS_SIZE];
	bool talked;
	bool killed;
	uint64_t started_at;
	enum mse_enclave_status failure; /* 0, or what it told */
};

/* ---- the loader's messages ---- */

static void log_message_line(struct mse_run *run)
{
	if (run->line_size > 0) {
		mse_log("from the loader: %.*s", (int)run->line_size, run->line);
		snprintf(run->last_words, sizeof run->last_words, "%.*s", (int)run->line_size, run->line);
	}
	run->line_size = 0;
}

static void stop_listening(struct mse_run *run)
{
	log_message_line(run);
	if (run->messages != NULL)
		event_free(mse_steal(run->messages));
	mse_close(mse_steal_fd(&run->messages_fd));
}

/* What the loader, bubblewrap or the enclave has to say before its first status. After that, or when it is too much, nobody
 * listens any more: what the app writes leaves the enclave sealed, and must not come out here; and reading it would cost this
 * process what the enclave pleases. Returns false when nothing is there now. */
static bool read_messages(struct mse_run *run)
{
	char text[1024];
	ssize_t got = read(run->messages_fd, text, sizeof text);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0 || run->messages_size == MAX_MESSAGES_SIZE) {
		stop_listening(run);
		return false;
	}
	for (ssize_t i = 0; i < got && run->messages_size < MAX_MESSAGES_SIZE; i++, run->messages_size++) {
		if (text[i] != '\n')
			run->line[run->line_size++] = text[i];
		if (text[i] == '\n' || run->line_size == sizeof run->line)
			log_message_line(run);
	}
	return true;
}

static void on_messages(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	read_messages(argument);
}

/* What was said until now is in the pipe. */
static void drain_messages(struct mse_run *run)
{
	for (unsigned i = 0; i < MAX_MESSAGES_SIZE / 1024 && run->messages_fd >= 0 && read_messages(run); i++)
		;
	log_message_line(run);
}

static void end_messages(struct mse_run *run)
{
	drain_messages(run);
	/* A sanitizer's report is of no use unread. */
	if (!SANITIZED)
		stop_listening(run);
}

static int watch_messages(struct mse_run *run, int fd, struct mse_error_info *err)
{
	run->messages_fd = fd;
	if (evutil_make_socket_nonblocking(fd) < 0)
		return mse_fail_errno(err, "cannot prepare the loader's messages");
	run->messages = event_new(run->setting.base, fd, EV_READ | EV_PERSIST, on_messages, run);
	if (run->messages == NULL || event_add(run->messages, NULL) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot watch the loader's messages");
	return 0;
}

/* ---- the end ---- */

static void kill_now(struct mse_run *run)
{
	/* bubblewrap's child goes with it, and all in that one's process namespace; the channel's end tells when they have gone. */
	if (run->pid > 0 && kill(run->pid, SIGKILL) < 0)
		mse_log("cannot kill process %d", (int)run->pid);
	run->killed = true;
}

static void release(struct mse_run *run)
{
	event_del(run->kill_timer);
	stop_listening(run);
	mse_channel_server_free(mse_steal(run->channel));
}

static void check_ended(struct mse_run *run)
{
	if (mse_run_is_active(run))
		return;
	drain_messages(run);
	release(run);
	mse_log("the enclave has ended%s%s", run->failure == 0 ? "" : ": ", run->failure == 0 ? "" : mse_enclave_status_name(run->failure));
	run->setting.events->ended(run->setting.context, run->failure);
}

static void on_kill(evutil_socket_t fd, short what, void *argument)
{
	struct mse_run *run = argument;

	(void)fd;
	(void)what;
	kill_now(run);
	if (run->pid == 0 && run->channel != NULL) {
		mse_log("the channel outlives its enclave");
		mse_channel_server_free(mse_steal(run->channel));
		check_ended(run);
	}
}

void mse_run_stop(struct mse_run *run)
{
	struct mse_error_info err;

	/* One that has never said a word does not listen either. */
	if (run->channel == NULL || mse_channel_server_peer(run->channel) == 0 || mse_channel_server_stop(run->channel, &err) < 0)
		kill_now(run);
	else
		mse_timer_set(run->kill_timer, GRACE_MS);
}

void mse_run_kill(struct mse_run *run)
{
	if (mse_run_is_active(run))
		kill_now(run);
}

void mse_run_storage(struct mse_run *run, bool there)
{
	if (run->channel != NULL)
		mse_channel_server_storage(run->channel, there);
}

void mse_run_reap(struct mse_run *run)
{
	int status;

	if (run->pid <= 0 || waitpid(run->pid, &status, WNOHANG) != run->pid)
		return;
	run->pid = 0;
	if (WIFEXITED(status))
		mse_log("the sandbox has ended with exit status %d", WEXITSTATUS(status));
	else
		mse_log("the sandbox has ended with signal %d", WTERMSIG(status));
	/* Killed at the wrong moment, bubblewrap leaves its child behind, and that one the channel open. */
	if (run->channel != NULL && mse_channel_server_peer(run->channel) == 0)
		mse_sandbox_kill_leftovers();
	if (run->channel != NULL)
		mse_timer_set(run->kill_timer, CHANNEL_REST_MS);
	check_ended(run);
}

/* ---- the channel ---- */

static void on_status(void *context, enum mse_enclave_status told)
{
	struct mse_run *run = context;

	if (run->messages_fd >= 0 && (!SANITIZED || !run->talked))
		end_messages(run);
	run->talked = true;
	if (told < MSE_ENCLAVE_BUNDLE_REFUSED) {
		run->setting.events->status(run->setting.context, told);
		return;
	}
	/* The first one counts. It is about to end, and is not waited for longer than when it is stopped. */
	if (run->failure == 0) {
		run->failure = told;
		mse_timer_set(run->kill_timer, GRACE_MS);
	}
}

static void on_metrics(void *context, const struct mse_shim_metrics *metrics)
{
	const struct mse_run *run = context;

	run->setting.events->metrics(run->setting.context, metrics);
}

static void on_open_storage(void *context, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE])
{
	const struct mse_run *run = context;

	run->setting.events->open_storage(run->setting.context, fresh, key);
}

static void on_channel_closed(void *context, const char *fault)
{
	struct mse_run *run = context;

	if (fault != NULL)
		mse_log("the enclave is ended: %s", fault);
	mse_channel_server_free(mse_steal(run->channel));
	/* Without its channel an enclave is of no use; it may be about to end by itself, though, and say so to its waiting parent. */
	if (run->pid > 0 && fault == NULL && !run->killed)
		mse_timer_set(run->kill_timer, CHANNEL_REST_MS);
	else
		kill_now(run);
	check_ended(run);
}

static const struct mse_channel_events channel_events = { .status = on_status, .metrics = on_metrics, .open_storage = on_open_storage,
	.closed = on_channel_closed };

/* ---- the start ---- */

static int try_start(struct mse_run *run, const struct mse_shim_inputs *inputs, const struct mse_network *network, const struct mse_cgroup *group, int listener, struct mse_error_info *err)
{
	mse_autoclose int ours = -1;
	mse_autoclose int theirs = -1;
	mse_autoclose int messages = -1;
	const struct mse_run_setting *setting = &run->setting;
	struct mse_sandbox_descriptors descriptors = { .listener = listener };
	int pair[2], ends[2], result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return mse_fail_errno(err, "cannot make the channel");
	ours = pair[0];
	theirs = pair[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	messages = ends[1];
	if ((result = watch_messages(run, ends[0], err)) < 0 ||
	    (result = mse_channel_server_new(setting->base, ours, setting->services, &channel_events, run, &run->channel, err)) < 0)
		return result;
	ours = -1;
	descriptors.channel = theirs;
	descriptors.messages = messages;
	return mse_sandbox_start(setting->config, setting->host_root, inputs, network, &descriptors, group, &run->pid, err);
}

int mse_run_start(struct mse_run *run, const struct mse_shim_inputs *inputs, const struct mse_network *network, const struct mse_cgroup *group, int listener, struct mse_error_info *err)
{
	int result;

	run->pid = 0;
	run->line_size = run->messages_size = 0;
	run->last_words[0] = 0;
	run->talked = run->killed = false;
	run->failure = 0;
	run->started_at = mse_monotonic_ms();
	if ((result = try_start(run, inputs, network, group, listener, err)) < 0) {
		release(run);
		snprintf(run->last_words, sizeof run->last_words, "%.*s", MSE_RUN_LAST_WORDS_SIZE - 1, err->message);
	}
	return result;
}

int mse_run_new(const struct mse_run_setting *setting, struct mse_run **ret_run, struct mse_error_info *err)
{
	mse_cleanup(mse_run_freep) struct mse_run *run = calloc(1, sizeof *run);

	if (run == NULL)
		return mse_fail_nomem(err);
	run->setting = *setting;
	run->messages_fd = -1;
	run->kill_timer = evtimer_new(setting->base, on_kill, run);
	if (run->kill_timer == NULL)
		return mse_fail_nomem(err);
	*ret_run = mse_steal(run);
	return 0;
}

void mse_run_free(struct mse_run *run)
{
	if (run == NULL)
		return;
	if (run->kill_timer != NULL) {
		release(run);
		event_free(run->kill_timer);
	}
	free(run);
}

/* ---- what is known of it ---- */

bool mse_run_is_active(const struct mse_run *run)
{
	return run->pid != 0 || run->channel != NULL;
}

bool mse_run_has_talked(const struct mse_run *run)
{
	return run->talked;
}

const char *mse_run_last_words(const struct mse_run *run)
{
	return run->last_words;
}

pid_t mse_run_pid(const struct mse_run *run)
{
	return run->channel == NULL ? 0 : mse_channel_server_peer(run->channel);
}

uint64_t mse_run_started_at(const struct mse_run *run)
{
	return run->started_at;
}
