/* The configuration file of msed. */
#include "config/node_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mse_node_config *config = NULL;
	struct mse_error_info err;

	mse_node_config_parse((const char *)data, size, "msed.toml", &config, &err);
	mse_node_config_free(config);
	return 0;
}
