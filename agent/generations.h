/*
 * Which generations of HAProxy's files still have a process: only their record secrets count. Control
 * reads the oldest one of the HAProxy that it manages. A question of an older generation comes from
 * another HAProxy with the same agent: that generation then counts for a day more.
 */
#ifndef RELAY_AGENT_GENERATIONS_H
#define RELAY_AGENT_GENERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#define GENERATIONS_OTHERS 16
#define GENERATIONS_OTHER_MS 86400000

struct generations {
	uint64_t oldest; /* 0 = not known: all count */
	struct {
		uint64_t gen;
		int64_t asked_ms; /* monotonic; 0 = never */
	} others[GENERATIONS_OTHERS];
};

static inline void generations_asked(struct generations *g, uint64_t gen, int64_t now_ms)
{
	if (gen >= g->oldest)
		return;
	g->others[gen % GENERATIONS_OTHERS].gen = gen;
	g->others[gen % GENERATIONS_OTHERS].asked_ms = now_ms;
}

static inline bool generations_live(const struct generations *g, uint64_t gen, int64_t now_ms)
{
	int64_t asked_ms = g->others[gen % GENERATIONS_OTHERS].asked_ms;

	if (gen >= g->oldest)
		return true;
	return g->others[gen % GENERATIONS_OTHERS].gen == gen && asked_ms &&
		now_ms - asked_ms < GENERATIONS_OTHER_MS;
}

#endif
