/* The node's API over HTTP (docs/node-api.md): routing, errors, and the handlers. */
#pragma once

#include "base/json.h"
#include "http/request.h"
#include "node/node.h"

#define MSE_API_MAX_JSON_SIZE ((size_t)1024 * 1024)
#define MSE_API_MAX_LOG_ANSWER ((size_t)4 * 1024 * 1024)

/* One request on its way through a handler. */
struct mse_api_call {
	struct mse_node *node;
	struct mse_http_request *request;
	const char *param;   /* what stands for '*' in the route's pattern; "" without one */
	unsigned status;     /* of the answer; 200 unless the handler sets it. After an error, 0 stands for what suits the error's code */
	bool responded;      /* the handler has sent its answer itself */
};

/* Fills *ret_answer with a new object, or responds by itself; an error becomes the answer. */
typedef int mse_api_handler(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err);

mse_api_handler mse_api_get_node, mse_api_get_images, mse_api_resolve_image, mse_api_get_plan, mse_api_list_apps, mse_api_get_app, mse_api_get_logs,
	mse_api_get_events, mse_api_put_bundle, mse_api_deploy, mse_api_stop, mse_api_remove;

/* Finds the route, runs its handler and answers: for a worker thread. */
void mse_api_serve(struct mse_node *node, struct mse_http_request *request);

/* The value of a query parameter, percent-decoded (RFC 3986) and checked to be UTF-8, newly allocated; NULL when it is not there.
 * MSE_ERR_INPUT for one that is malformed or stands twice. */
int mse_api_query(const char *query, const char *name, char **ret_value, struct mse_error_info *err);

/* Refusals: sets the status of the answer and fails. */
int mse_api_refuse(struct mse_api_call *call, unsigned status, struct mse_error_info *err, int code, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The request's body (JSON of at most MSE_API_MAX_JSON_SIZE bytes), as received and parsed. */
int mse_api_read_json(struct mse_api_call *call, struct mse_buffer **ret_body, json_t **ret_json, struct mse_error_info *err);
/* Checks the header Mse-Signature: 403 unless it is the owner's over what the request says. */
int mse_api_check_signature(struct mse_api_call *call, const uint8_t owner[static MSE_SIGN_KEY_SIZE], const char *verb, const char *project,
	const char *name, const char *acted_on, const char *made, const struct mse_buffer *body, struct mse_error_info *err);

/* "App" of the API. */
int mse_api_app_json(const struct mse_node *node, const struct mse_app *app, json_t **ret_object, struct mse_error_info *err);
