#include "common/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ROWS_MAX 33

struct row {
	uint32_t id;
	uint32_t note;
};

/* Ids 2, 4, 6, ...: each odd number lies between two of them. */
static void fill(struct row *rows, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		rows[i] = (struct row){2 * (i + 1), i};
}

static void finds_every_row_of_any_number_of_rows(void **state)
{
	struct row rows[ROWS_MAX];

	(void)state;
	fill(rows, ROWS_MAX);
	for (uint32_t count = 1; count <= ROWS_MAX; count++) {
		for (uint32_t i = 0; i < count; i++)
			assert_ptr_equal(
				search_id(rows, count, sizeof(rows[0]), rows[i].id), &rows[i]);
	}
}

static void finds_no_row_for_an_id_between_below_and_above(void **state)
{
	struct row rows[ROWS_MAX];

	(void)state;
	fill(rows, ROWS_MAX);
	for (uint32_t count = 0; count <= ROWS_MAX; count++) {
		for (uint32_t i = 0; i <= count; i++)
			assert_null(search_id(rows, count, sizeof(rows[0]), 2 * i + 1));
		assert_null(search_id(rows, count, sizeof(rows[0]), 2 * count + 2));
		assert_null(search_id(rows, count, sizeof(rows[0]), UINT32_MAX));
	}
	assert_null(search_id(NULL, 0, sizeof(rows[0]), 1));
}

static void counts_the_rows_before_a_key(void **state)
{
	const struct row rows[] = {{1, 0}, {3, 0}, {3, 1}, {UINT32_MAX, 0}};
	const uint32_t keys[] = {0, 1, 2, 3, 4, UINT32_MAX};
	const size_t before[] = {0, 0, 1, 1, 3, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(search_rows(rows, 4, sizeof(rows[0]), search_id_before, &keys[i]),
			before[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_every_row_of_any_number_of_rows),
		cmocka_unit_test(finds_no_row_for_an_id_between_below_and_above),
		cmocka_unit_test(counts_the_rows_before_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
