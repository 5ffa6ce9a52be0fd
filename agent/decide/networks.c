#include "agent/decide/decide.h"

static bool list_allows(
	const struct cidr *networks, struct snapshot_range range, const struct decide_request *r)
{
	if (range.count == 0)
		return true;
	return r->has_src && cidr_list_allows(networks + range.first, range.count, &r->src);
}

/* Both lists must allow: a key can narrow what its tenant may, never widen it. */
enum refusal decide_networks(struct decide_context *c)
{
	const struct decide_verdict *v = c->verdict;
	const struct cidr *networks = SNAPSHOT_ROWS(c->snapshot, NETWORK, struct cidr);
	bool allowed = list_allows(networks, v->tenant->networks, c->request) &&
		list_allows(v->key_table->networks, v->key->networks, c->request);

	return allowed ? REFUSAL_NONE : REFUSAL_IP_NOT_ALLOWED;
}
