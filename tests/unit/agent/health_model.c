#include "health_model.h"

#include "agent/decide/decide.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 1800000000000
#define LAST_N 4000000000u /* requests of the final check */

bool healths_fail(struct healths_model *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->failure, sizeof(m->failure), format, args);
	va_end(args);
	return false;
}

static void id_of(uint32_t n, uint8_t id[16])
{
	memset(id, 0, 16);
	memcpy(id, &n, sizeof(n));
}

static const struct statefile_health *find_row(const struct healths_model *m, uint32_t subject)
{
	return health_find(&m->healths, &m->subjects[subject].told);
}

static struct statefile_health *make_row(struct healths_model *m, uint32_t subject)
{
	struct statefile_health *row =
		health_of(&m->healths, &m->subjects[subject].told, m->now_ms);

	if (!row)
		abort();
	return row;
}

static struct health_look look_at(const struct healths_model *m, uint32_t subject, int64_t now_ms)
{
	return health_look(find_row(m, subject), &m->subjects[subject].told, &m->rules, now_ms);
}

struct health_look healths_model_look(const struct healths_model *m, uint32_t subject)
{
	return look_at(m, subject, m->now_ms);
}

/* --- invariants --- */

static int64_t longest_ms(const struct healths_model *m)
{
	int64_t recovery = (int64_t)m->rules.health_recovery_ms;

	return recovery > HEALTHS_WINDOW_MS ? recovery : HEALTHS_WINDOW_MS;
}

/* A subject that is out comes back exactly at the time it reported. */
static bool check_until(struct healths_model *m, uint32_t subject, const struct health_look *look)
{
	if (look->standing == BOARD_STANDING_USABLE || look->standing == BOARD_STANDING_SUSPENDED)
		return look->until_ms == 0 || healths_fail(m, "until when, and for what?");
	struct health_look before = look_at(m, subject, look->until_ms - 1);
	struct health_look then = look_at(m, subject, look->until_ms);
	/* a probe is due: nobody knows when it comes */
	if (look->probe || before.probe || then.probe)
		return true;
	if (look->until_ms <= m->now_ms ||
		look->until_ms > m->now_ms + longest_ms(m) + HEALTHS_BACK_MS)
		return healths_fail(m, "subject %u: away until %lld, at %lld", subject,
			(long long)look->until_ms, (long long)m->now_ms);
	if (before.standing != look->standing || before.until_ms != look->until_ms)
		return healths_fail(
			m, "subject %u: %d does not last", subject, (int)look->standing);
	if (then.standing != BOARD_STANDING_USABLE)
		return healths_fail(m, "subject %u: %d, and then %d", subject, (int)look->standing,
			(int)then.standing);
	return true;
}

static bool check_permits(struct healths_model *m, const struct statefile_health *row)
{
	uint32_t out = 0;

	for (int i = 0; i < STATEFILE_PERMITS; i++) {
		const struct statefile_permit *p = &row->permits[i];
		out += p->until_ms > m->now_ms;
		for (int k = 0; k < i; k++) {
			if (p->until_ms && row->permits[k].until_ms &&
				memcmp(p->id, row->permits[k].id, sizeof(p->id)) == 0)
				return healths_fail(m, "a request has two permits");
		}
	}
	if (out && row->circuit != CIRCUIT_HALF_OPEN)
		return healths_fail(m, "permits of a circuit that is not half-open");
	return out <= m->rules.health_half_open || healths_fail(m, "%u permits", out);
}

/* After any event of the same epoch. */
static bool check_change(struct healths_model *m, const struct statefile_health *before,
	const struct statefile_health *row)
{
	if (before->suspended && !row->suspended)
		return healths_fail(m, "nobody resumed it");
	if (before->circuit == CIRCUIT_OPEN && row->circuit == CIRCUIT_HALF_OPEN &&
		before->open_until_ms > m->now_ms)
		return healths_fail(m, "half-open before its time");
	if (before->circuit == CIRCUIT_CLOSED && row->circuit == CIRCUIT_HALF_OPEN)
		return healths_fail(m, "half-open, and was never open");
	if (before->circuit != row->circuit && before->generation == row->generation)
		return healths_fail(m, "changed in the same generation");
	return true;
}

static bool check_subject(
	struct healths_model *m, uint32_t subject, const struct statefile_health *before)
{
	struct health_look look = healths_model_look(m, subject);
	struct health_look expected = healths_expect_look(m, subject);
	const struct statefile_health *row = find_row(m, subject);

	if (look.standing != expected.standing || look.until_ms != expected.until_ms)
		return healths_fail(m, "subject %u: %d until %lld, expected %d until %lld", subject,
			(int)look.standing, (long long)look.until_ms, (int)expected.standing,
			(long long)expected.until_ms);
	if (look.trial != expected.trial || look.watch != expected.watch ||
		look.probe != expected.probe)
		return healths_fail(m, "subject %u: a trial, watched, probed?", subject);
	if (!check_until(m, subject, &look))
		return false;
	if (!row)
		return true;
	if (before->id == row->id && before->epoch == row->epoch && !check_change(m, before, row))
		return false;
	return check_permits(m, row);
}

/* --- events --- */

static bool may_go(const struct health_look *look, enum healths_ask ask)
{
	return ask == HEALTHS_PROBE || look->standing == BOARD_STANDING_USABLE;
}

static void enter(struct healths_model *m, struct healths_request *q)
{
	struct healths_subject *s = &m->subjects[q->subject];
	struct statefile_health *row = make_row(m, q->subject);
	uint8_t id[16];

	id_of(q->n, id);
	health_enter(row, &m->rules, id, m->now_ms);
	healths_expect_enter(m, q->subject, q->n);
	q->generation = row->generation;
	q->credential = s->told.credential;
	q->era = s->era;
}

static bool ask(struct healths_model *m, struct healths_request *q, const struct healths_event *e)
{
	struct health_look look = healths_model_look(m, e->subject);

	if (q->n == e->n)
		return true;
	m->refused++;
	if (!may_go(&look, e->ask))
		return true;
	m->refused--;
	m->let_out++;
	*q = (struct healths_request){
		.n = e->n, .subject = e->subject, .is_probe = e->ask == HEALTHS_PROBE};
	enter(m, q);
	return true;
}

/* Results that count whatever the generation. */
static bool is_untouched(const struct statefile_health *before, const struct statefile_health *row)
{
	return before->circuit == row->circuit && before->failures == row->failures &&
		before->rungs == row->rungs && before->suspended == row->suspended &&
		before->cool_until_ms == row->cool_until_ms && before->suspects == row->suspects;
}

static bool tell(struct healths_model *m, const struct healths_request *q,
	const struct healths_event *e, const struct health_event *event,
	struct statefile_health *row)
{
	const struct health_subject *told = &m->subjects[q->subject].told;

	if (told->kind == HEALTH_BACKEND) {
		health_connect(row, &m->rules, event, e->class != RESULT_NETWORK, m->now_ms);
		return false;
	}
	if (!q->is_probe)
		return health_answer(row, told, event, e->random % 4 != 0, m->now_ms);
	return health_probe(row, told, &m->rules, event, e->random % 2 == 0, m->now_ms, e->random);
}

static bool take_result(
	struct healths_model *m, struct healths_request *q, const struct healths_event *e)
{
	struct healths_subject *s = &m->subjects[q->subject];
	struct statefile_health *row = make_row(m, q->subject);
	struct result result = {.class = e->class,
		.until_ms = m->now_ms + e->ms,
		.has_used = e->random % 3 == 0,
		.used = (uint16_t)e->random,
		.used_until_ms = m->now_ms + e->ms};
	uint8_t id[16];
	const struct health_event event = {.id = id,
		.generation = q->generation,
		.credential = q->credential,
		.result = &result};
	struct statefile_health before;
	bool late = q->generation != row->generation;

	id_of(q->n, id);
	memcpy(&before, row, sizeof(before));
	if (late != (q->era != s->era))
		return healths_fail(m, "request %u: late is %d", q->n, late);
	bool wanted = tell(m, q, e, &event, row);
	if (late && (wanted || !is_untouched(&before, row)))
		return healths_fail(m, "request %u is late and changed something", q->n);
	if (wanted != healths_expect_result(m, q, e))
		return healths_fail(m, "request %u: control is wanted: %d", q->n, wanted);
	m->wanted += wanted;
	double used = s->used_until_ms > m->now_ms ? (double)s->used / UINT16_MAX : 0;
	double got = health_used(row, m->now_ms);
	return (got >= used && got <= used) || healths_fail(m, "used %f, expected %f", got, used);
}

static bool let_go(
	struct healths_model *m, struct healths_request *q, const struct healths_event *e)
{
	struct statefile_health *row = make_row(m, q->subject);
	uint8_t id[16];

	id_of(q->n, id);
	if (e->type == HEALTHS_LEAVE) {
		health_leave(row, id);
		healths_expect_leave(&m->subjects[q->subject], q->n);
	} else {
		health_avoid(row, q->generation, m->now_ms, e->random);
		healths_expect_avoid(m, q, e);
	}
	return true;
}

static bool change_account(struct healths_model *m, const struct healths_event *e)
{
	struct statefile_health *row = make_row(m, e->subject);
	struct healths_subject *s = &m->subjects[e->subject];

	if (e->type == HEALTHS_REST) {
		health_rest(row, row->generation, m->now_ms + e->ms);
		healths_expect_rest(s, m->now_ms + e->ms);
	} else if (e->type == HEALTHS_WAKE) {
		health_wake(row);
		healths_expect_wake(s);
	} else {
		health_convict(row, &m->rules, m->now_ms);
		healths_expect_convict(m, s);
	}
	return true;
}

static bool crash(struct healths_model *m)
{
	uint32_t used = m->healths.index.used;

	healths_fini(&m->healths);
	if (healths_init(&m->healths, m->rows, HEALTHS_SUBJECTS))
		abort();
	return m->healths.index.used == used || healths_fail(m, "rows were lost");
}

static bool pass_time(struct healths_model *m, int64_t ms)
{
	m->now_ms += ms;
	if (m->now_ms < m->latest_ms - HEALTHS_BACK_MS)
		m->now_ms = m->latest_ms - HEALTHS_BACK_MS;
	if (m->now_ms > m->latest_ms)
		m->latest_ms = m->now_ms;
	return true;
}

static bool apply(struct healths_model *m, const struct healths_event *e)
{
	struct healths_request *q = &m->requests[e->n % HEALTHS_REQUESTS];
	struct healths_subject *s = &m->subjects[e->subject];
	bool known = e->n && q->n == e->n;

	switch (e->type) {
	case HEALTHS_ASK:
		return ask(m, q, e);
	case HEALTHS_ASK_TOO:
		if (known)
			enter(m, q);
		return true;
	case HEALTHS_RESULT:
		return !known || take_result(m, q, e);
	case HEALTHS_LEAVE:
	case HEALTHS_AVOID:
		return !known || let_go(m, q, e);
	case HEALTHS_REST:
	case HEALTHS_WAKE:
	case HEALTHS_CONVICT:
		return s->told.kind == HEALTH_BACKEND || change_account(m, e);
	case HEALTHS_TIME:
		return pass_time(m, e->ms);
	case HEALTHS_EPOCH:
		healths_expect_epoch(s);
		return true;
	case HEALTHS_CREDENTIAL:
		s->told.credential++;
		return true;
	case HEALTHS_CRASH:
		return crash(m);
	case HEALTHS_EVENT_TYPES:
		break;
	}
	return healths_fail(m, "event type %d", (int)e->type);
}

bool healths_model_apply(struct healths_model *m, const struct healths_event *e)
{
	struct statefile_health before[HEALTHS_SUBJECTS] = {0};

	for (uint32_t i = 0; i < HEALTHS_SUBJECTS; i++) {
		const struct statefile_health *row = find_row(m, i);
		if (row)
			memcpy(&before[i], row, sizeof(before[i]));
	}
	if (!apply(m, e))
		return false;
	for (uint32_t i = 0; i < HEALTHS_SUBJECTS; i++) {
		if (!check_subject(m, i, &before[i]))
			return false;
	}
	return true;
}

bool healths_model_finish(struct healths_model *m)
{
	m->now_ms = m->latest_ms + longest_ms(m) + HEALTH_PROBE_WAIT_MS;
	for (uint32_t i = 0; i < HEALTHS_SUBJECTS; i++) {
		struct healths_event e = {.n = LAST_N + i, .subject = i};
		struct health_look look = healths_model_look(m, i);
		if (look.standing == BOARD_STANDING_SUSPENDED) {
			e.type = HEALTHS_EPOCH;
			if (!healths_model_apply(m, &e))
				return false;
		} else if (look.standing != BOARD_STANDING_USABLE)
			return healths_fail(m, "subject %u is stuck", i);
		e.type = HEALTHS_ASK;
		if (!healths_model_apply(m, &e))
			return false;
		e.type = HEALTHS_RESULT;
		e.class = RESULT_SUCCESS;
		if (!healths_model_apply(m, &e))
			return false;
		look = healths_model_look(m, i);
		if (look.standing != BOARD_STANDING_USABLE || look.trial || look.watch)
			return healths_fail(m, "subject %u is not well after a success", i);
	}
	return true;
}

void healths_model_init(struct healths_model *m, uint64_t seed)
{
	uint64_t r = decide_mix(seed);

	memset(m, 0, sizeof(*m));
	m->now_ms = m->latest_ms = START_MS;
	m->rules = (struct snapshot_options){.health_threshold = (uint32_t)(r % 5),
		.health_half_open = 1 + (uint32_t)(r / 5 % STATEFILE_PERMITS),
		.health_recovery_ms = r / 20 % 3 ? 30000 : 500};
	for (uint32_t i = 0; i < HEALTHS_SUBJECTS; i++)
		m->subjects[i].told =
			(struct health_subject){.kind = i == 3 ? HEALTH_BACKEND : HEALTH_ACCOUNT,
				.id = i == 3 ? 1 : i + 1,
				.epoch = i,
				.credential = i == 3 ? 0 : 1,
				.refreshable = i == 1,
				.probed = i < 2};
	if (healths_init(&m->healths, m->rows, HEALTHS_SUBJECTS))
		abort();
}

void healths_model_fini(struct healths_model *m)
{
	healths_fini(&m->healths);
}
