#include "agent/decide/decide.h"

enum refusal decide_tenant(struct decide_context *c)
{
	const struct snapshot_tenant *tenant = c->verdict->tenant;

	/* a key of the base whose tenant has been deleted since */
	if (!tenant)
		return REFUSAL_INVALID_API_KEY;
	return tenant->flags & SNAPSHOT_TENANT_ENABLED ? REFUSAL_NONE : REFUSAL_TENANT_DISABLED;
}
