/* The agent's state: board and state file, mapped, and all that is made of them at the start. */
#ifndef RELAY_AGENT_STATE_H
#define RELAY_AGENT_STATE_H

#include "agent/agent.h"

/* What a killed agent left is put right, leases in progress hold their slots again. 0 or -errno. */
int state_open(struct agent *a, struct errtext *e);
void state_close(struct agent *a);

#endif
