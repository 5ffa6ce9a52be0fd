/* The order in which the children end, and what becomes of one that dies on the way. */
#include "agent/keeper/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BEGAN 1000
#define PATIENCE 30000

static struct drain begun(void)
{
	struct drain d = {.step = DRAIN_NONE};

	assert_false(drain_is_on(&d));
	assert_false(drain_ends(&d, CHILD_AGENT, true, false, BEGAN));
	assert_false(drain_next(&d, false, false, BEGAN));
	drain_begin(&d, BEGAN, PATIENCE, true);
	assert_true(drain_is_on(&d));
	return d;
}

/* The step after the agent has ended as it should. */
static struct drain at_control(void)
{
	struct drain d = begun();

	assert_true(drain_ends(&d, CHILD_AGENT, true, false, BEGAN + 500));
	assert_true(drain_next(&d, false, true, BEGAN + 500));
	assert_int_equal(d.step, DRAIN_CONTROL);
	return d;
}

static void agent_then_control(void **state)
{
	struct drain d = begun();

	(void)state;
	assert_false(drain_next(&d, true, true, BEGAN));
	d = at_control();
	assert_int_equal(drain_left_ms(&d, BEGAN + 500), PATIENCE - 500);
	assert_false(drain_next(&d, false, true, BEGAN + 600));
	assert_true(drain_ends(&d, CHILD_CONTROL, true, false, BEGAN + 600));
	assert_true(drain_next(&d, false, false, BEGAN + 600));
	assert_int_equal(d.step, DRAIN_OVER);
	assert_true(d.saved);
	assert_false(drain_next(&d, false, false, BEGAN + 600));
	assert_int_equal(drain_deadline(&d), INT64_MAX);
}

static void who_dies_too_early_is_started_again(void **state)
{
	struct drain d = begun();

	(void)state;
	assert_false(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 1));
	assert_false(drain_ends(&d, CHILD_CONTROL, true, false, BEGAN + 1));
	assert_false(drain_ends(&d, CHILD_AGENT, false, false, BEGAN + PATIENCE - 1));
	assert_int_equal(d.step, DRAIN_AGENT);
	/* it would have nothing to wait for */
	assert_true(drain_ends(&d, CHILD_AGENT, false, false, BEGAN + PATIENCE));
}

static void another_control_process_saves(void **state)
{
	struct drain d = at_control();

	(void)state;
	assert_true(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 600));
	for (int i = 0; i < DRAIN_SAVES_MAX; i++) {
		assert_true(drain_next(&d, false, false, BEGAN + 600));
		assert_int_equal(d.step, DRAIN_SAVES);
		assert_false(drain_next(&d, false, true, BEGAN + 600));
		assert_true(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 700));
	}
	assert_true(drain_next(&d, false, false, BEGAN + 800));
	assert_int_equal(d.step, DRAIN_OVER);
	assert_false(d.saved);

	d = at_control();
	assert_true(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 600));
	assert_true(drain_next(&d, false, false, BEGAN + 600));
	assert_true(drain_ends(&d, CHILD_CONTROL, true, false, BEGAN + 700));
	assert_true(drain_next(&d, false, false, BEGAN + 700));
	assert_int_equal(d.step, DRAIN_OVER);
	assert_true(d.saved);
}

static void it_saves_also_if_none_runs_when_the_agent_ends(void **state)
{
	struct drain d = begun();

	(void)state;
	assert_true(drain_ends(&d, CHILD_AGENT, true, false, BEGAN + 500));
	assert_true(drain_next(&d, false, false, BEGAN + 500));
	assert_int_equal(d.step, DRAIN_SAVES);
}

static void who_cannot_run_is_not_started_again(void **state)
{
	struct drain d = begun();

	(void)state;
	assert_true(drain_ends(&d, CHILD_CONTROL, false, true, BEGAN + 1));
	assert_true(drain_ends(&d, CHILD_AGENT, false, true, BEGAN + 2));
	assert_true(drain_next(&d, false, false, BEGAN + 2));
	assert_int_equal(d.step, DRAIN_OVER);
	drain_begin(&d, BEGAN, PATIENCE, false);
	assert_true(drain_ends(&d, CHILD_AGENT, true, false, BEGAN + 2));
	assert_true(drain_next(&d, false, false, BEGAN + 2));
	assert_int_equal(d.step, DRAIN_OVER);
}

static void each_step_has_an_end(void **state)
{
	struct drain d = begun();

	(void)state;
	int64_t due = drain_deadline(&d);
	assert_true(due > BEGAN + PATIENCE);
	assert_false(drain_overdue(&d, due - 1));
	assert_true(drain_overdue(&d, due));
	assert_false(drain_overdue(&d, due));
	assert_true(drain_deadline(&d) > due);
	/* control may use what is left of the patience for refreshes */
	d = at_control();
	assert_true(drain_deadline(&d) > BEGAN + PATIENCE);
	assert_true(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 600));
	assert_true(drain_next(&d, false, false, BEGAN + 600));
	assert_true(drain_deadline(&d) < BEGAN + PATIENCE);
}

static void a_second_signal_waits_for_nothing_and_saves_once(void **state)
{
	struct drain d = begun();

	(void)state;
	drain_hasten(&d, BEGAN + 100);
	assert_int_equal(drain_left_ms(&d, BEGAN + 100), 0);
	/* whichever ends first */
	struct drain other = d;
	assert_true(drain_ends(&other, CHILD_CONTROL, false, false, BEGAN + 100));
	assert_false(drain_next(&other, true, false, BEGAN + 100));
	assert_true(drain_ends(&other, CHILD_AGENT, false, false, BEGAN + 100));
	assert_true(drain_next(&other, false, false, BEGAN + 100));
	assert_int_equal(other.step, DRAIN_SAVES);
	assert_true(drain_ends(&d, CHILD_AGENT, false, false, BEGAN + 100));
	assert_true(drain_next(&d, false, true, BEGAN + 100));
	assert_true(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 100));
	assert_true(drain_next(&d, false, false, BEGAN + 100));
	assert_int_equal(d.step, DRAIN_SAVES);
	assert_true(drain_ends(&d, CHILD_CONTROL, false, false, BEGAN + 200));
	assert_true(drain_next(&d, false, false, BEGAN + 200));
	assert_int_equal(d.step, DRAIN_OVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agent_then_control),
		cmocka_unit_test(who_dies_too_early_is_started_again),
		cmocka_unit_test(another_control_process_saves),
		cmocka_unit_test(it_saves_also_if_none_runs_when_the_agent_ends),
		cmocka_unit_test(who_cannot_run_is_not_started_again),
		cmocka_unit_test(each_step_has_an_end),
		cmocka_unit_test(a_second_signal_waits_for_nothing_and_saves_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
