#include "node/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/allowance.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "node/bundles.h"
#include "node/launch.h"
#include "shim/cgroup.h"
#include "tee/sim_pki.h"

#define TICK_MS 1000
/* How often a socket that is not there yet is tried. */
#define FIRST_RETRY_MS 15u
#define MAX_RETRY_MS 500u
/* A shim that has no socket after so long is started once more; after so many times in vain, ever more rarely. */
#define START_GRACE_MS 5000u
/* One that was there and went is missed sooner. */
#define RESTART_GRACE_MS 1000u
#define MAX_STARTS 5u
#define RARE_START_MS 60000u
/* Having lived so long, a shim's end is not a failure to start. */
#define LIVED_MS 10000u
/* What shims say and do is taken in at once, unless there is so much of it that it would keep the node from its work, or fill its
 * log: changes of status (each is a write to the database), and losses of the connection. */
#define STATUS_BURST 64
#define STATUSES_PER_SECOND 2
#define LOSS_COST 10
#define LOSS_BURST (10 * LOSS_COST)
#define LOSS_EARNED_PER_SECOND 1
#define AFTER_LOSSES_MS 10000u
/* How long a shim that says too much is not listened to. */
#define PAUSE_MS 500u
#define READS_PER_TURN 4
#define COMPLAINT_COST 30
#define COMPLAINT_BURST (3 * COMPLAINT_COST)
#define COMPLAINTS_EARNED_PER_SECOND 1
#define SWEEP_MS 60000u
#define PKI_MS 3600000u

struct watch {
	char id[MSE_INSTANCE_ID_TEXT_SIZE];
	char *app_dir;
	int64_t expires_at;
	int fd; /* of the shim's control socket; -1: not connected */
	struct mse_buffer *pending;
	struct mse_allowance statuses, losses, complaints;
	struct mse_shim_status latest; /* that was received, and not noted yet */
	bool has_latest;
	uint64_t paused_until; /* monotonic ms */
	uint64_t next_try; /* monotonic ms */
	uint64_t started_at; /* when a shim was started last; 0: never */
	unsigned retry_ms;
	unsigned starts;   /* since one lived for a while */
	bool answered;     /* the shim that was started last did */
	bool held;         /* somebody else stops it */
	bool marked;
	struct watch *next;
};

struct mse_supervisor {
	struct mse_node *node;
	pthread_t thread;
	bool thread_runs;
	bool ending;
	int wake_fd;
	pthread_mutex_t lock; /* of the watches */
	struct watch *watches;
	uint64_t next_sweep, next_pki;
};

static void watch_free(struct watch *watch)
{
	mse_close(watch->fd);
	mse_buffer_free(watch->pending);
	free(watch->app_dir);
	free(watch);
}

static struct watch *find_watch(struct mse_supervisor *supervisor, const char *id)
{
	for (struct watch *watch = supervisor->watches; watch != NULL; watch = watch->next)
		if (strcmp(watch->id, id) == 0)
			return watch;
	return NULL;
}

static int add_watch(struct mse_supervisor *supervisor, const char *id, struct watch **ret_watch, struct mse_error_info *err)
{
	struct watch *watch = calloc(1, sizeof *watch);
	int result;

	if (watch == NULL)
		return mse_fail_nomem(err);
	watch->fd = -1;
	watch->retry_ms = FIRST_RETRY_MS;
	watch->statuses = mse_allowance_of(STATUS_BURST, STATUSES_PER_SECOND, mse_monotonic_ms());
	watch->complaints = mse_allowance_of(COMPLAINT_BURST, COMPLAINTS_EARNED_PER_SECOND, mse_monotonic_ms());
	watch->losses = mse_allowance_of(LOSS_BURST, LOSS_EARNED_PER_SECOND, mse_monotonic_ms());
	watch->pending = mse_buffer_new(4 * MSE_SHIM_LINE_MAX_SIZE);
	snprintf(watch->id, sizeof watch->id, "%s", id);
	result = watch->pending == NULL ? mse_fail_nomem(err) : mse_node_app_dir(supervisor->node, id, &watch->app_dir, err);
	if (result < 0) {
		watch_free(watch);
		return result;
	}
	watch->next = supervisor->watches;
	supervisor->watches = watch;
	*ret_watch = watch;
	return 0;
}

static void report(const struct watch *watch, const char *what, const struct mse_error_info *err)
{
	mse_log("app %.12s: %s: %s", watch->id, what, err->message);
}

static void note_event(struct mse_supervisor *supervisor, const struct watch *watch, enum mse_event event, const char *detail)
{
	struct mse_error_info err;

	if (mse_store_event(supervisor->node->store, watch->id, event, detail, &err) < 0)
		report(watch, "cannot note an event", &err);
}

/* False when it is to be tried again. */
static bool note_status(struct mse_supervisor *supervisor, struct watch *watch, const struct mse_shim_status *status)
{
	struct mse_error_info err;

	int result = mse_store_status(supervisor->node->store, watch->id, status, &err);

	if (result == 0 || result == MSE_ERR_NOT_FOUND)
		return true;
	if (mse_allowance_take(&watch->complaints, COMPLAINT_COST, mse_monotonic_ms()))
		report(watch, "cannot note its status, and tries again", &err);
	return false;
}

/* What the node finds itself, when there is no shim to say it; the app may yet come back, so it is not final. */
static void note_trouble(struct mse_supervisor *supervisor, struct watch *watch, const char *reason)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	struct mse_shim_status status = { .state = MSE_SHIM_ON_ERROR };
	struct mse_error_info err;

	if (mse_store_find(supervisor->node->store, watch->id, &app, &err) < 0)
		return;
	status.provisioned = app->provisioned;
	status.restarts = app->restarts;
	snprintf(status.reason, sizeof status.reason, "%s", reason);
	note_status(supervisor, watch, &status);
}

/* True when there is nothing left to start. */
static bool has_ended(struct mse_supervisor *supervisor, struct watch *watch)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	struct mse_error_info err;
	struct mse_shim_status status;

	if (mse_shim_status_read(watch->app_dir, watch->id, &status, &err) == 0 && status.final) {
		note_status(supervisor, watch, &status);
		return true;
	}
	if (watch->expires_at > mse_time_now())
		return false;
	/* Expired while no shim was there to see it. */
	if (mse_store_find(supervisor->node->store, watch->id, &app, &err) == 0 &&
	    mse_app_bury(supervisor->node, app, MSE_SHIM_REASON_EXPIRED, &err) < 0) {
		report(watch, "cannot stop it although it has expired", &err);
		return false;
	}
	return true;
}

/* False when that has happened too often of late to be worth a line. */
static bool disconnect(struct watch *watch)
{
	uint64_t now = mse_monotonic_ms();
	bool rare = mse_allowance_take(&watch->losses, LOSS_COST, now);

	if (watch->started_at == 0 || now - watch->started_at > LIVED_MS)
		watch->starts = 0;
	mse_close(watch->fd);
	watch->fd = -1;
	watch->next_try = rare ? 0 : now + AFTER_LOSSES_MS;
	watch->retry_ms = FIRST_RETRY_MS;
	mse_buffer_clear(watch->pending);
	return rare;
}

/* What a shim that keeps to the protocol would not have said. */
static void reject(struct mse_supervisor *supervisor, struct watch *watch, const char *what, const struct mse_error_info *err)
{
	if (!disconnect(watch))
		return;
	report(watch, what, err);
	if (err->code == MSE_ERR_DENIED)
		note_trouble(supervisor, watch, MSE_REASON_FOREIGN_SUPERVISOR);
}

static void note_latest(struct mse_supervisor *supervisor, struct watch *watch)
{
	/* The end is noted whatever came before it: nothing comes after it. */
	if (!watch->has_latest || (!watch->latest.final && !mse_allowance_take(&watch->statuses, 1, mse_monotonic_ms())))
		return;
	watch->has_latest = !note_status(supervisor, watch, &watch->latest);
}

/* Takes whole lines from the front of what was received. */
static void take_lines(struct mse_supervisor *supervisor, struct watch *watch)
{
	const char *text, *end;

	while (watch->fd >= 0 && (end = memchr(text = mse_buffer_text(watch->pending), '\n', mse_buffer_size(watch->pending))) != NULL) {
		struct mse_shim_status status;
		struct mse_error_info err;

		if (mse_shim_status_parse(text, (size_t)(end - text), &status, &err) < 0 || mse_shim_status_check(&status, watch->id, &err) < 0) {
			reject(supervisor, watch, "its shim talks nonsense", &err);
			return;
		}
		mse_buffer_consume(watch->pending, (size_t)(end - text) + 1);
		watch->answered = true;
		watch->latest = status;
		watch->has_latest = true;
		note_latest(supervisor, watch);
	}
	if (watch->has_latest)
		watch->paused_until = mse_monotonic_ms() + PAUSE_MS;
}

/* Takes in what the shim has sent; a shim that is gone, or talks nonsense, is disconnected. */
static void listen_to(struct mse_supervisor *supervisor, struct watch *watch)
{
	struct mse_error_info err;
	uint8_t *room;
	ssize_t got = 1;

	for (unsigned i = 0; i < READS_PER_TURN && watch->fd >= 0 && got > 0 && mse_monotonic_ms() >= watch->paused_until; i++) {
		if (mse_buffer_reserve(watch->pending, MSE_SHIM_LINE_MAX_SIZE, &room, &err) < 0) {
			reject(supervisor, watch, "its shim talks too much", &err);
			return;
		}
		got = recv(watch->fd, room, MSE_SHIM_LINE_MAX_SIZE, MSG_DONTWAIT);
		if (got > 0) {
			mse_buffer_commit(watch->pending, (size_t)got);
			take_lines(supervisor, watch);
		}
	}
	if (watch->fd >= 0 && (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) && disconnect(watch) && !watch->held &&
	    !has_ended(supervisor, watch)) {
		note_event(supervisor, watch, MSE_EVENT_SUPERVISOR_LOST, "");
		mse_log("app %.12s: its shim is gone", watch->id);
	}
}

static bool try_connect(struct mse_supervisor *supervisor, struct watch *watch)
{
	struct mse_error_info err;

	if (mse_shim_connect(watch->app_dir, &watch->fd, &err) < 0) {
		watch->fd = -1;
		if (err.code == MSE_ERR_DENIED)
			report(watch, "its shim is not there", &err);
		return false;
	}
	listen_to(supervisor, watch);
	return true;
}

static void start_shim(struct mse_supervisor *supervisor, struct watch *watch, uint64_t now)
{
	struct mse_error_info err;

	watch->next_try = now + TICK_MS;
	if (!mse_path_exists(watch->app_dir)) {
		note_trouble(supervisor, watch, MSE_REASON_FOLDER_MISSING);
		return;
	}
	if (watch->starts >= MAX_STARTS)
		note_trouble(supervisor, watch, MSE_REASON_SUPERVISOR_FAILS);
	watch->starts += watch->starts < UINT32_MAX;
	watch->started_at = now;
	watch->answered = false;
	watch->retry_ms = FIRST_RETRY_MS;
	if (mse_shim_start(supervisor->node->runtime, watch->app_dir, &err) < 0) {
		report(watch, "cannot start its shim", &err);
		return;
	}
	watch->next_try = now + watch->retry_ms;
	note_event(supervisor, watch, MSE_EVENT_SUPERVISOR_STARTED, "");
}

static void attend(struct mse_supervisor *supervisor, struct watch *watch, uint64_t now)
{
	uint64_t patience = watch->starts > MAX_STARTS ? RARE_START_MS : watch->answered ? RESTART_GRACE_MS : START_GRACE_MS;

	if (watch->held || watch->fd >= 0 || now < watch->next_try)
		return;
	if (try_connect(supervisor, watch))
		return;
	if (watch->started_at != 0 && now - watch->started_at < patience) {
		watch->retry_ms = watch->retry_ms * 2 > MAX_RETRY_MS ? MAX_RETRY_MS : watch->retry_ms * 2;
		watch->next_try = now + watch->retry_ms;
		/* It may have failed at once, and said why. */
		if (watch->retry_ms == MAX_RETRY_MS)
			has_ended(supervisor, watch);
		return;
	}
	if (has_ended(supervisor, watch)) {
		watch->next_try = now + TICK_MS;
		return;
	}
	start_shim(supervisor, watch, now);
}

static int mark_app(void *context, const struct mse_app *app, struct mse_error_info *err)
{
	struct mse_supervisor *supervisor = context;
	struct watch *watch = find_watch(supervisor, app->id);
	int result;

	if (app->stopped_at != 0)
		return 0;
	if (watch == NULL && (result = add_watch(supervisor, app->id, &watch, err)) < 0)
		return result;
	watch->expires_at = app->expires_at;
	watch->marked = true;
	return 0;
}

/* Makes the watches those of the apps that are not stopped. */
static void refresh(struct mse_supervisor *supervisor)
{
	struct mse_error_info err;

	for (struct watch *watch = supervisor->watches; watch != NULL; watch = watch->next)
		watch->marked = watch->held;
	if (mse_store_each(supervisor->node->store, NULL, NULL, mark_app, supervisor, &err) < 0) {
		mse_log("cannot list the apps: %s", err.message);
		return;
	}
	for (struct watch **link = &supervisor->watches; *link != NULL;) {
		struct watch *watch = *link;

		if (watch->marked) {
			link = &watch->next;
		} else {
			*link = watch->next;
			watch_free(watch);
		}
	}
}

static int sweep_app(void *context, const struct mse_app *app, struct mse_error_info *err)
{
	struct mse_supervisor *supervisor = context;
	mse_autofree char *app_dir = NULL;
	int result;

	if (app->stopped_at == 0 || app->stopped_at + MSE_STOPPED_KEPT_SECONDS > mse_time_now())
		return 0;
	if ((result = mse_node_app_dir(supervisor->node, app->id, &app_dir, err)) < 0 ||
	    (result = mse_store_forget(supervisor->node->store, app->id, false, err)) < 0)
		return result;
	mse_log("app %.12s: stopped four days ago, its log is removed", app->id);
	return mse_tree_remove(app_dir, err);
}

static void keep_house(struct mse_supervisor *supervisor, uint64_t now)
{
	struct mse_error_info err;

	if (now >= supervisor->next_sweep) {
		supervisor->next_sweep = now + SWEEP_MS;
		if (mse_store_keep_reserve(supervisor->node->store, &err) < 0)
			mse_log("%s", err.message);
		if (mse_store_each(supervisor->node->store, NULL, NULL, sweep_app, supervisor, &err) < 0 ||
		    mse_bundles_sweep(supervisor->node->bundles, false, &err) < 0 ||
		    (supervisor->node->groups != NULL && mse_cgroups_sweep(supervisor->node->groups, &err) < 0))
			mse_log("cannot clear away what is old: %s", err.message);
	}
	if (now >= supervisor->next_pki) {
		supervisor->next_pki = now + PKI_MS;
		if (mse_sim_pki_ensure(supervisor->node->sim, mse_time_now(), NULL, &err) < 0)
			mse_log("cannot renew the simulated platform's collateral: %s", err.message);
	}
}

static void attend_all(struct mse_supervisor *supervisor)
{
	pthread_mutex_lock(&supervisor->lock);
	refresh(supervisor);
	for (struct watch *watch = supervisor->watches; watch != NULL; watch = watch->next) {
		note_latest(supervisor, watch);
		attend(supervisor, watch, mse_monotonic_ms());
	}
	pthread_mutex_unlock(&supervisor->lock);
}

/* The descriptors to wait for; *ret_timeout: until some watch wants to be attended. NULL when memory is out. */
static struct pollfd *collect(struct mse_supervisor *supervisor, size_t *ret_count, int *ret_timeout)
{
	uint64_t now = mse_monotonic_ms(), wait = TICK_MS;
	struct pollfd *fds;
	size_t count = 1;

	pthread_mutex_lock(&supervisor->lock);
	for (struct watch *watch = supervisor->watches; watch != NULL; watch = watch->next)
		count++;
	fds = calloc(count, sizeof *fds);
	if (fds != NULL)
		fds[0] = (struct pollfd){ .fd = supervisor->wake_fd, .events = POLLIN };
	count = 1;
	for (struct watch *watch = supervisor->watches; fds != NULL && watch != NULL; watch = watch->next) {
		uint64_t left = watch->next_try > now ? watch->next_try - now : 0;

		if (watch->fd >= 0 && watch->paused_until > now)
			wait = wait < PAUSE_MS ? wait : PAUSE_MS;
		else if (watch->fd >= 0)
			fds[count++] = (struct pollfd){ .fd = watch->fd, .events = POLLIN };
		else if (!watch->held && left < wait)
			wait = left;
	}
	pthread_mutex_unlock(&supervisor->lock);
	*ret_count = count;
	*ret_timeout = (int)wait;
	return fds;
}

static void take_in(struct mse_supervisor *supervisor, const struct pollfd *fds, size_t count)
{
	uint64_t ignored;

	if (fds[0].revents != 0 && read(supervisor->wake_fd, &ignored, sizeof ignored) < 0 && errno != EAGAIN)
		mse_log("cannot read the supervisor's own descriptor: %m");
	pthread_mutex_lock(&supervisor->lock);
	for (size_t i = 1; i < count; i++)
		for (struct watch *watch = supervisor->watches; fds[i].revents != 0 && watch != NULL; watch = watch->next)
			if (watch->fd == fds[i].fd) {
				listen_to(supervisor, watch);
				break;
			}
	pthread_mutex_unlock(&supervisor->lock);
}

static void *run(void *context)
{
	struct mse_supervisor *supervisor = context;

	while (!__atomic_load_n(&supervisor->ending, __ATOMIC_ACQUIRE)) {
		size_t count;
		int timeout;
		mse_autofree struct pollfd *fds = collect(supervisor, &count, &timeout);

		if (fds == NULL)
			poll(NULL, 0, TICK_MS);
		else if (poll(fds, count, timeout) > 0)
			take_in(supervisor, fds, count);
		attend_all(supervisor);
		keep_house(supervisor, mse_monotonic_ms());
	}
	return NULL;
}

int mse_supervisor_start(struct mse_node *node, struct mse_error_info *err)
{
	struct mse_supervisor *supervisor = calloc(1, sizeof *supervisor);

	if (supervisor == NULL)
		return mse_fail_nomem(err);
	supervisor->node = node;
	pthread_mutex_init(&supervisor->lock, NULL);
	node->supervisor = supervisor;
	supervisor->next_pki = mse_monotonic_ms() + PKI_MS;
	supervisor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (supervisor->wake_fd < 0)
		return mse_fail_errno(err, "cannot make the supervisor's descriptor");
	attend_all(supervisor);
	errno = pthread_create(&supervisor->thread, NULL, run, supervisor);
	if (errno != 0)
		return mse_fail_errno(err, "cannot start the supervisor's thread");
	supervisor->thread_runs = true;
	return 0;
}

void mse_supervisor_free(struct mse_supervisor *supervisor)
{
	if (supervisor == NULL)
		return;
	__atomic_store_n(&supervisor->ending, true, __ATOMIC_RELEASE);
	if (supervisor->thread_runs) {
		mse_supervisor_wake(supervisor);
		pthread_join(supervisor->thread, NULL);
	}
	for (struct watch *watch = supervisor->watches, *next; watch != NULL; watch = next) {
		next = watch->next;
		watch_free(watch);
	}
	mse_close(supervisor->wake_fd);
	pthread_mutex_destroy(&supervisor->lock);
	free(supervisor);
}

void mse_supervisor_wake(struct mse_supervisor *supervisor)
{
	const uint64_t one = 1;

	/* EAGAIN, the only failure of a valid one, means that it is awake already. */
	if (supervisor != NULL && write(supervisor->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		mse_log("cannot wake the supervisor: %m");
}

int mse_supervisor_hold(struct mse_supervisor *supervisor, const char *id, struct mse_error_info *err)
{
	struct watch *watch;
	int result = 0;

	pthread_mutex_lock(&supervisor->lock);
	watch = find_watch(supervisor, id);
	if (watch == NULL)
		result = add_watch(supervisor, id, &watch, err);
	if (result == 0)
		watch->held = true;
	pthread_mutex_unlock(&supervisor->lock);
	return result;
}

void mse_supervisor_release(struct mse_supervisor *supervisor, const char *id)
{
	struct watch *watch;

	pthread_mutex_lock(&supervisor->lock);
	watch = find_watch(supervisor, id);
	if (watch != NULL)
		watch->held = false;
	pthread_mutex_unlock(&supervisor->lock);
	mse_supervisor_wake(supervisor);
}
