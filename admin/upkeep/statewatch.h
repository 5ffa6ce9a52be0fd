/* Tells operators of damage that the agent found in the state file. */
#ifndef RELAY_ADMIN_UPKEEP_STATEWATCH_H
#define RELAY_ADMIN_UPKEEP_STATEWATCH_H

#include <stdint.h>

struct control;

struct statewatch {
	uint64_t dropped, mended; /* rows that a notice has told of */
};

/* To be called once a second: raises a notice when there is new damage. */
void statewatch_poll(struct statewatch *w, struct control *c);

#endif
