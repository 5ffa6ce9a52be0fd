#include "agent/keeper/supervise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_child_that_serves_is_started_at_once(void **state)
{
	struct supervise s;

	(void)state;
	supervise_init(&s, 1000);
	for (int i = 0; i < SUPERVISE_BURST; i++)
		assert_int_equal(supervise_delay_ms(&s, true, 1000), 0);
	assert_int_equal(supervise_delay_ms(&s, true, 1000), SUPERVISE_REFILL_MS);
	/* crashes at this pace are restarted at once for ever */
	for (int64_t now = 100000; now < 1000000; now += SUPERVISE_REFILL_MS)
		assert_int_equal(supervise_delay_ms(&s, true, now), 0);
}

static void the_delay_grows_for_a_child_that_never_serves(void **state)
{
	struct supervise s;
	int64_t last = 0;

	(void)state;
	supervise_init(&s, 0);
	assert_int_equal(supervise_delay_ms(&s, false, 0), SUPERVISE_DELAY_MIN_MS);
	for (int i = 0; i < 50; i++) {
		int64_t delay = supervise_delay_ms(&s, false, i);
		assert_true(delay >= last && delay <= SUPERVISE_DELAY_MAX_MS);
		last = delay;
	}
	assert_int_equal(last, SUPERVISE_DELAY_MAX_MS);
	assert_int_equal(supervise_delay_ms(&s, true, 100), 0);
	assert_int_equal(supervise_delay_ms(&s, false, 200), SUPERVISE_DELAY_MIN_MS);
}

static void a_quiet_time_earns_restarts_up_to_the_burst(void **state)
{
	struct supervise s;
	int64_t now = 0;

	(void)state;
	supervise_init(&s, now);
	while (supervise_delay_ms(&s, true, now) == 0)
		;
	now += 3 * SUPERVISE_REFILL_MS;
	for (int i = 0; i < 3; i++)
		assert_int_equal(supervise_delay_ms(&s, true, now), 0);
	assert_int_equal(supervise_delay_ms(&s, true, now), SUPERVISE_REFILL_MS);
	now += INT64_C(365) * 86400 * 1000;
	for (int i = 0; i < SUPERVISE_BURST; i++)
		assert_int_equal(supervise_delay_ms(&s, true, now), 0);
	assert_int_equal(supervise_delay_ms(&s, true, now), SUPERVISE_REFILL_MS);
}

static void a_part_of_a_second_is_not_lost(void **state)
{
	struct supervise s;

	(void)state;
	supervise_init(&s, 0);
	for (int i = 0; i < SUPERVISE_BURST; i++)
		supervise_delay_ms(&s, true, 0);
	assert_int_equal(supervise_delay_ms(&s, true, SUPERVISE_REFILL_MS * 3 / 2), 0);
	assert_int_equal(supervise_delay_ms(&s, true, SUPERVISE_REFILL_MS * 2), 0);
	assert_int_equal(
		supervise_delay_ms(&s, true, SUPERVISE_REFILL_MS * 2), SUPERVISE_REFILL_MS);
}

static void a_clock_that_goes_back_earns_nothing(void **state)
{
	struct supervise s;

	(void)state;
	supervise_init(&s, 1000000);
	for (int i = 0; i < SUPERVISE_BURST; i++)
		assert_int_equal(supervise_delay_ms(&s, true, 0), 0);
	assert_int_equal(supervise_delay_ms(&s, true, 0), SUPERVISE_REFILL_MS);
	assert_int_equal(supervise_delay_ms(&s, true, 1000000), SUPERVISE_REFILL_MS);
	assert_int_equal(supervise_delay_ms(&s, true, 1000000 + SUPERVISE_REFILL_MS), 0);
}

static void failed_starts_double_the_delay_up_to_its_maximum(void **state)
{
	struct supervise s;
	int64_t expected = SUPERVISE_DELAY_MIN_MS;

	(void)state;
	supervise_init(&s, 0);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(supervise_delay_ms(&s, false, 0), expected);
		expected = expected * 2 < SUPERVISE_DELAY_MAX_MS ? expected * 2
								 : SUPERVISE_DELAY_MAX_MS;
	}
	s.failed_starts = UINT32_MAX;
	assert_int_equal(supervise_delay_ms(&s, false, 0), SUPERVISE_DELAY_MAX_MS);
	/* failed starts use up no restarts that crashes may need */
	assert_int_equal(s.tokens, SUPERVISE_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_serves_is_started_at_once),
		cmocka_unit_test(the_delay_grows_for_a_child_that_never_serves),
		cmocka_unit_test(a_quiet_time_earns_restarts_up_to_the_burst),
		cmocka_unit_test(a_part_of_a_second_is_not_lost),
		cmocka_unit_test(a_clock_that_goes_back_earns_nothing),
		cmocka_unit_test(failed_starts_double_the_delay_up_to_its_maximum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
