#include "agent/decide/decide.h"

/*
 * P5: a request waits a while of its own before an account with a pace. The while follows from the id, so
 * that being asked again does not change it; nothing is reserved meanwhile.
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
