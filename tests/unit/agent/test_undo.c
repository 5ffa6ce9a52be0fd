/* A change that a killed agent did not finish, when the row of undo itself is damaged. */
#include "agent/undo.h"
#include "common/staterow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define USAGES 8
#define LEASES 4

struct scene {
	struct statefile_usage usages[USAGES];
	struct statefile_lease leases[LEASES];
	struct statefile_undo row;
	struct undo undo;
};

static void init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->undo = (struct undo){&s->row, s->usages, s->leases, USAGES, LEASES};
	for (uint32_t i = 0; i < USAGES; i++) {
		s->usages[i].state = USAGE_TENANT;
		s->usages[i].id = i + 1;
		s->usages[i].windows[USAGE_DAY].count = 10 * i;
		staterow_seal(STATEROW(&s->usages[i]));
	}
	for (uint32_t i = 0; i < 2; i++) {
		s->leases[i].state = LEASE_DECIDED;
		s->leases[i].tenant = i + 1;
		staterow_seal(STATEROW(&s->leases[i]));
	}
}

/* Counts a request of tenants 2 and 4 and admits it in lease 3; killed before the end. */
static void begin(struct scene *s)
{
	struct statefile_usage *usages[] = {&s->usages[1], NULL, &s->usages[3]};

	undo_begin(&s->undo, usages, 3, &s->leases[2]);
	s->usages[1].windows[USAGE_DAY].count++;
	s->usages[3].windows[USAGE_DAY].count++;
	s->leases[2].state = LEASE_DECIDED;
	s->leases[2].tenant = 2;
}

static void assert_is_sealed(const struct scene *s)
{
	for (uint32_t i = 0; i < USAGES; i++)
		assert_int_equal(s->usages[i].check, staterow_sum(STATEROW(&s->usages[i])));
	for (uint32_t i = 0; i < LEASES; i++)
		assert_int_equal(s->leases[i].check,
			s->leases[i].state ? staterow_sum(STATEROW(&s->leases[i])) : 0);
	assert_int_equal(s->row.state, 0);
	assert_int_equal(s->row.check, 0);
}

static void a_finished_change_is_sealed_and_stays(void **state)
{
	struct scene s;
	struct statefile_damage damage = {{0}, {0}};

	(void)state;
	init(&s);
	begin(&s);
	undo_end(&s.undo);
	assert_is_sealed(&s);
	assert_false(undo_recover(&s.undo, &damage));
	assert_int_equal(s.usages[1].windows[USAGE_DAY].count, 11);
	assert_int_equal(s.leases[2].state, LEASE_DECIDED);
	assert_int_equal(damage.dropped[STATEFILE_UNDO], 0);
}

static void an_unfinished_change_is_undone(void **state)
{
	struct scene s, before;
	struct statefile_damage damage = {{0}, {0}};

	(void)state;
	init(&before);
	for (uint32_t set = 0; set < 2; set++) {
		init(&s);
		begin(&s);
		s.row.state = set; /* the check decides, not the state */
		assert_true(undo_recover(&s.undo, &damage));
		assert_is_sealed(&s);
		assert_memory_equal(s.usages, before.usages, sizeof(s.usages));
		assert_memory_equal(s.leases, before.leases, sizeof(s.leases));
	}
	assert_int_equal(damage.dropped[STATEFILE_UNDO], 0);
}

/* Every bit of the head of the row: nothing is restored to a wrong place, or with wrong values. */
static void a_damaged_head_restores_nothing(void **state)
{
	struct scene s, changed;

	(void)state;
	init(&changed);
	begin(&changed);
	for (size_t bit = 32; bit < offsetof(struct statefile_undo, before) * 8; bit++) {
		struct statefile_damage damage = {{0}, {0}};
		init(&s);
		begin(&s);
		((uint8_t *)&s.row)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(undo_recover(&s.undo, &damage));
		assert_int_equal(damage.dropped[STATEFILE_UNDO], 1);
		assert_memory_equal(s.usages, changed.usages, sizeof(s.usages));
		/* the check of the rows tells that they are half changed */
		assert_false(staterow_is_sound(STATEROW(&s.usages[1])));
		assert_false(staterow_is_sound(STATEROW(&s.leases[2])));
	}
}

static void a_damaged_saved_row_is_not_restored(void **state)
{
	struct scene s;
	struct statefile_damage damage = {{0}, {0}};

	(void)state;
	init(&s);
	begin(&s);
	s.row.before[0].windows[USAGE_DAY].count ^= 4;
	assert_true(undo_recover(&s.undo, &damage));
	assert_int_equal(s.usages[1].windows[USAGE_DAY].count, 11);
	assert_false(staterow_is_sound(STATEROW(&s.usages[1])));
	assert_int_equal(s.usages[3].windows[USAGE_DAY].count, 30);
	assert_true(staterow_is_sound(STATEROW(&s.usages[3])));
	assert_int_equal(s.leases[2].state, LEASE_FREE);
}

static void rows_outside_of_the_tables_are_not_restored(void **state)
{
	struct scene s;
	struct statefile_damage damage = {{0}, {0}};

	(void)state;
	init(&s);
	begin(&s);
	s.row.rows[0] = USAGES;
	s.row.lease = LEASES + 1;
	s.row.check = undo_sum(&s.row);
	assert_true(undo_recover(&s.undo, &damage));
	assert_int_equal(s.usages[3].windows[USAGE_DAY].count, 30);
	assert_int_equal(s.usages[1].windows[USAGE_DAY].count, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_finished_change_is_sealed_and_stays),
		cmocka_unit_test(an_unfinished_change_is_undone),
		cmocka_unit_test(a_damaged_head_restores_nothing),
		cmocka_unit_test(a_damaged_saved_row_is_not_restored),
		cmocka_unit_test(rows_outside_of_the_tables_are_not_restored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
