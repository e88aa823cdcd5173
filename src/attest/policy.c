#include "attest/policy.h"

#include <string.h>

#include "attest/tcb.h"

/* No list is longer than there are statuses, save by repetition. */
#define POLICY_MAX 64

const char *const *mse_policy_default(void)
{
	static const char *const accepted[] = { "UpToDate", "SWHardeningNeeded", NULL };

	return accepted;
}

bool mse_policy_is_status(const char *name)
{
	unsigned findings;

	return name != NULL && mse_tcb_status_parse(name, &findings) && (findings & MSE_TCB_REVOKED) == 0;
}

bool mse_policy_is_valid(const char *const *accepted)
{
	size_t i = 0;

	if (accepted == NULL)
		return true;
	while (accepted[i] != NULL)
		if (i == POLICY_MAX || !mse_policy_is_status(accepted[i++]))
			return false;
	return i > 0;
}

bool mse_policy_accepts(const char *const *accepted, const char *status)
{
	if (!mse_policy_is_status(status))
		return false;
	if (accepted == NULL)
		accepted = mse_policy_default();
	for (size_t i = 0; accepted[i] != NULL; i++)
		if (strcmp(accepted[i], status) == 0)
			return true;
	return false;
}
