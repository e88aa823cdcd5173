#include "cli/client.h"

#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/peer.h"
#include "base/text.h"
#include "cli/http.h"
#include "manifest/manifest.h"
#include "ratls/session.h"

#define MAX_ANSWER_SIZE ((size_t)8 * 1024 * 1024)
#define MAX_LOG_ANSWER_SIZE ((size_t)5 * 1024 * 1024)

struct mse_client {
	char *address;
	const char *socket; /* within address */
	CURL *handle;
	int fd; /* of the connection that the handle has, which owns it; -1: none yet */
	struct mse_error_info stranger; /* why the one who listens is not asked; code 0: he is */
	struct mse_http_answer answer;
};

void mse_client_free(struct mse_client *node)
{
	if (node == NULL)
		return;
	curl_easy_cleanup(node->handle);
	mse_http_answer_clear(&node->answer);
	free(node->address);
	free(node);
}

/* Relative to the root, so that one socket has one name whatever folder we are called from. Links are not followed: what
 * is pinned is the name that the owner uses, and whoever can put a link there must not escape the pin. */
static int absolute(const char *path, char **ret_path, struct mse_error_info *err)
{
	char folder[PATH_MAX];

	while (strncmp(path, "./", 2) == 0)
		path += 2;
	if (path[0] == '/')
		return mse_strdup(path, ret_path, err);
	if (getcwd(folder, sizeof folder) == NULL)
		return mse_fail_errno(err, "cannot find the current folder");
	return mse_path_join(folder, path, ret_path, err);
}

int mse_client_open_address(const char *address, struct mse_client **ret_node, struct mse_error_info *err)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = calloc(1, sizeof *node);
	mse_autofree char *path = NULL;
	int result;

	if (node == NULL)
		return mse_fail_nomem(err);
	if (strncmp(address, "unix:", 5) != 0 || address[5] == 0)
		return mse_fail(err, MSE_ERR_UNSUPPORTED,
			"the node's address '%.200s' is not of the form unix:PATH: nodes over the network come with a later release", address);
	if ((result = absolute(address + 5, &path, err)) < 0)
		return result;
	if (!mse_path_exists(path))
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no node at 'unix:%s': is msed running, and is this its --listen?", path);
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return mse_fail(err, MSE_ERR_LIMIT, "the path of the node's socket is too long for a Unix socket: '%s'", path);
	if ((result = mse_format(&node->address, err, "unix:%s", path)) < 0 || (result = mse_http_answer_new(MAX_ANSWER_SIZE, &node->answer, err)) < 0)
		return result;
	node->socket = node->address + 5;
	node->fd = -1;
	*ret_node = mse_steal(node);
	return 0;
}

int mse_client_open(struct mse_cli *cli, struct mse_client **ret_node, struct mse_error_info *err)
{
	const char *address = mse_cli_option(cli, MSE_OPT_NODE);

	if (address == NULL)
		address = getenv("MSE_NODE");
	if (address == NULL || address[0] == 0)
		return mse_cli_usage(cli, err, "which node? Name it with --node unix:PATH or in the variable MSE_NODE");
	return mse_client_open_address(address, ret_node, err);
}

const char *mse_client_address(const struct mse_client *node)
{
	return node->address;
}

int mse_client_escape(const char *text, char **ret_text, struct mse_error_info *err)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	int result;

	if (escaped == NULL)
		return mse_fail_nomem(err);
	result = mse_strdup(escaped, ret_text, err);
	curl_free(escaped);
	return result;
}

static int code_of_status(long status)
{
	switch (status) {
	case 400:
		return MSE_ERR_INPUT;
	case 403:
		return MSE_ERR_DENIED;
	case 404:
		return MSE_ERR_NOT_FOUND;
	case 409:
		return MSE_ERR_STATE;
	case 413:
	case 429:
		return MSE_ERR_LIMIT;
	case 422:
		return MSE_ERR_UNSUPPORTED;
	default:
		return MSE_ERR_IO;
	}
}

static int fail_refused(struct mse_client *node, struct mse_error_info *err)
{
	mse_autojson *json = NULL;
	mse_autofree char *message = NULL;
	struct mse_error_info ignored;
	int code = code_of_status(node->answer.status);
	const json_t *error;
	int result;

	if (mse_json_parse(mse_buffer_data(node->answer.body), mse_buffer_size(node->answer.body), "the answer", &json, &ignored) < 0)
		return mse_fail(err, code, "the node %s answered with HTTP status %ld and without a reason", node->address, node->answer.status);
	error = json_object_get(json, "error");
	if ((result = mse_cli_text_of(error, "message", &message, err)) < 0)
		return result;
	return mse_fail(err, code, "the node refuses: %s", message);
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct mse_client *node = context;

	(void)purpose;
	node->fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	return node->fd;
}

/* A node runs as root, as this very user, or as the one to whom the socket's folder belongs, who can put there what he likes anyway. */
static int check_listener(const struct mse_client *node, struct mse_error_info *err)
{
	mse_autofree char *folder = NULL;
	struct stat status;
	uid_t user;
	int result = mse_peer_user(node->fd, &user, err);

	if (result < 0 || user == 0 || user == geteuid())
		return result;
	if ((result = mse_strdup(node->socket, &folder, err)) < 0)
		return result;
	if (stat(dirname(folder), &status) == 0 && status.st_uid == user)
		return 0;
	return mse_fail(err, MSE_ERR_DENIED, "what listens at %s runs as user %u: neither as root, nor as you, nor as the owner of the socket's folder. "
		"It is not asked for anything; if it is the node that you mean, have its socket in a folder of its own user", node->address, user);
}

static int before_request(void *context, char *address, char *local_address, int port, int local_port)
{
	struct mse_client *node = context;

	(void)address;
	(void)local_address;
	(void)port;
	(void)local_port;
	return check_listener(node, &node->stranger) < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int perform(struct mse_client *node, struct mse_error_info *err)
{
	mse_autofree char *what = NULL;
	int result = mse_format(&what, err, "the node %s", node->address);

	if (result < 0)
		return result;
	node->stranger.code = 0;
	result = mse_http_perform(node->handle, what, &node->answer, err);
	if (result < 0 && node->stranger.code < 0) {
		*err = node->stranger;
		return err->code;
	}
	if (result < 0)
		return node->answer.unreachable ? mse_fail(err, result, "%s does not answer: is msed running there?", what) : result;
	return node->answer.status >= 200 && node->answer.status < 300 ? 0 : fail_refused(node, err);
}

static int prepare(struct mse_client *node, const char *path, struct mse_error_info *err)
{
	mse_autofree char *url = NULL;
	int result;

	if ((result = mse_format(&url, err, "http://msed%s", path)) < 0 || (result = mse_http_prepare(&node->handle, "http", url, err)) < 0)
		return result;
	if ((result = mse_http_set(node->handle, CURLOPT_UNIX_SOCKET_PATH, node->socket, err)) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_OPENSOCKETFUNCTION, open_socket, err)) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_OPENSOCKETDATA, node, err)) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_PREREQFUNCTION, before_request, err)) < 0)
		return result;
	return mse_http_set(node->handle, CURLOPT_PREREQDATA, node, err);
}

static int take_json(struct mse_client *node, json_t **ret_json, struct mse_error_info *err)
{
	return mse_json_parse(mse_buffer_data(node->answer.body), mse_buffer_size(node->answer.body), "the node's answer", ret_json, err);
}

int mse_client_get(struct mse_client *node, const char *path, json_t **ret_json, struct mse_error_info *err)
{
	int result;

	if ((result = prepare(node, path, err)) < 0 || (result = perform(node, err)) < 0)
		return result;
	return take_json(node, ret_json, err);
}

int mse_client_post_signed(struct mse_client *node, const char *path, const struct mse_owner *owner, const struct mse_node_request *request,
	json_t **ret_json, struct mse_error_info *err)
{
	mse_cleanup(mse_slist_freep) struct curl_slist *headers = NULL;
	uint8_t signature[MSE_SIGNATURE_SIZE];
	mse_autofree char *signature_text = NULL;
	int result;

	if ((result = mse_node_request_sign(&owner->sign, request, signature, err)) < 0 ||
	    (result = mse_base64_encode(signature, sizeof signature, &signature_text, err)) < 0 || (result = prepare(node, path, err)) < 0 ||
	    (result = mse_http_header(&headers, err, "Mse-Signature: %s", signature_text)) < 0 ||
	    (result = mse_http_header(&headers, err, "Content-Type: application/json")) < 0 ||
	    (result = mse_http_header(&headers, err, "Expect:")) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_HTTPHEADER, headers, err)) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_POST, 1L, err)) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size, err)) < 0 ||
	    (result = mse_http_set(node->handle, CURLOPT_POSTFIELDS, request->body, err)) < 0)
		return result;
	/* Stopping ends an enclave and destroys its storage: that may take longer than an answer commonly does. */
	if ((result = mse_http_set(node->handle, CURLOPT_LOW_SPEED_TIME, 180L, err)) < 0)
		return result;
	result = perform(node, err);
	/* The headers go away with this function, the handle stays. */
	curl_easy_reset(node->handle);
	return result < 0 ? result : take_json(node, ret_json, err);
}

int mse_client_stop(struct mse_client *node, const struct mse_owner *owner, const char *project, const char *name, const char *id, json_t **ret_app,
	struct mse_error_info *err)
{
	static const char body[] = "{}";
	const struct mse_node_request request = { .verb = "stop", .project = project, .name = name, .acted_on = id, .made = "", .body = body,
		.body_size = sizeof body - 1 };
	mse_autofree char *path = NULL;
	int result = mse_format(&path, err, "/v1/apps/%s/stop", id);

	return result < 0 ? result : mse_client_post_signed(node, path, owner, &request, ret_app, err);
}

struct upload {
	struct mse_cli *cli;
	uint64_t began;
};

static int draw_upload(void *context, curl_off_t download, curl_off_t downloaded, curl_off_t size, curl_off_t sent)
{
	struct upload *upload = context;

	(void)download;
	(void)downloaded;
	if (size > 0 && mse_monotonic_ms() - upload->began > 1000)
		mse_cli_progress(upload->cli, "uploading: %lld of %lld KiB, %lld%%", (long long)sent / 1024, (long long)size / 1024,
			(long long)(sent * 100 / size));
	return mse_interrupted() ? 1 : 0;
}

int mse_client_put_file(struct mse_client *node, struct mse_cli *cli, const char *path, const char *file, struct mse_error_info *err)
{
	struct upload upload = { .cli = cli, .began = mse_monotonic_ms() };
	mse_cleanup(mse_slist_freep) struct curl_slist *headers = NULL;
	struct stat status;
	FILE *from = fopen(file, "rbe");
	int result;

	if (from == NULL)
		return mse_fail_errno(err, "cannot open '%s'", file);
	if (fstat(fileno(from), &status) < 0)
		result = mse_fail_errno(err, "cannot examine '%s'", file);
	else if ((result = prepare(node, path, err)) == 0 && (result = mse_http_header(&headers, err, "Expect:")) == 0 &&
		 (result = mse_http_header(&headers, err, "Content-Type: application/octet-stream")) == 0 &&
		 (result = mse_http_set(node->handle, CURLOPT_HTTPHEADER, headers, err)) == 0 &&
		 (result = mse_http_set(node->handle, CURLOPT_UPLOAD, 1L, err)) == 0 &&
		 (result = mse_http_set(node->handle, CURLOPT_READDATA, from, err)) == 0 &&
		 (result = mse_http_set(node->handle, CURLOPT_INFILESIZE_LARGE, (curl_off_t)status.st_size, err)) == 0 &&
		 (result = mse_http_set(node->handle, CURLOPT_XFERINFOFUNCTION, draw_upload, err)) == 0 &&
		 (result = mse_http_set(node->handle, CURLOPT_XFERINFODATA, &upload, err)) == 0)
		result = perform(node, err);
	curl_easy_reset(node->handle);
	mse_cli_progress_end(cli);
	fclose(from);
	return result < 0 ? mse_context(err, "cannot upload the bundle") : 0;
}

int mse_client_logs(struct mse_client *node, const char *id, int64_t from, struct mse_log_part *ret_part, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result;

	*ret_part = (struct mse_log_part){ 0 };
	if ((result = mse_format(&path, err, "/v1/apps/%s/logs?from=%lld", id, (long long)from)) < 0 || (result = prepare(node, path, err)) < 0 ||
	    (result = perform(node, err)) < 0)
		return result;
	if (mse_buffer_size(node->answer.body) > MAX_LOG_ANSWER_SIZE)
		return mse_fail(err, MSE_ERR_LIMIT, "the node sent %zu bytes of log at once, the limit is %zu", mse_buffer_size(node->answer.body),
			MAX_LOG_ANSWER_SIZE);
	ret_part->end = mse_http_header_number(node->handle, "Mse-Log-End");
	ret_part->next = mse_http_header_number(node->handle, "Mse-Log-Next");
	ret_part->bytes = mse_buffer_new(MAX_LOG_ANSWER_SIZE);
	if (ret_part->bytes == NULL)
		return mse_fail_nomem(err);
	return mse_buffer_append(ret_part->bytes, mse_buffer_data(node->answer.body), mse_buffer_size(node->answer.body), err);
}

static const char *text_of(const json_t *app, const char *member)
{
	const char *text = json_string_value(json_object_get(app, member));

	return text == NULL ? "" : text;
}

static bool app_is_live(const json_t *app)
{
	return strcmp(text_of(app, "status"), "stopped") != 0;
}

/* By name: the live one, else the newest; in more than one project it must be said in which. */
static int choose_by_name(const json_t *apps, const char *name, const char *project, json_t **ret_app, struct mse_error_info *err)
{
	json_t *app, *found = NULL;
	size_t i;

	json_array_foreach (apps, i, app) {
		if (strcmp(text_of(app, "name"), name) != 0 || (project != NULL && strcmp(text_of(app, "project"), project) != 0))
			continue;
		if (found == NULL || (!app_is_live(found) && app_is_live(app)))
			found = app;
	}
	if (found == NULL)
		return 0;
	json_array_foreach (apps, i, app)
		if (strcmp(text_of(app, "name"), name) == 0 && project == NULL && app_is_live(app) == app_is_live(found) &&
		    strcmp(text_of(app, "project"), text_of(found, "project")) != 0)
			return mse_fail(err, MSE_ERR_INPUT, "'%.63s' is the name of apps in the projects '%.63s' and '%.63s': say --project, or use the id",
				name, text_of(found, "project"), text_of(app, "project"));
	*ret_app = json_incref(found);
	return 0;
}

static int choose_by_id(const json_t *apps, const char *what, json_t **ret_app, struct mse_error_info *err)
{
	json_t *app, *found = NULL;
	size_t i, size = strlen(what);

	if (size < 4 || strspn(what, "0123456789abcdef") != size)
		return 0;
	json_array_foreach (apps, i, app) {
		if (strncmp(text_of(app, "id"), what, size) != 0)
			continue;
		if (found != NULL)
			return mse_fail(err, MSE_ERR_INPUT, "more than one app has an id that begins with '%.64s': give more digits", what);
		found = app;
	}
	*ret_app = json_incref(found);
	return 0;
}

int mse_apps_choose(const json_t *apps, const char *what, const char *project, json_t **ret_app, struct mse_error_info *err)
{
	json_t *found = NULL;
	int result = choose_by_name(apps, what, project, &found, err);

	if (result == 0 && found == NULL)
		result = choose_by_id(apps, what, &found, err);
	if (result < 0)
		return result;
	if (found == NULL)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "there is no app with the name or id '%.64s'%s%.63s%s; 'mse list' shows what there is", what,
			project == NULL ? "" : " in the project '", project == NULL ? "" : project, project == NULL ? "" : "'");
	*ret_app = found;
	return 0;
}

int mse_client_find_app(struct mse_client *node, const char *what, const char *project, json_t **ret_app, struct mse_error_info *err)
{
	mse_autojson *json = NULL, *app = NULL;
	uint8_t id[MSE_INSTANCE_ID_SIZE];
	json_t *apps;
	int result;

	if ((result = mse_client_get(node, "/v1/apps", &json, err)) < 0 || (result = mse_json_array(json, "apps", "the node's answer", &apps, err)) < 0 ||
	    (result = mse_apps_choose(apps, what, project, &app, err)) < 0)
		return result;
	/* The id becomes part of paths, here and in requests. */
	if ((result = mse_json_hex(app, "id", "the node's answer", id, sizeof id, err)) < 0)
		return result;
	*ret_app = mse_steal(app);
	return 0;
}
