#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "bundle/bundle.h"
#include "bundle/walk.h"
#include "cli/attested.h"
#include "cli/conf.h"
#include "cli/context.h"
#include "cli/runtime.h"
#include "cli/store.h"
#include "cli/verdict_view.h"
#include "crypto/hash.h"
#include "manifest/app_json.h"

#define CERTIFICATE_MAX_SIZE ((size_t)64 * 1024)

struct verification {
	struct mse_cli *cli;
	const char *url;
	struct mse_attested *attested;
	struct mse_stored_app *stored; /* the owner's own, when it counts */
	struct mse_context_info *context;
	struct mse_runtime runtime;
	uint8_t measurement[MSE_SHA256_SIZE];
	uint8_t owner_key[MSE_SIGN_KEY_SIZE];
	uint8_t image_digest[MSE_SHA256_SIZE];
	uint8_t bundle_sha256[MSE_SHA256_SIZE];
	uint8_t commitment[MSE_SHA256_SIZE];
	uint8_t simulation_root[MSE_SHA256_SIZE];
	struct mse_expectations expected;
	struct mse_verify_params params;
	struct mse_verdict *verdict;
	struct mse_peer *peer;
};

static void clear(struct verification *it)
{
	mse_attested_free(it->attested);
	mse_stored_app_free(it->stored);
	mse_context_info_free(it->context);
	mse_runtime_clear(&it->runtime);
	mse_verdict_free(it->verdict);
	mse_peer_free(it->peer);
}

static const char *option(const struct verification *it, enum mse_option which)
{
	return mse_cli_option(it->cli, which);
}

static int check_usage(const struct verification *it, struct mse_error_info *err)
{
	if (option(it, MSE_OPT_SIMULATION_ROOT) != NULL && option(it, MSE_OPT_ALLOW_SIMULATION) == NULL)
		return mse_cli_usage(it->cli, err, "--simulation-root says which simulation is accepted; that one is accepted at all, --allow-simulation must say");
	if (option(it, MSE_OPT_CODE) == NULL && (option(it, MSE_OPT_SALT) != NULL || option(it, MSE_OPT_PYTHON_APPLICATION) != NULL))
		return mse_cli_usage(it->cli, err, "--salt and --python-application go with --code");
	return 0;
}

/* A finding made before anything was asked of the other side fails the verdict all the same. */
static int fail_early(struct verification *it, const char *check, const char *expected, const char *found, struct mse_error_info *err)
{
	if (it->verdict == NULL && (it->verdict = mse_verdict_new()) == NULL)
		return mse_fail_nomem(err);
	mse_verdict_add_check(it->verdict, check, false, expected, found);
	return 0;
}

static int take_context(struct verification *it, const char *path, struct mse_error_info *err)
{
	mse_autojson *json = NULL;
	int result = mse_json_read(path, MSE_CONTEXT_MAX_SIZE, &json, err);

	if (result < 0)
		return result;
	result = mse_context_read(json, path, &it->context, err);
	if (result == MSE_ERR_CRYPTO)
		return fail_early(it, "context-signature", "a context signed by the app's owner", err->message, err);
	if (result < 0)
		return result;
	it->expected.manifest = mse_view_of(mse_buffer_data(it->context->manifest), mse_buffer_size(it->context->manifest));
	if (it->context->platform_count > 0) {
		it->expected.platforms = it->context->platforms;
		it->expected.platform_count = it->context->platform_count;
	}
	return 0;
}

/* The owner's own context counts where nothing else is named that would fix the manifest, and only if it bears the owner's own key. */
static int take_own_context(struct verification *it, struct mse_error_info *err)
{
	mse_autofree char *path = NULL;
	struct mse_owner owner;
	bool mine;
	int result;

	if ((result = mse_stored_find_url(it->cli, mse_attested_host(it->attested), it->url, &it->stored, err)) < 0 || it->stored == NULL)
		return result;
	if ((result = mse_owner_load_existing(it->cli, &owner, err)) < 0 || (result = mse_stored_path(it->stored, "context.json", &path, err)) < 0)
		return result;
	result = take_context(it, path, err);
	mine = it->context != NULL && mse_equal(it->context->owner, owner.sign.public_key, MSE_SIGN_KEY_SIZE);
	mse_owner_clear(&owner);
	if (result < 0 || it->context == NULL)
		return result;
	if (!mine)
		return fail_early(it, "context-owner", "your own key", "another owner's key on the context in your store", err);
	mse_cli_say(it->cli, "comparing with your own deployment of '%s', instance %.12s…", it->context->name, it->stored->id_text);
	return 0;
}

static int take_owner(struct verification *it, struct mse_error_info *err)
{
	char expected[MSE_DIGEST_TEXT_SIZE], found[MSE_DIGEST_TEXT_SIZE];
	int result;

	if (option(it, MSE_OPT_OWNER) == NULL)
		return 0;
	if ((result = mse_owner_key_parse(option(it, MSE_OPT_OWNER), it->owner_key, err)) < 0)
		return result;
	it->expected.owner_key = it->owner_key;
	if (it->context == NULL || mse_equal(it->owner_key, it->context->owner, MSE_SIGN_KEY_SIZE))
		return 0;
	if ((result = mse_key_fingerprint(it->owner_key, expected, err)) < 0 || (result = mse_key_fingerprint(it->context->owner, found, err)) < 0)
		return result;
	return fail_early(it, "context-owner", expected, found, err);
}

static int take_code(struct verification *it, struct mse_error_info *err)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *app_json = NULL;
	uint8_t salt[MSE_BUNDLE_SALT_SIZE], digest[MSE_TREE_DIGEST_SIZE];
	const char *application = option(it, MSE_OPT_PYTHON_APPLICATION), *salt_text = option(it, MSE_OPT_SALT);
	int result;

	if (option(it, MSE_OPT_CODE) == NULL)
		return 0;
	if (it->context == NULL && (application == NULL || salt_text == NULL))
		return mse_cli_usage(it->cli, err, "--code without a context needs --salt HEX and --python-application MODULE:NAME: the app's owner tells them");
	if (salt_text == NULL)
		memcpy(salt, it->context->salt, sizeof salt);
	else if ((result = mse_hex_decode(salt, sizeof salt, salt_text, "the value of --salt", err)) < 0)
		return result;
	if (application == NULL)
		application = it->context->python_application;
	if ((result = mse_walk_open(option(it, MSE_OPT_CODE), &walk, err)) < 0 || (result = mse_app_json_encode(application, salt, &app_json, err)) < 0 ||
	    (result = mse_bundle_tree_digest(walk, mse_buffer_data(app_json), mse_buffer_size(app_json), digest, err)) < 0 ||
	    (result = mse_code_commitment(salt, digest, it->commitment, err)) < 0)
		return result;
	it->expected.code_commitment = it->commitment;
	return 0;
}

static int take_rest(struct verification *it, struct mse_error_info *err)
{
	const char *text;
	int result;

	if ((text = option(it, MSE_OPT_MEASUREMENT)) != NULL) {
		if ((result = mse_digest_parse(text, it->measurement, "the value of --measurement", err)) < 0)
			return result;
		it->expected.measurement = it->measurement;
	}
	if ((text = option(it, MSE_OPT_TRUST_IMAGE)) != NULL) {
		if ((result = mse_digest_parse(text, it->image_digest, "the value of --trust-image", err)) < 0)
			return result;
		it->expected.image_digest = it->image_digest;
	}
	if ((text = option(it, MSE_OPT_BUNDLE)) != NULL) {
		if ((result = mse_sha256_file(text, it->bundle_sha256, NULL, err)) < 0)
			return mse_context(err, "the bundle '%s'", text);
		it->expected.bundle_sha256 = it->bundle_sha256;
	}
	if (it->context != NULL || it->expected.measurement != NULL)
		return 0;
	/* Nothing names the whole manifest: the runtime in it must be the one that came with this mse. */
	if ((result = mse_runtime_load(&it->runtime, err)) < 0)
		return result;
	it->expected.runtime = it->runtime.files;
	it->expected.runtime_count = it->runtime.count;
	it->expected.runtime_security_version = it->runtime.security_version;
	return 0;
}

static int take_simulation_root(struct verification *it, struct mse_error_info *err)
{
	const char *text = option(it, MSE_OPT_SIMULATION_ROOT);
	mse_autofree uint8_t *certificate = NULL;
	struct mse_error_info ignored;
	size_t size;
	int result;

	if (option(it, MSE_OPT_ALLOW_SIMULATION) == NULL)
		return 0;
	it->params.simulation_root = it->simulation_root;
	if (text == NULL) {
		if (it->context == NULL || !it->context->has_simulation_root)
			return mse_cli_usage(it->cli, err, "--allow-simulation permits a simulation and does not choose one: name its root with "
				"--simulation-root FILE|SHA256, or give a context that does");
		memcpy(it->simulation_root, it->context->simulation_root, sizeof it->simulation_root);
		return 0;
	}
	if (mse_digest_parse(text, it->simulation_root, "the value of --simulation-root", &ignored) == 0)
		return 0;
	if ((result = mse_file_read(text, CERTIFICATE_MAX_SIZE, &certificate, &size, err)) < 0)
		return mse_context(err, "--simulation-root is neither a SHA-256 nor a file that can be read");
	if (mse_root_fingerprint(certificate, size, it->simulation_root) != MSE_ATTEST_PASS)
		return mse_fail(err, MSE_ERR_INPUT, "'%s' is not a certificate, in PEM or DER", text);
	return 0;
}

static int gather(struct verification *it, struct mse_error_info *err)
{
	bool named = option(it, MSE_OPT_MEASUREMENT) != NULL || option(it, MSE_OPT_OWNER) != NULL || option(it, MSE_OPT_TRUST_IMAGE) != NULL;
	int result;

	if (option(it, MSE_OPT_CONTEXT) != NULL)
		result = take_context(it, option(it, MSE_OPT_CONTEXT), err);
	else
		result = named ? 0 : take_own_context(it, err);
	if (result < 0 || it->verdict != NULL || (result = take_owner(it, err)) < 0 || it->verdict != NULL)
		return result;
	if ((result = take_code(it, err)) < 0 || (result = take_rest(it, err)) < 0)
		return result;
	return take_simulation_root(it, err);
}

/* What was held against the evidence beyond it: shown like the other steps. */
static int examine(struct verification *it, struct mse_error_info *err)
{
	char fingerprint[MSE_DIGEST_TEXT_SIZE];
	int result;

	it->expected.host = mse_attested_host(it->attested);
	it->params.time = mse_time_now();
	result = mse_attested_verify(it->attested, &it->expected, &it->params, &it->verdict, &it->peer, err);
	/* No answer, or none that can be examined, is an answer too: not this one. */
	if (result == MSE_ERR_VERIFY || result == MSE_ERR_CLOSED || result == MSE_ERR_TIMEOUT || result == MSE_ERR_LIMIT)
		return fail_early(it, "evidence", "session evidence of an mse application", err->message, err);
	if (result < 0)
		return result;
	if (it->context == NULL)
		return 0;
	if ((result = mse_key_fingerprint(it->context->owner, fingerprint, err)) < 0)
		return result;
	mse_verdict_add_check(it->verdict, "context-signature", true, fingerprint, fingerprint);
	return 0;
}

static int write_output(struct verification *it, struct mse_error_info *err)
{
	const char *path = option(it, MSE_OPT_OUTPUT);
	mse_autofree char *pem = NULL;
	int result;

	if (path == NULL)
		return 0;
	if ((result = mse_attested_leaf_pem(it->attested, &pem, err)) < 0 || (result = mse_file_write(path, pem, strlen(pem), 0644, err)) < 0)
		return result;
	mse_cli_say(it->cli, "the verified certificate is in %s:\n  curl --cacert %s %s", path, path, it->url);
	return 0;
}

static int answer(struct verification *it, struct mse_error_info *err)
{
	mse_autojson *json = json_pack("{s:s}", "url", it->url);
	char fingerprint[MSE_DIGEST_TEXT_SIZE];
	int result;

	if (json == NULL)
		return mse_fail_nomem(err);
	if ((result = mse_verdict_view_add(json, it->verdict, err)) < 0)
		return result;
	if (it->peer != NULL && ((result = mse_json_set_hex(json, "measurement", it->peer->measurement, MSE_SHA256_SIZE, err)) < 0 ||
				 (result = mse_json_set(json, "state", json_string(it->peer->state), err)) < 0 ||
				 (result = mse_json_set_base64(json, "owner", it->peer->manifest->owner_key, MSE_SIGN_KEY_SIZE, err)) < 0))
		return result;
	if (it->context != NULL && ((result = mse_key_fingerprint(it->context->owner, fingerprint, err)) < 0 ||
				    (result = mse_json_set(json, "owner_fingerprint", json_string(fingerprint), err)) < 0))
		return result;
	return mse_cli_answer(it->cli, json, err);
}

/* Printable: the manifest takes one form of each target only. */
static void say_egress(const struct verification *it)
{
	const struct mse_manifest *manifest = it->peer->manifest;

	if (manifest->egress == MSE_EGRESS_LIST)
		mse_cli_say(it->cli, "  it may open connections to these only:");
	else
		mse_cli_say(it->cli, "  it may open connections %s", manifest->egress == MSE_EGRESS_NONE ? "to nobody" : "to anybody outside the node");
	for (size_t i = 0; i < manifest->egress_target_count; i++)
		mse_cli_say(it->cli, "    %s", manifest->egress_targets[i]);
}

static void say_passed(const struct verification *it)
{
	char measurement[2 * MSE_SHA256_SIZE + 1];

	mse_hex_encode(measurement, it->peer->measurement, MSE_SHA256_SIZE);
	mse_cli_say(it->cli, "\nPASS: %s is the app '%s' of project '%s', in state '%s'\n  measurement  %s", it->url, it->peer->manifest->app_name,
		it->peer->manifest->app_project, it->peer->state, measurement);
	say_egress(it);
	mse_cli_say(it->cli, "  CPU and network limits are the node's promise: the measured code does not enforce them");
	if (mse_verdict_simulated(it->verdict))
		mse_cli_say(it->cli, "\nThis is SIMULATED: there is no hardware enclave, and the operator of that machine can read and change everything in it.");
}

static int conclude(struct verification *it, struct mse_error_info *err)
{
	const struct mse_check *failed;
	int result;

	mse_verdict_view_print(it->cli, it->verdict);
	if (mse_verdict_passed(it->verdict) && it->peer != NULL) {
		say_passed(it);
		return (result = write_output(it, err)) < 0 ? result : answer(it, err);
	}
	mse_cli_say(it->cli, "\nFAIL");
	if ((result = answer(it, err)) < 0)
		return result;
	failed = mse_verdict_first_failed(it->verdict);
	if (mse_verdict_view_refused_simulation(it->verdict) && option(it, MSE_OPT_ALLOW_SIMULATION) == NULL)
		return mse_fail(err, MSE_ERR_VERIFY, "verification failed at '%s': the app is simulated, and whoever runs that machine can read everything in it. "
			"To accept this nevertheless, give --allow-simulation%s", failed == NULL ? "its end" : failed->name,
			it->context != NULL && it->context->has_simulation_root ? "" : " and --simulation-root");
	return mse_fail(err, MSE_ERR_VERIFY, "verification failed at '%s'%s: do not send anything to %s", failed == NULL ? "its end" : failed->name,
		option(it, MSE_OPT_OUTPUT) == NULL ? "" : ", and no certificate was written", it->url);
}

int mse_cmd_verify(struct mse_cli *cli, struct mse_error_info *err)
{
	struct verification it = { .cli = cli, .url = cli->args.operands[0] };
	int result;

	if ((result = check_usage(&it, err)) < 0)
		return result;
	if ((result = mse_attested_open(it.url, NULL, &it.attested, err)) < 0)
		cli->usage_error = result == MSE_ERR_INPUT;
	if (result == 0)
		result = gather(&it, err);
	if (result == 0 && it.verdict == NULL)
		result = examine(&it, err);
	if (result == 0)
		result = conclude(&it, err);
	clear(&it);
	return result;
}
