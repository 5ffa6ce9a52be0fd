/* A decision in the model: the answers it may give, and the counts after it. */
#include "limits_view.h"

#include <string.h>

static bool has_window_full(const struct limits_model *m, struct limits_subject *s)
{
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++) {
		uint32_t limit = s->limits[w];
		if (limit && limits_count(m, s, (enum usage_window)w) >= limit)
			return true;
	}
	return false;
}

static bool has_slots_full(struct limits_subject *s)
{
	return s->slots && s->held >= s->slots;
}

static void look_at_accounts(struct limits_model *m, struct limits_view *v, uint32_t gen)
{
	for (uint32_t i = 0; i < LIMITS_ACCOUNTS; i++) {
		struct limits_subject *s = limits_subject(m, USAGE_ACCOUNT, i);
		if (m->world.pool_of[i] + 1 != v->pool->id)
			continue;
		if (m->world.first_gen[i] > gen) {
			v->unknown_count++;
			continue;
		}
		v->fixed_count++;
		v->usable[i] = v->repeated || (!has_window_full(m, s) && !has_slots_full(s));
		v->usable_count += v->usable[i];
	}
}

void limits_look(struct limits_model *m, struct limits_request *q, uint32_t gen, bool repeated,
	struct limits_view *v)
{
	*v = (struct limits_view){.q = q, .repeated = repeated};
	v->key = &m->world.keys[q->asked.key];
	v->tenant = &m->world.tenants[v->key->tenant_id - 1];
	v->pool = &m->world.pools[(v->key->pool_id ? v->key->pool_id : v->tenant->pool_id) - 1];
	v->tenant_subject = limits_subject(m, USAGE_TENANT, v->tenant->id - 1);
	v->key_subject = limits_subject(m, USAGE_KEY, limits_family(q->asked.key));
	if (!v->tenant_subject->shadow) {
		v->window_full =
			has_window_full(m, v->tenant_subject) || has_window_full(m, v->key_subject);
		v->slots_full = has_slots_full(v->tenant_subject) || has_slots_full(v->key_subject);
	}
	limits_look_at_binding(m, v);
	look_at_accounts(m, v, gen);
	v->stuck = !repeated && limits_is_stuck(m, v, gen);
}

static bool is_usable(const struct limits_view *v, uint32_t account_id)
{
	return account_id && v->usable[account_id - 1];
}

/* --- refused --- */

static enum refusal expected_refusal(const struct limits_view *v, enum refusal got)
{
	bool rate = got == REFUSAL_RATE_LIMITED || got == REFUSAL_QUOTA_EXCEEDED;

	if (v->repeated && v->usable[v->q->account])
		return REFUSAL_NONE;
	if (v->repeated)
		return got == REFUSAL_ACCOUNT_SWITCHED ? got : REFUSAL_CIRCUIT_OPEN;
	if (v->window_full)
		return rate ? got : REFUSAL_RATE_LIMITED;
	if (v->slots_full)
		return REFUSAL_CONCURRENCY_LIMITED;
	if (v->usable_count && !v->stuck)
		return REFUSAL_NONE;
	if (v->stuck && got == REFUSAL_NO_ACCOUNT)
		return got;
	/* an account that this HAProxy process does not know yet may be the first */
	if (v->unknown_count && got == REFUSAL_CIRCUIT_OPEN)
		return got;
	if (v->fixed_count && got == REFUSAL_ACCOUNTS_EXHAUSTED)
		return got;
	return v->fixed_count ? REFUSAL_ACCOUNTS_LIMITED : REFUSAL_NO_ACCOUNT;
}

static bool check_refused(struct limits_model *m, const struct limits_view *v, enum refusal refusal)
{
	const struct leases *leases = &m->tables.leases;
	bool full = leases->used == leases->count || limits_is_full(m);

	m->refused++;
	m->stuck += v->stuck && v->usable_count;
	if (refusal == REFUSAL_OVERLOADED && full) {
		m->full++;
		return true;
	}
	enum refusal expected = expected_refusal(v, refusal);
	if (refusal != expected)
		return limits_fail(m, "refused with %d, expected %d", (int)refusal, (int)expected);
	if (!v->repeated && !v->window_full && !v->slots_full && v->is_live &&
		(v->stays || v->waits))
		v->binding->used_ms = m->now_ms;
	if (!v->repeated)
		return true;
	limits_release(m, v->q, true);
	v->q->at_haproxy = false;
	return true;
}

/* --- admitted --- */

/* Its key prefers other accounts for a while (evidence.h). */
static bool shuns(const struct limits_model *m, const struct limits_view *v, uint32_t account)
{
	const struct evidence_requester who = {v->tenant->id, decide_family(v->key)};

	return evidence_shuns(evidence_find(&m->tables.evidence, who, account), m->now_ms);
}

/* One that is at least as good for its key. */
static bool has_other(const struct limits_model *m, const struct limits_view *v, uint32_t account)
{
	for (uint32_t id = 1; id <= LIMITS_ACCOUNTS; id++) {
		if (id != account && is_usable(v, id) && (!shuns(m, v, id) || shuns(m, v, account)))
			return true;
	}
	return false;
}

static bool check_choice(
	struct limits_model *m, const struct limits_view *v, const struct decide_verdict *verdict)
{
	uint32_t account = verdict->account->id;
	uint32_t max = verdict->account->max_consecutive;
	uint32_t pool = v->pool->id - 1;

	if (!is_usable(v, account))
		return limits_fail(m, "account %u was taken and is not usable", account);
	if (is_usable(v, v->bound) && account != v->bound && !shuns(m, v, v->bound))
		return limits_fail(m, "moved from account %u to %u", v->bound, account);
	if (verdict->bound != (v->bound == account))
		return limits_fail(
			m, "bound to %u, taken %u, said %d", v->bound, account, verdict->bound);
	if (!verdict->bound && max && m->consecutive[pool].last == account &&
		m->consecutive[pool].count >= max && has_other(m, v, account))
		return limits_fail(m, "account %u was taken more than %u times", account, max);
	m->moved += verdict->moved;
	m->kept += verdict->bound;
	return true;
}

static void count_choice(
	struct limits_model *m, const struct limits_view *v, const struct decide_verdict *verdict)
{
	uint32_t pool = v->pool->id - 1;

	if (verdict->bound)
		return;
	if (m->consecutive[pool].last != verdict->account->id)
		m->consecutive[pool].count = 0;
	m->consecutive[pool].last = verdict->account->id;
	m->consecutive[pool].count++;
}

bool limits_count_window(struct limits_model *m, struct limits_subject *s, enum usage_window w)
{
	struct statefile_window *window = limits_window_enter(s, w, m->clock.numbers[w]);
	uint32_t limit = s->limits[w];

	window->count++;
	if (s->shadow || limit == 0 || window->count <= limit)
		return true;
	return limits_fail(m, "kind %d id %u: %u admitted in a %s of %u", (int)s->kind, s->id,
		window->count, window_name(w), limit);
}

static bool count_admitted(struct limits_model *m, struct limits_request *q)
{
	struct limits_subject *subjects[3];

	limits_subjects(m, q, subjects);
	for (int i = 0; i < 3; i++) {
		struct limits_subject *s = subjects[i];
		for (int w = 0; s->counted && w < USAGE_WINDOW_COUNT; w++) {
			if (!limits_count_window(m, s, (enum usage_window)w))
				return false;
		}
		s->held++;
		if (!s->shadow && s->slots && s->held > s->slots)
			return limits_fail(m, "kind %d id %u: %u of %u slots", (int)s->kind, s->id,
				s->held, s->slots);
	}
	m->leased++;
	m->admitted++;
	q->leased = true;
	q->uncovered = false;
	q->decided_ms = q->counted_ms = q->attempted_ms = m->now_ms;
	return true;
}

bool limits_check_alt(struct limits_model *m, const struct limits_view *v, uint32_t usable,
	const struct decide_verdict *verdict)
{
	bool could = usable > 1 && v->q->attempt < m->world.attempts && !v->q->kept;

	m->spent += verdict->spent;
	if ((verdict->alt && verdict->spent) || could != (verdict->alt || verdict->spent))
		return limits_fail(m, "request %u: another account could: %d, said %d, spent %d",
			v->q->n, could, verdict->alt, verdict->spent);
	v->q->alt = verdict->alt;
	return true;
}

static bool take_allowed(
	struct limits_model *m, const struct limits_view *v, const struct decide_verdict *verdict)
{
	struct limits_request *q = v->q;

	if (v->repeated != verdict->repeated)
		return limits_fail(m, "request %u: repeated is %d", q->n, verdict->repeated);
	if (v->repeated && verdict->account->id != q->account + 1)
		return limits_fail(m, "request %u has another account now", q->n);
	if (!v->repeated && expected_refusal(v, REFUSAL_NONE) != REFUSAL_NONE)
		return limits_fail(m, "request %u should have been refused with %d", q->n,
			(int)expected_refusal(v, REFUSAL_NONE));
	q->at_haproxy = true;
	m->repeated += v->repeated;
	if (v->repeated)
		return verdict->alt == q->alt ||
			limits_fail(m, "request %u: told otherwise now", q->n);
	q->attempt = 1;
	q->again_ms = 0;
	memset(q->tried, 0, sizeof(q->tried));
	if (!check_choice(m, v, verdict))
		return false;
	limits_bind(m, v, verdict->account->id);
	if (!limits_check_alt(m, v, v->usable_count, verdict))
		return false;
	count_choice(m, v, verdict);
	q->tenant = v->tenant->id - 1;
	q->account = verdict->account->id - 1;
	return count_admitted(m, q);
}

/* A pool's row may be reused for another pool if it was not used this month. */
bool limits_is_forgettable(const struct limits_model *m, uint32_t pool_id)
{
	const struct statefile_usage *row = usage_find(&m->tables.usages, USAGE_POOL, pool_id);

	return !row || window_newest(row, USAGE_MONTH) < m->clock.numbers[USAGE_MONTH];
}

static void forget_consecutive(struct limits_model *m, uint32_t pool_id)
{
	const struct statefile_usage *row = usage_find(&m->tables.usages, USAGE_POOL, pool_id);

	if (!row || row->consecutive <= 1)
		m->consecutive[pool_id - 1].last = m->consecutive[pool_id - 1].count = 0;
}

/*
 * A question in a new month moves the row to that month, admitted or not; the row stays there if
 * the clock is set back.
 */
static void reach_month(struct limits_model *m, struct limits_subject *s)
{
	const struct statefile_usage *row = usage_find(&m->tables.usages, s->kind, s->id);
	uint32_t month = m->clock.numbers[USAGE_MONTH];

	if (row && window_find(row, USAGE_MONTH, month) && limits_newest_month(s) < month)
		limits_window_enter(s, USAGE_MONTH, month);
}

/* Its row has gone, or is a new one. */
static bool is_forgotten(const struct limits_model *m, const struct limits_subject *s)
{
	const struct statefile_usage *row = usage_find(&m->tables.usages, s->kind, s->id);

	for (uint32_t i = 0; row && i < LIMITS_MEMORY; i++) {
		uint32_t number = s->windows[USAGE_MONTH][i].number;
		if (number && window_find(row, USAGE_MONTH, number))
			return false;
	}
	return true;
}

/* Rows of an earlier month may be reused when the table is full. */
static void forget_old_months(struct limits_model *m)
{
	uint32_t month = m->clock.numbers[USAGE_MONTH];

	for (uint32_t i = 0; limits_is_full(m) && i < LIMITS_SUBJECTS; i++) {
		struct limits_subject *s = &m->subjects[i];
		if (limits_newest_month(s) < month && is_forgotten(m, s))
			memset(s->windows, 0, sizeof(s->windows));
	}
}

void limits_keep_house(struct limits_model *m, const struct limits_view *v,
	const struct decide_verdict *verdict, bool forgettable)
{
	forget_old_months(m);
	if (verdict->account)
		reach_month(m, limits_subject(m, USAGE_ACCOUNT, verdict->account->id - 1));
	if (forgettable)
		forget_consecutive(m, v->pool->id);
}

bool limits_decide(struct limits_model *m, struct limits_request *q, uint32_t gen)
{
	static const char names[LIMITS_CONVERSATIONS][2] = {"", "a", "b", "c", "d", "e", "f", "g"};
	struct decide_request r = {
		.gen = gen,
		.worker = 1 + q->n % 2,
		.hard = q->asked.hard,
		.key_lines = 1,
		.key = slice_from_str(m->world.key_texts[q->asked.key]),
		.sticky = slice_from_str(names[q->asked.conversation]),
		.method = SLICE_LITERAL("POST"),
		.path = SLICE_LITERAL("/v1/responses"),
	};
	struct decide_verdict verdict;
	struct limits_view v;

	limits_id(q->n, r.id);
	limits_look(m, q, gen, q->leased, &v);
	bool forgettable = limits_is_forgettable(m, v.pool->id);
	decide(&m->world.snapshot, &m->tables.state, &r, m->now_ms, decide_mix(q->n), &verdict);
	limits_keep_house(m, &v, &verdict, forgettable);
	reach_month(m, v.tenant_subject);
	reach_month(m, v.key_subject);
	bool ok = verdict.action == DECIDE_ALLOW ? take_allowed(m, &v, &verdict)
						 : check_refused(m, &v, verdict.refusal);
	limits_settle(m, q);
	return ok && limits_check_subject(m, v.tenant_subject) &&
		limits_check_subject(m, v.key_subject) &&
		(verdict.action != DECIDE_ALLOW ||
			limits_check_subject(m, limits_subject(m, USAGE_ACCOUNT, q->account)));
}
