/* mse.toml. */
#include "config/app_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mse_app_config *config = NULL;
	struct mse_error_info err;

	mse_app_config_parse((const char *)data, size, "mse.toml", &config, &err);
	mse_app_config_free(config);
	return 0;
}
