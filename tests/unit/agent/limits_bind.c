/* Conversations in the model: where they are bound, when they move, and when they are pinned. */
#include "limits_view.h"

#define PATIENCE_MS 60000

static bool is_live(const struct limits_model *m, const struct limits_binding *b)
{
	return b->account && m->now_ms - b->used_ms < LIMITS_TTL_MS;
}

static struct limits_binding *binding_of(
	struct limits_model *m, uint32_t tenant, uint32_t pool, uint32_t conversation)
{
	return &m->bindings[tenant][pool][conversation];
}

void limits_look_at_binding(struct limits_model *m, struct limits_view *v)
{
	uint32_t pool = v->pool->id - 1;
	bool hard = v->q->asked.hard;
	bool keeps = v->pool->sticky != SNAPSHOT_STICKY_FREE && m->world.has_bound_state[pool];

	v->binding = binding_of(m, v->tenant->id - 1, pool, v->q->asked.conversation);
	if (!v->q->asked.conversation)
		return;
	v->is_live = is_live(m, v->binding);
	bool pinned = v->is_live && v->binding->pinned;
	bool answered = (v->is_live && v->binding->answered) || hard;
	v->stays = pinned || (answered && v->pool->sticky == SNAPSHOT_STICKY_HARD);
	v->waits = !v->stays && v->is_live && answered && keeps;
	if (v->is_live &&
		(v->pool->strategy == SNAPSHOT_STRATEGY_STICKY || hard || v->stays || keeps))
		v->bound = v->binding->account;
}

/* The end of the last full window of the account; 0 = only its slots are taken. */
static int64_t full_until(const struct limits_model *m, struct limits_subject *s)
{
	int64_t until = 0;

	for (int w = 0; w < USAGE_WINDOW_COUNT; w++) {
		if (s->limits[w] && limits_count(m, s, (enum usage_window)w) >= s->limits[w])
			until = window_reset_ms((enum usage_window)w, m->now_ms);
	}
	return until;
}

bool limits_is_stuck(const struct limits_model *m, const struct limits_view *v, uint32_t gen)
{
	uint32_t account = v->bound - 1;

	if (!v->bound || v->usable[account] || v->stays || !v->waits)
		return v->bound && !v->usable[account] && v->stays;
	if (m->world.first_gen[account] > gen)
		return true; /* HAProxy does not know its egress yet */
	struct limits_subject *s =
		limits_subject((struct limits_model *)(uintptr_t)m, USAGE_ACCOUNT, account);
	return full_until(m, s) - m->now_ms <= PATIENCE_MS;
}

void limits_bind(struct limits_model *m, const struct limits_view *v, uint32_t account)
{
	struct limits_request *q = v->q;

	q->kept = (v->stays || v->waits) && (!v->bound || v->bound == account);
	q->from = v->is_live ? v->binding->account : 0;
	q->unsettled = q->asked.conversation &&
		!(v->is_live && v->binding->answered && v->binding->account == account);
	if (!q->asked.conversation)
		return;
	if (!v->is_live)
		*v->binding = (struct limits_binding){.account = account};
	v->binding->used_ms = m->now_ms;
}

/* --- answers --- */

static struct statefile_lease *lease_of(struct limits_model *m, const struct limits_request *q)
{
	uint8_t id[16];

	limits_id(q->n, id);
	return lease_find(&m->tables.leases, id);
}

static struct limits_binding *binding_of_lease(
	struct limits_model *m, const struct limits_request *q, const struct statefile_lease *lease)
{
	return binding_of(m, lease->tenant - 1, lease->pool - 1, q->asked.conversation);
}

static bool check(struct limits_model *m, const struct limits_request *q,
	const struct statefile_lease *lease, const struct limits_binding *b)
{
	struct binding_key key = {lease->conversation, lease->tenant, m->now_ms, LIMITS_TTL_MS};
	struct binding found = binding_find(&m->tables.bindings, &key);

	if (!q->asked.conversation || !is_live(m, b))
		return true;
	if (found.account != b->account || found.answered != b->answered ||
		found.pinned != b->pinned)
		return limits_fail(m, "request %u: its conversation is bound to %u, expected %u",
			q->n, found.account, b->account);
	return true;
}

bool limits_answer(struct limits_model *m, struct limits_request *q)
{
	struct statefile_lease *lease = lease_of(m, q);
	uint32_t account = q->account + 1;

	if (!q->at_haproxy || !q->leased || !lease)
		return true;
	struct limits_binding *b = binding_of_lease(m, q, lease);
	bool moved = false;
	if (q->unsettled) {
		bool live = is_live(m, b);
		bool own = live && b->account == account;
		bool taken = live && !own && b->answered && (b->account != q->from || b->pinned);
		moved = live && !own && b->answered && !taken;
		if (!own && !taken)
			*b = (struct limits_binding){
				.account = account, .before = moved ? q->from : 0};
		if (!taken) {
			b->answered = true;
			b->used_ms = m->now_ms;
		}
		q->unsettled = false;
	}
	m->rebound += moved;
	if (decide_answered(&m->world.snapshot, &m->tables.state, lease, m->now_ms) != moved)
		return limits_fail(
			m, "request %u: moved its conversation: expected %d", q->n, moved);
	return check(m, q, lease, b);
}

bool limits_be_foreign(struct limits_model *m, struct limits_request *q)
{
	struct statefile_lease *lease = lease_of(m, q);
	uint32_t account = q->account + 1;

	if (!q->at_haproxy || !q->leased || !lease)
		return true;
	struct limits_binding *b = binding_of_lease(m, q, lease);
	bool live = is_live(m, b);
	uint32_t to = q->from != account ? q->from : 0;
	if (!to && live && b->account == account)
		to = b->before;
	bool silent = live && b->account == to && !b->answered;
	bool pins = q->asked.conversation && to && !silent && !(live && b->pinned);
	if (pins && live && b->account == to)
		b->pinned = true;
	else if (pins)
		*b = (struct limits_binding){
			.account = to, .used_ms = m->now_ms, .answered = true, .pinned = true};
	m->pinned += pins;
	if (decide_foreign(&m->world.snapshot, &m->tables.state, lease, m->now_ms) != pins)
		return limits_fail(
			m, "request %u: pinned its conversation: expected %d", q->n, pins);
	return check(m, q, lease, b);
}
