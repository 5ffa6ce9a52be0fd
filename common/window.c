#include "common/window.h"

#include <assert.h>
#include <stddef.h>

#define DAY_MS 86400000

static_assert(STATEFILE_EARLIER == 7, "a place for each earlier window below");

static const int64_t lengths_ms[USAGE_MONTH] = {
	[USAGE_SECOND] = 1000,
	[USAGE_MINUTE] = 60000,
	[USAGE_HOUR] = 3600000,
	[USAGE_DAY] = DAY_MS,
};

/*
 * Months since 1970 of a day since 1970, in the proleptic Gregorian calendar. Years begin in March here,
 * so that the leap day is the last one and the lengths of months follow a pattern.
 */
static uint32_t month_of_day(int64_t day)
{
	int64_t shifted = day + 719468; /* days since 1 March of year 0 */
	int64_t era = shifted / 146097;
	int64_t in_era = shifted % 146097;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t march_month = (5 * in_year + 2) / 153;

	return (uint32_t)((era * 400 + year) * 12 + march_month + 2 - 1970 * 12);
}

/* The first day of a month. */
static int64_t day_of_month(uint32_t month)
{
	int64_t shifted = (int64_t)month + 1970 * 12 - 2;
	int64_t year = shifted / 12;
	int64_t march_month = shifted % 12;
	int64_t era = year / 400;
	int64_t in_era = year % 400;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 +
		(153 * march_month + 2) / 5 - 719468;
}

uint32_t window_number(enum usage_window w, int64_t now_ms)
{
	if (w == USAGE_MONTH)
		return month_of_day(now_ms / DAY_MS);
	return (uint32_t)(now_ms / lengths_ms[w]);
}

int64_t window_reset_ms(enum usage_window w, int64_t now_ms)
{
	if (w == USAGE_MONTH)
		return day_of_month(window_number(w, now_ms) + 1) * DAY_MS;
	return (now_ms / lengths_ms[w] + 1) * lengths_ms[w];
}

const char *window_name(enum usage_window w)
{
	static const char *const names[USAGE_WINDOW_COUNT] = {
		[USAGE_SECOND] = "second",
		[USAGE_MINUTE] = "minute",
		[USAGE_HOUR] = "hour",
		[USAGE_DAY] = "day",
		[USAGE_MONTH] = "month",
	};

	return names[w];
}

bool window_has_limit(const struct snapshot_limits *limits)
{
	return limits->rps || limits->rpm || limits->rph || limits->daily || limits->monthly ||
		limits->concurrency;
}

void window_clock_set(struct window_clock *clock, int64_t now_ms)
{
	clock->now_ms = now_ms;
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++)
		clock->numbers[w] = window_number((enum usage_window)w, now_ms);
}

/* Which of the earlier windows of a row are seconds, minutes, ...; the newest first. */
static const struct {
	uint8_t first, count;
} earlier[USAGE_WINDOW_COUNT] = {
	[USAGE_SECOND] = {0, 1},
	[USAGE_MINUTE] = {1, 1},
	[USAGE_HOUR] = {2, 1},
	[USAGE_DAY] = {3, 2},
	[USAGE_MONTH] = {5, 2},
};

const struct statefile_window *window_find(
	const struct statefile_usage *row, enum usage_window w, uint32_t number)
{
	const struct statefile_window *rest = row->earlier + earlier[w].first;

	if (row->windows[w].number == number)
		return &row->windows[w];
	for (uint8_t i = 0; i < earlier[w].count; i++) {
		if (rest[i].number == number)
			return &rest[i];
	}
	return NULL;
}

void window_give_back(struct statefile_usage *row, enum usage_window w, uint32_t number)
{
	struct statefile_window *rest = row->earlier + earlier[w].first;
	struct statefile_window *window =
		row->windows[w].number == number ? &row->windows[w] : NULL;

	for (uint8_t i = 0; i < earlier[w].count && !window; i++)
		window = rest[i].number == number ? &rest[i] : NULL;
	if (window && window->count)
		window->count--;
}

struct statefile_window *window_enter(
	struct statefile_usage *row, enum usage_window w, uint32_t number)
{
	struct statefile_window *rest = row->earlier + earlier[w].first;
	struct statefile_window entered = {number, 0};
	uint8_t last = earlier[w].count - 1;

	if (row->windows[w].number == number)
		return &row->windows[w];
	for (uint8_t i = 0; i < earlier[w].count; i++) {
		if (rest[i].number != number)
			continue;
		entered = rest[i];
		last = i;
	}
	for (uint8_t i = last; i > 0; i--)
		rest[i] = rest[i - 1];
	rest[0] = row->windows[w];
	row->windows[w] = entered;
	return &row->windows[w];
}

uint32_t window_newest(const struct statefile_usage *row, enum usage_window w)
{
	const struct statefile_window *rest = row->earlier + earlier[w].first;
	uint32_t newest = row->windows[w].number;

	for (uint8_t i = 0; i < earlier[w].count; i++)
		newest = rest[i].number > newest ? rest[i].number : newest;
	return newest;
}

uint32_t window_count(const struct statefile_usage *row, enum usage_window w, int64_t now_ms)
{
	const struct statefile_window *window = window_find(row, w, window_number(w, now_ms));

	return window ? window->count : 0;
}
