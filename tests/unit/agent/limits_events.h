/* Lists of events: made at random, replayed, shrunk and printed. */
#ifndef RELAY_TESTS_AGENT_LIMITS_EVENTS_H
#define RELAY_TESTS_AGENT_LIMITS_EVENTS_H

#include "limits_model.h"

#define LIMITS_REPLAYS 3000

struct limits_events {
	struct limits_event *events;
	uint32_t count;
	uint32_t replays; /* done while shrinking: at most LIMITS_REPLAYS */
};

/* One that makes sense now. `next`: the number of the next new request. */
struct limits_event limits_events_next(const struct limits_model *m, uint64_t *rng, uint32_t *next);
/* Whether a fresh agent in the world of `seed` gets through them; else `ret_failure` says what failed. */
bool limits_events_replay(uint64_t seed, const struct limits_events *list, char ret_failure[200]);
/* Leaves out what is not needed for a failure. */
void limits_events_shrink(uint64_t seed, struct limits_events *list);
/* As C, to be pasted into a test. */
void limits_events_print(uint64_t seed, const struct limits_events *list);

#endif
