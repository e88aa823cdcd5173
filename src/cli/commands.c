#include "cli/cli.h"

#define BIT MSE_OPT_BIT

const struct mse_command mse_commands[] = {
	{ "scaffold", "NAME", 1, 1, 0, "make the folder of a new application",
		"Makes NAME/ with mse.toml, a Flask application in mse_src/, secrets.json and tests. Nothing that is there is overwritten.",
		mse_cmd_scaffold },
	{ "deploy", "", 0, 0, BIT(MSE_OPT_PATH) | BIT(MSE_OPT_YES) | BIT(MSE_OPT_TRUST_IMAGE) | BIT(MSE_OPT_NODE),
		"deploy the application of mse.toml into an enclave",
		"Packs and seals the code, has the node start an enclave, verifies the enclave by its evidence, and only then sends the\n"
		"code key and the secrets, over a connection that ends inside the enclave. The image is trusted by its tree digest, kept in\n"
		"mse.lock beside mse.toml: a digest that only the node told is never believed silently.",
		mse_cmd_deploy },
	{ "list", "", 0, 0, BIT(MSE_OPT_PROJECT) | BIT(MSE_OPT_NODE), "list the apps of the node", NULL, mse_cmd_list },
	{ "status", "ID|NAME", 1, 1, BIT(MSE_OPT_PROJECT) | BIT(MSE_OPT_NODE), "show one app",
		"ID is an instance id or the beginning of one; NAME is looked for in --project, or must be the only one.", mse_cmd_status },
	{ "logs", "ID|NAME", 1, 1, BIT(MSE_OPT_FOLLOW) | BIT(MSE_OPT_PROJECT) | BIT(MSE_OPT_NODE),
		"show what an app wrote, decrypted here",
		"The log leaves the enclave encrypted to the owner. Where records are missing, or a run's chain of records breaks, a line says so.",
		mse_cmd_logs },
	{ "stop", "ID|NAME", 1, 1, BIT(MSE_OPT_PROJECT) | BIT(MSE_OPT_NODE), "stop an app and destroy its storage", NULL, mse_cmd_stop },
	{ "verify", "URL", 1, 1,
		BIT(MSE_OPT_CONTEXT) | BIT(MSE_OPT_MEASUREMENT) | BIT(MSE_OPT_BUNDLE) | BIT(MSE_OPT_CODE) | BIT(MSE_OPT_OWNER) |
			BIT(MSE_OPT_TRUST_IMAGE) | BIT(MSE_OPT_SALT) | BIT(MSE_OPT_PYTHON_APPLICATION) | BIT(MSE_OPT_ALLOW_SIMULATION) |
			BIT(MSE_OPT_SIMULATION_ROOT) | BIT(MSE_OPT_OUTPUT),
		"verify by its evidence what runs behind a URL",
		"Compares with a context (the owner's own, or --context), with --measurement, or with --bundle or --code together with --owner and\n"
		"--trust-image. What cannot be compared with something that you hold is a failed check. --output gets the verified\n"
		"certificate, for `curl --cacert`, and is written only when the verdict is pass.",
		mse_cmd_verify },
	{ "context export", "ID|NAME", 1, 1, BIT(MSE_OPT_PROJECT) | BIT(MSE_OPT_OUTPUT), "write what others need to verify an app, signed",
		"The context holds no key. Without --output it goes to standard output.", mse_cmd_context_export },
	{ "image digest", "DIR|TAR", 1, 1, 0, "compute the tree digest of an image", NULL, mse_cmd_image_digest },
	{ "version", "", 0, 0, 0, "show the version, and the enclave runtime that belongs to it", NULL, mse_cmd_version },
	{ "help", "[COMMAND]", 0, 2, 0, "show this, or the help of one command", NULL, mse_cmd_help },
	{ 0 },
};
