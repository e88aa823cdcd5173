/* Opens a bundle, linked as mse-enclave is: open_driver BUNDLE DESTINATION < key in hex; prints digest, number of entries, app.json. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "bundle/bundle.h"

int main(int argc, char **argv)
{
	struct mse_error_info err = { 0 };
	struct mse_bundle_opened opened;
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_autoclose int bundle = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	mse_autoclose int destination = argc == 3 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	char text[2 * MSE_TREE_DIGEST_SIZE + 1] = "";

	if (bundle < 0 || destination < 0)
		return 2;
	if (mse_secret_init(&err) < 0 || mse_secret_new(MSE_BUNDLE_KEY_SIZE, &key, &err) < 0 || fread(text, 1, 64, stdin) != 64 ||
		mse_hex_decode(mse_secret_data(key), MSE_BUNDLE_KEY_SIZE, text, "the key", &err) < 0 ||
		mse_bundle_open(bundle, key, destination, NULL, &opened, &err) < 0) {
		printf("error %d %s\n", err.code, err.message);
		return 1;
	}
	mse_hex_encode(text, opened.tree_digest, sizeof opened.tree_digest);
	printf("%s %zu %s\n", text, opened.entry_count, (const char *)opened.app_json);
	mse_bundle_opened_clear(&opened);
	return 0;
}
