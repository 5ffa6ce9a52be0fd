/* The row of a finished request in the board's ring: what its record, its lease and the snapshot say. */
#ifndef RELAY_AGENT_FINISHED_H
#define RELAY_AGENT_FINISHED_H

#include "agent/agent.h"
#include "common/record.h"

/* `lease` is the request's, NULL without one; it has not been released yet. */
void finished_put(struct agent *a, const struct record *r, const struct statefile_lease *lease,
	int64_t now_ms);
/* What is known of a request without its record. `row` is zeroed. */
void finished_describe(
	const struct agent *a, const struct statefile_lease *lease, struct board_request *row);

#endif
