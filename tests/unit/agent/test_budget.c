/* The retry budget: seconds and requests pay in, further attempts pay out. */
#include "agent/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS 1800000000000

static void a_new_budget_has_one_second_of_credit(void **state)
{
	struct budget b = {0};

	(void)state;
	assert_false(budget_has(&b));
	budget_credit(&b, 3, NOW_MS);
	for (int i = 0; i < 3; i++) {
		assert_true(budget_has(&b));
		budget_spend(&b);
	}
	assert_false(budget_has(&b));
}

static void saves_at_most_two_seconds_of_credit(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_credit(&b, 5, NOW_MS);
	budget_credit(&b, 5, NOW_MS + 365 * (int64_t)86400000);
	assert_int_equal(b.level, 2 * 5 * BUDGET_UNIT);
	/* credit from requests is not lost */
	for (int i = 0; i < 1000; i++)
		budget_earn(&b, 50);
	int64_t level = b.level;
	budget_credit(&b, 5, b.at_ms + 1000);
	assert_int_equal(b.level, level);
}

static void parts_of_a_second_are_not_lost(void **state)
{
	static const int64_t every_ms[] = {1, 3, 7, 9, 15, 19, 50, 333, 999, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(every_ms) / sizeof(every_ms[0]); i++) {
		for (uint32_t per_second = 1; per_second <= 10; per_second *= 10) {
			struct budget b = {0};
			int64_t spent = 0;
			budget_credit(&b, per_second, NOW_MS);
			for (int64_t ms = 0; ms <= 100000; ms += every_ms[i]) {
				budget_credit(&b, per_second, NOW_MS + ms);
				while (budget_has(&b)) {
					budget_spend(&b);
					spent++;
				}
			}
			/* a hundred seconds, and the credit of a new budget */
			assert_in_range(spent, 99 * per_second, 101 * per_second);
		}
	}
}

static void a_clock_that_goes_back_pays_nothing(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_credit(&b, 1, NOW_MS);
	budget_spend(&b);
	for (int64_t ms = 0; ms < 10000; ms += 10)
		budget_credit(&b, 1, NOW_MS - ms);
	assert_false(budget_has(&b));
	budget_credit(&b, 1, NOW_MS + 1000);
	assert_true(budget_has(&b));
}

static void requests_pay_their_share_up_to_a_maximum(void **state)
{
	struct budget b = {0};

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_false(budget_has(&b));
		budget_earn(&b, 10);
	}
	assert_true(budget_has(&b));
	for (int i = 0; i < 1000000; i++)
		budget_earn(&b, 10);
	assert_in_range(b.level, BUDGET_MAX, BUDGET_MAX + 10);
}

static void debt_is_bounded(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_credit(&b, 1, NOW_MS);
	for (int i = 0; i < 1000000; i++)
		budget_spend(&b);
	assert_true(b.level >= -BUDGET_MAX - BUDGET_UNIT);
	for (int s = 1; s <= 210 && !budget_has(&b); s++)
		budget_credit(&b, 1, NOW_MS + s * (int64_t)1000);
	assert_true(budget_has(&b));
}

static void zero_attempts_a_second_pays_nothing(void **state)
{
	struct budget b = {0};

	(void)state;
	budget_credit(&b, 0, NOW_MS);
	budget_credit(&b, 0, NOW_MS + 1000000);
	assert_false(budget_has(&b));
}

static void tenants_have_budgets_of_their_own(void **state)
{
	struct budgets b;

	(void)state;
	assert_int_equal(budgets_init(&b), 0);
	for (uint32_t id = 1; id <= 1000; id++)
		budget_credit(budget_of(&b, id), id, NOW_MS);
	for (uint32_t id = 1; id <= 1000; id++)
		assert_int_equal(budget_of(&b, id)->level, id * BUDGET_UNIT);
	budgets_fini(&b);
}

/* Far more tenants than rows: those that ask all the time keep their budgets. */
static void a_new_budget_replaces_one_that_rests(void **state)
{
	struct budgets b;
	uint32_t kept = 0;

	(void)state;
	assert_int_equal(budgets_init(&b), 0);
	for (uint32_t n = 0; n < 4 * BUDGETS; n++) {
		int64_t now_ms = NOW_MS + (int64_t)n * 100;
		for (uint32_t id = 1; id <= 8; id++) {
			struct budget *busy = budget_of(&b, id);
			budget_credit(busy, 1, now_ms);
			budget_spend(busy);
		}
		budget_credit(budget_of(&b, 100 + n), 1, now_ms);
	}
	for (uint32_t id = 1; id <= 8; id++)
		kept += !budget_has(budget_of(&b, id));
	assert_int_equal(kept, 8);
	budgets_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_budget_has_one_second_of_credit),
		cmocka_unit_test(saves_at_most_two_seconds_of_credit),
		cmocka_unit_test(parts_of_a_second_are_not_lost),
		cmocka_unit_test(a_clock_that_goes_back_pays_nothing),
		cmocka_unit_test(requests_pay_their_share_up_to_a_maximum),
		cmocka_unit_test(debt_is_bounded),
		cmocka_unit_test(zero_attempts_a_second_pays_nothing),
		cmocka_unit_test(tenants_have_budgets_of_their_own),
		cmocka_unit_test(a_new_budget_replaces_one_that_rests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
