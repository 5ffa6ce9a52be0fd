/*
 * The gate: checks that need no pool and no account. Arguments, site switch, ban list, tenant, and
 * the allow lists of networks. key.c checks the key after the ban list and before the tenant.
 */
#include "agent/badkeys.h"
#include "agent/decide/decide.h"
#include "common/ban.h"

/* Two lines of the header that carries the key are refused: an upstream may read the other one. */
enum refusal decide_wellformed(struct decide_context *c)
{
	const struct decide_request *r = c->request;

	if (r->fault != REFUSAL_NONE)
		return r->fault;
	return r->key_lines > 1 ? REFUSAL_BAD_REQUEST : REFUSAL_NONE;
}

/* A request that was admitted before keeps its answer, if HAProxy asks for it again. */
enum refusal decide_draining(struct decide_context *c)
{
	const struct decide_state *state = c->state;

	return state->draining && !lease_find(state->leases, c->request->id) ? REFUSAL_DRAINING
									     : REFUSAL_NONE;
}

enum refusal decide_switches(struct decide_context *c)
{
	return c->snapshot->head->flags & SNAPSHOT_SITE_ENABLED ? REFUSAL_NONE
								: REFUSAL_SITE_DISABLED;
}

/* --- ban list --- */

/* A ban of the agent counts until the snapshot has taken it; after that the snapshot decides. */
static bool is_banned_here(const struct decide_context *c)
{
	return c->state->badkeys &&
		badkeys_is_banned(c->state->badkeys, &c->request->src, c->clock.now_ms,
			c->snapshot->head->bans_taken);
}

enum refusal decide_banned(struct decide_context *c)
{
	const struct snapshot *s = c->snapshot;
	const struct snapshot_ban *bans = SNAPSHOT_ROWS(s, BAN, struct snapshot_ban);
	const struct decide_request *r = c->request;

	if (!r->has_src)
		return REFUSAL_NONE;
	return bans_cover(bans, s->counts[SNAPSHOT_BAN], &r->src, c->clock.now_ms) ||
			is_banned_here(c)
		? REFUSAL_IP_BANNED
		: REFUSAL_NONE;
}

/* --- tenant --- */

/* In self-use mode only the operator's own tenants are served. */
static bool is_served(const struct snapshot *s, const struct snapshot_tenant *tenant)
{
	return !(s->head->flags & SNAPSHOT_SITE_SELF_USE) || tenant->flags & SNAPSHOT_TENANT_OWN;
}

enum refusal decide_tenant(struct decide_context *c)
{
	const struct snapshot_tenant *tenant = c->verdict->tenant;

	if (!is_served(c->snapshot, tenant))
		return REFUSAL_SITE_DISABLED;
	return tenant->flags & SNAPSHOT_TENANT_ENABLED ? REFUSAL_NONE : REFUSAL_TENANT_DISABLED;
}

/* --- allow lists --- */

static bool list_allows(
	const struct cidr *networks, struct snapshot_range range, const struct decide_request *r)
{
	if (range.count == 0)
		return true;
	return r->has_src && cidr_list_allows(networks + range.first, range.count, &r->src);
}

/* Both lists must allow the address: a key can narrow its tenant's list, never widen it. */
enum refusal decide_networks(struct decide_context *c)
{
	const struct decide_verdict *v = c->verdict;
	const struct cidr *networks = SNAPSHOT_ROWS(c->snapshot, NETWORK, struct cidr);
	bool allowed = list_allows(networks, v->tenant->networks, c->request) &&
		list_allows(c->scratch.key_table->networks, v->key->networks, c->request);

	return allowed ? REFUSAL_NONE : REFUSAL_IP_NOT_ALLOWED;
}
