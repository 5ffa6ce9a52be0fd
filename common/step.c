#include "common/step.h"

#include <string.h>

int64_t step_move(int64_t time_ms, int64_t step_ms, int64_t last_ms)
{
	int64_t moved;

	if (time_ms == 0)
		return 0;
	if (__builtin_add_overflow(time_ms, step_ms, &moved) || moved > last_ms)
		moved = last_ms;
	return moved > 0 ? moved : 1;
}

static bool is_same_boot(const uint8_t a[CLOCK_BOOT_SIZE], const uint8_t b[CLOCK_BOOT_SIZE])
{
	static const uint8_t unknown[CLOCK_BOOT_SIZE];

	return memcmp(a, b, CLOCK_BOOT_SIZE) == 0 && memcmp(a, unknown, CLOCK_BOOT_SIZE) != 0;
}

int64_t step_since(
	const struct step_past *past, const uint8_t boot[CLOCK_BOOT_SIZE], struct clock_pair now)
{
	int64_t step = now.wall_ms - past->wall_ms;

	if (past->wall_ms <= 0)
		return 0;
	if (is_same_boot(past->boot, boot))
		step = step_offset(now) - past->offset_ms;
	else if (step > 0)
		return 0;
	return step_is_one(step) ? step : 0;
}

/* --- settled --- */

void step_settled_start(struct step_settled *s, struct clock_pair now)
{
	*s = (struct step_settled){.since_ms = now.boot_ms};
	step_watch_start(&s->watch, now);
}

int64_t step_settled_ms(struct step_settled *s, struct clock_pair now)
{
	int64_t step = step_look(&s->watch, now);

	if (step) {
		s->behind_ms += step;
		s->since_ms = now.boot_ms;
	}
	if (!step_is_one(s->behind_ms) || now.boot_ms - s->since_ms >= STEP_SETTLE_MS)
		s->behind_ms = 0;
	return now.wall_ms - s->behind_ms;
}

/* --- retention --- */

void step_retention_start(struct step_retention *r, int64_t last_ms, struct clock_pair now)
{
	bool ahead = last_ms == 0 || last_ms > now.wall_ms;

	*r = (struct step_retention){ahead ? now.wall_ms : last_ms, now.boot_ms};
}

int64_t step_retention_ms(struct step_retention *r, struct clock_pair now)
{
	int64_t most = r->now_ms + 2 * (now.boot_ms - r->seen_ms);

	r->now_ms = now.wall_ms < most ? now.wall_ms : most;
	r->seen_ms = now.boot_ms;
	return r->now_ms;
}
