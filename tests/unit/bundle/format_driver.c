/* Our formats made by us, for check_formats.py, which reads them by their specification.
 *
 *     format_driver dir|code|tar PATH     the tree digest in hex, or "error CODE MESSAGE"
 *     format_driver cached PATH CACHE     the same, and " cached" when it came from the cache
 *     format_driver seal FOLDER OUT JSON  key, SHA-256, tree digest (hex) and inner, padded, sealed size
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "bundle/bundle.h"
#include "bundle/tree_scan.h"
#include "bundle/walk.h"

static struct mse_error_info err;

static int fail(void)
{
	printf("error %d %s\n", err.code, err.message);
	return 1;
}

static void print_hex(const uint8_t *data, size_t size)
{
	char text[2 * 32 + 1];

	mse_hex_encode(text, data, size);
	fputs(text, stdout);
}

static int seal(const char *folder, const char *out, const char *json)
{
	mse_cleanup(mse_walk_freep) struct mse_walk *walk = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	struct mse_bundle_summary summary;
	uint8_t digest[32];

	if (mse_walk_open(folder, &walk, &err) < 0 || mse_bundle_seal(walk, json, strlen(json), out, &key, &summary, &err) < 0 ||
		mse_bundle_tree_digest(walk, json, strlen(json), digest, &err) < 0)
		return fail();
	if (memcmp(digest, summary.tree_digest, sizeof digest) != 0)
		return 1;
	print_hex(mse_secret_view(key), mse_secret_size(key));
	putchar(' ');
	print_hex(summary.sha256, 32);
	putchar(' ');
	print_hex(summary.tree_digest, 32);
	printf(" %ju %ju %ju\n", (uintmax_t)summary.inner_size, (uintmax_t)summary.padded_size, (uintmax_t)summary.sealed_size);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t digest[MSE_TREE_DIGEST_SIZE];
	bool cached = false;
	int result;

	setlocale(LC_ALL, "");
	if (mse_secret_init(&err) < 0)
		return fail();
	if (argc == 5 && strcmp(argv[1], "seal") == 0)
		return seal(argv[2], argv[3], argv[4]);
	if (argc == 4 && strcmp(argv[1], "cached") == 0)
		result = mse_tree_digest_dir_cached(argv[2], argv[3], digest, &cached, &err);
	else if (argc == 3 && strcmp(argv[1], "tar") == 0)
		result = mse_tree_digest_tar(argv[2], MSE_TREE_IMAGE, digest, &err);
	else if (argc == 3)
		result = mse_tree_digest_dir(argv[2], strcmp(argv[1], "code") == 0 ? MSE_TREE_CODE : MSE_TREE_IMAGE, digest, &err);
	else
		return 2;
	if (result < 0)
		return fail();
	print_hex(digest, sizeof digest);
	puts(cached ? " cached" : "");
	return 0;
}
