/* Lists of health events: generated at random, replayed, shrunk and printed. */
#ifndef RELAY_TESTS_AGENT_HEALTH_EVENTS_H
#define RELAY_TESTS_AGENT_HEALTH_EVENTS_H

#include "health_model.h"

#define HEALTHS_REPLAYS 3000

struct healths_events {
	struct healths_event *events;
	uint32_t count;
	uint32_t replays; /* replays while shrinking: at most HEALTHS_REPLAYS */
};

/* State of the generator of random events. */
struct healths_source {
	uint64_t rng;
	uint32_t next; /* number of the next new request */
	uint32_t mood; /* classes of results at present */
};

/* A random event that fits the model's state. */
struct healths_event healths_events_next(
	const struct healths_model *m, struct healths_source *source);
/* Whether new rows in the world of `seed` pass all events; else `ret_failure` has the failure. */
bool healths_events_replay(uint64_t seed, const struct healths_events *list, char ret_failure[200]);
/* Removes events that the failure does not need. */
void healths_events_shrink(uint64_t seed, struct healths_events *list);
/* Prints the events as C, for a test. */
void healths_events_print(uint64_t seed, const struct healths_events *list);

#endif
