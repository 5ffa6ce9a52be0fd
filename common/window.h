/*
 * Limit windows: the fixed seconds, minutes, hours, days and months of UTC in which requests are
 * counted (docs/LIMITS.md). Pure arithmetic on Unix time.
 */
#ifndef RELAY_COMMON_WINDOW_H
#define RELAY_COMMON_WINDOW_H

#include "common/snapshot.h"
#include "common/statefile.h"

#include <stdbool.h>
#include <stdint.h>

/* The number of the second, minute, hour, day or month since 1970 that contains `now_ms`. */
uint32_t window_number(enum usage_window w, int64_t now_ms);
/* When that window ends, Unix time in milliseconds. */
int64_t window_reset_ms(enum usage_window w, int64_t now_ms);
/* "second", "minute", "hour", "day", "month" */
const char *window_name(enum usage_window w);
/* The limit that belongs to a window; 0 = unlimited. */
static inline uint32_t window_limit(const struct snapshot_limits *limits, enum usage_window w)
{
	switch (w) {
	case USAGE_SECOND:
		return limits->rps;
	case USAGE_MINUTE:
		return limits->rpm;
	case USAGE_HOUR:
		return limits->rph;
	case USAGE_DAY:
		return limits->daily;
	case USAGE_MONTH:
		return limits->monthly;
	case USAGE_WINDOW_COUNT:
		break;
	}
	return 0;
}
/* Whether there is any limit, also of concurrent requests. Without one, requests are not counted. */
bool window_has_limit(const struct snapshot_limits *limits);
/* The windows of one moment, computed once for many rows. */
struct window_clock {
	int64_t now_ms;
	uint32_t numbers[USAGE_WINDOW_COUNT];
};

void window_clock_set(struct window_clock *clock, int64_t now_ms);

/*
 * The windows that a row remembers. The clock may be set ahead and back: each window keeps its count, so
 * none admits more than its limit. A row has the last two seconds, minutes and hours in which it
 * counted, and the last three days and months; one that was not counted in for longest is forgotten.
 */

/* The count of this window, or NULL: nothing is known of it. */
const struct statefile_window *window_find(
	const struct statefile_usage *row, enum usage_window w, uint32_t number);
/* The same to count in: it becomes the last one, and is new if nothing is known of it. */
struct statefile_window *window_enter(
	struct statefile_usage *row, enum usage_window w, uint32_t number);
/* One request less, if the row remembers the window. */
void window_give_back(struct statefile_usage *row, enum usage_window w, uint32_t number);
/* The highest number that the row remembers. */
uint32_t window_newest(const struct statefile_usage *row, enum usage_window w);

/* Requests counted in the window of that moment. */
static inline uint32_t window_clock_count(
	const struct window_clock *clock, const struct statefile_usage *row, enum usage_window w)
{
	uint32_t number = clock->numbers[w];

	if (row->windows[w].number == number)
		return row->windows[w].count;
	const struct statefile_window *window = window_find(row, w, number);
	return window ? window->count : 0;
}

/* Requests counted in the window of `now_ms`. */
uint32_t window_count(const struct statefile_usage *row, enum usage_window w, int64_t now_ms);

#endif
