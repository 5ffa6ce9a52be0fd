/*
 * Steps: the wall clock was set, by a person or by NTP. Pure: readings of both clocks are arguments.
 *
 * Stored times are Unix time. When the clock steps, times that bound a duration move with it
 * (step_move()), so that no duration grows or shrinks. Limit windows do not: they are those of the
 * calendar (common/window.h).
 */
#ifndef RELAY_COMMON_STEP_H
#define RELAY_COMMON_STEP_H

#include "common/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define STEP_MIN_MS 1000 /* less than this within a second is no step: clocks are also slewed */

/* The wall clock minus the time since the machine started, as last seen. */
struct step_watch {
	int64_t offset_ms;
};

static inline int64_t step_offset(struct clock_pair now)
{
	return now.wall_ms - now.boot_ms;
}

static inline void step_watch_start(struct step_watch *w, struct clock_pair now)
{
	w->offset_ms = step_offset(now);
}

static inline int64_t step_between(const struct step_watch *w, struct clock_pair now)
{
	return step_offset(now) - w->offset_ms;
}

static inline bool step_is_one(int64_t step_ms)
{
	return step_ms >= STEP_MIN_MS || step_ms <= -STEP_MIN_MS;
}

/* The step since the last look in milliseconds, 0 if there was none. Small differences are followed. */
static inline int64_t step_look(struct step_watch *w, struct clock_pair now)
{
	int64_t step = step_between(w, now);

	w->offset_ms = step_offset(now);
	return step_is_one(step) ? step : 0;
}

/*
 * A stored time after a step of `step_ms`, at most `last_ms`: now and the longest legal length. Any
 * input is allowed, since files can be damaged. 0 = none stays 0.
 */
int64_t step_move(int64_t time_ms, int64_t step_ms, int64_t last_ms);

/* What is kept over restarts. */
struct step_past {
	uint8_t boot[CLOCK_BOOT_SIZE]; /* clock_read_boot() */
	int64_t offset_ms;
	int64_t wall_ms; /* last known; 0 = nothing is known */
};

/*
 * The step since then, 0 if there was none. Within one run of the machine it is known exactly. After
 * a restart of the machine only a step back is: then it counts as if no time had passed.
 */
int64_t step_since(
	const struct step_past *past, const uint8_t boot[CLOCK_BOOT_SIZE], struct clock_pair now);

/*
 * A wall clock for what cannot be taken back: it goes on evenly for STEP_SETTLE_MS after each step,
 * before it believes the new time.
 */
#define STEP_SETTLE_MS 60000

struct step_settled {
	struct step_watch watch;
	int64_t behind_ms; /* steps that are not believed yet */
	int64_t since_ms;  /* the last of them, in boot time */
};

void step_settled_start(struct step_settled *s, struct clock_pair now);
/* To be called at least every few seconds. Unix time. */
int64_t step_settled_ms(struct step_settled *s, struct clock_pair now);

/*
 * The time for retention: Unix time that goes ahead at most twice as fast as real time, so that a
 * step ahead deletes nothing but one day's worth of data per day. It follows a step back at once.
 */
struct step_retention {
	int64_t now_ms;	 /* Unix time */
	int64_t seen_ms; /* boot time of the last look */
};

/* `last_ms`: the value when the process before ended; 0 = none. */
void step_retention_start(struct step_retention *r, int64_t last_ms, struct clock_pair now);
int64_t step_retention_ms(struct step_retention *r, struct clock_pair now);

#endif
