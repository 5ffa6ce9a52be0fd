#include "agent/decide/conversation.h"

#include "common/provider.h"

#define CONVERSATION_NAME_MAX 256
/* These begin names that no header can have. */
#define BODY_MARK '\0'	   /* and a name from a body */
#define RESOURCE_MARK '\1' /* and a key family, whose resources are at one account */

/* A keyed hash of tenant, pool and conversation; 0 = there is no name. */
static uint64_t hash_of(const struct decide_context *c, struct slice name)
{
	uint32_t ids[2] = {c->verdict->tenant->id, c->verdict->pool->id};
	char text[sizeof(ids) + CONVERSATION_NAME_MAX];

	if (name.n == 0 || name.n > CONVERSATION_NAME_MAX)
		return 0;
	memcpy(text, ids, sizeof(ids));
	memcpy(text + sizeof(ids), name.p, name.n);
	uint64_t hash =
		siphash(c->snapshot->conversation_key, (struct slice){text, sizeof(ids) + name.n});
	/* each bit takes part in the choice of a bucket of the bindings */
	return hash ? hash : 1;
}

static uint64_t hash_of_body(const struct decide_context *c, const char name[BODYNAME_SIZE])
{
	char marked[1 + BODYNAME_SIZE] = {BODY_MARK};

	memcpy(marked + 1, name, BODYNAME_SIZE);
	return name[0] ? hash_of(c, (struct slice){marked, 1 + BODYNAME_LEN}) : 0;
}

static uint64_t hash_of_resources(const struct decide_context *c)
{
	uint32_t family = decide_family(c->verdict->key);
	char marked[1 + sizeof(family)] = {RESOURCE_MARK};

	memcpy(marked + 1, &family, sizeof(family));
	return hash_of(c, (struct slice){marked, sizeof(marked)});
}

static uint64_t hash_of_request(const struct decide_context *c)
{
	const struct decide_request *r = c->request;

	if (c->verdict->resource != RESOURCE_NONE)
		return hash_of_resources(c);
	return r->sticky.n ? hash_of(c, r->sticky) : hash_of_body(c, r->body.name);
}

static struct binding_key key_of(
	const struct snapshot *s, uint64_t conversation, uint32_t tenant, int64_t now_ms)
{
	return (struct binding_key){
		.conversation = conversation,
		.tenant = tenant,
		.now_ms = now_ms,
		.ttl_ms = s->head->options.sticky_ttl_ms,
	};
}

/* Another account could not read the state of a conversation of this pool. */
static bool has_bound_state(const struct decide_context *c)
{
	const struct snapshot_pool *pool = c->verdict->pool;
	const struct snapshot_upstream *upstreams =
		SNAPSHOT_ROWS(c->snapshot, UPSTREAM, struct snapshot_upstream);

	return pool->sticky != SNAPSHOT_STICKY_FREE &&
		provider_at(upstreams[pool->upstream].provider)->bound_state;
}

/* A conversation that no account has answered has no state: it is as free as its first request. */
static enum conversation_stay stay_of(const struct decide_context *c, const struct binding *bound)
{
	/* the client has got state, whether or not the answer is known here */
	bool answered = bound->answered || c->request->hard;

	if (bound->pinned)
		return CONVERSATION_STAYS;
	if (!answered)
		return CONVERSATION_MOVES;
	if (c->verdict->pool->sticky == SNAPSHOT_STICKY_HARD ||
		c->verdict->resource != RESOURCE_NONE)
		return CONVERSATION_STAYS;
	return bound->account && has_bound_state(c) ? CONVERSATION_WAITS : CONVERSATION_MOVES;
}

/*
 * Pools with another strategy than sticky choose an account for each request, unless the
 * conversation has state at one.
 */
static bool minds(const struct decide_context *c, enum conversation_stay stay)
{
	return c->verdict->resource != RESOURCE_NONE ||
		c->verdict->pool->strategy == SNAPSHOT_STRATEGY_STICKY || c->request->hard ||
		stay != CONVERSATION_MOVES || has_bound_state(c);
}

/* The pool chooses an account for each request, whatever the conversation. */
static bool is_indifferent(const struct decide_context *c)
{
	const struct snapshot_pool *pool = c->verdict->pool;

	return pool->members.count < 2 ||
		(pool->strategy != SNAPSHOT_STRATEGY_STICKY && !has_bound_state(c) &&
			pool->sticky != SNAPSHOT_STICKY_HARD);
}

bool conversation_wants_body(const struct decide_context *c)
{
	const struct decide_request *r = c->request;

	return r->has_json && !r->was_read && r->sticky.n == 0 && !c->verdict->repeated &&
		c->verdict->resource == RESOURCE_NONE && !is_indifferent(c) &&
		provider_generates(c->verdict->provider, r->path);
}

enum refusal decide_body(struct decide_context *c)
{
	if (conversation_wants_body(c))
		c->verdict->action = DECIDE_BODY;
	return REFUSAL_NONE;
}

static bool is_member(const struct decide_context *c, uint32_t account)
{
	const struct snapshot_account *accounts =
		SNAPSHOT_ROWS(c->snapshot, ACCOUNT, struct snapshot_account);
	const struct snapshot_range members = c->verdict->pool->members;
	const uint32_t *member = SNAPSHOT_ROWS(c->snapshot, MEMBER, uint32_t) + members.first;

	for (uint32_t i = 0; i < members.count; i++) {
		if (accounts[member[i]].id == account)
			return true;
	}
	return false;
}

/*
 * The account of the key family's resources: the last one that answered, else the one that the store
 * knows. What an account kept that has left the pool cannot be reached: other resources are made elsewhere.
 */
static struct binding resources_binding(const struct decide_context *c, const struct binding *bound)
{
	struct binding nothing = {.account = 0};
	uint32_t stored = snapshot_resource(
		c->snapshot, decide_family(c->verdict->key), c->verdict->pool->id);

	if (bound->answered && is_member(c, bound->account))
		return *bound;
	if (stored && is_member(c, stored))
		return (struct binding){.account = stored, .answered = true};
	return is_member(c, bound->account) ? *bound : nothing;
}

void conversation_look(struct decide_context *c, struct conversation *ret)
{
	struct decide_verdict *v = c->verdict;

	*ret = (struct conversation){.account = 0};
	v->conversation = hash_of_request(c);
	if (!v->conversation)
		return;
	struct binding_key key =
		key_of(c->snapshot, v->conversation, v->tenant->id, c->clock.now_ms);
	struct binding bound = binding_find(c->state->bindings, &key);
	v->bound_to = bound.account;
	v->answered = bound.answered;
	v->pinned = bound.pinned;
	if (v->resource != RESOURCE_NONE)
		bound = resources_binding(c, &bound);
	ret->stay = stay_of(c, &bound);
	ret->new = !bound.answered &&
		(v->resource != RESOURCE_NONE || has_bound_state(c) ||
			v->pool->sticky == SNAPSHOT_STICKY_HARD);
	ret->alone = v->resource == RESOURCE_OLD;
	if (minds(c, ret->stay))
		ret->account = bound.account;
}

/*
 * Only a person brings the account back, or it has left the pool. What this HAProxy does not know yet
 * another one knows in a moment.
 */
static bool is_gone(enum board_reason reason)
{
	if (reason == BOARD_REASON_HEADER || reason == BOARD_REASON_BACKEND)
		return false;
	return reason == BOARD_REASON_NONE || shortage_cause(reason) == SHORTAGE_PERSON;
}

bool conversation_keeps(const struct decide_context *c, const struct conversation *conversation,
	enum board_reason reason, int64_t free_ms)
{
	if (conversation->stay != CONVERSATION_WAITS)
		return conversation->stay == CONVERSATION_STAYS;
	return free_ms - c->clock.now_ms <= CONVERSATION_PATIENCE_MS && !is_gone(reason);
}

/* --- the binding --- */

void conversation_use(const struct decide_context *c, uint32_t account)
{
	const struct decide_verdict *v = c->verdict;
	struct binding_key key =
		key_of(c->snapshot, v->conversation, v->tenant->id, c->clock.now_ms);

	if (!v->conversation || !account)
		return;
	binding_use(c->state->bindings, &key, account);
	key.conversation = hash_of_body(c, c->request->body.message);
	if (key.conversation)
		binding_follow(c->state->bindings, &key, account);
}

bool decide_answered(const struct snapshot *s, struct decide_state *state,
	struct statefile_lease *lease, int64_t now_ms)
{
	struct binding_key key = key_of(s, lease->conversation, lease->tenant, now_ms);

	if (!lease->conversation || !(lease->flags & LEASE_UNSETTLED))
		return false;
	bool moved = binding_answered(state->bindings, &key, lease->bound, lease->account);
	lease_set_flags(lease, lease->flags & ~LEASE_UNSETTLED);
	return moved;
}

/* The account before the present one of a conversation that moved; 0 = unknown. */
static uint32_t account_before(
	const struct snapshot *s, const struct statefile_lease *lease, const struct binding *bound)
{
	const struct snapshot_pool *pool = snapshot_pool(s, lease->pool);
	const struct snapshot_account *accounts =
		SNAPSHOT_ROWS(s, ACCOUNT, struct snapshot_account);

	if (lease->bound && lease->bound != lease->account)
		return lease->bound;
	if (!pool || !bound->before || bound->account != lease->account)
		return 0;
	const uint32_t *members = SNAPSHOT_ROWS(s, MEMBER, uint32_t) + pool->members.first;
	for (uint32_t i = 0; i < pool->members.count; i++) {
		uint32_t id = accounts[members[i]].id;
		if ((uint16_t)id == bound->before && id != lease->account)
			return id;
	}
	return 0;
}

bool decide_foreign(const struct snapshot *s, struct decide_state *state,
	const struct statefile_lease *lease, int64_t now_ms)
{
	struct binding_key key = key_of(s, lease->conversation, lease->tenant, now_ms);

	if (!lease->conversation)
		return false;
	struct binding bound = binding_find(state->bindings, &key);
	uint32_t account = account_before(s, lease, &bound);
	/* an account that never answered has given no state */
	bool is_silent = bound.account == account && !bound.answered;
	if (!account || is_silent || bound.pinned)
		return false;
	binding_pin(state->bindings, &key, account);
	return true;
}
