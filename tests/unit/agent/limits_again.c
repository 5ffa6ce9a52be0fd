/* A further attempt in the model: which account it may get, and the counts and slots after it. */
#include "limits_view.h"

#define REPEAT_MS 2500 /* within this time, the same question means the same attempt */

static bool was_tried(const struct limits_request *q, uint32_t account_id)
{
	for (int i = 0; i < STATEFILE_ATTEMPTS; i++) {
		if (q->tried[i] == account_id)
			return true;
	}
	return account_id == q->account + 1;
}

/* How many accounts remain for it; whether others only have to wait. */
static uint32_t leave_others(
	const struct limits_model *m, struct limits_view *v, uint32_t gen, bool *ret_limited)
{
	uint32_t left = 0;
	bool stays = v->q->kept;

	*ret_limited = false;
	if (!v->q->leased || v->q->attempt >= m->world.attempts)
		return 0;
	for (uint32_t i = 0; i < LIMITS_ACCOUNTS; i++) {
		bool fits = m->world.pool_of[i] + 1 == v->pool->id && m->world.first_gen[i] <= gen;
		bool other = fits && !stays && !was_tried(v->q, i + 1);
		*ret_limited |= other && !v->usable[i];
		v->usable[i] = v->usable[i] && other;
		left += v->usable[i];
	}
	return left;
}

/* The attempt was never sent: it no longer counts in windows that have not ended since. */
static void take_back(struct limits_subject *from, int64_t begun_ms)
{
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++) {
		enum usage_window kind = (enum usage_window)w;
		struct statefile_window *window =
			limits_window(from, kind, window_number(kind, begun_ms));
		if (window && window->count)
			window->count--;
	}
}

static bool move(struct limits_model *m, struct limits_request *q, uint32_t to, bool unsent)
{
	struct limits_subject *from = limits_subject(m, USAGE_ACCOUNT, q->account);
	struct limits_subject *next = limits_subject(m, USAGE_ACCOUNT, to);

	if (unsent)
		take_back(from, q->attempted_ms);
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++) {
		if (!limits_count_window(m, next, (enum usage_window)w))
			return false;
	}
	from->held--;
	next->held++;
	if (next->slots && next->held > next->slots)
		return limits_fail(
			m, "account %u: %u of %u slots", to + 1, next->held, next->slots);
	q->tried[q->attempt - 1] = q->account + 1;
	q->attempt++;
	q->account = to;
	q->again_ms = q->attempted_ms = m->now_ms;
	q->unsettled = q->asked.conversation != 0;
	m->failed_over++;
	m->failed_unsent += unsent;
	return limits_check_subject(m, from) && limits_check_subject(m, next);
}

static bool check_move(struct limits_model *m, struct limits_view *v, uint32_t left,
	const struct decide_verdict *verdict)
{
	bool unsent = !v->q->alt;
	uint32_t to = verdict->account->id - 1;

	if (verdict->failed.account != v->q->account + 1 ||
		(verdict->failed.cause == DECIDE_CAUSE_CONNECT) != unsent)
		return limits_fail(m, "request %u: another reason", v->q->n);
	if (!left || !v->usable[to])
		return limits_fail(m, "request %u may not go to account %u", v->q->n, to + 1);
	if (verdict->lease->account != to + 1 || verdict->lease->attempt != v->q->attempt + 1)
		return limits_fail(m, "request %u: its lease is elsewhere", v->q->n);
	return move(m, v->q, to, unsent) && limits_check_alt(m, v, left, verdict);
}

static bool check_given_up(struct limits_model *m, const struct limits_view *v, uint32_t left,
	bool limited, enum refusal refusal)
{
	/* the account that failed is not out; slots may be free earlier */
	enum refusal expected =
		limited && refusal == REFUSAL_ACCOUNTS_LIMITED ? refusal : REFUSAL_CIRCUIT_OPEN;

	if (!v->q->leased)
		expected = REFUSAL_ACCOUNT_SWITCHED;
	else if (!v->q->alt)
		expected = REFUSAL_UPSTREAM_UNREACHABLE;
	v->q->again_ms = 0;
	m->given_up++;
	if (limits_is_full(m) && (refusal == REFUSAL_OVERLOADED || refusal == REFUSAL_NO_ACCOUNT))
		return true;
	if (left)
		return limits_fail(m, "request %u had %u accounts left", v->q->n, left);
	return refusal == expected ||
		limits_fail(m, "refused with %d, expected %d", (int)refusal, (int)expected);
}

/* The last attempt was answered and its answer lost: nothing changes. */
static bool check_repeated(struct limits_model *m, struct limits_request *q, bool is_known,
	const struct decide_verdict *verdict)
{
	bool allowed = verdict->action == DECIDE_ALLOW;
	bool full = m->tables.usages.index.used == m->tables.usages.index.count;

	m->failed_again++;
	if (!allowed)
		q->again_ms = 0;
	/* the row of its pool was reused */
	if (full && verdict->refusal == REFUSAL_NO_ACCOUNT)
		return true;
	if (allowed != is_known)
		return limits_fail(m, "request %u: repeated is %d", q->n, allowed);
	if (!allowed)
		return true;
	if (!verdict->repeated || verdict->account->id != q->account + 1 ||
		verdict->alt != q->alt || verdict->mark.attempt != q->attempt)
		return limits_fail(m, "request %u: not the same attempt", q->n);
	return limits_check_subject(m, limits_subject(m, USAGE_ACCOUNT, q->account));
}

bool limits_fail_over(struct limits_model *m, struct limits_request *q, uint32_t gen, bool repeated)
{
	struct decide_request r = {.gen = gen, .worker = 1 + q->n % 2};
	struct decide_verdict verdict;
	struct limits_view v;
	int64_t age = m->now_ms - q->again_ms;
	bool same = repeated && q->leased && q->again_ms && age >= 0 && age < REPEAT_MS;

	limits_id(q->n, r.id);
	limits_look(m, q, gen, false, &v);
	bool limited;
	uint32_t left = leave_others(m, &v, gen, &limited);
	bool forgettable = limits_is_forgettable(m, v.pool->id);
	decide_again(&m->world.snapshot, &m->tables.state, &r, repeated, m->now_ms,
		decide_mix(q->n), &verdict);
	if (q->leased)
		limits_keep_house(m, &v, &verdict, forgettable);
	if (same)
		return check_repeated(m, q, m->world.first_gen[q->account] <= gen, &verdict);
	if (verdict.action != DECIDE_ALLOW)
		return check_given_up(m, &v, left, limited, verdict.refusal);
	return check_move(m, &v, left, &verdict) && limits_check_subject(m, v.tenant_subject) &&
		limits_check_subject(m, v.key_subject);
}
