/* The package sources of this machine, in both of apt's forms (sources.list(5)), as far as images are built from them. */
#pragma once

#include <stddef.h>

#include "base/error.h"

#define MSE_APT_MAX_SOURCES 16

struct mse_apt_sources {
	char *lines[MSE_APT_MAX_SOURCES]; /* "deb [signed-by=…] URI suite main" */
	size_t count;
};

/* Adds what text, the content of a file of the one-line form or of the deb822 form, says about the suites `release`,
 * `release`-updates and `release`-security and their component main; other sources, and what cannot be read, are left out. */
int mse_apt_sources_add_list(struct mse_apt_sources *sources, const char *text, const char *release, struct mse_error_info *err);
int mse_apt_sources_add_deb822(struct mse_apt_sources *sources, const char *text, const char *release, struct mse_error_info *err);

/* Reads all of /etc/apt (or another folder of that form). None found is no error: count is 0. */
int mse_apt_sources_read(const char *folder, const char *release, struct mse_apt_sources *sources, struct mse_error_info *err);
void mse_apt_sources_clear(struct mse_apt_sources *sources);
