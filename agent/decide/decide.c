#include "agent/decide/decide.h"

/* In this order (docs/DESIGN.md, "Deciding"). */
static decide_stage_fn *const stages[] = {
	decide_wellformed,
	decide_switches,
	decide_banned,
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

static bool is_health(const struct decide_request *r)
{
	return r->fault == REFUSAL_NONE && slice_eq_str(r->path, "/relay/health") &&
		(slice_eq_str(r->method, "GET") || slice_eq_str(r->method, "HEAD"));
}

void decide(const struct snapshot *s, struct decide_state *state, const struct decide_request *r,
	int64_t now_ms, uint64_t random, struct decide_verdict *ret)
{
	struct decide_context c = {
		.snapshot = s, .state = state, .request = r, .random = random, .verdict = ret};

	*ret = (struct decide_verdict){.action = DECIDE_DENY, .gen = r->gen};
	window_clock_set(&c.clock, now_ms);
	if (is_health(r)) {
		ret->action = DECIDE_ANSWER;
		ret->healthy = !state->draining && !state->store_is_down &&
			s->head->flags & SNAPSHOT_SITE_ENABLED;
		return;
	}
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		ret->refusal = stages[i](&c);
		if (ret->refusal != REFUSAL_NONE || ret->action != DECIDE_DENY)
			return;
	}
	ret->action = DECIDE_ALLOW;
}
