#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "bundle/bundle.h"
#include "enclave/enclave.h"
#include "manifest/app_json.h"

#define WHAT "the provisioning message"

/* What a message brings, owned here until it is accepted. */
struct provision {
	struct mse_secret *code_key;
	struct mse_secret *app_secrets;
};

static void provision_clear(struct provision *provision)
{
	mse_secret_free(provision->code_key);
	mse_secret_free(provision->app_secrets);
}

static int read_secret(const json_t *json, const char *member, size_t size, size_t max_size, struct mse_secret **ret_secret,
	struct mse_error_info *err)
{
	const char *text;
	int result = mse_json_string(json, member, WHAT, &text, err);

	if (result < 0)
		return result;
	if (strlen(text) / 4 * 3 > max_size + 3)
		return mse_fail(err, MSE_ERR_LIMIT, WHAT ": '%s' has more than %zu bytes", member, max_size);
	result = mse_secret_from_base64(text, strlen(text), size, ret_secret, err);
	return result < 0 ? mse_context(err, WHAT ": '%s'", member) : 0;
}

static int read_message(const struct mse_buffer *body, const struct mse_manifest *manifest, struct provision *ret_provision,
	struct mse_error_info *err)
{
	static const char *const members[] = { "app_secrets", "code_secret_key", "ssl_certificate", "ssl_private_key", "uuid", NULL };
	mse_autojson *json = NULL;
	uint8_t uuid[MSE_INSTANCE_ID_SIZE];
	int result;

	if ((result = mse_json_parse(mse_buffer_data(body), mse_buffer_size(body), WHAT, &json, err)) < 0 ||
	    (result = mse_json_only(json, members, WHAT, err)) < 0 || (result = mse_json_hex(json, "uuid", WHAT, uuid, sizeof uuid, err)) < 0)
		return result;
	if (memcmp(uuid, manifest->instance_id, sizeof uuid) != 0)
		return mse_fail(err, MSE_ERR_DENIED, WHAT " is for another instance");
	if (!json_is_null(json_object_get(json, "ssl_private_key")) || !json_is_null(json_object_get(json, "ssl_certificate")))
		return mse_fail(err, MSE_ERR_UNSUPPORTED, WHAT " brings a certificate, which the manifest's TLS mode has no use for");
	if ((result = read_secret(json, "code_secret_key", MSE_BUNDLE_KEY_SIZE, MSE_BUNDLE_KEY_SIZE, &ret_provision->code_key, err)) < 0)
		return result;
	if (json_is_null(json_object_get(json, "app_secrets")))
		return 0;
	return read_secret(json, "app_secrets", 0, MSE_APP_SECRETS_MAX_SIZE, &ret_provision->app_secrets, err);
}

/* The cipher does not commit to its key: a bundle made to open under two of them is caught here. */
static int check_commitment(const struct mse_enclave *enclave, const struct mse_bundle_opened *opened, const uint8_t salt[static MSE_BUNDLE_SALT_SIZE],
	struct mse_error_info *err)
{
	uint8_t commitment[MSE_SHA256_SIZE];
	int result = mse_code_commitment(salt, opened->tree_digest, commitment, err);

	if (result < 0)
		return result;
	if (!mse_equal(commitment, enclave->manifest->code_commitment, sizeof commitment))
		return mse_fail(err, MSE_ERR_CRYPTO, "the code in the bundle is not the code that the manifest commits to");
	return 0;
}

/* Empties the application's folder, a mount point of its own, after a bundle that was opened and then refused. */
static void remove_code(void)
{
	struct mse_error_info ignored;
	DIR *dir = opendir(MSE_ENCLAVE_APP_DIR);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		mse_autofree char *path = NULL;

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    mse_path_join(MSE_ENCLAVE_APP_DIR, entry->d_name, &path, &ignored) == 0)
			(void)mse_tree_remove(path, &ignored);
	}
	if (dir != NULL)
		closedir(dir);
}

int mse_provision_open_bundle(struct mse_enclave *enclave, const struct mse_secret *code_key, struct mse_error_info *err)
{
	mse_autoclose int folder = open(MSE_ENCLAVE_APP_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct mse_bundle_opened opened = { 0 };
	struct mse_app_json app = { 0 };
	int result;

	/* From its beginning, as an earlier attempt may have been refused. */
	if (lseek(MSE_ENCLAVE_BUNDLE_FD, 0, SEEK_SET) < 0 || folder < 0)
		return mse_fail_errno(err, "cannot reach the bundle or the application's folder");
	result = mse_bundle_open(MSE_ENCLAVE_BUNDLE_FD, code_key, folder, NULL, &opened, err);
	if (result == 0) {
		result = mse_app_json_parse(opened.app_json, opened.app_json_size, &app, err);
		if (result == 0)
			result = check_commitment(enclave, &opened, app.salt, err);
		if (result < 0)
			remove_code();
	}
	if (result == 0)
		enclave->application = mse_steal(app.python_application);
	mse_app_json_clear(&app);
	mse_bundle_opened_clear(&opened);
	return result;
}

static int check_signature(const struct mse_enclave *enclave, const struct mse_buffer *body, const char *header,
	const uint8_t exporter[static MSE_EXPORTER_SIZE], struct mse_error_info *err)
{
	uint8_t signature[MSE_SIGNATURE_SIZE];
	int result = mse_base64_decode_fixed(header, signature, sizeof signature, "Mse-Signature", err);

	if (result < 0)
		return result;
	result = mse_provision_verify(enclave->manifest->owner_key, mse_buffer_data(body), mse_buffer_size(body), exporter, enclave->measurement,
		signature, err);
	return result < 0 ? mse_context(err, "the owner's signature over message, connection and measurement") : 0;
}

static int save_state(struct mse_enclave *enclave, struct mse_error_info *err)
{
	mse_cleanup(mse_buffer_freep) struct mse_buffer *sealed = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *answer = NULL;
	int result;

	/* Where the TEE has no sealing key, a restart waits for its owner. */
	if (enclave->sealing_key == NULL)
		return 0;
	if ((result = mse_enclave_state_seal(&enclave->state, enclave->sealing_key, &sealed, err)) < 0)
		return result;
	result = mse_channel_ask(enclave->channel, MSE_FRAME_SAVE_STATE, mse_buffer_data(sealed), mse_buffer_size(sealed), 0, &answer, err);
	if (result < 0)
		return mse_context(err, "the sealed state could not be kept");
	mse_secret_free(mse_steal(enclave->sealing_key));
	return 0;
}

static int make_receipt(const struct mse_enclave *enclave, const struct mse_buffer *body, char **ret_receipt, struct mse_error_info *err)
{
	uint8_t signature[MSE_SIGNATURE_SIZE];
	mse_autofree char *text = NULL;
	int64_t clock = mse_time_now();
	int result;

	if ((result = mse_receipt_sign(&enclave->state.identity, mse_buffer_data(body), mse_buffer_size(body), enclave->measurement, clock, signature,
		     err)) < 0 ||
	    (result = mse_base64_encode(signature, sizeof signature, &text, err)) < 0)
		return result;
	return mse_format(ret_receipt, err, "{\"clock\":%lld,\"signature\":\"%s\"}", (long long)clock, text);
}

int mse_provision_accept(struct mse_enclave *enclave, const struct mse_buffer *body, const char *signature_header,
	const uint8_t exporter[static MSE_EXPORTER_SIZE], char **ret_receipt, struct mse_error_info *err)
{
	struct provision provision = { 0 };
	int result;

	/* Another message may have been accepted while this one waited for its turn. */
	if (enclave->state.code_key != NULL || mse_enclave_phase(enclave) != MSE_PHASE_WAITING)
		return mse_fail(err, MSE_ERR_STATE, "this instance is provisioned already");
	if ((result = check_signature(enclave, body, signature_header, exporter, err)) < 0)
		return result;
	if ((result = read_message(body, enclave->manifest, &provision, err)) < 0 ||
	    (result = mse_provision_open_bundle(enclave, provision.code_key, err)) < 0) {
		provision_clear(&provision);
		return result;
	}
	enclave->state.code_key = provision.code_key;
	enclave->state.app_secrets = provision.app_secrets;
	/* What is sealed has its storage: a restart finds both, or neither. */
	if ((result = mse_enclave_storage_await(enclave, err)) == 0 && (result = save_state(enclave, err)) == 0)
		result = make_receipt(enclave, body, ret_receipt, err);
	if (result < 0) {
		enclave->state.code_key = NULL;
		enclave->state.app_secrets = NULL;
		provision_clear(&provision);
		free(mse_steal(enclave->application));
		remove_code();
	}
	return result;
}
