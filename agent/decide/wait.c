/* Waiting: what limits, accounts and pace have in common. */
#include "agent/decide/decide.h"

int64_t decide_since(const struct decide_context *c)
{
	int64_t since = c->request->since_ms;

	return since > 0 && since <= c->clock.now_ms ? since : c->clock.now_ms;
}

uint64_t decide_tenant_wait_ms(const struct snapshot_tenant *tenant)
{
	switch ((enum snapshot_wait)tenant->wait) {
	case SNAPSHOT_WAIT_REFUSE:
		break;
	case SNAPSHOT_WAIT_BOUNDED:
		return tenant->wait_ms < DECIDE_FOREVER_MS ? tenant->wait_ms : DECIDE_FOREVER_MS;
	case SNAPSHOT_WAIT_FOREVER:
		return DECIDE_FOREVER_MS;
	}
	return 0;
}

enum refusal decide_wait(struct decide_context *c, enum refusal refusal, enum room_reason reason,
	uint32_t what, uint64_t wait_ms, int64_t wake_ms)
{
	struct decide_verdict *v = c->verdict;
	const struct room *room = c->state->room;
	int64_t since = decide_since(c);
	int64_t until = since + (int64_t)wait_ms;

	if (!room || c->clock.now_ms >= until || wake_ms > until)
		return refusal;
	if (!c->request->seated && !room_has_place(room, v->tenant->id)) {
		v->no_place = true;
		return refusal;
	}
	v->action = DECIDE_WAIT;
	v->wait_for = reason;
	v->wait_what = what;
	v->since_ms = since;
	v->until_ms = until;
	v->wake_ms = wake_ms;
	return refusal;
}
