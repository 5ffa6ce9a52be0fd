#include "agent/decide/decide.h"

enum refusal decide_switches(struct decide_context *c)
{
	return c->snapshot->head->flags & SNAPSHOT_SITE_ENABLED ? REFUSAL_NONE
								: REFUSAL_SITE_DISABLED;
}
