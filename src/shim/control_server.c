#include "shim/control_server.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/text.h"
#include "shim/config.h"
#include "shim/control.h"

#define MAX_CLIENTS 8

struct client {
	struct mse_control_server *server;
	int fd; /* -1: a free place */
	struct event *readable;
	char line[MSE_SHIM_LINE_MAX_SIZE];
	size_t size;
};

struct mse_control_server {
	int fd;
	struct event *readable;
	struct event_base *base;
	mse_control_on_stop *on_stop;
	void *context;
	char *line; /* what was published last */
	struct client clients[MAX_CLIENTS];
};

static void client_close(struct client *client)
{
	if (client->readable != NULL)
		event_free(client->readable);
	client->readable = NULL;
	mse_close(client->fd);
	client->fd = -1;
	client->size = 0;
}

/* A line is far smaller than a socket's buffer: where it does not fit at once, nobody has been reading for long. */
static void client_send(struct client *client, const char *line)
{
	ssize_t size = (ssize_t)strlen(line);

	if (client->fd >= 0 && send(client->fd, line, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) != size)
		client_close(client);
}

static int parse_stop(const char *line, size_t size, char reason[static MSE_SHIM_REASON_SIZE], struct mse_error_info *err)
{
	static const char what[] = "a command";
	mse_autojson *root = NULL;
	const char *command, *text;
	int result;

	if ((result = mse_json_parse(line, size, what, &root, err)) < 0 ||
	    (result = mse_json_only(root, (const char *const[]){ "command", "reason", NULL }, what, err)) < 0 ||
	    (result = mse_json_string(root, "command", what, &command, err)) < 0 || (result = mse_json_string(root, "reason", what, &text, err)) < 0)
		return result;
	if (strcmp(command, "stop") != 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "'%.40s' is not a command", command);
	if (!mse_shim_reason_is_valid(text))
		return mse_fail(err, MSE_ERR_INPUT, "a reason to stop is 1 to %d printable characters", MSE_SHIM_REASON_SIZE - 1);
	memcpy(reason, text, strlen(text) + 1);
	return 0;
}

/* Takes whole lines from the front; the client may be closed afterwards. */
static void client_lines(struct client *client)
{
	struct mse_control_server *server = client->server;
	const char *end;

	while (client->fd >= 0 && (end = memchr(client->line, '\n', client->size)) != NULL) {
		size_t size = (size_t)(end - client->line) + 1;
		char reason[MSE_SHIM_REASON_SIZE];
		struct mse_error_info err;

		if (parse_stop(client->line, size - 1, reason, &err) < 0) {
			mse_log("a control connection is closed: %s", err.message);
			client_close(client);
			return;
		}
		client->size -= size;
		memmove(client->line, client->line + size, client->size);
		server->on_stop(server->context, reason);
	}
	if (client->fd >= 0 && client->size == sizeof client->line)
		client_close(client);
}

static void on_client(evutil_socket_t fd, short what, void *argument)
{
	struct client *client = argument;
	ssize_t got = recv(fd, client->line + client->size, sizeof client->line - client->size, MSG_DONTWAIT);

	(void)what;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		client_close(client);
		return;
	}
	client->size += (size_t)got;
	client_lines(client);
}

/* An ordinary user's shim sees its own user as 0 and all others as nobody, the host's root among them. */
static bool peer_is_allowed(int fd)
{
	struct mse_error_info ignored;
	uid_t user;

	return mse_peer_user(fd, &user, &ignored) == 0 && user == geteuid();
}

static void on_connection(evutil_socket_t fd, short what, void *argument)
{
	struct mse_control_server *server = argument;
	mse_autoclose int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (connection < 0 || !peer_is_allowed(connection))
		return;
	for (size_t i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &server->clients[i];

		if (client->fd >= 0)
			continue;
		client->readable = event_new(server->base, connection, EV_READ | EV_PERSIST, on_client, client);
		if (client->readable == NULL)
			return;
		client->fd = mse_steal_fd(&connection);
		if (event_add(client->readable, NULL) < 0)
			client_close(client);
		if (server->line != NULL)
			client_send(client, server->line);
		return;
	}
}

static int listen_here(int *ret_fd, struct mse_error_info *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = MSE_SHIM_CONTROL_SOCKET };
	mse_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int bound;

	if (fd < 0)
		return mse_fail_errno(err, "cannot create the control socket");
	if (unlink(MSE_SHIM_CONTROL_SOCKET) < 0 && errno != ENOENT)
		return mse_fail_errno(err, "cannot remove the old control socket");
	mask = umask(0177);
	bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
	umask(mask);
	if (bound < 0 || listen(fd, MAX_CLIENTS) < 0)
		return mse_fail_errno(err, "cannot listen on the control socket");
	*ret_fd = mse_steal_fd(&fd);
	return 0;
}

int mse_control_server_new(struct event_base *base, mse_control_on_stop *on_stop, void *context,
	struct mse_control_server **ret_server, struct mse_error_info *err)
{
	mse_cleanup(mse_control_server_freep) struct mse_control_server *server = calloc(1, sizeof *server);
	int result;

	if (server == NULL)
		return mse_fail_nomem(err);
	server->fd = -1;
	server->base = base;
	server->on_stop = on_stop;
	server->context = context;
	for (size_t i = 0; i < MAX_CLIENTS; i++) {
		server->clients[i].fd = -1;
		server->clients[i].server = server;
	}
	if ((result = listen_here(&server->fd, err)) < 0)
		return result;
	server->readable = event_new(base, server->fd, EV_READ | EV_PERSIST, on_connection, server);
	if (server->readable == NULL || event_add(server->readable, NULL) < 0)
		return mse_fail(err, MSE_ERR_INTERNAL, "cannot watch the control socket");
	*ret_server = mse_steal(server);
	return 0;
}

void mse_control_server_free(struct mse_control_server *server)
{
	if (server == NULL)
		return;
	for (size_t i = 0; i < MAX_CLIENTS; i++)
		client_close(&server->clients[i]);
	if (server->readable != NULL)
		event_free(server->readable);
	if (server->fd >= 0)
		unlink(MSE_SHIM_CONTROL_SOCKET);
	mse_close(server->fd);
	free(server->line);
	free(server);
}

int mse_control_server_publish(struct mse_control_server *server, const char *line, struct mse_error_info *err)
{
	char *copy;
	int result = mse_strdup(line, &copy, err);

	if (result < 0)
		return result;
	free(server->line);
	server->line = copy;
	for (size_t i = 0; i < MAX_CLIENTS; i++)
		client_send(&server->clients[i], line);
	return 0;
}
