/*
 * Looks every two seconds whether the store takes changes, raises and ends the notice about it, and tells
 * the agent, whose /relay/health says so.
 */
#ifndef RELAY_ADMIN_UPKEEP_STOREWATCH_H
#define RELAY_ADMIN_UPKEEP_STOREWATCH_H

#include <ev.h>
#include <stdbool.h>

struct control;

struct storewatch {
	struct control *control;
	ev_timer timer;
	bool was_down;
};

void storewatch_start(struct storewatch *w, struct control *c);
void storewatch_stop(struct storewatch *w);

#endif
