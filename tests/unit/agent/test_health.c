/*
 * The promises of health.h, line by line: the breaker and its permits, the operator's commands, the
 * table.
 */
#include "health_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define DAY_MS (24 * 3600 * (int64_t)1000)

static int set_up(void **state)
{
	static struct bench bench;

	bench_init(&bench);
	*state = &bench;
	return 0;
}

static int tear_down(void **state)
{
	bench_fini(*state);
	return 0;
}

/* --- breaker --- */

static void a_missing_row_is_healthy(void **state)
{
	struct bench *b = *state;
	struct health_look look = bench_look(b);

	assert_null(health_find(&b->healths, &b->subject));
	assert_int_equal(look.standing, BOARD_STANDING_USABLE);
	assert_false(look.trial || look.watch);
	assert_int_equal(look.until_ms, 0);
}

static void connections_that_fail_open_a_backend_at_the_threshold(void **state)
{
	struct bench *b = *state;

	b->subject.kind = HEALTH_BACKEND;
	bench_say(b, RESULT_NETWORK);
	bench_say(b, RESULT_NETWORK);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_say(b, RESULT_NETWORK);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	assert_int_equal(bench_look(b).until_ms, b->now_ms + BENCH_RECOVERY_MS);
}

static void a_threshold_of_zero_never_opens(void **state)
{
	struct bench *b = *state;

	b->subject.kind = HEALTH_BACKEND;
	b->rules.health_threshold = 0;
	for (int i = 0; i < 70000; i++)
		bench_say(b, RESULT_NETWORK);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_success_begins_the_count_anew(void **state)
{
	struct bench *b = *state;

	b->subject.kind = HEALTH_BACKEND;
	for (int i = 0; i < 10; i++) {
		bench_say(b, RESULT_NETWORK);
		bench_say(b, RESULT_NETWORK);
		bench_say(b, RESULT_SUCCESS);
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	bench_open(b);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
}

/* What they mean is in evidence.h: for their own key, and together with others. */
static void answers_to_clients_take_no_account_away(void **state)
{
	static const enum result_class classes[] = {RESULT_BURST, RESULT_AUTH, RESULT_DENIED,
		RESULT_PAYLOAD, RESULT_OVERLOAD, RESULT_SERVER, RESULT_NETWORK, RESULT_CLIENT};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		for (int n = 0; n < 100; n++) {
			bench_say_until(b, classes[i], b->now_ms + 1000);
			assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
		}
	}
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void stays_open_for_exactly_the_recovery_time(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	b->now_ms += BENCH_RECOVERY_MS - 1;
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	b->now_ms++;
	struct health_look look = bench_look(b);
	assert_int_equal(look.standing, BOARD_STANDING_USABLE);
	assert_true(look.trial && look.watch);
}

static void half_open_lets_as_many_trials_as_are_set(void **state)
{
	struct bench *b = *state;

	for (uint32_t trials = 1; trials <= STATEFILE_PERMITS; trials++) {
		b->subject.id = trials;
		b->rules.health_half_open = trials;
		bench_open(b);
		bench_pass(b);
		for (uint32_t n = 1; n <= trials; n++) {
			assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
			assert_true(bench_look(b).trial);
			bench_enter(b, n);
		}
		assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
		assert_int_equal(bench_look(b).until_ms, b->now_ms + HEALTH_PERMIT_MS);
	}
}

static void a_trials_success_closes(void **state)
{
	struct bench *b = *state;

	for (int kind = HEALTH_ACCOUNT; kind <= HEALTH_BACKEND; kind++) {
		b->subject.kind = (enum health_kind)kind;
		bench_open(b);
		bench_pass(b);
		assert_false(bench_say(b, RESULT_SUCCESS));
		struct health_look look = bench_look(b);
		assert_int_equal(look.standing, BOARD_STANDING_USABLE);
		assert_false(look.trial || look.watch);
	}
	/* and the count starts from zero */
	bench_say(b, RESULT_NETWORK);
	bench_say(b, RESULT_NETWORK);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_backends_failed_trial_opens_again(void **state)
{
	struct bench *b = *state;

	b->subject.kind = HEALTH_BACKEND;
	bench_open(b);
	for (int i = 0; i < 5; i++) {
		bench_pass(b);
		bench_say(b, RESULT_NETWORK);
		assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
		assert_int_equal(bench_look(b).until_ms, b->now_ms + BENCH_RECOVERY_MS);
	}
}

static void a_clients_failed_trial_hands_the_permit_on(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	bench_pass(b);
	for (uint32_t n = 1; n <= 5; n++) {
		uint32_t generation = bench_enter(b, n);
		assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
		bench_result(b, n, generation, (struct result){.class = RESULT_SERVER});
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
		assert_true(bench_look(b).trial);
	}
}

static void a_probe_is_the_trial_where_there_is_one(void **state)
{
	struct bench *b = *state;

	b->subject.probed = true;
	bench_open(b);
	b->now_ms += BENCH_RECOVERY_MS;
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	assert_true(bench_look(b).probe);
	uint32_t generation = bench_enter(b, BENCH_PROBE);
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	bench_result(b, BENCH_PROBE, generation, (struct result){.class = RESULT_SUCCESS});
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	/* clients are the trial when no probe comes */
	bench_open(b);
	b->now_ms += BENCH_RECOVERY_MS + HEALTH_PROBE_WAIT_MS - 1;
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	b->now_ms++;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_true(bench_look(b).trial);
}

static void a_trial_without_an_end_gives_its_permit_back(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	bench_pass(b);
	uint32_t generation = bench_enter(b, 1);
	b->now_ms += HEALTH_PERMIT_MS - 1;
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	b->now_ms++;
	assert_true(bench_look(b).trial);
	bench_enter(b, 2);
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	/* its late result still counts: nothing has changed since */
	bench_result(b, 1, generation, (struct result){.class = RESULT_SUCCESS});
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_trial_without_a_result_gives_its_permit_back(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	bench_pass(b);
	uint32_t generation = bench_enter(b, 1);
	assert_false(bench_leave(b, 2));
	assert_true(bench_leave(b, 1));
	generation = bench_enter(b, 3);
	bench_result(b, 3, generation, (struct result){.class = RESULT_PAYLOAD});
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_true(bench_look(b).trial);
}

static void one_request_has_one_permit(void **state)
{
	struct bench *b = *state;

	b->rules.health_half_open = 2;
	bench_open(b);
	bench_pass(b);
	bench_enter(b, 1);
	bench_enter(b, 1);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_enter(b, 2);
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	assert_true(bench_leave(b, 1));
	bench_leave(b, 2);
	for (size_t i = 0; i < STATEFILE_PERMITS; i++)
		assert_int_equal(bench_row(b)->permits[i].until_ms, 0);
}

/* A question that is repeated after the circuit opened. */
static void an_earlier_request_does_not_half_open(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	int64_t until = bench_look(b).until_ms;
	b->now_ms += 10;
	bench_enter(b, 5);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	assert_int_equal(bench_look(b).until_ms, until);
}

static void a_failure_while_open_changes_nothing_and_a_success_closes(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	int64_t until = bench_look(b).until_ms;
	uint32_t generation = bench_row(b)->generation;
	b->now_ms += 100;
	bench_result(b, 9, generation, (struct result){.class = RESULT_NETWORK});
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	assert_int_equal(bench_look(b).until_ms, until);
	bench_result(b, 10, generation, (struct result){.class = RESULT_SUCCESS});
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

/* --- generations --- */

static void results_of_an_older_generation_change_nothing(void **state)
{
	static const enum result_class classes[] = {RESULT_SUCCESS, RESULT_BURST, RESULT_AUTH,
		RESULT_DENIED, RESULT_PAYLOAD, RESULT_OVERLOAD, RESULT_SERVER, RESULT_NETWORK,
		RESULT_CLIENT};
	struct bench *b = *state;
	uint32_t before = bench_enter(b, 1);

	bench_open(b);
	bench_pass(b);
	bench_enter(b, 2);
	for (int i = 0; i < 20; i++) {
		for (size_t c = 0; c < sizeof(classes) / sizeof(classes[0]); c++) {
			bench_result(b, 1, before, (struct result){.class = classes[c]});
			assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
		}
		bench_result(b, BENCH_PROBE, before, (struct result){.class = RESULT_DENIED});
		assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	}
}

static void ten_results_of_one_failure_count_once(void **state)
{
	struct bench *b = *state;
	uint32_t generation = bench_enter(b, BENCH_PROBE);

	b->suspected = true;
	for (uint32_t n = 1; n <= 10; n++)
		bench_result(b, BENCH_PROBE, generation, (struct result){.class = RESULT_DENIED});
	assert_int_equal(bench_row(b)->rungs, 1);
	b->subject.kind = HEALTH_BACKEND;
	for (uint32_t n = 1; n <= 10; n++)
		health_avoid(bench_row(b), 1, b->now_ms, 0);
	assert_int_equal(bench_row(b)->suspects, 1);
}

/* --- the operator --- */

static void another_epoch_clears_everything(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	bench_pass(b);
	uint32_t generation = bench_enter(b, 1);
	b->suspected = true;
	for (uint32_t i = 0; i < HEALTH_LADDER_SUSPENDED; i++)
		bench_probe(b, RESULT_DENIED);
	bench_say_until(b, RESULT_WINDOW, b->now_ms + DAY_MS);
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	b->subject.epoch++;
	assert_null(health_find(&b->healths, &b->subject));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	const struct statefile_health *row = bench_row(b);
	assert_true(row->generation > generation);
	assert_int_equal(row->rungs + row->failures + row->suspended + row->circuit, 0);
	assert_int_equal(row->cool_until_ms + row->window_until_ms, 0);
	assert_int_equal(b->healths.index.used, 1);
	/* results of earlier requests do not count now */
	for (uint32_t i = 0; i < 10; i++)
		bench_result(b, BENCH_PROBE, generation, (struct result){.class = RESULT_DENIED});
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_row_cleared_just_now_is_not_reused(void **state)
{
	struct bench *b = *state;
	struct health_subject other = {.kind = HEALTH_BACKEND, .id = 1};

	bench_say(b, RESULT_SUCCESS);
	for (; other.id < BENCH_ROWS; other.id++)
		assert_non_null(health_of(&b->healths, &other, b->now_ms));
	b->subject.epoch++;
	const struct statefile_health *row = bench_row(b);
	assert_null(health_of(&b->healths, &other, b->now_ms));
	assert_ptr_equal(health_find(&b->healths, &b->subject), row);
}

/* --- used limits --- */

static void the_upstreams_own_limits_count_until_they_reset(void **state)
{
	struct bench *b = *state;
	struct result result = {.class = RESULT_SUCCESS,
		.has_used = true,
		.used = UINT16_MAX / 2,
		.used_until_ms = b->now_ms + 1000};

	assert_true(health_used(NULL, b->now_ms) == 0);
	bench_result(b, 1, bench_enter(b, 1), result);
	assert_true(health_used(bench_row(b), b->now_ms) > 0.49);
	bench_say(b, RESULT_SUCCESS); /* an answer without limit headers */
	assert_true(health_used(bench_row(b), b->now_ms + 999) > 0.49);
	assert_true(health_used(bench_row(b), b->now_ms + 1000) == 0);
	bench_rest(b, b->now_ms + 1);
	/* a late answer reports the limits just as well */
	result.used = UINT16_MAX;
	bench_result(b, 1, 0, result);
	assert_true(health_used(bench_row(b), b->now_ms) == 1);
}

/* --- the table --- */

static void kinds_of_one_id_are_different_rows(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	b->subject.kind = HEALTH_BACKEND;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_say(b, RESULT_NETWORK);
	b->subject.kind = HEALTH_ACCOUNT;
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
}

static void without_a_free_row_a_subject_is_healthy_and_counted(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < BENCH_ROWS; i++) {
		b->subject.id = 100 + i;
		bench_row(b);
	}
	b->subject.id = 200;
	assert_null(health_of(&b->healths, &b->subject, b->now_ms));
	assert_int_equal(b->healths.full, 1);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void reuses_healthy_rows_unused_for_a_month(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < BENCH_ROWS; i++) {
		b->subject.id = 100 + i;
		bench_say(b, RESULT_SUCCESS);
	}
	bench_open(b);
	b->subject.id = 102;
	b->suspected = true;
	for (uint32_t i = 0; i < HEALTH_LADDER_SUSPENDED; i++)
		bench_probe(b, RESULT_DENIED);
	b->now_ms += 33 * DAY_MS;
	b->subject.id = 101;
	bench_say(b, RESULT_SUCCESS);
	b->subject.id = 200;
	bench_row(b);
	b->subject.id = 201;
	assert_null(health_of(&b->healths, &b->subject, b->now_ms));
	for (uint32_t i = 0; i < BENCH_ROWS; i++) {
		b->subject.id = 100 + i;
		assert_int_equal(health_find(&b->healths, &b->subject) == NULL, i == 0);
	}
}

/* A killed agent leaves rows; the next one rebuilds its index from them. */
static void rows_survive_an_agent(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	bench_pass(b);
	uint32_t generation = bench_enter(b, 1);
	b->subject.id = 8;
	b->suspected = true;
	for (uint32_t i = 0; i < HEALTH_LADDER_SUSPENDED; i++)
		bench_probe(b, RESULT_DENIED);
	healths_fini(&b->healths);
	assert_int_equal(healths_init(&b->healths, b->rows, BENCH_ROWS), 0);
	assert_int_equal(b->healths.index.used, 2);
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	b->subject.id = 7;
	assert_int_equal(bench_standing(b), BOARD_STANDING_HALF_OPEN);
	bench_result(b, 1, generation, (struct result){.class = RESULT_SUCCESS});
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void the_first_request_after_a_failure_is_watched(void **state)
{
	struct bench *b = *state;

	bench_rest(b, b->now_ms + 1000);
	assert_false(bench_look(b).watch);
	bench_pass(b);
	assert_true(bench_look(b).watch);
	bench_say(b, RESULT_SUCCESS);
	assert_false(bench_look(b).watch);
	bench_say_until(b, RESULT_WINDOW, b->now_ms + 5);
	bench_pass(b);
	assert_true(bench_look(b).watch);
}

static void remembers_the_last_use_and_the_last_success(void **state)
{
	struct bench *b = *state;

	bench_say(b, RESULT_SUCCESS);
	b->now_ms += 50;
	bench_say(b, RESULT_SERVER);
	assert_int_equal(bench_row(b)->last_success_ms, b->now_ms - 50);
	assert_int_equal(bench_row(b)->last_used_ms, b->now_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_row_is_healthy),
		TEST(connections_that_fail_open_a_backend_at_the_threshold),
		TEST(a_threshold_of_zero_never_opens),
		TEST(a_success_begins_the_count_anew),
		TEST(answers_to_clients_take_no_account_away),
		TEST(stays_open_for_exactly_the_recovery_time),
		TEST(half_open_lets_as_many_trials_as_are_set),
		TEST(a_trials_success_closes),
		TEST(a_backends_failed_trial_opens_again),
		TEST(a_clients_failed_trial_hands_the_permit_on),
		TEST(a_probe_is_the_trial_where_there_is_one),
		TEST(a_trial_without_an_end_gives_its_permit_back),
		TEST(a_trial_without_a_result_gives_its_permit_back),
		TEST(one_request_has_one_permit),
		TEST(an_earlier_request_does_not_half_open),
		TEST(a_failure_while_open_changes_nothing_and_a_success_closes),
		TEST(results_of_an_older_generation_change_nothing),
		TEST(ten_results_of_one_failure_count_once),
		TEST(another_epoch_clears_everything),
		TEST(a_row_cleared_just_now_is_not_reused),
		TEST(the_upstreams_own_limits_count_until_they_reset),
		TEST(kinds_of_one_id_are_different_rows),
		TEST(without_a_free_row_a_subject_is_healthy_and_counted),
		TEST(reuses_healthy_rows_unused_for_a_month),
		TEST(rows_survive_an_agent),
		TEST(the_first_request_after_a_failure_is_watched),
		TEST(remembers_the_last_use_and_the_last_success),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
