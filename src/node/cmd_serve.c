#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/peer.h"
#include "base/text.h"
#include "bundle/bundle.h"
#include "http/queue.h"
#include "http/server.h"
#include "node/api.h"
#include "node/commands.h"
#include "node/node.h"
#include "node/supervisor.h"
#include "shim/confine.h"
#include "shim/weaker.h"

#define WORKERS 8
#define QUEUE_CAPACITY ((size_t)256)
#define MAX_CONNECTIONS 256
#define GRACE_MS 5000u
#define REFUSAL_INTERVAL_MS 60000u
#define UNIX_PREFIX "unix:"

struct service {
	struct mse_node *node;
	struct mse_http_queue *queue;
	struct mse_http_server *server;
	pthread_t workers[WORKERS];
	size_t worker_count;
	int listen_fd;
	uint64_t refusal_told_at; /* monotonic ms; 0: never */
	char *path; /* of the socket, once it is this program's */
};

static void *work(void *context)
{
	struct service *service = context;
	struct mse_http_request *request;
	struct mse_error_info err;

	while (mse_http_queue_pop(service->queue, -1, &request, &err) == 0) {
		mse_api_serve(service->node, request);
		mse_http_request_unref(request);
	}
	return NULL;
}

static void on_request(void *context, struct mse_http_request *request)
{
	struct service *service = context;
	struct mse_error_info err;

	/* A full queue answers 503 by itself. */
	if (mse_http_queue_push(service->queue, request, &err) < 0)
		mse_log("a request was refused: %s", err.message);
}

/* The mode of the socket's file says the same; but files are moved, copied and made accessible, and who asks here can have an app deployed. */
static bool admit(void *context, int fd)
{
	struct service *service = context;
	struct mse_error_info err;
	uid_t user;
	uint64_t now = mse_monotonic_ms();

	if (mse_peer_user(fd, &user, &err) < 0) {
		mse_log("a connection was refused: %s", err.message);
		return false;
	}
	if (user == 0 || user == geteuid())
		return true;
	/* Called by one thread alone. */
	if (service->refusal_told_at == 0 || now - service->refusal_told_at > REFUSAL_INTERVAL_MS) {
		service->refusal_told_at = now;
		mse_log("a connection of user %u was refused: this node hears user %u and root; keep the mode of '%s' at 0600", user, geteuid(), service->path);
	}
	return false;
}

/* A socket file that nobody listens on is left from a msed that is dead; this one holds the data folder's lock, but another node may use the path. */
static int clear_path(const struct sockaddr_un *address, struct mse_error_info *err)
{
	mse_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat status;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : mse_fail_errno(err, "cannot examine '%s'", address->sun_path);
	if (!S_ISSOCK(status.st_mode))
		return mse_fail(err, MSE_ERR_EXISTS, "'%s' is there and is not a socket; remove it, or listen elsewhere", address->sun_path);
	if (fd < 0)
		return mse_fail_errno(err, "cannot create a socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
		return mse_fail(err, MSE_ERR_EXISTS, "another program listens on '%s'", address->sun_path);
	if (errno != ECONNREFUSED)
		return mse_fail_errno(err, "cannot find out who listens on '%s'", address->sun_path);
	return unlink(address->sun_path) < 0 ? mse_fail_errno(err, "cannot remove the old socket '%s'", address->sun_path) : 0;
}

static int parse_listen(const char *listen_text, struct sockaddr_un *ret_address, struct mse_error_info *err)
{
	const char *path = listen_text + strlen(UNIX_PREFIX);

	if (strncmp(listen_text, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0 || path[0] == 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "--listen '%s': only unix:PATH is there in this release", listen_text);
	if (strlen(path) >= sizeof ret_address->sun_path)
		return mse_fail(err, MSE_ERR_LIMIT, "--listen: the path of a Unix socket has at most %zu characters, this one %zu: '%s'",
			sizeof ret_address->sun_path - 1, strlen(path), path);
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s", path);
	return 0;
}

static int open_socket(struct service *service, const struct sockaddr_un *address, struct mse_error_info *err)
{
	const char *path = address->sun_path;
	int result;

	if ((result = clear_path(address, err)) < 0)
		return result;
	service->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Connecting takes the right to write to the file: with mode 0600 (by main()'s umask, so from the first moment on) this user's and root's alone. */
	if (service->listen_fd < 0 || bind(service->listen_fd, (const struct sockaddr *)address, sizeof *address) < 0)
		return mse_fail_errno(err, "cannot listen on '%s'", path);
	if ((result = mse_strdup(path, &service->path, err)) < 0)
		return result;
	if (chmod(path, 0600) < 0 || listen(service->listen_fd, 64) < 0)
		return mse_fail_errno(err, "cannot listen on '%s'", path);
	return 0;
}

static int start_workers(struct service *service, struct mse_error_info *err)
{
	struct mse_http_server_params params = { .listen_fds = &service->listen_fd, .listen_count = 1, .limits = mse_http_limits_default(), .threads = 1,
		.admit = admit, .on_request = on_request, .ctx = service };
	int result;

	params.limits.max_body_size = MSE_BUNDLE_MAX_SIZE;
	params.limits.max_connections = MAX_CONNECTIONS;
	if ((result = mse_http_queue_new(QUEUE_CAPACITY, &service->queue, err)) < 0 ||
	    (result = mse_http_server_new(&params, &service->server, err)) < 0)
		return result;
	while (service->worker_count < WORKERS) {
		errno = pthread_create(&service->workers[service->worker_count], NULL, work, service);
		if (errno != 0)
			return mse_fail_errno(err, "cannot start a thread");
		service->worker_count++;
	}
	return mse_http_server_start(service->server, err);
}

static void service_clear(struct service *service)
{
	if (service->server != NULL)
		mse_http_server_stop(service->server, GRACE_MS);
	if (service->queue != NULL)
		mse_http_queue_close(service->queue);
	for (size_t i = 0; i < service->worker_count; i++)
		pthread_join(service->workers[i], NULL);
	mse_http_server_free(service->server);
	mse_http_queue_free(service->queue);
	if (service->path != NULL)
		unlink(service->path);
	mse_close(service->listen_fd);
	free(service->path);
}

int mse_node_serve(const struct mse_node_options *options, const struct mse_node_config *config, struct mse_error_info *err)
{
	mse_cleanup(mse_node_freep) struct mse_node *node = NULL;
	mse_cleanup(service_clear) struct service service = { .listen_fd = -1 };
	struct sockaddr_un address;
	sigset_t ending;
	int number, result;

	/* Before anything is made. */
	if ((result = parse_listen(options->listen, &address, err)) < 0)
		return result;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	/* Before any thread is made: all inherit it, and sigwait() below is the one place where they arrive. */
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Making control groups took a capability; what strangers send is looked at without any. */
	if ((result = mse_node_open(options->data, config, &node, err)) < 0 || (result = mse_confine(MSE_CONFINED_NODE, err)) < 0)
		return result;
	service.node = node;
	if ((result = open_socket(&service, &address, err)) < 0 || (result = mse_supervisor_start(node, err)) < 0 ||
	    (result = start_workers(&service, err)) < 0)
		return result;
	for (unsigned i = 0; i < MSE_WEAKER_COUNT; i++)
		if (node->weaker & 1u << i)
			mse_log("apps are weaker here than they should be: %s", mse_weaker_text(i));
	mse_log("listening on %s; SIMULATION: this node's enclaves are simulated, not hardware; the operator of this machine can read everything",
		options->listen);
	sigwait(&ending, &number);
	mse_log("ending on %s; apps go on", number == SIGTERM ? "SIGTERM" : "SIGINT");
	return 0;
}
