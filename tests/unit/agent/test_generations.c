#include "agent/generations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void all_count_until_the_oldest_is_known(void **state)
{
	const struct generations g = {0};

	(void)state;
	assert_true(generations_live(&g, 1, 0));
	assert_true(generations_live(&g, UINT64_MAX, 0));
}

static void older_ones_have_no_process(void **state)
{
	const struct generations g = {.oldest = 40};

	(void)state;
	assert_false(generations_live(&g, 39, 1000));
	assert_false(generations_live(&g, 0, 1000));
	assert_true(generations_live(&g, 40, 1000));
	assert_true(generations_live(&g, 41, 1000)); /* written, not loaded yet */
}

/* Another HAProxy with the same agent has not been reloaded. */
static void an_older_one_that_asks_counts_for_a_day(void **state)
{
	struct generations g = {.oldest = 40};

	(void)state;
	generations_asked(&g, 38, 1000);
	generations_asked(&g, 41, 1000);
	assert_true(generations_live(&g, 38, 1000));
	assert_false(generations_live(&g, 39, 1000));
	assert_false(generations_live(&g, 38 - GENERATIONS_OTHERS, 1000));
	assert_true(generations_live(&g, 38, 1000 + GENERATIONS_OTHER_MS - 1));
	assert_false(generations_live(&g, 38, 1000 + GENERATIONS_OTHER_MS));
	generations_asked(&g, 38, 5000 + GENERATIONS_OTHER_MS);
	assert_true(generations_live(&g, 38, 5000 + GENERATIONS_OTHER_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_count_until_the_oldest_is_known),
		cmocka_unit_test(older_ones_have_no_process),
		cmocka_unit_test(an_older_one_that_asks_counts_for_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
