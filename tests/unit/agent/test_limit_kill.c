/*
 * An agent that is killed at any moment leaves each request counted completely or not at all. A
 * child decides, moves and releases in shared tables and is killed; the parent takes the tables
 * over, as a new agent does.
 */
#include "limits_world.h"
#include "tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS 300
#define LONGEST_NS 2000000 /* lifetime of a child: some thousand requests */
#define LEASES 64
#define NOW_MS 1800000000000

/* The child's diary: operations before and after, which may be in progress. */
struct diary {
	_Atomic uint64_t admit_begun, admit_done;
	_Atomic uint64_t release_begun, release_done; /* of them: */
	_Atomic uint64_t back_begun, back_done;	      /* never sent */
	_Atomic uint64_t move_begun, move_done;	      /* to another account */
	_Atomic uint64_t ready;
};

struct scene {
	struct limits_world world;
	struct tables tables;
	struct diary *diary;
	uint64_t rng;
	uint64_t serial;
};

static void lift_limits(struct limits_world *w)
{
	struct snapshot_head *head = (struct snapshot_head *)(uintptr_t)w->snapshot.head;
	struct snapshot_tenant *tenants =
		(struct snapshot_tenant *)(uintptr_t)SNAPSHOT_ROWS(&w->snapshot, TENANT, void);
	struct snapshot_account *accounts =
		(struct snapshot_account *)(uintptr_t)SNAPSHOT_ROWS(&w->snapshot, ACCOUNT, void);
	struct snapshot_key *keys = (struct snapshot_key *)(uintptr_t)w->snapshot.base.keys;

	head->options.health_attempts = STATEFILE_ATTEMPTS;
	head->options.health_retry_per_second = 1000000;
	/* limits that are never reached: else nothing would be counted */
	for (uint32_t i = 0; i < LIMITS_TENANTS; i++)
		tenants[i].limits = (struct snapshot_limits){.monthly = UINT32_MAX};
	for (uint32_t i = 0; i < LIMITS_ACCOUNTS; i++)
		accounts[i].limits = (struct snapshot_limits){0};
	for (uint32_t i = 0; i < LIMITS_KEYS; i++)
		keys[i].limits = (struct snapshot_limits){.monthly = UINT32_MAX};
}

static void admit_one(struct scene *s)
{
	struct decide_verdict v;
	struct decide_request r = {.gen = 2,
		.key_lines = 1,
		.key = slice_from_str(s->world.key_texts[limits_below(&s->rng, LIMITS_KEYS)]),
		.sticky = SLICE_LITERAL("c"),
		.method = SLICE_LITERAL("POST"),
		.path = SLICE_LITERAL("/v1/responses")};
	uint64_t half = decide_mix(++s->serial);

	memcpy(r.id, &half, sizeof(half));
	memcpy(r.id + 8, &s->serial, sizeof(s->serial));
	s->diary->admit_begun++;
	decide(&s->world.snapshot, &s->tables.state, &r, NOW_MS, half, &v);
	if (v.action != DECIDE_ALLOW)
		abort();
	s->diary->admit_done++;
}

static void release_one(struct scene *s)
{
	uint32_t row = limits_below(&s->rng, LEASES);

	while (s->tables.lease_rows[row].state == LEASE_FREE)
		row = (row + 1) % LEASES;
	bool never_sent = s->tables.lease_rows[row].attempt == 1 && limits_below(&s->rng, 2);
	s->diary->release_begun++;
	s->diary->back_begun += never_sent;
	decide_release(&s->tables.state, &s->tables.lease_rows[row], never_sent);
	s->diary->back_done += never_sent;
	s->diary->release_done++;
}

/* Refused after all accounts were tried; attempts that were sent stay counted. */
static void move_one(struct scene *s)
{
	uint32_t row = limits_below(&s->rng, LEASES);
	struct decide_request r = {.gen = 2};
	struct decide_verdict v;

	while (s->tables.lease_rows[row].state == LEASE_FREE)
		row = (row + 1) % LEASES;
	if (!(s->tables.lease_rows[row].flags & LEASE_ALT))
		return;
	memcpy(r.id, s->tables.lease_rows[row].id, sizeof(r.id));
	s->diary->move_begun++;
	decide_again(&s->world.snapshot, &s->tables.state, &r, false, NOW_MS, row, &v);
	if (v.action != DECIDE_ALLOW)
		abort();
	s->diary->move_done++;
}

static void live(struct scene *s)
{
	s->diary->ready = 1;
	for (;;) {
		uint32_t used = s->tables.leases.used;
		if (used && limits_below(&s->rng, 3) == 0)
			move_one(s);
		if (used == 0 || (used < LEASES && limits_below(&s->rng, 2)))
			admit_one(s);
		else
			release_one(s);
	}
}

static void kill_one(struct scene *s)
{
	struct timespec life = {0, limits_below(&s->rng, LONGEST_NS)};

	*s->diary = (struct diary){0};
	s->serial += (uint64_t)1 << 32; /* the child's ids are unknown here */
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		live(s);
	while (!s->diary->ready)
		sched_yield();
	nanosleep(&life, NULL);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* All windows of a row are from the same moment: they agree. */
static int64_t counted(const struct scene *s, enum usage_kind kind, uint32_t id)
{
	const struct statefile_usage *row = usage_find(&s->tables.usages, kind, id);

	for (int w = 0; row && w < USAGE_WINDOW_COUNT; w++)
		assert_int_equal(window_count(row, (enum usage_window)w, NOW_MS),
			window_count(row, USAGE_SECOND, NOW_MS));
	return row ? window_count(row, USAGE_SECOND, NOW_MS) : 0;
}

struct counts {
	int64_t requests; /* the number that tenants and keys agree on */
	int64_t attempts; /* of accounts */
};

static struct counts counted_in_all(const struct scene *s)
{
	int64_t by_tenant[LIMITS_TENANTS] = {0};
	struct counts counts = {0, 0};

	for (uint32_t k = 0; k < LIMITS_KEYS; k++)
		by_tenant[s->world.keys[k].tenant_id - 1] += counted(s, USAGE_KEY, k + 1);
	for (uint32_t t = 0; t < LIMITS_TENANTS; t++) {
		assert_int_equal(counted(s, USAGE_TENANT, t + 1), by_tenant[t]);
		counts.requests += by_tenant[t];
	}
	for (uint32_t a = 0; a < LIMITS_ACCOUNTS; a++)
		counts.attempts += counted(s, USAGE_ACCOUNT, a + 1);
	return counts;
}

static void assert_slots_are_leases(const struct scene *s)
{
	uint32_t slots[USAGE_KIND_COUNT] = {0};

	for (uint32_t i = 0; i <= s->tables.slots.mask; i++)
		slots[s->tables.slots.rows[i].kind] += s->tables.slots.rows[i].in_use;
	assert_int_equal(slots[USAGE_TENANT], s->tables.leases.used);
	assert_int_equal(slots[USAGE_KEY], s->tables.leases.used);
	assert_int_equal(slots[USAGE_ACCOUNT], s->tables.leases.used);
}

/* `more` requests counted and `held` leases beyond the diary. */
static void assert_whole_or_not_at_all(const struct diary *d, int64_t more, int64_t held)
{
	if (d->admit_begun != d->admit_done)
		assert_true(more == held && (more == 0 || more == 1));
	else if (d->back_begun != d->back_done)
		assert_true(more == held && (more == 0 || more == -1));
	else if (d->release_begun != d->release_done)
		assert_true(more == 0 && (held == 0 || held == -1));
	else
		assert_true(more == 0 && held == 0);
}

static void a_killed_agent_leaves_each_request_counted_completely_or_not_at_all(void **state)
{
	struct scene s = {.rng = 1};
	struct diary *d = s.diary = mmap(
		NULL, sizeof(*s.diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t requests = 0;
	uint64_t moves = 0;
	uint32_t inside = 0;
	uint32_t inside_moves = 0;

	(void)state;
	assert_true(d != MAP_FAILED);
	limits_world_init(&s.world, 1);
	lift_limits(&s.world);
	tables_init(&s.tables, (struct tables_size){64, LEASES, 8192});
	for (uint32_t i = 0; i < KILLS; i++) {
		struct counts before = counted_in_all(&s);
		int64_t held_before = s.tables.leases.used;
		kill_one(&s);
		bool was_inside = s.tables.undo_row->state != 0;
		inside += was_inside;
		limits_random(&s.rng);
		tables_stop(&s.tables);
		tables_start(&s.tables);
		assert_int_equal(s.tables.undo_row->state, 0);
		assert_slots_are_leases(&s);
		struct counts after = counted_in_all(&s);
		assert_whole_or_not_at_all(d,
			after.requests - before.requests - (int64_t)(d->admit_done - d->back_done),
			s.tables.leases.used - held_before -
				(int64_t)(d->admit_done - d->release_done));
		int64_t further = after.attempts - after.requests -
			(before.attempts - before.requests) - (int64_t)d->move_done;
		assert_true(further == 0 || (further == 1 && d->move_begun != d->move_done));
		requests += d->admit_done;
		moves += d->move_done;
		inside_moves += was_inside && d->move_begun != d->move_done;
	}
	print_message(
		"%d kills, %u inside a change (%u of them a move), %llu requests, %llu moves\n",
		KILLS, inside, inside_moves, (unsigned long long)requests,
		(unsigned long long)moves);
	assert_true(inside > 0 && moves > 0);
	tables_fini(&s.tables);
	limits_world_fini(&s.world);
	munmap(d, sizeof(*d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_killed_agent_leaves_each_request_counted_completely_or_not_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
