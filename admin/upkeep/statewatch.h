/* Tells operators of damage that the agent found in the state file. */
#ifndef RELAY_ADMIN_UPKEEP_STATEWATCH_H
#define RELAY_ADMIN_UPKEEP_STATEWATCH_H

#include <stdbool.h>
#include <stdint.h>

struct control;

#define STATEWATCH_REMOVED                                                                                           \
	"the state file was removed or replaced while the relay runs: its counts, slots and conversations are lost " \
	"with the next start or SIGUSR2"

struct statewatch {
	uint64_t dropped, mended; /* rows that a notice has told of */
	bool looked;		  /* whether the file has its name */
};

/* At the start with a new state file beside a store that has served: logs it and raises a notice. */
void statewatch_lost(const struct control *c);
/* To be called once a second: raises a notice when there is new damage, or the file has lost its name. */
void statewatch_poll(struct statewatch *w, struct control *c);

#endif
