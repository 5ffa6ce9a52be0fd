/* Held leases: how a lease starts on the board, moves to another account, and ends. */
#ifndef RELAY_AGENT_HELD_H
#define RELAY_AGENT_HELD_H

#include "agent/agent.h"

/*
 * The secret that HAProxy must send in messages over TCP and in records over UDP. Empty before the
 * first snapshot: then no message is accepted.
 */
struct slice agent_secret(const struct agent *a);
/* The gauges of a lease that starts or ends. */
void agent_count_lease(struct agent *a, const struct statefile_lease *lease, bool begins);
/* The gauges of a lease that moves to another account; `before` = the lease until now. */
void agent_count_move(struct agent *a, const struct statefile_lease *before, uint32_t account);
/* The attempts of a request that have failed, and what their failures mean. Returns their number. */
uint8_t held_attempts(
	const struct statefile_lease *lease, struct board_attempt out[BOARD_ATTEMPTS]);
/* What an answer of the lease's account says about its conversation: bound, or pinned. */
void agent_settle(
	struct agent *a, struct statefile_lease *lease, const struct result_answer *answer);
/* Ends a lease: gauges, slots and, if the request was certainly never sent, counts. */
void agent_release(struct agent *a, struct statefile_lease *lease, bool never_sent);

#endif
