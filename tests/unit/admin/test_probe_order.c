/* Which probe comes first, and how many there are at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_bench.h"

static void urgent_probes_run_concurrently_up_to_a_limit(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 2 * PROBE_URGENT_MAX);
	for (size_t i = 0; i < b.count; i++)
		probe_bench_suspect(&b, i);
	for (int i = 0; i < PROBE_URGENT_MAX; i++)
		probe_bench_expect(&b, i, PROBE_SUSPECT);
	probe_bench_expect_none(&b);
	probe_bench_answer(&b, 3);
	probe_bench_expect(&b, PROBE_URGENT_MAX, PROBE_SUSPECT);
	probe_bench_expect_none(&b);
}

static void urgent_probes_do_not_delay_paced_ones(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, PROBE_URGENT_MAX + 3);
	for (size_t i = 0; i <= PROBE_URGENT_MAX; i++)
		probe_bench_suspect(&b, i);
	board_set(&b.rows[PROBE_URGENT_MAX + 1].last_used_ms, (uint64_t)(T0 - HOUR));
	b.accounts[PROBE_URGENT_MAX + 2].asked_ms = b.now;
	probe_bench_expect(&b, PROBE_URGENT_MAX + 2, PROBE_ASKED);
	for (int i = 0; i < PROBE_URGENT_MAX; i++)
		probe_bench_expect(&b, i, PROBE_SUSPECT);
	probe_bench_expect(&b, PROBE_URGENT_MAX + 1, PROBE_IDLE);
	probe_bench_expect_none(&b);
}

/* An outage of all accounts, whose probes hang: each account has its turn. */
static void hanging_probes_share_the_places(void **state)
{
	struct probe_bench b;
	size_t turns[MANY] = {0};

	(void)state;
	probe_bench_init(&b, MANY);
	for (; b.now < T0 + 10 * MINUTE; b.now += 200) {
		for (size_t i = 0; i < MANY; i++) {
			if (b.accounts[i].under_way &&
				b.now - b.accounts[i].began_ms >= 10 * SECOND)
				probe_end(b.all[i], PROBE_FAILED);
			probe_bench_fail_once(&b, i);
		}
		for (int at; (at = probe_bench_next(&b, NULL)) >= 0;)
			turns[at]++;
	}
	for (size_t i = 0; i < MANY; i++)
		assert_in_range(turns[i], 20, 30); /* 24 on average: 16 places, 40 accounts, 10 s */
}

/* Control starts again during an outage: what waits since before is spread. */
static void a_start_is_no_storm(void **state)
{
	struct probe_bench b;
	size_t begun = 0, first_second = 0;

	(void)state;
	probe_bench_init(&b, MANY);
	for (size_t i = 0; i < MANY; i++) {
		b.accounts[i] = (struct probe_account){.id = (uint32_t)i + 1, .wanted = true};
		if (i % 2)
			probe_bench_suspect(&b, i);
		else
			probe_bench_stand(&b, i, BOARD_STANDING_HALF_OPEN, 0);
	}
	for (; b.now <= T0 + PROBE_SPREAD_MS; b.now += 200) {
		for (int at; (at = probe_bench_next(&b, NULL)) >= 0; begun++) {
			probe_bench_answer(&b, (size_t)at);
			first_second += b.now < T0 + SECOND;
		}
	}
	assert_int_equal(begun, MANY);
	assert_in_range(first_second, 0, MANY / 4);
}

static void the_outlook_is_what_happens(void **state)
{
	enum probe_reason reason;
	int64_t due;
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	assert_true(probe_outlook(b.all[0], &b.pace, &due, &reason));
	assert_int_equal(due, T0 + IDLE);
	assert_int_equal(reason, PROBE_IDLE);
	b.pace.idle_ms = 0;
	assert_false(probe_outlook(b.all[0], &b.pace, &due, &reason));
	probe_bench_stand(&b, 0, BOARD_STANDING_COOLING, T0 + 5 * MINUTE);
	probe_bench_expect_none(&b);
	assert_true(probe_outlook(b.all[0], &b.pace, &due, &reason));
	assert_int_equal(due, T0 + 150 * SECOND);
	assert_int_equal(reason, PROBE_EARLY);
	b.accounts[0].wanted = false;
	assert_false(probe_outlook(b.all[0], &b.pace, &due, &reason));
}

static void a_command_waits_for_the_current_probe(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 1);
	probe_bench_stand(&b, 0, BOARD_STANDING_HALF_OPEN, 0);
	probe_bench_expect(&b, 0, PROBE_TRIAL);
	b.accounts[0].asked_ms = b.now;
	probe_bench_expect_none(&b);
	probe_bench_answer(&b, 0);
	probe_bench_expect(&b, 0, PROBE_ASKED);
	probe_bench_answer(&b, 0);
	b.now += MINUTE;
	probe_bench_expect_none(&b);
}

static void a_clock_set_back_delays_no_probe(void **state)
{
	struct probe_bench b;

	(void)state;
	probe_bench_init(&b, 2);
	b.now += 2 * IDLE;
	probe_bench_expect(&b, 0, PROBE_IDLE);
	probe_bench_answer(&b, 0);
	b.now -= 10 * HOUR;
	board_set(&b.rows[0].last_used_ms, (uint64_t)b.now);
	board_set(&b.rows[1].last_used_ms, (uint64_t)b.now);
	probe_bench_suspect(&b, 0);
	probe_bench_stand(&b, 1, BOARD_STANDING_HALF_OPEN, 0);
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
	probe_bench_expect(&b, 1, PROBE_TRIAL);
	probe_bench_answer(&b, 0);
	b.now -= 10 * HOUR;
	probe_bench_suspect(&b, 0);
	probe_bench_expect_none(&b);
	b.now += PROBE_WANTED_GAP_MS;
	probe_bench_expect(&b, 0, PROBE_SUSPECT);
}

/* In any case: one probe at a time per account, the pause holds, and every account has its turn. */
static void change(struct probe_bench *b, size_t i)
{
	switch (probe_bench_draw(b) % 64) {
	case 0:
		probe_bench_suspect(b, i);
		break;
	case 1:
		probe_bench_stand(b, i, BOARD_STANDING_HALF_OPEN, 0);
		break;
	case 2:
		probe_bench_stand(b, i, BOARD_STANDING_COOLING, b->now + 30 * MINUTE);
		break;
	case 3:
		b->accounts[i].asked_ms =
			b->accounts[i].asked_ms ? b->accounts[i].asked_ms : b->now;
		break;
	case 4:
		probe_bench_stand(b, i, BOARD_STANDING_USABLE, 0);
		break;
	default:
		break;
	}
}

static void storms_starve_no_account(void **state)
{
	struct probe_bench b;
	int64_t last_paced = 0;
	int64_t turn[MANY];

	(void)state;
	probe_bench_init(&b, MANY);
	for (size_t i = 0; i < MANY; i++)
		turn[i] = T0;
	for (; b.now < T0 + 12 * HOUR; b.now += 200) {
		enum probe_reason reason;
		int at;
		/* The last account is always usable and only due for idle probes. */
		change(&b, probe_bench_draw(&b) % (MANY - 1));
		while ((at = probe_bench_next(&b, &reason)) >= 0) {
			bool paced = reason == PROBE_IDLE || reason == PROBE_WINDOW;
			assert_true(!paced || b.now - last_paced >= PAUSE);
			last_paced = paced ? b.now : last_paced;
			turn[at] = b.now;
		}
		for (size_t i = 0; i < MANY; i++) {
			if (b.accounts[i].under_way && probe_bench_draw(&b) % 10 == 0)
				probe_bench_answer(&b, i);
			assert_true(b.now - turn[i] < 2 * IDLE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urgent_probes_run_concurrently_up_to_a_limit),
		cmocka_unit_test(urgent_probes_do_not_delay_paced_ones),
		cmocka_unit_test(hanging_probes_share_the_places),
		cmocka_unit_test(a_start_is_no_storm),
		cmocka_unit_test(the_outlook_is_what_happens),
		cmocka_unit_test(a_command_waits_for_the_current_probe),
		cmocka_unit_test(a_clock_set_back_delays_no_probe),
		cmocka_unit_test(storms_starve_no_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
