#include "agent/decide/decide.h"

/* T7: in self-use mode only the operator's own tenants are served. */
static bool is_served(const struct snapshot *s, const struct snapshot_tenant *tenant)
{
	return !(s->head->flags & SNAPSHOT_SITE_SELF_USE) || tenant->flags & SNAPSHOT_TENANT_OWN;
}

enum refusal decide_tenant(struct decide_context *c)
{
	const struct snapshot_tenant *tenant = c->verdict->tenant;

	/* a key of the base whose tenant has been deleted since */
	if (!tenant)
		return REFUSAL_INVALID_API_KEY;
	if (!is_served(c->snapshot, tenant))
		return REFUSAL_SITE_DISABLED;
	return tenant->flags & SNAPSHOT_TENANT_ENABLED ? REFUSAL_NONE : REFUSAL_TENANT_DISABLED;
}
