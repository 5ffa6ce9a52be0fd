/* Readings of HAProxy's gauge: which leases are released, and which are not. */
#include "agent/healer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define ROWS 16
#define NOW_MS 1800000000000

struct scene {
	struct statefile_lease rows[ROWS];
	struct leases leases;
	struct healer healer;
	struct statefile_workers workers;
	uint32_t source; /* of the readings */
	uint8_t last;	 /* id of the lease released last */
	uint32_t gone;	 /* released ones that have certainly ended */
};

static void ignore(void *context, const struct statefile_lease *lease)
{
	(void)context;
	(void)lease;
}

static void end(void *context, struct statefile_lease *lease, bool is_gone)
{
	struct scene *s = context;

	s->last = lease->id[0];
	s->gone += is_gone;
	lease_end(&s->leases, lease);
}

static void begin(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(leases_init(&s->leases, s->rows, ROWS, ignore, NULL), 0);
	assert_int_equal(healer_init(&s->healer, ROWS, &s->workers), 0);
}

static void finish(struct scene *s)
{
	leases_fini(&s->leases);
	healer_fini(&s->healer);
}

static struct statefile_lease *hold(struct scene *s, uint8_t n, uint32_t account, int64_t age_ms)
{
	const uint8_t id[16] = {n};
	struct statefile_lease *lease = lease_new(&s->leases, id);

	lease->tenant = 1;
	lease->key = 2;
	lease->account = account;
	lease->decided_ms = NOW_MS - age_ms;
	lease_commit(lease);
	return lease;
}

/* HAProxy has `count` in progress with account 3, in one worker; it may have others if not `is_whole`. */
static uint32_t compare_worker(struct scene *s, uint32_t count, uint32_t worker, bool is_whole)
{
	const struct gauge_row rows[] = {{1, 2, 3, count}, {1, 2, 99, 5}};
	const struct gauge_head head = {.begun_ms = NOW_MS,
		.rows = 2,
		.workers = 1,
		.is_whole = is_whole,
		.source = s->source};
	const struct healer_reading reading = {&head, rows, &worker};

	return healer_compare(&s->healer, &s->leases, &reading, end, s);
}

static uint32_t compare(struct scene *s, uint32_t count)
{
	return compare_worker(s, count, 1, true);
}

static struct statefile_lease *hold_at(
	struct scene *s, uint8_t n, uint32_t account, int64_t age_ms, uint32_t worker)
{
	struct statefile_lease *lease = hold(s, n, account, age_ms);

	lease->flags = LEASE_HARD | worker << LEASE_WORKER_SHIFT;
	return lease;
}

static void releases_only_an_excess_in_two_readings(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	hold(&s, 1, 3, 5000);
	hold(&s, 2, 3, 4000);
	assert_int_equal(compare(&s, 1), 0);
	assert_int_equal(compare(&s, 2), 0);
	assert_int_equal(compare(&s, 1), 0);
	assert_int_equal(compare(&s, 1), 1);
	assert_int_equal(compare(&s, 1), 0);
	assert_int_equal(s.leases.used, 1);
	assert_int_equal(s.gone, 0);
	assert_int_equal(compare(&s, 0), 0);
	assert_int_equal(compare(&s, 0), 1);
	assert_int_equal(s.gone, 1);
	finish(&s);
}

static void all_of_a_kind_have_ended(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	hold(&s, 1, 3, 5000);
	hold(&s, 2, 3, 4000);
	hold(&s, 3, 3, 3000);
	assert_int_equal(compare(&s, 0), 0);
	assert_int_equal(compare(&s, 0), 3);
	assert_int_equal(s.gone, 3);
	finish(&s);
}

static void keeps_leases_that_are_too_young(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	hold(&s, 1, 3, HEALER_GRACE_MS - 1);
	hold(&s, 2, 3, 10000);
	assert_int_equal(compare(&s, 0), 0);
	assert_int_equal(compare(&s, 0), 1);
	assert_int_equal(s.last, 2);
	assert_int_equal(compare(&s, 0), 0);
	finish(&s);
}

/* Two HAProxys ask one agent; control reads the gauge of one of them. */
static void another_haproxys_leases_are_not_judged(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	struct statefile_lease *foreign = hold_at(&s, 1, 3, 5000, 77);
	hold_at(&s, 2, 3, 4000, 1);
	assert_int_equal(compare(&s, 1), 0);
	/* the one request in the gauge is not mistaken for the other HAProxy's */
	assert_int_equal(foreign->state, LEASE_DECIDED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(compare(&s, 1), 0);
	compare(&s, 0);
	assert_int_equal(compare(&s, 0), 1);
	assert_int_equal(s.last, 2);
	assert_int_equal(compare(&s, 0), 0);
	assert_int_equal(s.leases.used, 1);
	finish(&s);
}

static void leases_of_ended_workers_are_released(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	compare_worker(&s, 0, 5, true);
	hold_at(&s, 1, 3, 5000, 5);		   /* its worker was named before */
	lease_confirm(hold_at(&s, 2, 3, 5000, 6)); /* before this agent began */
	compare_worker(&s, 0, 7, true);
	assert_int_equal(compare_worker(&s, 0, 7, true), 2);
	finish(&s);
}

static void next_agent(struct scene *s)
{
	healer_fini(&s->healer);
	assert_int_equal(healer_init(&s->healer, ROWS, &s->workers), 0);
}

/* The agent and HAProxy are killed together, before a reading has shown the requests. */
static void the_next_agent_knows_the_workers(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	compare_worker(&s, 0, 5, true);
	hold_at(&s, 1, 3, 5000, 5);
	hold_at(&s, 2, 3, 5000, 77); /* of another HAProxy */
	next_agent(&s);
	assert_int_equal(compare_worker(&s, 0, 7, true), 0);
	assert_int_equal(compare_worker(&s, 0, 7, true), 1);
	assert_int_equal(s.last, 1);
	assert_int_equal(s.gone, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(compare_worker(&s, 0, 7, true), 0);
	finish(&s);
}

/* Each reading has a new worker; the last ones are remembered, whatever the file says. */
static void remembers_the_last_workers(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.workers.next = UINT32_MAX;
	for (uint32_t worker = 100; worker <= 100 + STATEFILE_WORKERS; worker++)
		compare_worker(&s, 0, worker, true);
	hold_at(&s, 1, 3, 5000, 100);
	hold_at(&s, 2, 3, 5000, 101);
	compare_worker(&s, 0, 100 + STATEFILE_WORKERS, true);
	assert_int_equal(compare_worker(&s, 0, 100 + STATEFILE_WORKERS, true), 1);
	assert_int_equal(s.last, 2);
	finish(&s);
}

/* One reading is enough for each, and another HAProxy on the same agent never gets one. */
static void an_unknown_worker_is_met_once(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	compare_worker(&s, 0, 5, true);
	assert_false(healer_meet(&s.healer, 0));
	assert_false(healer_meet(&s.healer, 5));
	assert_true(healer_meet(&s.healer, 7));
	assert_true(healer_meet(&s.healer, 8));
	for (int i = 0; i < 3; i++) {
		assert_false(healer_meet(&s.healer, 7));
		assert_false(healer_meet(&s.healer, 8));
		assert_false(healer_meet(&s.healer, 5));
	}
	for (uint32_t worker = 100; worker < 100 + HEALER_MET; worker++)
		assert_true(healer_meet(&s.healer, worker));
	assert_true(healer_meet(&s.healer, 7));
	finish(&s);
}

/* `master_socket` was changed: the HAProxy behind the one before may still run. */
static void forgets_the_workers_of_another_master(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	compare_worker(&s, 0, 5, true);
	hold_at(&s, 1, 3, 5000, 5);
	s.source = 1;
	for (int i = 0; i < 4; i++)
		assert_int_equal(compare_worker(&s, 0, 7, true), 0);
	finish(&s);
}

/* Without a master only the current worker is asked: others may still run. */
static void a_partial_reading_says_nothing_about_other_workers(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	compare_worker(&s, 0, 5, false);
	hold_at(&s, 1, 3, 5000, 5);
	hold(&s, 2, 3, 5000);
	hold_at(&s, 3, 3, 5000, 7);
	compare_worker(&s, 0, 7, false);
	assert_int_equal(compare_worker(&s, 0, 7, false), 1);
	assert_int_equal(s.last, 3);
	assert_int_equal(compare_worker(&s, 0, 7, false), 0);
	finish(&s);
}

static void releases_the_newest_of_equal_leases_first(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	hold(&s, 1, 3, 10000); /* in progress */
	hold(&s, 2, 3, 2000);  /* its record was lost */
	compare(&s, 1);
	assert_int_equal(compare(&s, 1), 1);
	assert_int_equal(s.last, 2);
	finish(&s);
}

static void confirms_what_the_gauge_shows(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	struct statefile_lease *shown = hold(&s, 1, 3, 5000);
	struct statefile_lease *missing = hold(&s, 2, 4, 5000);
	compare(&s, 1);
	assert_int_equal(shown->state, LEASE_CONFIRMED);
	assert_int_equal(missing->state, LEASE_DECIDED);
	finish(&s);
}

static void only_unconfirmed_leases_expire(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	lease_confirm(hold(&s, 1, 3, HEALER_AGE_MS + 1));
	hold(&s, 2, 3, HEALER_AGE_MS);
	hold(&s, 3, 3, HEALER_AGE_MS - 1);
	assert_int_equal(healer_expire(&s.leases, NOW_MS, end, &s), 1);
	assert_int_equal(s.last, 2);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releases_only_an_excess_in_two_readings),
		cmocka_unit_test(all_of_a_kind_have_ended),
		cmocka_unit_test(keeps_leases_that_are_too_young),
		cmocka_unit_test(another_haproxys_leases_are_not_judged),
		cmocka_unit_test(leases_of_ended_workers_are_released),
		cmocka_unit_test(the_next_agent_knows_the_workers),
		cmocka_unit_test(remembers_the_last_workers),
		cmocka_unit_test(an_unknown_worker_is_met_once),
		cmocka_unit_test(forgets_the_workers_of_another_master),
		cmocka_unit_test(a_partial_reading_says_nothing_about_other_workers),
		cmocka_unit_test(releases_the_newest_of_equal_leases_first),
		cmocka_unit_test(confirms_what_the_gauge_shows),
		cmocka_unit_test(only_unconfirmed_leases_expire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
