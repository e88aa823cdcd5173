#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "mse/attest.h"

#define ANSWER "the node's answer"

void mse_node_info_clear(struct mse_node_info *info)
{
	free(mse_steal(info->version));
	free(mse_steal(info->tee));
	free(mse_steal(info->domain));
}

static int read_info(const json_t *json, struct mse_node_info *info, struct mse_error_info *err)
{
	const char *domain;
	uint64_t api, time;
	int result;

	if ((result = mse_json_u64(json, "api", ANSWER, 0, UINT32_MAX, &api, err)) < 0)
		return result;
	if (api != 1)
		return mse_fail(err, MSE_ERR_UNSUPPORTED, "the node speaks version %llu of its API, this mse speaks version 1: use releases of the same age",
			(unsigned long long)api);
	if ((result = mse_json_string(json, "domain", ANSWER, &domain, err)) < 0 ||
	    (result = mse_json_bool(json, "simulated", ANSWER, &info->simulated, err)) < 0 ||
	    (result = mse_json_u64(json, "time", ANSWER, 0, INT64_MAX, &time, err)) < 0 ||
	    (result = mse_cli_text_of(json, "version", &info->version, err)) < 0 || (result = mse_cli_text_of(json, "tee", &info->tee, err)) < 0)
		return result;
	info->time = (int64_t)time;
	return mse_strdup(domain, &info->domain, err);
}

/* The root that the node tells must be the certificate that it shows. */
static int read_root(const json_t *json, uint8_t digest[static MSE_SHA256_SIZE], struct mse_error_info *err)
{
	uint8_t computed[MSE_SHA256_SIZE];
	const char *certificate;
	json_t *root;
	int result;

	if ((result = mse_json_object(json, "simulation_root", ANSWER, &root, err)) < 0 ||
	    (result = mse_json_hex(root, "sha256", ANSWER, digest, MSE_SHA256_SIZE, err)) < 0 ||
	    (result = mse_json_string(root, "certificate", ANSWER, &certificate, err)) < 0)
		return result;
	if (mse_root_fingerprint(certificate, strlen(certificate), computed) != MSE_ATTEST_PASS || !mse_equal(digest, computed, sizeof computed))
		return mse_fail(err, MSE_ERR_VERIFY, "the node tells a simulation root that is not the certificate that it shows; nothing was sent");
	return 0;
}

static int check_root(struct mse_client *node, struct mse_cli *cli, const json_t *json, struct mse_node_record *record, const char *record_path,
	struct mse_error_info *err)
{
	char text[MSE_DIGEST_TEXT_SIZE], pinned[MSE_DIGEST_TEXT_SIZE];
	uint8_t root[MSE_SHA256_SIZE];
	int result = read_root(json, root, err);

	if (result < 0)
		return result;
	mse_digest_format(text, root);
	if (record->has_root) {
		if (mse_equal(root, record->simulation_root, sizeof root))
			return 0;
		mse_digest_format(pinned, record->simulation_root);
		return mse_fail(err, MSE_ERR_VERIFY,
			"the node %s has another simulation root than at first contact:\n  pinned:      %s\n  it has now:  %s\nNothing was sent. "
			"If you set the node up anew yourself, remove '%s' and try again.", mse_client_address(node), pinned, text, record_path);
	}
	memcpy(record->simulation_root, root, sizeof root);
	record->has_root = true;
	if ((result = mse_node_record_save(cli, mse_client_address(node), record, err)) < 0)
		return result;
	mse_cli_say(cli, "first contact with the node %s: from now on it is known by its simulation root\n  %s", mse_client_address(node), text);
	return 0;
}

int mse_client_contact(struct mse_client *node, struct mse_cli *cli, struct mse_node_info *ret_info, struct mse_node_record *ret_record,
	struct mse_error_info *err)
{
	struct mse_node_record record;
	struct mse_node_info info = { 0 };
	mse_autojson *json = NULL;
	mse_autofree char *path = NULL;
	int result;

	if ((result = mse_node_record_load(cli, mse_client_address(node), &record, &path, err)) < 0 ||
	    (result = mse_client_get(node, "/v1/node", &json, err)) < 0)
		return result;
	result = read_info(json, &info, err);
	if (result == 0 && info.simulated)
		result = check_root(node, cli, json, &record, path, err);
	if (result == 0 && ret_record != NULL)
		*ret_record = record;
	if (result == 0 && ret_info != NULL)
		*ret_info = info;
	else
		mse_node_info_clear(&info);
	return result;
}

int mse_client_open_known(struct mse_cli *cli, struct mse_client **ret_node, struct mse_error_info *err)
{
	mse_cleanup(mse_client_freep) struct mse_client *node = NULL;
	int result;

	if ((result = mse_client_open(cli, &node, err)) < 0 || (result = mse_client_contact(node, cli, NULL, NULL, err)) < 0)
		return result;
	*ret_node = mse_steal(node);
	return 0;
}
