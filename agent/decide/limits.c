/* Windows and slots of the tenant and of the key. Both must have room; nothing is counted here. */
#include "agent/decide/conversation.h"

/*
 * The limit that refuses. The one that lasts longest wins: quotas before rates, rates before slots.
 */
struct obstacle {
	enum refusal refusal;
	int64_t resets_ms; /* 0 = when a slot is released */
	struct decide_limit limit;
	enum room_reason wait_for;
	uint32_t wait_what;
};

static void note(struct decide_context *c, enum usage_kind kind, int window, uint32_t limit,
	uint32_t used, bool hit)
{
	struct board_why *why = &c->verdict->why;

	if (why->limit_count == BOARD_LIMITS)
		return;
	why->limits[why->limit_count++] = (struct board_limit){
		.kind = (uint8_t)kind,
		.window = (uint8_t)window,
		.hit = hit,
		.limit = limit,
		.used = used,
	};
}

/* Keeps the limit with the fewest requests left; of two equal ones the longer window. */
static void note_rate(struct decide_context *c, enum usage_window w, uint32_t limit, uint32_t used)
{
	struct decide_rate *rate = &c->verdict->rate;
	uint32_t left = used < limit ? limit - used - 1 : 0;

	if (rate->limit && left > rate->left)
		return;
	*rate = (struct decide_rate){limit, left, window_reset_ms(w, c->clock.now_ms)};
}

static void look_at_windows(struct decide_context *c, enum usage_kind kind,
	const struct snapshot_limits *limits, const struct statefile_usage *row,
	struct obstacle *obstacle)
{
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		uint32_t limit = window_limit(limits, w);
		if (limit == 0)
			continue;
		uint32_t used = window_clock_count(&c->clock, row, w);
		note(c, kind, i, limit, used, used >= limit);
		note_rate(c, w, limit, used);
		if (used < limit)
			continue;
		int64_t resets = window_reset_ms(w, c->clock.now_ms);
		if (resets <= obstacle->resets_ms)
			continue;
		obstacle->resets_ms = resets;
		obstacle->limit = (struct decide_limit){kind, i, limit};
		obstacle->refusal = w >= USAGE_DAY ? REFUSAL_QUOTA_EXCEEDED : REFUSAL_RATE_LIMITED;
	}
}

/* Requests that already wait for these slots go first. */
static bool others_wait(const struct decide_context *c, enum room_reason reason, uint32_t what)
{
	return c->state->room && !c->request->seated && decide_tenant_wait_ms(c->verdict->tenant) &&
		room_has_waiters(c->state->room, reason, what);
}

static void look_at_slots(struct decide_context *c, enum usage_kind kind,
	const struct snapshot_limits *limits, uint32_t id, struct obstacle *obstacle)
{
	enum room_reason reason = kind == USAGE_KEY ? ROOM_FOR_KEY_SLOT : ROOM_FOR_TENANT_SLOT;
	uint32_t limit = limits->concurrency;
	uint32_t used = slots_in_use(c->state->slots, kind, id);

	if (limit == 0)
		return;
	bool hit = used >= limit || others_wait(c, reason, id);
	note(c, kind, USAGE_WINDOW_COUNT, limit, used, hit);
	if (!hit || obstacle->refusal != REFUSAL_NONE)
		return;
	obstacle->refusal = REFUSAL_CONCURRENCY_LIMITED;
	obstacle->limit = (struct decide_limit){kind, USAGE_WINDOW_COUNT, limit};
	obstacle->wait_for = reason;
	obstacle->wait_what = id;
}

static struct obstacle find_obstacle(struct decide_context *c)
{
	const struct decide_verdict *v = c->verdict;
	struct obstacle obstacle = {.refusal = REFUSAL_NONE};

	look_at_windows(c, USAGE_TENANT, &v->tenant->limits, c->scratch.tenant_usage, &obstacle);
	look_at_windows(c, USAGE_KEY, &v->key->limits, c->scratch.key_usage, &obstacle);
	look_at_slots(c, USAGE_KEY, &v->key->limits, decide_family(v->key), &obstacle);
	look_at_slots(c, USAGE_TENANT, &v->tenant->limits, v->tenant->id, &obstacle);
	return obstacle;
}

/* Without a limit there is nothing to count. False: there is no row left. */
static bool find_row(struct decide_context *c, enum usage_kind kind, uint32_t id,
	const struct snapshot_limits *limits, struct statefile_usage **ret)
{
	if (!window_has_limit(limits))
		return true;
	*ret = usage_of(c->state->usages, kind, id, c->clock.now_ms);
	return *ret != NULL;
}

enum refusal decide_limits(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct decide_scratch *s = &c->scratch;

	if (!find_row(c, USAGE_TENANT, v->tenant->id, &v->tenant->limits, &s->tenant_usage) ||
		!find_row(c, USAGE_KEY, decide_family(v->key), &v->key->limits, &s->key_usage))
		return REFUSAL_OVERLOADED;
	if (v->repeated)
		return REFUSAL_NONE;
	struct obstacle obstacle = find_obstacle(c);
	if (obstacle.refusal == REFUSAL_NONE)
		return REFUSAL_NONE;
	if (v->tenant->flags & SNAPSHOT_TENANT_SHADOW) {
		v->shadow = obstacle.refusal;
		return REFUSAL_NONE;
	}
	v->limit = obstacle.limit;
	v->resets_ms = obstacle.resets_ms;
	v->resets_exact = obstacle.resets_ms != 0;
	if (obstacle.refusal != REFUSAL_CONCURRENCY_LIMITED)
		return obstacle.refusal;
	/* a request waits with all that its decision needs */
	if (conversation_wants_body(c))
		return REFUSAL_NONE;
	uint64_t wait_ms = decide_tenant_wait_ms(v->tenant);
	return decide_wait(c, obstacle.refusal, obstacle.wait_for, obstacle.wait_what,
		wait_ms > DECIDE_GRACE_MS ? wait_ms : DECIDE_GRACE_MS, 0);
}
