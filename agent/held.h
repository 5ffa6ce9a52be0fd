/* Held leases: how one begins on the board, moves to another account, and ends. */
#ifndef RELAY_AGENT_HELD_H
#define RELAY_AGENT_HELD_H

#include "agent/agent.h"

/*
 * The secret that HAProxy's messages on TCP and its records on UDP must carry. Empty before the first
 * snapshot: no message carries it then.
 */
struct slice agent_secret(const struct agent *a);
/* The gauges of a lease that begins or ends. */
void agent_count_lease(struct agent *a, const struct statefile_lease *lease, bool begins);
/* The gauges of a lease that goes on with another account; `before` = the lease until now. */
void agent_count_move(struct agent *a, const struct statefile_lease *before, uint32_t account);
/* Ends a lease: gauges, slots and, when it was certainly never sent on, counts. */
void agent_release(struct agent *a, struct statefile_lease *lease, bool never_sent);

#endif
