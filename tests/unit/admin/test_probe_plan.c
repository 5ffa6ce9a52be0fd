/* The reasons for probes, and their times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_bench.h"

static void no_probe_of_a_usable_busy_account(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 3);
	for (; b.now < T0 + 4 * IDLE; b.now += MINUTE) {
		for (size_t i = 0; i < b.count; i++)
			board_set(&b.rows[i].last_used_ms, (uint64_t)b.now);
		probe_bench_expect_none(&b);
	}
}

static void a_suspect_account_is_probed_at_once(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 2);
	b.pace.start_ms = T0 + PROBE_OFFSET_MS;
	probe_bench_suspect(&b, 1);
	probe_bench_expect(&b, 1, PROBE_SUSPECT);
	probe_bench_expect_none(&b);
	probe_bench_answer(&b, 1);
	b.now += SECOND;
	probe_bench_expect_none(&b);
}

/* Any failure may have its cause in the account. */
static void a_usable_account_is_probed_when_a_request_failed(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 2);
	probe_bench_fail_once(&b, 1);
	probe_bench_expect(&b, 1, PROBE_SUSPECT);
	probe_bench_expect_none(&b);
	probe_bench_answer(&b, 1);
	probe_bench_fail_once(&b, 1);
	probe_bench_expect_none(&b);
}

/* Clients fail all the time, and the probe says 200: the requests are at fault. */
static void pauses_double_while_probes_pass(void **state)
{
	static const int64_t pauses[] = {2, 4, 8, 16, 32, 60, 60, 60};
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	probe_bench_fail_once(&b, 0);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		int64_t last = b.now;
		probe_bench_answer(&b, 0);
		do {
			b.now += 100;
			probe_bench_fail_once(&b, 0);
		} while (probe_bench_next(&b, NULL) < 0);
		assert_int_equal(b.now - last, pauses[i] * SECOND);
	}
}

static void pauses_are_short_again_after_a_reset(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	for (int i = 0; i < 4; i++) {
		b.now += PROBE_WANTED_GAP_MAX_MS;
		probe_bench_fail_once(&b, 0);
		probe_bench_expect(&b, 0, PROBE_SUSPECT);
		probe_bench_answer(&b, 0);
	}
	b.now += SECOND;
	probe_bench_fail_once(&b, 0);
	probe_bench_expect_none(&b);
	board_set(&b.rows[0].epoch, 1);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
}

/* The account fails, rests and comes back: its next failure is looked into at once. */
static void pauses_are_short_again_after_a_failed_probe(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	for (int i = 0; i < 6; i++) {
		b.now += PROBE_WANTED_GAP_MAX_MS;
		probe_bench_fail_once(&b, 0);
		probe_bench_expect(&b, 0, PROBE_SUSPECT);
		probe_end(b.all[0], i < 5 ? PROBE_PASSED : PROBE_FAILED);
	}
	b.now += PROBE_WANTED_GAP_MS - 1;
	probe_bench_fail_once(&b, 0);
	probe_bench_expect_none(&b);
	b.now++;
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
}

static void one_suspicion_gets_one_probe(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	probe_bench_suspect(&b, 0);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
	probe_end(b.all[0], PROBE_PASSED);
	b.now += 20 * SECOND; /* it stays suspect: the response gave no verdict */
	probe_bench_expect_none(&b);
}

static void a_probe_without_a_result_is_repeated(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	probe_bench_suspect(&b, 0);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
	probe_end(b.all[0], PROBE_UNSENT);
	probe_bench_due_at(&b, T0 + PROBE_WANTED_GAP_MS);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
}

/* Free requests to this account succeed, and real ones fail. */
static void repeated_suspicions_are_probed_less_often(void **state)
{
	struct probe_bench b;
	int64_t gap = PROBE_WANTED_GAP_MS;
	size_t probes = 0;

	(void)state;
	probe_bench_init(&b, 1);
	for (int64_t last = 0; b.now < T0 + HOUR; b.now += 200) {
		probe_bench_suspect(&b, 0);
		if (probe_bench_next(&b, NULL) < 0)
			continue;
		assert_true(!last || b.now - last >= gap / 2);
		gap = last ? b.now - last : gap;
		last = b.now;
		probes++;
		probe_bench_answer(&b, 0);
	}
	assert_in_range(probes, 60, 70);
	b.now += PROBE_WANTED_CALM_MS;
	probe_bench_suspect(&b, 0);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
	probe_bench_answer(&b, 0);
	b.now += PROBE_WANTED_GAP_MS;
	probe_bench_suspect(&b, 0);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
}

static void a_trial_after_the_recovery_time(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 2);
	b.pace.start_ms = T0 + PROBE_OFFSET_MS;
	probe_bench_stand(&b, 0, BOARD_STANDING_OPEN, T0 + 30 * SECOND);
	probe_bench_stand(
		&b, 1, BOARD_STANDING_HALF_OPEN, T0 + MINUTE); /* a client's trial is in progress */
	probe_bench_expect_none(&b);
	b.now += 30 * SECOND;
	probe_bench_stand(&b, 0, BOARD_STANDING_HALF_OPEN, 0);
	probe_bench_expect(&b, 0, PROBE_TRIAL);
	probe_bench_expect_none(&b);
	probe_end(b.all[0], PROBE_UNSENT);
	probe_bench_expect_none(&b);
	b.now += PAUSE;
	probe_bench_expect(&b, 0, PROBE_TRIAL);
}

static void a_rest_is_probed_again_before_its_end(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	b.pace.idle_ms = 0;
	probe_bench_stand(&b, 0, BOARD_STANDING_COOLING, T0 + 5 * MINUTE);
	probe_bench_due_at(&b, T0 + 150 * SECOND);
	probe_bench_expect(&b, 0, PROBE_EARLY);
	probe_end(b.all[0], PROBE_PASSED);
	probe_bench_due_at(&b, T0 + 225 * SECOND);
	probe_bench_expect(&b, 0, PROBE_EARLY);
	probe_end(b.all[0], PROBE_PASSED);
	probe_bench_due_at(&b, T0 + 5 * MINUTE - PROBE_EARLY_LAST_MS);
	probe_bench_expect(&b, 0, PROBE_EARLY);
	probe_end(b.all[0], PROBE_PASSED);
	for (; b.now < T0 + 5 * MINUTE; b.now += SECOND)
		probe_bench_expect_none(&b);
}

static void a_short_rest_is_probed_again_before_its_end(void **state)
{
	static const int64_t times[] = {10, 15, 18};
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	b.pace.idle_ms = 0;
	probe_bench_stand(&b, 0, BOARD_STANDING_COOLING, T0 + 20 * SECOND);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		probe_bench_due_at(&b, T0 + times[i] * SECOND);
		probe_bench_expect(&b, 0, PROBE_EARLY);
		probe_end(b.all[0], PROBE_FAILED);
	}
	for (; b.now < T0 + 20 * SECOND; b.now += 200)
		probe_bench_expect_none(&b);
}

static void a_new_cool_down_has_a_new_halfway_point(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	b.pace.idle_ms = 0;
	probe_bench_stand(&b, 0, BOARD_STANDING_COOLING, T0 + 5 * MINUTE);
	probe_bench_due_at(&b, T0 + 150 * SECOND);
	probe_bench_expect(&b, 0, PROBE_EARLY);
	probe_bench_stand(&b, 0, BOARD_STANDING_COOLING, b.now + 30 * MINUTE);
	probe_end(b.all[0], PROBE_PASSED);
	probe_bench_due_at(&b, b.now + 15 * MINUTE);
	probe_bench_expect(&b, 0, PROBE_EARLY);
}

static void other_states_get_no_probe(void **state)
{
	static const enum board_standing standings[] = {BOARD_STANDING_BURST, BOARD_STANDING_WINDOW,
		BOARD_STANDING_LOGIN, BOARD_STANDING_SUSPENDED, BOARD_STANDING_OPEN};
	struct probe_bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		probe_bench_init(&b, 1);
		probe_bench_stand(&b, 0, standings[i], T0 + 5 * HOUR);
		for (; b.now < T0 + 5 * HOUR; b.now += MINUTE) {
			probe_bench_fail_once(&b, 0);
			probe_bench_expect_none(&b);
		}
	}
}

/* A window of a week, of an account with a usage page. */
static void begin_week(struct probe_bench *b)
{
	probe_bench_init(b, 1);
	b->accounts[0].has_page = true;
	probe_bench_stand(b, 0, BOARD_STANDING_WINDOW, T0 + 7 * 24 * HOUR);
	board_set(&b->rows[0].window_ms, (uint64_t)(T0 + 7 * 24 * HOUR));
}

static void a_usage_page_is_asked_again_while_a_window_lasts(void **state)
{
	struct probe_bench b;

	(void)state;
	begin_week(&b);
	for (int n = 1; n <= 5; n++) {
		probe_bench_due_at(&b, b.now + PROBE_PAGE_GAP_MS);
		probe_bench_expect(&b, 0, PROBE_WINDOW);
		probe_end(b.all[0], PROBE_PASSED);
	}
	b.now += 5 * MINUTE;
	b.accounts[0].asked_ms = b.now; /* a command counts as a look */
	probe_bench_expect(&b, 0, PROBE_ASKED);
	probe_end(b.all[0], PROBE_PASSED);
	probe_bench_due_at(&b, b.now + PROBE_PAGE_GAP_MS);
	probe_bench_expect(&b, 0, PROBE_WINDOW);
	probe_end(b.all[0], PROBE_PASSED);
	board_set(&b.rows[0].window_ms, 0);
	probe_bench_stand(&b, 0, BOARD_STANDING_USABLE, 0);
	b.pace.idle_ms = 0;
	b.now += HOUR;
	probe_bench_expect_none(&b);
}

static void a_window_without_a_usage_page_is_left_alone(void **state)
{
	struct probe_bench b;

	(void)state;
	begin_week(&b);
	b.accounts[0].has_page = false;
	for (; b.now < T0 + HOUR; b.now += MINUTE)
		probe_bench_expect_none(&b);
}

static void a_short_window_is_left_alone(void **state)
{
	struct probe_bench b;

	(void)state;
	begin_week(&b);
	b.pace.idle_ms = 0;
	probe_bench_stand(&b, 0, BOARD_STANDING_WINDOW, T0 + PROBE_PAGE_GAP_MS);
	board_set(&b.rows[0].window_ms, (uint64_t)(T0 + PROBE_PAGE_GAP_MS));
	for (; b.now < T0 + HOUR; b.now += SECOND)
		probe_bench_expect_none(&b);
}

/* Control starts while many accounts are in a window: no two looks within the pause. */
static void a_start_spreads_the_looks_at_usage_pages(void **state)
{
	struct probe_bench b;
	size_t first_half = 0, looks = 0;

	(void)state;
	probe_bench_init(&b, MANY);
	for (size_t i = 0; i < MANY; i++) {
		b.accounts[i] = (struct probe_account){
			.id = (uint32_t)i + 1, .wanted = true, .has_page = true};
		probe_bench_stand(&b, i, BOARD_STANDING_WINDOW, T0 + 24 * HOUR);
		board_set(&b.rows[i].window_ms, (uint64_t)(T0 + 24 * HOUR));
	}
	for (int64_t last = 0; b.now < T0 + PROBE_PAGE_GAP_MS + MINUTE; b.now += 200) {
		enum probe_reason reason;
		int at = probe_bench_next(&b, &reason);
		if (at < 0)
			continue;
		assert_int_equal(reason, PROBE_WINDOW);
		assert_true(b.now - last >= PAUSE);
		last = b.now;
		looks++;
		first_half += b.now < T0 + PROBE_PAGE_GAP_MS / 2;
		probe_end(b.all[at], PROBE_PASSED);
	}
	assert_true(looks >= MANY);
	assert_in_range(first_half, MANY / 4, 3 * MANY / 4);
}

static void idle_accounts_are_probed(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	probe_bench_due_at(&b, T0 + IDLE);
	probe_bench_expect(&b, 0, PROBE_IDLE);
	probe_bench_answer(&b, 0);
	b.now = T0 + 2 * IDLE - 1;
	probe_bench_expect_none(&b);
	b.now = T0 + 2 * IDLE + IDLE / 8;
	probe_bench_expect(&b, 0, PROBE_IDLE);
	b.pace.idle_ms = 0;
	probe_bench_answer(&b, 0);
	b.now += 10 * HOUR;
	probe_bench_expect_none(&b);
}

static void an_unused_account_is_idle_since_it_is_known(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	board_set(&b.rows[0].last_used_ms, 0);
	probe_bench_due_at(&b, T0 + IDLE);
	probe_bench_expect(&b, 0, PROBE_IDLE);
}

static void no_idle_probe_right_after_the_start(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	b.pace.start_ms = T0 + 17 * SECOND;
	board_set(&b.rows[0].last_used_ms, (uint64_t)(T0 - HOUR));
	probe_bench_due_at(&b, T0 + 17 * SECOND);
	probe_bench_expect(&b, 0, PROBE_IDLE);
}

static void unwanted_accounts_are_probed_by_command_only(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 3);
	for (size_t i = 0; i < b.count; i++)
		b.accounts[i].wanted = false;
	probe_bench_suspect(&b, 0);
	probe_bench_stand(&b, 1, BOARD_STANDING_HALF_OPEN, 0);
	for (; b.now < T0 + 2 * IDLE; b.now += SECOND)
		probe_bench_expect_none(&b);
	b.accounts[2].asked_ms = b.now; /* a command is allowed */
	probe_bench_expect(&b, 2, PROBE_ASKED);
}

static void only_a_command_ignores_the_earliest_time(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	probe_bench_suspect(&b, 0);
	b.accounts[0].not_before_ms = T0 + 2 * SECOND;
	probe_bench_due_at(&b, T0 + 2 * SECOND);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
	probe_end(b.all[0], PROBE_UNSENT);
	b.accounts[0].not_before_ms = b.now + MINUTE;
	b.accounts[0].asked_ms = b.now;
	probe_bench_expect(&b, 0, PROBE_ASKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_probe_of_a_usable_busy_account),
		cmocka_unit_test(a_suspect_account_is_probed_at_once),
		cmocka_unit_test(a_usable_account_is_probed_when_a_request_failed),
		cmocka_unit_test(pauses_double_while_probes_pass),
		cmocka_unit_test(pauses_are_short_again_after_a_reset),
		cmocka_unit_test(pauses_are_short_again_after_a_failed_probe),
		cmocka_unit_test(one_suspicion_gets_one_probe),
		cmocka_unit_test(a_probe_without_a_result_is_repeated),
		cmocka_unit_test(repeated_suspicions_are_probed_less_often),
		cmocka_unit_test(a_trial_after_the_recovery_time),
		cmocka_unit_test(a_rest_is_probed_again_before_its_end),
		cmocka_unit_test(a_short_rest_is_probed_again_before_its_end),
		cmocka_unit_test(a_new_cool_down_has_a_new_halfway_point),
		cmocka_unit_test(other_states_get_no_probe),
		cmocka_unit_test(a_usage_page_is_asked_again_while_a_window_lasts),
		cmocka_unit_test(a_window_without_a_usage_page_is_left_alone),
		cmocka_unit_test(a_short_window_is_left_alone),
		cmocka_unit_test(a_start_spreads_the_looks_at_usage_pages),
		cmocka_unit_test(idle_accounts_are_probed),
		cmocka_unit_test(an_unused_account_is_idle_since_it_is_known),
		cmocka_unit_test(no_idle_probe_right_after_the_start),
		cmocka_unit_test(unwanted_accounts_are_probed_by_command_only),
		cmocka_unit_test(only_a_command_ignores_the_earliest_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
