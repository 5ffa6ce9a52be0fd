#include "agent/badkeys.h"
#include "agent/decide/decide.h"
#include "common/ban.h"

/* A ban of our own counts until the snapshot answers for it: then the snapshot's word is law. */
static bool is_banned_here(const struct decide_context *c)
{
	return c->state->badkeys &&
		badkeys_is_banned(c->state->badkeys, &c->request->src, c->clock.now_ms,
			c->snapshot->head->bans_taken);
}

enum refusal decide_banned(struct decide_context *c)
{
	const struct snapshot *s = c->snapshot;
	const struct snapshot_ban *bans = SNAPSHOT_ROWS(s, BAN, struct snapshot_ban);
	const struct decide_request *r = c->request;

	if (!r->has_src)
		return REFUSAL_NONE;
	return bans_cover(bans, s->counts[SNAPSHOT_BAN], &r->src, c->clock.now_ms) ||
			is_banned_here(c)
		? REFUSAL_IP_BANNED
		: REFUSAL_NONE;
}
