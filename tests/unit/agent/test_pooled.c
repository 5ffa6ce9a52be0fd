/* How many idle connections HAProxy may have: never fewer than it has. */
#include "agent/pooled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS 1800000000000

static struct pooled pooled;
static const struct pooled_key key = {1, 7, false};

static int set_up(void **state)
{
	(void)state;
	return pooled_init(&pooled);
}

static int tear_down(void **state)
{
	(void)state;
	pooled_fini(&pooled);
	return 0;
}

static bool take(int64_t now_ms)
{
	return pooled_take(&pooled, key, now_ms);
}

static void put(int count, int64_t now_ms)
{
	for (int i = 0; i < count; i++)
		pooled_put(&pooled, key, 0, false, now_ms);
}

static void an_answer_leaves_one_connection_for_one_request(void **state)
{
	(void)state;
	assert_false(take(NOW_MS));
	put(2, NOW_MS);
	assert_true(take(NOW_MS + 1));
	assert_true(take(NOW_MS + 1));
	assert_false(take(NOW_MS + 1));
	assert_false(pooled_take(NULL, key, NOW_MS));
}

static void a_shared_connection_serves_any_number_of_requests(void **state)
{
	(void)state;
	assert_false(pooled_shares(NULL, key, NOW_MS));
	assert_false(pooled_shares(&pooled, key, NOW_MS));
	pooled_put(&pooled, key, 40001, false, NOW_MS);
	for (int i = 0; i < 100; i++)
		assert_true(pooled_shares(&pooled, key, NOW_MS + 1));
	/* the upstream ends connections, and answers come on others */
	pooled_put(&pooled, key, 40002, true, NOW_MS + 2);
	assert_false(take(NOW_MS + 2));
	assert_true(pooled_shares(&pooled, key, NOW_MS + 2));
	assert_false(pooled_shares(&pooled, (struct pooled_key){1, 8, false}, NOW_MS + 2));
	assert_true(pooled_shares(&pooled, key, NOW_MS + 1 + POOLED_LIFE_MS));
	assert_false(pooled_shares(&pooled, key, NOW_MS + 2 + POOLED_LIFE_MS));
	pooled_put(&pooled, key, 40002, true, NOW_MS);
	assert_false(pooled_shares(&pooled, key, NOW_MS - 1));
}

static void each_pool_is_separate(void **state)
{
	static const struct pooled_key others[] = {{2, 7, false}, {1, 8, false}, {1, 7, true}};

	(void)state;
	put(1, NOW_MS);
	for (int i = 0; i < 3; i++)
		assert_false(pooled_take(&pooled, others[i], NOW_MS));
	assert_true(take(NOW_MS));
}

static void an_idle_connection_lives_for_a_while(void **state)
{
	(void)state;
	put(2, NOW_MS);
	assert_true(take(NOW_MS + POOLED_LIFE_MS));
	assert_false(take(NOW_MS + POOLED_LIFE_MS + POOLED_PERIOD_MS));
}

/* A burst that is over: HAProxy has closed most of its connections. */
static void a_pool_is_no_larger_than_the_answers_of_late(void **state)
{
	int64_t now = NOW_MS;
	int left = 0;

	(void)state;
	put(50, now);
	for (int i = 0; i < 3 * POOLED_PERIODS; i++)
		put(1, now += POOLED_PERIOD_MS);
	while (take(now))
		left++;
	assert_int_equal(left, POOLED_PERIODS);
}

static void a_pool_has_a_maximum(void **state)
{
	int left = 0;

	(void)state;
	put(3 * POOLED_MAX, NOW_MS);
	while (take(NOW_MS))
		left++;
	assert_int_equal(left, POOLED_MAX);
}

static void a_step_of_the_clock_forgets_the_pool(void **state)
{
	(void)state;
	put(1, NOW_MS);
	assert_false(take(NOW_MS - 1));
	put(1, NOW_MS);
	assert_false(take(NOW_MS + 3600000));
}

/* More pools than rows: a forgotten one is empty. */
static void a_forgotten_pool_is_empty(void **state)
{
	int taken = 0;

	(void)state;
	for (uint32_t i = 1; i <= 4 * POOLED_ROWS; i++)
		pooled_put(&pooled, (struct pooled_key){1, i, true}, 0, false, NOW_MS);
	for (uint32_t i = 4 * POOLED_ROWS; i >= 1; i--)
		taken += pooled_take(&pooled, (struct pooled_key){1, i, true}, NOW_MS);
	assert_in_range(taken, 1, POOLED_ROWS);
}

/* It closes each connection after its answer. */
static void an_upstream_that_keeps_no_connection_has_no_pool(void **state)
{
	(void)state;
	pooled_put(&pooled, key, 40001, false, NOW_MS);
	assert_true(take(NOW_MS));
	pooled_put(&pooled, key, 40002, true, NOW_MS);
	assert_false(take(NOW_MS));
	pooled_put(&pooled, key, 40003, false, NOW_MS);
	assert_false(take(NOW_MS));
	/* it keeps one after all */
	pooled_put(&pooled, key, 40003, false, NOW_MS);
	assert_true(take(NOW_MS));
	pooled_put(&pooled, key, 40003, true, NOW_MS);
	assert_true(take(NOW_MS));
}

static void knows_the_ports_of_the_last_connections(void **state)
{
	(void)state;
	assert_false(pooled_knows(NULL, key, 40001, NOW_MS));
	assert_false(pooled_knows(&pooled, key, 0, NOW_MS));
	for (uint16_t i = 0; i <= POOLED_PORTS; i++)
		pooled_put(&pooled, key, (uint16_t)(40000 + i), false, NOW_MS);
	assert_false(pooled_knows(&pooled, key, 40000, NOW_MS));
	assert_true(pooled_knows(&pooled, key, 40001, NOW_MS));
	assert_true(pooled_knows(&pooled, key, 40000 + POOLED_PORTS, NOW_MS));
	assert_false(pooled_knows(&pooled, (struct pooled_key){1, 8, false}, 40001, NOW_MS));
	assert_false(pooled_knows(&pooled, key, 40001, NOW_MS + 2 * POOLED_LIFE_MS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_leaves_one_connection_for_one_request),
		TEST(a_shared_connection_serves_any_number_of_requests),
		TEST(each_pool_is_separate),
		TEST(an_idle_connection_lives_for_a_while),
		TEST(a_pool_is_no_larger_than_the_answers_of_late),
		TEST(a_pool_has_a_maximum),
		TEST(a_step_of_the_clock_forgets_the_pool),
		TEST(a_forgotten_pool_is_empty),
		TEST(an_upstream_that_keeps_no_connection_has_no_pool),
		TEST(knows_the_ports_of_the_last_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
