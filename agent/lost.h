/* Requests whose end record never comes. */
#ifndef RELAY_AGENT_LOST_H
#define RELAY_AGENT_LOST_H

#include "agent/agent.h"

/* Before the lease ends: puts a row into the history, with what the lease knows. */
void lost_put(struct agent *a, const struct statefile_lease *lease);
/* True if the request ended before this agent could take its record: it was not there yet. */
bool lost_was_away(const struct agent *a, const struct statefile_lease *lease);

#endif
