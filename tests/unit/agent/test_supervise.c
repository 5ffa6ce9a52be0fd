#include "agent/supervise.h"

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
	/* at its own pace for ever, it is never made to wait */
	for (int64_t now = 100000; now < 1000000; now += SUPERVISE_REFILL_MS)
		assert_int_equal(supervise_delay_ms(&s, true, now), 0);
}

static void a_child_that_never_serves_waits_longer_and_longer(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_serves_is_started_at_once),
		cmocka_unit_test(a_child_that_never_serves_waits_longer_and_longer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
