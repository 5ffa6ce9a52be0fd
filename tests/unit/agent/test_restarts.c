/* The counts of restarts pass to the next program, and only to one that counts the same. */
#include "agent/keeper/restarts.h"
#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct child before[CHILD_ROLE_COUNT];
	struct child after[CHILD_ROLE_COUNT];
	struct handover handover;
};

static void init_children(struct child children[CHILD_ROLE_COUNT])
{
	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++)
		child_init(&children[i], (enum child_role)i);
}

/* Two ends of the agent and one of control. */
static void set_up(struct fixture *f)
{
	*f = (struct fixture){.handover = {.restarts_fd = -1}};
	init_children(f->before);
	init_children(f->after);
	child_started(&f->before[CHILD_AGENT], 4711, -1);
	child_ended(&f->before[CHILD_AGENT], W_EXITCODE(0, SIGSEGV));
	child_started(&f->before[CHILD_AGENT], 4712, -1);
	child_ready(&f->before[CHILD_AGENT]);
	child_ended(&f->before[CHILD_AGENT], W_EXITCODE(0, SIGKILL));
	child_started(&f->before[CHILD_CONTROL], 4713, -1);
	child_ended(&f->before[CHILD_CONTROL], W_EXITCODE(1, 0));
	restarts_hand_over(f->before, &f->handover);
	assert_int_equal(f->handover.count, 1);
}

/* As the next program finds it. */
static void take(struct fixture *f, const char *name)
{
	struct inherited i = {.count = 1, .fds = {dup(*f->handover.rows[0].fd)}};

	assert_true(i.fds[0] >= 0);
	snprintf(i.names[0], sizeof(i.names[0]), "%s", name);
	restarts_take(&i, f->after);
	inherited_fini(&i);
	handover_fini(&f->handover);
}

static void is_new(const struct fixture *f)
{
	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++) {
		struct channel_process p;
		child_describe(&f->after[i], &p);
		assert_int_equal(p.restarts, 0);
		assert_int_equal(p.last_end_ms, 0);
	}
}

static void the_next_program_goes_on_counting(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	take(&f, f.handover.rows[0].name);
	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++) {
		struct channel_process before, after;
		child_describe(&f.before[i], &before);
		child_describe(&f.after[i], &after);
		assert_memory_equal(before.ends, after.ends, sizeof(before.ends));
		assert_int_equal(before.last_end, after.last_end);
		assert_int_equal(before.last_end_ms, after.last_end_ms);
		assert_int_equal(before.last_end_mono, after.last_end_mono);
	}
	assert_int_equal(f.after[CHILD_AGENT].ends[CHILD_END_CRASH], 1);
	assert_int_equal(f.after[CHILD_AGENT].ends[CHILD_END_KILLED], 1);
	assert_int_equal(f.after[CHILD_AGENT].last_end, CHILD_END_KILLED);
	assert_int_equal(f.after[CHILD_CONTROL].ends[CHILD_END_START], 1);
	child_ended(&f.after[CHILD_AGENT], W_EXITCODE(0, SIGSEGV));
	assert_int_equal(f.after[CHILD_AGENT].ends[CHILD_END_CRASH], 2);
}

static void counts_of_another_build_are_not_taken(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	take(&f, INHERITED_RESTARTS "12345");
	is_new(&f);
	set_up(&f);
	take(&f, INHERITED_BOARD "1");
	is_new(&f);
}

static void damaged_counts_are_not_taken(void **state)
{
	struct fixture f;
	off_t size;

	(void)state;
	set_up(&f);
	size = lseek(f.handover.restarts_fd, 0, SEEK_END);
	assert_true(size > 0);
	assert_int_equal(ftruncate(f.handover.restarts_fd, size - 1), 0);
	take(&f, f.handover.rows[0].name);
	is_new(&f);
	set_up(&f);
	for (off_t at = 0; at < size; at++)
		assert_int_equal(pwrite(f.handover.restarts_fd, "\xff", 1, at), 1);
	take(&f, f.handover.rows[0].name);
	is_new(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_program_goes_on_counting),
		cmocka_unit_test(counts_of_another_build_are_not_taken),
		cmocka_unit_test(damaged_counts_are_not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
