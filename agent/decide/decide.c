#include "agent/decide/decide.h"

/* In this order (docs/DESIGN.md, "Deciding"). */
static decide_stage_fn *const stages[] = {
	decide_wellformed,
	decide_draining,
	decide_switches,
	decide_banned,
	decide_upgrade,
	decide_key,
	decide_tenant,
	decide_networks,
	decide_route,
	decide_repeat,
	decide_limits,
	decide_body,
	decide_account,
	decide_pace,
	decide_reserve,
};

/* GET /relay/health and GET /relay/live need no key. */
static bool is_public(const struct decide_request *r, const char *path)
{
	return r->fault == REFUSAL_NONE && slice_eq_str(r->path, path) &&
		(slice_eq_str(r->method, "GET") || slice_eq_str(r->method, "HEAD"));
}

static bool answer_public(const struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;

	v->is_live = is_public(c->request, "/relay/live");
	if (!v->is_live && !is_public(c->request, "/relay/health"))
		return false;
	v->action = DECIDE_ANSWER;
	v->healthy = !c->state->draining &&
		(v->is_live ||
			(!c->state->store_is_down &&
				c->snapshot->head->flags & SNAPSHOT_SITE_ENABLED));
	return true;
}

void decide(const struct snapshot *s, struct decide_state *state, const struct decide_request *r,
	int64_t now_ms, uint64_t random, struct decide_verdict *ret)
{
	struct decide_context c = {
		.snapshot = s, .state = state, .request = r, .random = random, .verdict = ret};

	*ret = (struct decide_verdict){.action = DECIDE_DENY, .gen = r->gen};
	window_clock_set(&c.clock, now_ms);
	if (answer_public(&c))
		return;
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		ret->refusal = stages[i](&c);
		if (ret->refusal != REFUSAL_NONE || ret->action != DECIDE_DENY)
			return;
	}
	ret->action = DECIDE_ALLOW;
}
