#include "agent/decide/decide.h"

/*
 * HAProxy asks again when an agent died in mid-question: what was admitted then is admitted still, and
 * not counted twice. An id is ours and random; the same one from another key is no repetition.
 */
enum refusal decide_repeat(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct statefile_lease *lease = lease_find(c->state->leases, c->request->id);

	if (lease && lease->key != v->key->id)
		return REFUSAL_BAD_REQUEST;
	v->lease = lease;
	v->repeated = lease != NULL;
	return REFUSAL_NONE;
}
