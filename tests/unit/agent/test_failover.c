/*
 * One request from account to account: which account it gets, what is counted and held, and when it
 * ends.
 */
#include "crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define SOMEWHAT_MS 100
#define TOO_LATE_MS 2500 /* for again2 */

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

/* --- which account --- */

static void an_account_that_refused_is_not_tried_again(void **state)
{
	struct crowd *c = *state;
	bool asked[CROWD_ACCOUNTS];

	for (uint32_t n = 1; n < 200; n++) {
		memset(asked, 0, sizeof(asked));
		assert_true(crowd_decide(c, n));
		asked[crowd_account(c)] = true;
		for (uint32_t attempt = 2; attempt <= 3; attempt++) {
			c->now_ms += SOMEWHAT_MS;
			assert_true(crowd_again(c, n));
			assert_int_equal(c->v.mark.attempt, attempt);
			assert_false(asked[crowd_account(c)]);
			asked[crowd_account(c)] = true;
			const struct statefile_lease *lease = crowd_lease(c, n);
			assert_int_equal(lease->account, c->v.account->id);
			assert_int_equal(lease->flags & LEASE_ALT ? 1 : 0, c->v.alt);
		}
		c->now_ms += SOMEWHAT_MS;
		assert_false(crowd_again(c, n));
		crowd_end(c, n);
	}
}

static void accounts_that_are_out_are_not_tried(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	uint32_t first = crowd_account(c);
	for (uint32_t i = 0; i < 3; i++) {
		if (i != first)
			crowd_break_account(c, i);
	}
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_ANSWER);
	/* the first account is not out: the client's next request may succeed before the others come back */
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
	assert_int_equal(c->v.resets_ms, 0);
	for (uint32_t i = 0; i < 3; i++) {
		if (i != first)
			c->accounts[i].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	}
	crowd_build(c);
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
}

static void never_more_attempts_than_configured(void **state)
{
	struct crowd *c = *state;

	c->account_count = CROWD_ACCOUNTS;
	for (uint32_t attempts = 1; attempts <= STATEFILE_ATTEMPTS; attempts++) {
		c->head.options.health_attempts = attempts;
		crowd_build(c);
		assert_true(crowd_decide(c, attempts));
		uint32_t made = 1;
		while (c->v.alt) {
			assert_true(crowd_again(c, attempts));
			made++;
		}
		assert_int_equal(made, attempts);
		assert_false(crowd_again(c, attempts));
		assert_int_equal(crowd_lease(c, attempts)->attempt, attempts);
	}
}

static void an_id_without_a_lease_is_refused(void **state)
{
	struct crowd *c = *state;

	assert_false(crowd_again(c, 1));
	assert_false(crowd_again2(c, 1));
	assert_true(crowd_decide(c, 1));
	crowd_end(c, 1);
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_NONE);
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNT_SWITCHED);
	assert_int_equal(c->tables.leases.used, 0);
}

static void a_conversation_moves_with_its_request_when_it_is_answered(void **state)
{
	struct crowd *c = *state;

	c->sticky = true;
	assert_true(crowd_decide(c, 1));
	uint32_t first = crowd_account(c);
	assert_true(crowd_again(c, 1));
	assert_true(c->v.watch);
	uint32_t second = crowd_account(c);
	/* its key shuns the first one, but the conversation is still bound to it */
	assert_true(crowd_decide(c, 2) && c->v.moved);
	assert_int_equal(c->v.bound_to, CROWD_ACCOUNT + first);
	assert_int_equal(crowd_account(c), second);
	crowd_answered(c, 1);
	assert_true(crowd_decide(c, 3));
	assert_int_equal(crowd_account(c), second);
	assert_true(c->v.bound);
}

static void a_conversation_leaves_an_account_that_is_out(void **state)
{
	struct crowd *c = *state;

	c->sticky = true;
	assert_true(crowd_decide(c, 1));
	uint32_t first = crowd_account(c);
	crowd_break_account(c, first);
	assert_true(crowd_decide(c, 2));
	assert_true(c->v.moved);
	assert_int_not_equal(crowd_account(c), first);
	/* and stays out, when the other one has answered */
	crowd_answered(c, 2);
	c->now_ms += 2 * (int64_t)c->head.options.health_recovery_ms;
	assert_true(crowd_decide(c, 3));
	assert_int_not_equal(crowd_account(c), first);
}

static void upstream_state_waits_for_its_account_in_a_hard_pool(void **state)
{
	struct crowd *c = *state;

	c->hard = true;
	c->pool.sticky = SNAPSHOT_STICKY_HARD;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	uint32_t first = crowd_account(c);
	crowd_break_account(c, first);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
	c->now_ms += (int64_t)c->head.options.health_recovery_ms;
	assert_true(crowd_decide(c, 2));
	assert_int_equal(crowd_account(c), first);
}

static void an_account_that_waits_for_a_credential_is_not_tried(void **state)
{
	struct crowd *c = *state;

	c->accounts[0].row.flags = SNAPSHOT_ACCOUNT_REFRESHABLE;
	c->accounts[1].row.flags = SNAPSHOT_ACCOUNT_NEEDS_LOGIN;
	crowd_build(c);
	crowd_say(c, 0, RESULT_AUTH, 0);
	for (uint32_t n = 1; n <= 10; n++) {
		assert_true(crowd_decide(c, n));
		assert_int_equal(crowd_account(c), 2);
		assert_false(c->v.alt);
	}
	c->accounts[0].row.credential_generation++;
	crowd_build(c);
	assert_true(crowd_decide(c, 11) && c->v.alt);
}

static void a_request_of_a_deleted_tenant_or_pool_is_refused(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1) && crowd_decide(c, 2) && crowd_decide(c, 3));
	assert_true(crowd_again(c, 2));
	uint32_t second = crowd_account(c);
	/* its account has another egress now, but the egress it used explains the failure */
	c->accounts[second].egresses[0] = 1;
	crowd_build(c);
	assert_false(crowd_again2(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNT_SWITCHED);
	assert_true(crowd_again(c, 2));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_EGRESS);
	c->pool.id++;
	crowd_build(c);
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
	c->pool.id--;
	c->tenant.id++;
	crowd_build(c);
	assert_false(crowd_again(c, 3));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
}

/* --- what HAProxy is told --- */

static void the_last_attempt_has_no_alternative(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1) && c->v.alt);
	assert_true(crowd_again(c, 1) && c->v.alt);
	assert_true(crowd_again(c, 1));
	assert_false(c->v.alt);
	c->head.options.health_attempts = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 2));
	assert_false(c->v.alt || c->v.spent);
}

static void a_pool_of_one_has_no_alternative(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(c->v.alt || c->v.spent);
	/* nor has a request whose other accounts are out */
	c->account_count = 2;
	crowd_build(c);
	crowd_break_account(c, 1);
	assert_true(crowd_decide(c, 2));
	assert_int_equal(crowd_account(c), 0);
	assert_false(c->v.alt || c->v.spent);
}

static void upstream_state_stays_in_a_hard_pool_and_moves_in_a_soft_one(void **state)
{
	struct crowd *c = *state;

	c->hard = true;
	assert_true(crowd_decide(c, 1) && c->v.alt);
	assert_true(crowd_again(c, 1));
	c->pool.sticky = SNAPSHOT_STICKY_HARD;
	crowd_build(c);
	assert_true(crowd_decide(c, 2));
	assert_false(c->v.alt || c->v.spent);
	assert_false(crowd_again(c, 2));
	c->hard = false;
	assert_true(crowd_decide(c, 3) && c->v.alt);
}

/* --- budget --- */

static void a_spent_budget_leaves_no_alternative(void **state)
{
	struct crowd *c = *state;

	c->head.options.health_retry_per_second = 2;
	crowd_build(c);
	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(crowd_decide(c, n) && c->v.alt);
		assert_true(crowd_again(c, n));
	}
	assert_true(crowd_decide(c, 3));
	assert_false(c->v.alt);
	assert_true(c->v.spent);
	c->now_ms += 1000;
	assert_true(crowd_decide(c, 4) && c->v.alt);
}

static void every_request_earns_its_share(void **state)
{
	struct crowd *c = *state;

	c->head.options.health_retry_per_second = 0;
	c->head.options.health_retry_percent = 25;
	crowd_build(c);
	for (uint32_t n = 1; n <= 4; n++) {
		assert_true(crowd_decide(c, n));
		assert_false(c->v.alt);
		/* a repeated question earns nothing more */
		assert_true(crowd_decide(c, n));
	}
	assert_true(crowd_decide(c, 5) && c->v.alt);
	assert_true(crowd_again(c, 5));
	assert_true(crowd_decide(c, 6));
	assert_false(c->v.alt);
}

static void requests_in_flight_overdraw_the_budget(void **state)
{
	struct crowd *c = *state;

	c->head.options.health_retry_per_second = 1;
	crowd_build(c);
	for (uint32_t n = 1; n <= 5; n++)
		assert_true(crowd_decide(c, n) && c->v.alt);
	for (uint32_t n = 1; n <= 5; n++)
		assert_true(crowd_again(c, n));
	for (uint32_t s = 0; s < 4; s++) {
		c->now_ms += 1000;
		assert_true(crowd_decide(c, 6) && c->v.spent);
		crowd_end(c, 6);
	}
	c->now_ms += 1000;
	assert_true(crowd_decide(c, 6) && c->v.alt);
}

/* --- slots and windows --- */

static void the_slot_moves_from_account_to_account(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	for (uint32_t attempt = 1; attempt <= 3; attempt++) {
		assert_int_equal(crowd_all_in_use(c), 1);
		assert_int_equal(crowd_in_use(c, USAGE_ACCOUNT, c->v.account->id), 1);
		assert_int_equal(crowd_in_use(c, USAGE_TENANT, CROWD_TENANT), 1);
		assert_int_equal(crowd_in_use(c, USAGE_KEY, CROWD_KEY), 1);
		assert_int_equal(crowd_again(c, 1), attempt < 3);
	}
	crowd_end(c, 1);
	assert_int_equal(crowd_all_in_use(c), 0);
	assert_int_equal(crowd_in_use(c, USAGE_TENANT, CROWD_TENANT), 0);
}

/* Without limits, tenant and key would not be counted. */
static void limit(struct crowd *c)
{
	c->tenant.limits.monthly = c->key.limits.monthly = 1000;
	crowd_build(c);
}

static void accounts_count_attempts_and_tenants_count_requests(void **state)
{
	struct crowd *c = *state;

	limit(c);
	for (uint32_t n = 1; n <= 3; n++) {
		assert_true(crowd_decide(c, n));
		assert_true(crowd_again(c, n));
		assert_true(crowd_again(c, n));
		assert_false(crowd_again(c, n));
		assert_int_equal(crowd_all_counted(c), 3 * n);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(crowd_counted(c, USAGE_ACCOUNT, CROWD_ACCOUNT + i), n);
		assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), n);
		assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), n);
	}
}

/* A later attempt that was never sent says nothing about earlier ones. */
static void only_a_first_attempt_is_given_back(void **state)
{
	struct crowd *c = *state;

	limit(c);
	assert_true(crowd_decide(c, 1) && crowd_decide(c, 2));
	assert_true(crowd_again(c, 2));
	decide_release(&c->tables.state, crowd_lease(c, 1), true);
	decide_release(&c->tables.state, crowd_lease(c, 2), true);
	assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), 1);
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 1);
	assert_int_equal(crowd_all_counted(c), 2);
	assert_int_equal(crowd_all_in_use(c), 0);
}

static void the_next_accounts_limits_apply(void **state)
{
	struct crowd *c = *state;

	c->account_count = 2;
	c->accounts[0].row.limits.concurrency = c->accounts[1].row.limits.concurrency = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1) && c->v.alt);
	uint32_t first = crowd_account(c);
	assert_true(crowd_decide(c, 2));
	assert_int_not_equal(crowd_account(c), first);
	assert_false(c->v.alt);
	assert_false(crowd_again(c, 1));
	assert_int_equal(crowd_in_use(c, USAGE_ACCOUNT, CROWD_ACCOUNT + first), 1);
	crowd_end(c, 2);
	assert_true(crowd_again(c, 1));
}

/* --- repeated questions --- */

static void again2_in_time_answers_the_same_attempt(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	assert_true(crowd_again(c, 1));
	struct decide_verdict before = c->v;
	uint32_t counted = crowd_all_counted(c);
	c->now_ms += TOO_LATE_MS - 1;
	assert_true(crowd_again2(c, 1));
	assert_true(c->v.repeated);
	assert_ptr_equal(c->v.account, before.account);
	assert_ptr_equal(c->v.backend, before.backend);
	assert_memory_equal(&c->v.mark, &before.mark, sizeof(before.mark));
	assert_int_equal(c->v.alt, before.alt);
	assert_int_equal(crowd_all_counted(c), counted);
	assert_int_equal(crowd_all_in_use(c), 1);
	/* later it is a question for the next attempt */
	c->now_ms++;
	assert_true(crowd_again2(c, 1));
	assert_false(c->v.repeated);
	assert_int_equal(c->v.mark.attempt, 3);
	assert_ptr_not_equal(c->v.account, before.account);
}

static void again2_without_again_is_a_new_attempt(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	uint32_t first = crowd_account(c);
	assert_true(crowd_again2(c, 1));
	assert_false(c->v.repeated);
	assert_int_not_equal(crowd_account(c), first);
}

static void a_refused_again_leaves_nothing_to_repeat(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	assert_true(crowd_again(c, 1));
	assert_true(crowd_again(c, 1));
	assert_false(crowd_again(c, 1));
	assert_false(crowd_again2(c, 1));
	assert_false(c->v.repeated);
}

static void a_new_agent_knows_the_attempt(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	bool alt = c->v.alt;
	c->head.options.health_retry_per_second = 0;
	crowd_build(c);
	crowd_restart(c);
	/* HAProxy may act on its first answer */
	assert_true(crowd_decide(c, 1));
	assert_true(c->v.repeated);
	assert_int_equal(c->v.alt, alt);
	assert_true(crowd_again(c, 1));
	uint32_t second = crowd_account(c);
	crowd_restart(c);
	assert_true(crowd_again2(c, 1));
	assert_true(c->v.repeated);
	assert_int_equal(crowd_account(c), second);
	assert_int_equal(crowd_all_in_use(c), 1);
	assert_int_equal(crowd_all_counted(c), 2);
}

/* After a kill between undo_begin() and undo_end() the tables are as before the question. */
static void a_kill_during_a_move_moves_nothing(void **state)
{
	struct crowd *c = *state;
	struct statefile_lease before;

	assert_true(crowd_decide(c, 1));
	memcpy(&before, crowd_lease(c, 1), sizeof(before));
	assert_true(crowd_again(c, 1));
	uint32_t second = crowd_account(c);
	c->tables.undo_row->check = undo_sum(c->tables.undo_row);
	crowd_restart(c);
	/* how the attempt failed is true all the same */
	memset(before.failed, 0, sizeof(before.failed));
	memset(crowd_lease(c, 1)->failed, 0, sizeof(before.failed));
	lease_seal(crowd_lease(c, 1));
	assert_memory_equal(crowd_lease(c, 1), &before, sizeof(before));
	assert_int_equal(crowd_all_in_use(c), 1);
	assert_int_equal(crowd_in_use(c, USAGE_ACCOUNT, before.account), 1);
	assert_int_equal(crowd_all_counted(c), 1);
	assert_int_equal(crowd_counted(c, USAGE_ACCOUNT, CROWD_ACCOUNT + second), 0);
	assert_true(crowd_again2(c, 1));
	assert_false(c->v.repeated);
	assert_int_equal(c->v.mark.attempt, 2);
	assert_int_equal(crowd_all_counted(c), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_that_refused_is_not_tried_again),
		TEST(accounts_that_are_out_are_not_tried),
		TEST(never_more_attempts_than_configured),
		TEST(an_id_without_a_lease_is_refused),
		TEST(a_conversation_moves_with_its_request_when_it_is_answered),
		TEST(a_conversation_leaves_an_account_that_is_out),
		TEST(upstream_state_waits_for_its_account_in_a_hard_pool),
		TEST(an_account_that_waits_for_a_credential_is_not_tried),
		TEST(a_request_of_a_deleted_tenant_or_pool_is_refused),
		TEST(the_last_attempt_has_no_alternative),
		TEST(a_pool_of_one_has_no_alternative),
		TEST(upstream_state_stays_in_a_hard_pool_and_moves_in_a_soft_one),
		TEST(a_spent_budget_leaves_no_alternative),
		TEST(every_request_earns_its_share),
		TEST(requests_in_flight_overdraw_the_budget),
		TEST(the_slot_moves_from_account_to_account),
		TEST(accounts_count_attempts_and_tenants_count_requests),
		TEST(only_a_first_attempt_is_given_back),
		TEST(the_next_accounts_limits_apply),
		TEST(again2_in_time_answers_the_same_attempt),
		TEST(again2_without_again_is_a_new_attempt),
		TEST(a_refused_again_leaves_nothing_to_repeat),
		TEST(a_new_agent_knows_the_attempt),
		TEST(a_kill_during_a_move_moves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
