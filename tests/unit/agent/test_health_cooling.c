/* The promises of health.h about refusals: ladder, credentials, bursts, windows, suspicion. */
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

static void refusals_in_a_row_climb_the_ladder(void **state)
{
	struct bench *b = *state;

	assert_false(bench_say(b, RESULT_DENIED));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_false(bench_say(b, RESULT_DENIED));
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	assert_false(bench_say(b, RESULT_DENIED));
	assert_lasts(b, BOARD_STANDING_COOLING, 30 * MINUTE_MS);
	assert_false(bench_say(b, RESULT_DENIED));
	assert_lasts(b, BOARD_STANDING_COOLING, 30 * MINUTE_MS);
	assert_true(bench_say(b, RESULT_DENIED));
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	assert_int_equal(bench_look(b).until_ms, 0);
}

static void only_the_operator_lifts_a_suspension(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < HEALTH_LADDER_SUSPENDED; i++)
		bench_say(b, RESULT_DENIED);
	b->now_ms += 365 * 24 * 60 * MINUTE_MS;
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	bench_say(b, RESULT_SUCCESS);
	b->subject.credential++;
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
	b->subject.epoch++;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void a_success_ends_the_ladder(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 10; i++) {
		bench_say(b, RESULT_DENIED);
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
		bench_say(b, RESULT_SUCCESS);
	}
	bench_say(b, RESULT_DENIED);
	bench_say(b, RESULT_DENIED);
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	bench_say(b, RESULT_SUCCESS);
	bench_say(b, RESULT_DENIED);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void an_outage_of_the_upstream_suspends_no_account(void **state)
{
	static const enum result_class classes[] = {
		RESULT_SERVER, RESULT_OVERLOAD, RESULT_NETWORK, RESULT_BURST};
	struct bench *b = *state;

	for (int i = 0; i < 1000; i++) {
		bench_say(b, classes[i % 4]);
		bench_say_suspect(b);
		struct health_look look = bench_look(b);
		assert_int_not_equal(look.standing, BOARD_STANDING_SUSPENDED);
		assert_true(look.until_ms - b->now_ms <= HEALTH_BURST_MAX_MS);
		if (look.until_ms)
			bench_pass(b);
	}
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void a_probe_does_not_shorten_a_cool_down(void **state)
{
	struct bench *b = *state;

	bench_say(b, RESULT_DENIED);
	bench_say(b, RESULT_DENIED);
	int64_t until = bench_look(b).until_ms;
	b->now_ms += MINUTE_MS;
	bench_say(b, RESULT_BURST);
	bench_say_suspect(b);
	bench_say(b, RESULT_AUTH);
	assert_int_equal(bench_standing(b), BOARD_STANDING_COOLING);
	assert_true(bench_look(b).until_ms >= until);
}

/* --- credentials --- */

static void the_first_refusal_of_a_renewable_credential_costs_its_renewal(void **state)
{
	struct bench *b = *state;

	assert_true(bench_say(b, RESULT_AUTH));
	assert_int_equal(bench_row(b)->refused_credential, 1);
	assert_lasts(b, BOARD_STANDING_LOGIN, HEALTH_LOGIN_MS);
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void a_new_credential_ends_the_old_ones_cool_down(void **state)
{
	struct bench *b = *state;

	bench_say(b, RESULT_AUTH);
	b->subject.credential = 2;
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_true(bench_look(b).watch);
	bench_say(b, RESULT_SUCCESS);
	assert_int_equal(bench_row(b)->refused_credential, 0);
	/* and the next refusal is a first one again */
	bench_say(b, RESULT_AUTH);
	assert_int_equal(bench_standing(b), BOARD_STANDING_LOGIN);
}

static void refused_credentials_in_a_row_climb(void **state)
{
	struct bench *b = *state;

	for (uint32_t rung = 0; rung < HEALTH_LADDER_SUSPENDED; rung++) {
		assert_true(bench_say(b, RESULT_AUTH));
		b->subject.credential++;
		assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	}
	assert_int_equal(bench_row(b)->rungs, HEALTH_LADDER_SUSPENDED - 1);
	assert_true(bench_say(b, RESULT_AUTH));
	assert_int_equal(bench_standing(b), BOARD_STANDING_SUSPENDED);
}

static void a_credential_that_cannot_be_renewed_climbs_at_once(void **state)
{
	struct bench *b = *state;

	b->subject.refreshable = false;
	assert_false(bench_say(b, RESULT_AUTH));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_false(bench_say(b, RESULT_AUTH));
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	bench_say(b, RESULT_DENIED);
	bench_say(b, RESULT_AUTH);
	assert_true(bench_say(b, RESULT_AUTH));
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
	for (int i = 0; i < 10; i++)
		assert_false(
			health_result(bench_row(b), &b->subject, &b->rules, &event, b->now_ms, 0));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_int_equal(bench_row(b)->refused_credential, 0);
	assert_int_equal(bench_row(b)->rungs, 0);
}

static void a_new_credential_helps_no_account_that_was_denied(void **state)
{
	struct bench *b = *state;

	bench_say(b, RESULT_DENIED);
	bench_say(b, RESULT_DENIED);
	b->subject.credential++;
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
}

/* --- bursts --- */

static void bursts_double_up_to_a_minute(void **state)
{
	struct bench *b = *state;
	int64_t expected = HEALTH_BURST_MIN_MS;

	for (int i = 0; i < 30; i++) {
		bench_say(b, RESULT_BURST);
		assert_lasts(b, BOARD_STANDING_BURST, expected);
		expected = expected * 2 < HEALTH_BURST_MAX_MS ? expected * 2 : HEALTH_BURST_MAX_MS;
	}
	bench_say(b, RESULT_SUCCESS);
	bench_say(b, RESULT_BURST);
	assert_lasts(b, BOARD_STANDING_BURST, HEALTH_BURST_MIN_MS);
}

static void jitter_adds_at_most_a_quarter(void **state)
{
	struct bench *b = *state;
	int64_t low = INT64_MAX;
	int64_t high = 0;

	for (uint64_t i = 0; i < 2000; i++) {
		b->random = i * 0x9e3779b97f4a7c15u;
		bench_say(b, RESULT_SUCCESS);
		bench_say(b, RESULT_BURST);
		int64_t ms = bench_look(b).until_ms - b->now_ms;
		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
		b->now_ms += ms;
	}
	assert_in_range(low, 1000, 1010);
	assert_in_range(high, 1240, 1250);
}

static void retry_after_is_obeyed_exactly(void **state)
{
	struct bench *b = *state;

	b->random = UINT64_MAX;
	bench_say_until(b, RESULT_BURST, b->now_ms + 17001);
	assert_lasts(b, BOARD_STANDING_BURST, 17001);
	b->random = 0;
	bench_say_until(b, RESULT_BURST, b->now_ms - 1);
	assert_lasts(b, BOARD_STANDING_BURST, 2000);
}

/* --- windows --- */

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
	bench_say(b, RESULT_BURST);
	bench_say_suspect(b);
	bench_say(b, RESULT_AUTH);
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
	bench_say_until(b, RESULT_BURST, open_until + 2);
	assert_lasts(b, BOARD_STANDING_BURST, open_until + 2 - b->now_ms);
	assert_true(bench_look(b).trial);
}

/* --- suspicion --- */

static void suspicion_doubles_up_to_half_a_minute(void **state)
{
	struct bench *b = *state;
	int64_t expected = HEALTH_SUSPECT_MIN_MS;

	for (int i = 0; i < 30; i++) {
		bench_say_suspect(b);
		assert_lasts(b, BOARD_STANDING_SUSPECT, expected);
		expected =
			expected * 2 < HEALTH_SUSPECT_MAX_MS ? expected * 2 : HEALTH_SUSPECT_MAX_MS;
	}
	assert_int_equal(bench_row(b)->failures, 0);
	bench_say(b, RESULT_SUCCESS);
	bench_say_suspect(b);
	assert_lasts(b, BOARD_STANDING_SUSPECT, HEALTH_SUSPECT_MIN_MS);
}

/* --- probes --- */

static void a_probes_answer_ends_suspicion_and_cool_down(void **state)
{
	struct bench *b = *state;

	bench_say_suspect(b);
	bench_probe(b, RESULT_SUCCESS);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_say_suspect(b);
	bench_probe(
		b, RESULT_PAYLOAD); /* the account works: it answers about the request's content */
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	bench_say(b, RESULT_DENIED);
	bench_say(b, RESULT_DENIED);
	bench_probe(b, RESULT_SUCCESS);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_int_equal(bench_row(b)->rungs, 0);
}

/* An account that answers probes while its real requests fail must not flap. */
static void a_probes_success_puts_on_probation(void **state)
{
	struct bench *b = *state;

	bench_open(b);
	bench_pass(b);
	bench_probe(b, RESULT_SUCCESS);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_false(bench_look(b).trial);
	bench_say(b, RESULT_SERVER);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
	bench_pass(b);
	bench_probe(b, RESULT_SUCCESS);
	bench_say(b, RESULT_SUCCESS);
	bench_say(b, RESULT_SERVER);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void suspicion_doubles_until_a_real_request_is_answered(void **state)
{
	struct bench *b = *state;

	bench_say_suspect(b);
	bench_probe(b, RESULT_SUCCESS);
	bench_say_suspect(b);
	bench_probe(b, RESULT_PAYLOAD);
	bench_say_suspect(b);
	assert_lasts(b, BOARD_STANDING_SUSPECT, 4 * HEALTH_SUSPECT_MIN_MS);
	bench_say(b, RESULT_PAYLOAD);
	bench_say_suspect(b);
	assert_lasts(b, BOARD_STANDING_SUSPECT, HEALTH_SUSPECT_MIN_MS);
}

static void a_suspicion_that_the_egress_explains_ends(void **state)
{
	struct bench *b = *state;

	bench_say_suspect(b);
	uint32_t generation = bench_row(b)->generation;
	health_excuse(bench_row(b));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_true(bench_row(b)->generation > generation);
	bench_say(b, RESULT_BURST);
	health_excuse(bench_row(b));
	assert_lasts(b, BOARD_STANDING_BURST, HEALTH_BURST_MIN_MS);
}

static void an_account_passed_over_is_avoided_until_the_client_retries(void **state)
{
	struct bench *b = *state;

	health_pass_over(bench_row(b), b->now_ms, 0);
	assert_lasts(b, BOARD_STANDING_SUSPECT, HEALTH_PASS_OVER_MS);
	bench_say_until(b, RESULT_BURST, b->now_ms + 60 * MINUTE_MS);
	health_pass_over(bench_row(b), b->now_ms, 0);
	assert_lasts(b, BOARD_STANDING_BURST, 60 * MINUTE_MS);
}

static void a_probes_success_ends_no_window_and_no_burst(void **state)
{
	struct bench *b = *state;

	bench_say_until(b, RESULT_BURST, b->now_ms + 1000);
	bench_probe(b, RESULT_SUCCESS);
	assert_lasts(b, BOARD_STANDING_BURST, 1000);
	bench_say_until(b, RESULT_WINDOW, b->now_ms + 60 * MINUTE_MS);
	bench_probe(b, RESULT_SUCCESS);
	assert_lasts(b, BOARD_STANDING_WINDOW, 60 * MINUTE_MS);
	/* and the next burst is still the second one */
	bench_say(b, RESULT_BURST);
	assert_lasts(b, BOARD_STANDING_BURST, 2 * HEALTH_BURST_MIN_MS);
}

static void a_probes_denial_counts_only_after_other_failures(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 10; i++)
		bench_probe(b, RESULT_DENIED);
	assert_int_equal(bench_row(b)->rungs, 0);
	bench_say(b, RESULT_DENIED);
	bench_probe(b, RESULT_DENIED);
	assert_lasts(b, BOARD_STANDING_COOLING, 5 * MINUTE_MS);
	bench_say(b, RESULT_SUCCESS);
	bench_say_suspect(b);
	bench_probe(b, RESULT_DENIED);
	assert_int_equal(bench_row(b)->rungs, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refusals_in_a_row_climb_the_ladder),
		TEST(only_the_operator_lifts_a_suspension),
		TEST(a_success_ends_the_ladder),
		TEST(an_outage_of_the_upstream_suspends_no_account),
		TEST(a_probe_does_not_shorten_a_cool_down),
		TEST(the_first_refusal_of_a_renewable_credential_costs_its_renewal),
		TEST(a_new_credential_ends_the_old_ones_cool_down),
		TEST(refused_credentials_in_a_row_climb),
		TEST(a_credential_that_cannot_be_renewed_climbs_at_once),
		TEST(an_old_credentials_refusal_does_not_count),
		TEST(a_new_credential_helps_no_account_that_was_denied),
		TEST(bursts_double_up_to_a_minute),
		TEST(jitter_adds_at_most_a_quarter),
		TEST(retry_after_is_obeyed_exactly),
		TEST(a_window_lasts_exactly),
		TEST(a_late_result_does_not_shorten_a_window),
		TEST(a_success_under_a_window_ends_it),
		TEST(reports_the_standing_that_lasts_longest),
		TEST(suspicion_doubles_up_to_half_a_minute),
		TEST(a_probes_answer_ends_suspicion_and_cool_down),
		TEST(a_probes_success_puts_on_probation),
		TEST(suspicion_doubles_until_a_real_request_is_answered),
		TEST(a_suspicion_that_the_egress_explains_ends),
		TEST(an_account_passed_over_is_avoided_until_the_client_retries),
		TEST(a_probes_success_ends_no_window_and_no_burst),
		TEST(a_probes_denial_counts_only_after_other_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
