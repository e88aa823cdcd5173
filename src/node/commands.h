/* The commands of msed. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct mse_node_config;

/* What the command line said. */
struct mse_node_options {
	const char *data;
	const char *listen;
	const char *config;
	const char *include;
	bool rebuild;
	bool replace;
	bool json;
	const char *operands[2];
	int operand_count;
};

/* 0, or a negative enum mse_error that the program reports. */
typedef int mse_node_command(const struct mse_node_options *options, const struct mse_node_config *config, struct mse_error_info *err);

mse_node_command mse_node_serve, mse_node_image_build, mse_node_image_import, mse_node_image_list, mse_node_image_remove;
