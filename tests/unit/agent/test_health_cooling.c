/* The promises of health.h about what takes an account out: refused probes, windows, 429s. */
#include "health_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MINUTE_MS ((int64_t)60000)

static int set_up(void **state)
{
	static struct bench bench;

	bench_init(&bench);
	bench.suspected = true;
	*state = &bench;
	return 0;
}

static int tear_down(void **state)
{
	bench_fini(*state);
	return 0;
}

/* The standing lasts exactly this long. */
static void assert_lasts(struct bench *b, enum board_standing standing, int64_t ms)
{
	struct health_look look = bench_look(b);

	assert_int_equal(look.standing, standing);
	assert_int_equal(look.until_ms - b->now_ms, ms);
	b->now_ms = look.until_ms - 1;
	assert_int_equal(bench_standing(b), standing);
	b->now_ms++;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

/* --- ladder --- */

static void refused_probes_in_a_row_climb_the_ladder(void **state)
{
	struct bench *b = *state;

	assert_false(bench_probe(b, RESULT_DENIED));
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	assert_false(bench_probe(b, RESULT_DENIED));
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	assert_false(bench_probe(b, RESULT_DENIED));
	assert_lasts(b, BOARD_STANDING_COOLING, 30 * MINUTE_MS);
	assert_true(bench_probe(b, RESULT_DENIED));
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	assert_int_equal(bench_look(b).until_ms, 0);
}

static void only_the_operator_lifts_a_suspension(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < HEALTH_LADDER_SUSPENDED; i++)
		bench_probe(b, RESULT_DENIED);
	b->now_ms += 365 * 24 * 60 * MINUTE_MS;
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	bench_say(b, RESULT_SUCCESS);
	bench_probe(b, RESULT_SUCCESS);
	b->subject.credential++;
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	b->subject.epoch++;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_success_ends_the_ladder(void **state)
{
	struct bench *b = *state;

	bench_probe(b, RESULT_SUCCESS);
	for (int i = 0; i < 10; i++) {
		bench_probe(b, RESULT_DENIED);
		assert_int_equal(bench_look(b).until_ms - b->now_ms, 5 * MINUTE_MS);
		if (i == 9)
			bench_say(b, RESULT_SUCCESS);
		else
			bench_probe(b, RESULT_SUCCESS);
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void clients_refusals_climb_nothing(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 1000; i++) {
		assert_false(bench_say(b, RESULT_DENIED));
		bench_say(b, RESULT_AUTH);
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void an_outage_of_the_upstream_suspends_no_account(void **state)
{
	static const enum result_class classes[] = {
		RESULT_SERVER, RESULT_OVERLOAD, RESULT_NETWORK, RESULT_BURST};
	struct bench *b = *state;

	for (int i = 0; i < 1000; i++) {
		bench_say(b, classes[i % 4]);
		bench_probe(b, classes[i % 4]);
		struct health_look look = bench_look(b);
		assert_int_equal(look.standing, BOARD_STANDING_OPEN);
		assert_true(look.until_ms - b->now_ms <= BENCH_RECOVERY_MS);
		bench_pass(b);
	}
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void a_refused_probe_is_not_outlasted_by_a_burst(void **state)
{
	struct bench *b = *state;

	bench_probe(b, RESULT_DENIED);
	int64_t until = bench_look(b).until_ms;
	b->now_ms += MINUTE_MS;
	bench_rest(b, b->now_ms + 5000);
	assert_int_equal(bench_standing(b), BOARD_STANDING_COOLING);
	assert_int_equal(bench_look(b).until_ms, until);
}

static void a_probes_denial_counts_only_after_other_failures(void **state)
{
	struct bench *b = *state;

	b->suspected = false;
	for (int i = 0; i < 10; i++)
		assert_false(bench_probe(b, RESULT_DENIED));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	b->suspected = true;
	bench_probe(b, RESULT_DENIED);
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	/* and from then on */
	b->suspected = false;
	bench_probe(b, RESULT_DENIED);
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
}

static void refusals_of_probes_do_not_count_after_clients_were_served(void **state)
{
	struct bench *b = *state;

	b->suspected = false;
	bench_probe(b, RESULT_DENIED);
	b->suspected = true;
	bench_say(b, RESULT_SUCCESS);
	for (int i = 0; i < 10; i++) {
		assert_false(bench_probe(b, RESULT_DENIED));
		assert_false(bench_probe(b, RESULT_AUTH));
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	/* other failures do, and a success gives the refusals their meaning back */
	bench_probe(b, RESULT_SERVER);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	bench_probe(b, RESULT_SUCCESS);
	bench_probe(b, RESULT_DENIED);
	assert_int_equal(bench_standing(b), BOARD_STANDING_COOLING);
}

/* --- credentials --- */

static void a_clients_refused_credential_is_renewed_and_stays_in_use(void **state)
{
	struct bench *b = *state;

	assert_true(bench_say(b, RESULT_AUTH));
	bench_probe(b, RESULT_SUCCESS);
	assert_int_equal(bench_row(b)->refused_credential, 1);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_say(b, RESULT_SUCCESS);
	assert_int_equal(bench_row(b)->refused_credential, 0);
}

static void a_probes_refused_credential_rests_until_its_renewal(void **state)
{
	struct bench *b = *state;

	assert_true(bench_probe(b, RESULT_AUTH));
	assert_int_equal(bench_row(b)->refused_credential, 1);
	assert_int_equal(bench_standing(b), BOARD_STANDING_LOGIN);
	assert_int_equal(bench_look(b).until_ms - b->now_ms, 5 * MINUTE_MS);
	b->subject.credential = 2;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_true(bench_look(b).watch);
	bench_probe(b, RESULT_SUCCESS);
	bench_say(b, RESULT_SUCCESS);
	assert_int_equal(bench_row(b)->refused_credential, 0);
	/* and the next refusal is a first one again */
	bench_probe(b, RESULT_AUTH);
	assert_int_equal(bench_standing(b), BOARD_STANDING_LOGIN);
}

static void refused_credentials_in_a_row_climb(void **state)
{
	struct bench *b = *state;

	for (uint32_t rung = 1; rung < HEALTH_LADDER_SUSPENDED; rung++) {
		assert_true(bench_probe(b, RESULT_AUTH));
		b->subject.credential++;
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	assert_true(bench_probe(b, RESULT_AUTH));
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
}

static void a_credential_that_cannot_be_renewed_rests(void **state)
{
	struct bench *b = *state;

	b->subject.refreshable = false;
	assert_false(bench_say(b, RESULT_AUTH));
	assert_false(bench_probe(b, RESULT_AUTH));
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	bench_probe(b, RESULT_DENIED);
	bench_probe(b, RESULT_AUTH);
	assert_true(bench_probe(b, RESULT_AUTH));
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
}

static void an_old_credentials_refusal_does_not_count(void **state)
{
	static const uint8_t id[16] = {1};
	struct bench *b = *state;
	const struct result refused = {.class = RESULT_AUTH};
	uint32_t generation = bench_enter(b, 1);
	const struct health_event event = {
		.id = id, .generation = generation, .credential = 1, .result = &refused};

	b->subject.credential = 2;
	for (int i = 0; i < 10; i++) {
		assert_false(health_answer(bench_row(b), &b->subject, &event, true, b->now_ms));
		assert_false(health_probe(
			bench_row(b), &b->subject, &b->rules, &event, true, b->now_ms, 0));
	}
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_int_equal(bench_row(b)->refused_credential, 0);
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void a_new_credential_helps_no_account_that_was_denied(void **state)
{
	struct bench *b = *state;

	bench_probe(b, RESULT_DENIED);
	b->subject.credential++;
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
}

/* --- rests and windows --- */

static void a_rest_lasts_exactly_and_can_be_lifted(void **state)
{
	struct bench *b = *state;

	bench_rest(b, b->now_ms + 17001);
	bench_rest(b, b->now_ms + 2);
	assert_lasts(b, BOARD_STANDING_BURST, 17001);
	bench_rest(b, b->now_ms + 1000);
	health_wake(bench_row(b));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_probe(b, RESULT_DENIED);
	health_wake(bench_row(b));
	assert_int_equal(bench_standing(b), BOARD_STANDING_COOLING);
	/* of an older generation */
	health_rest(bench_row(b), 0, b->now_ms + 60 * MINUTE_MS);
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
}

static void a_window_lasts_exactly(void **state)
{
	struct bench *b = *state;

	bench_say_until(b, RESULT_WINDOW, b->now_ms + 7 * 24 * 60 * MINUTE_MS);
	assert_lasts(b, BOARD_STANDING_WINDOW, 7 * 24 * 60 * MINUTE_MS);
	bench_say_until(b, RESULT_WINDOW, b->now_ms);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_late_result_does_not_shorten_a_window(void **state)
{
	struct bench *b = *state;
	uint32_t before = bench_enter(b, 1);
	int64_t until = b->now_ms + 60 * MINUTE_MS;

	bench_say_until(b, RESULT_WINDOW, until);
	bench_result(b, 1, before, (struct result){.class = RESULT_SUCCESS});
	assert_int_equal(bench_look(b).until_ms, until);
	bench_result(b, 1, before,
		(struct result){.class = RESULT_WINDOW, .until_ms = b->now_ms + MINUTE_MS});
	assert_int_equal(bench_look(b).until_ms, until);
	bench_rest(b, b->now_ms + 1000);
	bench_probe(b, RESULT_AUTH);
	assert_int_equal(bench_standing(b), BOARD_STANDING_WINDOW);
	assert_int_equal(bench_look(b).until_ms, until);
	/* a later end counts, whichever request reports it */
	bench_result(b, 1, before, (struct result){.class = RESULT_WINDOW, .until_ms = until + 1});
	assert_lasts(b, BOARD_STANDING_WINDOW, until + 1 - b->now_ms);
}

static void a_success_under_a_window_ends_it(void **state)
{
	struct bench *b = *state;

	bench_say_until(b, RESULT_WINDOW, b->now_ms + 60 * MINUTE_MS);
	bench_say(b, RESULT_SUCCESS);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void reports_the_standing_that_lasts_longest(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	int64_t open_until = bench_look(b).until_ms;
	bench_say_until(b, RESULT_WINDOW, open_until - 1);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	assert_int_equal(bench_look(b).until_ms, open_until);
	bench_say_until(b, RESULT_WINDOW, open_until + 1);
	assert_int_equal(bench_standing(b), BOARD_STANDING_WINDOW);
	bench_rest(b, open_until + 2);
	assert_lasts(b, BOARD_STANDING_BURST, open_until + 2 - b->now_ms);
	assert_true(bench_look(b).trial);
}

/* --- probes --- */

static void a_failed_probe_opens_the_circuit_for_half_the_recovery_time_to_all_of_it(void **state)
{
	static const enum result_class classes[] = {
		RESULT_SERVER, RESULT_OVERLOAD, RESULT_NETWORK, RESULT_BURST};
	struct bench *b = *state;
	int64_t low = INT64_MAX;
	int64_t high = 0;

	for (uint64_t i = 0; i < 2000; i++) {
		b->random = i * 0x9e3779b97f4a7c15u;
		bench_probe(b, classes[i % 4]);
		assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
		int64_t ms = bench_look(b).until_ms - b->now_ms;
		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
		/* it is probed again before the end, and the result counts */
		b->now_ms += ms / 2;
		bench_probe(b, RESULT_SUCCESS);
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	assert_in_range(low, BENCH_RECOVERY_MS / 2, BENCH_RECOVERY_MS / 2 + 100);
	assert_in_range(high, BENCH_RECOVERY_MS - 100, BENCH_RECOVERY_MS);
}

static void a_probes_answer_about_its_request_changes_nothing(void **state)
{
	struct bench *b = *state;

	bench_probe(b, RESULT_PAYLOAD);
	bench_probe(b, RESULT_CLIENT);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_open(b);
	bench_probe(b, RESULT_PAYLOAD);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
}

static void a_probes_success_ends_no_window_and_no_burst(void **state)
{
	struct bench *b = *state;

	bench_rest(b, b->now_ms + 1000);
	bench_probe(b, RESULT_SUCCESS);
	assert_lasts(b, BOARD_STANDING_BURST, 1000);
	bench_say_until(b, RESULT_WINDOW, b->now_ms + 60 * MINUTE_MS);
	bench_probe(b, RESULT_SUCCESS);
	assert_lasts(b, BOARD_STANDING_WINDOW, 60 * MINUTE_MS);
}

static void a_probe_may_find_a_window(void **state)
{
	struct bench *b = *state;

	bench_result(b, BENCH_PROBE, bench_enter(b, BENCH_PROBE),
		(struct result){.class = RESULT_WINDOW, .until_ms = b->now_ms + MINUTE_MS});
	assert_lasts(b, BOARD_STANDING_WINDOW, MINUTE_MS);
}

/* --- egresses --- */

static void an_egress_that_has_others_beside_it_is_avoided_for_a_while(void **state)
{
	struct bench *b = *state;
	int64_t expected = HEALTH_AVOID_MIN_MS;

	b->subject.kind = HEALTH_BACKEND;
	for (int i = 0; i < 30; i++) {
		health_avoid(bench_row(b), bench_row(b)->generation, b->now_ms, 0);
		assert_lasts(b, BOARD_STANDING_SUSPECT, expected);
		expected = expected * 2 < HEALTH_AVOID_MAX_MS ? expected * 2 : HEALTH_AVOID_MAX_MS;
	}
	health_avoid(bench_row(b), bench_row(b)->generation, b->now_ms, UINT64_MAX);
	assert_true(bench_look(b).until_ms - b->now_ms <= HEALTH_AVOID_MAX_MS * 5 / 4);
	bench_say(b, RESULT_SUCCESS);
	health_avoid(bench_row(b), bench_row(b)->generation, b->now_ms, 0);
	assert_lasts(b, BOARD_STANDING_SUSPECT, HEALTH_AVOID_MIN_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refused_probes_in_a_row_climb_the_ladder),
		TEST(only_the_operator_lifts_a_suspension),
		TEST(a_success_ends_the_ladder),
		TEST(clients_refusals_climb_nothing),
		TEST(an_outage_of_the_upstream_suspends_no_account),
		TEST(a_refused_probe_is_not_outlasted_by_a_burst),
		TEST(a_probes_denial_counts_only_after_other_failures),
		TEST(refusals_of_probes_do_not_count_after_clients_were_served),
		TEST(a_clients_refused_credential_is_renewed_and_stays_in_use),
		TEST(a_probes_refused_credential_rests_until_its_renewal),
		TEST(refused_credentials_in_a_row_climb),
		TEST(a_credential_that_cannot_be_renewed_rests),
		TEST(an_old_credentials_refusal_does_not_count),
		TEST(a_new_credential_helps_no_account_that_was_denied),
		TEST(a_rest_lasts_exactly_and_can_be_lifted),
		TEST(a_window_lasts_exactly),
		TEST(a_late_result_does_not_shorten_a_window),
		TEST(a_success_under_a_window_ends_it),
		TEST(reports_the_standing_that_lasts_longest),
		TEST(a_failed_probe_opens_the_circuit_for_half_the_recovery_time_to_all_of_it),
		TEST(a_probes_answer_about_its_request_changes_nothing),
		TEST(a_probes_success_ends_no_window_and_no_burst),
		TEST(a_probe_may_find_a_window),
		TEST(an_egress_that_has_others_beside_it_is_avoided_for_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
