#include "agent/keeper/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG SNAPSHOTS_SOON_MS

static void make(int fds[2])
{
	for (size_t i = 0; i < 2; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
}

/* The agent takes a version that control sent. */
static void take(struct snapshots *s, uint64_t version, int64_t now)
{
	int fds[2];

	make(fds);
	snapshots_use(s, version, now);
	snapshots_keep(s, version, fds, now);
}

/* It crashes at once and starts again; control sends it the version that it sent before. */
static bool crash(struct snapshots *s, int64_t now)
{
	uint64_t version = s->used;
	bool is_given_up = snapshots_end(s, true, now);

	snapshots_start(s, now);
	if (version && version != s->given_up)
		take(s, version, now);
	return is_given_up;
}

static void close_held(struct snapshots_held *h)
{
	for (size_t i = 0; i < 2; i++) {
		if (h->fds[i] >= 0)
			assert_int_equal(close(h->fds[i]), 0);
	}
}

static void fini(struct snapshots *s)
{
	close_held(&s->newest);
	close_held(&s->trial);
	close_held(&s->proven);
}

static void the_third_crash_in_a_row_gives_the_version_up(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	take(&s, 11, LONG);
	assert_false(crash(&s, LONG + 1));
	assert_false(crash(&s, LONG + 2));
	assert_int_equal(s.newest.version, 11);
	assert_true(crash(&s, LONG + 3));
	assert_int_equal(s.given_up, 11);
	assert_int_equal(s.newest.version, 10);
	assert_int_equal(s.used, 10);
	/* nothing is older: it goes on with this one */
	for (int i = 0; i < 10; i++)
		assert_false(crash(&s, LONG + 4));
	assert_int_equal(s.newest.version, 10);
	fini(&s);
}

static void a_version_that_crashes_while_it_is_read_is_given_up(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	for (int i = 1; i <= SNAPSHOTS_CRASHES; i++) {
		snapshots_use(&s, 11, LONG * 10);
		assert_int_equal(snapshots_end(&s, true, LONG * 10), i == SNAPSHOTS_CRASHES);
		snapshots_start(&s, LONG * 10);
		assert_int_equal(s.newest.version, 10);
	}
	assert_int_equal(s.given_up, 11);
	/* even if it is the first of all: control must not send it again */
	fini(&s);
	snapshots_init(&s);
	for (int i = 1; i <= SNAPSHOTS_CRASHES; i++) {
		snapshots_start(&s, 0);
		snapshots_use(&s, 1, 0);
		assert_int_equal(snapshots_end(&s, true, 0), i == SNAPSHOTS_CRASHES);
	}
	assert_int_equal(s.newest.version, 0);
}

static void the_same_version_again_is_not_the_one_before(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	take(&s, 11, LONG);
	for (int i = 0; i < 5; i++)
		take(&s, 11, LONG * (2 + i));
	assert_int_equal(s.newest.version, 11);
	assert_int_equal(s.proven.version, 10);
	fini(&s);
}

static void one_of_several_bad_ones_is_not_the_one_before(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	for (uint64_t version = 11; version < 100; version++) {
		take(&s, version, LONG);
		assert_int_equal(s.proven.version, 10);
	}
	crash(&s, LONG);
	crash(&s, LONG);
	assert_true(crash(&s, LONG));
	assert_int_equal(s.newest.version, 10);
	fini(&s);
}

/* Otherwise a crash would make keys valid again that were revoked long ago. */
static void steady_changes_do_not_age_the_one_before(void **state)
{
	struct snapshots s;
	int64_t now = 0;
	uint64_t version = 0;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	for (int i = 0; i < 10000; i++)
		take(&s, ++version, now += 100);
	assert_true(version - s.proven.version <= 2 * SNAPSHOTS_SOON_MS / 100 + 1);
	assert_true(version - s.proven.version >= SNAPSHOTS_SOON_MS / 100);
	uint64_t before = s.proven.version;
	crash(&s, now);
	crash(&s, now);
	assert_true(crash(&s, now));
	assert_int_equal(s.newest.version, before);
	fini(&s);
}

/* A crash now and then is none in a row, although a version is always new. */
static void rare_crashes_among_steady_changes_give_nothing_up(void **state)
{
	struct snapshots s;
	int64_t now = 0;
	uint64_t version = 0;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	for (int i = 1; i < 10000; i++) {
		take(&s, ++version, now += 100);
		if (i % 100 == 0)
			assert_false(crash(&s, now));
	}
	fini(&s);
}

/* What was in use for hours is proven, although its agent has just been restarted. */
static void a_restart_takes_no_proof_away(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	take(&s, 11, LONG);
	assert_false(snapshots_end(&s, false, 9 * LONG));
	snapshots_start(&s, 9 * LONG);
	take(&s, 11, 9 * LONG);
	take(&s, 12, 9 * LONG + 1);
	assert_int_equal(s.proven.version, 11);
	fini(&s);
}

static void the_one_before_stays_when_the_next_version_is_bad_too(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	for (uint64_t version = 11; version < 20; version++) {
		take(&s, version, LONG);
		for (int i = 1; i <= SNAPSHOTS_CRASHES; i++)
			assert_int_equal(crash(&s, LONG), i == SNAPSHOTS_CRASHES);
		assert_int_equal(s.given_up, version);
		assert_int_equal(s.newest.version, 10);
	}
	take(&s, 20, LONG);
	assert_int_equal(s.given_up, 0);
	fini(&s);
}

static void only_a_life_long_enough_ends_the_row(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	take(&s, 11, LONG);
	crash(&s, LONG);
	crash(&s, LONG);
	/* control sends it again: that ends nothing */
	take(&s, 11, LONG);
	assert_int_equal(s.crashes, 2);
	/* a signal that somebody sent is no fault, and no proof */
	assert_false(snapshots_end(&s, false, LONG));
	snapshots_start(&s, LONG);
	assert_int_equal(s.crashes, 2);
	assert_false(crash(&s, 2 * LONG));
	assert_int_equal(s.crashes, 0);
	fini(&s);
}

static void late_crashes_give_nothing_up(void **state)
{
	struct snapshots s;
	int64_t now = 0;

	(void)state;
	snapshots_init(&s);
	snapshots_start(&s, 0);
	take(&s, 10, 0);
	take(&s, 11, now = LONG);
	for (int i = 0; i < 100; i++)
		assert_false(crash(&s, now += LONG));
	assert_int_equal(s.newest.version, 11);
	fini(&s);
}

static void an_agent_without_a_snapshot_gives_nothing_up(void **state)
{
	struct snapshots s;

	(void)state;
	snapshots_init(&s);
	for (int i = 0; i < 10; i++) {
		snapshots_start(&s, 0);
		assert_false(snapshots_end(&s, true, 0));
	}
}

static int count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Any order of events: no descriptor is lost or closed twice, and what must hold holds. */
static void no_order_of_events_loses_a_descriptor(void **state)
{
	int before = count_open();

	(void)state;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct snapshots s;
		uint64_t random = seed * 2654435761u;
		uint64_t version = 1;
		int64_t now = 0;

		snapshots_init(&s);
		snapshots_start(&s, 0);
		for (int i = 0; i < 200; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			uint64_t dice = random >> 33;
			now += (int64_t)(dice >> 8 & 3) * LONG / 2;
			if (dice % 4 == 0)
				take(&s, version += dice >> 4 & 1, now);
			else if (dice % 4 == 1)
				snapshots_use(&s, s.newest.version, now);
			else
				crash(&s, now);
			assert_true(s.newest.version == 0 || s.proven.version != s.newest.version);
			assert_true(s.trial.fds[0] < 0 || s.trial.version > s.proven.version);
			assert_true(s.trial.fds[0] < 0 || s.trial.version < s.newest.version);
			assert_true(s.newest.version == 0 || s.given_up != s.newest.version);
			assert_true(s.proven.fds[0] < 0 || s.proven.is_proven);
			assert_int_equal(count_open() - before,
				2 * (s.newest.fds[0] >= 0) + 2 * (s.trial.fds[0] >= 0) +
					2 * (s.proven.fds[0] >= 0));
		}
		fini(&s);
	}
	assert_int_equal(count_open(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_third_crash_in_a_row_gives_the_version_up),
		cmocka_unit_test(a_version_that_crashes_while_it_is_read_is_given_up),
		cmocka_unit_test(the_same_version_again_is_not_the_one_before),
		cmocka_unit_test(one_of_several_bad_ones_is_not_the_one_before),
		cmocka_unit_test(steady_changes_do_not_age_the_one_before),
		cmocka_unit_test(rare_crashes_among_steady_changes_give_nothing_up),
		cmocka_unit_test(a_restart_takes_no_proof_away),
		cmocka_unit_test(the_one_before_stays_when_the_next_version_is_bad_too),
		cmocka_unit_test(only_a_life_long_enough_ends_the_row),
		cmocka_unit_test(late_crashes_give_nothing_up),
		cmocka_unit_test(an_agent_without_a_snapshot_gives_nothing_up),
		cmocka_unit_test(no_order_of_events_loses_a_descriptor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
