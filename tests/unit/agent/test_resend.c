/* A request that met a connection which the upstream had closed: who gets it once more, and who never does. */
#include "crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SOMEWHAT_MS 100

static int set_up(void **state)
{
	static struct crowd crowd;

	crowd_init(&crowd);
	crowd_build(&crowd);
	*state = &crowd;
	return 0;
}

static int tear_down(void **state)
{
	crowd_fini(*state);
	return 0;
}

#define CLOSED "st=0;"

/* HAProxy may have an idle connection to the upstream. */
static void keep_connection(struct crowd *c, bool alt)
{
	pooled_put(&c->tables.pooled, (struct pooled_key){1, CROWD_BACKEND, alt}, 40001, false,
		c->now_ms);
}

/* A request without another account: its conversation must stay. */
static bool decide_alone(struct crowd *c, uint32_t n)
{
	c->account_count = 1;
	crowd_build(c);
	bool allowed = crowd_decide(c, n);
	assert_false(c->v.alt);
	return allowed;
}

static void an_upstream_that_closed_a_connection_gets_the_request_again(void **state)
{
	struct crowd *c = *state;

	c->sticky = true;
	keep_connection(c, true);
	assert_true(crowd_decide(c, 1));
	assert_true(c->v.alt && !c->v.resend);
	uint32_t first = crowd_account(c);
	c->failed = CLOSED;
	c->now_ms += SOMEWHAT_MS;
	assert_true(crowd_again(c, 1));
	assert_true(c->v.fresh && c->v.alt);
	assert_int_equal(crowd_account(c), first);
	assert_int_equal(c->v.mark.attempt, 2);
	/* nobody is charged, and nothing counts twice */
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_NONE);
	assert_int_equal(crowd_all_counted(c), 1);
	assert_int_equal(crowd_all_in_use(c), 1);
	/* the answer was lost */
	assert_true(crowd_again2(c, 1));
	assert_true(c->v.fresh && c->v.repeated);
	assert_int_equal(crowd_account(c), first);
	/* once: the next time another account serves, and as many attempts are left as before */
	c->now_ms += SOMEWHAT_MS;
	assert_true(crowd_again(c, 1));
	assert_false(c->v.fresh);
	assert_int_not_equal(crowd_account(c), first);
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_ANSWER);
	assert_true(crowd_again(c, 1));
	assert_false(c->v.fresh || c->v.alt);
	assert_int_equal(c->v.mark.attempt, 4);
	assert_false(crowd_again(c, 1));
	crowd_end(c, 1);
	assert_int_equal(crowd_all_in_use(c), 0);
}

static void only_what_may_be_a_race_is_sent_again(void **state)
{
	static const struct {
		const char *failed; /* NULL = HAProxy cannot tell */
		int64_t after_ms;
		bool kept, sticky, fresh;
	} rows[] = {
		{CLOSED, 0, true, false, true},
		{CLOSED, 1999, true, false, true},
		{CLOSED, 2000, true, false, false},
		{CLOSED, -1, true, false, false},
		{"st=403;ra=5;st=0;", 5, true, false, false},
		{"st=503;st=0;", 5, true, false, false},
		{"ra=5;", 5, true, false, false},
		/* HAProxy had no idle connection, or says itself what it used */
		{CLOSED, 5, false, false, false},
		{"ru=1;" CLOSED "ru=none;", 5, false, false, true},
		{"ru=0;" CLOSED "ru=none;", 5, true, false, false},
		{CLOSED "ru=none;", 5, true, false, false},
		{"po=40001;" CLOSED, 5, true, false, true},
		{"po=40002;" CLOSED, 5, true, false, false},
		/* HAProxy 2.6 cannot tell: only a conversation that was answered there is worth it */
		{NULL, 5, true, false, false},
		{NULL, 5, true, true, true},
		{NULL, 5, false, true, false},
	};
	struct crowd *c = *state;

	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		c->sticky = rows[i].sticky;
		if (rows[i].kept)
			keep_connection(c, true);
		assert_true(crowd_decide(c, i + 1));
		if (rows[i].sticky) {
			crowd_answered(c, i + 1);
			crowd_end(c, i + 1);
			if (rows[i].kept)
				keep_connection(c, true);
			assert_true(crowd_decide(c, i + 1));
		}
		uint32_t first = crowd_account(c);
		c->failed = rows[i].failed;
		c->now_ms += rows[i].after_ms;
		assert_true(crowd_again(c, i + 1));
		assert_int_equal(c->v.fresh, rows[i].fresh);
		assert_int_equal(crowd_account(c) == first, rows[i].fresh);
		crowd_end(c, i + 1);
		c->now_ms += 600000;
	}
}

static void the_only_account_gets_a_request_again_on_a_new_connection(void **state)
{
	struct crowd *c = *state;

	c->head.options.health_attempts = 1;
	keep_connection(c, false);
	assert_true(decide_alone(c, 1));
	assert_true(c->v.resend);
	c->failed = CLOSED;
	assert_true(crowd_again(c, 1));
	assert_true(c->v.fresh && !c->v.alt && !c->v.resend);
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_NONE);
	assert_int_equal(crowd_all_counted(c), 1);
	assert_int_equal(crowd_all_in_use(c), 1);
	/* once: then HAProxy takes back only connections that it cannot make */
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
	crowd_end(c, 1);
	/* the connection was taken: the next request cannot get it */
	assert_true(decide_alone(c, 2));
	assert_false(c->v.resend);
}

/* The upstream may have executed the request. */
static void the_only_account_never_gets_a_request_twice_from_new_connections(void **state)
{
	static const struct {
		const char *failed;
		int64_t after_ms;
	} rows[] = {
		{"ru=0;" CLOSED "ru=none;", 5},
		{"ru=1;" CLOSED "ru=none;", 2000},
		{CLOSED, 2000},
		{NULL, 2000},
	};
	struct crowd *c = *state;

	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		keep_connection(c, false);
		assert_true(decide_alone(c, i + 1));
		assert_true(c->v.resend);
		c->failed = rows[i].failed;
		c->now_ms += rows[i].after_ms;
		assert_false(crowd_again(c, i + 1));
		assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_INVALID);
		assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_ANSWER);
		assert_int_equal(c->v.failed.result.class, RESULT_NETWORK);
		assert_int_equal(crowd_lease(c, i + 1)->flags & LEASE_UNSENT, 0);
		crowd_end(c, i + 1);
		c->now_ms += 600000;
	}
}

static void without_an_idle_connection_only_a_failed_one_is_made_again(void **state)
{
	struct crowd *c = *state;

	assert_true(decide_alone(c, 1));
	assert_false(c->v.resend);
	/* HAProxy comes back only if it had no connection */
	c->failed = CLOSED;
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_CONNECT);
	/* 3.2 and later tell it of a request that may be sent again, too */
	keep_connection(c, false);
	assert_true(decide_alone(c, 2));
	assert_true(c->v.resend);
	c->failed = CLOSED "ru=none;";
	assert_false(crowd_again(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_CONNECT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_upstream_that_closed_a_connection_gets_the_request_again),
		TEST(only_what_may_be_a_race_is_sent_again),
		TEST(the_only_account_gets_a_request_again_on_a_new_connection),
		TEST(the_only_account_never_gets_a_request_twice_from_new_connections),
		TEST(without_an_idle_connection_only_a_failed_one_is_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
