/* What makes two builds of an image the same on any host and day: see the tables in the source. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* For an image that was built here of packages, in the folder root: fixes or removes what differs from host to host and
 * from day to day (host name, caches, logs, apt's state, dates in /etc/shadow), empties /dev, /proc, /sys, /run and /tmp, and compiles
 * all Python modules anew in the one way that depends on nothing but their source. Needs root. */
int mse_image_normalize_build(const char *root, struct mse_error_info *err);

/* For an image that came from elsewhere: empties /dev, /proc and /sys, and nothing else, so that its tree digest stays what its
 * maker knows. *ret_removed: how many entries went. */
int mse_image_normalize_import(const char *root, uint64_t *ret_removed, struct mse_error_info *err);

/* Rewrites the text of a file in the form of shadow(5): the day of the last change becomes one fixed day. For tests.
 * *ret_text is newly allocated. */
int mse_image_normalize_shadow(const char *text, char **ret_text, struct mse_error_info *err);
