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

static bool waits_for_probe(const struct healths_subject *s, const struct healths_model *m)
{
	bool open = s->circuit == CIRCUIT_OPEN && s->open_until_ms > m->now_ms;

	return s->circuit != CIRCUIT_CLOSED && !open && s->told.probed &&
		m->now_ms < s->open_until_ms + 15000;
}

static void look_at_circuit(
	const struct healths_subject *s, const struct healths_model *m, struct health_look *look)
{
	int64_t first;

	if (s->circuit == CIRCUIT_OPEN && s->open_until_ms > m->now_ms)
		keep_away(look, BOARD_STANDING_OPEN, s->open_until_ms);
	else if (waits_for_probe(s, m))
		keep_away(look, BOARD_STANDING_HALF_OPEN, m->now_ms + 1000);
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
	return s->why == RESULT_AUTH && s->rungs < 2 && s->told.refreshable
		? BOARD_STANDING_LOGIN
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
	if (s->window_until_ms > m->now_ms)
		keep_away(&look, BOARD_STANDING_WINDOW, s->window_until_ms);
	if (s->cool_until_ms > m->now_ms && !renewed)
		keep_away(&look, standing_of(s), s->cool_until_ms);
	look.probe = waits_for_probe(s, m);
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

static void open_circuit(struct healths_model *m, struct healths_subject *s, int64_t ms)
{
	change_circuit(s, CIRCUIT_OPEN);
	s->open_until_ms = m->now_ms + ms;
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

static void cool(struct healths_subject *s, enum result_class why, int64_t until_ms)
{
	s->era++;
	s->why = why;
	s->cool_until_ms = until_ms;
}

static void close_circuit(struct healths_model *m, struct healths_subject *s)
{
	s->failures = s->rungs = s->suspects = s->refused = 0;
	s->success_ms = m->now_ms;
	if (s->circuit == CIRCUIT_CLOSED)
		return;
	change_circuit(s, CIRCUIT_CLOSED);
	m->closed++;
}

static void connect_backend(struct healths_model *m, struct healths_subject *s, bool connected)
{
	int64_t recovery = (int64_t)m->rules.health_recovery_ms;

	if (connected) {
		close_circuit(m, s);
		s->cool_until_ms = 0;
		return;
	}
	s->failures++;
	if (s->circuit == CIRCUIT_HALF_OPEN ||
		(m->rules.health_threshold && s->failures >= m->rules.health_threshold))
		open_circuit(m, s, recovery);
}

static bool refuse_credential(struct healths_subject *s, const struct healths_request *q)
{
	if (q->credential != s->told.credential)
		return false;
	s->refused = q->credential;
	return s->told.refreshable;
}

static bool answer_client(struct healths_model *m, struct healths_subject *s,
	const struct healths_request *q, const struct healths_event *e)
{
	enum result_class class = e->class;

	if (class == RESULT_SUCCESS) {
		close_circuit(m, s);
		s->cool_until_ms = s->window_until_ms = 0;
		s->ignored = s->refused_once;
	}
	if (class == RESULT_AUTH && e->random % 4 != 0)
		return refuse_credential(s, q);
	return false;
}

static bool climb(struct healths_model *m, struct healths_subject *s, enum result_class why)
{
	static const int64_t minutes[] = {0, 5, 5, 30, 30};

	s->rungs++;
	cool(s, why, m->now_ms + (s->rungs < 5 ? minutes[s->rungs] : 30) * 60000);
	if (s->rungs < 4)
		return false;
	m->suspended += !s->suspended;
	s->suspended = true;
	return true;
}

static bool answer_probe(struct healths_model *m, struct healths_subject *s,
	const struct healths_request *q, const struct healths_event *e)
{
	int64_t half = (int64_t)m->rules.health_recovery_ms / 2;

	if (e->class == RESULT_SUCCESS) {
		uint32_t refused = s->refused;
		close_circuit(m, s);
		s->refused = refused;
		s->refused_once = s->ignored = false;
		if (s->why != RESULT_BURST)
			s->cool_until_ms = 0;
	} else if (e->class == RESULT_AUTH) {
		if (q->credential != s->told.credential)
			return false;
		bool renewable = refuse_credential(s, q);
		return climb(m, s, RESULT_AUTH) || renewable;
	} else if (e->class == RESULT_DENIED) {
		return (e->random % 2 == 0 || s->rungs) && climb(m, s, RESULT_DENIED);
	} else if (e->class == RESULT_BURST || e->class == RESULT_OVERLOAD ||
		e->class == RESULT_SERVER || e->class == RESULT_NETWORK) {
		open_circuit(m, s, half + e->random % (half + 1));
	}
	return false;
}

static bool judge(struct healths_model *m, struct healths_subject *s,
	const struct healths_request *q, const struct healths_event *e)
{
	bool refused = e->class == RESULT_AUTH || e->class == RESULT_DENIED;

	if (s->told.kind == HEALTH_BACKEND) {
		connect_backend(m, s, e->class != RESULT_NETWORK);
		return false;
	}
	if (!q->is_probe)
		return answer_client(m, s, q, e);
	return !(refused && s->ignored) && answer_probe(m, s, q, e);
}

bool healths_expect_result(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e)
{
	struct healths_subject *s = &m->subjects[q->subject];
	bool wanted = false;

	healths_expect_leave(s, q->n);
	if (q->era == s->era)
		wanted = judge(m, s, q, e);
	else
		m->late++;
	if (s->told.kind == HEALTH_BACKEND)
		return wanted;
	if (q->is_probe && (e->class == RESULT_AUTH || e->class == RESULT_DENIED))
		s->refused_once = true;
	if (e->random % 3 == 0) {
		s->used = (uint16_t)e->random;
		s->used_until_ms = m->now_ms + e->ms;
	}
	if (e->class == RESULT_WINDOW && e->ms > 0 && m->now_ms + e->ms > s->window_until_ms) {
		s->window_until_ms = m->now_ms + e->ms;
		s->era++;
	}
	return wanted;
}

void healths_expect_avoid(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e)
{
	struct healths_subject *s = &m->subjects[q->subject];
	int64_t ms = 1000;

	if (q->era != s->era || s->circuit != CIRCUIT_CLOSED)
		return;
	s->suspects++;
	for (uint32_t i = 1; i < s->suspects && ms < 30000; i++)
		ms *= 2;
	if (ms > 30000)
		ms = 30000;
	cool(s, RESULT_NETWORK, m->now_ms + ms + e->random % (ms / 4 + 1));
}

void healths_expect_rest(struct healths_subject *s, int64_t until_ms)
{
	if (until_ms > s->cool_until_ms)
		cool(s, RESULT_BURST, until_ms);
}

void healths_expect_wake(struct healths_subject *s)
{
	if (s->why == RESULT_BURST && s->cool_until_ms)
		cool(s, RESULT_BURST, 0);
}

void healths_expect_convict(struct healths_model *m, struct healths_subject *s)
{
	if (s->circuit == CIRCUIT_CLOSED)
		open_circuit(m, s, (int64_t)m->rules.health_recovery_ms);
}

void healths_expect_epoch(struct healths_subject *s)
{
	struct health_subject told = s->told;
	uint64_t era = s->era;

	told.epoch++;
	*s = (struct healths_subject){.told = told, .era = era + 1};
}
