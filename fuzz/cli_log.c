/* The log as the node sends it. */
#include <sodium.h>

#include "cli/log_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(void *context, enum mse_log_finding finding, const struct mse_log_record *record, uint64_t count, const char *reason,
	struct mse_error_info *err)
{
	(void)context;
	(void)finding;
	(void)record;
	(void)count;
	(void)reason;
	(void)err;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mse_box_key owner;
	struct mse_log_reader reader = { .owner = &owner, .expect_beginning = true };
	struct mse_error_info err;
	size_t used;

	if (sodium_init() < 0 || (owner.secret == NULL && mse_box_key_generate(&owner, &err) < 0))
		return 0;
	mse_log_read(&reader, data, size, visit, NULL, &used, &err);
	return 0;
}
