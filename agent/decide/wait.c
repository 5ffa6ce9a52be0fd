/* Waiting, as limits, accounts and pace use it. */
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

/* --- pace --- */

/*
 * An account with a pace gets each request after a random pause. The pause follows from the
 * request's id, so a repeated question has the same pause. Nothing is reserved meanwhile.
 */
enum refusal decide_pace(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	const struct snapshot_account *a = v->account;
	uint64_t seed;

	if (a->pace_max_ms == 0 || v->repeated)
		return REFUSAL_NONE;
	memcpy(&seed, c->request->id, sizeof(seed));
	uint32_t spread = a->pace_max_ms > a->pace_min_ms ? a->pace_max_ms - a->pace_min_ms : 0;
	uint64_t pause = a->pace_min_ms + decide_mix(seed) % (spread + 1u);
	int64_t due = decide_since(c) + (int64_t)pause;
	if (c->clock.now_ms >= due)
		return REFUSAL_NONE;
	v->resets_ms = due;
	return decide_wait(c, REFUSAL_ACCOUNTS_LIMITED, ROOM_FOR_PACE, a->id,
		pause + DECIDE_PACE_SLACK_MS, due);
}
