/* The agent's state: board and state file, mapped, and the tables over them. */
#ifndef RELAY_AGENT_STATE_H
#define RELAY_AGENT_STATE_H

#include "agent/agent.h"

/*
 * Undoes what a killed agent left half done; leases in progress hold their slots again. 0 or
 * -errno.
 */
int state_open(struct agent *a, struct errtext *e);
void state_close(struct agent *a);

#endif
