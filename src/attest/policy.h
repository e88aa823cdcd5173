/* Which TCB statuses pass. */
#pragma once

#include <stdbool.h>

#include "mse/attest.h"

/* Whether every name of the NULL-terminated list may be in a policy. NULL is the default policy. */
bool mse_policy_is_valid(const char *const *accepted);
bool mse_policy_accepts(const char *const *accepted, const char *status);
