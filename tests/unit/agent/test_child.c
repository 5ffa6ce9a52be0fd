#include "agent/keeper/child.h"
#include "common/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const struct {
	int status;
	bool ready;
	bool is_killed; /* by the watchdog */
	enum child_end why;
} ends[] = {
	{W_EXITCODE(0, SIGSEGV), true, false, CHILD_END_CRASH},
	{W_EXITCODE(0, SIGABRT) | WCOREFLAG, false, false, CHILD_END_CRASH},
	{W_EXITCODE(0, SIGSYS), true, false, CHILD_END_CRASH},
	{W_EXITCODE(0, SIGKILL), true, false, CHILD_END_KILLED},
	{W_EXITCODE(0, SIGTERM), false, false, CHILD_END_KILLED},
	{W_EXITCODE(1, 0), true, false, CHILD_END_EXIT},
	{W_EXITCODE(0, 0), true, false, CHILD_END_EXIT},
	{W_EXITCODE(78, 0), false, false, CHILD_END_START},
	{W_EXITCODE(0, SIGKILL), true, true, CHILD_END_HUNG},
	{W_EXITCODE(0, SIGKILL), false, true, CHILD_END_START},
};

static void each_end_is_counted_by_its_reason(void **state)
{
	struct channel_process p;
	struct child c;

	(void)state;
	child_init(&c, CHILD_CONTROL);
	child_describe(&c, &p);
	assert_int_equal(p.state, CHILD_DOWN);
	assert_int_equal(p.last_end_ms, 0);
	for (uint32_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint32_t before = c.ends[ends[i].why];
		child_started(&c, 4711, -1);
		child_describe(&c, &p);
		assert_int_equal(p.state, CHILD_STARTING);
		if (ends[i].ready)
			child_ready(&c);
		c.is_killed = ends[i].is_killed;
		child_describe(&c, &p);
		assert_int_equal(p.state,
			ends[i].is_killed	? CHILD_HUNG
				: ends[i].ready ? CHILD_SERVING
						: CHILD_STARTING);
		assert_int_equal(child_ended(&c, ends[i].status), ends[i].why);
		assert_int_equal(c.ends[ends[i].why], before + 1);
		child_describe(&c, &p);
		assert_int_equal(p.restarts, i + 1);
		assert_int_equal(p.last_end, ends[i].why);
		assert_true(p.last_end_ms > 0);
	}
}

static const char *explain(const struct child *c, int64_t after_ms)
{
	static char text[512];

	child_explain(c, clock_monotonic_ms() + after_ms, text, sizeof(text));
	return text;
}

static void has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" lacks \"%s\"", text, words);
}

static void tells_why_it_does_not_serve(void **state)
{
	struct child c;

	(void)state;
	child_init(&c, CHILD_CONTROL);
	child_started(&c, 4711, -1);
	has(explain(&c, 60000), "it has been starting for 60 s");
	snprintf(c.failure, sizeof(c.failure), "the disk is full");
	child_ended(&c, W_EXITCODE(1, 0));
	c.pid = 0;
	c.restart_at = clock_monotonic_ms() + 5000;
	has(explain(&c, 0), "the disk is full; the next start is in 5 s");
	child_started(&c, 4712, -1);
	has(explain(&c, 1000), "starting for 1 s; the one before: the disk is full");
	/* the reason was that one's alone */
	child_ended(&c, W_EXITCODE(0, SIGSEGV));
	c.pid = 0;
	c.restart_at = clock_monotonic_ms() + 5000;
	has(explain(&c, 0), "it ended by signal 11; the next start is in 5 s");
	c.restart_at = -1;
	has(explain(&c, 0), "the relay is stopping");
}

static void silence_begins_with_the_last_service(void **state)
{
	struct child c;

	(void)state;
	child_init(&c, CHILD_CONTROL);
	int64_t began = c.down_since;
	child_started(&c, 4711, -1);
	child_ended(&c, W_EXITCODE(1, 0));
	child_started(&c, 4712, -1);
	/* a new start does not begin it anew */
	assert_int_equal(child_silence_ms(&c, began + 7000), 7000);
	child_ready(&c);
	assert_int_equal(child_silence_ms(&c, began + 7000), 0);
	c.watch.is_asked = true;
	c.watch.silent_ms = 3000;
	assert_int_equal(child_silence_ms(&c, began + 7000), 3000);
	has(explain(&c, 0), "it has not answered for 3 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_is_counted_by_its_reason),
		cmocka_unit_test(tells_why_it_does_not_serve),
		cmocka_unit_test(silence_begins_with_the_last_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
