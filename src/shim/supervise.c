#include "shim/supervise.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "shim/control.h"
#include "shim/control_server.h"
#include "shim/health.h"
#include "shim/limits.h"
#include "shim/listener.h"
#include "shim/network.h"
#include "shim/restarts.h"
#include "shim/run.h"
#include "shim/sandbox.h"
#include "shim/storage.h"
#include "shim/timer.h"
#include "shim/weaker.h"
#include "tee/sim_pki.h"

#define PUBLISH_INTERVAL_MS 50u
/* After so many changes in a row, which only a restless enclave brings about. */
#define PUBLISH_BURST 40
#define PUBLISHED_PER_SECOND 1
#define PUBLISH_RARELY_MS 1000u
#define COMPLAINT_BURST 5
#define COMPLAINTS_PER_SECOND 1
#define METRICS_INTERVAL_MS 1000u
/* A timer counts seconds that pass; the expiry is a date, and clocks are set. */
#define EXPIRY_CHECK_SECONDS 30
/* Where $HOME is in memory. */
#define MIN_HOME_SIZE ((uint64_t)1024 * 1024)

#define REASON_UNSTABLE "the enclave ends again and again"
#define REASON_STORAGE "the app's storage cannot be opened"
#define REASON_SANDBOX "the sandbox cannot be started"

/* Why the app, or this process, is ending; later ones overrule earlier ones. */
enum ending {
	NOT_ENDING,
	ENDING_RESUMABLE, /* SIGTERM: storage stays */
	ENDING_STOPPED,   /* by command or expiry: storage is destroyed */
};

struct shim {
	const struct mse_shim_config *config;
	bool host_root;
	struct event_base *base;
	struct mse_control_server *control;
	struct mse_shim_inputs *inputs;
	struct mse_sim_platform *platform;
	struct mse_health *health;
	struct mse_limits *limits;
	struct mse_channel_services services;
	struct mse_restarts restarts;
	struct mse_shim_status status;
	struct mse_network *network;
	struct mse_run *run;
	struct mse_storage *storage;
	enum mse_enclave_status failure; /* of the enclave that has ended */
	char storage_failure[MSE_SHIM_REASON_SIZE]; /* "": none */
	int listener;
	int64_t expires_at;
	enum ending ending;
	bool done; /* the event loop is to end */
	uint64_t published_at;
	struct mse_allowance publish_allowance;   /* of changes that are told at once */
	struct mse_allowance complaint_allowance; /* of lines about a status that cannot be told */
	bool published_is_stale; /* status.json too, not the metrics alone */
	struct event *on_term, *on_int, *on_child;
	struct event *restart_timer, *expiry_timer, *publish_timer, *metrics_timer;
};

static void start_enclave(struct shim *shim);

/* ---- status ---- */

/* On a full disk, what must not be forgotten is written over what is there: a status is far smaller than a file system's block, so
 * that takes no room. */
static int overwrite_status(const struct mse_buffer *line, struct mse_error_info *err)
{
	mse_autoclose int fd = open(MSE_SHIM_STATUS_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	int result;

	if (fd < 0 || fstat(fd, &status) < 0)
		return mse_fail_errno(err, "cannot open '" MSE_SHIM_STATUS_FILE "'");
	if (!S_ISREG(status.st_mode))
		return mse_fail(err, MSE_ERR_INPUT, "'" MSE_SHIM_STATUS_FILE "' is not a regular file");
	if ((result = mse_fd_write(fd, mse_buffer_data(line), mse_buffer_size(line), err)) < 0)
		return result;
	return ftruncate(fd, (off_t)mse_buffer_size(line)) < 0 || fsync(fd) < 0 ? mse_fail_errno(err, "cannot finish '" MSE_SHIM_STATUS_FILE "'") : 0;
}

/* Replaces status.json. Losing the last change to a power failure is harmless while the app lives, since the next shim finds out
 * anew; what must not be forgotten is written durably. */
static int write_status(const struct mse_buffer *line, bool durable, struct mse_error_info *err)
{
	static const char temporary[] = MSE_SHIM_STATUS_FILE ".new";
	mse_autoclose int fd = -1;
	int result;

	if (durable) {
		result = mse_file_write(MSE_SHIM_STATUS_FILE, mse_buffer_data(line), mse_buffer_size(line), 0600, err);
		return result < 0 ? overwrite_status(line, err) : 0;
	}
	/* Whatever stands there is not written to. */
	if (unlink(temporary) < 0 && errno != ENOENT)
		return mse_fail_errno(err, "cannot remove '%s'", temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create '%s'", temporary);
	if ((result = mse_fd_write(fd, mse_buffer_data(line), mse_buffer_size(line), err)) < 0)
		return result;
	return rename(temporary, MSE_SHIM_STATUS_FILE) < 0 ? mse_fail_errno(err, "cannot replace '" MSE_SHIM_STATUS_FILE "'") : 0;
}

static void publish_now(struct shim *shim, bool to_file)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *line = mse_buffer_new(MSE_SHIM_LINE_MAX_SIZE);
	struct mse_error_info err;
	int result = line == NULL ? mse_fail_nomem(&err) : mse_shim_status_format(&shim->status, line, &err);

	shim->published_at = mse_monotonic_ms();
	if (result == 0)
		result = mse_buffer_append_text(line, "\n", &err);
	if (result == 0)
		result = mse_control_server_publish(shim->control, mse_buffer_text(line), &err);
	if (result == 0 && to_file)
		result = write_status(line, shim->status.state == MSE_SHIM_STOPPED, &err);
	if (result < 0 && mse_allowance_take(&shim->complaint_allowance, 1, shim->published_at))
		mse_log("cannot publish the status: %s", err.message);
}

static void on_publish(evutil_socket_t fd, short what, void *argument)
{
	struct shim *shim = argument;

	(void)fd;
	(void)what;
	if (shim->published_is_stale)
		publish_now(shim, true);
	shim->published_is_stale = false;
}

/* At once, unless changes come fast: an enclave can say what it likes as often as it likes. */
static void publish(struct shim *shim)
{
	uint64_t now = mse_monotonic_ms(), since = now - shim->published_at;

	shim->status.changed_at = mse_time_now();
	shim->published_is_stale = true;
	if (evtimer_pending(shim->publish_timer, NULL))
		return;
	if (!mse_allowance_take(&shim->publish_allowance, 1, now))
		mse_timer_set(shim->publish_timer, PUBLISH_RARELY_MS);
	else if (since < PUBLISH_INTERVAL_MS)
		mse_timer_set(shim->publish_timer, PUBLISH_INTERVAL_MS - since);
	else
		on_publish(-1, 0, shim);
}

static void set_state(struct shim *shim, enum mse_shim_state state, const char *reason)
{
	struct mse_shim_status *status = &shim->status;

	if (status->state == state && strcmp(status->reason, reason) == 0)
		return;
	status->state = state;
	snprintf(status->reason, sizeof status->reason, "%s", reason);
	/* Names from the manifest may be in it, and the loader's words. */
	for (char *p = status->reason; *p != 0; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	mse_log("%s%s%s", mse_shim_state_name(state), status->reason[0] == 0 ? "" : ": ", status->reason);
	publish(shim);
}

/* The end of hope, until the app is stopped or expires: nobody is to wait at its port. */
static void give_up(struct shim *shim, const char *reason)
{
	mse_close(mse_steal_fd(&shim->listener));
	set_state(shim, MSE_SHIM_ON_ERROR, reason);
}

/* ---- the end ---- */

/* Sealed state with what an interrupted write of it left, the bundle, and $HOME. */
static int destroy_storage(struct mse_error_info *err)
{
	const struct dirent *entry;
	DIR *stream = opendir(".");
	int result = 0;

	if (stream == NULL)
		return mse_fail_errno(err, "cannot read the app's folder");
	while (result == 0 && (entry = readdir(stream)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, MSE_SHIM_SEALED_FILE) != 0 && strncmp(name, MSE_SHIM_SEALED_FILE ".", sizeof MSE_SHIM_SEALED_FILE) != 0 &&
		    strcmp(name, MSE_SHIM_BUNDLE_FILE) != 0 && strcmp(name, MSE_SHIM_STORAGE_LOCK) != 0)
			continue;
		/* Whatever somebody has put in its place. */
		result = mse_tree_remove(name, err);
	}
	closedir(stream);
	if (result == 0)
		result = mse_storage_destroy(err);
	return result < 0 ? result : mse_dir_sync(".", err);
}

/* The enclave is gone for good. */
static void finish(struct shim *shim)
{
	struct mse_error_info err;

	if (shim->ending == ENDING_STOPPED) {
		if (destroy_storage(&err) < 0)
			mse_log("storage is not destroyed, the next start tries again: %s", err.message);
		else
			shim->status.final = true;
	}
	if (shim->status.state == MSE_SHIM_RUNNING || shim->status.state == MSE_SHIM_INITIALIZING)
		shim->status.state = MSE_SHIM_SPAWNING;
	shim->status.enclave_pid = 0;
	shim->status.changed_at = mse_time_now();
	publish_now(shim, true);
	shim->done = true;
	event_base_loopbreak(shim->base);
}

static void end_app(struct shim *shim, enum ending ending, const char *reason)
{
	bool first = shim->ending == NOT_ENDING;

	if (shim->ending >= ending)
		return;
	shim->ending = ending;
	event_del(shim->restart_timer);
	if (shim->health != NULL)
		mse_health_stop(shim->health);
	if (ending == ENDING_STOPPED) {
		shim->services.closing = true;
		shim->status.state = MSE_SHIM_STOPPED;
		snprintf(shim->status.reason, sizeof shim->status.reason, "%s", reason);
		mse_log("stopping: %s", shim->status.reason);
		/* Durable: a shim that is started after a crash destroys, and does not resume. */
		publish_now(shim, true);
	}
	if (mse_run_is_active(shim->run)) {
		if (first)
			mse_run_stop(shim->run);
	} else if (shim->storage != NULL && mse_storage_is_active(shim->storage))
		mse_storage_close(shim->storage, ending == ENDING_STOPPED);
	else
		finish(shim);
}

static void on_stop_command(void *context, const char *reason)
{
	end_app(context, ENDING_STOPPED, reason);
}

static void on_signal(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	end_app(argument, ENDING_RESUMABLE, "");
}

static void on_expiry(evutil_socket_t fd, short what, void *argument)
{
	struct shim *shim = argument;
	int64_t left = shim->expires_at - mse_time_now();

	(void)fd;
	(void)what;
	if (left <= 0)
		end_app(shim, ENDING_STOPPED, MSE_SHIM_REASON_EXPIRED);
	else
		mse_timer_set(shim->expiry_timer, (uint64_t)(left > EXPIRY_CHECK_SECONDS ? EXPIRY_CHECK_SECONDS : left) * 1000);
}

/* ---- one enclave process ---- */

static const char *reason_of(enum mse_enclave_status status)
{
	switch (status) {
	case MSE_ENCLAVE_BUNDLE_REFUSED:
		return "the bundle does not open, or is not what was committed to";
	case MSE_ENCLAVE_IMPORT_FAILED:
		return "the application could not be imported";
	case MSE_ENCLAVE_PYTHON_MISSING:
		return "the image has no usable libpython";
	case MSE_ENCLAVE_STATE_REFUSED:
		return "the sealed state does not open here";
	case MSE_ENCLAVE_STORAGE_REFUSED:
		return REASON_STORAGE;
	case MSE_ENCLAVE_INTERNAL_ERROR:
	case MSE_ENCLAVE_WAITING:
	case MSE_ENCLAVE_STARTING:
	case MSE_ENCLAVE_SERVING:
	case MSE_ENCLAVE_STOPPED:
		break;
	}
	return NULL;
}

/* Restarts are used up. */
static void give_up_restarting(struct shim *shim)
{
	const char *last_words = mse_run_last_words(shim->run);
	char reason[MSE_SHIM_REASON_SIZE];

	snprintf(reason, sizeof reason, REASON_SANDBOX "%s%s", last_words[0] == 0 ? "" : ": ", last_words);
	give_up(shim, mse_run_has_talked(shim->run) ? REASON_UNSTABLE : reason);
}

static void restart_later(struct shim *shim)
{
	uint64_t now = mse_monotonic_ms(), delay;

	if (!mse_restarts_next(&shim->restarts, now, now - mse_run_started_at(shim->run), &delay)) {
		give_up_restarting(shim);
		return;
	}
	shim->status.restarts++;
	set_state(shim, MSE_SHIM_SPAWNING, "");
	mse_timer_set(shim->restart_timer, delay);
}

static void on_enclave_ended(void *context, enum mse_enclave_status failure)
{
	struct shim *shim = context;

	mse_health_stop(shim->health);
	shim->status.enclave_pid = 0;
	shim->failure = failure;
	/* Before that is closed, nobody else can have it. */
	mse_storage_close(shim->storage, shim->ending == ENDING_STOPPED);
}

static void on_storage_closed(void *context)
{
	struct shim *shim = context;
	const char *exceeded = shim->limits == NULL ? NULL : mse_limits_exceeded(shim->limits);
	const char *reason = shim->storage_failure[0] != 0 ? shim->storage_failure : exceeded != NULL ? exceeded : reason_of(shim->failure);

	if (shim->ending != NOT_ENDING)
		finish(shim);
	else if (reason != NULL)
		give_up(shim, reason);
	else
		restart_later(shim);
}

static void on_enclave_status(void *context, enum mse_enclave_status told)
{
	struct shim *shim = context;

	if (shim->ending != NOT_ENDING)
		return;
	shim->status.enclave_pid = mse_run_pid(shim->run);
	shim->status.provisioned = told != MSE_ENCLAVE_WAITING;
	if (told == MSE_ENCLAVE_SERVING && shim->status.state == MSE_SHIM_RUNNING)
		return;
	/* Its owner may let it wait for long. */
	if (told == MSE_ENCLAVE_WAITING)
		mse_limits_settle(shim->limits);
	else
		mse_limits_boost(shim->limits);
	if (told == MSE_ENCLAVE_SERVING)
		mse_health_start(shim->health);
	else
		mse_health_stop(shim->health);
	shim->status.state = MSE_SHIM_INITIALIZING;
	shim->status.reason[0] = 0;
	publish(shim);
}

static void on_open_storage(void *context, bool fresh, const uint8_t key[static MSE_STORAGE_KEY_SIZE])
{
	struct shim *shim = context;

	mse_storage_open(shim->storage, fresh, key);
}

/* Without its $HOME no app is of any use. */
static void fail_storage(struct shim *shim, const char *failure)
{
	mse_log(REASON_STORAGE ": %s", failure);
	snprintf(shim->storage_failure, sizeof shim->storage_failure, REASON_STORAGE ": %.200s", failure);
	mse_run_kill(shim->run);
}

static void on_storage_opened(void *context, const char *failure)
{
	struct shim *shim = context;

	mse_run_storage(shim->run, failure == NULL);
	if (failure != NULL)
		fail_storage(shim, failure);
}

static void on_storage_lost(void *context)
{
	struct shim *shim = context;

	mse_log("the enclave is ended: its storage is gone");
	mse_run_kill(shim->run);
}

static void on_healthy(void *context)
{
	struct shim *shim = context;

	mse_limits_settle(shim->limits);
	set_state(shim, MSE_SHIM_RUNNING, "");
}

static void on_metrics(void *context, const struct mse_shim_metrics *metrics)
{
	struct shim *shim = context;

	shim->status.metrics = *metrics;
	shim->status.metrics.log_lost = shim->services.log_lost;
	if (!evtimer_pending(shim->metrics_timer, NULL))
		mse_timer_set(shim->metrics_timer, METRICS_INTERVAL_MS);
}

static void on_metrics_timer(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	publish_now(argument, false);
}

static void on_child_signal(evutil_socket_t fd, short what, void *argument)
{
	const struct shim *shim = argument;

	(void)fd;
	(void)what;
	mse_run_reap(shim->run);
	if (shim->storage != NULL)
		mse_storage_reap(shim->storage);
}

static int open_listener(struct shim *shim, struct mse_error_info *err)
{
	bool one_way = false;
	int result = mse_listener_open(shim->config->port, shim->config->uid != 0, &shim->listener, &one_way, err);

	if (result == 0)
		shim->status.weaker = one_way ? shim->status.weaker & ~(uint32_t)MSE_WEAKER_LISTENER : shim->status.weaker | MSE_WEAKER_LISTENER;
	return result;
}

/* Its enclaves share the socket, one after the other, and the last one may have shut it down. */
static int keep_listening(struct shim *shim, struct mse_error_info *err)
{
	if (mse_listener_listens(shim->listener))
		return 0;
	mse_log("the enclave has shut the listening socket down; it is made anew");
	mse_close(mse_steal_fd(&shim->listener));
	return open_listener(shim, err);
}

static void on_restart(evutil_socket_t fd, short what, void *argument)
{
	struct shim *shim = argument;
	struct mse_error_info err;

	(void)fd;
	(void)what;
	if (mse_shim_inputs_check_again(shim->config, shim->inputs, &err) < 0 || keep_listening(shim, &err) < 0) {
		mse_log("%s", err.message);
		give_up(shim, err.message);
		return;
	}
	start_enclave(shim);
}

static void start_enclave(struct shim *shim)
{
	struct mse_error_info err;

	shim->status.metrics = (struct mse_shim_metrics){ .log_lost = shim->services.log_lost };
	mse_limits_boost(shim->limits);
	shim->storage_failure[0] = 0;
	if (mse_run_start(shim->run, shim->inputs, shim->network, mse_limits_group(shim->limits), shim->listener, &err) < 0) {
		mse_log("cannot start the enclave: %s", err.message);
		on_enclave_ended(shim, 0);
	} else if (!shim->status.provisioned && mse_storage_reserve(shim->storage, &err) < 0)
		fail_storage(shim, err.message);
}

/* ---- the beginning ---- */

static int make_timers(struct shim *shim, struct mse_error_info *err)
{
	const struct {
		struct event **timer;
		event_callback_fn callback;
	} timers[] = {
		{ &shim->restart_timer, on_restart }, { &shim->expiry_timer, on_expiry },
		{ &shim->publish_timer, on_publish }, { &shim->metrics_timer, on_metrics_timer },
	};
	const struct {
		struct event **event;
		int number;
		event_callback_fn callback;
	} signals[] = { { &shim->on_term, SIGTERM, on_signal }, { &shim->on_int, SIGINT, on_signal }, { &shim->on_child, SIGCHLD, on_child_signal } };

	for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
		if ((*timers[i].timer = evtimer_new(shim->base, timers[i].callback, shim)) == NULL)
			return mse_fail_nomem(err);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		*signals[i].event = evsignal_new(shim->base, signals[i].number, signals[i].callback, shim);
		if (*signals[i].event == NULL || evsignal_add(*signals[i].event, NULL) < 0)
			return mse_fail(err, MSE_ERR_INTERNAL, "cannot watch signals");
	}
	return 0;
}

static void on_offline(void *context, bool offline)
{
	struct shim *shim = context;

	shim->status.weaker = offline ? shim->status.weaker | MSE_WEAKER_OFFLINE : shim->status.weaker & ~(uint32_t)MSE_WEAKER_OFFLINE;
	publish(shim);
}

static const struct mse_storage_events storage_events = { .opened = on_storage_opened, .lost = on_storage_lost, .closed = on_storage_closed };

static int make_storage(struct shim *shim, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = shim->inputs->manifest;
	uint64_t quarter = manifest->memory / 4, memory = manifest->storage < quarter ? manifest->storage : quarter;
	const struct mse_storage_setting setting = { .base = shim->base, .host_root = shim->config->uid != 0, .uid = shim->config->uid,
		.gid = shim->config->gid, .size = manifest->storage, .memory_size = memory < MIN_HOME_SIZE ? MIN_HOME_SIZE : memory,
		.group = mse_limits_group(shim->limits), .events = &storage_events, .context = shim };

	return mse_storage_new(&setting, &shim->storage, err);
}

/* Everything that an enclave needs; a failure here is the app's reason. */
static int prepare(struct shim *shim, struct mse_error_info *err)
{
	const struct mse_shim_config *config = shim->config;
	const struct mse_manifest *manifest;
	int result;

	if ((result = mse_shim_inputs_check(config, &shim->inputs, err)) < 0)
		return result;
	manifest = shim->inputs->manifest;
	mse_hex_encode(shim->status.measurement, shim->inputs->measurement, MSE_SHA256_SIZE);
	if ((result = mse_limits_new(shim->base, config, manifest, &shim->limits, err)) < 0)
		return result;
	shim->status.weaker &= ~(uint32_t)(mse_limits_group(shim->limits) != NULL ? MSE_WEAKER_LIMITS : 0);
	/* Before the platform's keys are in memory. */
	if ((result = mse_network_new(shim->base, config, mse_limits_group(shim->limits), shim->host_root, manifest, on_offline, shim, &shim->network, err)) < 0)
		return result;
	if (shim->expires_at == 0 || manifest->expires_at < shim->expires_at)
		shim->expires_at = manifest->expires_at;
	memcpy(shim->services.measurement, shim->inputs->measurement, MSE_SHA256_SIZE);
	shim->services.security_version = (uint16_t)manifest->runtime_security_version;
	shim->services.sim_dir = config->sim_dir;
	if ((result = mse_sim_pki_load(config->sim_dir, &shim->platform, err)) < 0)
		return result;
	shim->services.platform = shim->platform;
	if ((result = mse_log_file_open(MSE_SHIM_LOG_FILE, config->log_size, &shim->services.log, err)) < 0 ||
	    (result = mse_health_new(shim->base, config->port, manifest->tls_names[0], manifest->healthcheck_endpoint, on_healthy, shim, &shim->health,
		     err)) < 0)
		return result;
	if ((result = make_storage(shim, err)) < 0)
		return result;
	return open_listener(shim, err);
}

static void begin(struct shim *shim, const struct mse_shim_status *last)
{
	struct mse_error_info err;

	mse_log("supervising instance %.12s at port %u", shim->config->instance_id, shim->config->port);
	mse_sandbox_kill_leftovers();
	shim->status.restarts = last->restarts;
	memcpy(shim->status.measurement, last->measurement, sizeof last->measurement);
	/* An app that was being stopped when the last shim ended is stopped, whatever that one had reached; and of an expired app
	 * nothing needs to be there any more. */
	if (last->state == MSE_SHIM_STOPPED) {
		end_app(shim, ENDING_STOPPED, last->reason);
		return;
	}
	if (shim->expires_at != 0 && shim->expires_at <= mse_time_now()) {
		end_app(shim, ENDING_STOPPED, MSE_SHIM_REASON_EXPIRED);
		return;
	}
	shim->status.provisioned = mse_path_exists(MSE_SHIM_SEALED_FILE);
	publish(shim);
	if (prepare(shim, &err) < 0) {
		mse_log("%s", err.message);
		give_up(shim, err.message);
	} else
		start_enclave(shim);
	if (shim->expires_at != 0)
		on_expiry(-1, 0, shim);
}

static void clear(struct shim *shim)
{
	struct event *const events[] = { shim->on_term, shim->on_int, shim->on_child, shim->restart_timer, shim->expiry_timer,
		shim->publish_timer, shim->metrics_timer };

	mse_health_free(shim->health);
	mse_run_free(shim->run);
	mse_network_free(shim->network);
	mse_limits_free(shim->limits);
	mse_storage_free(shim->storage);
	mse_control_server_free(shim->control);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		if (events[i] != NULL)
			event_free(events[i]);
	mse_close(shim->listener);
	mse_log_file_free(shim->services.log);
	mse_sim_platform_free(shim->platform);
	mse_shim_inputs_free(shim->inputs);
	if (shim->base != NULL)
		event_base_free(shim->base);
}

static const struct mse_run_events run_events = { .status = on_enclave_status, .metrics = on_metrics, .open_storage = on_open_storage,
	.ended = on_enclave_ended };

int mse_supervise(const struct mse_shim_config *config, bool host_root, struct mse_error_info *err)
{
	mse_cleanup(clear) struct shim shim = { .config = config, .host_root = host_root, .listener = -1, .expires_at = config->expires_at };
	struct mse_run_setting setting = { .config = config, .host_root = host_root, .services = &shim.services, .events = &run_events, .context = &shim };
	struct mse_shim_status last = { 0 };
	int result = mse_shim_status_read(".", config->instance_id, &last, err);

	if (result < 0 && result != MSE_ERR_NOT_FOUND)
		mse_log("the last status is not readable: %s", err->message);
	if (last.final) {
		mse_log("the app has been stopped, nothing is left to run");
		return 0;
	}
	shim.status.weaker = MSE_WEAKER_LIMITS | (host_root ? 0 : MSE_WEAKER_USER | MSE_WEAKER_HOME);
	mse_restarts_init(&shim.restarts, config->restart_failures, config->restart_seconds);
	memcpy(shim.status.instance_id, config->instance_id, sizeof shim.status.instance_id);
	mse_channel_services_init(&shim.services);
	shim.publish_allowance = mse_allowance_of(PUBLISH_BURST, PUBLISHED_PER_SECOND, mse_monotonic_ms());
	shim.complaint_allowance = mse_allowance_of(COMPLAINT_BURST, COMPLAINTS_PER_SECOND, mse_monotonic_ms());
	shim.base = event_base_new();
	if (shim.base == NULL)
		return mse_fail_nomem(err);
	setting.base = shim.base;
	if ((result = make_timers(&shim, err)) < 0 || (result = mse_run_new(&setting, &shim.run, err)) < 0 ||
	    (result = mse_control_server_new(shim.base, on_stop_command, &shim, &shim.control, err)) < 0)
		return result;
	begin(&shim, &last);
	/* begin() may have reached the end already. */
	if (!shim.done && event_base_dispatch(shim.base) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "the event loop failed");
	return 0;
}
