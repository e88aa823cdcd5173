#include "cli/cli.h"
#include "cli/runtime.h"
#include "crypto/hash.h"

int mse_cmd_version(struct mse_cli *cli, struct mse_error_info *err)
{
	struct mse_runtime runtime;
	struct mse_error_info reason;
	mse_autojson *answer = json_pack("{s:s}", "version", MSE_VERSION), *files = json_object();
	int result = 0;

	if (answer == NULL || files == NULL)
		return mse_fail_nomem(err);
	mse_cli_say(cli, "mse %s", MSE_VERSION);
	if (mse_runtime_load(&runtime, &reason) < 0) {
		mse_cli_say(cli, "enclave runtime: unknown: %s", reason.message);
		return (result = mse_json_set(answer, "runtime", json_null(), err)) < 0 ? result : mse_cli_answer(cli, answer, err);
	}
	mse_cli_say(cli, "enclave runtime, security version %llu:", (unsigned long long)runtime.security_version);
	for (size_t i = 0; result == 0 && i < runtime.count; i++) {
		char text[MSE_DIGEST_TEXT_SIZE];

		mse_digest_format(text, runtime.files[i].sha256);
		mse_cli_say(cli, "  %s  %s", text, runtime.files[i].name);
		result = mse_json_set(files, runtime.files[i].name, json_string(text), err);
	}
	if (result == 0)
		result = mse_json_set(answer, "runtime",
			json_pack("{s:I, s:O}", "security_version", (json_int_t)runtime.security_version, "files", files), err);
	mse_runtime_clear(&runtime);
	return result < 0 ? result : mse_cli_answer(cli, answer, err);
}
