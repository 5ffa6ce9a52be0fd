#include "common/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

/* Milliseconds within the second, 0..999 before 1970 too. */
static int millis_of(int64_t wall_ms)
{
	int millis = (int)(wall_ms % 1000);

	return millis < 0 ? millis + 1000 : millis;
}

static size_t format_seconds(int64_t wall_ms, char *out)
{
	time_t seconds = (time_t)(wall_ms / 1000 - (wall_ms % 1000 < 0));
	struct tm tm = {0};

	gmtime_r(&seconds, &tm);
	return strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
}

const char *clock_format_rfc3339(int64_t wall_ms, char *out)
{
	size_t n = format_seconds(wall_ms, out);

	snprintf(out + n, CLOCK_RFC3339_SIZE - n, "Z");
	return out;
}

const char *clock_format_rfc3339_ms(int64_t wall_ms, char *out)
{
	size_t n = format_seconds(wall_ms, out);

	snprintf(out + n, CLOCK_RFC3339_SIZE - n, ".%03dZ", millis_of(wall_ms));
	return out;
}
