#include "agent/judge.h"

#include "agent/decide/candidate.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"
#include "common/provider.h"
#include "common/seam.h"

#define FAILURES_TO_STAY 2
#define RESULT_SHARE 16 /* each result moves the failure ratio 1/16 of the way */

/* One attempt with the rows that its result changes. Rows may be NULL: the table was full. */
struct attempt {
	const struct snapshot_account *account;
	const struct snapshot_backend *backend; /* NULL = it no longer exists */
	struct health_subject account_subject, backend_subject;
	struct statefile_health *account_row, *backend_row;
	const uint8_t *id;
	struct record_mark mark;
	int64_t now_ms;
};

/* False: the account no longer exists, or there is no snapshot yet. */
static bool attempt_find(struct agent *a, uint32_t account, uint32_t backend, const uint8_t id[16],
	const struct record_mark *mark, struct attempt *ret)
{
	*ret = (struct attempt){.id = id, .mark = *mark, .now_ms = clock_wall_ms()};
	ret->account = a->snapshot ? snapshot_account_by_id(a->snapshot, account) : NULL;
	if (!ret->account)
		return false;
	ret->account_subject = health_subject_of_account(ret->account);
	ret->account_row = health_of(&a->healths, &ret->account_subject, ret->now_ms);
	ret->backend = candidate_backend(a->snapshot, ret->account, backend);
	if (!ret->backend)
		return true;
	ret->backend_subject = health_subject_of_backend(a->snapshot, ret->backend);
	ret->backend_row = health_of(&a->healths, &ret->backend_subject, ret->now_ms);
	return true;
}

/* --- the board --- */

static void show_standing(struct agent *a, const struct statefile_health *row,
	const struct health_subject *subject, board_counter *standing, board_counter *circuit,
	board_counter *until, int64_t now_ms)
{
	struct health_look look = health_look(row, subject, &a->snapshot->head->options, now_ms);

	/* the recovery time is over, and the trial has not started */
	if (look.trial)
		look.standing = BOARD_STANDING_HALF_OPEN;
	board_set(standing, look.standing);
	board_set(until, (uint64_t)look.until_ms);
	board_set(circuit, look.trial ? CIRCUIT_HALF_OPEN : row ? row->circuit : CIRCUIT_CLOSED);
}

static void show_risk(struct agent *a, const struct snapshot_account *account, double upstream,
	struct board_account *shown, int64_t now_ms)
{
	const struct statefile_usage *row = usage_find(&a->usages, USAGE_ACCOUNT, account->id);
	struct window_clock clock;

	window_clock_set(&clock, now_ms);
	double risk =
		decide_score(&account->limits, row, usage_in_use(&a->usages, row), upstream, &clock)
			.risk;
	board_set(&shown->risk, (uint64_t)(risk * 1e6));
	board_set(&shown->used, (uint64_t)(upstream * 1e6));
}

void judge_show_account(struct agent *a, const struct snapshot_account *account, int64_t now_ms)
{
	struct board_account *shown = board_account(a->board, account->id);
	struct health_subject subject = health_subject_of_account(account);
	const struct statefile_health *row = health_find(&a->healths, &subject);

	if (!shown)
		return;
	show_standing(
		a, row, &subject, &shown->standing, &shown->circuit, &shown->until_ms, now_ms);
	show_risk(a, account, health_used(row, now_ms), shown, now_ms);
	board_set(&shown->epoch, account->epoch);
	board_set(&shown->refused_credential, row ? row->refused_credential : 0);
	board_set(&shown->last_used_ms, row ? (uint64_t)row->last_used_ms : 0);
	board_set(&shown->last_success_ms, row ? (uint64_t)row->last_success_ms : 0);
	if (board_get(&shown->standing) != BOARD_STANDING_SUSPECT)
		board_set(&shown->wants_probe_ms, 0);
}

static void show_backend(struct agent *a, const struct snapshot_backend *b, int64_t now_ms)
{
	struct health_subject subject = health_subject_of_backend(a->snapshot, b);
	struct board_backend *shown = board_backend(a->board, b->id);

	if (shown)
		show_standing(a, health_find(&a->healths, &subject), &subject, &shown->standing,
			&shown->circuit, &shown->until_ms, now_ms);
}

void judge_show_all(struct agent *a, int64_t now_ms)
{
	const struct snapshot *s = a->snapshot;

	for (uint32_t i = 0; s && i < s->counts[SNAPSHOT_ACCOUNT]; i++)
		judge_show_account(
			a, &SNAPSHOT_ROWS(s, ACCOUNT, struct snapshot_account)[i], now_ms);
	for (uint32_t i = 0; s && i < s->counts[SNAPSHOT_BACKEND]; i++)
		show_backend(a, &SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend)[i], now_ms);
	board_set(&a->board->counters[BOARD_HEALTH_FULL], a->healths.full);
}

static const char *name_of(const struct statefile_health *row)
{
	static const char *const names[CIRCUIT_COUNT] = {"closed", "half-open", "open"};

	return names[row->circuit];
}

/* Logs a changed circuit once, and shows all changes on the board. */
static void show(struct agent *a, const struct attempt *t, enum circuit before, bool wanted)
{
	const struct statefile_health *row = t->account_row;

	judge_show_account(a, t->account, t->now_ms);
	if (t->backend)
		show_backend(a, t->backend, t->now_ms);
	if (wanted)
		board_add(&a->board->counters[BOARD_HEALTH_CHANGES], 1);
	if (!row || row->circuit == before)
		return;
	log_event(row->circuit == CIRCUIT_OPEN ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		"circuit changed",
		LOG_SLICE("account", snapshot_text(a->snapshot, t->account->name)),
		LOG_STR("circuit", name_of(row)));
}

/* --- judging --- */

static uint64_t randomness(const struct agent *a, const uint8_t id[16])
{
	uint64_t n;

	memcpy(&n, id, sizeof(n));
	return decide_mix(n ^ a->random);
}

static bool is_failure(const struct result *result)
{
	switch (result->class) {
	case RESULT_BURST:
	case RESULT_WINDOW:
	case RESULT_AUTH:
	case RESULT_DENIED:
	case RESULT_OVERLOAD:
	case RESULT_SERVER:
	case RESULT_NETWORK:
		return true;
	case RESULT_SUCCESS:
	case RESULT_PAYLOAD:
	case RESULT_CLIENT:
	case RESULT_CLASS_COUNT:
		break;
	}
	return false;
}

static void note_ratio(struct agent *a, uint32_t account, const struct result *result)
{
	struct statefile_usage *row = usage_find(&a->usages, USAGE_ACCOUNT, account);
	bool neutral = result->class == RESULT_PAYLOAD || result->class == RESULT_CLIENT ||
		result->connect;

	if (!row || neutral)
		return;
	int target = is_failure(result) ? UINT16_MAX : 0;
	row->failure_ratio =
		(uint16_t)(row->failure_ratio + (target - row->failure_ratio) / RESULT_SHARE);
}

static void note_class(struct agent *a, uint32_t account, const struct result *result)
{
	struct board_account *shown = board_account(a->board, account);

	if (shown)
		board_add(&shown->results[result->class], 1);
	note_ratio(a, account, result);
}

/* Logs each unclassified status once. */
static void note_unknown(
	struct agent *a, const struct attempt *t, const struct result *result, unsigned status)
{
	unsigned bit = status < JUDGE_STATUSES ? status : 0;

	if (result->known)
		return;
	board_add(&a->board->counters[BOARD_RESULT_UNKNOWN], 1);
	if (a->unknown_seen[bit / 8] & (1u << (bit % 8)))
		return;
	a->unknown_seen[bit / 8] |= (uint8_t)(1u << (bit % 8));
	log_event(LOG_LEVEL_WARNING, "unclassified upstream response", LOG_INT("status", status),
		LOG_STR("taken_as", result_class_name(result->class)),
		LOG_SLICE("account", snapshot_text(a->snapshot, t->account->name)));
}

/* HAProxy's termination state of an answer that is not HTTP is PH. */
static void note_rubbish(struct agent *a, const struct attempt *t, const struct record *r)
{
	struct quiet *q = &a->rubbish_quiet;

	if (memcmp(r->termination, "PH", 2) != 0 || r->status != 502 ||
		!quiet_may_speak(q, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, "upstream response is not valid HTTP",
		LOG_SLICE("account", snapshot_text(a->snapshot, t->account->name)),
		LOG_SLICE("backend", r->backend), LOG_INT("suppressed", q->suppressed));
	q->suppressed = 0;
}

/* The only fault of a backend is a failed connection. */
static void judge_backend(struct agent *a, const struct attempt *t, bool connected)
{
	const struct result result = {
		.class = connected ? RESULT_SUCCESS : RESULT_NETWORK, .known = true};
	const struct health_event event = {t->id, t->mark.backend_generation, 0, &result, false};
	struct board_backend *shown = t->backend ? board_backend(a->board, t->backend->id) : NULL;

	if (shown && !connected)
		board_add(&shown->failures, 1);
	if (!t->backend_row)
		return;
	enum circuit before = t->backend_row->circuit;
	health_result(t->backend_row, &t->backend_subject, &a->snapshot->head->options, &event,
		t->now_ms, randomness(a, t->id));
	if (!connected && t->account->egresses.count > 1)
		health_avoid(t->backend_row, t->mark.backend_generation, t->now_ms,
			randomness(a, t->id));
	if (t->backend_row->circuit != before)
		log_event(connected ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "circuit changed",
			LOG_SLICE("backend", snapshot_text(a->snapshot, t->backend->name)),
			LOG_STR("circuit", name_of(t->backend_row)));
}

static void leave(const struct attempt *t)
{
	if (t->account_row)
		health_leave(t->account_row, t->id);
	if (t->backend_row)
		health_leave(t->backend_row, t->id);
}

static void judge(struct agent *a, const struct attempt *t, const struct result *result)
{
	const struct health_event event = {
		t->id, t->mark.account_generation, t->mark.credential, result, t->mark.is_probe};
	enum circuit before = t->account_row ? t->account_row->circuit : CIRCUIT_CLOSED;
	bool wanted = false;

	note_class(a, t->account->id, result);
	if (result->class == RESULT_CLIENT) {
		leave(t);
		return;
	}
	judge_backend(a, t, !result->connect);
	if (result->connect && t->account_row) {
		health_leave(t->account_row, t->id);
		health_excuse(t->account_row);
	} else if (t->account_row)
		wanted = health_result(t->account_row, &t->account_subject,
			&a->snapshot->head->options, &event, t->now_ms, randomness(a, t->id));
	show(a, t, before, wanted);
}

static const struct provider *provider_of(
	const struct agent *a, const struct snapshot_account *account)
{
	const struct snapshot_upstream *upstreams =
		SNAPSHOT_ROWS(a->snapshot, UPSTREAM, struct snapshot_upstream);

	return provider_at(upstreams[account->upstream].provider);
}

/* Backends are named b<id>-<upstream>-<egress>. */
static uint32_t backend_id(struct slice name)
{
	struct slice number;
	uint64_t id = 0;

	if (name.n < 2 || name.p[0] != 'b')
		return 0;
	name = slice_skip(name, 1);
	if (!slice_next(&name, '-', &number) || num_parse_u64(number, UINT32_MAX, &id))
		return 0;
	return (uint32_t)id;
}

static bool was_switched(const struct record *r)
{
	return slice_eq_str(r->code, refusal_row(REFUSAL_ACCOUNT_SWITCHED)->code);
}

/*
 * A single failure may have any cause, and conversations should stay on their account. After the
 * second in a row, conversations move if possible, before the client gives up.
 */
static bool keeps_failing(struct agent *a, const struct record *r, const struct attempt *t,
	const struct result *result)
{
	const struct statefile_lease *lease = lease_find(&a->leases, r->id);
	bool failed = result->class == RESULT_OVERLOAD || result->class == RESULT_SERVER ||
		(result->class == RESULT_NETWORK && !result->connect);

	return failed && lease && lease->flags & LEASE_ALT &&
		t->account_row->failures >= FAILURES_TO_STAY;
}

void judge_record(struct agent *a, const struct record *r, bool is_answer, bool was_taken)
{
	struct attempt t;
	struct result result = {.class = RESULT_NETWORK, .known = true, .connect = true};
	struct result_answer answer = {.status = r->status, .limits = r->limits};

	if (!attempt_find(a, r->account, backend_id(r->backend), r->id, &r->mark, &t))
		return;
	/* a probe has no further attempts, but HAProxy takes it back when it gets no connection */
	if (was_taken && r->mark.is_probe) {
		judge(a, &t, &result);
		return;
	}
	if (!is_answer) {
		if (!was_taken)
			leave(&t);
		return;
	}
	memcpy(answer.termination, r->termination, sizeof(answer.termination));
	result_classify(provider_of(a, t.account), &answer, t.now_ms, &result);
	note_unknown(a, &t, &result, r->status);
	note_rubbish(a, &t, r);
	judge(a, &t, &result);
	if (t.account_row && (was_switched(r) || keeps_failing(a, r, &t, &result))) {
		health_pass_over(t.account_row, t.now_ms, randomness(a, r->id));
		judge_show_account(a, t.account, t.now_ms);
	}
}

/* HAProxy answers account_switched instead: the client may retry before the record arrives. */
static bool is_switched(const struct statefile_lease *lease, unsigned status)
{
	static const unsigned statuses[] = {SEAM_SWITCH_STATUSES};

	for (size_t i = 0; lease->flags & LEASE_ALT && i < sizeof(statuses) / sizeof(statuses[0]);
		i++) {
		if (statuses[i] == status)
			return true;
	}
	return false;
}

void judge_head(
	struct agent *a, const struct statefile_lease *lease, unsigned status, struct slice limits)
{
	const struct record_mark mark = {lease->attempt, lease->account_generation,
		lease->backend_generation, lease->credential, false};
	struct result_answer answer = {.status = status, .termination = "--", .limits = limits};
	struct attempt t;
	struct result result;

	if (!attempt_find(a, lease->account, lease->backend, lease->id, &mark, &t))
		return;
	result_classify(provider_of(a, t.account), &answer, t.now_ms, &result);
	const struct health_event event = {
		t.id, mark.account_generation, mark.credential, &result, false};
	enum circuit before = t.account_row ? t.account_row->circuit : CIRCUIT_CLOSED;
	bool wanted = t.account_row &&
		health_result(t.account_row, &t.account_subject, &a->snapshot->head->options,
			&event, t.now_ms, randomness(a, t.id));
	/* the record will repeat this result and must not count again */
	if (t.account_row && result.class != RESULT_SUCCESS &&
		t.account_row->generation == mark.account_generation)
		t.account_row->generation++;
	if (t.account_row && is_switched(lease, status))
		health_pass_over(t.account_row, t.now_ms, randomness(a, t.id));
	judge_backend(a, &t, true);
	show(a, &t, before, wanted);
}

static enum board_counter_id counter_of(enum decide_cause cause)
{
	if (cause == DECIDE_CAUSE_CONNECT)
		return BOARD_FAILOVER_CONNECT;
	return cause == DECIDE_CAUSE_EGRESS ? BOARD_FAILOVER_EGRESS : BOARD_FAILOVER_RESPONSE;
}

void judge_failure(struct agent *a, const struct statefile_lease *before,
	const struct statefile_lease *now, const struct decide_failure *failure)
{
	const uint8_t *id = before->id;
	const struct record_mark mark = {before->attempt, before->account_generation,
		before->backend_generation, before->credential, false};
	struct attempt t;

	if (failure->cause == DECIDE_CAUSE_NONE)
		return;
	board_add(&a->board->counters[counter_of(failure->cause)], 1);
	if (!attempt_find(a, failure->account, failure->backend, id, &mark, &t))
		return;
	if (failure->cause == DECIDE_CAUSE_CONNECT) {
		const struct result result = {
			.class = RESULT_NETWORK, .known = true, .connect = true};
		judge(a, &t, &result);
		return;
	}
	if (failure->cause == DECIDE_CAUSE_EGRESS || !t.account_row) {
		leave(&t);
		return;
	}
	struct board_account *shown = board_account(a->board, t.account->id);
	enum circuit circuit = t.account_row->circuit;
	if (shown)
		board_set(&shown->wants_probe_ms, (uint64_t)t.now_ms);
	health_suspect(t.account_row, &a->snapshot->head->options, id, mark.account_generation,
		t.now_ms, randomness(a, id));
	/* through the same egress the next attempt has its permit under the same id */
	if (t.backend_row && now->backend != before->backend)
		health_leave(t.backend_row, id);
	show(a, &t, circuit, true);
}
