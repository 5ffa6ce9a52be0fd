/*
 * Requests whose end record came before their question was decided: HAProxy had given up on the
 * agent, or the client had left. A later decision would hold a slot that nothing releases. A small
 * table by id; a newer entry may replace an older one, and the healer then releases the slot.
 */
#ifndef RELAY_AGENT_GONE_H
#define RELAY_AGENT_GONE_H

#include "common/record.h"
#include "common/step.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GONE_PLACES 4096 /* a power of two */
#define GONE_MS 10000	 /* no question is older */

struct gone {
	struct {
		uint8_t id[16];
		int64_t at_ms; /* Unix time */
	} places[GONE_PLACES];
};

static inline uint32_t gone_place(const uint8_t id[16])
{
	return record_id_hash(id) & (GONE_PLACES - 1);
}

static inline void gone_add(struct gone *g, const uint8_t id[16], int64_t now_ms)
{
	uint32_t at = gone_place(id);

	memcpy(g->places[at].id, id, sizeof(g->places[at].id));
	g->places[at].at_ms = now_ms;
}

static inline bool gone_has(const struct gone *g, const uint8_t id[16], int64_t now_ms)
{
	uint32_t at = gone_place(id);

	return memcmp(g->places[at].id, id, sizeof(g->places[at].id)) == 0 &&
		now_ms - g->places[at].at_ms < GONE_MS;
}

/* The wall clock has moved by `step_ms`: all times move with it. */
static inline void gone_shift(struct gone *g, int64_t step_ms, int64_t now_ms)
{
	for (uint32_t i = 0; i < GONE_PLACES; i++)
		g->places[i].at_ms = step_move(g->places[i].at_ms, step_ms, now_ms);
}

#endif
