/* An enclave manifest, and the app.json of a bundle. */
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "manifest/app_json.h"
#include "manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *context, const char *path, const char *value, struct mse_error_info *err)
{
	(void)context;
	(void)err;
	return path == NULL || value == NULL ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mse_cleanup(mse_manifest_freep) struct mse_manifest *manifest = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *again = NULL;
	struct mse_app_json app = { 0 };
	struct mse_error_info err;

	/* What is read is read in one form only. */
	if (mse_manifest_parse(data, size, &manifest, &err) == 0 &&
	    (mse_manifest_encode(manifest, &again, &err) < 0 || mse_buffer_size(again) != size))
		__builtin_trap();
	(void)mse_manifest_members(data, size, look, NULL, &err);
	(void)mse_app_json_parse(data, size, &app, &err);
	mse_app_json_clear(&app);
	return 0;
}
