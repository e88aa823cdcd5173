/* What every unit test includes: cmocka, and checks that print our error messages. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* The call succeeds (returns 0 or more). `err` must be the error info handed to it. */
#define assert_works(call)                                            \
	do {                                                          \
		int result_ = (call);                                 \
		if (result_ < 0)                                      \
			fail_msg("%s: %s", #call, err.message);       \
	} while (0)

/* The call fails with this code, and its message contains this text. */
#define assert_fails(call, expected_code, text)                                                                   \
	do {                                                                                                      \
		int result_ = (call);                                                                             \
		if (result_ != (expected_code))                                                                   \
			fail_msg("%s: gave %d, expected %d: %s", #call, result_, (int)(expected_code),           \
				result_ < 0 ? err.message : "");                                                  \
		if (strstr(err.message, (text)) == NULL)                                                          \
			fail_msg("%s: the message '%s' does not speak of '%s'", #call, err.message, (text));      \
	} while (0)
