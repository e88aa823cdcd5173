#include "shim/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "shim/network_place.h"
#include "shim/network_rules.h"
#include "shim/program.h"
#include "shim/timer.h"

#define SET_UP_MS 10000u
#define FIRST_RETRY_MS 100u
#define LAST_RETRY_MS 10000u
/* One that has lived so long has not failed to start. */
#define STABLE_MS 10000u
/* Addresses of the node seldom change alone. */
#define ADDRESSES_SETTLE_MS 100u
/* Of /etc/hosts in the sandbox, which is in memory. */
#define MAX_HOSTS_SIZE ((size_t)256 * 1024)
#define SETTLE_MS 1000u
#define LAST_WORDS_SIZE 400
/* The log is not filled by one that fails for ever. */
#define MAX_COMPLAINTS 4u
#define MAX_READS 128u
#define MAX_RESOLVER_ARGUMENTS 320

/* A program that runs as long as the network does, and is started again when it ends. */
struct worker {
	struct mse_network *network;
	const char *what;
	int (*start)(struct worker *worker, struct mse_error_info *err);
	pid_t pid; /* 0: none */
	int messages;
	struct event *on_messages;
	struct event *timer; /* none runs: to start it again; one runs: it has to be ready by then, or is */
	char last_words[LAST_WORDS_SIZE];
	size_t last_words_size;
	uint64_t started_at;
	unsigned failures; /* in a row */
	bool ready;
	bool is_silent; /* says nothing when it is ready: it is when it has not ended soon */
};

struct mse_network {
	struct event_base *base;
	const struct mse_shim_config *config;
	const struct mse_manifest *manifest;
	mse_network_on_offline *on_offline;
	void *context;
	struct mse_network_place place;
	bool ipv6;
	bool offline;
	struct mse_buffer *hosts;
	struct worker tap, resolver;
	int ready;  /* slirp4netns says here that it is */
	int living; /* it ends when nobody holds this */
	struct event *on_ready;
	struct event *on_child;
	int addresses; /* where the kernel tells of changes */
	struct event *on_addresses;
	struct event *addresses_timer;
};

static void set_offline(struct mse_network *network, bool offline)
{
	if (network->offline == offline)
		return;
	network->offline = offline;
	mse_log("%s", offline ? "outgoing connections are closed" : "outgoing connections are open as the manifest says");
	network->on_offline(network->context, offline);
}

/* ---- short programs ---- */

static int run_ip(struct mse_network *network, int (*place)(void *, struct mse_error_info *), const char *links, struct mse_error_info *err)
{
	static const char *const argv[] = { MSE_IP, "-batch", "-", NULL };
	const struct mse_program program = { .argv = argv, .what = "ip", .input = links, .input_size = strlen(links), .fds = { network->place.gateway },
		.fd_count = 1, .enter = place, .context = &network->place, .messages = -1 };

	return mse_program_run(&program, SET_UP_MS, err);
}

/* Rules can be longer than a pipe holds. */
static int run_nft(struct mse_network *network, const struct mse_buffer *rules, struct mse_error_info *err)
{
	static const char *const argv[] = { MSE_NFT, "-f", "/proc/self/fd/3", NULL };
	struct mse_program program = { .argv = argv, .what = "nft", .fd_count = 1, .enter = mse_network_enter_gateway, .context = &network->place,
		.messages = -1 };
	mse_autoclose int fd = memfd_create("rules", MFD_CLOEXEC);
	int result;

	if (fd < 0)
		return mse_fail_errno(err, "cannot hand over rules");
	if ((result = mse_fd_write(fd, mse_buffer_data(rules), mse_buffer_size(rules), err)) < 0)
		return result;
	program.fds[0] = fd;
	return mse_program_run(&program, SET_UP_MS, err);
}

/* ---- the node's own addresses ---- */

/* The addresses behind which the node's own services listen, whatever its firewall keeps from others. */
static int node_addresses(struct mse_prefix to[static MSE_NETWORK_MAX_NODE_ADDRESSES], size_t *ret_count, struct mse_error_info *err)
{
	struct ifaddrs *all;

	*ret_count = 0;
	if (getifaddrs(&all) < 0)
		return mse_fail_errno(err, "cannot list the node's addresses");
	for (const struct ifaddrs *at = all; at != NULL && *ret_count < MSE_NETWORK_MAX_NODE_ADDRESSES; at = at->ifa_next) {
		struct mse_prefix *prefix = &to[*ret_count];

		if (at->ifa_addr != NULL && at->ifa_addr->sa_family == AF_INET) {
			*prefix = (struct mse_prefix){ .family = MSE_ADDRESS_IPV4, .length = 32 };
			memcpy(prefix->address, &((const struct sockaddr_in *)at->ifa_addr)->sin_addr, 4);
			++*ret_count;
		} else if (at->ifa_addr != NULL && at->ifa_addr->sa_family == AF_INET6) {
			*prefix = (struct mse_prefix){ .family = MSE_ADDRESS_IPV6, .length = 128 };
			memcpy(prefix->address, &((const struct sockaddr_in6 *)at->ifa_addr)->sin6_addr, 16);
			++*ret_count;
		}
	}
	freeifaddrs(all);
	return 0;
}

static int renew_addresses(struct mse_network *network, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *rules = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);
	struct mse_prefix addresses[MSE_NETWORK_MAX_NODE_ADDRESSES];
	size_t count;
	int result;

	if (rules == NULL)
		return mse_fail_nomem(err);
	if ((result = node_addresses(addresses, &count, err)) < 0 || (result = mse_network_node_rules(addresses, count, rules, err)) < 0)
		return result;
	return run_nft(network, rules, err);
}

static void on_addresses_settled(evutil_socket_t fd, short what, void *argument)
{
	struct mse_error_info err;

	(void)fd;
	(void)what;
	if (renew_addresses(argument, &err) < 0)
		mse_log("the node's new addresses are not closed to the app: %s", err.message);
}

static void on_addresses(evutil_socket_t fd, short what, void *argument)
{
	struct mse_network *network = argument;
	char ignored[8192];

	(void)what;
	while (recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) > 0)
		;
	mse_timer_set(network->addresses_timer, ADDRESSES_SETTLE_MS);
}

static int watch_addresses(struct mse_network *network, struct mse_error_info *err)
{
	const struct sockaddr_nl changes = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };

	network->addresses = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (network->addresses < 0 || bind(network->addresses, (const struct sockaddr *)&changes, sizeof changes) < 0)
		return mse_fail_errno(err, "cannot watch the node's addresses");
	network->addresses_timer = evtimer_new(network->base, on_addresses_settled, network);
	network->on_addresses = event_new(network->base, network->addresses, EV_READ | EV_PERSIST, on_addresses, network);
	if (network->addresses_timer == NULL || network->on_addresses == NULL || event_add(network->on_addresses, NULL) < 0)
		return mse_fail_nomem(err);
	return 0;
}

/* ---- workers ---- */

/* Only what is said last counts, as the reason of an end: what they say while they run may be an app's doing, and has no end. */
static void read_messages(struct worker *worker)
{
	char text[512];
	ssize_t got = 0;

	for (unsigned i = 0; i < MAX_READS && (got = read(worker->messages, text, sizeof text)) > 0; i++) {
		size_t size = (size_t)got < sizeof worker->last_words - 1 ? (size_t)got : sizeof worker->last_words - 1;
		size_t kept = worker->last_words_size + size < sizeof worker->last_words ? worker->last_words_size : sizeof worker->last_words - 1 - size;

		memmove(worker->last_words, worker->last_words + worker->last_words_size - kept, kept);
		for (size_t at = 0; at < size; at++) {
			char c = text[(size_t)got - size + at];

			worker->last_words[kept + at] = c < 0x20 || c > 0x7e ? ' ' : c;
		}
		worker->last_words_size = kept + size;
		worker->last_words[worker->last_words_size] = 0;
	}
	/* Nobody holds the other end any more. */
	if (got == 0 && worker->on_messages != NULL)
		event_del(worker->on_messages);
}

static void on_messages(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	read_messages(argument);
}

static void forget_messages(struct worker *worker)
{
	if (worker->on_messages != NULL)
		event_free(mse_steal(worker->on_messages));
	mse_close(mse_steal_fd(&worker->messages));
}

static int start_program(struct worker *worker, struct mse_program *program, struct mse_error_info *err)
{
	mse_autoclose int theirs = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	worker->messages = ends[0];
	theirs = ends[1];
	worker->last_words_size = 0;
	worker->last_words[0] = 0;
	if (evutil_make_socket_nonblocking(worker->messages) < 0 ||
	    (worker->on_messages = event_new(worker->network->base, worker->messages, EV_READ | EV_PERSIST, on_messages, worker)) == NULL ||
	    event_add(worker->on_messages, NULL) < 0)
		return mse_fail_nomem(err);
	program->messages = theirs;
	return mse_program_start(program, &worker->pid, err);
}

static void start_later(struct worker *worker)
{
	uint64_t wait = FIRST_RETRY_MS << (worker->failures < 8 ? worker->failures : 8);

	worker->failures++;
	worker->ready = false;
	mse_timer_set(worker->timer, wait < LAST_RETRY_MS ? wait : LAST_RETRY_MS);
	set_offline(worker->network, true);
}

static void start_worker(struct worker *worker)
{
	struct mse_error_info err;

	worker->started_at = mse_monotonic_ms();
	if (worker->start(worker, &err) == 0)
		return;
	if (worker->failures < MAX_COMPLAINTS)
		mse_log("cannot start %s: %s", worker->what, err.message);
	forget_messages(worker);
	start_later(worker);
}

static void set_ready(struct worker *worker)
{
	const struct mse_network *network = worker->network;

	worker->ready = true;
	event_del(worker->timer);
	if (network->tap.ready && (network->resolver.start == NULL || network->resolver.ready))
		set_offline(worker->network, false);
}

static void on_worker_timer(evutil_socket_t fd, short what, void *argument)
{
	struct worker *worker = argument;

	(void)fd;
	(void)what;
	if (worker->pid == 0)
		start_worker(worker);
	else if (worker->is_silent)
		set_ready(worker);
	else if (kill(worker->pid, SIGKILL) == 0)
		mse_log("%s is not ready in time, and is killed", worker->what);
}

static void worker_ended(struct worker *worker, int status)
{
	read_messages(worker);
	if (WIFSIGNALED(status) && worker->failures < MAX_COMPLAINTS)
		mse_log("%s has ended with signal %d", worker->what, WTERMSIG(status));
	else if (worker->failures < MAX_COMPLAINTS)
		mse_log("%s has ended with exit status %d: %s", worker->what, WEXITSTATUS(status), worker->last_words);
	worker->pid = 0;
	forget_messages(worker);
	if (mse_monotonic_ms() - worker->started_at > STABLE_MS)
		worker->failures = 0;
	start_later(worker);
}

static void reap(struct worker *worker)
{
	int status;

	if (worker->pid > 0 && waitpid(worker->pid, &status, WNOHANG) == worker->pid)
		worker_ended(worker, status);
}

static void on_child(evutil_socket_t fd, short what, void *argument)
{
	struct mse_network *network = argument;

	(void)fd;
	(void)what;
	reap(&network->tap);
	reap(&network->resolver);
}

static void clear_worker(struct worker *worker)
{
	if (worker->pid > 0 && kill(worker->pid, SIGKILL) == 0)
		while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
			;
	forget_messages(worker);
	if (worker->timer != NULL)
		event_free(mse_steal(worker->timer));
}

/* ---- dnsmasq ---- */

/* In a sandbox of its own, since it reads what strangers answer: it sees no file but its own, and can do nothing but set up the
 * gateway's network. */
static int start_resolver(struct worker *worker, struct mse_error_info *err)
{
	static const char *const sandbox[] = { MSE_BWRAP, "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--dev",
		"/dev", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--cap-add",
		"CAP_NET_ADMIN", "--cap-add", "CAP_NET_BIND_SERVICE", "--", MSE_DNSMASQ };
	struct mse_network *network = worker->network;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *arguments = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);
	const char *argv[MAX_RESOLVER_ARGUMENTS + 1] = { 0 };
	struct mse_program program = { .argv = argv, .what = worker->what, .enter = mse_network_enter_gateway, .context = &network->place };
	size_t count = sizeof sandbox / sizeof sandbox[0];
	int result;

	if (arguments == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_network_resolver_arguments(network->manifest, arguments, err)) < 0)
		return result;
	memcpy(argv, sandbox, sizeof sandbox);
	for (size_t at = 0; at < mse_buffer_size(arguments); at += strlen(argv[count++]) + 1) {
		if (count == MAX_RESOLVER_ARGUMENTS)
			return mse_fail(err, MSE_ERR_INTERNAL, "too many arguments for %s", worker->what);
		argv[count] = mse_buffer_text(arguments) + at;
	}
	if ((result = start_program(worker, &program, err)) == 0)
		mse_timer_set(worker->timer, SETTLE_MS);
	return result;
}

/* ---- slirp4netns ---- */

static void on_ready(evutil_socket_t fd, short what, void *argument)
{
	struct mse_network *network = argument;
	struct mse_error_info err;
	char byte;
	bool said = read(fd, &byte, 1) == 1;

	(void)what;
	event_free(mse_steal(network->on_ready));
	mse_close(mse_steal_fd(&network->ready));
	/* Its end is told by the kernel. */
	if (!said)
		return;
	if (run_ip(network, mse_network_enter_gateway, mse_network_tap_links(network->ipv6), &err) < 0) {
		mse_log("the gateway cannot be set up: %s", err.message);
		kill(network->tap.pid, SIGKILL);
		return;
	}
	set_ready(&network->tap);
	if (network->resolver.start != NULL && network->resolver.pid == 0)
		start_worker(&network->resolver);
}

static void forget_tap(struct mse_network *network)
{
	if (network->on_ready != NULL)
		event_free(mse_steal(network->on_ready));
	mse_close(mse_steal_fd(&network->ready));
	mse_close(mse_steal_fd(&network->living));
}

static int start_tap(struct worker *worker, struct mse_error_info *err)
{
	struct mse_network *network = worker->network;
	const char *argv[16] = { MSE_SLIRP4NETNS, "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp", "--mtu=65520", "--cidr=" MSE_NETWORK_CIDR,
		"--netns-type=path", "--ready-fd=4", "--exit-fd=5" };
	size_t count = 9;
	struct mse_program program = { .argv = argv, .what = worker->what, .fd_count = 3, .enter = mse_network_enter_node, .context = &network->place };
	mse_autoclose int ready = -1;
	mse_autoclose int dying = -1;
	int ends[2], result;

	if (network->ipv6)
		argv[count++] = "--enable-ipv6";
	argv[count++] = "/proc/self/fd/3";
	argv[count] = MSE_NETWORK_TAP;
	forget_tap(network);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	network->ready = ends[0];
	ready = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return mse_fail_errno(err, "cannot make a pipe");
	dying = ends[0];
	network->living = ends[1];
	network->on_ready = event_new(network->base, network->ready, EV_READ, on_ready, network);
	if (network->on_ready == NULL || event_add(network->on_ready, NULL) < 0)
		return mse_fail_nomem(err);
	program.fds[0] = network->place.gateway;
	program.fds[1] = ready;
	program.fds[2] = dying;
	if ((result = start_program(worker, &program, err)) == 0)
		mse_timer_set(worker->timer, SET_UP_MS);
	return result;
}

/* ---- the whole ---- */

static int read_hosts_file(char **ret_text, struct mse_error_info *err)
{
	struct mse_error_info ignored;
	uint8_t *bytes;
	size_t size;

	/* A node without the file, or with one beyond reason, knows no names of its own. */
	if (mse_file_read("/etc/hosts", MSE_NETWORK_HOSTS_MAX_SIZE, &bytes, &size, &ignored) < 0)
		return mse_strdup("", ret_text, err);
	*ret_text = (char *)bytes;
	return 0;
}

static int make_events(struct mse_network *network, struct mse_error_info *err)
{
	struct worker *const workers[] = { &network->tap, &network->resolver };

	for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
		if ((workers[i]->timer = evtimer_new(network->base, on_worker_timer, workers[i])) == NULL)
			return mse_fail_nomem(err);
	network->on_child = evsignal_new(network->base, SIGCHLD, on_child, network);
	if (network->on_child == NULL || evsignal_add(network->on_child, NULL) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot watch for ended programs");
	return 0;
}

/* The rules stand before there is a link that they could rule. */
static int open_network(struct mse_network *network, struct mse_network_plan *plan, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *rules = mse_buffer_new(MSE_NETWORK_RULES_MAX_SIZE);
	struct mse_prefix addresses[MSE_NETWORK_MAX_NODE_ADDRESSES];
	int result;

	if (rules == NULL)
		return mse_fail_nomem(err);
	plan->node = addresses;
	if ((result = make_events(network, err)) < 0 || (result = watch_addresses(network, err)) < 0 ||
	    (result = node_addresses(addresses, &plan->node_count, err)) < 0 || (result = mse_network_rules(plan, rules, err)) < 0 ||
	    (result = mse_network_place_make(&network->place, err)) < 0)
		return result;
	/* It needs the most time; what it opens leads nowhere before on_ready(). */
	start_worker(&network->tap);
	if ((result = run_nft(network, rules, err)) < 0 || (result = run_ip(network, mse_network_enter_app, mse_network_app_links(network->ipv6), err)) < 0)
		return result;
	return run_ip(network, mse_network_enter_forwarding_gateway, mse_network_gateway_links(network->ipv6), err);
}

static void close_network(struct mse_network *network)
{
	struct event **events[] = { &network->on_child, &network->on_addresses, &network->addresses_timer };

	clear_worker(&network->resolver);
	clear_worker(&network->tap);
	forget_tap(network);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		if (*events[i] != NULL)
			event_free(mse_steal(*events[i]));
	mse_close(mse_steal_fd(&network->addresses));
	mse_network_place_clear(&network->place);
}

int mse_network_new(struct event_base *base, const struct mse_shim_config *config, struct mse_cgroup *group, bool host_root,
	const struct mse_manifest *manifest, mse_network_on_offline *on_offline, void *context, struct mse_network **ret_network, struct mse_error_info *err)
{
	mse_cleanup(mse_network_freep) struct mse_network *network = calloc(1, sizeof *network);
	struct mse_network_plan plan = { .manifest = manifest, .denied = config->denied, .denied_count = config->denied_count };
	mse_autofree char *hosts = NULL;
	struct mse_error_info why;
	int result;

	if (network == NULL)
		return mse_fail_nomem(err);
	*network = (struct mse_network){ .base = base, .config = config, .manifest = manifest, .on_offline = on_offline, .context = context, .ready = -1,
		.living = -1, .addresses = -1, .place = MSE_NETWORK_NO_PLACE,
		.tap = { .network = network, .what = "slirp4netns", .start = start_tap, .messages = -1 },
		.resolver = { .is_silent = true, .network = network, .what = "dnsmasq", .start = mse_network_needs_resolver(manifest) ? start_resolver : NULL, .messages = -1 } };
	network->place.group = group;
	network->place.host_root = host_root;
	network->place.uid = config->uid;
	network->place.gid = config->gid;
	network->ipv6 = mse_path_exists("/proc/net/if_inet6");
	network->hosts = mse_buffer_new(MAX_HOSTS_SIZE);
	if (network->hosts == NULL)
		return mse_fail_nomem(err);
	if ((result = read_hosts_file(&hosts, err)) < 0)
		return result;
	plan.hosts = hosts;
	if (mse_network_hosts(&plan, network->hosts, &why) < 0)
		mse_log("not every entry of the node's hosts file is known to the app: %s", why.message);
	if (manifest->egress != MSE_EGRESS_NONE && open_network(network, &plan, &why) < 0) {
		mse_log("the app is given no network: %s", why.message);
		close_network(network);
		set_offline(network, true);
	}
	*ret_network = mse_steal(network);
	return 0;
}

void mse_network_free(struct mse_network *network)
{
	if (network == NULL)
		return;
	close_network(network);
	mse_buffer_free(network->hosts);
	free(network);
}

int mse_network_namespace(const struct mse_network *network)
{
	return network->place.app;
}

const char *mse_network_resolv_conf_text(const struct mse_network *network)
{
	return mse_network_resolv_conf(network->manifest);
}

const char *mse_network_hosts_text(const struct mse_network *network)
{
	return mse_buffer_text(network->hosts);
}
