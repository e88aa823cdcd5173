/* The groups of tests of the command line, one file each. */
#pragma once

#include "../test.h"

int test_args(void);
int test_conf(void);
int test_context(void);
int test_image_lock(void);
int test_log_reader(void);
int test_provision(void);
int test_attested(void);
