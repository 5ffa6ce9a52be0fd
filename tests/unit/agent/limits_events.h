/* Lists of events: generated at random, replayed, shrunk and printed. */
#ifndef RELAY_TESTS_AGENT_LIMITS_EVENTS_H
#define RELAY_TESTS_AGENT_LIMITS_EVENTS_H

#include "limits_model.h"

#define LIMITS_REPLAYS 3000

struct limits_events {
	struct limits_event *events;
	uint32_t count;
	uint32_t replays; /* replays while shrinking: at most LIMITS_REPLAYS */
};

/* A random event that fits the model's state. `next`: the number of the next new request. */
struct limits_event limits_events_next(const struct limits_model *m, uint64_t *rng, uint32_t *next);
/*
 * Whether a new agent in the world of `seed` passes all events; else `ret_failure` has the failure.
 */
bool limits_events_replay(uint64_t seed, const struct limits_events *list, char ret_failure[200]);
/* Removes events that the failure does not need. */
void limits_events_shrink(uint64_t seed, struct limits_events *list);
/* Prints the events as C, for a test. */
void limits_events_print(uint64_t seed, const struct limits_events *list);

#endif
