#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "node/commands.h"
#include "node/image_build.h"
#include "node/node.h"
#include "node/process.h"

/* Asks the database of the node, whether its msed runs or not. */
static int check_in_use(void *context, const char *name, struct mse_error_info *err)
{
	mse_cleanup(mse_store_closep) struct mse_store *store = NULL;
	mse_autofree char *path = NULL;
	mse_autofree char *user = NULL;
	int result = mse_node_db_path(context, &path, err);

	if (result < 0 || !mse_path_exists(path))
		return result;
	if ((result = mse_store_open(path, &store, err)) < 0 || (result = mse_store_image_user(store, name, &user, err)) < 0)
		return result;
	if (user != NULL)
		return mse_fail(err, MSE_ERR_STATE, "the image '%s' is used by the app %.12s, which is not stopped; it stays as it is", name, user);
	return 0;
}

static void print_image(const char *done, const struct mse_image *image)
{
	char digest[MSE_DIGEST_TEXT_SIZE];

	mse_digest_format(digest, image->digest);
	printf("%s: image '%s', %" PRIu64 " MiB, %s\n", done, image->name, image->size >> 20, digest);
}

int mse_node_image_build(const struct mse_node_options *options, const struct mse_node_config *config, struct mse_error_info *err)
{
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	mse_autofree char *store = NULL;
	bool built;
	int result = mse_node_images_path(options->data, config, &store, err);

	mse_process_catch_signals();
	if (result < 0 || (result = mse_image_build(store, options->operands[0], options->include, options->rebuild, check_in_use, (void *)options->data,
				   &image, &built, err)) < 0)
		return result;
	print_image(built ? "built" : "there already (--rebuild makes it anew)", image);
	return 0;
}

int mse_node_image_import(const struct mse_node_options *options, const struct mse_node_config *config, struct mse_error_info *err)
{
	mse_cleanup(mse_image_freep) struct mse_image *image = NULL;
	mse_autofree char *store = NULL;
	uint64_t dropped = 0;
	int result = mse_node_images_path(options->data, config, &store, err);

	mse_process_catch_signals();
	if (result < 0 || (result = mse_image_import(store, options->operands[0], options->operands[1], options->replace, check_in_use,
				   (void *)options->data, &image, &dropped, err)) < 0)
		return result;
	if (dropped > 0)
		mse_log("%" PRIu64 " entries of /dev, /proc and /sys were left out: the digest is that of the image without them", dropped);
	print_image("imported", image);
	return 0;
}

int mse_node_image_list(const struct mse_node_options *options, const struct mse_node_config *config, struct mse_error_info *err)
{
	mse_autofree char *store = NULL;
	mse_autojson *images = NULL;
	const json_t *image;
	size_t i;
	int result;

	if ((result = mse_node_images_path(options->data, config, &store, err)) < 0 || (result = mse_image_list(store, &images, err)) < 0)
		return result;
	if (options->json)
		json_dumpf(images, stdout, JSON_INDENT(2));
	json_array_foreach (images, i, image) {
		char created[MSE_TIME_TEXT_SIZE];

		if (options->json)
			break;
		mse_time_format(created, json_integer_value(json_object_get(image, "created_at")));
		printf("%-24s %s %6lld MiB  %s\n", json_string_value(json_object_get(image, "name")), json_string_value(json_object_get(image, "digest")),
			(long long)json_integer_value(json_object_get(image, "size")) >> 20, created);
	}
	if (options->json)
		putchar('\n');
	return fflush(stdout) != 0 ? mse_fail_errno(err, "cannot write the list") : 0;
}

int mse_node_image_remove(const struct mse_node_options *options, const struct mse_node_config *config, struct mse_error_info *err)
{
	mse_autofree char *store = NULL;
	int result;

	mse_process_catch_signals();
	if ((result = mse_node_images_path(options->data, config, &store, err)) < 0 ||
	    (result = mse_image_remove(store, options->operands[0], check_in_use, (void *)options->data, err)) < 0)
		return result;
	printf("removed: image '%s'\n", options->operands[0]);
	return 0;
}
