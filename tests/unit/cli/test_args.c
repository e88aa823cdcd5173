#include "tests.h"

#include "cli/args.h"

static struct mse_error_info err;
static const struct mse_command *command;
static struct mse_args args;

#define PARSE(...) mse_args_parse(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ }, &command, &args, &err)

static void options_and_operands_come_in_any_order(void **state)
{
	(void)state;
	assert_works(PARSE("status", "--node", "unix:/x", "demo", "--json", "--project=web"));
	assert_string_equal(command->name, "status");
	assert_string_equal(args.operands[0], "demo");
	assert_string_equal(args.values[MSE_OPT_NODE], "unix:/x");
	assert_string_equal(args.values[MSE_OPT_PROJECT], "web");
	assert_non_null(args.values[MSE_OPT_JSON]);
	assert_null(args.values[MSE_OPT_FOLLOW]);
}

static void commands_of_two_words_are_found(void **state)
{
	(void)state;
	assert_works(PARSE("context", "export", "demo", "--output", "c.json"));
	assert_string_equal(command->name, "context export");
	assert_works(PARSE("image", "digest", "/x"));
	assert_string_equal(command->name, "image digest");
	assert_fails(PARSE("context"), MSE_ERR_INPUT, "needs one more word");
	assert_fails(PARSE("context", "lose"), MSE_ERR_INPUT, "no command 'mse context lose'");
}

static void short_forms_and_a_double_dash_are_understood(void **state)
{
	(void)state;
	assert_works(PARSE("deploy", "-y"));
	assert_non_null(args.values[MSE_OPT_YES]);
	assert_works(PARSE("logs", "-f", "--", "-strange"));
	assert_non_null(args.values[MSE_OPT_FOLLOW]);
	assert_string_equal(args.operands[0], "-strange");
}

static void mistakes_are_named(void **state)
{
	(void)state;
	assert_fails(mse_args_parse(0, NULL, &command, &args, &err), MSE_ERR_INPUT, "no command");
	assert_fails(PARSE("frobnicate"), MSE_ERR_INPUT, "'frobnicate'");
	assert_fails(PARSE("deploy", "--frobnicate"), MSE_ERR_INPUT, "--frobnicate");
	assert_fails(PARSE("deploy", "--follow"), MSE_ERR_INPUT, "no option '--follow'");
	assert_fails(PARSE("deploy", "--path"), MSE_ERR_INPUT, "needs a value");
	assert_fails(PARSE("deploy", "--path="), MSE_ERR_INPUT, "empty value");
	assert_fails(PARSE("deploy", "--yes=no"), MSE_ERR_INPUT, "takes no value");
	assert_fails(PARSE("deploy", "-y", "--yes"), MSE_ERR_INPUT, "given twice");
	assert_fails(PARSE("deploy", "extra"), MSE_ERR_INPUT, "no use for 'extra'");
	assert_fails(PARSE("status"), MSE_ERR_INPUT, "needs ID|NAME");
}

static void help_and_version_work_as_options_too(void **state)
{
	(void)state;
	assert_works(PARSE("deploy", "--help"));
	assert_string_equal(command->name, "help");
	assert_string_equal(args.operands[0], "deploy");
	assert_works(PARSE("--help"));
	assert_string_equal(command->name, "help");
	assert_works(PARSE("--version"));
	assert_string_equal(command->name, "version");
	/* What is missing is no obstacle to help about it. */
	assert_works(PARSE("status", "-h"));
	assert_string_equal(args.operands[0], "status");
}

static void every_command_has_a_summary_a_function_and_a_usage_that_names_its_options(void **state)
{
	(void)state;
	for (const struct mse_command *each = mse_commands; each->name != NULL; each++) {
		mse_cleanup(mse_buffer_freep) struct mse_buffer *usage = mse_buffer_new(8192);

		assert_non_null(each->summary);
		assert_non_null(each->run);
		assert_true(each->max_operands <= MSE_MAX_OPERANDS);
		assert_works(mse_args_usage(each, usage, &err));
		for (unsigned i = 0; i < MSE_OPT_COUNT; i++)
			if ((each->options & MSE_OPT_BIT(i)) != 0)
				assert_non_null(strstr(mse_buffer_text(usage), mse_option_info((enum mse_option)i)->name));
	}
}

int test_args(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_operands_come_in_any_order),
		cmocka_unit_test(commands_of_two_words_are_found),
		cmocka_unit_test(short_forms_and_a_double_dash_are_understood),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(help_and_version_work_as_options_too),
		cmocka_unit_test(every_command_has_a_summary_a_function_and_a_usage_that_names_its_options),
	};

	return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
