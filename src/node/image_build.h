/* Making images: of Debian packages by a recipe, or from a folder or a tar archive. */
#pragma once

#include <stdbool.h>

#include "node/image_store.h"

/* One image that this node knows how to build. */
struct mse_image_recipe {
	const char *name;
	const char *packages; /* "a,b,c" */
	const char *description;
};
/* All of them; the last one's name is NULL. */
extern const struct mse_image_recipe mse_image_recipes[];

/* What a build is made of: the recipe's packages and then those of include ("a,b", or NULL), each once. MSE_ERR_NOT_FOUND when there is no
 * such recipe, listing those there are; MSE_ERR_INPUT for what is no package's name. */
int mse_image_recipe_packages(const char *name, const char *include, char **ret_packages, struct mse_error_info *err);

/* Builds the recipe's image with mmdebstrap, whose progress goes to standard error; takes half a minute. With rebuild false, an image of that
 * name made of the same packages is returned as it is (*ret_built false), and one of other packages is MSE_ERR_EXISTS. */
int mse_image_build(const char *store, const char *name, const char *include, bool rebuild, mse_image_in_use *in_use, void *context,
	struct mse_image **ret_image, bool *ret_built, struct mse_error_info *err);

/* Takes an image from a folder or a tar archive (any compression that libarchive reads). *ret_dropped: entries of /dev, /proc and
 * /sys that were left out. MSE_ERR_EXISTS when the name is taken and replace is false. */
int mse_image_import(const char *store, const char *name, const char *from, bool replace, mse_image_in_use *in_use, void *context,
	struct mse_image **ret_image, uint64_t *ret_dropped, struct mse_error_info *err);
