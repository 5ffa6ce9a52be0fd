#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void times_are_rfc3339_in_utc(void **state)
{
	char text[CLOCK_RFC3339_SIZE];

	(void)state;
	assert_string_equal(clock_format_rfc3339(0, text), "1970-01-01T00:00:00Z");
	assert_string_equal(clock_format_rfc3339(951782400999, text), "2000-02-29T00:00:00Z");
	assert_string_equal(
		clock_format_rfc3339_ms(1767323045678, text), "2026-01-02T03:04:05.678Z");
	assert_string_equal(
		clock_format_rfc3339_ms(1767323045007, text), "2026-01-02T03:04:05.007Z");
}

static void before_1970_the_milliseconds_still_count_up(void **state)
{
	char text[CLOCK_RFC3339_SIZE];

	(void)state;
	assert_string_equal(clock_format_rfc3339_ms(-1, text), "1969-12-31T23:59:59.999Z");
	assert_string_equal(clock_format_rfc3339_ms(-1000, text), "1969-12-31T23:59:59.000Z");
	assert_string_equal(clock_format_rfc3339(-1, text), "1969-12-31T23:59:59Z");
}

static void no_time_is_too_long_for_its_place(void **state)
{
	char text[CLOCK_RFC3339_SIZE];

	(void)state;
	assert_string_equal(
		clock_format_rfc3339_ms(INT64_MAX, text), "292278994-08-17T07:12:55.807Z");
	assert_string_equal(
		clock_format_rfc3339_ms(INT64_MIN, text), "-292275055-05-16T16:47:04.192Z");
}

static void the_monotonic_clock_never_goes_back(void **state)
{
	int64_t last = clock_monotonic_ns();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t now = clock_monotonic_ns();
		assert_true(now >= last);
		last = now;
	}
}

static void the_monotonic_clock_has_milliseconds_too(void **state)
{
	int64_t before = clock_monotonic_ns() / 1000000;
	int64_t now = clock_monotonic_ms();

	(void)state;
	assert_true(before <= now);
	assert_true(now <= clock_monotonic_ns() / 1000000);
}

static void the_wall_clock_counts_milliseconds(void **state)
{
	(void)state;
	/* between 2020 and 2200: seconds or nanoseconds would be far outside */
	assert_true(clock_wall_ms() > INT64_C(1577836800000));
	assert_true(clock_wall_ms() < INT64_C(7258118400000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_rfc3339_in_utc),
		cmocka_unit_test(before_1970_the_milliseconds_still_count_up),
		cmocka_unit_test(no_time_is_too_long_for_its_place),
		cmocka_unit_test(the_monotonic_clock_never_goes_back),
		cmocka_unit_test(the_monotonic_clock_has_milliseconds_too),
		cmocka_unit_test(the_wall_clock_counts_milliseconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
