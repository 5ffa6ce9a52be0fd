/*
 * A probe: control's request to an account, to learn its health. Its record is judged like any
 * other. It has no lease, no slot, and counts in no window; it takes only a permit of a half-open
 * circuit.
 */
#include "agent/decide/candidate.h"

static enum refusal probe(struct decide_context *c, uint32_t account)
{
	struct decide_verdict *v = c->verdict;
	struct candidate k;

	v->account = snapshot_account_by_id(c->snapshot, account);
	if (!v->account)
		return REFUSAL_NO_ACCOUNT;
	enum board_reason reason = candidate_look(c, v->account, CANDIDATE_PROBE, &k);
	if (reason != BOARD_REASON_NONE)
		return shortage_cause(reason) == SHORTAGE_PERSON ? REFUSAL_NO_ACCOUNT
								 : REFUSAL_CIRCUIT_OPEN;
	v->backend = k.backend;
	decide_enter(c, 0);
	return REFUSAL_NONE;
}

void decide_probe(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, uint32_t account, int64_t now_ms,
	struct decide_verdict *ret)
{
	struct decide_context c = {.snapshot = s, .state = state, .request = r, .verdict = ret};

	*ret = (struct decide_verdict){.action = DECIDE_DENY, .gen = r->gen};
	window_clock_set(&c.clock, now_ms);
	ret->refusal = r->fault != REFUSAL_NONE ? r->fault : probe(&c, account);
	if (ret->refusal == REFUSAL_NONE)
		ret->action = DECIDE_ALLOW;
}
