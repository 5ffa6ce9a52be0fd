/* Bindings of conversations: rows, ages, crashes. */
#include "agent/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BUCKETS 4
#define ROWS (BUCKETS * STATEFILE_BINDING_WAYS)

static void a_conversation_keeps_its_account_for_the_time_to_live(void **state)
{
	struct statefile_binding rows[ROWS] = {0};
	struct bindings b;

	(void)state;
	bindings_init(&b, rows, ROWS);
	assert_int_equal(binding_find(&b, 5, 1000, 100), 0);
	binding_set(&b, 5, 7, 1000);
	assert_int_equal(binding_find(&b, 5, 1099, 100), 7);
	assert_int_equal(binding_find(&b, 5, 1100, 100), 0);
	assert_int_equal(binding_find(&b, 5, 900, 100), 7);
	binding_set(&b, 5, 7, 1099);
	assert_int_equal(binding_find(&b, 5, 1198, 100), 7);
	binding_set(&b, 5, 8, 1198);
	assert_int_equal(binding_find(&b, 5, 1198, 100), 8);
	assert_int_equal(binding_find(&b, 5 + BUCKETS, 1198, 100), 0);
}

static void the_least_recently_used_of_a_bucket_is_replaced(void **state)
{
	struct statefile_binding rows[ROWS] = {0};
	struct bindings b;
	uint64_t n;

	(void)state;
	bindings_init(&b, rows, ROWS);
	for (n = 0; n < STATEFILE_BINDING_WAYS; n++)
		binding_set(&b, 1 + n * BUCKETS, (uint32_t)n + 1, 100 + (int64_t)n);
	binding_set(&b, 1, 1, 500); /* used again: now the second is the oldest */
	binding_set(&b, 2, 99, 50); /* another bucket */
	binding_set(&b, 1 + n * BUCKETS, 50, 600);
	assert_int_equal(binding_find(&b, 1, 600, 1000), 1);
	assert_int_equal(binding_find(&b, 1 + BUCKETS, 600, 1000), 0);
	assert_int_equal(binding_find(&b, 1 + 2 * BUCKETS, 600, 1000), 3);
	assert_int_equal(binding_find(&b, 1 + n * BUCKETS, 600, 1000), 50);
	assert_int_equal(binding_find(&b, 2, 600, 1000), 99);
}

static void a_new_agent_keeps_bindings(void **state)
{
	struct statefile_binding rows[ROWS] = {0};
	struct bindings first, second;

	(void)state;
	bindings_init(&first, rows, ROWS);
	binding_set(&first, 77, 3, 10);
	bindings_init(&second, rows, ROWS);
	assert_int_equal(binding_find(&second, 77, 11, 100), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_keeps_its_account_for_the_time_to_live),
		cmocka_unit_test(the_least_recently_used_of_a_bucket_is_replaced),
		cmocka_unit_test(a_new_agent_keeps_bindings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
