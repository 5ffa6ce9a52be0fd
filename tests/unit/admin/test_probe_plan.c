/* The schedule of probes, with a test clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/probe_plan.h"
#include "common/board.h"

#include <stdlib.h>
#include <string.h>

#define T0 ((int64_t)1700000000000)
#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define PAUSE (3 * SECOND)
#define IDLE (15 * MINUTE)
#define MANY 40

struct bench {
	struct board_account rows[MANY];
	struct probe_account accounts[MANY];
	struct probe_account *all[MANY];
	size_t count;
	struct probe_pace pace;
	int64_t now;
	uint64_t random;
};

static void bench_init(struct bench *b, size_t count)
{
	memset(b, 0, sizeof(*b));
	b->count = count;
	b->now = T0;
	b->random = 12345;
	b->pace = (struct probe_pace){.start_ms = T0, .idle_ms = IDLE, .pause_ms = PAUSE};
	for (size_t i = 0; i < count; i++) {
		b->all[i] = &b->accounts[i];
		b->accounts[i].id = (uint32_t)i + 1;
		b->accounts[i].wanted = true;
		board_set(&b->rows[i].last_used_ms, (uint64_t)T0);
		probe_observe(b->all[i], &b->rows[i], b->now);
	}
}

static uint64_t draw(struct bench *b)
{
	b->random = b->random * 6364136223846793005u + 1442695040888963407u;
	return b->random >> 33;
}

static void stand(struct bench *b, size_t i, enum board_standing standing, int64_t until_ms)
{
	board_set(&b->rows[i].standing, standing);
	board_set(&b->rows[i].until_ms, (uint64_t)until_ms);
	board_set(&b->rows[i].wants_probe_ms, 0);
}

static void suspect(struct bench *b, size_t i)
{
	stand(b, i, BOARD_STANDING_SUSPECT, b->now + 30 * SECOND);
	board_set(&b->rows[i].wants_probe_ms, (uint64_t)b->now);
}

/* Begins the next probe; returns its index, or -1. */
static int next(struct bench *b, enum probe_reason *ret_reason)
{
	enum probe_reason reason = PROBE_REASON_COUNT;
	size_t at;

	for (size_t i = 0; i < b->count; i++)
		probe_observe(b->all[i], &b->rows[i], b->now);
	if (!probe_next(b->all, b->count, &b->pace, b->now, &at, &reason))
		return -1;
	assert_false(b->all[at]->under_way);
	probe_begin(b->all[at], &b->pace, reason, b->now, draw(b));
	if (ret_reason)
		*ret_reason = reason;
	return (int)at;
}

static void expect(struct bench *b, int at, enum probe_reason reason)
{
	enum probe_reason got = PROBE_REASON_COUNT;

	assert_int_equal(next(b, &got), at);
	assert_int_equal(got, reason);
}

static void expect_none(struct bench *b)
{
	assert_int_equal(next(b, NULL), -1);
}

/* The probe succeeded: the account was used and is usable. */
static void answer(struct bench *b, size_t i)
{
	probe_end(b->all[i], true);
	stand(b, i, BOARD_STANDING_USABLE, 0);
	board_set(&b->rows[i].last_used_ms, (uint64_t)b->now);
}

/* A probe is due at `when`, and none before. */
static void due_at(struct bench *b, int64_t when)
{
	while (b->now < when - SECOND) {
		expect_none(b);
		b->now += SECOND;
	}
	b->now = when - 1;
	expect_none(b);
	b->now = when;
}

/* --- reasons --- */

static void no_probe_of_a_usable_busy_account(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 3);
	for (; b.now < T0 + 4 * IDLE; b.now += MINUTE) {
		for (size_t i = 0; i < b.count; i++)
			board_set(&b.rows[i].last_used_ms, (uint64_t)b.now);
		expect_none(&b);
	}
}

static void a_suspect_account_is_probed_at_once(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	b.pace.start_ms = T0 + PROBE_OFFSET_MS;
	suspect(&b, 1);
	expect(&b, 1, PROBE_SUSPECT);
	expect_none(&b);
	answer(&b, 1);
	b.now += SECOND;
	expect_none(&b);
}

static void one_suspicion_gets_one_probe(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	suspect(&b, 0);
	expect(&b, 0, PROBE_SUSPECT);
	probe_end(b.all[0], true);
	b.now += 20 * SECOND; /* it stays suspect: the response gave no verdict */
	expect_none(&b);
}

static void a_probe_without_a_result_is_repeated(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	suspect(&b, 0);
	expect(&b, 0, PROBE_SUSPECT);
	probe_end(b.all[0], false);
	due_at(&b, T0 + PROBE_SUSPECT_GAP_MS);
	expect(&b, 0, PROBE_SUSPECT);
}

/* Free requests to this account succeed, and real ones fail. */
static void repeated_suspicions_are_probed_less_often(void **state)
{
	struct bench b;
	int64_t gap = PROBE_SUSPECT_GAP_MS;
	size_t probes = 0;

	(void)state;
	bench_init(&b, 1);
	for (int64_t last = 0; b.now < T0 + HOUR; b.now += 200) {
		suspect(&b, 0);
		if (next(&b, NULL) < 0)
			continue;
		assert_true(!last || b.now - last >= gap / 2);
		gap = last ? b.now - last : gap;
		last = b.now;
		probes++;
		answer(&b, 0);
	}
	assert_in_range(probes, 60, 70);
	b.now += PROBE_SUSPECT_CALM_MS;
	suspect(&b, 0);
	expect(&b, 0, PROBE_SUSPECT);
	answer(&b, 0);
	b.now += PROBE_SUSPECT_GAP_MS;
	suspect(&b, 0);
	expect(&b, 0, PROBE_SUSPECT);
}

static void a_trial_after_the_recovery_time(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	b.pace.start_ms = T0 + PROBE_OFFSET_MS;
	stand(&b, 0, BOARD_STANDING_OPEN, T0 + 30 * SECOND);
	stand(&b, 1, BOARD_STANDING_HALF_OPEN, T0 + MINUTE); /* a client's trial is in progress */
	expect_none(&b);
	b.now += 30 * SECOND;
	stand(&b, 0, BOARD_STANDING_HALF_OPEN, 0);
	expect(&b, 0, PROBE_TRIAL);
	expect_none(&b);
	probe_end(b.all[0], false);
	expect_none(&b);
	b.now += PAUSE;
	expect(&b, 0, PROBE_TRIAL);
}

static void a_probe_halfway_through_a_long_cool_down(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	b.pace.idle_ms = 0;
	stand(&b, 0, BOARD_STANDING_COOLING, T0 + 5 * MINUTE);
	due_at(&b, T0 + 150 * SECOND);
	expect(&b, 0, PROBE_EARLY);
	probe_end(b.all[0], true);
	due_at(&b, T0 + 225 * SECOND);
	expect(&b, 0, PROBE_EARLY);
	probe_end(b.all[0], true);
	for (; b.now < T0 + 5 * MINUTE; b.now += SECOND)
		expect_none(&b);
}

static void a_new_cool_down_has_a_new_halfway_point(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	b.pace.idle_ms = 0;
	stand(&b, 0, BOARD_STANDING_COOLING, T0 + 5 * MINUTE);
	due_at(&b, T0 + 150 * SECOND);
	expect(&b, 0, PROBE_EARLY);
	stand(&b, 0, BOARD_STANDING_COOLING, b.now + 30 * MINUTE);
	probe_end(b.all[0], true);
	due_at(&b, b.now + 15 * MINUTE);
	expect(&b, 0, PROBE_EARLY);
}

static void other_states_get_no_probe(void **state)
{
	static const enum board_standing standings[] = {BOARD_STANDING_BURST, BOARD_STANDING_WINDOW,
		BOARD_STANDING_LOGIN, BOARD_STANDING_SUSPENDED, BOARD_STANDING_OPEN};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		bench_init(&b, 1);
		stand(&b, 0, standings[i], T0 + 5 * HOUR);
		for (; b.now < T0 + 5 * HOUR; b.now += MINUTE)
			expect_none(&b);
	}
}

static void idle_accounts_are_probed(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	due_at(&b, T0 + IDLE);
	expect(&b, 0, PROBE_IDLE);
	answer(&b, 0);
	b.now = T0 + 2 * IDLE - 1;
	expect_none(&b);
	b.now = T0 + 2 * IDLE + IDLE / 8;
	expect(&b, 0, PROBE_IDLE);
	b.pace.idle_ms = 0;
	answer(&b, 0);
	b.now += 10 * HOUR;
	expect_none(&b);
}

static void an_unused_account_is_idle_since_it_is_known(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	board_set(&b.rows[0].last_used_ms, 0);
	due_at(&b, T0 + IDLE);
	expect(&b, 0, PROBE_IDLE);
}

static void no_idle_probe_right_after_the_start(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	b.pace.start_ms = T0 + 17 * SECOND;
	board_set(&b.rows[0].last_used_ms, (uint64_t)(T0 - HOUR));
	due_at(&b, T0 + 17 * SECOND);
	expect(&b, 0, PROBE_IDLE);
}

static void unwanted_accounts_are_probed_by_command_only(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 3);
	for (size_t i = 0; i < b.count; i++)
		b.accounts[i].wanted = false;
	suspect(&b, 0);
	stand(&b, 1, BOARD_STANDING_HALF_OPEN, 0);
	for (; b.now < T0 + 2 * IDLE; b.now += SECOND)
		expect_none(&b);
	b.accounts[2].asked_ms = b.now; /* a command is allowed */
	expect(&b, 2, PROBE_ASKED);
}

static void only_a_command_ignores_the_earliest_time(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	suspect(&b, 0);
	b.accounts[0].not_before_ms = T0 + 2 * SECOND;
	due_at(&b, T0 + 2 * SECOND);
	expect(&b, 0, PROBE_SUSPECT);
	probe_end(b.all[0], false);
	b.accounts[0].not_before_ms = b.now + MINUTE;
	b.accounts[0].asked_ms = b.now;
	expect(&b, 0, PROBE_ASKED);
}

/* --- number and order --- */

static void urgent_probes_run_concurrently_up_to_a_limit(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2 * PROBE_URGENT_MAX);
	for (size_t i = 0; i < b.count; i++)
		suspect(&b, i);
	for (int i = 0; i < PROBE_URGENT_MAX; i++)
		expect(&b, i, PROBE_SUSPECT);
	expect_none(&b);
	answer(&b, 3);
	expect(&b, PROBE_URGENT_MAX, PROBE_SUSPECT);
	expect_none(&b);
}

static void urgent_probes_do_not_delay_paced_ones(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, PROBE_URGENT_MAX + 2);
	for (size_t i = 0; i <= PROBE_URGENT_MAX; i++)
		suspect(&b, i);
	stand(&b, PROBE_URGENT_MAX + 1, BOARD_STANDING_HALF_OPEN, 0);
	for (int i = 0; i < PROBE_URGENT_MAX; i++)
		expect(&b, i, PROBE_SUSPECT);
	expect(&b, PROBE_URGENT_MAX + 1, PROBE_TRIAL);
	expect_none(&b);
}

static void a_command_waits_for_the_current_probe(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	stand(&b, 0, BOARD_STANDING_HALF_OPEN, 0);
	expect(&b, 0, PROBE_TRIAL);
	b.accounts[0].asked_ms = b.now;
	expect_none(&b);
	answer(&b, 0);
	expect(&b, 0, PROBE_ASKED);
	answer(&b, 0);
	b.now += MINUTE;
	expect_none(&b);
}

static void a_clock_set_back_delays_no_probe(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	b.now += 2 * IDLE;
	expect(&b, 0, PROBE_IDLE);
	answer(&b, 0);
	b.now -= 10 * HOUR;
	board_set(&b.rows[0].last_used_ms, (uint64_t)b.now);
	board_set(&b.rows[1].last_used_ms, (uint64_t)b.now);
	suspect(&b, 0);
	stand(&b, 1, BOARD_STANDING_HALF_OPEN, 0);
	expect(&b, 1, PROBE_TRIAL);
	b.now += PROBE_SUSPECT_GAP_MS;
	expect(&b, 0, PROBE_SUSPECT);
}

/* In any case: one probe at a time per account, the pause holds, and every account has its turn. */
static void change(struct bench *b, size_t i)
{
	switch (draw(b) % 64) {
	case 0:
		suspect(b, i);
		break;
	case 1:
		stand(b, i, BOARD_STANDING_HALF_OPEN, 0);
		break;
	case 2:
		stand(b, i, BOARD_STANDING_COOLING, b->now + 30 * MINUTE);
		break;
	case 3:
		b->accounts[i].asked_ms =
			b->accounts[i].asked_ms ? b->accounts[i].asked_ms : b->now;
		break;
	case 4:
		stand(b, i, BOARD_STANDING_USABLE, 0);
		break;
	default:
		break;
	}
}

static void storms_starve_no_account(void **state)
{
	struct bench b;
	int64_t last_paced = 0;
	int64_t turn[MANY];

	(void)state;
	bench_init(&b, MANY);
	for (size_t i = 0; i < MANY; i++)
		turn[i] = T0;
	for (; b.now < T0 + 12 * HOUR; b.now += 200) {
		enum probe_reason reason;
		int at;
		/* The last account is always usable and only due for idle probes. */
		change(&b, draw(&b) % (MANY - 1));
		while ((at = next(&b, &reason)) >= 0) {
			bool paced = reason != PROBE_ASKED && reason != PROBE_SUSPECT;
			assert_true(!paced || b.now - last_paced >= PAUSE);
			last_paced = paced ? b.now : last_paced;
			turn[at] = b.now;
		}
		for (size_t i = 0; i < MANY; i++) {
			if (b.accounts[i].under_way && draw(&b) % 10 == 0)
				answer(&b, i);
			assert_true(b.now - turn[i] < 2 * IDLE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_probe_of_a_usable_busy_account),
		cmocka_unit_test(a_suspect_account_is_probed_at_once),
		cmocka_unit_test(one_suspicion_gets_one_probe),
		cmocka_unit_test(a_probe_without_a_result_is_repeated),
		cmocka_unit_test(repeated_suspicions_are_probed_less_often),
		cmocka_unit_test(a_trial_after_the_recovery_time),
		cmocka_unit_test(a_probe_halfway_through_a_long_cool_down),
		cmocka_unit_test(a_new_cool_down_has_a_new_halfway_point),
		cmocka_unit_test(other_states_get_no_probe),
		cmocka_unit_test(idle_accounts_are_probed),
		cmocka_unit_test(an_unused_account_is_idle_since_it_is_known),
		cmocka_unit_test(no_idle_probe_right_after_the_start),
		cmocka_unit_test(unwanted_accounts_are_probed_by_command_only),
		cmocka_unit_test(only_a_command_ignores_the_earliest_time),
		cmocka_unit_test(urgent_probes_run_concurrently_up_to_a_limit),
		cmocka_unit_test(urgent_probes_do_not_delay_paced_ones),
		cmocka_unit_test(a_command_waits_for_the_current_probe),
		cmocka_unit_test(a_clock_set_back_delays_no_probe),
		cmocka_unit_test(storms_starve_no_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
