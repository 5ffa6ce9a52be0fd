#include "limits_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define START_MS 1798761600000 /* 2027-01-01 */

bool limits_fail(struct limits_model *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->failure, sizeof(m->failure), format, args);
	va_end(args);
	return false;
}

void limits_id(uint32_t n, uint8_t id[16])
{
	uint64_t half = decide_mix(n + 1);

	memcpy(id, &half, 8);
	memcpy(id + 8, &n, 4);
	memset(id + 12, 0, 4);
}

/* --- subjects --- */

struct limits_subject *limits_subject(struct limits_model *m, enum usage_kind kind, uint32_t index)
{
	static const uint32_t first[USAGE_KIND_COUNT] = {
		[USAGE_KEY] = LIMITS_TENANTS,
		[USAGE_ACCOUNT] = LIMITS_TENANTS + LIMITS_KEYS,
	};

	return &m->subjects[first[kind] + index];
}

void limits_subjects(
	struct limits_model *m, const struct limits_request *q, struct limits_subject *ret[3])
{
	ret[0] = limits_subject(m, USAGE_TENANT, q->tenant);
	ret[1] = limits_subject(m, USAGE_KEY, limits_family(q->asked.key));
	ret[2] = limits_subject(m, USAGE_ACCOUNT, q->account);
}

static void make_subject(struct limits_model *m, enum usage_kind kind, uint32_t i, bool shadow,
	const struct snapshot_limits *limits)
{
	struct limits_subject *s = limits_subject(m, kind, i);

	*s = (struct limits_subject){
		.kind = kind,
		.id = i + 1,
		.slots = limits->concurrency,
		.shadow = shadow,
		.counted = kind == USAGE_ACCOUNT || window_has_limit(limits),
	};
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++)
		s->limits[w] = window_limit(limits, (enum usage_window)w);
}

static void make_subjects(struct limits_model *m)
{
	const struct limits_world *w = &m->world;

	for (uint32_t i = 0; i < LIMITS_TENANTS; i++)
		make_subject(m, USAGE_TENANT, i, w->tenants[i].flags & SNAPSHOT_TENANT_SHADOW,
			&w->tenants[i].limits);
	for (uint32_t i = 0; i < LIMITS_KEYS; i++)
		make_subject(m, USAGE_KEY, i,
			w->tenants[w->keys[i].tenant_id - 1].flags & SNAPSHOT_TENANT_SHADOW,
			&w->keys[i].limits);
	for (uint32_t i = 0; i < LIMITS_ACCOUNTS; i++)
		make_subject(m, USAGE_ACCOUNT, i, false, &w->accounts[i].limits);
}

/* The clock is set ahead and back: two seconds, minutes and hours are remembered, three days and months. */
static uint32_t memory_of(enum usage_window w)
{
	return w < USAGE_DAY ? 2 : LIMITS_MEMORY;
}

struct statefile_window *limits_window(
	struct limits_subject *s, enum usage_window w, uint32_t number)
{
	for (uint32_t i = 0; i < memory_of(w); i++) {
		if (s->windows[w][i].number == number)
			return &s->windows[w][i];
	}
	return NULL;
}

struct statefile_window *limits_window_enter(
	struct limits_subject *s, enum usage_window w, uint32_t number)
{
	struct statefile_window *all = s->windows[w];
	struct statefile_window *known = limits_window(s, w, number);
	struct statefile_window entered = known ? *known : (struct statefile_window){number, 0};
	size_t before = known ? (size_t)(known - all) : memory_of(w) - 1;

	memmove(all + 1, all, before * sizeof(*all));
	all[0] = entered;
	return all;
}

uint32_t limits_newest_month(const struct limits_subject *s)
{
	uint32_t newest = 0;

	for (uint32_t i = 0; i < LIMITS_MEMORY; i++) {
		if (s->windows[USAGE_MONTH][i].number > newest)
			newest = s->windows[USAGE_MONTH][i].number;
	}
	return newest;
}

uint32_t limits_count(const struct limits_model *m, struct limits_subject *s, enum usage_window w)
{
	const struct statefile_window *window = limits_window(s, w, m->clock.numbers[w]);

	return window ? window->count : 0;
}

bool limits_check_subject(struct limits_model *m, struct limits_subject *s)
{
	const struct statefile_usage *row = usage_find(&m->tables.usages, s->kind, s->id);
	uint32_t in_use = slots_in_use(&m->tables.slots, s->kind, s->id);

	if (in_use != s->held)
		return limits_fail(m, "kind %d id %u: %u slots in use, %u leases", (int)s->kind,
			s->id, in_use, s->held);
	if (row && !s->counted)
		return limits_fail(m, "kind %d id %u: a row without limits", (int)s->kind, s->id);
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		uint32_t expected = limits_count(m, s, w);
		uint32_t count = row ? window_clock_count(&m->clock, row, w) : 0;
		if (count != expected)
			return limits_fail(m, "kind %d id %u: %u counted in a %s, %u admitted",
				(int)s->kind, s->id, count, window_name(w), expected);
	}
	return true;
}

/* --- requests --- */

void limits_settle(struct limits_model *m, struct limits_request *q)
{
	bool lives = q->leased || q->at_haproxy;

	if (lives && !q->live) {
		m->live[m->live_count++] = (uint32_t)(q - m->requests);
		q->live = m->live_count;
	} else if (!lives && q->live) {
		uint32_t last = m->live[--m->live_count];
		m->live[q->live - 1] = last;
		m->requests[last].live = q->live;
		q->live = 0;
	}
}

void limits_release(struct limits_model *m, struct limits_request *q, bool never_sent)
{
	struct limits_subject *subjects[3];

	limits_subjects(m, q, subjects);
	never_sent = never_sent && q->attempt == 1; /* else an earlier attempt may have been sent */
	for (int i = 0; i < 3; i++) {
		subjects[i]->held--;
		bool back = never_sent && subjects[i]->counted;
		for (int w = 0; back && w < USAGE_WINDOW_COUNT; w++) {
			enum usage_window kind = (enum usage_window)w;
			struct statefile_window *window = limits_window(
				subjects[i], kind, window_number(kind, q->counted_ms));
			/* a row that was forgotten meanwhile counts anew */
			if (window && window->count)
				window->count--;
		}
	}
	q->leased = false;
	m->leased--;
	m->given_back += never_sent;
}

static bool check_request_subjects(struct limits_model *m, const struct limits_request *q)
{
	struct limits_subject *subjects[3];

	limits_subjects(m, q, subjects);
	return limits_check_subject(m, subjects[0]) && limits_check_subject(m, subjects[1]) &&
		limits_check_subject(m, subjects[2]);
}

/* As events.c does it. */
static bool take_record(struct limits_model *m, struct limits_request *q, bool sent)
{
	uint8_t id[16];

	limits_id(q->n, id);
	struct statefile_lease *lease = lease_find(&m->tables.leases, id);
	if (!lease != !q->leased)
		return limits_fail(
			m, "request %u: lease %d, expected %d", q->n, lease != NULL, q->leased);
	if (!lease)
		return true;
	if (lease->key != q->asked.key + 1 || lease->account != q->account + 1)
		return limits_fail(m, "request %u: a lease of others", q->n);
	decide_release(&m->tables.state, lease, !sent);
	limits_release(m, q, !sent);
	limits_settle(m, q);
	return check_request_subjects(m, q);
}

static bool end(struct limits_model *m, struct limits_request *q, enum limits_event_type type)
{
	if (q->at_haproxy == (type == LIMITS_LATE))
		return true;
	q->at_haproxy = false;
	limits_settle(m, q);
	if (type == LIMITS_LOST)
		return true;
	bool ok = take_record(m, q, type != LIMITS_UNSENT);
	if (type == LIMITS_LATE)
		limits_uncover(m, q);
	return ok;
}

bool limits_is_full(const struct limits_model *m)
{
	const struct idindex *rows = &m->tables.usages.index;

	return rows->used >= usages_for_keys(rows->count);
}

/* --- everything --- */

bool limits_model_check(struct limits_model *m)
{
	uint8_t id[16];

	if (m->tables.leases.used != m->leased)
		return limits_fail(m, "%u leases, expected %u", m->tables.leases.used, m->leased);
	for (uint32_t i = 0; i < LIMITS_SUBJECTS; i++) {
		if (!limits_check_subject(m, &m->subjects[i]))
			return false;
	}
	for (uint32_t i = 0; i < m->live_count; i++) {
		const struct limits_request *q = &m->requests[m->live[i]];
		limits_id(q->n, id);
		if (!lease_find(&m->tables.leases, id) != !q->leased)
			return limits_fail(m, "request %u: its lease is not as expected", q->n);
	}
	return true;
}

static void start_healer(struct limits_model *m)
{
	if (healer_init(&m->healer, LIMITS_LEASES, &m->workers))
		limits_fail(m, "no memory");
}

static bool crash(struct limits_model *m)
{
	tables_stop(&m->tables);
	healer_fini(&m->healer);
	tables_start(&m->tables);
	start_healer(m);
	return limits_model_check(m);
}

static bool pass_time(struct limits_model *m, int64_t ms)
{
	m->now_ms += ms;
	if (m->now_ms < m->latest_ms - LIMITS_BACK_MS)
		m->now_ms = m->latest_ms - LIMITS_BACK_MS;
	if (m->now_ms > m->latest_ms)
		m->latest_ms = m->now_ms;
	window_clock_set(&m->clock, m->now_ms);
	return true;
}

static void shift(int64_t *time_ms, int64_t step_ms)
{
	if (*time_ms)
		*time_ms += step_ms;
}

static void shift_model(struct limits_model *m, int64_t step_ms)
{
	struct limits_binding *bindings = &m->bindings[0][0][0];

	for (size_t i = 0; i < sizeof(m->bindings) / sizeof(*bindings); i++)
		shift(&bindings[i].used_ms, step_ms);
	for (size_t i = 0; i < LIMITS_REQUESTS; i++) {
		shift(&m->requests[i].decided_ms, step_ms);
		shift(&m->requests[i].again_ms, step_ms);
	}
}

/* As agent/timekeeper.c does it. */
static void shift_tables(struct tables *t, int64_t step_ms, int64_t now_ms)
{
	healths_shift(&t->healths, step_ms, now_ms);
	leases_shift(&t->leases, step_ms, now_ms);
	bindings_shift(&t->bindings, step_ms, now_ms);
	evidence_shift(&t->evidence, step_ms, now_ms);
	budgets_shift(&t->budgets, step_ms, now_ms);
}

static bool step(struct limits_model *m, int64_t ms)
{
	m->now_ms += ms;
	m->latest_ms += ms;
	m->wrong_ms += ms;
	window_clock_set(&m->clock, m->now_ms);
	shift_tables(&m->tables, ms, m->latest_ms);
	shift_model(m, ms);
	return true;
}

/* --- events --- */

static bool ask(struct limits_model *m, const struct limits_event *e)
{
	struct limits_request *q = &m->requests[e->n % LIMITS_REQUESTS];

	if (q->live)
		return true;
	*q = (struct limits_request){.n = e->n, .asked = *e, .attempt = 1};
	return limits_decide(m, q, e->gen);
}

bool limits_model_apply(struct limits_model *m, const struct limits_event *e)
{
	struct limits_request *q = &m->requests[e->n % LIMITS_REQUESTS];
	bool known = q->n == e->n && q->asked.gen;

	switch (e->type) {
	case LIMITS_DECIDE:
		return ask(m, e);
	case LIMITS_AGAIN:
		/* an ended request has no further questions */
		return !known || (q->decided_ms && !q->at_haproxy) || limits_decide(m, q, e->gen);
	case LIMITS_FAILED:
	case LIMITS_FAILED_2:
		return !known || !q->at_haproxy ||
			limits_fail_over(m, q, e->gen, e->type == LIMITS_FAILED_2);
	case LIMITS_ANSWERED:
		return !known || limits_answer(m, q);
	case LIMITS_FOREIGN:
		return !known || limits_be_foreign(m, q);
	case LIMITS_END:
	case LIMITS_UNSENT:
	case LIMITS_LOST:
	case LIMITS_LATE:
		return !known || end(m, q, e->type);
	case LIMITS_TIME:
		return pass_time(m, e->ms);
	case LIMITS_STEP:
		return step(m, e->ms);
	case LIMITS_HEAL:
		return limits_heal(m);
	case LIMITS_EXPIRE:
		return limits_expire(m);
	case LIMITS_CRASH:
		return crash(m);
	case LIMITS_EVENT_TYPES:
		break;
	}
	return limits_fail(m, "event type %d", (int)e->type);
}

bool limits_model_finish(struct limits_model *m)
{
	while (m->live_count) {
		uint32_t before = m->live_count;
		for (uint32_t i = m->live_count; i-- > 0;) {
			struct limits_request *q = &m->requests[m->live[i]];
			if (q->at_haproxy && !end(m, q, LIMITS_END))
				return false;
		}
		/* the first reading may come too soon; two must agree */
		for (int reading = 0; reading < 3; reading++) {
			pass_time(m, 1000);
			if (!limits_heal(m))
				return false;
		}
		if (m->live_count == before)
			return limits_fail(m, "%u requests are never released", before);
	}
	return m->leased == 0 && limits_model_check(m);
}

void limits_model_init(struct limits_model *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	limits_world_init(&m->world, seed);
	tables_init(&m->tables,
		(struct tables_size){m->world.usage_rows, LIMITS_LEASES, LIMITS_BINDINGS});
	start_healer(m);
	make_subjects(m);
	m->now_ms = m->latest_ms = START_MS - limits_below(&m->world.rng, 5000);
	window_clock_set(&m->clock, m->now_ms);
}

void limits_model_fini(struct limits_model *m)
{
	healer_fini(&m->healer);
	tables_fini(&m->tables);
	limits_world_fini(&m->world);
}
