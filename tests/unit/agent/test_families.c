/*
 * Whose windows and slots a request uses: those of its key's family and of its tenant; none where
 * nothing is limited.
 */
#include "crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NEWER_KEY 9
#define NEWEST_KEY 12

static int set_up(void **state)
{
	static struct crowd crowd;

	crowd_init(&crowd);
	*state = &crowd;
	return 0;
}

static int tear_down(void **state)
{
	crowd_fini(*state);
	return 0;
}

/* The next questions come with this key of the family of CROWD_KEY. */
static void use_key(struct crowd *c, uint32_t id)
{
	c->key.id = id;
	c->key.family = id == CROWD_KEY ? 0 : CROWD_KEY;
	crowd_build(c);
}

static uint32_t rows_used(const struct crowd *c)
{
	return c->tables.usages.index.used;
}

/* --- families --- */

static void a_family_has_one_quota(void **state)
{
	static const uint32_t keys[] = {CROWD_KEY, NEWER_KEY, NEWEST_KEY, CROWD_KEY, NEWER_KEY};
	struct crowd *c = *state;

	c->key.limits.daily = 5;
	for (uint32_t n = 0; n < 5; n++) {
		use_key(c, keys[n]);
		assert_true(crowd_decide(c, n + 1));
		assert_int_equal(c->v.rate.left, 4 - n);
		crowd_end(c, n + 1);
		crowd_restart(c);
	}
	for (uint32_t n = 0; n < 5; n++) {
		use_key(c, keys[n]);
		assert_false(crowd_decide(c, 10 + n));
		assert_int_equal(c->v.refusal, REFUSAL_QUOTA_EXCEEDED);
	}
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 5);
	assert_null(usage_find(&c->tables.usages, USAGE_KEY, NEWER_KEY));
}

static void a_family_has_one_set_of_slots(void **state)
{
	struct crowd *c = *state;

	c->key.limits.concurrency = 2;
	use_key(c, CROWD_KEY);
	assert_true(crowd_decide(c, 1));
	use_key(c, NEWER_KEY);
	assert_true(crowd_decide(c, 2));
	assert_false(crowd_decide(c, 3));
	assert_int_equal(c->v.refusal, REFUSAL_CONCURRENCY_LIMITED);
	crowd_restart(c);
	use_key(c, CROWD_KEY);
	assert_false(crowd_decide(c, 4));
	assert_int_equal(crowd_in_use(c, USAGE_KEY, CROWD_KEY), 2);
	crowd_end(c, 1);
	use_key(c, NEWEST_KEY);
	assert_true(crowd_decide(c, 5));
	crowd_end(c, 2);
	crowd_end(c, 5);
	assert_int_equal(crowd_in_use(c, USAGE_KEY, CROWD_KEY), 0);
}

/* Each key has its own limits against the counts of all. */
static void the_limits_are_those_of_the_key_that_asks(void **state)
{
	struct crowd *c = *state;

	c->key.limits.rph = 3;
	use_key(c, CROWD_KEY);
	for (uint32_t n = 1; n <= 3; n++)
		assert_true(crowd_decide(c, n));
	assert_false(crowd_decide(c, 4));
	c->key.limits.rph = 4;
	use_key(c, NEWER_KEY);
	assert_true(crowd_decide(c, 4));
	assert_false(crowd_decide(c, 5));
}

static void another_key_cannot_repeat_a_request_of_its_family(void **state)
{
	struct crowd *c = *state;

	use_key(c, CROWD_KEY);
	assert_true(crowd_decide(c, 1));
	use_key(c, NEWER_KEY);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_BAD_REQUEST);
}

static void a_lease_of_an_older_version_is_of_its_key(void **state)
{
	struct crowd *c = *state;

	c->key.limits.concurrency = 1;
	use_key(c, CROWD_KEY);
	assert_true(crowd_decide(c, 1));
	crowd_lease(c, 1)->family = 0;
	lease_seal(crowd_lease(c, 1));
	crowd_restart(c);
	assert_int_equal(crowd_in_use(c, USAGE_KEY, CROWD_KEY), 1);
	decide_release(&c->tables.state, crowd_lease(c, 1), true);
	assert_int_equal(crowd_in_use(c, USAGE_KEY, CROWD_KEY), 0);
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 0);
}

/* --- no limits, no rows --- */

static void without_limits_only_account_and_pool_have_rows(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_int_equal(rows_used(c), 2);
	assert_int_equal(crowd_in_use(c, USAGE_TENANT, CROWD_TENANT), 1);
	assert_int_equal(crowd_in_use(c, USAGE_KEY, CROWD_KEY), 1);
	crowd_restart(c);
	assert_int_equal(crowd_in_use(c, USAGE_TENANT, CROWD_TENANT), 1);
	decide_release(&c->tables.state, crowd_lease(c, 1), true);
	assert_int_equal(crowd_in_use(c, USAGE_TENANT, CROWD_TENANT), 0);
	assert_int_equal(rows_used(c), 2);
	c->key.limits.concurrency = 5;
	crowd_build(c);
	assert_true(crowd_decide(c, 2));
	assert_int_equal(rows_used(c), 3);
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 1);
}

static void a_new_limit_sees_the_requests_in_progress(void **state)
{
	struct crowd *c = *state;

	crowd_build(c);
	for (uint32_t n = 1; n <= 3; n++)
		assert_true(crowd_decide(c, n));
	c->tenant.limits.concurrency = 3;
	crowd_build(c);
	assert_false(crowd_decide(c, 4));
	assert_int_equal(c->v.refusal, REFUSAL_CONCURRENCY_LIMITED);
	crowd_end(c, 1);
	assert_true(crowd_decide(c, 4));
	assert_false(crowd_decide(c, 5));
}

static void what_was_not_counted_is_not_given_back(void **state)
{
	struct crowd *c = *state;

	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	c->tenant.limits.daily = 10;
	c->key.limits.daily = 10;
	crowd_build(c);
	assert_true(crowd_decide(c, 2));
	assert_true(crowd_decide(c, 3));
	decide_release(&c->tables.state, crowd_lease(c, 1), true);
	assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), 2);
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 2);
	decide_release(&c->tables.state, crowd_lease(c, 2), true);
	assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), 1);
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 1);
	/* without limits again: what was counted is given back */
	c->tenant.limits.daily = c->key.limits.daily = 0;
	crowd_build(c);
	decide_release(&c->tables.state, crowd_lease(c, 3), true);
	assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), 0);
	assert_int_equal(crowd_counted(c, USAGE_KEY, CROWD_KEY), 0);
}

static void a_full_table_stops_only_requests_with_limits(void **state)
{
	struct crowd *c = *state;
	uint32_t id = 1000;

	while (usage_of(&c->tables.usages, USAGE_KEY, id, c->now_ms))
		id++;
	c->account_count = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	c->key.limits.rph = 10;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_OVERLOADED);
	c->key.limits.rph = 0;
	c->tenant.limits.monthly = 10;
	crowd_build(c);
	assert_false(crowd_decide(c, 3));
	assert_int_equal(c->v.refusal, REFUSAL_OVERLOADED);
}

static void an_unlimited_tenant_has_a_retry_budget(void **state)
{
	struct crowd *c = *state;

	c->head.options.health_retry_per_second = 2;
	c->account_count = CROWD_ACCOUNTS;
	crowd_build(c);
	for (uint32_t n = 1; n <= 3; n++) {
		assert_true(crowd_decide(c, n));
		assert_int_equal(c->v.alt, n <= 2);
		assert_int_equal(c->v.spent, n > 2);
		if (n <= 2)
			assert_true(crowd_again(c, n));
		crowd_end(c, n);
	}
	assert_null(usage_find(&c->tables.usages, USAGE_TENANT, CROWD_TENANT));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_family_has_one_quota),
		TEST(a_family_has_one_set_of_slots),
		TEST(the_limits_are_those_of_the_key_that_asks),
		TEST(another_key_cannot_repeat_a_request_of_its_family),
		TEST(a_lease_of_an_older_version_is_of_its_key),
		TEST(without_limits_only_account_and_pool_have_rows),
		TEST(a_new_limit_sees_the_requests_in_progress),
		TEST(what_was_not_counted_is_not_given_back),
		TEST(a_full_table_stops_only_requests_with_limits),
		TEST(an_unlimited_tenant_has_a_retry_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
