#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "node/api.h"
#include "node/bundles.h"
#include "node/image_store.h"
#include "node/launch.h"
#include "node/supervisor.h"
#include "ratls/certificate.h"
#include "shim/config.h"
#include "shim/weaker.h"

#define UPLOAD_BLOCK ((size_t)256 * 1024)
/* The owner's clock may be a little ahead of ours. */
#define EXPIRY_GRACE_SECONDS 60
#define PORT_WAIT_MS 3000u
/* Of the disk, for the node itself: logs, databases, bundles. */
#define SPARE_DISK_SIZE ((uint64_t)256 * 1024 * 1024)
#define MIB ((uint64_t)1024 * 1024)
/* An app does not outlive its certificate. */
#define MAX_LIFETIME_SECONDS ((int64_t)MSE_CERTIFICATE_MAX_DAYS * 24 * 3600)

static json_t *bundle_answer(const char *hex)
{
	return json_pack("{s:s}", "sha256", hex);
}

static int receive_bundle(struct mse_api_call *call, const uint8_t sha256[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	mse_cleanup(mse_bundle_upload_freep) struct mse_bundle_upload *upload = NULL;
	mse_autofree uint8_t *block = malloc(UPLOAD_BLOCK);
	size_t got;
	int result;

	if (block == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_bundle_upload_new(call->node->bundles, sha256, &upload, err)) < 0)
		return result;
	while ((result = mse_http_request_read(call->request, block, UPLOAD_BLOCK, &got, err)) == 0 && got > 0)
		if ((result = mse_bundle_upload_write(upload, block, got, err)) < 0)
			return result;
	if (result < 0)
		return result;
	result = mse_bundle_upload_finish(upload, err);
	if (result == MSE_ERR_CRYPTO)
		call->status = 400;
	return result;
}

int mse_api_put_bundle(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	uint8_t sha256[MSE_SHA256_SIZE];
	char hex[2 * MSE_SHA256_SIZE + 1];
	int result = mse_hex_decode(sha256, sizeof sha256, call->param, "the bundle's SHA-256 in the path", err);

	if (result < 0)
		return result;
	mse_hex_encode(hex, sha256, sizeof sha256);
	if (!mse_bundles_has(call->node->bundles, sha256)) {
		if ((result = receive_bundle(call, sha256, err)) < 0)
			return result;
		call->status = 201;
	}
	*ret_answer = bundle_answer(hex);
	return *ret_answer == NULL ? mse_fail_nomem(err) : 0;
}

/* Everything that a deployment consists of, on its way through the checks. */
struct deployment {
	struct mse_api_call *call;
	uint8_t *bytes; /* of the manifest */
	size_t size;
	uint8_t signature[MSE_SIGNATURE_SIZE];
	struct mse_manifest *manifest;
	char id[MSE_INSTANCE_ID_TEXT_SIZE];
	char *replaces; /* "" or an instance id */
	char *plan_name;
	const struct mse_node_plan *plan; /* the configuration's */
	struct mse_app *old; /* the instance that is replaced and not stopped, or NULL */
	struct mse_app *app;
	char *draft;    /* the folder while it is being made */
	char *app_dir;  /* where it goes */
	bool in_place;
};

static void deployment_clear(struct deployment *deployment)
{
	struct mse_error_info ignored;

	/* What cannot be removed now goes when msed starts again. */
	if (deployment->draft != NULL)
		mse_tree_remove(deployment->draft, &ignored);
	free(deployment->bytes);
	mse_manifest_free(deployment->manifest);
	free(deployment->replaces);
	free(deployment->plan_name);
	mse_app_free(deployment->old);
	mse_app_free(deployment->app);
	free(deployment->draft);
	free(deployment->app_dir);
}

static int read_request(struct deployment *deployment, struct mse_buffer **ret_body, struct mse_error_info *err)
{
	static const char *const members[] = { "manifest", "manifest_signature", "replaces", NULL };
	static const char what[] = "the request";
	struct mse_api_call *call = deployment->call;
	mse_autojson *json = NULL;
	const char *manifest, *replaces;
	int result;

	if ((result = mse_api_query(mse_http_request_query(call->request), "plan", &deployment->plan_name, err)) < 0 ||
	    (deployment->plan_name == NULL && (result = mse_strdup("free", &deployment->plan_name, err)) < 0) ||
	    (result = mse_api_read_json(call, ret_body, &json, err)) < 0 || (result = mse_json_only(json, members, what, err)) < 0 ||
	    (result = mse_json_string(json, "manifest", what, &manifest, err)) < 0 ||
	    (result = mse_json_string(json, "replaces", what, &replaces, err)) < 0 ||
	    (result = mse_json_base64(json, "manifest_signature", what, deployment->signature, sizeof deployment->signature, err)) < 0 ||
	    (result = mse_base64_decode(manifest, MSE_MANIFEST_MAX_SIZE, &deployment->bytes, &deployment->size, "the request's 'manifest'", err)) < 0 ||
	    (result = mse_strdup(replaces, &deployment->replaces, err)) < 0)
		return result;
	result = mse_manifest_parse(deployment->bytes, deployment->size, &deployment->manifest, err);
	if (result < 0) {
		call->status = result == MSE_ERR_INPUT ? 400 : result == MSE_ERR_NOMEM ? 500 : 422;
		return result;
	}
	mse_hex_encode(deployment->id, deployment->manifest->instance_id, MSE_INSTANCE_ID_SIZE);
	return 0;
}

static int check_signatures(struct deployment *deployment, const struct mse_buffer *body, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	bool replace = deployment->replaces[0] != 0;
	int result;

	if ((result = mse_api_check_signature(deployment->call, manifest->owner_key, replace ? "replace" : "deploy", manifest->app_project,
		     manifest->app_name, deployment->replaces, deployment->id, body, err)) < 0 ||
	    (result = mse_measurement(deployment->bytes, deployment->size, deployment->app->measurement, err)) < 0)
		return result;
	if (mse_manifest_verify_signature(manifest->owner_key, deployment->app->measurement, deployment->signature, err) < 0)
		return mse_api_refuse(deployment->call, 403, err, MSE_ERR_CRYPTO, "'manifest_signature' is not the signature of the manifest's owner over this "
			"manifest");
	return 0;
}

static int check_instance(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	struct mse_store *store = deployment->call->node->store;
	uint8_t owner[MSE_SIGN_KEY_SIZE];
	bool seen;
	int result = mse_store_instance_seen(store, deployment->id, &seen, err);

	if (result < 0)
		return result;
	if (seen)
		return mse_fail(err, MSE_ERR_EXISTS, "the instance id %s was used before on this node; every deployment needs a fresh one", deployment->id);
	result = mse_store_name_owner(store, manifest->app_project, manifest->app_name, owner, err);
	if (result == 0 && memcmp(owner, manifest->owner_key, sizeof owner) != 0)
		return mse_fail(err, MSE_ERR_DENIED, "the name '%s' in project '%s' belongs to another owner; choose another name or project",
			manifest->app_name, manifest->app_project);
	return result == MSE_ERR_NOT_FOUND ? 0 : result;
}

static int note_running(void *context, const struct mse_app *app, struct mse_error_info *err)
{
	struct deployment *deployment = context;

	if (app->stopped_at != 0)
		return 0;
	if (strcmp(app->id, deployment->replaces) != 0)
		return mse_api_refuse(deployment->call, 409, err, MSE_ERR_EXISTS, "the app '%s' of project '%s' runs as instance %s; replace it by that id, or stop it "
			"first", app->name, app->project, app->id);
	return mse_store_find(deployment->call->node->store, app->id, &deployment->old, err);
}

static int check_replaced(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	mse_cleanup(mse_app_freep) struct mse_app *old = NULL;
	struct mse_store *store = deployment->call->node->store;
	int result = mse_store_each(store, manifest->app_project, manifest->app_name, note_running, deployment, err);

	if (result < 0 || deployment->replaces[0] == 0 || deployment->old != NULL)
		return result;
	/* It has stopped meanwhile: the same end, if it is what the owner meant. */
	if (strlen(deployment->replaces) != MSE_INSTANCE_ID_TEXT_SIZE - 1)
		return mse_fail(err, MSE_ERR_INPUT, "'replaces' is not a whole instance id of 64 hex digits");
	if ((result = mse_store_find(store, deployment->replaces, &old, err)) < 0)
		return mse_context(err, "'replaces'");
	if (strcmp(old->project, manifest->app_project) != 0 || strcmp(old->name, manifest->app_name) != 0 ||
	    memcmp(old->owner, manifest->owner_key, sizeof old->owner) != 0)
		return mse_fail(err, MSE_ERR_DENIED, "'replaces' names an instance of another app");
	return 0;
}

static int check_quota(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_node *node = deployment->call->node;
	uint64_t all, mine, freed = deployment->old != NULL;
	int result = mse_store_counts(node->store, deployment->manifest->owner_key, &all, &mine, err);

	if (result < 0)
		return result;
	if (all - freed >= node->config->max_apps)
		return mse_api_refuse(deployment->call, 429, err, MSE_ERR_LIMIT, "this node runs %llu apps, which is all that it may; stop one first",
			(unsigned long long)all);
	if (mine - freed >= node->config->max_apps_per_owner)
		return mse_api_refuse(deployment->call, 429, err, MSE_ERR_LIMIT, "%llu of your apps run on this node, which is all that one owner may have; stop one "
			"first", (unsigned long long)mine);
	return 0;
}

static int check_limits(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	struct mse_api_call *call = deployment->call;
	const struct mse_node_plan *plan = mse_node_config_plan(call->node->config, deployment->plan_name);
	int64_t now = mse_time_now(), lifetime;

	if (plan == NULL)
		return mse_api_refuse(call, 422, err, MSE_ERR_NOT_FOUND, "this node has no plan '%.100s'", deployment->plan_name);
	const struct {
		const char *name;
		uint64_t asked, planned;
	} limits[] = { { "memory", manifest->memory, plan->memory_size }, { "cpu_millis", manifest->cpu_millis, plan->cpu_thousandths },
		{ "storage", manifest->storage, plan->storage_size }, { "threads", manifest->threads, plan->threads } };
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (limits[i].asked != limits[i].planned)
			return mse_api_refuse(call, 422, err, MSE_ERR_DENIED, "the manifest's limit '%s' is %llu, that of the plan '%s' is %llu", limits[i].name,
				(unsigned long long)limits[i].asked, plan->name, (unsigned long long)limits[i].planned);
	deployment->plan = plan;
	lifetime = plan->lifetime_seconds != 0 && plan->lifetime_seconds < MAX_LIFETIME_SECONDS ? plan->lifetime_seconds : MAX_LIFETIME_SECONDS;
	if (manifest->expires_at <= now)
		return mse_api_refuse(call, 422, err, MSE_ERR_DENIED, "the manifest's expiry has passed already; check the clocks of both machines");
	if (manifest->expires_at > now + lifetime + EXPIRY_GRACE_SECONDS)
		return mse_api_refuse(call, 422, err, MSE_ERR_DENIED, "the manifest's expiry is %lld seconds from now, an app of the plan '%s' lives %lld seconds at "
			"most", (long long)(manifest->expires_at - now), plan->name, (long long)lifetime);
	return 0;
}

/* Each app has room on the disk for all of its storage, from its start on: what is free now is nobody's. */
static int check_disk(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_node *node = deployment->call->node;
	uint64_t needed = mse_shim_storage_disk_size(deployment->manifest->storage) + SPARE_DISK_SIZE, free_size;
	struct statvfs status;

	if (node->weaker & MSE_WEAKER_HOME)
		return 0;
	if (statvfs(node->apps, &status) < 0)
		return mse_fail_errno(err, "cannot examine the disk of '%s'", node->apps);
	free_size = (uint64_t)status.f_bavail * status.f_frsize;
	if (deployment->old != NULL)
		free_size += mse_shim_storage_disk_size(deployment->old->storage);
	if (free_size >= needed)
		return 0;
	return mse_api_refuse(deployment->call, 429, err, MSE_ERR_LIMIT, "this node's disk has no room for the storage of the plan '%s': it needs %llu MiB, %llu MiB "
		"are free; stop an app, or use a plan with less storage", deployment->plan_name, (unsigned long long)(needed / MIB),
		(unsigned long long)(free_size / MIB));
}

static int check_names(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	const char *domain = deployment->call->node->config->domain;
	mse_autofree char *by_address = NULL;
	mse_autofree char *by_instance = NULL;
	int result;

	if ((result = mse_address(manifest->app_project, manifest->app_name, manifest->owner_key, deployment->app->address, err)) < 0 ||
	    (result = mse_format(&by_address, err, "%s.%s", deployment->app->address, domain)) < 0 ||
	    (result = mse_format(&by_instance, err, "%.12s-i.%s", deployment->id, domain)) < 0)
		return result;
	if (manifest->tls_name_count == 2 && ((strcmp(manifest->tls_names[0], by_address) == 0 && strcmp(manifest->tls_names[1], by_instance) == 0) ||
						    (strcmp(manifest->tls_names[1], by_address) == 0 && strcmp(manifest->tls_names[0], by_instance) == 0)))
		return 0;
	return mse_api_refuse(deployment->call, 422, err, MSE_ERR_DENIED, "the manifest's TLS names are not exactly '%s' and '%s'", by_address, by_instance);
}

static int check_image(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	char here[MSE_DIGEST_TEXT_SIZE], wanted[MSE_DIGEST_TEXT_SIZE];
	int result = mse_image_find(deployment->call->node->images, manifest->image_name, &image, err);

	if (result == MSE_ERR_NOT_FOUND || result == MSE_ERR_INPUT)
		return mse_api_refuse(deployment->call, 422, err, MSE_ERR_NOT_FOUND, "this node has no image '%s'", manifest->image_name);
	if (result < 0)
		return result;
	if (memcmp(image->digest, manifest->image_digest, sizeof image->digest) == 0)
		return 0;
	mse_digest_format(here, image->digest);
	mse_digest_format(wanted, manifest->image_digest);
	return mse_api_refuse(deployment->call, 422, err, MSE_ERR_VERIFY, "the manifest wants the image '%s' with %s, this node has it with %s",
		manifest->image_name, wanted, here);
}

static int check_bundle(struct deployment *deployment, struct mse_error_info *err)
{
	if (mse_bundles_has(deployment->call->node->bundles, deployment->manifest->bundle_sha256))
		return 0;
	return mse_api_refuse(deployment->call, 409, err, MSE_ERR_STATE, "the bundle that the manifest names is not here: send it with PUT /v1/bundles/<its SHA-256> "
		"first");
}

static int fill_app(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_manifest *manifest = deployment->manifest;
	struct mse_app *app = deployment->app;
	int result;

	memcpy(app->id, deployment->id, sizeof app->id);
	memcpy(app->owner, manifest->owner_key, sizeof app->owner);
	memcpy(app->image_digest, manifest->image_digest, sizeof app->image_digest);
	app->memory = manifest->memory;
	app->cpu_millis = manifest->cpu_millis;
	app->storage = manifest->storage;
	app->threads = manifest->threads;
	app->expires_at = manifest->expires_at;
	app->created_at = mse_time_now();
	if ((result = mse_strdup(manifest->app_project, &app->project, err)) < 0 || (result = mse_strdup(manifest->app_name, &app->name, err)) < 0 ||
	    (result = mse_strdup(deployment->plan_name, &app->plan, err)) < 0 || (result = mse_strdup(manifest->image_name, &app->image_name, err)) < 0 ||
	    (result = mse_strdup(manifest->healthcheck_endpoint, &app->healthcheck, err)) < 0)
		return result;
	return mse_strdup("", &app->reason, err);
}

static int write_in(const char *folder, const char *name, const void *data, size_t size, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	int result = mse_path_join(folder, name, &path, err);

	return result < 0 ? result : mse_file_write(path, data, size, 0644, err);
}

/* All of the app's folder but what depends on port and uid. */
static int make_draft(struct deployment *deployment, struct mse_error_info *err)
{
	const struct mse_node *node = deployment->call->node;
	mse_autofree char *bundle = NULL;
	int result;

	if ((result = mse_node_app_dir(node, deployment->id, &deployment->app_dir, err)) < 0 ||
	    (result = mse_format(&deployment->draft, err, "%s/.new-%s", node->apps, deployment->id)) < 0 ||
	    (result = mse_tree_remove(deployment->draft, err)) < 0)
		return result;
	if (mkdir(deployment->draft, 0700) < 0)
		return mse_fail_errno(err, "cannot make the app's folder '%s'", deployment->draft);
	if ((result = mse_path_join(deployment->draft, MSE_SHIM_BUNDLE_FILE, &bundle, err)) < 0 ||
	    (result = mse_bundles_take(node->bundles, deployment->manifest->bundle_sha256, bundle, err)) < 0 ||
	    (result = write_in(deployment->draft, MSE_SHIM_MANIFEST_FILE, deployment->bytes, deployment->size, err)) < 0)
		return result;
	return write_in(deployment->draft, MSE_SHIM_SIGNATURE_FILE, deployment->signature, sizeof deployment->signature, err);
}

static int write_shim_config(const struct deployment *deployment, const struct mse_app *app, struct mse_error_info *err)
{
	const struct mse_node *node = deployment->call->node;
	mse_cleanup(mse_shim_config_freep) struct mse_shim_config *config = mse_shim_config_new();
	mse_autofree char *path = NULL;
	int result;

	if (config == NULL)
		return mse_fail_nomem(err);
	memcpy(config->instance_id, app->id, sizeof config->instance_id);
	config->uid = config->gid = app->uid;
	config->port = app->port;
	config->expires_at = app->expires_at;
	config->processes = deployment->plan->processes;
	config->open_files = deployment->plan->open_files;
	config->insecure_unlimited = node->config->insecure_unlimited;
	_Static_assert(MSE_NODE_MAX_DENIED <= MSE_SHIM_MAX_DENIED, "a shim is told all");
	for (size_t i = 0; i < node->config->denied_count; i++)
		config->denied[config->denied_count++] = node->config->denied[i];
	if ((result = mse_image_paths(node->images, app->image_name, &config->image, &config->image_cache, err)) < 0 ||
	    (result = mse_strdup(mse_runtime_program(node->runtime), &config->program, err)) < 0 ||
	    (result = mse_strdup(mse_runtime_lib_dir(node->runtime), &config->lib_dir, err)) < 0 ||
	    (result = mse_strdup(node->sim, &config->sim_dir, err)) < 0 ||
	    (result = mse_path_join(deployment->draft, MSE_SHIM_CONFIG_FILE, &path, err)) < 0)
		return result;
	return mse_shim_config_write(path, config, err);
}

/* Before the database knows of the app its folder is complete, and durable. */
static int put_in_place(void *context, const struct mse_app *app, struct mse_error_info *err)
{
	struct deployment *deployment = context;
	int result = write_shim_config(deployment, app, err);

	if (result < 0)
		return result;
	if (rename(deployment->draft, deployment->app_dir) < 0)
		return mse_fail_errno(err, "cannot put the app's folder '%s' in place", deployment->app_dir);
	deployment->in_place = true;
	return mse_dir_sync(deployment->call->node->apps, err);
}

static bool port_is_free(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	mse_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	/* As the shim will: connections of an earlier app that are not quite over do not count. */
	return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
}

static int record(struct deployment *deployment, struct mse_error_info *err)
{
	struct mse_node *node = deployment->call->node;
	const struct mse_store_ranges ranges = { .port_first = node->config->port_first, .port_last = node->config->port_last,
		.uid_first = node->config->uid_first, .uid_count = geteuid() == 0 ? node->config->uid_count : 0, .max_apps = node->config->max_apps,
		.max_apps_per_owner = node->config->max_apps_per_owner, .port_is_free = port_is_free };
	struct mse_error_info ignored;
	int result = mse_store_insert(node->store, &ranges, deployment->app, put_in_place, deployment, err);

	if (result < 0) {
		if (result == MSE_ERR_LIMIT)
			deployment->call->status = 429;
		if (deployment->in_place)
			mse_tree_remove(deployment->app_dir, &ignored);
		return result;
	}
	/* Before the shim takes note of the file: removing one of its names changes its stat data. */
	mse_bundles_remove(node->bundles, deployment->manifest->bundle_sha256);
	mse_log("app %.12s: deployed as '%s' of project '%s'; SIMULATION, not hardware", deployment->id, deployment->app->name, deployment->app->project);
	mse_supervisor_wake(node->supervisor);
	return 0;
}

/* The kernel may take a moment to end the last process that holds the port; the app's next instance is to get the same one. */
static void await_port(uint16_t port)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	uint64_t deadline = mse_monotonic_ms() + PORT_WAIT_MS;

	while (!port_is_free(port) && mse_monotonic_ms() < deadline)
		nanosleep(&pause, NULL);
}

static int stop_held(struct mse_node *node, const struct mse_app *app, const char *reason, struct mse_error_info *err)
{
	int result = mse_supervisor_hold(node->supervisor, app->id, err);

	if (result < 0)
		return result;
	result = mse_app_stop(node, app, reason, err);
	mse_supervisor_release(node->supervisor, app->id);
	if (result == 0)
		await_port(app->port);
	if (result == 0)
		mse_log("app %.12s: stopped (%s)", app->id, reason);
	return result;
}

static int deploy_claimed(struct deployment *deployment, struct mse_error_info *err)
{
	struct mse_node *node = deployment->call->node;
	mse_autoclose int images_fd = -1;
	int result;

	if ((result = check_instance(deployment, err)) < 0 || (result = check_replaced(deployment, err)) < 0 ||
	    (result = check_quota(deployment, err)) < 0 || (result = check_limits(deployment, err)) < 0 ||
	    (result = check_disk(deployment, err)) < 0 || (result = check_names(deployment, err)) < 0 ||
	    (result = mse_runtime_check(node->runtime, deployment->manifest, err)) < 0 ||
	    (result = mse_image_store_lock(node->images, false, &images_fd, err)) < 0 || (result = check_image(deployment, err)) < 0 ||
	    (result = check_bundle(deployment, err)) < 0 || (result = fill_app(deployment, err)) < 0 || (result = make_draft(deployment, err)) < 0)
		return result;
	/* Only what is known to be startable takes the place of what runs. */
	if (deployment->old != NULL && (result = stop_held(node, deployment->old, MSE_REASON_REPLACED, err)) < 0)
		return mse_context(err, "cannot replace instance %s", deployment->old->id);
	return record(deployment, err);
}

int mse_api_deploy(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(deployment_clear) struct deployment deployment = { .call = call };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	const struct mse_manifest *manifest;
	int result;

	deployment.app = mse_app_new();
	if (deployment.app == NULL)
		return mse_fail_nomem(err);
	if ((result = read_request(&deployment, &body, err)) < 0 || (result = check_signatures(&deployment, body, err)) < 0)
		return result;
	manifest = deployment.manifest;
	if ((result = mse_node_claim(call->node, manifest->app_project, manifest->app_name, err)) < 0)
		return result;
	result = deploy_claimed(&deployment, err);
	mse_node_unclaim(call->node, manifest->app_project, manifest->app_name);
	if (result < 0)
		return result;
	call->status = 201;
	return mse_api_app_json(call->node, deployment.app, ret_answer, err);
}

/* The app that a signed request is about; its owner has signed. */
static int find_signed(struct mse_api_call *call, const char *verb, struct mse_app **ret_app, struct mse_error_info *err)
{
	static const char *const no_members[] = { NULL };
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *body = NULL;
	mse_autojson *json = NULL;
	int result;

	if ((result = mse_api_read_json(call, &body, &json, err)) < 0 || (result = mse_json_only(json, no_members, "the request", err)) < 0 ||
	    (result = mse_store_find(call->node->store, call->param, &app, err)) < 0 ||
	    (result = mse_api_check_signature(call, app->owner, verb, app->project, app->name, app->id, "", body, err)) < 0)
		return result;
	*ret_app = mse_steal(app);
	return 0;
}

static int stop_claimed(struct mse_api_call *call, const char *id, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	mse_cleanup(mse_app_freep) struct mse_app *stopped = NULL;
	int result = mse_store_find(call->node->store, id, &app, err);

	if (result < 0 || (app->stopped_at == 0 && (result = stop_held(call->node, app, MSE_SHIM_REASON_OWNER, err)) < 0) ||
	    (result = mse_store_find(call->node->store, id, &stopped, err)) < 0)
		return result;
	return mse_api_app_json(call->node, stopped, ret_answer, err);
}

int mse_api_stop(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	int result;

	if ((result = find_signed(call, "stop", &app, err)) < 0 || (result = mse_node_claim(call->node, app->project, app->name, err)) < 0)
		return result;
	result = stop_claimed(call, app->id, ret_answer, err);
	mse_node_unclaim(call->node, app->project, app->name);
	return result;
}

static int remove_claimed(struct mse_api_call *call, const char *id, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	mse_autofree char *app_dir = NULL;
	int result = mse_store_find(call->node->store, id, &app, err);

	if (result < 0)
		return result;
	if (app->stopped_at == 0)
		return mse_fail(err, MSE_ERR_STATE, "the app '%s' is not stopped; stop it first", app->name);
	/* The row goes first: a folder without one is removed when msed starts again. */
	if ((result = mse_node_app_dir(call->node, app->id, &app_dir, err)) < 0 || (result = mse_api_app_json(call->node, app, ret_answer, err)) < 0 ||
	    (result = mse_store_forget(call->node->store, app->id, true, err)) < 0)
		return result;
	return mse_tree_remove(app_dir, err);
}

int mse_api_remove(struct mse_api_call *call, json_t **ret_answer, struct mse_error_info *err)
{
	mse_cleanup(mse_app_freep) struct mse_app *app = NULL;
	int result;

	if ((result = find_signed(call, "remove", &app, err)) < 0 || (result = mse_node_claim(call->node, app->project, app->name, err)) < 0)
		return result;
	result = remove_claimed(call, app->id, ret_answer, err);
	mse_node_unclaim(call->node, app->project, app->name);
	return result;
}
