/*
 * Chooses the account: the one that the conversation is bound to while it is usable; else weighted
 * rendezvous hashing over the usable ones, or the pool's other strategy (docs/DESIGN.md,
 * "Deciding").
 */
#include "agent/decide/conversation.h"

#include <math.h>

/*
 * Lower tiers first: accounts that the key does not shun, accounts with consecutive uses left, then
 * accounts of the node's region.
 */
#define TIER_REGION 1
#define TIER_CONSECUTIVE 2
#define TIER_SHUNNED 4

struct choice {
	struct candidate best;
	double cost;
	int tier;
	bool bound;		  /* the conversation is bound to `best` */
	struct shortage shortage; /* of those that are allowed and not usable */
	uint32_t only;		  /* id of the only account allowed; 0 = any */
	/* of `only`: why it is not usable, and until when; NONE if it is not in the pool */
	enum board_reason only_reason;
	int64_t only_free_ms;
	uint32_t usable; /* members that are usable, allowed or not */
	struct board_candidate *best_row;
	bool may_leave; /* the bound account, if the key shuns it */
};

/* --- costs: the lowest wins --- */

/*
 * The lowest -ln(u)/weight wins: an account that leaves the pool moves only its own conversations.
 */
static double rendezvous_cost(uint64_t seed, const struct candidate *k)
{
	uint64_t bits = decide_mix(seed ^ decide_mix(k->account->id)) >> 11;
	double u = ((double)bits + 0.5) * 0x1p-53;

	return -log(u) / ((double)k->account->weight * k->score);
}

static double load_cost(const struct decide_context *c, const struct candidate *k)
{
	uint32_t in_use = slots_in_use(c->state->slots, USAGE_ACCOUNT, k->account->id);

	return (in_use + 1.0) / (double)k->account->weight + rendezvous_cost(c->random, k) * 1e-9;
}

static double turn_cost(const struct decide_context *c, uint32_t at)
{
	uint32_t count = c->verdict->pool->members.count;

	return (double)((at + count - c->state->turn % count) % count);
}

static double cost_of(const struct decide_context *c, const struct candidate *k, uint32_t at)
{
	uint64_t conversation = c->verdict->conversation;

	/* the same account again, if its binding is lost */
	if (c->verdict->resource != RESOURCE_NONE)
		return rendezvous_cost(conversation, k);
	switch ((enum snapshot_strategy)c->verdict->pool->strategy) {
	case SNAPSHOT_STRATEGY_LEAST_LOADED:
		return load_cost(c, k);
	case SNAPSHOT_STRATEGY_ROUND_ROBIN:
		return turn_cost(c, at);
	case SNAPSHOT_STRATEGY_STICKY:
		break;
	}
	return rendezvous_cost(conversation ? conversation : c->random, k);
}

/* --- tiers --- */

static bool is_near(const struct decide_context *c, const struct snapshot_account *a)
{
	struct slice here = slice_from_str(c->snapshot->head->region);
	struct slice region = snapshot_text(c->snapshot, a->region);

	return here.n == 0 || slice_eq(region, here);
}

/* After max_consecutive new bindings or unbound requests in a row, another account is preferred. */
static bool is_used_up(const struct decide_context *c, const struct snapshot_account *a)
{
	const struct statefile_usage *pool = c->scratch.pool_usage;

	return a->max_consecutive && pool->last_account == a->id &&
		pool->consecutive >= a->max_consecutive;
}

static int tier_of(const struct decide_context *c, const struct candidate *k)
{
	return (is_near(c, k->account) ? 0 : TIER_REGION) +
		(is_used_up(c, k->account) ? TIER_CONSECUTIVE : 0) +
		(k->shunned ? TIER_SHUNNED : 0);
}

static enum board_reason beaten_reason(int tier, int best_tier)
{
	if (tier <= best_tier)
		return BOARD_REASON_OUTSCORED;
	if ((tier ^ best_tier) & TIER_SHUNNED)
		return BOARD_REASON_SHUNNED;
	return (tier ^ best_tier) & TIER_CONSECUTIVE ? BOARD_REASON_CONSECUTIVE
						     : BOARD_REASON_REGION;
}

/* --- choosing --- */

static struct board_candidate *note(
	struct decide_context *c, const struct candidate *k, enum board_reason reason)
{
	struct board_why *why = &c->verdict->why;

	why->member_count++;
	if (why->candidate_count == BOARD_CANDIDATES)
		return NULL;
	struct board_candidate *row = &why->candidates[why->candidate_count++];
	*row = (struct board_candidate){.account = k->account->id,
		.score = (uint16_t)(k->score * UINT16_MAX),
		.reason = (uint8_t)reason};
	return row;
}

static void set_reason(struct board_candidate *row, enum board_reason reason)
{
	if (row)
		row->reason = (uint8_t)reason;
}

static void take(struct choice *choice, const struct candidate *k, double cost, int tier,
	struct board_candidate *row)
{
	if (choice->best.account)
		set_reason(choice->best_row, beaten_reason(choice->tier, tier));
	choice->best = *k;
	choice->best_row = row;
	choice->cost = cost;
	choice->tier = tier;
	set_reason(row, BOARD_REASON_TAKEN);
}

/* A repeated question does not check limits and health of its account again. */
static enum candidate_ask ask_of(const struct decide_context *c, const struct snapshot_account *a)
{
	const struct decide_verdict *v = c->verdict;

	return v->repeated && v->lease && v->lease->account == a->id ? CANDIDATE_ADMITTED
								     : CANDIDATE_ALL;
}

/* Requests that may use only this account and already wait for it go first. */
static bool others_wait_for(const struct decide_context *c, uint32_t account)
{
	return c->state->room && !c->request->seated && !c->verdict->lease &&
		room_has_waiters(c->state->room, ROOM_FOR_ONE_ACCOUNT, account);
}

static void weigh(struct decide_context *c, struct choice *choice, const struct snapshot_account *a,
	uint32_t at)
{
	struct candidate k;
	enum board_reason reason = candidate_look(c, a, ask_of(c, a), &k);
	bool wanted = !choice->only || a->id == choice->only;

	if (reason == BOARD_REASON_NONE && others_wait_for(c, a->id))
		reason = BOARD_REASON_QUEUED;
	if (a->id == choice->only) {
		choice->only_reason = reason;
		choice->only_free_ms = k.free_ms;
	}
	choice->usable += reason == BOARD_REASON_NONE;
	if (reason == BOARD_REASON_NONE && !wanted)
		reason = BOARD_REASON_NOT_BOUND;
	else if (reason == BOARD_REASON_NONE && choice->may_leave && k.shunned)
		reason = BOARD_REASON_SHUNNED;
	struct board_candidate *row = note(c, &k, reason);
	if (wanted && reason != BOARD_REASON_NONE)
		shortage_note(
			&choice->shortage, shortage_cause(reason), k.free_ms, c->clock.now_ms);
	if (reason != BOARD_REASON_NONE)
		return;
	int tier = tier_of(c, &k);
	double cost = cost_of(c, &k, at);
	if (!choice->best.account || tier < choice->tier ||
		(tier == choice->tier && cost < choice->cost))
		take(choice, &k, cost, tier, row);
	else
		set_reason(row, beaten_reason(tier, choice->tier));
}

static void choose(struct decide_context *c, struct choice *choice)
{
	const struct snapshot_account *accounts =
		SNAPSHOT_ROWS(c->snapshot, ACCOUNT, struct snapshot_account);
	const struct snapshot_range members = c->verdict->pool->members;
	const uint32_t *member = SNAPSHOT_ROWS(c->snapshot, MEMBER, uint32_t) + members.first;

	for (uint32_t i = 0; i < members.count; i++)
		weigh(c, choice, &accounts[member[i]], i);
}

static void forget_reasons(struct decide_context *c)
{
	c->verdict->why.candidate_count = c->verdict->why.member_count = 0;
}

/* A conversation tries its own account first, and others if it may leave it. */
static void choose_account(
	struct decide_context *c, struct choice *choice, const struct conversation *conversation)
{
	struct decide_verdict *v = c->verdict;
	uint32_t bound = conversation->account;
	bool may_move = !v->lease && conversation->stay == CONVERSATION_MOVES;

	choice->only = v->lease ? v->lease->account : bound;
	choice->may_leave = may_move && choice->only;
	choose(c, choice);
	choice->bound = bound && choice->best.account && choice->best.account->id == bound;
	if (choice->bound)
		set_reason(choice->best_row, BOARD_REASON_BOUND);
	if (choice->best.account || !choice->only || v->lease ||
		conversation_keeps(c, conversation, choice->only_reason, choice->only_free_ms))
		return;
	forget_reasons(c);
	*choice = (struct choice){.only = 0};
	choose(c, choice);
	choice->bound = choice->best.account && choice->best.account->id == bound;
	v->moved = choice->best.account && !choice->bound;
}

/* --- no usable account --- */

static uint64_t wait_ms(const struct decide_context *c)
{
	uint64_t pool = c->verdict->pool->wait_ms;
	uint64_t tenant = decide_tenant_wait_ms(c->verdict->tenant);
	uint64_t longer = pool > tenant ? pool : tenant;

	if (longer < DECIDE_GRACE_MS)
		return DECIDE_GRACE_MS;
	return longer < DECIDE_FOREVER_MS ? longer : DECIDE_FOREVER_MS;
}

/* The refusal for all members that could not serve, and its end. */
static enum refusal tell(struct decide_context *c, const struct choice *choice)
{
	struct decide_verdict *v = c->verdict;

	v->shortage = choice->shortage;
	v->alone = choice->only != 0;
	v->resets_exact = choice->shortage.exact;
	v->resets_ms = v->resets_exact ? choice->shortage.end_ms : 0;
	return shortage_refusal(&choice->shortage, c->clock.now_ms);
}

/* A repeated question whose account is gone: nothing was sent, and another may be usable. */
static enum refusal refuse_repeated(struct decide_context *c, const struct choice *choice)
{
	struct decide_verdict *v = c->verdict;

	memcpy(&v->released, v->lease, sizeof(v->released));
	decide_release(c->state, v->lease, true);
	v->lease = NULL;
	return choice->usable ? REFUSAL_ACCOUNT_SWITCHED : tell(c, choice);
}

static enum refusal refuse(struct decide_context *c, const struct choice *choice)
{
	const struct shortage *s = &choice->shortage;

	if (c->verdict->lease)
		return refuse_repeated(c, choice);
	enum refusal refusal = tell(c, choice);
	/* a slot may be released at any time; an end that is unknown is not worth a wait */
	if (!s->any_time && s->known_ms == 0)
		return refusal;
	return decide_wait(c, refusal, choice->only ? ROOM_FOR_ONE_ACCOUNT : ROOM_FOR_ACCOUNT,
		choice->only ? choice->only : c->verdict->pool->id, wait_ms(c),
		s->any_time ? 0 : s->known_ms);
}

/* Requests that already wait for an account of this pool go first. */
static bool others_wait(const struct decide_context *c)
{
	return c->state->room && !c->request->seated && !c->verdict->repeated &&
		room_has_waiters(c->state->room, ROOM_FOR_ACCOUNT, c->verdict->pool->id);
}

/* --- further attempts --- */

uint32_t decide_attempts(const struct snapshot *s, const struct statefile_lease *lease)
{
	uint32_t attempts = (uint32_t)s->head->options.health_attempts;

	if (attempts == 0)
		attempts = 1;
	if (lease && lease->flags & LEASE_FRESH && attempts < STATEFILE_ATTEMPTS)
		attempts++;
	return attempts;
}

bool decide_may_retry(const struct decide_context *c)
{
	struct budget *budget = budget_of(c->state->budgets, c->verdict->tenant->id);

	budget_credit(budget, (uint32_t)c->snapshot->head->options.health_retry_per_second,
		c->clock.now_ms);
	return budget_has(budget);
}

/* Two accounts refused such a request alike: it is at fault itself. */
static bool is_settled(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	uint32_t request =
		lease ? lease->request : evidence_request(c->request->method, c->request->path);

	return evidence_is_settled(
		c->state->evidence, decide_requester(c), request, c->clock.now_ms);
}

/* Whether another account could take over. */
static void note_alternatives(struct decide_context *c, const struct choice *choice)
{
	struct decide_verdict *v = c->verdict;
	uint32_t attempt = v->lease ? v->lease->attempt + 1 : 1;
	/* HAProxy acts on the first answer to this question */
	if (v->repeated && v->lease) {
		v->alt = v->lease->flags & LEASE_ALT;
		return;
	}

	if (choice->usable < 2 || is_settled(c) || v->kept ||
		attempt >= decide_attempts(c->snapshot, v->lease))
		return;
	v->alt = decide_may_retry(c);
	v->spent = !v->alt;
}

static void settle(struct decide_context *c, const struct choice *choice)
{
	struct decide_verdict *v = c->verdict;

	v->account = choice->best.account;
	v->backend = choice->best.backend;
	v->watch = choice->best.watch;
	v->bound = choice->bound;
	note_alternatives(c, choice);
}

enum refusal decide_other_account(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct choice choice = {.only = 0};

	v->kept = v->lease->flags & LEASE_HARD;
	if (v->kept)
		choice.only = v->lease->account;
	choose(c, &choice);
	if (choice.best.account) {
		settle(c, &choice);
		return REFUSAL_NONE;
	}
	return tell(c, &choice);
}

enum refusal decide_account(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct choice choice = {.only = 0};
	struct conversation conversation;

	c->scratch.pool_usage =
		usage_of(c->state->usages, USAGE_POOL, v->pool->id, c->clock.now_ms);
	if (!c->scratch.pool_usage)
		return REFUSAL_OVERLOADED;
	conversation_look(c, &conversation);
	if (others_wait(c))
		return decide_wait(
			c, REFUSAL_ACCOUNTS_LIMITED, ROOM_FOR_ACCOUNT, v->pool->id, wait_ms(c), 0);
	choose_account(c, &choice, &conversation);
	c->state->turn++;
	if (!choice.best.account) {
		/* a conversation that waits for its account for long is not forgotten */
		if (conversation.stay != CONVERSATION_MOVES && !v->lease)
			conversation_use(c, conversation.account);
		return refuse(c, &choice);
	}
	bool elsewhere = conversation.account && conversation.account != choice.best.account->id;
	v->kept = v->lease
		? v->lease->flags & LEASE_HARD
		: conversation.alone || (conversation.stay != CONVERSATION_MOVES && !elsewhere);
	settle(c, &choice);
	/* the head of its answer tells whether the conversation is bound to this account now */
	v->watch |= elsewhere || conversation.new;
	decide_rewrite_path(c);
	return REFUSAL_NONE;
}
