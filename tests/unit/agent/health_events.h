/* Lists of events of health: made at random, replayed, shrunk and printed. */
#ifndef RELAY_TESTS_AGENT_HEALTH_EVENTS_H
#define RELAY_TESTS_AGENT_HEALTH_EVENTS_H

#include "health_model.h"

#define HEALTHS_REPLAYS 3000

struct healths_events {
	struct healths_event *events;
	uint32_t count;
	uint32_t replays; /* done while shrinking: at most HEALTHS_REPLAYS */
};

/* Where the row of random events stands. */
struct healths_source {
	uint64_t rng;
	uint32_t next; /* the number of the next new request */
	uint32_t mood; /* which results come now */
};

/* One that makes sense now. */
struct healths_event healths_events_next(
	const struct healths_model *m, struct healths_source *source);
/* Whether fresh rows in the world of `seed` get through them; else `ret_failure` says what failed. */
bool healths_events_replay(uint64_t seed, const struct healths_events *list, char ret_failure[200]);
/* Leaves out what is not needed for a failure. */
void healths_events_shrink(uint64_t seed, struct healths_events *list);
/* As C, to be pasted into a test. */
void healths_events_print(uint64_t seed, const struct healths_events *list);

#endif
