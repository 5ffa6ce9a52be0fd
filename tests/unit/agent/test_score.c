/* What gives an account a better score. */
#include "agent/decide/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#define NOW_MS 1800000000000

static struct decide_score score_of(const struct snapshot_limits *limits, uint32_t requests,
	uint32_t in_use, uint16_t failure_ratio)
{
	struct statefile_usage row = {.failure_ratio = failure_ratio};
	struct window_clock clock;

	window_clock_set(&clock, NOW_MS);
	for (uint32_t i = 0; i < requests; i++)
		usage_add(&row, &clock);
	return decide_score(limits, &row, in_use, 0, &clock);
}

static bool is_near(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void an_unused_account_has_the_best_score(void **state)
{
	const struct snapshot_limits limits = {.rpm = 10, .concurrency = 4};
	struct window_clock clock;

	(void)state;
	window_clock_set(&clock, NOW_MS);
	struct decide_score s = decide_score(&limits, NULL, 0, 0, &clock);
	assert_true(is_near(s.score, 1) && is_near(s.risk, 0) && is_near(s.usage, 0));
}

static void the_most_used_limit_counts(void **state)
{
	const struct snapshot_limits limits = {.rpm = 10, .daily = 1000, .concurrency = 4};

	(void)state;
	assert_true(is_near(score_of(&limits, 5, 0, 0).usage, 0.5));
	assert_true(is_near(score_of(&limits, 5, 3, 0).usage, 0.75));
	assert_true(is_near(score_of(&limits, 50, 3, 0).usage, 1));
	/* 0.7 x (1 + 0.5 + 1) / 3 + 0.3 x (1 - 0.25) */
	assert_true(is_near(score_of(&limits, 5, 0, 0).score, 0.7 * 2.5 / 3 + 0.225));
}

static void load_counts_without_a_limit_too(void **state)
{
	const struct snapshot_limits none = {0};

	(void)state;
	assert_true(score_of(&none, 9, 0, 0).score > score_of(&none, 9, 1, 0).score);
	assert_true(is_near(score_of(&none, 9, 8, 0).score, 0.7 * 2.5 / 3 + 0.3));
	assert_true(is_near(score_of(&none, 9, 8, 0).usage, 0));
}

static void failures_are_a_risk_and_a_score_is_never_zero(void **state)
{
	const struct snapshot_limits limits = {.rpm = 1, .concurrency = 1};

	(void)state;
	assert_true(is_near(score_of(&limits, 0, 0, UINT16_MAX).risk, 0.5));
	struct decide_score worst = score_of(&limits, 1, 1, UINT16_MAX);
	assert_true(is_near(worst.risk, 1));
	assert_true(worst.score > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unused_account_has_the_best_score),
		cmocka_unit_test(the_most_used_limit_counts),
		cmocka_unit_test(load_counts_without_a_limit_too),
		cmocka_unit_test(failures_are_a_risk_and_a_score_is_never_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
