/* The naive part of the model: the rules of health.h and docs/HEALTH.md, written a second time. */
#include "health_model.h"

#include <string.h>

static uint32_t trials_out(const struct healths_subject *s, int64_t now_ms, int64_t *ret_first)
{
	uint32_t count = 0;

	*ret_first = INT64_MAX;
	for (int i = 0; i < STATEFILE_PERMITS; i++) {
		if (s->trials[i].until_ms <= now_ms)
			continue;
		count++;
		if (s->trials[i].until_ms < *ret_first)
			*ret_first = s->trials[i].until_ms;
	}
	return count;
}

/* The reason that lasts longest is the standing. */
static void keep_away(struct health_look *look, enum board_standing standing, int64_t until_ms)
{
	if (until_ms > look->until_ms)
		*look = (struct health_look){.standing = standing, .until_ms = until_ms};
}

static void look_at_circuit(
	const struct healths_subject *s, const struct healths_model *m, struct health_look *look)
{
	int64_t first;

	if (s->circuit == CIRCUIT_OPEN && s->open_until_ms > m->now_ms)
		keep_away(look, BOARD_STANDING_OPEN, s->open_until_ms);
	else if (s->circuit == CIRCUIT_HALF_OPEN &&
		trials_out(s, m->now_ms, &first) >= m->rules.health_half_open)
		keep_away(look, BOARD_STANDING_HALF_OPEN, first);
}

static enum board_standing standing_of(const struct healths_subject *s)
{
	if (s->why == RESULT_BURST)
		return BOARD_STANDING_BURST;
	if (s->why == RESULT_NETWORK)
		return BOARD_STANDING_SUSPECT;
	return s->why == RESULT_AUTH && s->rungs == 0 ? BOARD_STANDING_LOGIN
						      : BOARD_STANDING_COOLING;
}

struct health_look healths_expect_look(const struct healths_model *m, uint32_t subject)
{
	const struct healths_subject *s = &m->subjects[subject];
	struct health_look look = {.standing = BOARD_STANDING_USABLE};
	bool renewed = s->why == RESULT_AUTH && s->refused != s->told.credential;

	if (s->suspended)
		return (struct health_look){.standing = BOARD_STANDING_SUSPENDED};
	look_at_circuit(s, m, &look);
	bool barred = look.standing != BOARD_STANDING_USABLE;
	if (s->window_until_ms > m->now_ms)
		keep_away(&look, BOARD_STANDING_WINDOW, s->window_until_ms);
	if (s->cool_until_ms > m->now_ms && !renewed)
		keep_away(&look, standing_of(s), s->cool_until_ms);
	look.barred = barred;
	if (look.standing != BOARD_STANDING_USABLE)
		return look;
	look.trial = s->circuit != CIRCUIT_CLOSED;
	look.watch = look.trial || s->cool_until_ms || s->window_until_ms;
	return look;
}

/* --- circuits --- */

static void change_circuit(struct healths_subject *s, enum circuit circuit)
{
	s->circuit = circuit;
	s->failures = 0;
	s->era++;
	memset(s->trials, 0, sizeof(s->trials));
}

static void open_circuit(struct healths_model *m, struct healths_subject *s)
{
	change_circuit(s, CIRCUIT_OPEN);
	s->open_until_ms = m->now_ms + (int64_t)m->rules.health_recovery_ms;
	m->opened++;
}

void healths_expect_leave(struct healths_subject *s, uint32_t n)
{
	for (int i = 0; i < STATEFILE_PERMITS; i++) {
		if (s->trials[i].n == n)
			s->trials[i] = (struct healths_trial){0, 0};
	}
}

void healths_expect_enter(struct healths_model *m, uint32_t subject, uint32_t n)
{
	struct healths_subject *s = &m->subjects[subject];
	int64_t first;
	int i = 0;

	if (s->circuit == CIRCUIT_CLOSED ||
		(s->circuit == CIRCUIT_OPEN && s->open_until_ms > m->now_ms))
		return;
	if (s->circuit == CIRCUIT_OPEN)
		change_circuit(s, CIRCUIT_HALF_OPEN);
	healths_expect_leave(s, n);
	if (trials_out(s, m->now_ms, &first) >= m->rules.health_half_open)
		return;
	while (s->trials[i].until_ms > m->now_ms)
		i++;
	s->trials[i] = (struct healths_trial){n, m->now_ms + HEALTH_PERMIT_MS};
	m->trials++;
}

/* --- results --- */

static int64_t rest(uint32_t times, int64_t least, int64_t most, uint32_t random)
{
	int64_t ms = least;

	for (uint32_t i = 1; i < times && ms < most; i++)
		ms *= 2;
	if (ms > most)
		ms = most;
	return ms + random % (ms / 4 + 1);
}

static void cool(struct healths_subject *s, enum result_class why, int64_t until_ms)
{
	s->era++;
	if (s->why == RESULT_DENIED && s->cool_until_ms > until_ms)
		return;
	s->why = why;
	s->cool_until_ms = until_ms;
}

static void close_circuit(struct healths_model *m, struct healths_subject *s)
{
	if (s->circuit == CIRCUIT_CLOSED)
		return;
	change_circuit(s, CIRCUIT_CLOSED);
	m->closed++;
}

static void succeed(struct healths_model *m, struct healths_subject *s)
{
	s->failures = s->rungs = s->suspects = s->bursts = s->refused = 0;
	s->cool_until_ms = s->window_until_ms = 0;
	close_circuit(m, s);
}

/* On probation: one more failure opens the circuit. */
static void succeed_with_probe(struct healths_model *m, struct healths_subject *s)
{
	bool was_closed = s->circuit == CIRCUIT_CLOSED;

	s->rungs = s->refused = 0;
	if (s->why != RESULT_BURST)
		s->cool_until_ms = 0;
	close_circuit(m, s);
	if (!was_closed && m->rules.health_threshold)
		s->failures = (uint32_t)m->rules.health_threshold - 1;
}

static void find_fault(struct healths_subject *s, bool is_probe)
{
	if (s->why == RESULT_NETWORK)
		s->cool_until_ms = 0;
	if (!is_probe)
		s->suspects = 0;
}

static void fail(struct healths_model *m, struct healths_subject *s)
{
	if (s->circuit == CIRCUIT_OPEN)
		return;
	s->failures++;
	if (s->circuit == CIRCUIT_HALF_OPEN || s->failures == m->rules.health_threshold)
		open_circuit(m, s);
}

static bool climb(struct healths_model *m, struct healths_subject *s, enum result_class why)
{
	s->rungs++;
	if (s->rungs == 2)
		cool(s, why, m->now_ms + HEALTH_LADDER_2_MS);
	else if (s->rungs > 2)
		cool(s, why, m->now_ms + HEALTH_LADDER_3_MS);
	if (s->rungs < HEALTH_LADDER_SUSPENDED)
		return false;
	m->suspended += !s->suspended;
	s->suspended = true;
	s->era++;
	return true;
}

static bool refuse_credential(
	struct healths_model *m, struct healths_subject *s, const struct healths_request *q)
{
	bool is_first = s->refused == 0;

	if (q->credential != s->told.credential)
		return false;
	s->refused = q->credential;
	if (s->told.refreshable && is_first) {
		cool(s, RESULT_AUTH, m->now_ms + HEALTH_LOGIN_MS);
		return true;
	}
	return climb(m, s, RESULT_AUTH) || s->told.refreshable;
}

static void burst(struct healths_model *m, struct healths_subject *s, const struct healths_event *e)
{
	s->bursts++;
	int64_t ms = rest(s->bursts, HEALTH_BURST_MIN_MS, HEALTH_BURST_MAX_MS, e->random);

	cool(s, RESULT_BURST, m->now_ms + (e->ms > 0 ? e->ms : ms));
}

static bool judge(struct healths_model *m, struct healths_subject *s,
	const struct healths_request *q, const struct healths_event *e)
{
	switch (e->class) {
	case RESULT_SUCCESS:
		if (q->is_probe)
			succeed_with_probe(m, s);
		else
			succeed(m, s);
		break;
	case RESULT_BURST:
		burst(m, s, e);
		break;
	case RESULT_AUTH:
		return refuse_credential(m, s, q);
	case RESULT_DENIED:
		return (!q->is_probe || s->suspects || s->rungs) && climb(m, s, RESULT_DENIED);
	case RESULT_OVERLOAD:
	case RESULT_SERVER:
	case RESULT_NETWORK:
		fail(m, s);
		break;
	case RESULT_PAYLOAD:
		find_fault(s, q->is_probe);
		break;
	case RESULT_WINDOW:
	case RESULT_CLIENT:
	case RESULT_CLASS_COUNT:
		break;
	}
	return false;
}

bool healths_expect_result(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e)
{
	struct healths_subject *s = &m->subjects[q->subject];
	bool wanted = false;

	healths_expect_leave(s, q->n);
	if (e->random % 3 == 0) {
		s->used = (uint16_t)e->random;
		s->used_until_ms = m->now_ms + e->ms;
	}
	if (q->era == s->era)
		wanted = judge(m, s, q, e);
	else
		m->late++;
	if (e->class == RESULT_WINDOW && e->ms > 0 && m->now_ms + e->ms > s->window_until_ms) {
		s->window_until_ms = m->now_ms + e->ms;
		s->era++;
	}
	return wanted;
}

static void suspect(
	struct healths_model *m, struct healths_subject *s, const struct healths_event *e)
{
	s->suspects++;
	cool(s, RESULT_NETWORK,
		m->now_ms +
			rest(s->suspects, HEALTH_SUSPECT_MIN_MS, HEALTH_SUSPECT_MAX_MS, e->random));
}

void healths_expect_suspect(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e)
{
	struct healths_subject *s = &m->subjects[q->subject];

	healths_expect_leave(s, q->n);
	if (q->era != s->era)
		return;
	if (s->circuit == CIRCUIT_HALF_OPEN)
		open_circuit(m, s);
	else
		suspect(m, s, e);
}

void healths_expect_avoid(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e)
{
	struct healths_subject *s = &m->subjects[q->subject];

	if (q->era == s->era && s->circuit == CIRCUIT_CLOSED)
		suspect(m, s, e);
}

void healths_expect_excuse(struct healths_subject *s)
{
	if (s->why != RESULT_NETWORK || s->cool_until_ms == 0)
		return;
	s->cool_until_ms = 0;
	s->suspects = 0;
	s->era++;
}

void healths_expect_pass_over(
	struct healths_model *m, struct healths_subject *s, const struct healths_event *e)
{
	int64_t until = m->now_ms + rest(1, HEALTH_PASS_OVER_MS, HEALTH_PASS_OVER_MS, e->random);

	if (s->circuit == CIRCUIT_CLOSED && s->cool_until_ms < until)
		cool(s, RESULT_NETWORK, until);
}

void healths_expect_epoch(struct healths_subject *s)
{
	struct health_subject told = s->told;
	uint64_t era = s->era;

	told.epoch++;
	*s = (struct healths_subject){.told = told, .era = era + 1};
}
