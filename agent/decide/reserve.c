#include "agent/decide/decide.h"

#include "common/snapshot.h"

static uint32_t egress_id(const struct decide_context *c)
{
	return SNAPSHOT_ROWS(
		c->snapshot, EGRESS, struct snapshot_egress)[c->verdict->backend->egress]
		.id;
}

static uint32_t upstream_id(const struct decide_context *c)
{
	return SNAPSHOT_ROWS(
		c->snapshot, UPSTREAM, struct snapshot_upstream)[c->verdict->account->upstream]
		.id;
}

enum refusal decide_reserve(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct statefile_lease *lease = v->lease;

	if (!lease)
		lease = lease_new(c->state->leases, c->request->id, &v->reclaimed);
	lease->tenant = v->tenant->id;
	lease->key = v->key->id;
	lease->account = v->account->id;
	lease->egress = egress_id(c);
	lease->upstream = upstream_id(c);
	lease->backend = v->backend->id;
	lease->attempt = 1;
	if (!v->repeated)
		lease->decided_ms = c->now_ms;
	lease_commit(lease);
	v->lease = lease;
	return REFUSAL_NONE;
}
