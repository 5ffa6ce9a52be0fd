/* Rows of usage: found, counted, given back, reused, taken over. */
#include "agent/usage.h"
#include "common/staterow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS 1798761600000 /* 2027-01-01 00:00:00 */
#define DAY_MS 86400000

static void add(struct statefile_usage *row, int64_t now_ms)
{
	struct window_clock clock;

	window_clock_set(&clock, now_ms);
	staterow_open(STATEROW(row));
	usage_add(row, &clock);
	staterow_seal(STATEROW(row));
}

static void assert_counts(const struct statefile_usage *row, int64_t now_ms, uint32_t second,
	uint32_t minute, uint32_t month)
{
	assert_int_equal(window_count(row, USAGE_SECOND, now_ms), second);
	assert_int_equal(window_count(row, USAGE_MINUTE, now_ms), minute);
	assert_int_equal(window_count(row, USAGE_MONTH, now_ms), month);
}

static void kinds_do_not_share_rows(void **state)
{
	struct statefile_usage rows[8] = {0};
	struct usages u;

	(void)state;
	assert_int_equal(usages_init(&u, rows, 8, 8), 0);
	assert_null(usage_find(&u, USAGE_TENANT, 1));
	struct statefile_usage *tenant = usage_of(&u, USAGE_TENANT, 1, NOW_MS);
	struct statefile_usage *key = usage_of(&u, USAGE_KEY, 1, NOW_MS);
	assert_ptr_not_equal(tenant, key);
	assert_ptr_equal(usage_of(&u, USAGE_TENANT, 1, NOW_MS), tenant);
	assert_ptr_equal(usage_find(&u, USAGE_KEY, 1), key);
	usages_fini(&u);
}

static void windows_end_by_time(void **state)
{
	struct statefile_usage row = {0};

	(void)state;
	add(&row, NOW_MS - 1);
	assert_counts(&row, NOW_MS - 1, 1, 1, 1);
	assert_counts(&row, NOW_MS, 0, 0, 0);
	add(&row, NOW_MS);
	add(&row, NOW_MS + 1000);
	assert_counts(&row, NOW_MS + 1000, 1, 2, 2);
}

static void a_clock_set_back_continues_in_its_window(void **state)
{
	struct statefile_usage row = {0};

	(void)state;
	add(&row, NOW_MS - 200);
	add(&row, NOW_MS);
	add(&row, NOW_MS - 100);
	assert_counts(&row, NOW_MS - 100, 2, 2, 2);
	assert_counts(&row, NOW_MS, 1, 1, 1);
}

static void gives_back_only_in_windows_that_have_not_ended(void **state)
{
	struct statefile_usage row = {0};

	(void)state;
	add(&row, NOW_MS);
	add(&row, NOW_MS + 1000);
	usage_give_back(&row, NOW_MS);
	assert_counts(&row, NOW_MS + 1000, 1, 1, 1);
	usage_give_back(&row, NOW_MS - DAY_MS);
	assert_counts(&row, NOW_MS + 1000, 1, 1, 1);
	usage_give_back(&row, NOW_MS + 1000);
	usage_give_back(&row, NOW_MS + 1000);
	assert_counts(&row, NOW_MS + 1000, 0, 0, 0);
}

static void reuses_rows_of_other_months_when_full(void **state)
{
	struct statefile_usage rows[2] = {0};
	struct usages u;

	(void)state;
	assert_int_equal(usages_init(&u, rows, 2, 2), 0);
	assert_non_null(usage_of(&u, USAGE_KEY, 1, NOW_MS - 1));
	assert_non_null(usage_of(&u, USAGE_KEY, 2, NOW_MS - 1));
	assert_null(usage_of(&u, USAGE_KEY, 3, NOW_MS - 1));
	assert_non_null(usage_of(&u, USAGE_KEY, 2, NOW_MS));
	assert_non_null(usage_of(&u, USAGE_KEY, 3, NOW_MS));
	assert_null(usage_find(&u, USAGE_KEY, 1));
	assert_non_null(usage_find(&u, USAGE_KEY, 2));
	assert_null(usage_of(&u, USAGE_KEY, 4, NOW_MS));
	usages_fini(&u);
}

static void tenants_and_keys_leave_rows_to_accounts_and_pools(void **state)
{
	struct statefile_usage rows[2 * USAGE_SPARE] = {0};
	struct usages u;
	uint32_t made = 0;

	(void)state;
	assert_int_equal(usages_init(&u, rows, 2 * USAGE_SPARE, 2 * USAGE_SPARE), 0);
	while (usage_of(&u, made % 2 ? USAGE_KEY : USAGE_TENANT, made + 1, NOW_MS))
		made++;
	assert_int_equal(made, 2 * USAGE_SPARE - 2);
	assert_non_null(usage_of(&u, USAGE_ACCOUNT, 1, NOW_MS));
	assert_non_null(usage_of(&u, USAGE_POOL, 1, NOW_MS));
	assert_null(usage_of(&u, USAGE_ACCOUNT, 2, NOW_MS));
	usages_fini(&u);
}

static void a_missing_row_counts_nothing(void **state)
{
	struct window_clock clock;

	(void)state;
	window_clock_set(&clock, NOW_MS);
	usage_add(NULL, &clock);
	usage_give_back(NULL, NOW_MS);
}

/* Shrunk from the property test: a tenant and its account shared one row. */
static void a_row_just_looked_up_is_not_reused(void **state)
{
	struct statefile_usage rows[1] = {0};
	struct usages u;

	(void)state;
	assert_int_equal(usages_init(&u, rows, 1, 1), 0);
	struct statefile_usage *tenant = usage_of(&u, USAGE_TENANT, 1, NOW_MS - 1);
	add(tenant, NOW_MS - 1);
	assert_ptr_equal(usage_of(&u, USAGE_TENANT, 1, NOW_MS), tenant);
	assert_null(usage_of(&u, USAGE_ACCOUNT, 1, NOW_MS));
	assert_counts(tenant, NOW_MS, 0, 0, 0);
	usages_fini(&u);
}

static void a_new_agent_takes_rows_over_and_drops_duplicates(void **state)
{
	struct statefile_usage rows[4] = {0};
	struct usages u;

	(void)state;
	for (int i = 0; i < 3; i++) {
		rows[i].state = USAGE_KEY;
		rows[i].id = i == 2 ? 2 : 1;
	}
	assert_int_equal(usages_init(&u, rows, 4, 4), 0);
	assert_int_equal(u.index.used, 2);
	assert_int_equal(u.index.dropped, 1);
	assert_ptr_equal(usage_find(&u, USAGE_KEY, 2), &rows[2]);
	usages_fini(&u);
}

/* Rows 0 to 3, then 4 to 7 */
static void new_rows_are_taken_when_the_others_are_in_use(void **state)
{
	struct statefile_usage rows[8] = {0};
	struct usages u;

	(void)state;
	assert_int_equal(usages_init(&u, rows, 4, 8), 0);
	for (uint32_t id = 1; id <= 4; id++)
		assert_ptr_equal(usage_of(&u, USAGE_ACCOUNT, id, NOW_MS), &rows[id - 1]);
	assert_null(usage_of(&u, USAGE_ACCOUNT, 5, NOW_MS));
	usages_grow(&u, 16); /* more than there is room for */
	assert_null(usage_of(&u, USAGE_ACCOUNT, 5, NOW_MS));
	usages_grow(&u, 8);
	for (uint32_t id = 5; id <= 8; id++)
		assert_ptr_equal(usage_of(&u, USAGE_ACCOUNT, id, NOW_MS), &rows[id - 1]);
	assert_null(usage_of(&u, USAGE_ACCOUNT, 9, NOW_MS));
	for (uint32_t id = 1; id <= 8; id++)
		assert_ptr_equal(usage_find(&u, USAGE_ACCOUNT, id), &rows[id - 1]);
	usages_fini(&u);
	assert_int_equal(usages_init(&u, rows, 8, 8), 0);
	for (uint32_t id = 1; id <= 8; id++)
		assert_ptr_equal(usage_find(&u, USAGE_ACCOUNT, id), &rows[id - 1]);
	usages_fini(&u);
}

static void forgets_tenants_and_keys_of_other_months_only(void **state)
{
	struct statefile_usage rows[6] = {0};
	struct usages u;

	(void)state;
	assert_int_equal(usages_init(&u, rows, 6, 6), 0);
	usage_of(&u, USAGE_KEY, 1, NOW_MS - 1);
	usage_of(&u, USAGE_TENANT, 2, NOW_MS - 1);
	usage_of(&u, USAGE_ACCOUNT, 3, NOW_MS - 1);
	add(usage_of(&u, USAGE_KEY, 4, NOW_MS - 1), NOW_MS);
	usage_of(&u, USAGE_POOL, 5, NOW_MS - 1);
	usages_look(&u, NOW_MS - 1, 6);
	assert_int_equal(u.index.used, 5);
	usages_look(&u, NOW_MS, 1);
	assert_int_equal(u.index.used, 4);
	usages_look(&u, NOW_MS, 100);
	assert_null(usage_find(&u, USAGE_KEY, 1));
	assert_null(usage_find(&u, USAGE_TENANT, 2));
	assert_non_null(usage_find(&u, USAGE_ACCOUNT, 3));
	assert_counts(usage_find(&u, USAGE_KEY, 4), NOW_MS, 1, 1, 1);
	assert_non_null(usage_find(&u, USAGE_POOL, 5));
	usages_fini(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_do_not_share_rows),
		cmocka_unit_test(windows_end_by_time),
		cmocka_unit_test(a_clock_set_back_continues_in_its_window),
		cmocka_unit_test(gives_back_only_in_windows_that_have_not_ended),
		cmocka_unit_test(reuses_rows_of_other_months_when_full),
		cmocka_unit_test(tenants_and_keys_leave_rows_to_accounts_and_pools),
		cmocka_unit_test(a_missing_row_counts_nothing),
		cmocka_unit_test(a_row_just_looked_up_is_not_reused),
		cmocka_unit_test(a_new_agent_takes_rows_over_and_drops_duplicates),
		cmocka_unit_test(new_rows_are_taken_when_the_others_are_in_use),
		cmocka_unit_test(forgets_tenants_and_keys_of_other_months_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
