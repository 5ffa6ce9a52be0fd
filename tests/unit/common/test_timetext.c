#include "common/timetext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "common/clock.h"

#define UNTOUCHED INT64_C(-77)
#define DAY_MS INT64_C(86400000)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct good {
	const char *text;
	int64_t ms;
};

struct bad {
	const char *text;
	int error;
};

static void rfc3339_is_read_with_fractions_and_offsets(void **state)
{
	static const struct good good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-01-02T03:04:05Z", 1767323045000},
		{"2026-01-02t03:04:05z", 1767323045000},
		{"2026-01-02T03:04:05.678Z", 1767323045678},
		{"2026-01-02T03:04:05.6789999999999Z", 1767323045678},
		{"2026-01-02T03:04:05.5+00:00", 1767323045500},
		{"2026-01-02T05:04:05+02:00", 1767323045000},
		{"2026-01-01T21:34:05-05:30", 1767323045000},
		{"2000-02-29T00:00:00Z", 951782400000},
		{"2016-12-31T23:59:60Z", 1483228800000},
		{"9999-12-31T23:59:59Z", 253402300799000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		int64_t ms = UNTOUCHED;
		assert_int_equal(timetext_parse_rfc3339(slice_from_str(good[i].text), &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
}

static void what_is_no_rfc3339_is_refused(void **state)
{
	static const struct bad bad[] = {
		{"", -EINVAL},
		{"2026-01-02", -EINVAL},
		{"2026-01-02T03:04:05", -EINVAL},
		{"2026-01-02T03:04:05Zx", -EINVAL},
		{"2026-01-02T03:04:05.Z", -EINVAL},
		{"2026-01-02 03:04:05Z", -EINVAL},
		{"2026-1-02T03:04:05Z", -EINVAL},
		{"2026-01-02T03:04:05+2:00", -EINVAL},
		{"2026-01-02T03:04:05+02:00x", -EINVAL},
		{"+026-01-02T03:04:05Z", -EINVAL},
		{"1969-12-31T23:59:59Z", -ERANGE},
		{"2026-00-02T03:04:05Z", -ERANGE},
		{"2026-13-02T03:04:05Z", -ERANGE},
		{"2026-02-29T03:04:05Z", -ERANGE},
		{"2026-04-31T03:04:05Z", -ERANGE},
		{"2026-01-00T03:04:05Z", -ERANGE},
		{"2026-01-02T24:00:00Z", -ERANGE},
		{"2026-01-02T03:60:05Z", -ERANGE},
		{"2026-01-02T03:04:61Z", -ERANGE},
		{"2026-01-02T03:04:05+24:00", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int64_t ms = UNTOUCHED;
		assert_int_equal(
			timetext_parse_rfc3339(slice_from_str(bad[i].text), &ms), bad[i].error);
		assert_int_equal(ms, UNTOUCHED);
	}
}

/* An independent implementation: the C library's calendar. */
static void every_day_of_two_centuries_is_read_back(void **state)
{
	(void)state;
	for (int64_t day = 0; day < 366 * 200; day++) {
		char text[CLOCK_RFC3339_SIZE];
		int64_t ms = UNTOUCHED;
		clock_format_rfc3339(day * DAY_MS + DAY_MS - 1000, text);
		assert_int_equal(timetext_parse_rfc3339(slice_from_str(text), &ms), 0);
		assert_int_equal(ms, day * DAY_MS + DAY_MS - 1000);
	}
}

static void http_dates_are_read_in_all_three_forms(void **state)
{
	static const struct good good[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
		{"Sun Nov  6 08:49:37 1994", 784111777000},
		{"Sun Nov 16 08:49:37 1994", 784975777000},
		{"Fri, 02 Jan 2026 03:04:05 GMT", 1767323045000},
		{"Friday, 02-Jan-26 03:04:05 GMT", 1767323045000},
	};
	static const struct bad bad[] = {
		{"", -EINVAL},
		{"soon", -EINVAL},
		{"Sun, 06 Nov 1994 08:49:37 CET", -EINVAL},
		{"Sun, 06 Nov 1994 08:49:37 GMT ", -EINVAL},
		{"Sun, 6 Nov 1994 08:49:37 GMT", -EINVAL},
		{"Xyz, 06 Nov 1994 08:49:37 GMT", -EINVAL},
		{"Sun, 06 Bar 1994 08:49:37 GMT", -EINVAL},
		{"Sunday, 06 Nov 1994 08:49:37 GMT", -EINVAL},
		{"Sun, 31 Nov 1994 08:49:37 GMT", -ERANGE},
		{"Sun, 06 Nov 1969 08:49:37 GMT", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		int64_t ms = UNTOUCHED;
		assert_int_equal(timetext_parse_http_date(slice_from_str(good[i].text), &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		int64_t ms = UNTOUCHED;
		assert_int_equal(
			timetext_parse_http_date(slice_from_str(bad[i].text), &ms), bad[i].error);
		assert_int_equal(ms, UNTOUCHED);
	}
}

static void spans_are_read_as_go_writes_them(void **state)
{
	static const struct good good[] = {
		{"1s", 1000},
		{"120ms", 120},
		{"6m0s", 360000},
		{"1h2m3.5s", 3723500},
		{"2m59.56s", 179560},
		{"0s", 0},
		{"100us", 0},
		{"1s100\xc2\xb5s", 1000},
		{"1.5h", 5400000},
	};
	static const struct bad bad[] = {
		{"", -EINVAL},
		{"5", -EINVAL},
		{"s", -EINVAL},
		{"-1s", -EINVAL},
		{"1s ", -EINVAL},
		{"1S", -EINVAL},
		{"1..5s", -EINVAL},
		{"1d", -EINVAL},
		{"1m5", -EINVAL},
		{"NaNs", -EINVAL},
		{"infs", -EINVAL},
		{"24h1ms", -ERANGE},
		{"4294967295h", -ERANGE},
		{"4294967296s", -ERANGE},
		{"99999999999999999999999s", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		int64_t ms = UNTOUCHED;
		assert_int_equal(timetext_parse_span(slice_from_str(good[i].text), DAY_MS, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		int64_t ms = UNTOUCHED;
		assert_int_equal(timetext_parse_span(slice_from_str(bad[i].text), DAY_MS, &ms),
			bad[i].error);
		assert_int_equal(ms, UNTOUCHED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc3339_is_read_with_fractions_and_offsets),
		cmocka_unit_test(what_is_no_rfc3339_is_refused),
		cmocka_unit_test(every_day_of_two_centuries_is_read_back),
		cmocka_unit_test(http_dates_are_read_in_all_three_forms),
		cmocka_unit_test(spans_are_read_as_go_writes_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
