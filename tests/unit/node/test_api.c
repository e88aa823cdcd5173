#include "../test.h"

#include "node/api.h"

static struct mse_error_info err;

static void query_values_are_decoded(void **state)
{
	static const struct {
		const char *query, *expected;
	} cases[] = {
		{ "name=a", "a" }, { "x=1&name=a%2Fb%3a+c&y", "a/b: c" }, { "name=", "" }, { "names=1", NULL }, { "name", NULL }, { "", NULL },
		{ "&&name=%E2%82%AC&", "\xe2\x82\xac" }, { "na=1&name=x=y", "x=y" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		mse_autofree char *value = NULL;

		assert_works(mse_api_query(cases[i].query, "name", &value, &err));
		if (cases[i].expected == NULL)
			assert_null(value);
		else
			assert_string_equal(value, cases[i].expected);
	}
}

static void malformed_query_values_are_refused(void **state)
{
	static const char *const cases[] = { "name=%", "name=%4", "name=%zz", "name=a%", "name=%00", "name=%ff", "name=1&name=2" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *value = NULL;

		assert_fails(mse_api_query(cases[i], "name", &value, &err), MSE_ERR_INPUT, "'name'");
		assert_null(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query_values_are_decoded),
		cmocka_unit_test(malformed_query_values_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
