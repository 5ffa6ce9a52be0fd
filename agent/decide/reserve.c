/*
 * Admits the request: takes permits, counts it, and writes its lease. Counts and lease change
 * together or not at all (undo.h).
 */
#include "agent/decide/conversation.h"
#include "common/provider.h"

#define NOTICE_PERCENT 80

/* --- repeated questions --- */

/*
 * HAProxy asks again if an agent ended before its answer. The request's lease shows that it was
 * admitted: it is not counted again. Ids are random, so the same id with another key is malformed.
 */
enum refusal decide_repeat(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct statefile_lease *lease = lease_find(c->state->leases, c->request->id);

	if (lease && lease->key != v->key->id)
		return REFUSAL_BAD_REQUEST;
	v->lease = lease;
	v->repeated = lease != NULL;
	return REFUSAL_NONE;
}

/* --- permits --- */

static void enter(struct decide_context *c, struct statefile_health *row)
{
	if (row)
		health_enter(row, &c->snapshot->head->options, c->request->id, c->clock.now_ms);
}

/* Of the connections that HAProxy keeps for attempts like this one. */
static bool take_connection(
	struct decide_state *state, const struct decide_verdict *v, int64_t now_ms)
{
	const struct pooled_key key = {v->gen, v->backend->id, v->alt};

	return v->http2 ? pooled_shares(state->pooled, key, now_ms)
			: pooled_take(state->pooled, key, now_ms);
}

/* Takes permits, and marks what judging the attempt's record needs. */
void decide_enter(struct decide_context *c, uint32_t attempt)
{
	struct decide_verdict *v = c->verdict;
	struct health_subject account = health_subject_of_account(c->snapshot, v->account);
	struct health_subject backend = health_subject_of_backend(c->snapshot, v->backend);
	struct statefile_health *account_row =
		health_of(c->state->healths, &account, c->clock.now_ms);
	struct statefile_health *backend_row =
		health_of(c->state->healths, &backend, c->clock.now_ms);

	enter(c, account_row);
	enter(c, backend_row);
	evidence_enter(c->state->evidence, decide_requester(c), v->account->id, c->request->id,
		c->clock.now_ms);
	v->mark = (struct record_mark){
		.attempt = attempt,
		.account_generation = account_row ? account_row->generation : 0,
		.backend_generation = backend_row ? backend_row->generation : 0,
		.credential = account.credential,
		.is_probe = attempt == 0,
	};
}

/* --- lease and counts --- */

static uint32_t egress_id(const struct decide_context *c)
{
	return SNAPSHOT_ROWS(
		c->snapshot, EGRESS, struct snapshot_egress)[c->verdict->backend->egress]
		.id;
}

static uint32_t upstream_id(const struct decide_context *c)
{
	return SNAPSHOT_ROWS(
		c->snapshot, UPSTREAM, struct snapshot_upstream)[c->verdict->account->upstream]
		.id;
}

static uint32_t flags_of(const struct decide_context *c)
{
	const struct decide_verdict *v = c->verdict;

	bool settled = v->bound_to == v->account->id && v->answered;

	return (v->kept ? LEASE_HARD : 0) | (v->alt ? LEASE_ALT : 0) |
		(c->scratch.reused ? LEASE_REUSED : 0) |
		(c->scratch.tenant_usage ? 0 : LEASE_TENANT_UNCOUNTED) |
		(c->scratch.key_usage ? 0 : LEASE_KEY_UNCOUNTED) |
		(v->conversation && !settled ? LEASE_UNSETTLED : 0) |
		(v->resource != RESOURCE_NONE ? LEASE_RESOURCE : 0) |
		lease_shape_flags(provider_shape_of_path(c->request->path));
}

/* The account, egress and backend of the attempt that begins now. */
static void point_lease(const struct decide_context *c, struct statefile_lease *lease)
{
	const struct decide_verdict *v = c->verdict;

	lease->account = v->account->id;
	lease->egress = egress_id(c);
	lease->upstream = upstream_id(c);
	lease->backend = v->backend->id;
	lease->attempt = v->mark.attempt;
	lease->flags = (lease->flags & LEASE_FLAGS_MASK) |
		gauge_worker(c->request->worker) << LEASE_WORKER_SHIFT;
	lease->account_generation = v->mark.account_generation;
	lease->backend_generation = v->mark.backend_generation;
	lease->credential = v->mark.credential;
}

static void fill_lease(const struct decide_context *c, struct statefile_lease *lease)
{
	const struct decide_verdict *v = c->verdict;

	lease->tenant = v->tenant->id;
	lease->key = v->key->id;
	lease->family = decide_family(v->key);
	lease->pool = v->pool->id;
	lease->flags = flags_of(c);
	lease->again_ms = 0;
	memset(lease->tried, 0, sizeof(lease->tried));
	memset(lease->failed, 0, sizeof(lease->failed));
	lease->request = evidence_request(c->request->method, c->request->path);
	lease->conversation = v->conversation;
	lease->bound = v->bound_to;
	lease->decided_ms = lease->counted_ms = lease->attempted_ms = c->clock.now_ms;
	point_lease(c, lease);
	lease_commit(lease);
}

static void count_consecutive(struct decide_context *c)
{
	struct statefile_usage *pool = c->scratch.pool_usage;
	uint32_t account = c->verdict->account->id;

	if (c->verdict->bound)
		return;
	if (pool->last_account != account) {
		pool->last_account = account;
		pool->consecutive = 0;
	}
	if (pool->consecutive < UINT16_MAX)
		pool->consecutive++;
}

/* Once a day and once a month. */
static void notice(struct decide_context *c, enum usage_window w, uint8_t flag)
{
	struct statefile_usage *row = c->scratch.tenant_usage;
	uint64_t limit = window_limit(&c->verdict->tenant->limits, w);

	if (limit == 0)
		return;
	uint64_t used = window_clock_count(&c->clock, row, w);
	uint32_t *noticed = &row->noticed[w - USAGE_DAY];
	if (used * 100 < limit * NOTICE_PERCENT || *noticed == c->clock.numbers[w])
		return;
	*noticed = c->clock.numbers[w];
	c->verdict->noticed |= flag;
}

static void earn_budget(const struct decide_context *c)
{
	budget_earn(budget_of(c->state->budgets, c->verdict->tenant->id),
		(uint32_t)c->snapshot->head->options.health_retry_percent);
}

static void count_request(struct decide_context *c)
{
	const struct decide_scratch *s = &c->scratch;

	usage_add(s->tenant_usage, &c->clock);
	usage_add(s->key_usage, &c->clock);
	usage_add(s->account_usage, &c->clock);
	count_consecutive(c);
	notice(c, USAGE_DAY, DECIDE_NOTICED_DAY);
	notice(c, USAGE_MONTH, DECIDE_NOTICED_MONTH);
}

/* Without `alt` only: with it HAProxy takes back more than empty answers. */
static bool may_resend(const struct statefile_lease *lease)
{
	return lease->flags & LEASE_REUSED && !(lease->flags & LEASE_ALT);
}

static enum refusal admit(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct decide_state *state = c->state;
	struct statefile_usage *usages[STATEFILE_UNDO_USAGES] = {c->scratch.tenant_usage,
		c->scratch.key_usage, c->scratch.account_usage, c->scratch.pool_usage};
	struct statefile_lease *lease = lease_new(state->leases, c->request->id);

	if (!lease)
		return REFUSAL_OVERLOADED;
	decide_enter(c, 1);
	c->scratch.reused = take_connection(state, v, c->clock.now_ms);
	undo_begin(state->undo, usages, STATEFILE_UNDO_USAGES, lease);
	count_request(c);
	fill_lease(c, lease);
	undo_end(state->undo);
	slots_enter_lease(state->slots, lease);
	earn_budget(c);
	v->lease = lease;
	v->resend = may_resend(lease);
	return REFUSAL_NONE;
}

void decide_find_connection(struct decide_state *state, struct decide_verdict *v, int64_t now_ms)
{
	if (!take_connection(state, v, now_ms))
		return;
	lease_set_flags(v->lease, v->lease->flags | LEASE_REUSED);
	v->resend = may_resend(v->lease);
}

/*
 * The next attempt of a request: the new account is counted and takes over the slot. If the last
 * attempt was never sent, its account's count is given back.
 */
void decide_move(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct decide_state *state = c->state;
	struct statefile_lease *lease = v->lease;
	struct statefile_usage *last = usage_find(state->usages, USAGE_ACCOUNT, lease->account);
	struct statefile_usage *usages[] = {c->scratch.account_usage, last};
	uint32_t attempt = lease->attempt;
	bool unsent = v->failed.cause != DECIDE_CAUSE_ANSWER;

	decide_enter(c, attempt + 1);
	if (v->alt && !v->fresh)
		take_connection(state, v, c->clock.now_ms);
	slots_leave(state->slots, USAGE_ACCOUNT, lease->account);
	undo_begin(state->undo, usages, last == c->scratch.account_usage ? 1 : 2, lease);
	usage_add(c->scratch.account_usage, &c->clock);
	if (unsent && last)
		usage_give_back(last, lease_attempted_ms(lease));
	if (attempt >= 1 && attempt <= STATEFILE_ATTEMPTS && lease->account != v->account->id)
		lease->tried[attempt - 1] = lease->account;
	point_lease(c, lease);
	lease->flags = (lease->flags & ~LEASE_ALT) | (v->alt ? LEASE_ALT : 0) |
		(v->conversation ? LEASE_UNSETTLED : 0);
	lease->again_ms = lease->attempted_ms = c->clock.now_ms;
	undo_end(state->undo);
	slots_enter(state->slots, USAGE_ACCOUNT, lease->account);
}

enum refusal decide_reserve(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;

	c->scratch.account_usage =
		usage_of(c->state->usages, USAGE_ACCOUNT, v->account->id, c->clock.now_ms);
	if (!c->scratch.account_usage)
		return REFUSAL_OVERLOADED;
	if (v->repeated) {
		decide_enter(c, v->lease->attempt);
		lease_open(v->lease);
		point_lease(c, v->lease);
		lease_seal(v->lease);
		v->resend = v->lease->attempt == 1 && may_resend(v->lease);
		return REFUSAL_NONE;
	}
	enum refusal refusal = admit(c);
	if (refusal == REFUSAL_NONE)
		conversation_use(c, v->account->id);
	return refusal;
}

/* What an unlimited tenant or key has not counted is not given back, although it has limits now. */
static struct statefile_usage *counted(const struct decide_state *state,
	const struct statefile_lease *lease, enum usage_kind kind, uint32_t id, uint32_t uncounted)
{
	return lease->flags & uncounted ? NULL : usage_find(state->usages, kind, id);
}

static void give_back(struct decide_state *state, struct statefile_lease *lease)
{
	struct statefile_usage *usages[] = {
		counted(state, lease, USAGE_TENANT, lease->tenant, LEASE_TENANT_UNCOUNTED),
		counted(state, lease, USAGE_KEY, lease_family(lease), LEASE_KEY_UNCOUNTED),
		counted(state, lease, USAGE_ACCOUNT, lease->account, 0),
	};
	const uint32_t count = sizeof(usages) / sizeof(usages[0]);

	undo_begin(state->undo, usages, count, lease);
	for (size_t i = 0; i < count; i++)
		usage_give_back(usages[i], lease_counted_ms(lease));
	lease_end(state->leases, lease);
	undo_end(state->undo);
}

void decide_release(struct decide_state *state, struct statefile_lease *lease, bool never_sent)
{
	slots_leave_lease(state->slots, lease);
	/* an earlier attempt may have been sent */
	if (never_sent && lease->attempt <= 1)
		give_back(state, lease);
	else
		lease_end(state->leases, lease);
}
