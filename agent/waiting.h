/*
 * Waiting requests: decided again when a slot or limit was released, or when their time has come
 * (docs/LIMITS.md, "Waiting"). A waiting question never delays another one.
 */
#ifndef RELAY_AGENT_WAITING_H
#define RELAY_AGENT_WAITING_H

#include "agent/agent.h"

/* NULL when out of memory. The room is the agent's. */
struct waiting *waiting_new(struct agent *a);
void waiting_free(struct waiting *w);
/* Adds a request whose decision is to wait. False: the room is full. */
bool waiting_add(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	const struct room_seat *seat, int64_t now_ms);
/* The client of the request has left. */
void waiting_forget(struct agent *a, const uint8_t id[16]);
void waiting_forget_owner(struct agent *a, const void *owner);
/* The agent is about to stop: refuses all waiting requests. */
void waiting_refuse_all(struct agent *a);
/* Another agent follows: HAProxy asks it for all waiting requests, which keep their places. */
void waiting_send_back_all(struct agent *a);

#endif
