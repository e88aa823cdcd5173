/* The tests of each file, listed in test_python.c. */
#pragma once

void app_that_validates_every_call_is_content(void **state);
void body_is_read_in_every_way(void **state);
void lines_longer_than_the_read_ahead_stay_whole(void **state);
void large_bodies_pass_unharmed(void **state);
void broken_bodies_raise_and_are_answered_for_what_they_are(void **state);
void pieces_are_sent_before_the_next_is_made(void **state);
void lists_get_their_content_length(void **state);
void write_sends_at_once(void **state);
void exc_info_replaces_or_raises(void **state);
void close_is_called_once_whatever_happens(void **state);
void errors_give_500_without_details_or_abort(void **state);
void wrong_content_lengths_never_reach_the_client_as_complete(void **state);
void bad_statuses_and_headers_are_refused(void **state);
void good_statuses_and_headers_pass(void **state);
void head_204_and_304_have_no_body(void **state);
void clients_that_go_away_disturb_nobody(void **state);
void environ_is_as_pep_3333_says(void **state);
void environ_is_new_for_every_request(void **state);
void what_is_kept_of_a_request_is_of_no_use(void **state);
void flask_works(void **state);

void threads_of_the_application_run_while_the_server_waits(void **state);
void requests_run_side_by_side(void **state);
void two_threads_cannot_share_a_request_at_once(void **state);
void thread_local_data_survives(void **state);
void no_process_can_be_started(void **state);
void process_looks_as_an_application_expects(void **state);
void output_and_atexit_reach_the_log(void **state);
void factories_and_attributes_are_found(void **state);
void what_cannot_be_served_is_refused_by_name(void **state);
void other_abi_is_refused(void **state);
void requests_in_progress_are_drained_for_a_bounded_time(void **state);
void exit_handlers_that_hang_are_left_behind(void **state);
void interpreter_can_be_finalised_for_leak_checks(void **state);
void debug_allocator_finds_nothing(void **state);
void module_exports_one_symbol_and_needs_libc_only(void **state);
