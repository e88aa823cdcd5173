#include "shim/limits.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "shim/boost.h"
#include "shim/timer.h"

#define MIB ((uint64_t)1024 * 1024)
/* bubblewrap is in the enclave's group too: its own process, and the enclave's before it is one. */
#define LOADER_TASKS 2u

struct mse_limits {
	struct mse_cgroups *groups;
	struct mse_cgroup *group;
	struct event *boost_timer;
	struct mse_boost boost;
	uint32_t cpu_millis;
	char reason[96];
};

static void set_cpu(struct mse_limits *limits, uint32_t cpu_millis)
{
	struct mse_error_info err;

	if (mse_cgroup_set_cpu(limits->group, cpu_millis, &err) < 0)
		mse_log("cannot change the app's CPU quota: %s", err.message);
}

void mse_limits_boost(struct mse_limits *limits)
{
	uint64_t ms;

	if (limits->group == NULL || limits->cpu_millis >= MSE_BOOST_CPU_MILLIS || (ms = mse_boost_begin(&limits->boost, mse_monotonic_ms())) == 0)
		return;
	/* Without the timer that ends it, it does not begin. */
	if (mse_timer_set(limits->boost_timer, ms) == 0)
		set_cpu(limits, MSE_BOOST_CPU_MILLIS);
}

void mse_limits_settle(struct mse_limits *limits)
{
	if (limits->group == NULL || limits->boost.begun_at == 0)
		return;
	event_del(limits->boost_timer);
	mse_boost_end(&limits->boost, mse_monotonic_ms());
	set_cpu(limits, limits->cpu_millis);
}

static void on_boost_timer(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	mse_limits_settle(argument);
}

static int make_group(struct mse_limits *limits, const struct mse_shim_config *config, const struct mse_manifest *manifest, struct mse_error_info *err)
{
	const struct mse_cgroup_limits wanted = { .memory = manifest->memory, .cpu_millis = limits->cpu_millis, .tasks = config->processes + LOADER_TASKS };
	int result = mse_cgroups_find("/proc/self", &limits->groups, err);

	if (result == MSE_ERR_UNSUPPORTED && config->insecure_unlimited) {
		mse_log("INSECURE: this app has no limits of memory, CPU and processes, as msed's configuration allows: %s", err->message);
		return 0;
	}
	if (result < 0 || (result = mse_cgroup_new(limits->groups, config->instance_id, &wanted, &limits->group, err)) < 0)
		return result;
	mse_log("limits: %" PRIu64 " MiB of memory, %" PRIu32 " thousandths of a CPU, %" PRIu32 " processes and threads, by %s", manifest->memory / MIB,
		limits->cpu_millis, config->processes, mse_cgroups_name(limits->groups));
	return 0;
}

int mse_limits_new(struct event_base *base, const struct mse_shim_config *config, const struct mse_manifest *manifest, struct mse_limits **ret_limits,
	struct mse_error_info *err)
{
	mse_cleanup(mse_limits_freep) struct mse_limits *limits = calloc(1, sizeof *limits);
	int result;

	if (limits == NULL)
		return mse_fail_nomem(err);
	if (manifest->cpu_millis > UINT32_MAX)
		return mse_fail(err, MSE_ERR_LIMIT, "the manifest asks for more CPU than any machine has");
	limits->cpu_millis = (uint32_t)manifest->cpu_millis;
	snprintf(limits->reason, sizeof limits->reason, "out of memory: the app used more than its %" PRIu64 " MiB", manifest->memory / MIB);
	mse_boost_init(&limits->boost, mse_monotonic_ms());
	limits->boost_timer = evtimer_new(base, on_boost_timer, limits);
	if (limits->boost_timer == NULL)
		return mse_fail_nomem(err);
	if ((result = make_group(limits, config, manifest, err)) < 0)
		return result;
	*ret_limits = mse_steal(limits);
	return 0;
}

void mse_limits_free(struct mse_limits *limits)
{
	if (limits == NULL)
		return;
	if (limits->boost_timer != NULL)
		event_free(limits->boost_timer);
	mse_cgroup_free(limits->group);
	mse_cgroups_free(limits->groups);
	free(limits);
}

struct mse_cgroup *mse_limits_group(const struct mse_limits *limits)
{
	return limits->group;
}

const char *mse_limits_exceeded(struct mse_limits *limits)
{
	struct mse_error_info err;
	bool was = false;

	if (limits->group != NULL && mse_cgroup_was_out_of_memory(limits->group, &was, &err) < 0)
		mse_log("cannot find out whether the app was out of memory: %s", err.message);
	return was ? limits->reason : NULL;
}
