/*
 * Healing: once a second control reads what HAProxy has in progress and hands it to the agent, which
 * gives back the slots of requests that HAProxy lacks (agent/healer.h). Without HAProxy's sockets, or
 * while they do not answer, nothing is healed, and nothing else happens.
 */
#ifndef RELAY_ADMIN_UPKEEP_HEALING_H
#define RELAY_ADMIN_UPKEEP_HEALING_H

#include <ev.h>
#include <stdint.h>

struct control;

struct healing {
	struct control *control;
	ev_timer timer;
	double pause_s;	   /* to the next reading; longer after failures */
	uint32_t failures; /* in a row */
};

void healing_start(struct healing *h, struct control *c);

#endif
