#include "agent/decide/charge.h"

#include "agent/decide/candidate.h"
#include "common/provider.h"

const struct provider *charge_provider(
	const struct snapshot *s, const struct snapshot_account *account)
{
	const struct snapshot_upstream *upstreams =
		SNAPSHOT_ROWS(s, UPSTREAM, struct snapshot_upstream);

	return provider_at(upstreams[account->upstream].provider);
}

struct evidence_account *charge_memory(const struct snapshot *s, struct decide_state *state,
	const struct snapshot_account *account)
{
	struct health_subject subject = health_subject_of_account(s, account);
	uint32_t at = health_place(state->healths, &subject);

	return at == IDINDEX_NONE
		? NULL
		: evidence_account(state->evidence, at, account->id, account->epoch);
}

static void find_requester(struct charge *t)
{
	struct statefile_lease *lease = lease_find(t->state->leases, t->id);

	if (!lease || lease_account(lease, t->mark.attempt) != t->account->id)
		return;
	t->lease = lease;
	t->pool = snapshot_pool(t->snapshot, lease->pool);
	t->who = decide_requester_of(lease);
}

bool charge_begin(const struct snapshot *s, struct decide_state *state, uint32_t account,
	const uint8_t id[16], const struct record_mark *mark, int64_t now_ms, uint64_t random,
	struct charge *ret)
{
	*ret = (struct charge){
		.snapshot = s, .state = state, .mark = *mark, .now_ms = now_ms, .random = random};
	memcpy(ret->id, id, sizeof(ret->id));
	ret->account = snapshot_account_by_id(s, account);
	if (!ret->account)
		return false;
	ret->subject = health_subject_of_account(s, ret->account);
	ret->row = health_of(state->healths, &ret->subject, now_ms);
	ret->memory = charge_memory(s, state, ret->account);
	if (!mark->is_probe)
		find_requester(ret);
	return true;
}

static struct health_event event_of(const struct charge *t, const struct result *result)
{
	return (struct health_event){t->id, t->mark.account_generation, t->mark.credential, result};
}

static bool is_late(const struct charge *t)
{
	return !t->row || t->row->generation != t->mark.account_generation;
}

static bool is_shared(const struct charge *t)
{
	return t->pool && t->pool->flags & SNAPSHOT_POOL_SHARED;
}

void charge_leave(struct charge *t)
{
	if (t->row)
		health_leave(t->row, t->id);
	evidence_leave(t->state->evidence, t->who, t->account->id, t->id, t->now_ms);
}

void charge_broken(struct charge *t)
{
	charge_leave(t);
	if (t->memory && t->who.tenant && evidence_break(t->memory, t->who, t->now_ms))
		evidence_want(t->memory, BOARD_EVIDENCE_BROKEN, t->now_ms);
}

/* --- classes --- */

bool charge_is_failure(enum result_class class)
{
	switch (class) {
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

/* A refusal of the credential or of the account is never answered locally, nor is an unseen one. */
static bool brakes(enum board_evidence class)
{
	return class == (enum board_evidence)RESULT_BURST ||
		class == (enum board_evidence)RESULT_OVERLOAD ||
		class == (enum board_evidence)RESULT_SERVER ||
		class == (enum board_evidence)RESULT_NETWORK;
}

/* Until when a 429 without a window says that the account is limited; 0 = it does not say. */
static int64_t rest_of(const struct charge *t, const struct result *r)
{
	if (r->class != RESULT_BURST)
		return 0;
	if (r->until_ms > t->now_ms)
		return r->until_ms;
	return r->has_used && r->used == UINT16_MAX && r->used_until_ms > t->now_ms
		? r->used_until_ms
		: 0;
}

/* --- earlier attempts --- */

struct earlier {
	const struct snapshot_account *account;
	struct lease_failure failure;
};

/* False: attempt `n` did not fail at another account. */
static bool find_earlier(const struct charge *t, uint32_t n, struct earlier *ret)
{
	uint32_t id = lease_account(t->lease, n);

	if (!id || id == t->account->id || !lease_failure(t->lease, n, &ret->failure))
		return false;
	ret->account = snapshot_account_by_id(t->snapshot, id);
	return ret->account != NULL;
}

/* When the failure of attempt `n` was known, at the earliest. */
static int64_t known_since(const struct charge *t, uint32_t n)
{
	return n + 1 == t->lease->attempt ? t->lease->again_ms : t->lease->decided_ms;
}

static void convict(struct charge *t, const struct snapshot_account *account)
{
	struct health_subject subject = health_subject_of_account(t->snapshot, account);
	struct statefile_health *row = health_of(t->state->healths, &subject, t->now_ms);

	if (!row || row->circuit != CIRCUIT_CLOSED)
		return;
	health_convict(row, &t->snapshot->head->options, t->now_ms);
	t->convicted[t->convicted_count++] = account;
}

/* The request succeeded here: it is a witness against the accounts where it failed before. */
static void testify(struct charge *t)
{
	for (uint32_t n = 1; n < t->mark.attempt; n++) {
		struct earlier e;
		if (!find_earlier(t, n, &e) || e.failure.verdict != BOARD_VERDICT_OPEN)
			continue;
		e.failure.verdict = BOARD_VERDICT_WITNESS;
		lease_note_failure(t->lease, n, &e.failure);
		struct evidence_account *memory = charge_memory(t->snapshot, t->state, e.account);
		if (!memory || memory->cleared_ms >= known_since(t, n))
			continue;
		if (evidence_testify(memory, t->who, is_shared(t), t->now_ms))
			convict(t, e.account);
	}
}

/* The rest on the report of this requester ends. */
static void wake(struct charge *t, const struct snapshot_account *account)
{
	struct health_subject subject = health_subject_of_account(t->snapshot, account);
	struct statefile_health *row = health_of(t->state->healths, &subject, t->now_ms);
	struct evidence_account *memory = charge_memory(t->snapshot, t->state, account);

	if (!row || !memory || memory->refused.who.family != t->who.family)
		return;
	memory->refused = (struct evidence_report){.at_ms = 0};
	health_wake(row);
}

/* Another account refused the request likewise: neither is at fault. */
static bool acquit(struct charge *t, enum board_evidence class)
{
	bool alike = false;

	if (!t->lease || class == BOARD_EVIDENCE_UNSEEN)
		return false;
	for (uint32_t n = 1; n < t->mark.attempt; n++) {
		struct earlier e;
		if (!find_earlier(t, n, &e) || e.failure.class != class)
			continue;
		alike = true;
		if (e.failure.verdict == BOARD_VERDICT_REQUEST)
			continue;
		e.failure.verdict = BOARD_VERDICT_REQUEST;
		lease_note_failure(t->lease, n, &e.failure);
		evidence_acquit(
			t->state->evidence, t->who, e.account->id, brakes(class), t->now_ms);
		if (class == (enum board_evidence)RESULT_BURST)
			wake(t, e.account);
	}
	return alike;
}

/* --- one attempt --- */

static void succeed(struct charge *t, const struct result *r)
{
	const struct health_event event = event_of(t, r);
	bool late = is_late(t);

	if (t->row)
		t->wanted |= health_answer(t->row, &t->subject, &event, false, t->now_ms);
	evidence_succeed(t->state->evidence, t->who, t->account->id);
	if (t->memory && !late)
		evidence_clear(t->memory, t->who, t->now_ms);
	if (!t->lease)
		return;
	evidence_unsettle(t->state->evidence, t->who, t->lease->request);
	testify(t);
}

static void rest(struct charge *t, const struct result *r, bool late)
{
	int64_t until = rest_of(t, r);

	if (!until || late || !t->memory || !t->who.tenant)
		return;
	until = evidence_rest(
		t->state->evidence, t->memory, t->who, is_shared(t), until, t->now_ms);
	if (until)
		health_rest(t->row, t->row->generation, until);
}

static struct evidence_brake brake_of(const struct charge *t)
{
	bool alone = t->pool && t->pool->members.count < 2;

	return (struct evidence_brake){(uint32_t)t->snapshot->head->options.health_threshold,
		alone ? EVIDENCE_BRAKE_ALONE_MS : EVIDENCE_BRAKE_MAX_MS};
}

/* What the requester meets there from now on. */
static void charge_requester(
	struct charge *t, const struct charge_answer *a, enum board_evidence class)
{
	struct evidence *e = t->state->evidence;

	if (brakes(class))
		evidence_fail(e, t->who, t->account->id, t->id, class, brake_of(t), t->now_ms);
	else
		evidence_leave(e, t->who, t->account->id, t->id, t->now_ms);
	if (a->taken_back)
		evidence_shun(e, t->who, t->account->id, class, t->now_ms);
}

static void fail(struct charge *t, const struct charge_answer *a)
{
	const struct result unseen = {.class = RESULT_CLASS_COUNT, .known = true};
	const struct result *r = a->result ? a->result : &unseen;
	const struct health_event event = event_of(t, r);
	struct lease_failure failure = {
		(uint16_t)a->status, (enum board_evidence)r->class, BOARD_VERDICT_OPEN};
	bool late = is_late(t);

	bool renews = !late && r->class == RESULT_AUTH && t->memory &&
		evidence_renew(t->memory, t->now_ms);
	if (t->row)
		t->wanted |= health_answer(t->row, &t->subject, &event, renews, t->now_ms);
	if (t->memory && !late && r->class != RESULT_WINDOW) {
		t->wanted |= t->memory->wanted_ms == 0;
		evidence_want(t->memory, failure.class, t->now_ms);
	}
	if (acquit(t, failure.class)) {
		failure.verdict = BOARD_VERDICT_REQUEST;
		evidence_settle(t->state->evidence, t->who, t->lease->request, t->now_ms);
		evidence_leave(t->state->evidence, t->who, t->account->id, t->id, t->now_ms);
	} else {
		charge_requester(t, a, failure.class);
		rest(t, r, late);
	}
	if (t->lease)
		lease_note_failure(t->lease, t->mark.attempt, &failure);
}

/* The end record repeats what the head of the answer told. */
static void repeat(struct charge *t, const struct charge_answer *a, const struct lease_failure *f)
{
	charge_leave(t);
	if (a->taken_back && f->verdict == BOARD_VERDICT_OPEN)
		evidence_shun(t->state->evidence, t->who, t->account->id, f->class, t->now_ms);
}

void charge_answer(struct charge *t, const struct charge_answer *a)
{
	struct lease_failure known;

	if (a->result && a->result->class == RESULT_SUCCESS) {
		succeed(t, a->result);
		return;
	}
	if (a->result && !charge_is_failure(a->result->class)) {
		const struct health_event event = event_of(t, a->result);
		if (t->row)
			health_answer(t->row, &t->subject, &event, false, t->now_ms);
		charge_leave(t);
		return;
	}
	if (t->lease && lease_failure(t->lease, t->mark.attempt, &known))
		repeat(t, a, &known);
	else
		fail(t, a);
}

/* --- probes --- */

/*
 * Somebody succeeded there since the last failure, and not long ago: that a probe fails now tells
 * more about the probe.
 */
static bool is_contradicted(const struct charge *t)
{
	const struct evidence_account *m = t->memory;

	return !m->wanted_ms && m->served.at_ms && t->now_ms - m->served.at_ms < EVIDENCE_REPORT_MS;
}

void charge_probe(struct charge *t, const struct result *r)
{
	const struct health_event event = event_of(t, r);

	if (!t->row || !t->memory || r->connect || r->class == RESULT_CLIENT) {
		charge_leave(t);
		return;
	}
	t->memory->probe_class = (uint8_t)r->class;
	t->memory->probe_ms = t->now_ms;
	if (charge_is_failure(r->class) && r->class != RESULT_WINDOW && is_contradicted(t)) {
		health_note_refusal(t->row, r->class);
		charge_leave(t);
		return;
	}
	t->wanted = health_probe(t->row, &t->subject, &t->snapshot->head->options, &event,
		t->memory->wanted_ms != 0, t->now_ms, t->random);
	if (r->class == RESULT_SUCCESS)
		evidence_clear_all(t->memory, t->now_ms);
}
