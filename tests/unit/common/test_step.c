/* Steps of the wall clock: seen, moved, believed late, and slow for retention. */
#include "common/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1796000000000)
#define BOOT_MS INT64_C(5000000)
#define SECOND_MS INT64_C(1000)
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

static const uint8_t this_boot[CLOCK_BOOT_SIZE] = {1, 2, 3};
static const uint8_t other_boot[CLOCK_BOOT_SIZE] = {3, 2, 1};
static const uint8_t no_boot[CLOCK_BOOT_SIZE];

/* `real` milliseconds after the beginning, with the wall clock wrong by `off`. */
static struct clock_pair at(int64_t real, int64_t off)
{
	return (struct clock_pair){NOW_MS + real + off, BOOT_MS + real};
}

static void sees_each_step_once_and_in_full(void **state)
{
	static const int64_t steps[] = {
		HOUR_MS, -HOUR_MS, DAY_MS, -2 * DAY_MS, 60 * DAY_MS, -60 * DAY_MS, 1000, -1000};
	struct step_watch w;
	int64_t off = 0;

	(void)state;
	step_watch_start(&w, at(0, 0));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int64_t real = (int64_t)i * 5000;
		off += steps[i];
		assert_true(step_look(&w, at(real, off)) == steps[i]);
		assert_true(step_look(&w, at(real + 4000, off)) == 0);
	}
}

/* chrony may correct by a tenth of a second in each second. */
static void a_slewed_clock_has_no_step(void **state)
{
	struct step_watch w;

	(void)state;
	step_watch_start(&w, at(0, 0));
	for (int64_t s = 1; s < 100000; s++)
		assert_true(step_look(&w, at(s * 1000, s * 100)) == 0);
	for (int64_t s = 1; s < 100000; s++)
		assert_true(step_look(&w, at((100000 + s) * 1000, (99999 - s) * 100)) == 0);
}

static void moved_times_keep_their_distance_and_never_pass_their_longest(void **state)
{
	(void)state;
	assert_true(step_move(0, DAY_MS, NOW_MS) == 0);
	assert_true(step_move(NOW_MS, -DAY_MS, NOW_MS) == NOW_MS - DAY_MS);
	assert_true(step_move(NOW_MS, DAY_MS, NOW_MS + 2 * DAY_MS) == NOW_MS + DAY_MS);
	assert_true(step_move(NOW_MS, 3 * DAY_MS, NOW_MS + 2 * DAY_MS) == NOW_MS + 2 * DAY_MS);
	assert_true(step_move(INT64_MAX, DAY_MS, NOW_MS) == NOW_MS);
	assert_true(step_move(INT64_MIN, -DAY_MS, NOW_MS) == NOW_MS);
	assert_true(step_move(INT64_MIN, 0, NOW_MS) == 1);
	assert_true(step_move(HOUR_MS, -DAY_MS, NOW_MS) == 1);
}

static struct step_past past_of(const uint8_t *boot, struct clock_pair then)
{
	struct step_past past = {.offset_ms = step_offset(then), .wall_ms = then.wall_ms};

	for (size_t i = 0; i < CLOCK_BOOT_SIZE; i++)
		past.boot[i] = boot[i];
	return past;
}

static void a_step_while_nobody_ran_is_known_exactly_within_one_boot(void **state)
{
	const struct step_past past = past_of(this_boot, at(0, 0));

	(void)state;
	assert_true(step_since(&past, this_boot, at(HOUR_MS, 0)) == 0);
	assert_true(step_since(&past, this_boot, at(HOUR_MS, DAY_MS)) == DAY_MS);
	assert_true(step_since(&past, this_boot, at(HOUR_MS, -DAY_MS)) == -DAY_MS);
	assert_true(step_since(&past, this_boot, at(HOUR_MS, -900)) == 0);
}

static void after_another_boot_only_a_step_back_is_certain(void **state)
{
	const struct step_past past = past_of(other_boot, at(0, 0));
	const struct step_past unknown = past_of(no_boot, at(0, 0));

	(void)state;
	assert_true(step_since(&past, this_boot, at(HOUR_MS, DAY_MS)) == 0);
	assert_true(step_since(&past, this_boot, at(0, -DAY_MS)) == -DAY_MS);
	assert_true(step_since(&unknown, no_boot, at(HOUR_MS, DAY_MS)) == 0);
	assert_true(step_since(&unknown, no_boot, at(0, -DAY_MS)) == -DAY_MS);
	assert_true(step_since(&past, this_boot, at(0, -500)) == 0);
}

static void a_new_file_knows_of_no_step(void **state)
{
	const struct step_past past = {.wall_ms = 0};

	(void)state;
	assert_true(step_since(&past, this_boot, at(0, 0)) == 0);
	assert_true(step_since(&past, no_boot, at(0, -DAY_MS)) == 0);
}

/* Looks once a second. */
static int64_t settle(struct step_settled *s, int64_t from, int64_t to, int64_t off)
{
	int64_t now = 0;

	for (int64_t real = from; real <= to; real += SECOND_MS)
		now = step_settled_ms(s, at(real, off));
	return now;
}

static void a_step_for_three_seconds_is_never_believed(void **state)
{
	struct step_settled s;

	(void)state;
	step_settled_start(&s, at(0, 0));
	assert_true(settle(&s, 0, 3000, 60 * DAY_MS) == NOW_MS + 3000);
	assert_true(settle(&s, 4000, 5000, 0) == NOW_MS + 5000);
	assert_int_equal(s.behind_ms, 0);
}

static void a_step_that_stays_is_believed_after_a_minute(void **state)
{
	static const int64_t steps[] = {60 * DAY_MS, -2 * DAY_MS};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct step_settled s;
		step_settled_start(&s, at(0, 0));
		assert_true(settle(&s, 0, 59000, steps[i]) == NOW_MS + 59000);
		assert_true(settle(&s, 60000, 60000, steps[i]) == NOW_MS + 60000 + steps[i]);
	}
}

static void retention_goes_ahead_at_most_twice_as_fast(void **state)
{
	struct step_retention r;

	(void)state;
	step_retention_start(&r, 0, at(0, 0));
	assert_true(step_retention_ms(&r, at(DAY_MS, 0)) == NOW_MS + DAY_MS);
	/* 60 days ahead for three seconds, and back */
	assert_true(
		step_retention_ms(&r, at(DAY_MS + 3000, 60 * DAY_MS)) == NOW_MS + DAY_MS + 6000);
	assert_true(step_retention_ms(&r, at(DAY_MS + 4000, 0)) == NOW_MS + DAY_MS + 4000);
	/* 60 days ahead for good: it is there after 60 days */
	int64_t from = DAY_MS + 4000;
	for (int64_t day = 1; day <= 60; day++) {
		int64_t real = from + day * DAY_MS;
		assert_true(step_retention_ms(&r, at(real, 60 * DAY_MS)) ==
			NOW_MS + from + 2 * day * DAY_MS);
	}
	assert_true(step_retention_ms(&r, at(from + 61 * DAY_MS, 60 * DAY_MS)) ==
		NOW_MS + from + 121 * DAY_MS);
}

static void retention_continues_over_restarts(void **state)
{
	struct step_retention r;

	(void)state;
	/* the clock is wrong at the start */
	step_retention_start(&r, NOW_MS, at(0, 60 * DAY_MS));
	assert_true(step_retention_ms(&r, at(1000, 60 * DAY_MS)) == NOW_MS + 2000);
	step_retention_start(&r, NOW_MS, at(0, -2 * DAY_MS));
	assert_true(step_retention_ms(&r, at(1000, -2 * DAY_MS)) == NOW_MS + 1000 - 2 * DAY_MS);
}

/* The same boot is told the same id, and it is not zeros. */
static void the_kernel_names_its_boot(void **state)
{
	uint8_t one[CLOCK_BOOT_SIZE];
	uint8_t two[CLOCK_BOOT_SIZE];

	(void)state;
	clock_read_boot(one);
	clock_read_boot(two);
	assert_memory_equal(one, two, sizeof(one));
	assert_memory_not_equal(one, no_boot, sizeof(one));
}

static void both_clocks_are_read_at_one_moment(void **state)
{
	struct step_watch w;

	(void)state;
	step_watch_start(&w, clock_pair());
	for (int i = 0; i < 1000; i++)
		assert_true(step_look(&w, clock_pair()) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sees_each_step_once_and_in_full),
		cmocka_unit_test(a_slewed_clock_has_no_step),
		cmocka_unit_test(moved_times_keep_their_distance_and_never_pass_their_longest),
		cmocka_unit_test(a_step_while_nobody_ran_is_known_exactly_within_one_boot),
		cmocka_unit_test(after_another_boot_only_a_step_back_is_certain),
		cmocka_unit_test(a_new_file_knows_of_no_step),
		cmocka_unit_test(a_step_for_three_seconds_is_never_believed),
		cmocka_unit_test(a_step_that_stays_is_believed_after_a_minute),
		cmocka_unit_test(retention_goes_ahead_at_most_twice_as_fast),
		cmocka_unit_test(retention_continues_over_restarts),
		cmocka_unit_test(the_kernel_names_its_boot),
		cmocka_unit_test(both_clocks_are_read_at_one_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
