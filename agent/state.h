/* The agent's state: board and state file, mapped, and the tables over them. */
#ifndef RELAY_AGENT_STATE_H
#define RELAY_AGENT_STATE_H

#include "agent/agent.h"

/*
 * Undoes what a killed agent left half done; leases in progress hold their slots again. 0 or
 * -errno.
 */
int state_open(struct agent *a, struct errtext *e);
/*
 * Once a second: uses the rows that control has added to the file, checks some, and frees those of past
 * months.
 */
void state_follow(struct agent *a);
/* Before the agent waits for work: no row is being changed. */
void state_settle(struct agent *a);
void state_close(struct agent *a);

#endif
