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
uint32_t window_limit(const struct snapshot_limits *limits, enum usage_window w);
/* Whether there is any limit, also of concurrent requests. Without one, requests are not counted. */
bool window_has_limit(const struct snapshot_limits *limits);
/* The windows of one moment, computed once for many rows. */
struct window_clock {
	int64_t now_ms;
	uint32_t numbers[USAGE_WINDOW_COUNT];
};

void window_clock_set(struct window_clock *clock, int64_t now_ms);
/* As window_count(). */
uint32_t window_clock_count(
	const struct window_clock *clock, const struct statefile_usage *row, enum usage_window w);

/* Requests counted in the window of `now_ms`; 0 if the row is of another window. */
uint32_t window_count(const struct statefile_usage *row, enum usage_window w, int64_t now_ms);

#endif
