#include "common/clock.h"

#include "common/buffer.h"
#include "common/record.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BOOT_FILE "/proc/sys/kernel/random/boot_id" /* a UUID */
#define BOOT_FILE_MAX 64
#define PAIR_CLOSE_MS 10 /* two readings so close are of one moment */
#define PAIR_TRIES 10

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

int64_t clock_boot_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct clock_pair clock_pair_quick(void)
{
	return (struct clock_pair){clock_wall_ms(), clock_boot_ms()};
}

struct clock_pair clock_pair(void)
{
	struct clock_pair best = {0};
	int64_t best_ms = INT64_MAX;

	for (int i = 0; i < PAIR_TRIES && best_ms > PAIR_CLOSE_MS; i++) {
		int64_t before = clock_boot_ms();
		struct clock_pair pair = clock_pair_quick();
		if (pair.boot_ms - before < best_ms) {
			best = pair;
			best_ms = pair.boot_ms - before;
		}
	}
	return best;
}

void clock_read_boot(uint8_t ret[CLOCK_BOOT_SIZE])
{
	struct buffer text = {0};

	memset(ret, 0, CLOCK_BOOT_SIZE);
	if (buffer_read_file(&text, BOOT_FILE, BOOT_FILE_MAX) == 0)
		record_parse_id(slice_trim(buffer_slice(&text)), ret);
	buffer_fini(&text);
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
