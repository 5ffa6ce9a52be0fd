/*
 * Waiting requests, asked again when something was released or their time has come (SEAM.md `wait`).
 * A waiting question is answered late; it never keeps another one waiting.
 */
#ifndef RELAY_AGENT_WAITING_H
#define RELAY_AGENT_WAITING_H

#include "agent/agent.h"

/* NULL when out of memory. The room is the agent's. */
struct waiting *waiting_new(struct agent *a);
void waiting_free(struct waiting *w);
/* Seats a request that was decided to wait. False: there is no place. */
bool waiting_add(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	const struct room_seat *seat, int64_t now_ms);
/* Its client has left. */
void waiting_forget(struct agent *a, const uint8_t id[16]);
void waiting_forget_owner(struct agent *a, const void *owner);
/* The agent is about to stop: all are refused. */
void waiting_refuse_all(struct agent *a);

#endif
