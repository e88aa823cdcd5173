#include "../test.h"
#include "tests.h"

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(app_that_validates_every_call_is_content),
		cmocka_unit_test(body_is_read_in_every_way),
		cmocka_unit_test(lines_longer_than_the_read_ahead_stay_whole),
		cmocka_unit_test(large_bodies_pass_unharmed),
		cmocka_unit_test(broken_bodies_raise_and_are_answered_for_what_they_are),
		cmocka_unit_test(pieces_are_sent_before_the_next_is_made),
		cmocka_unit_test(lists_get_their_content_length),
		cmocka_unit_test(write_sends_at_once),
		cmocka_unit_test(exc_info_replaces_or_raises),
		cmocka_unit_test(close_is_called_once_whatever_happens),
		cmocka_unit_test(errors_give_500_without_details_or_abort),
		cmocka_unit_test(wrong_content_lengths_never_reach_the_client_as_complete),
		cmocka_unit_test(bad_statuses_and_headers_are_refused),
		cmocka_unit_test(good_statuses_and_headers_pass),
		cmocka_unit_test(head_204_and_304_have_no_body),
		cmocka_unit_test(clients_that_go_away_disturb_nobody),
		cmocka_unit_test(environ_is_as_pep_3333_says),
		cmocka_unit_test(environ_is_new_for_every_request),
		cmocka_unit_test(what_is_kept_of_a_request_is_of_no_use),
		cmocka_unit_test(flask_works),
		cmocka_unit_test(threads_of_the_application_run_while_the_server_waits),
		cmocka_unit_test(requests_run_side_by_side),
		cmocka_unit_test(two_threads_cannot_share_a_request_at_once),
		cmocka_unit_test(thread_local_data_survives),
		cmocka_unit_test(no_process_can_be_started),
		cmocka_unit_test(process_looks_as_an_application_expects),
		cmocka_unit_test(output_and_atexit_reach_the_log),
		cmocka_unit_test(factories_and_attributes_are_found),
		cmocka_unit_test(what_cannot_be_served_is_refused_by_name),
		cmocka_unit_test(other_abi_is_refused),
		cmocka_unit_test(requests_in_progress_are_drained_for_a_bounded_time),
		cmocka_unit_test(exit_handlers_that_hang_are_left_behind),
		cmocka_unit_test(interpreter_can_be_finalised_for_leak_checks),
		cmocka_unit_test(debug_allocator_finds_nothing),
		cmocka_unit_test(module_exports_one_symbol_and_needs_libc_only),
	};

	return cmocka_run_group_tests_name("python", tests, NULL, NULL);
}
