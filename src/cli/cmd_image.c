#include <sys/stat.h>

#include "bundle/tree_scan.h"
#include "cli/cli.h"
#include "crypto/hash.h"

int mse_cmd_image_digest(struct mse_cli *cli, struct mse_error_info *err)
{
	const char *path = cli->args.operands[0];
	uint8_t digest[MSE_TREE_DIGEST_SIZE];
	char text[MSE_DIGEST_TEXT_SIZE];
	mse_autojson *answer = NULL;
	struct stat status;
	int result;

	if (stat(path, &status) < 0)
		return mse_fail_errno(err, "cannot examine '%s'", path);
	mse_cli_progress(cli, "hashing %s", path);
	if (S_ISDIR(status.st_mode))
		result = mse_tree_digest_dir(path, MSE_TREE_IMAGE, digest, err);
	else
		result = mse_tree_digest_tar(path, MSE_TREE_IMAGE, digest, err);
	mse_cli_progress_end(cli);
	if (result < 0)
		return mse_context(err, "cannot compute the digest of the image '%s'", path);
	mse_digest_format(text, digest);
	mse_cli_say(cli, "%s", text);
	answer = json_pack("{s:s, s:s}", "path", path, "digest", text);
	return answer == NULL ? mse_fail_nomem(err) : mse_cli_answer(cli, answer, err);
}
