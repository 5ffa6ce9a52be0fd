/*
 * The state of an egress: from the store (suspended, and by whom), else from the board, where the agent
 * has the state of each of its backends (one upstream through it).
 */
#ifndef RELAY_ADMIN_API_EGRESS_STATE_H
#define RELAY_ADMIN_API_EGRESS_STATE_H

#include "admin/api/request.h"

struct egress_row {
	int64_t id;
	bool suspended;
	struct slice suspend_reason;
	struct slice address; /* as the operator gave it */
};

/*
 * Adds `state` (ok, down, suspended), `reason`, `address_missing`, and `backends` with the state of each. An
 * egress is down when no upstream can be reached through it; `ok` has a reason when some cannot.
 */
void egress_state_describe(struct request *r, const struct egress_row *row, json_object *o);

/* Whether requests can leave through this backend, as far as agent and HAProxy have found. */
bool egress_state_is_usable(const struct control *c, uint32_t backend);

#endif
