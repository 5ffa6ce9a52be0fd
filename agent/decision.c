/* Around the pure decision: clock, randomness, counters, reasons, log lines. */
#include "agent/decision.h"

#include "agent/answer.h"
#include "agent/bans.h"
#include "agent/events.h"
#include "agent/held.h"
#include "agent/judge.h"
#include "agent/timekeeper.h"
#include "agent/waiting.h"
#include "common/clock.h"
#include "common/log.h"

/* --- counting --- */

static void count_shadow(struct agent *a, const struct decide_verdict *v)
{
	struct board_tenant *tenant = board_tenant(a->board, v->tenant->id);

	if (!tenant)
		return;
	if (v->shadow == REFUSAL_RATE_LIMITED)
		board_add(&tenant->shadow[0], 1);
	else if (v->shadow == REFUSAL_CONCURRENCY_LIMITED)
		board_add(&tenant->shadow[1], 1);
	else
		board_add(&tenant->shadow[2], 1);
}

static void give_notice(
	struct agent *a, const struct decide_verdict *v, enum usage_window w, uint32_t limit)
{
	struct board_tenant *tenant = board_tenant(a->board, v->tenant->id);

	if (tenant)
		board_add(&tenant->noticed, 1);
	log_event(LOG_LEVEL_WARNING, "quota reached 80 %",
		LOG_SLICE("tenant", snapshot_text(a->snapshot, v->tenant->name)),
		LOG_STR("window", window_name(w)), LOG_INT("limit", limit));
}

static void count_allowed(struct agent *a, const struct decide_verdict *v)
{
	board_counter *counters = a->board->counters;

	board_add(&counters[BOARD_ALLOWED], 1);
	if (v->repeated) {
		board_add(&counters[BOARD_REPEATED], 1);
		return;
	}
	agent_count_lease(a, v->lease, true);
	if (v->since_ms)
		board_add(&counters[BOARD_WAITED], 1);
	if (v->spent)
		board_add(&counters[BOARD_RETRY_EXHAUSTED], 1);
	if (v->shadow != REFUSAL_NONE)
		count_shadow(a, v);
	if (v->noticed & DECIDE_NOTICED_DAY)
		give_notice(a, v, USAGE_DAY, v->tenant->limits.daily);
	if (v->noticed & DECIDE_NOTICED_MONTH)
		give_notice(a, v, USAGE_MONTH, v->tenant->limits.monthly);
}

static void count_denied(struct agent *a, const struct decide_verdict *v)
{
	board_counter *counters = a->board->counters;

	board_add(&a->board->refused[v->refusal], 1);
	if (v->no_place)
		board_add(&counters[BOARD_WAIT_REFUSED], 1);
	if (v->refusal == REFUSAL_OVERLOADED)
		board_add(&counters[BOARD_USAGE_FULL], 1);
	if (v->released.state != LEASE_FREE) {
		board_add(&counters[BOARD_GIVEN_BACK], 1);
		agent_count_lease(a, &v->released, false);
		a->room_is_stale = true;
	}
}

static void count(struct agent *a, const struct decide_verdict *v)
{
	switch (v->action) {
	case DECIDE_ALLOW:
		count_allowed(a, v);
		break;
	case DECIDE_ANSWER:
		board_add(&a->board->counters[BOARD_ANSWERED], 1);
		break;
	case DECIDE_WAIT:
	case DECIDE_BODY:
		break;
	case DECIDE_DENY:
		count_denied(a, v);
		break;
	}
	board_set(&a->board->counters[BOARD_USAGE_ROWS], a->usages.index.used);
}

/* --- reasons --- */

static enum board_action action_of(const struct decide_verdict *v)
{
	switch (v->action) {
	case DECIDE_ALLOW:
		return BOARD_ACTION_ALLOWED;
	case DECIDE_WAIT:
		return BOARD_ACTION_WAITED;
	case DECIDE_DENY:
	case DECIDE_ANSWER:
	case DECIDE_BODY:
		break;
	}
	return BOARD_ACTION_DENIED;
}

static void keep_reasons(
	struct agent *a, const struct decide_request *r, struct decide_verdict *v, int64_t now_ms)
{
	struct board_why *why = &v->why;

	memcpy(why->id, r->id, sizeof(why->id));
	why->decided_ms = now_ms;
	why->tenant = v->tenant ? v->tenant->id : 0;
	why->key = v->key ? v->key->id : 0;
	why->pool = v->pool ? v->pool->id : 0;
	why->account = v->account ? v->account->id : 0;
	why->action = (uint8_t)action_of(v);
	why->refusal = (uint8_t)v->refusal;
	why->shadow = v->shadow != REFUSAL_NONE;
	why->resource = (uint8_t)v->resource;
	why->conversation = v->conversation;
	if (v->lease)
		why->attempt_count = held_attempts(v->lease, why->attempts);
	board_put_why(a->board, why);
}

/* --- deciding --- */

/* From the request's random id, so that a repeated question gets the same choice. */
static uint64_t randomness_of(const struct agent *a, const struct decide_request *r)
{
	uint64_t n;

	memcpy(&n, r->id + 8, sizeof(n));
	return decide_mix(n ^ a->random);
}

/*
 * A slot may be free although its end record is still in the socket, because records are taken in
 * batches. A client that asks again at once must not be refused because of its last request.
 */
static bool may_be_outdated(
	struct agent *a, const struct decide_request *r, const struct decide_verdict *v)
{
	bool limited = v->action != DECIDE_ALLOW &&
		(v->refusal == REFUSAL_CONCURRENCY_LIMITED ||
			v->refusal == REFUSAL_ACCOUNTS_LIMITED);

	return limited && !r->seated && a->events && events_drain(a->events);
}

/*
 * Nor must it lose the connection that its last request has left: HAProxy may use that already. An
 * attempt that seems to get a new connection waits for all records that have arrived.
 */
static void find_connection(
	struct agent *a, const struct decide_request *r, struct decide_verdict *v, int64_t now_ms)
{
	bool is_new = v->action == DECIDE_ALLOW && !v->repeated && !r->seated &&
		!(v->lease->flags & LEASE_REUSED);

	if (is_new && a->events && events_drain(a->events))
		decide_find_connection(&a->state, v, now_ms);
}

void agent_decide(
	struct agent *a, const struct decide_request *r, int64_t now_ms, struct decide_verdict *ret)
{
	decide(a->snapshot, &a->state, r, now_ms, randomness_of(a, r), ret);
	if (may_be_outdated(a, r, ret))
		decide(a->snapshot, &a->state, r, now_ms, randomness_of(a, r), ret);
	find_connection(a, r, ret, now_ms);
	if (ret->action == DECIDE_ALLOW && r->since_ms)
		ret->since_ms = r->since_ms;
	count(a, ret);
	bans_note(a, r, ret, now_ms);
}

/* Without a snapshot nothing can be decided. */
static void refuse_undecided(struct agent *a, struct spoe_ack *ack)
{
	board_add(&a->board->refused[REFUSAL_AGENT_UNAVAILABLE], 1);
	answer_write_refusal(REFUSAL_AGENT_UNAVAILABLE, ack);
}

/* True: the request waits. */
static bool starts_waiting(struct agent *a, const struct decide_request *r,
	struct decide_verdict *v, const struct room_seat *seat, int64_t now_ms)
{
	if (!seat || v->action != DECIDE_WAIT)
		return false;
	if (waiting_add(a, r, v, seat, now_ms))
		return true;
	v->action = DECIDE_DENY;
	return false;
}

/* `requests why` tells about it. */
static bool is_told(const struct decide_verdict *v)
{
	return v->action != DECIDE_ANSWER && v->action != DECIDE_BODY;
}

bool agent_answer(struct agent *a, const struct decide_request *r, const struct room_seat *seat,
	struct spoe_ack *ack)
{
	struct decide_verdict verdict;
	int64_t begin = clock_monotonic_ns();
	int64_t now = timekeeper_now(a);

	a->last_question_ms = begin / 1000000;
	answer_write_client(r, ack);
	if (!a->snapshot) {
		refuse_undecided(a, ack);
		return true;
	}
	/* HAProxy has refused it already, and its record was counted */
	if (gone_has(&a->gone, r->id, now)) {
		answer_write_refusal(REFUSAL_AGENT_UNAVAILABLE, ack);
		return true;
	}
	agent_decide(a, r, now, &verdict);
	bool waits = starts_waiting(a, r, &verdict, seat, now);
	if (!waits && is_told(&verdict))
		keep_reasons(a, r, &verdict, now);
	if (!waits)
		answer_write(a, &verdict, now, ack);
	if (!waits)
		answer_write_tunnel(r, &verdict, ack);
	if (!waits && verdict.action == DECIDE_WAIT)
		answer_write_name(r, ack);
	board_observe_decision(a->board, (uint64_t)(clock_monotonic_ns() - begin));
	return !waits;
}

void agent_answer_again(
	struct agent *a, const struct question *q, bool repeated, struct spoe_ack *ack)
{
	const struct decide_request *r = &q->request;
	struct statefile_lease before = {.state = LEASE_FREE};
	struct decide_verdict verdict;
	int64_t begin = clock_monotonic_ns();
	int64_t now = timekeeper_now(a);
	const struct statefile_lease *lease = lease_find(&a->leases, r->id);

	if (lease)
		memcpy(&before, lease, sizeof(before));
	if (!a->snapshot) {
		refuse_undecided(a, ack);
		return;
	}
	decide_again(a->snapshot, &a->state, r, repeated, now, randomness_of(a, r), &verdict);
	if (lease)
		judge_failure(a, &before, lease, &verdict.failed);
	if (verdict.action != DECIDE_ALLOW) {
		board_add(&a->board->counters[BOARD_FAILOVER_REFUSED], 1);
		board_add(&a->board->refused[verdict.refusal], 1);
	} else if (!verdict.repeated)
		agent_count_move(a, &before, verdict.account->id);
	keep_reasons(a, r, &verdict, now);
	answer_write_again(a, &verdict, now, ack);
	board_observe_decision(a->board, (uint64_t)(clock_monotonic_ns() - begin));
}

void agent_answer_probe(struct agent *a, const struct question *q, struct spoe_ack *ack)
{
	struct decide_verdict verdict;
	int64_t now = timekeeper_now(a);

	if (!a->snapshot) {
		answer_write_refusal(REFUSAL_AGENT_UNAVAILABLE, ack);
		return;
	}
	decide_probe(a->snapshot, &a->state, &q->request, q->account, now, &verdict);
	answer_write(a, &verdict, now, ack);
}

void agent_hear_head(struct agent *a, const struct question *q, struct spoe_ack *ack)
{
	struct statefile_lease *lease = lease_find(&a->leases, q->request.id);
	const struct result_answer answer = {
		.status = (unsigned)q->status, .termination = "--", .limits = q->limits};

	if (lease && a->snapshot && q->request.fault == REFUSAL_NONE) {
		agent_settle(a, lease, &answer);
		judge_head(a, lease, (unsigned)q->status, q->limits);
	}
	answer_write_nothing(ack);
}

void agent_answer_waiter(struct agent *a, const struct decide_request *r, struct decide_verdict *v,
	int64_t now_ms, struct spoe_ack *ack)
{
	keep_reasons(a, r, v, now_ms);
	answer_write_client(r, ack);
	answer_write(a, v, now_ms, ack);
	answer_write_tunnel(r, v, ack);
}
