#include "node/api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "ratls/session.h"

#define MAX_PARAM_SIZE 256
#define MAX_QUERY_VALUE ((size_t)1024)

static const struct route {
	const char *method;
	const char *pattern; /* '*' stands for one segment of the path */
	mse_api_handler *handler;
} routes[] = {
	{ "GET", "/v1/node", mse_api_get_node },
	{ "GET", "/v1/images", mse_api_get_images },
	{ "GET", "/v1/images/resolve", mse_api_resolve_image },
	{ "GET", "/v1/plans/*", mse_api_get_plan },
	{ "GET", "/v1/apps", mse_api_list_apps },
	{ "GET", "/v1/apps/*", mse_api_get_app },
	{ "GET", "/v1/apps/*/logs", mse_api_get_logs },
	{ "GET", "/v1/apps/*/events", mse_api_get_events },
	{ "PUT", "/v1/bundles/*", mse_api_put_bundle },
	{ "POST", "/v1/apps", mse_api_deploy },
	{ "POST", "/v1/apps/*/stop", mse_api_stop },
	{ "POST", "/v1/apps/*/remove", mse_api_remove },
};

/* What stands for '*' has no use for percent-encoding here: ids, digests and names. */
static bool pattern_matches(const char *pattern, const char *path, char param[static MAX_PARAM_SIZE])
{
	const char *star = strchr(pattern, '*');
	size_t before = star != NULL ? (size_t)(star - pattern) : 0, size;

	param[0] = 0;
	if (star == NULL)
		return strcmp(pattern, path) == 0;
	if (strncmp(pattern, path, before) != 0)
		return false;
	size = strcspn(path + before, "/");
	if (size == 0 || size >= MAX_PARAM_SIZE || strcmp(star + 1, path + before + size) != 0)
		return false;
	memcpy(param, path + before, size);
	param[size] = 0;
	return true;
}

static unsigned status_of(int code)
{
	switch (code) {
	case MSE_ERR_INPUT:
		return 400;
	case MSE_ERR_CRYPTO:
	case MSE_ERR_DENIED:
		return 403;
	case MSE_ERR_NOT_FOUND:
		return 404;
	case MSE_ERR_EXISTS:
	case MSE_ERR_STATE:
		return 409;
	case MSE_ERR_LIMIT:
		return 413;
	case MSE_ERR_UNSUPPORTED:
	case MSE_ERR_VERIFY:
		return 422;
	case MSE_ERR_TIMEOUT:
		return 503;
	default:
		return 500;
	}
}

int mse_api_refuse(struct mse_api_call *call, unsigned status, struct mse_error_info *err, int code, const char *format, ...)
{
	char message[MSE_ERROR_MESSAGE_SIZE];
	va_list values;

	va_start(values, format);
	vsnprintf(message, sizeof message, format, values);
	va_end(values);
	call->status = status;
	return mse_fail(err, code, "%s", message);
}

static void respond(struct mse_http_request *request, unsigned status, const json_t *answer, const char *allow)
{
	struct mse_http_header headers[] = { MSE_HTTP_HEADER("Content-Type", "application/json"), MSE_HTTP_HEADER("Mse-Simulated", "true"),
		MSE_HTTP_HEADER("Allow", allow != NULL ? allow : "") };
	char *text = json_dumps(answer, JSON_COMPACT);
	struct mse_error_info err;

	/* A client that went away meanwhile is no trouble of ours. */
	if (text == NULL)
		mse_http_request_abort(request);
	else if (mse_http_respond_with(request, status, headers, allow != NULL ? 3 : 2, text, strlen(text), &err) < 0 && err.code != MSE_ERR_CLOSED)
		mse_log("cannot answer a request: %s", err.message);
	free(text);
}

static void respond_error(struct mse_http_request *request, unsigned status, const struct mse_error_info *err, const char *allow)
{
	mse_autojson *answer = json_pack("{s:{s:s, s:s}}", "error", "code", mse_error_name(err->code), "message", err->message);

	/* A message may quote bytes of the request that are not UTF-8. */
	if (answer == NULL)
		answer = json_pack("{s:{s:s, s:s}}", "error", "code", mse_error_name(err->code), "message", "the request is not understood");
	respond(request, status, answer, allow);
}

static void run_handler(const struct route *route, struct mse_api_call *call)
{
	mse_autojson *answer = NULL;
	struct mse_error_info err = { .code = MSE_ERR_INTERNAL, .message = "the request was not answered" };
	int result = route->handler(call, &answer, &err);

	if (result == 0 && !call->responded)
		respond(call->request, call->status, answer, NULL);
	if (result == 0 || mse_http_response_started(call->request))
		return;
	if (call->status == 200 || call->status == 0)
		call->status = status_of(err.code);
	if (call->status >= 500)
		mse_log("%s %s: %s", route->method, route->pattern, err.message);
	respond_error(call->request, call->status, &err, NULL);
}

void mse_api_serve(struct mse_node *node, struct mse_http_request *request)
{
	const char *method = mse_http_request_method(request), *path = mse_http_request_path(request);
	char param[MAX_PARAM_SIZE], allow[64] = "";
	struct mse_error_info err;

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		if (!pattern_matches(routes[i].pattern, path, param))
			continue;
		if (strcmp(method, routes[i].method) == 0) {
			run_handler(&routes[i], &(struct mse_api_call){ .node = node, .request = request, .param = param, .status = 200 });
			return;
		}
		snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%s", allow[0] == 0 ? "" : ", ", routes[i].method);
	}
	if (allow[0] != 0)
		mse_fail(&err, MSE_ERR_UNSUPPORTED, "%.16s is not done to '%.200s'; it takes %s", method, path, allow);
	else
		mse_fail(&err, MSE_ERR_NOT_FOUND, "this node's API has no '%.200s'", path);
	respond_error(request, allow[0] != 0 ? 405 : 404, &err, allow[0] != 0 ? allow : NULL);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

static int decode_value(const char *text, size_t size, const char *name, char **ret_value, struct mse_error_info *err)
{
	mse_autofree char *value = malloc(size + 1);
	size_t length = 0;

	if (size > MAX_QUERY_VALUE)
		return mse_fail(err, MSE_ERR_INPUT, "the query parameter '%s' has more than %zu characters", name, MAX_QUERY_VALUE);
	if (value == NULL)
		return mse_fail_nomem(err);
	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '%') {
			int high = -1, low = -1;

			if (size - i > 2) {
				high = hex_digit(text[i + 1]);
				low = hex_digit(text[i + 2]);
			}
			if (high < 0 || low < 0)
				return mse_fail(err, MSE_ERR_INPUT, "the query parameter '%s' is not well percent-encoded", name);
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		value[length++] = c;
	}
	value[length] = 0;
	if (!mse_utf8_is_valid(value, length))
		return mse_fail(err, MSE_ERR_INPUT, "the query parameter '%s' is not UTF-8", name);
	*ret_value = mse_steal(value);
	return 0;
}

int mse_api_query(const char *query, const char *name, char **ret_value, struct mse_error_info *err)
{
	mse_autofree char *value = NULL;
	size_t name_size = strlen(name);
	int result = 0;

	*ret_value = NULL;
	for (const char *p = query; result == 0 && *p != 0;) {
		size_t size = strcspn(p, "&");

		if (size > name_size && strncmp(p, name, name_size) == 0 && p[name_size] == '=') {
			if (value != NULL)
				return mse_fail(err, MSE_ERR_INPUT, "the query parameter '%s' is given twice", name);
			result = decode_value(p + name_size + 1, size - name_size - 1, name, &value, err);
		}
		p += size + (p[size] == '&');
	}
	if (result == 0)
		*ret_value = mse_steal(value);
	return result;
}

int mse_api_read_json(struct mse_api_call *call, struct mse_buffer **ret_body, json_t **ret_json, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	int result = mse_http_request_read_all(call->request, MSE_API_MAX_JSON_SIZE, &body, err);

	if (result < 0 || (result = mse_json_parse(mse_buffer_data(body), mse_buffer_size(body), "the request", ret_json, err)) < 0)
		return result;
	if (!json_is_object(*ret_json)) {
		json_decref(*ret_json);
		*ret_json = NULL;
		return mse_fail(err, MSE_ERR_INPUT, "the request is not a JSON object");
	}
	*ret_body = mse_steal(body);
	return 0;
}

int mse_api_check_signature(struct mse_api_call *call, const uint8_t owner[static MSE_SIGN_KEY_SIZE], const char *verb, const char *project,
	const char *name, const char *acted_on, const char *made, const struct mse_buffer *body, struct mse_error_info *err)
{
	const struct mse_node_request request = { .verb = verb, .project = project, .name = name, .acted_on = acted_on, .made = made,
		.body = mse_buffer_data(body), .body_size = mse_buffer_size(body) };
	const char *text = mse_http_request_header(call->request, "mse-signature");
	uint8_t signature[MSE_SIGNATURE_SIZE];
	int result;

	if (text == NULL)
		return mse_api_refuse(call, 403, err, MSE_ERR_CRYPTO, "the request has no Mse-Signature: to %s an app takes its owner's signature", verb);
	if ((result = mse_base64_decode_fixed(text, signature, sizeof signature, "Mse-Signature", err)) < 0)
		return result;
	if (mse_node_request_verify(owner, &request, signature, err) < 0)
		return mse_api_refuse(call, 403, err, MSE_ERR_CRYPTO, "Mse-Signature is not the signature of the owner of '%s' in project '%s' over this request",
			name, project);
	return 0;
}
