/*
 * Generated worlds in which accounts and egresses fail, cool down and come back: which account a
 * request may get first and next, and that leases and slots match the requests in progress.
 */
#include "world.h"

#include "agent/decide/candidate.h"
#include "agent/decide/charge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define WORLDS 20
#define STEPS 20000 /* in each world */
#define FLIGHTS 64
#define CHECK_EVERY 500
#define BACKENDS (WORLD_UPSTREAMS * WORLD_EGRESSES)

struct flight {
	bool busy;
	struct decide_request request;
	const struct world_key *key;
	struct record_mark mark;
	uint32_t account, backend;	      /* indexes */
	uint32_t refused[STATEFILE_ATTEMPTS]; /* accounts, ids */
	bool braked[WORLD_ACCOUNTS];	      /* its key, before the question */
};

struct play {
	struct world *w;
	struct snapshot_options *rules; /* of its answer's head */
	struct flight flights[FLIGHTS];
	int64_t now_ms;
	/* before a question */
	struct health_look accounts[WORLD_ACCOUNTS], backends[BACKENDS];
	uint32_t allowed, refused, braked, moved, given_up, probes;
};

/* --- the world --- */

static struct snapshot_account *account_row(const struct play *p, uint32_t i)
{
	return (struct snapshot_account *)(uintptr_t)&SNAPSHOT_ROWS(
		&p->w->snapshot, ACCOUNT, struct snapshot_account)[i];
}

static struct snapshot_egress *egress_row(const struct play *p, uint32_t i)
{
	return (struct snapshot_egress *)(uintptr_t)&SNAPSHOT_ROWS(
		&p->w->snapshot, EGRESS, struct snapshot_egress)[i];
}

static struct health_subject account_subject(const struct play *p, uint32_t i)
{
	return health_subject_of_account(&p->w->snapshot, account_row(p, i));
}

static struct health_subject backend_subject(const struct play *p, uint32_t i)
{
	const struct snapshot_backend *rows =
		SNAPSHOT_ROWS(&p->w->snapshot, BACKEND, struct snapshot_backend);

	return health_subject_of_backend(&p->w->snapshot, &rows[i]);
}

static uint32_t pool_of(const struct play *p, const struct world_key *key)
{
	return key->pool != UINT32_MAX ? key->pool : p->w->tenant_pool[key->tenant];
}

static struct health_look look_at(const struct play *p, struct health_subject subject)
{
	return health_look(
		health_find(&p->w->tables.healths, &subject), &subject, p->rules, p->now_ms);
}

static void look_around(struct play *p)
{
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++)
		p->accounts[i] = look_at(p, account_subject(p, i));
	for (uint32_t i = 0; i < BACKENDS; i++)
		p->backends[i] = look_at(p, backend_subject(p, i));
}

static bool is_open(const struct play *p, uint32_t backend)
{
	return p->backends[backend].standing == BOARD_STANDING_USABLE &&
		!(egress_row(p, backend % WORLD_EGRESSES)->flags & SNAPSHOT_EGRESS_SUSPENDED);
}

/* `but`: an egress that must not be used; UINT32_MAX = none. */
static bool has_way(const struct play *p, uint32_t account, uint64_t gen, uint32_t but)
{
	const struct world_account *a = &p->w->accounts[account];

	for (uint32_t i = 0; i < a->egress_count; i++) {
		uint32_t backend = a->upstream * WORLD_EGRESSES + a->egresses[i];
		if (p->w->first_gen[a->upstream][a->egresses[i]] <= gen && backend != but &&
			is_open(p, backend))
			return true;
	}
	return false;
}

static const struct evidence_row *evidence_of(
	const struct play *p, const struct flight *f, uint32_t account)
{
	const struct evidence_requester who = {
		f->key->tenant + 1, (uint32_t)(f->key - p->w->keys) + 1};

	return evidence_find(&p->w->tables.evidence, who, account + 1);
}

static bool is_braked(const struct flight *f, uint32_t account)
{
	return f->braked[account];
}

static void look_at_brakes(const struct play *p, struct flight *f)
{
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++)
		f->braked[i] =
			evidence_brake_end(evidence_of(p, f, i), f->request.id, p->now_ms) != 0;
}

static bool is_usable(const struct play *p, uint32_t account, uint64_t gen, uint32_t but)
{
	const struct world_account *a = &p->w->accounts[account];

	return !a->suspended && !a->bare && a->first_gen <= gen &&
		p->accounts[account].standing == BOARD_STANDING_USABLE &&
		has_way(p, account, gen, but);
}

static bool was_refused_by(const struct flight *f, uint32_t account)
{
	for (int i = 0; i < STATEFILE_ATTEMPTS; i++) {
		if (f->refused[i] == account + 1)
			return true;
	}
	return false;
}

static bool any_usable(const struct play *p, const struct flight *f, uint32_t but)
{
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
		if (p->w->member[pool_of(p, f->key)][i] && !was_refused_by(f, i) &&
			!is_braked(f, i) && is_usable(p, i, f->request.gen, but))
			return true;
	}
	return false;
}

/* --- invariants --- */

static void assert_way_is_its_own(
	const struct play *p, const struct decide_request *r, const struct decide_verdict *v)
{
	const struct world_account *a = &p->w->accounts[v->account->id - 1];
	uint32_t egress = v->backend->egress;
	bool own = false;

	for (uint32_t i = 0; i < a->egress_count; i++)
		own |= a->egresses[i] == egress;
	assert_true(own);
	assert_int_equal(v->backend->id, a->upstream * WORLD_EGRESSES + egress + 1);
	assert_true(v->backend->first_gen <= r->gen && a->first_gen <= r->gen);
	assert_false(a->suspended || a->bare);
	assert_true(is_open(p, v->backend->id - 1));
}

static void assert_allowed(
	const struct play *p, const struct flight *f, const struct decide_verdict *v)
{
	uint32_t account = v->account->id - 1;

	assert_way_is_its_own(p, &f->request, v);
	assert_true(p->w->member[pool_of(p, f->key)][account]);
	assert_true(!v->alt || v->mark.attempt < p->rules->health_attempts);
	assert_int_equal(v->lease->account, account + 1);
	assert_int_equal(v->lease->backend, v->backend->id);
	assert_int_equal(v->lease->attempt, v->mark.attempt);
	assert_int_equal(p->accounts[account].standing, BOARD_STANDING_USABLE);
	assert_false(is_braked(f, account));
}

static void assert_held_is_in_progress(const struct play *p)
{
	uint32_t accounts[WORLD_ACCOUNTS] = {0};
	uint32_t tenants[WORLD_TENANTS] = {0};
	const struct slots *s = &p->w->tables.slots;
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLIGHTS; i++) {
		if (!p->flights[i].busy)
			continue;
		accounts[p->flights[i].account]++;
		tenants[p->flights[i].key->tenant]++;
		count++;
	}
	assert_int_equal(p->w->tables.leases.used, count);
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++)
		assert_int_equal(slots_in_use(s, USAGE_ACCOUNT, i + 1), accounts[i]);
	for (uint32_t i = 0; i < WORLD_TENANTS; i++)
		assert_int_equal(slots_in_use(s, USAGE_TENANT, i + 1), tenants[i]);
}

/* --- events --- */

static const struct world_key *good_key(struct play *p)
{
	for (;;) {
		const struct world_key *key = &p->w->keys[world_below(p->w, WORLD_KEYS)];
		if (!key->revoked && !key->expired && p->w->tenant_enabled[key->tenant] &&
			pool_of(p, key) != UINT32_MAX)
			return key;
	}
}

static void note_attempt(struct flight *f, const struct decide_verdict *v)
{
	f->mark = v->mark;
	f->account = v->account->id - 1;
	f->backend = v->backend->id - 1;
}

static void begin(struct play *p, struct flight *f)
{
	struct decide_verdict v;
	const struct world_key *key = good_key(p);

	*f = (struct flight){.key = key, .request = world_request(p->w, key)};
	if (world_below(p->w, 2))
		f->request.sticky = SLICE_LITERAL("c");
	look_at_brakes(p, f);
	decide(&p->w->snapshot, &p->w->tables.state, &f->request, p->now_ms, world_random(p->w),
		&v);
	if (v.action == DECIDE_ALLOW) {
		assert_allowed(p, f, &v);
		assert_int_equal(v.mark.attempt, 1);
		note_attempt(f, &v);
		f->busy = true;
		p->allowed++;
		return;
	}
	p->refused++;
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++)
		p->braked += f->braked[i];
	assert_false(any_usable(p, f, UINT32_MAX));
	assert_true(v.refusal == REFUSAL_NO_ACCOUNT || v.refusal == REFUSAL_CIRCUIT_OPEN ||
		v.refusal == REFUSAL_ACCOUNTS_LIMITED);
	assert_true(v.resets_ms == 0 || v.resets_ms > p->now_ms);
}

static void tell_account(struct play *p, const struct flight *f, enum result_class class)
{
	const struct result result = {
		.class = class, .known = true, .until_ms = p->now_ms + world_below(p->w, 5000)};
	const struct charge_answer answer = {&result, 500, false};
	struct charge t;

	assert_true(charge_begin(&p->w->snapshot, &p->w->tables.state, f->account + 1,
		f->request.id, &f->mark, p->now_ms, world_random(p->w), &t));
	if (f->mark.is_probe)
		charge_probe(&t, &result);
	else
		charge_answer(&t, &answer);
}

static void tell_backend(struct play *p, const struct flight *f, bool connected)
{
	struct health_subject subject = backend_subject(p, f->backend);
	const struct health_event event = {
		.id = f->request.id, .generation = f->mark.backend_generation};

	health_connect(health_of(&p->w->tables.healths, &subject, p->now_ms), p->rules, &event,
		connected, p->now_ms);
}

static void end(struct play *p, struct flight *f)
{
	static const enum result_class classes[] = {RESULT_SUCCESS, RESULT_SUCCESS, RESULT_SERVER,
		RESULT_OVERLOAD, RESULT_BURST, RESULT_WINDOW, RESULT_DENIED, RESULT_PAYLOAD};
	bool connected = world_below(p->w, 8) != 0;

	if (world_below(p->w, 8)) {
		tell_backend(p, f, connected);
		if (connected)
			tell_account(p, f, classes[world_below(p->w, 8)]);
	}
	decide_release(
		&p->w->tables.state, lease_find(&p->w->tables.leases, f->request.id), !connected);
	f->busy = false;
}

/* As judge_failure() does it. */
static void judge(struct play *p, const struct flight *before, enum decide_cause cause)
{
	struct health_subject subject = account_subject(p, before->account);

	if (cause == DECIDE_CAUSE_CONNECT)
		tell_backend(p, before, false);
	if (cause != DECIDE_CAUSE_ANSWER)
		health_leave(
			health_of(&p->w->tables.healths, &subject, p->now_ms), before->request.id);
}

static void fail_over(struct play *p, struct flight *f)
{
	struct decide_verdict v;
	struct flight before = *f;

	f->request.failed = world_below(p->w, 2) ? SLICE_LITERAL("st=503;") : SLICE_LITERAL("");
	look_at_brakes(p, f);
	decide_again(&p->w->snapshot, &p->w->tables.state, &f->request, false, p->now_ms,
		world_random(p->w), &v);
	bool unsent = v.failed.cause != DECIDE_CAUSE_ANSWER;
	uint32_t but = unsent ? before.backend : UINT32_MAX;
	assert_int_equal(v.failed.account, before.account + 1);
	assert_int_equal(v.failed.backend, before.backend + 1);
	/* an account that one egress did not reach may be tried through another */
	if (!unsent)
		f->refused[before.mark.attempt - 1] = before.account + 1;
	if (v.action == DECIDE_ALLOW) {
		uint32_t account = v.account->id - 1;
		assert_allowed(p, f, &v);
		assert_int_equal(v.mark.attempt, before.mark.attempt + 1);
		assert_true(v.mark.attempt <= p->rules->health_attempts);
		assert_false(was_refused_by(f, account));
		assert_int_not_equal(v.backend->id - 1, but);
		if (account != before.account)
			f->refused[before.mark.attempt - 1] = before.account + 1;
		note_attempt(f, &v);
		p->moved++;
	} else {
		p->given_up++;
		if (before.mark.attempt < p->rules->health_attempts)
			assert_false(any_usable(p, f, but));
	}
	judge(p, &before, v.failed.cause);
	if (v.action != DECIDE_ALLOW)
		end(p, f);
}

static void probe(struct play *p)
{
	struct decide_request r = world_request(p->w, good_key(p));
	uint32_t account = world_below(p->w, WORLD_ACCOUNTS);
	uint32_t leases = p->w->tables.leases.used;
	struct decide_verdict v;

	decide_probe(&p->w->snapshot, &p->w->tables.state, &r, account + 1, p->now_ms, &v);
	assert_int_equal(p->w->tables.leases.used, leases);
	if (v.action != DECIDE_ALLOW) {
		const struct world_account *a = &p->w->accounts[account];
		assert_true(a->suspended || a->bare || a->first_gen > r.gen ||
			!has_way(p, account, r.gen, UINT32_MAX));
		return;
	}
	assert_way_is_its_own(p, &r, &v);
	p->probes++;
	struct flight f = {.request = r};
	note_attempt(&f, &v);
	tell_account(p, &f, world_below(p->w, 2) ? RESULT_SUCCESS : RESULT_SERVER);
}

static void change_something(struct play *p)
{
	switch (world_below(p->w, 8)) {
	case 0:
		egress_row(p, world_below(p->w, WORLD_EGRESSES))->flags ^=
			world_below(p->w, 3) ? 0 : SNAPSHOT_EGRESS_SUSPENDED;
		break;
	case 1:
		egress_row(p, world_below(p->w, WORLD_EGRESSES))->epoch++;
		break;
	case 2:
		account_row(p, world_below(p->w, WORLD_ACCOUNTS))->epoch++;
		break;
	case 3:
		tables_stop(&p->w->tables);
		tables_start(&p->w->tables);
		break;
	default:
		p->now_ms += world_below(p->w, world_below(p->w, 20) ? 500 : 400000);
		break;
	}
}

static void step(struct play *p)
{
	struct flight *f = &p->flights[world_below(p->w, FLIGHTS)];
	uint32_t what = world_below(p->w, 100);

	look_around(p);
	if (what < 15)
		change_something(p);
	else if (what < 20)
		probe(p);
	else if (!f->busy)
		begin(p, f);
	else if (what < 60)
		fail_over(p, f);
	else
		end(p, f);
}

static void play_in_world(uint64_t seed, struct play *p)
{
	p->w = world_new(seed, FLIGHTS);
	p->now_ms = WORLD_NOW_MS - 1; /* keys that expire then are not used */
	p->rules = (struct snapshot_options *)(uintptr_t)&p->w->snapshot.head->options;
	*p->rules = (struct snapshot_options){.health_threshold = 1 + (uint32_t)(seed % 3),
		.health_half_open = 1 + (uint32_t)(seed % STATEFILE_PERMITS),
		.health_recovery_ms = 5000,
		.health_attempts = 1 + (uint32_t)(seed / 2 % STATEFILE_ATTEMPTS),
		.health_retry_percent = 30,
		.health_retry_per_second = 5};
	for (uint32_t i = 0; i < STEPS; i++) {
		step(p);
		if (i % CHECK_EVERY == 0)
			assert_held_is_in_progress(p);
	}
	for (uint32_t i = 0; i < FLIGHTS; i++) {
		if (p->flights[i].busy)
			end(p, &p->flights[i]);
	}
	assert_held_is_in_progress(p);
	world_free(p->w);
}

static void no_request_gets_an_account_that_is_out_or_was_tried(void **state)
{
	struct play *p = calloc(1, sizeof(*p));

	(void)state;
	assert_non_null(p);
	for (uint64_t seed = 1; seed <= WORLDS; seed++)
		play_in_world(seed, p);
	print_message("%u steps: %u allowed, %u refused (%u brakes), %u further attempts,"
		      " %u given up, %u probes\n",
		WORLDS * STEPS, p->allowed, p->refused, p->braked, p->moved, p->given_up,
		p->probes);
	assert_true(p->allowed > WORLDS * STEPS / 10 && p->refused > 1000 && p->braked > 10);
	assert_true(p->moved > 1000 && p->given_up > 1000 && p->probes > 1000);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_request_gets_an_account_that_is_out_or_was_tried),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
