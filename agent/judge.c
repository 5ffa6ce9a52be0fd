#include "agent/judge.h"

#include "agent/decide/candidate.h"
#include "agent/decide/charge.h"
#include "agent/timekeeper.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"
#include "common/provider.h"
#include "common/seam.h"

#define GIVEN_UP_EARLY_MS 500 /* the two sides of a probe measure a little differently */
#define RESULT_SHARE 16	      /* each result moves the failure ratio 1/16 of the way */

/* One attempt with the rows that its result changes. */
struct attempt {
	struct charge charge;
	const struct snapshot_backend *backend; /* NULL = it no longer exists */
	struct health_subject backend_subject;
	struct statefile_health *backend_row; /* NULL = the table was full */
};

static uint64_t randomness(const struct agent *a, const uint8_t id[16])
{
	uint64_t n;

	memcpy(&n, id, sizeof(n));
	return decide_mix(n ^ a->random);
}

/* False: the account no longer exists, or there is no snapshot yet. */
static bool attempt_find(struct agent *a, uint32_t account, uint32_t backend, const uint8_t id[16],
	const struct record_mark *mark, struct attempt *ret)
{
	int64_t now = timekeeper_now(a);

	ret->backend = NULL;
	ret->backend_row = NULL;
	if (!a->snapshot ||
		!charge_begin(a->snapshot, &a->state, account, id, mark, now, randomness(a, id),
			&ret->charge))
		return false;
	ret->backend = candidate_backend(a->snapshot, ret->charge.account, backend);
	if (!ret->backend)
		return true;
	ret->backend_subject = health_subject_of_backend(a->snapshot, ret->backend);
	ret->backend_row = health_of(&a->healths, &ret->backend_subject, now);
	return true;
}

/* --- the board --- */

static void show_standing(struct agent *a, const struct statefile_health *row,
	const struct health_subject *subject, board_counter *standing, board_counter *circuit,
	board_counter *until, int64_t now_ms)
{
	struct health_look look = health_look(row, subject, &a->snapshot->head->options, now_ms);
	bool due = look.trial || look.probe;

	/* the recovery time is over, and the trial has not started */
	if (look.trial)
		look.standing = BOARD_STANDING_HALF_OPEN;
	if (look.standing == BOARD_STANDING_HALF_OPEN && due)
		look.until_ms = 0;
	board_set(standing, look.standing);
	board_set(until, (uint64_t)look.until_ms);
	board_set(circuit, due ? CIRCUIT_HALF_OPEN : row ? row->circuit : CIRCUIT_CLOSED);
}

static void show_risk(struct agent *a, const struct snapshot_account *account, double upstream,
	struct board_account *shown, int64_t now_ms)
{
	const struct statefile_usage *row = usage_find(&a->usages, USAGE_ACCOUNT, account->id);
	struct window_clock clock;

	window_clock_set(&clock, now_ms);
	uint32_t in_use = slots_in_use(&a->slots, USAGE_ACCOUNT, account->id);
	double risk = decide_score(&account->limits, row, in_use, upstream, &clock).risk;
	board_set(&shown->risk, (uint64_t)(risk * 1e6));
	board_set(&shown->used, (uint64_t)(upstream * 1e6));
}

static void show_evidence(struct agent *a, const struct snapshot_account *account,
	struct board_account *shown, int64_t now_ms)
{
	static const struct evidence_account none;
	const struct evidence_account *m = charge_memory(a->snapshot, &a->state, account);

	if (!m)
		m = &none;
	board_set(&shown->wants_probe_class, m->wanted_class);
	board_set(&shown->wants_probe_ms, (uint64_t)m->wanted_ms);
	board_set(&shown->probe_class, m->probe_class);
	board_set(&shown->probe_ms, (uint64_t)m->probe_ms);
	board_set(&shown->witnesses, evidence_witnesses(m, now_ms));
	board_set(&shown->brakes, m->brakes);
}

void judge_show_account(struct agent *a, const struct snapshot_account *account, int64_t now_ms)
{
	struct board_account *shown = board_account(a->board, account->id);
	struct health_subject subject = health_subject_of_account(a->snapshot, account);
	const struct statefile_health *row = health_find(&a->healths, &subject);

	if (!shown)
		return;
	show_standing(
		a, row, &subject, &shown->standing, &shown->circuit, &shown->until_ms, now_ms);
	board_time_outage(a->board, shown, clock_monotonic_ms());
	show_risk(a, account, health_used(row, now_ms), shown, now_ms);
	board_set(&shown->epoch, account->epoch);
	board_set(&shown->refused_credential, row ? row->refused_credential : 0);
	board_set(&shown->last_used_ms, row ? (uint64_t)row->last_used_ms : 0);
	board_set(&shown->last_success_ms, row ? (uint64_t)row->last_success_ms : 0);
	board_set(&shown->window_ms, (uint64_t)health_window_ms(row, now_ms));
	show_evidence(a, account, shown, now_ms);
}

static void show_backend(struct agent *a, const struct snapshot_backend *b, int64_t now_ms)
{
	struct health_subject subject = health_subject_of_backend(a->snapshot, b);
	struct board_backend *shown = board_backend(a->board, b->id);

	if (shown)
		show_standing(a, health_find(&a->healths, &subject), &subject, &shown->standing,
			&shown->circuit, &shown->until_ms, now_ms);
}

/* NULL: the account has no row, so nothing is known of it. */
static struct evidence_account *find_memory(void *context, uint32_t id)
{
	struct agent *a = context;
	const struct snapshot_account *account = snapshot_account_by_id(a->snapshot, id);

	return account ? charge_memory(a->snapshot, &a->state, account) : NULL;
}

void judge_show_all(struct agent *a, int64_t now_ms)
{
	const struct snapshot *s = a->snapshot;

	if (s)
		evidence_count_brakes(&a->evidence, find_memory, a, now_ms);
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

static enum circuit circuit_of(const struct attempt *t)
{
	return t->charge.row ? (enum circuit)t->charge.row->circuit : CIRCUIT_CLOSED;
}

/* Two keys testified against these accounts. */
static void show_convicted(struct agent *a, const struct charge *c)
{
	for (uint32_t i = 0; i < c->convicted_count; i++) {
		judge_show_account(a, c->convicted[i], c->now_ms);
		board_add(&a->board->counters[BOARD_HEALTH_CHANGES], 1);
		log_event(LOG_LEVEL_WARNING, "circuit changed",
			LOG_SLICE("account", snapshot_text(a->snapshot, c->convicted[i]->name)),
			LOG_STR("circuit", "open"), LOG_STR("reason", "two witnesses"));
	}
}

/* Logs a changed circuit once, and shows all changes on the board. */
static void show(struct agent *a, const struct attempt *t, enum circuit before)
{
	enum circuit now = circuit_of(t);

	judge_show_account(a, t->charge.account, t->charge.now_ms);
	show_convicted(a, &t->charge);
	if (t->backend)
		show_backend(a, t->backend, t->charge.now_ms);
	if (t->charge.wanted)
		board_add(&a->board->counters[BOARD_HEALTH_CHANGES], 1);
	if (now == before)
		return;
	a->room_is_stale = true;
	log_event(now == CIRCUIT_OPEN ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "circuit changed",
		LOG_SLICE("account", snapshot_text(a->snapshot, t->charge.account->name)),
		LOG_STR("circuit", name_of(t->charge.row)));
}

/* --- judging --- */

/* Refusals of clients' requests are no sign of a risk. */
static void note_ratio(struct agent *a, const struct attempt *t, const struct result *result)
{
	struct statefile_usage *row = usage_find(&a->usages, USAGE_ACCOUNT, t->charge.account->id);
	bool refused = result->class == RESULT_AUTH || result->class == RESULT_DENIED;
	bool fails = charge_is_failure(result->class) && !result->connect;

	if (!row || (!fails && result->class != RESULT_SUCCESS) ||
		(refused && !t->charge.mark.is_probe))
		return;
	int target = fails ? UINT16_MAX : 0;
	usage_set_ratio(
		row, (uint16_t)(row->failure_ratio + (target - row->failure_ratio) / RESULT_SHARE));
}

static void note_class(struct agent *a, const struct attempt *t, const struct result *result)
{
	struct board_account *shown = board_account(a->board, t->charge.account->id);

	if (shown)
		board_add(&shown->results[result->class], 1);
	note_ratio(a, t, result);
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
		LOG_SLICE("account", snapshot_text(a->snapshot, t->charge.account->name)));
}

/* HAProxy's termination state of an answer that is not HTTP is PH. */
static void note_rubbish(struct agent *a, const struct attempt *t, const struct record *r)
{
	struct quiet *q = &a->rubbish_quiet;

	if (memcmp(r->termination, "PH", 2) != 0 || r->status != 502 ||
		!quiet_may_speak(q, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, "upstream response is not valid HTTP",
		LOG_SLICE("account", snapshot_text(a->snapshot, t->charge.account->name)),
		LOG_SLICE("backend", r->backend), LOG_INT("suppressed", q->suppressed));
	q->suppressed = 0;
}

/* The only fault of a backend is a failed connection. */
static void judge_backend(struct agent *a, const struct attempt *t, bool connected)
{
	const struct charge *c = &t->charge;
	const struct health_event event = {c->id, c->mark.backend_generation, 0, NULL};
	struct board_backend *shown = t->backend ? board_backend(a->board, t->backend->id) : NULL;

	if (shown && !connected)
		board_add(&shown->failures, 1);
	if (!t->backend_row)
		return;
	enum circuit before = t->backend_row->circuit;
	health_connect(t->backend_row, &a->snapshot->head->options, &event, connected, c->now_ms);
	if (!connected && candidate_egress_count(a->snapshot, c->account, UINT64_MAX) > 1)
		health_avoid(t->backend_row, c->mark.backend_generation, c->now_ms, c->random);
	if (t->backend_row->circuit != before)
		log_event(connected ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "circuit changed",
			LOG_SLICE("backend", snapshot_text(a->snapshot, t->backend->name)),
			LOG_STR("circuit", name_of(t->backend_row)));
}

static void leave(struct attempt *t)
{
	charge_leave(&t->charge);
	if (t->backend_row)
		health_leave(t->backend_row, t->charge.id);
}

static void judge(struct agent *a, struct attempt *t, const struct charge_answer *answer)
{
	const struct result *result = answer->result;
	enum circuit before = circuit_of(t);

	if (result->class == RESULT_CLIENT) {
		leave(t);
		return;
	}
	judge_backend(a, t, !result->connect);
	if (result->connect)
		charge_leave(&t->charge);
	else if (t->charge.mark.is_probe)
		charge_probe(&t->charge, result);
	else
		charge_answer(&t->charge, answer);
	show(a, t, before);
}

/* No connection was made. */
static void judge_no_connection(struct agent *a, struct attempt *t)
{
	const struct result result = {.class = RESULT_NETWORK, .known = true, .connect = true};
	const struct charge_answer answer = {&result, 0, false};

	note_class(a, t, &result);
	judge(a, t, &answer);
}

static bool was_switched(const struct record *r)
{
	return slice_eq_str(r->code, refusal_row(REFUSAL_ACCOUNT_SWITCHED)->code);
}

/*
 * HAProxy closes its half of the connection for a client that left. Most servers then close theirs,
 * and it looks like their doing.
 */
static bool is_broken(const struct record *r, const struct result *result)
{
	return result->class == RESULT_NETWORK && r->status >= 200 && r->status < 400 &&
		memcmp(r->termination, "SD", 2) == 0;
}

static void judge_broken(struct agent *a, struct attempt *t)
{
	judge_backend(a, t, true);
	charge_broken(&t->charge);
	show(a, t, circuit_of(t));
}

/* Control gave up waiting: no client left. */
static bool is_given_up(const struct record *r, const struct result *result)
{
	return r->mark.is_probe && result->class == RESULT_CLIENT &&
		r->duration_ms >= SEAM_PROBE_MS - GIVEN_UP_EARLY_MS;
}

static void judge_end(struct agent *a, const struct record *r, struct attempt *t)
{
	struct result result;
	struct result_answer answer = {.status = r->status, .limits = r->limits};

	memcpy(answer.termination, r->termination, sizeof(answer.termination));
	result_classify(charge_provider(a->snapshot, t->charge.account), &answer, t->charge.now_ms,
		&result);
	if (is_given_up(r, &result))
		result.class = RESULT_NETWORK;
	note_unknown(a, t, &result, r->status);
	note_rubbish(a, t, r);
	note_class(a, t, &result);
	const struct charge_answer told = {&result, r->status, was_switched(r)};
	if (is_broken(r, &result) && !t->charge.mark.is_probe)
		judge_broken(a, t);
	else
		judge(a, t, &told);
}

void judge_record(struct agent *a, const struct record *r, bool is_answer, bool was_taken)
{
	struct attempt t;

	if (!attempt_find(a, r->account, record_backend_id(r), r->id, &r->mark, &t))
		return;
	/* a probe has no further attempts, but HAProxy takes it back when it gets no connection */
	if (was_taken && r->mark.is_probe)
		judge_no_connection(a, &t);
	else if (is_answer)
		judge_end(a, r, &t);
	else if (!was_taken)
		leave(&t);
}

/* HAProxy answers account_switched instead: the client may retry before the record arrives. */
static bool is_switched(
	const struct statefile_lease *lease, unsigned status, const struct result *result)
{
	static const unsigned statuses[] = {SEAM_SWITCH_STATUSES};
	/* an error at the head of a stream */
	bool found = status < 400 && charge_is_failure(result->class);

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		found |= statuses[i] == status;
	return found && lease->flags & LEASE_ALT;
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
	result_classify(
		charge_provider(a->snapshot, t.charge.account), &answer, t.charge.now_ms, &result);
	const struct charge_answer told = {&result, status, is_switched(lease, status, &result)};
	judge(a, &t, &told);
}

static enum board_counter_id counter_of(enum decide_cause cause)
{
	if (cause == DECIDE_CAUSE_CONNECT)
		return BOARD_FAILOVER_CONNECT;
	return cause == DECIDE_CAUSE_EGRESS ? BOARD_FAILOVER_EGRESS : BOARD_FAILOVER_RESPONSE;
}

/* The decision has charged it already; what it wanted is shown here. */
static void show_failure(struct agent *a, const struct statefile_lease *before,
	const struct statefile_lease *now, const struct decide_failure *failure, struct attempt *t)
{
	if (failure->seen)
		note_class(a, t, &failure->result);
	/* through the same egress the next attempt has its permit under the same id */
	if (t->backend_row && now->backend != before->backend)
		health_leave(t->backend_row, before->id);
	t->charge.wanted = failure->wanted;
	show(a, t, circuit_of(t));
}

void judge_failure(struct agent *a, const struct statefile_lease *before,
	const struct statefile_lease *now, const struct decide_failure *failure)
{
	const struct record_mark mark = {before->attempt, before->account_generation,
		before->backend_generation, before->credential, false};
	struct attempt t;

	if (failure->cause == DECIDE_CAUSE_NONE)
		return;
	board_add(&a->board->counters[counter_of(failure->cause)], 1);
	if (!attempt_find(a, failure->account, failure->backend, before->id, &mark, &t))
		return;
	if (failure->cause == DECIDE_CAUSE_CONNECT)
		judge_no_connection(a, &t);
	else if (failure->cause == DECIDE_CAUSE_EGRESS)
		leave(&t);
	else
		show_failure(a, before, now, failure, &t);
}
