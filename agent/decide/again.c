/*
 * HAProxy took a request back from a server and asks for another account (docs/PROTOCOL.md,
 * `relay-again`). The failure is charged before the choice, unless the egress is the cause.
 */
#include "agent/decide/candidate.h"
#include "agent/decide/charge.h"
#include "common/limittext.h"
#include "common/num.h"

/*
 * HAProxy sends `again2` when the answer to `again` was lost, within the time limits of two
 * questions.
 */
#define REPEAT_MS 2500
/* An upstream that closes an idle connection does it within a round trip. */
#define RACE_MS 2000

static bool is_repeated(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	int64_t age = c->clock.now_ms - lease->again_ms;

	return lease->again_ms && age >= 0 && age < REPEAT_MS;
}

static bool is_egress_down(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	const struct snapshot_account *a = snapshot_account_by_id(c->snapshot, lease->account);
	const struct snapshot_backend *b =
		a ? candidate_backend(c->snapshot, a, lease->backend) : NULL;

	if (!b)
		return true;
	struct health_subject subject = health_subject_of_backend(c->snapshot, b);
	const struct snapshot_egress *egress =
		SNAPSHOT_ROWS(c->snapshot, EGRESS, struct snapshot_egress) + b->egress;
	return egress->flags & SNAPSHOT_EGRESS_SUSPENDED ||
		health_look(health_find(c->state->healths, &subject), &subject,
			&c->snapshot->head->options, c->clock.now_ms)
			.standing == BOARD_STANDING_OPEN;
}

static enum refusal find_lease(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;

	v->lease = lease_find(c->state->leases, c->request->id);
	if (!v->lease)
		return REFUSAL_ACCOUNT_SWITCHED;
	v->tenant = snapshot_tenant(c->snapshot, v->lease->tenant);
	v->pool = snapshot_pool(c->snapshot, v->lease->pool);
	c->scratch.pool_usage =
		usage_of(c->state->usages, USAGE_POOL, v->lease->pool, c->clock.now_ms);
	v->conversation = v->lease->conversation;
	v->mark = (struct record_mark){.attempt = v->lease->attempt + 1};
	if (!v->tenant || !v->pool || !c->scratch.pool_usage)
		return REFUSAL_NO_ACCOUNT;
	return REFUSAL_NONE;
}

/* Chooses the account and the backend of the last attempt, if they are still usable. */
static bool stay(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	const struct snapshot_account *a = snapshot_account_by_id(c->snapshot, v->lease->account);
	struct candidate k;

	if (!a || candidate_look(c, a, CANDIDATE_ADMITTED, &k) != BOARD_REASON_NONE ||
		k.backend->id != v->lease->backend)
		return false;
	v->account = a;
	v->backend = k.backend;
	v->alt = v->lease->flags & LEASE_ALT;
	v->kept = v->lease->flags & LEASE_HARD;
	v->watch = true;
	return true;
}

/* Repeats the attempt that an agent decided before it was replaced. */
static enum refusal repeat(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;

	if (!stay(c))
		return REFUSAL_ACCOUNT_SWITCHED;
	v->repeated = true;
	v->fresh = v->lease->flags & LEASE_FRESH && v->lease->attempt == 2;
	decide_enter(c, v->lease->attempt);
	return REFUSAL_NONE;
}

/*
 * Whether the first attempt went out on a connection that had served another request. HAProxy 3.2 and
 * later know it, and 3.0 tells the port, which the agent knows from the record of the other request. Of
 * HAProxy 2.6 the agent knows only that it may have had such a connection.
 */
static bool may_be_reused(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	struct slice reused = limittext_value(c->request->failed, RESULT_REUSED);
	struct slice port = limittext_value(c->request->failed, RESULT_PORT);
	const struct pooled_key key = {
		c->request->gen, lease->backend, (lease->flags & LEASE_ALT) != 0};
	uint64_t number;

	if (reused.n)
		return slice_eq_str(reused, RESULT_REUSED_YES);
	if (!num_parse_u64(port, UINT16_MAX, &number))
		return pooled_knows(c->state->pooled, key, (uint16_t)number, c->clock.now_ms);
	return lease->flags & LEASE_REUSED;
}

/* HAProxy 2.6 does not tell an attempt without an answer from one that was refused. */
static bool is_blind(const struct decide_context *c)
{
	return !c->request->failed.n && c->verdict->lease->flags & LEASE_ALT;
}

/*
 * HAProxy took back an attempt without an answer. If it is blind, only a conversation that the account has
 * answered before is sent again, from the retry budget: the account may have refused it.
 */
static bool is_unanswered(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	struct slice status = limittext_value(c->request->failed, RESULT_STATUS);

	if (is_blind(c))
		return lease->conversation && !(lease->flags & LEASE_UNSETTLED) &&
			decide_may_retry(c);
	return !c->request->failed.n || slice_eq_str(status, "0");
}

/* Without `alt` or this mark, HAProxy takes nothing back but a connection that it could not make. */
static bool may_be_taken_back(const struct statefile_lease *lease)
{
	return lease->flags & (LEASE_ALT | LEASE_REUSED);
}

/* Whether the upstream may have closed an idle connection just as the request arrived on it. */
static bool may_be_race(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	int64_t age = c->clock.now_ms - lease->decided_ms;

	return lease->attempt == 1 && may_be_taken_back(lease) && is_unanswered(c) &&
		may_be_reused(c) && age >= 0 && age < RACE_MS && !is_egress_down(c);
}

/*
 * The upstream may have got a request without `alt`, and it was no race: nobody else gets it. Where
 * HAProxy cannot tell whether there was a connection, there may have been one.
 */
static bool is_lost(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;
	struct slice reused = limittext_value(c->request->failed, RESULT_REUSED);

	return lease->attempt == 1 && lease->flags & LEASE_REUSED && !(lease->flags & LEASE_ALT) &&
		!slice_eq_str(reused, RESULT_REUSED_NONE) && !is_egress_down(c);
}

static enum decide_cause cause_of(const struct decide_context *c)
{
	if (is_egress_down(c))
		return DECIDE_CAUSE_EGRESS;
	return c->verdict->lease->flags & LEASE_ALT || is_lost(c) ? DECIDE_CAUSE_ANSWER
								  : DECIDE_CAUSE_CONNECT;
}

/* The same account again, on a new connection: nobody is charged for the first attempt. */
static bool resend(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;

	if (!may_be_race(c) || !stay(c))
		return false;
	c->scratch.account_usage =
		usage_of(c->state->usages, USAGE_ACCOUNT, v->account->id, c->clock.now_ms);
	if (!c->scratch.account_usage)
		return false;
	if (is_blind(c))
		budget_spend(budget_of(c->state->budgets, v->tenant->id));
	v->fresh = true;
	lease_set_flags(v->lease, v->lease->flags | LEASE_FRESH);
	decide_move(c);
	return true;
}

/* The answer that HAProxy took back; its status is 0 if HAProxy did not see one or cannot tell. */
static struct result_answer answer_of(const struct decide_request *r)
{
	uint64_t status = 0;

	if (num_parse_u64(limittext_value(r->failed, RESULT_STATUS), 999, &status))
		status = 0;
	return (struct result_answer){
		.status = (unsigned)status, .termination = "--", .limits = r->failed};
}

/* `lost`: no other account gets the request, and its client learns that the answer is missing. */
static void charge_failed(struct decide_context *c, bool lost)
{
	const struct statefile_lease *lease = c->verdict->lease;
	struct decide_failure *f = &c->verdict->failed;
	const struct record_mark mark = {lease->attempt, lease->account_generation,
		lease->backend_generation, lease->credential, false};
	struct result_answer seen = answer_of(c->request);
	struct charge t;

	if (f->cause != DECIDE_CAUSE_ANSWER ||
		!charge_begin(c->snapshot, c->state, lease->account, lease->id, &mark,
			c->clock.now_ms, c->random, &t))
		return;
	f->seen = seen.status != 0 || lost;
	if (lost)
		f->result = (struct result){.class = RESULT_NETWORK, .known = true};
	else if (f->seen)
		result_classify(charge_provider(c->snapshot, t.account), &seen, c->clock.now_ms,
			&f->result);
	const struct charge_answer answer = {f->seen ? &f->result : NULL, seen.status, !lost};
	charge_answer(&t, &answer);
	f->wanted = t.wanted;
}

/* The connection failed; how long others are out is not how long that lasts. */
static enum refusal unreachable(struct decide_verdict *v)
{
	v->shortage = (struct shortage){.first = SHORTAGE_NONE};
	v->resets_ms = 0;
	v->resets_exact = false;
	return REFUSAL_UPSTREAM_UNREACHABLE;
}

static enum refusal go_on(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;

	if (resend(c))
		return REFUSAL_NONE;
	v->failed = (struct decide_failure){
		.cause = cause_of(c), .account = v->lease->account, .backend = v->lease->backend};
	bool unsent = v->failed.cause != DECIDE_CAUSE_ANSWER;
	bool lost = is_lost(c);
	charge_failed(c, lost);
	if (lost)
		return REFUSAL_UPSTREAM_INVALID;
	enum refusal refusal = v->lease->attempt < decide_attempts(c->snapshot, v->lease)
		? decide_other_account(c)
		: REFUSAL_CIRCUIT_OPEN;
	if (refusal != REFUSAL_NONE && unsent && v->lease->attempt == 1)
		lease_set_flags(v->lease, v->lease->flags | LEASE_UNSENT);
	if (refusal != REFUSAL_NONE)
		return unsent ? unreachable(v) : refusal;
	c->scratch.account_usage =
		usage_of(c->state->usages, USAGE_ACCOUNT, v->account->id, c->clock.now_ms);
	if (!c->scratch.account_usage)
		return REFUSAL_OVERLOADED;
	if (!unsent)
		budget_spend(budget_of(c->state->budgets, v->tenant->id));
	decide_move(c);
	v->watch = true; /* whether it succeeds elsewhere is known at the head of the answer */
	return REFUSAL_NONE;
}

/* No attempt that again2 could repeat. */
static void forget_attempt(struct statefile_lease *lease)
{
	lease_open(lease);
	lease->again_ms = 0;
	lease_seal(lease);
}

void decide_again(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, bool repeated, int64_t now_ms, uint64_t random,
	struct decide_verdict *ret)
{
	struct decide_context c = {
		.snapshot = s, .state = state, .request = r, .random = random, .verdict = ret};

	*ret = (struct decide_verdict){.action = DECIDE_DENY, .gen = r->gen};
	window_clock_set(&c.clock, now_ms);
	ret->refusal = r->fault != REFUSAL_NONE ? r->fault : find_lease(&c);
	if (ret->refusal == REFUSAL_NONE)
		ret->refusal = repeated && is_repeated(&c) ? repeat(&c) : go_on(&c);
	if (ret->refusal == REFUSAL_NONE)
		ret->action = DECIDE_ALLOW;
	else if (ret->lease)
		forget_attempt(ret->lease);
}
