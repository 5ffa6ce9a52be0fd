/*
 * What the agent has counted in the last minute: the board has only totals, so a timer keeps those of the
 * last minute. After a start of control the minute begins with that start.
 */
#ifndef RELAY_ADMIN_UPKEEP_MINUTE_H
#define RELAY_ADMIN_UPKEEP_MINUTE_H

#include "common/refusal.h"

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#define MINUTE_STEP_S 5.0
#define MINUTE_SAMPLES 12

struct board;

struct minute_sample {
	uint64_t allowed;
	uint64_t refused[REFUSAL_COUNT];
};

struct minute {
	const struct board *board;
	struct minute_sample samples[MINUTE_SAMPLES]; /* a ring */
	size_t next, count;
	ev_timer timer;
};

/* Takes the first sample. */
void minute_init(struct minute *m, const struct board *board);
void minute_start(struct minute *m, struct ev_loop *loop);
/* For the timer. */
void minute_step(struct minute *m);
/* Since 55 to 60 s ago, or since minute_init(). */
void minute_read(const struct minute *m, struct minute_sample *ret);

#endif
