#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "node/api.h"
#include "node/image_store.h"
#include "shim/config.h"
#include "shim/log_file.h"
#include "shim/weaker.h"
#include "tee/channel.h"
#include "tee/sim_pki.h"

int mse_api_get_node(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_autofree char *pem = NULL;
	uint8_t fingerprint[32];
	char hex[2 * sizeof fingerprint + 1];
	int result = mse_sim_pki_root(call->node->sim, &pem, fingerprint, err);

	if (result < 0)
		return result;
	mse_hex_encode(hex, fingerprint, sizeof fingerprint);
	*ret_answer = json_pack("{s:s, s:i, s:s, s:b, s:o, s:s, s:{s:s, s:s}, s:I}", "version", MSE_VERSION, "api", MSE_NODE_API_VERSION, "tee", MSE_NODE_TEE,
		"simulated", 1, "weaker", mse_weaker_json(call->node->weaker), "domain", call->node->config->domain, "simulation_root", "sha256", hex,
		"certificate", pem, "time", (json_int_t)mse_time_now());
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

int mse_api_get_images(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	json_t *images;
	int result = mse_image_list(call->node->images, &images, err);

	if (result < 0)
		return result;
	*ret_answer = json_pack("{s:o}", "images", images);
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

static int find_resolved(struct mse_api_call *call, const char *requested, struct mse_image **ret_image, bool *ret_aliased, struct mse_error_info *err)
{
	mse_autofree char *name = NULL;
	int result;

	if (strchr(requested, '@') != NULL)
		return mse_api_refuse(call, 422, err, MSE_ERR_UNSUPPORTED, "'%.200s' pins a digest; that is not there yet in this release: leave the part from '@' on "
			"out, what runs is decided by the image's tree digest", requested);
	if ((result = mse_node_config_image(call->node->config, requested, &name, ret_aliased, err)) < 0)
		return result;
	result = mse_image_find(call->node->images, name, ret_image, err);
	if (result == MSE_ERR_NOT_FOUND || result == MSE_ERR_INPUT)
		return mse_api_refuse(call, 404, err, MSE_ERR_NOT_FOUND, "this node has no image '%.200s'; GET /v1/images lists those that it has", name);
	return result;
}

int mse_api_resolve_image(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	mse_autofree char *requested = NULL;
	char digest[MSE_DIGEST_TEXT_SIZE];
	bool aliased = false;
	int result = mse_api_query(mse_http_request_query(call->request), "name", &requested, err);

	if (result < 0)
		return result;
	if (requested == NULL || requested[0] == 0)
		return mse_fail(err, MSE_ERR_INPUT, "the query parameter 'name' is missing");
	if ((result = find_resolved(call, requested, &image, &aliased, err)) < 0)
		return result;
	mse_digest_format(digest, image->digest);
	*ret_answer = json_pack("{s:s, s:s, s:s, s:b}", "requested", requested, "name", image->name, "digest", digest, "alias", (int)aliased);
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

int mse_api_get_plan(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	const struct mse_node_plan *plan = mse_node_config_plan(call->node->config, call->param);

	if (plan == NULL)
		return mse_fail(err, MSE_ERR_NOT_FOUND, "this node has no plan '%.100s'", call->param);
	*ret_answer = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", plan->name, "memory", (json_int_t)plan->memory_size, "cpu_millis",
		(json_int_t)plan->cpu_thousandths, "storage", (json_int_t)plan->storage_size, "threads", (json_int_t)plan->threads, "processes",
		(json_int_t)plan->processes, "open_files", (json_int_t)plan->open_files, "lifetime", (json_int_t)plan->lifetime_seconds);
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

static json_t *time_or_null(int64_t seconds)
{
	return seconds != 0 ? json_integer(seconds) : json_null();
}

int mse_api_app_json(const struct mse_node *node, const struct mse_app *app, json_t **ret_object, struct mse_error_info *err)
{
	mse_autofree char *url = NULL;
	mse_autofree char *instance_url = NULL;
	mse_autojson *object = NULL;
	char digest[MSE_DIGEST_TEXT_SIZE];
	int result;

	mse_digest_format(digest, app->image_digest);
	if ((result = mse_format(&url, err, "https://%s.%s:%u/", app->address, node->config->domain, app->port)) < 0 ||
	    (result = mse_format(&instance_url, err, "https://%.12s-i.%s:%u/", app->id, node->config->domain, app->port)) < 0)
		return result;
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s?, s:s, s:b, s:{s:s, s:s}}", "id", app->id, "name", app->name, "project",
		app->project, "address", app->address, "url", url, "instance_url", instance_url, "host", "127.0.0.1", "port", (int)app->port, "status",
		mse_shim_state_name(app->state), "reason", app->reason[0] != 0 ? app->reason : NULL, "tee", MSE_NODE_TEE, "simulated", 1, "image", "name",
		app->image_name, "digest", digest);
	if (object == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_json_set_base64(object, "owner", app->owner, sizeof app->owner, err)) < 0 ||
	    (result = mse_json_set_hex(object, "measurement", app->measurement, sizeof app->measurement, err)) < 0 ||
	    (result = mse_json_set(object, "created_at", json_integer(app->created_at), err)) < 0 ||
	    (result = mse_json_set(object, "expires_at", json_integer(app->expires_at), err)) < 0 ||
	    (result = mse_json_set(object, "stopped_at", time_or_null(app->stopped_at), err)) < 0 ||
	    (result = mse_json_set(object, "restarts", json_integer((json_int_t)app->restarts), err)) < 0 ||
	    (result = mse_json_set(object, "provisioned", json_boolean(app->provisioned), err)) < 0 ||
	    (result = mse_json_set(object, "healthcheck_endpoint", json_string(app->healthcheck), err)) < 0 ||
	    (result = mse_json_set(object, "plan", json_string(app->plan), err)) < 0 ||
	    (result = mse_json_set(object, "weaker", mse_weaker_json(app->weaker), err)) < 0 ||
	    (result = mse_json_set(object, "limits", json_pack("{s:I, s:I, s:I, s:I}", "memory", (json_int_t)app->memory, "cpu_millis",
		     (json_int_t)app->cpu_millis, "storage", (json_int_t)app->storage, "threads", (json_int_t)app->threads), err)) < 0)
		return result;
	*ret_object = mse_steal(object);
	return 0;
}

struct listing {
	const struct mse_node *node;
	json_t *array;
};

static int append_app(void *context, const struct mse_app *app, struct mse_error_info *err)
{
	struct listing *listing = context;
	json_t *object;
	int result = mse_api_app_json(listing->node, app, &object, err);

	if (result < 0)
		return result;
	return json_array_append_new(listing->array, object) < 0 ? mse_fail_nomem(err) : 0;
}

int mse_api_list_apps(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_autojson *array = json_array();
	mse_autofree char *project = NULL;
	mse_autofree char *name = NULL;
	struct listing listing = { .node = call->node, .array = array };
	int result;

	if (array == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_api_query(mse_http_request_query(call->request), "project", &project, err)) < 0 ||
	    (result = mse_api_query(mse_http_request_query(call->request), "name", &name, err)) < 0 ||
	    (result = mse_store_each(call->node->store, project, name, append_app, &listing, err)) < 0)
		return result;
	*ret_answer = json_pack("{s:O}", "apps", array);
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

int mse_api_get_app(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	int result = mse_store_find(call->node->store, call->param, &app, err);

	return result < 0 ? result : mse_api_app_json(call->node, app, ret_answer, err);
}

int mse_api_get_events(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	json_t *events;
	int result;

	if ((result = mse_store_find(call->node->store, call->param, &app, err)) < 0 ||
	    (result = mse_store_events(call->node->store, app->id, &events, err)) < 0)
		return result;
	*ret_answer = json_pack("{s:o}", "events", events);
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

static int parse_from(struct mse_api_call *call, int64_t *ret_from, struct mse_error_info *err)
{
	mse_autofree char *text = NULL;
	bool negative;
	uint64_t value;
	int result = mse_api_query(mse_http_request_query(call->request), "from", &text, err);

	*ret_from = 0;
	if (result < 0 || text == NULL)
		return result;
	negative = text[0] == '-';
	result = mse_parse_u64(text + negative, 0, INT64_MAX, &value, "the query parameter 'from'", err);
	if (result < 0)
		return mse_fail(err, MSE_ERR_INPUT, "the query parameter 'from' is not an offset: '%.40s'", text);
	*ret_from = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

int mse_api_get_logs(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *records = mse_buffer_new(MSE_API_MAX_LOG_ANSWER + 2 * MSE_LOG_RECORD_MAX_SIZE);
	mse_autofree char *app_dir = NULL;
	mse_autofree char *path = NULL;
	struct mse_log_span span;
	char start[24], end[24], next[24];
	int64_t from;
	int result;

	(void)ret_answer;
	if (records == NULL)
		return mse_fail_nomem(err);
	if ((result = parse_from(call, &from, err)) < 0 || (result = mse_store_find(call->node->store, call->param, &app, err)) < 0 ||
	    (result = mse_node_app_dir(call->node, app->id, &app_dir, err)) < 0 ||
	    (result = mse_path_join(app_dir, MSE_SHIM_LOG_FILE, &path, err)) < 0 ||
	    (result = mse_log_file_read(path, from, MSE_API_MAX_LOG_ANSWER, records, &span, err)) < 0)
		return result;
	snprintf(start, sizeof start, "%llu", (unsigned long long)span.start);
	snprintf(end, sizeof end, "%llu", (unsigned long long)span.end);
	snprintf(next, sizeof next, "%llu", (unsigned long long)span.next);
	call->responded = true;
	return mse_http_respond_with(call->request, 200, (struct mse_http_header[]){ MSE_HTTP_HEADER("Content-Type", "application/octet-stream"),
		MSE_HTTP_HEADER("Mse-Simulated", "true"), MSE_HTTP_HEADER("Mse-Log-Start", start), MSE_HTTP_HEADER("Mse-Log-End", end),
		MSE_HTTP_HEADER("Mse-Log-Next", next) }, 5, mse_buffer_data(records), mse_buffer_size(records), err);
}
