/* Where requests about resources of an account go. */
#include "crowd.h"

#include "agent/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static int set_up(void **state)
{
	static struct crowd crowd;

	crowd_init(&crowd);
	crowd.provider = "openai";
	crowd.pool.flags = SNAPSHOT_POOL_RESOURCES;
	crowd.path = "/v1/files";
	crowd_build(&crowd);
	*state = &crowd;
	return 0;
}

static int tear_down(void **state)
{
	crowd_fini(*state);
	return 0;
}

static bool get(struct crowd *c, uint32_t n)
{
	c->method = "GET";
	c->path = "/v1/files/f";
	return crowd_decide(c, n);
}

static bool make(struct crowd *c, uint32_t n)
{
	c->method = "POST";
	c->path = "/v1/files";
	return crowd_decide(c, n);
}

/* The first resource; returns the index of its account. */
static uint32_t begin(struct crowd *c)
{
	assert_true(make(c, 1));
	uint32_t account = crowd_account(c);
	crowd_answered(c, 1);
	crowd_end(c, 1);
	return account;
}

static void all_requests_of_a_key_go_to_the_account_of_the_first(void **state)
{
	struct crowd *c = *state;
	uint32_t first = begin(c);

	for (uint32_t n = 2; n < 12; n++) {
		assert_true(n % 2 ? get(c, n) : make(c, n));
		assert_int_equal(crowd_account(c), first);
		assert_true(c->v.kept && !c->v.alt);
		crowd_end(c, n);
	}
	/* whatever names the conversation, and in every kind of pool */
	c->sticky = true;
	c->pool.strategy = SNAPSHOT_STRATEGY_ROUND_ROBIN;
	crowd_build(c);
	for (uint32_t n = 20; n < 30; n++) {
		assert_true(get(c, n));
		assert_int_equal(crowd_account(c), first);
		crowd_end(c, n);
	}
	assert_true(crowd_decide(c, 30));
	assert_true(crowd_lease(c, 30)->flags & LEASE_RESOURCE);
}

static void only_a_first_post_to_a_collection_may_fail_over(void **state)
{
	struct crowd *c = *state;

	assert_true(get(c, 1));
	assert_false(c->v.alt);
	crowd_end(c, 1);
	assert_true(make(c, 2));
	assert_true(c->v.alt && c->v.watch);
	uint32_t first = crowd_account(c);
	c->failed = "st=503;";
	assert_true(crowd_again(c, 2));
	uint32_t second = crowd_account(c);
	assert_int_not_equal(second, first);
	/* the account that answers has it */
	crowd_answered(c, 2);
	crowd_end(c, 2);
	assert_true(get(c, 3));
	assert_int_equal(crowd_account(c), second);
	assert_true(make(c, 4));
	assert_int_equal(crowd_account(c), second);
	assert_false(c->v.alt);
	assert_false(crowd_again(c, 4));
}

static void a_key_waits_for_the_account_of_its_resources(void **state)
{
	struct crowd *c = *state;
	uint32_t first = begin(c);
	char message[MESSAGE_SIZE];

	crowd_say(c, first, RESULT_WINDOW, c->now_ms + 7200000);
	assert_false(get(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_EXHAUSTED);
	message_format(&c->snapshot, &c->v, c->now_ms, message);
	assert_non_null(strstr(message, "the account of this key's resources is at its limits"));
	assert_null(strstr(message, "session"));
	c->accounts[first].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	crowd_build(c);
	assert_false(make(c, 3));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
}

static void the_store_remembers_longer_than_the_state(void **state)
{
	struct crowd *c = *state;

	for (uint32_t i = 0; i < c->account_count; i++) {
		c->resources_at = CROWD_ACCOUNT + i;
		crowd_build(c);
		c->now_ms += CROWD_TTL_MS;
		assert_true(get(c, 10 + i));
		assert_int_equal(crowd_account(c), i);
		assert_true(c->v.kept);
		crowd_answered(c, 10 + i);
		crowd_end(c, 10 + i);
	}
	/* what has answered since is newer than what the store says */
	c->resources_at = CROWD_ACCOUNT;
	crowd_build(c);
	assert_true(get(c, 20));
	assert_int_equal(crowd_account(c), c->account_count - 1);
}

static void an_account_that_has_left_the_pool_is_replaced(void **state)
{
	struct crowd *c = *state;
	uint32_t first = begin(c);

	c->resources_at = c->accounts[first].row.id;
	c->accounts[first].row.id = 99;
	for (uint32_t i = first; i + 1 < c->account_count; i++)
		c->accounts[i] = c->accounts[i + 1];
	c->account_count--;
	crowd_build(c);
	assert_true(make(c, 2));
	uint32_t next = c->v.account->id;
	assert_true(c->v.alt);
	assert_true(crowd_answered(c, 2));
	crowd_end(c, 2);
	assert_true(get(c, 3));
	assert_int_equal(c->v.account->id, next);
	assert_true(c->v.kept);
}

/* Nothing that is known: the choice depends on the key alone, whatever the strategy. */
static void a_lost_binding_leads_to_the_same_account(void **state)
{
	struct crowd *c = *state;

	c->pool.strategy = SNAPSHOT_STRATEGY_ROUND_ROBIN;
	crowd_build(c);
	assert_true(get(c, 1));
	uint32_t first = crowd_account(c);
	for (uint32_t n = 2; n < 20; n++) {
		crowd_end(c, n - 1);
		c->now_ms += CROWD_TTL_MS;
		assert_true(n % 2 ? get(c, n) : make(c, n));
		assert_int_equal(crowd_account(c), first);
	}
}

static void where_another_tenant_could_reach_them_they_are_not_served(void **state)
{
	struct crowd *c = *state;
	char message[MESSAGE_SIZE];

	c->pool.flags = SNAPSHOT_POOL_SHARED;
	crowd_build(c);
	assert_false(get(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ROUTE);
	message_format(&c->snapshot, &c->v, c->now_ms, message);
	assert_non_null(strstr(message, "another tenant could reach them"));
	assert_false(make(c, 2));
	c->path = "/v1/responses";
	assert_true(crowd_decide(c, 3));
	c->path = "/v1/organization/users";
	c->pool.flags = SNAPSHOT_POOL_RESOURCES;
	crowd_build(c);
	assert_false(crowd_decide(c, 4));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ROUTE);
	message_format(&c->snapshot, &c->v, c->now_ms, message);
	assert_non_null(strstr(message, "administration"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(all_requests_of_a_key_go_to_the_account_of_the_first),
		TEST(only_a_first_post_to_a_collection_may_fail_over),
		TEST(a_key_waits_for_the_account_of_its_resources),
		TEST(the_store_remembers_longer_than_the_state),
		TEST(an_account_that_has_left_the_pool_is_replaced),
		TEST(a_lost_binding_leads_to_the_same_account),
		TEST(where_another_tenant_could_reach_them_they_are_not_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
