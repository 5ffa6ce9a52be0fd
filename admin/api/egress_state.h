/*
 * How a way out stands: what the store says (suspended, and by whom), else what the agent has on the
 * board about each of its backends (one upstream through it).
 */
#ifndef RELAY_ADMIN_API_EGRESS_STATE_H
#define RELAY_ADMIN_API_EGRESS_STATE_H

#include "admin/api/request.h"

struct egress_row {
	int64_t id;
	bool suspended;
	struct slice suspend_reason;
};

/*
 * Adds `state` (ok, down, suspended), `reason`, and `backends` with the state of each. Down is a way out
 * through which no upstream can be reached; a reason may stand beside `ok` when some cannot.
 */
void egress_state_describe(struct request *r, const struct egress_row *row, json_object *o);

#endif
