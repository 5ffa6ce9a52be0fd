/* Renewal times and the step after each outcome: pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/refresh_gate.h"
#include "admin/upkeep/refresh_plan.h"

#include <string.h>

#define HOUR_MS ((int64_t)3600 * 1000)
#define T ((int64_t)1800000000000)

static void due_at_60_to_75_percent_of_the_lifetime(void **state)
{
	int64_t low = INT64_MAX;
	int64_t high = 0;

	(void)state;
	for (int64_t account = 1; account <= 1000; account++) {
		int64_t after = refresh_due_ms(T, T + 10 * HOUR_MS, account, 3) - T;
		assert_in_range(after, 6 * HOUR_MS, 7 * HOUR_MS + HOUR_MS / 2);
		low = after < low ? after : low;
		high = after > high ? after : high;
	}
	/* Accounts that were imported together spread over the range. */
	assert_true(low < 6 * HOUR_MS + HOUR_MS / 20);
	assert_true(high > 7 * HOUR_MS + HOUR_MS * 9 / 20);
}

static void due_moves_with_the_generation_only(void **state)
{
	int different = 0;

	(void)state;
	for (int64_t generation = 1; generation <= 100; generation++) {
		int64_t due = refresh_due_ms(T, T + HOUR_MS, 7, generation);
		assert_true(due == refresh_due_ms(T, T + HOUR_MS, 7, generation));
		different += due != refresh_due_ms(T, T + HOUR_MS, 7, generation + 1);
	}
	assert_true(different > 90);
}

static void without_expiry_due_by_age_and_expired_at_once(void **state)
{
	(void)state;
	for (int64_t account = 1; account <= 100; account++)
		assert_in_range(refresh_due_ms(T, 0, account, 1), T + HOUR_MS * 6 / 10,
			T + HOUR_MS * 75 / 100);
	assert_true(refresh_due_ms(T, T - 1, 1, 1) <= T);
	assert_true(refresh_due_ms(T, T, 1, 1) <= T);
	assert_in_range(refresh_due_ms(T, T + 3, 1, 1), T, T + 3);
}

static void unknown_outcomes_repeat_the_token_after_1_3_8_s_then_each_minute(void **state)
{
	static const int64_t first[] = {1000, 3000, 8000, 60000, 60000};

	(void)state;
	for (uint32_t sends = 1; sends <= 5; sends++) {
		const struct refresh_state s = {.sends = sends, .failures = sends - 1};
		struct refresh_action a = refresh_next(&s, REFRESH_LOST);
		assert_int_equal(a.step, REFRESH_REPEAT);
		assert_true(a.pause_ms == first[sends - 1]);
	}
	assert_true(refresh_repeat_pause_ms(63) == 60000);
	assert_true(refresh_repeat_pause_ms(64) == REFRESH_REPEAT_MAX_MS);
	assert_true(refresh_repeat_pause_ms(UINT32_MAX) == REFRESH_REPEAT_MAX_MS);
	assert_true(refresh_repeat_pause_ms(0) == 1000);
}

static void unused_tokens_back_off_from_5_s_to_5_min(void **state)
{
	static const int64_t pauses[] = {5, 10, 20, 40, 80, 160, 300, 300};
	static const enum refresh_outcome outcomes[] = {REFRESH_NOT_SENT, REFRESH_REFUSED};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
			const struct refresh_state s = {.sends = 1, .failures = 90, .retries = i};
			struct refresh_action a = refresh_next(&s, outcomes[k]);
			assert_int_equal(a.step, REFRESH_RETRY);
			assert_true(a.pause_ms == pauses[i] * 1000);
		}
	}
	const struct refresh_state many = {.sends = 1, .retries = UINT32_MAX};
	assert_true(refresh_next(&many, REFRESH_REFUSED).pause_ms == REFRESH_BACKOFF_MAX_MS);
}

static void a_rejection_requires_a_login_at_once(void **state)
{
	const struct refresh_state s = {.sends = 1};

	(void)state;
	assert_int_equal(refresh_next(&s, REFRESH_GRANTED).step, REFRESH_COMMIT);
	assert_int_equal(refresh_next(&s, REFRESH_REJECTED).step, REFRESH_LOGIN);
	for (uint32_t sends = 1; sends < 200; sends++) {
		const struct refresh_state old = {.sends = sends, .failures = sends};
		assert_int_equal(refresh_next(&old, REFRESH_LOST).step, REFRESH_REPEAT);
		assert_int_equal(refresh_next(&old, REFRESH_REFUSED).step, REFRESH_RETRY);
	}
}

static void a_grant_without_an_access_token_is_renewed_after_a_doubling_pause(void **state)
{
	static const int64_t pauses[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900};

	(void)state;
	for (uint32_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		const struct refresh_state s = {.sends = 1, .useless = i};
		struct refresh_action a = refresh_next(&s, REFRESH_KEPT);
		assert_int_equal(a.step, REFRESH_COMMIT);
		assert_true(a.pause_ms == pauses[i] * 1000 && a.notice);
	}
}

static void a_day_of_refusals_requires_a_login(void **state)
{
	struct refresh_state s = {.sends = 1, .refused_ms = REFRESH_ENDLESS_MS - 1};

	(void)state;
	assert_int_equal(refresh_next(&s, REFRESH_REFUSED).step, REFRESH_RETRY);
	assert_int_equal(refresh_next(&s, REFRESH_LOST).step, REFRESH_REPEAT);
	s.refused_ms++;
	assert_int_equal(refresh_next(&s, REFRESH_REFUSED).step, REFRESH_LOGIN);
	assert_int_equal(refresh_next(&s, REFRESH_LOST).step, REFRESH_LOGIN);
	s.superseded = true;
	assert_int_equal(refresh_next(&s, REFRESH_REFUSED).step, REFRESH_FORGET);
}

static void outcomes_of_a_replaced_token_are_ignored(void **state)
{
	const struct refresh_state s = {.sends = 2, .failures = 4, .superseded = true};

	(void)state;
	for (int o = 0; o < REFRESH_OUTCOME_COUNT; o++) {
		struct refresh_action a = refresh_next(&s, (enum refresh_outcome)o);
		assert_int_equal(a.step, REFRESH_FORGET);
		assert_false(a.notice);
	}
}

static void one_notice_for_a_row_of_failures(void **state)
{
	int notices = 0;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		const struct refresh_state s = {.sends = i + 1, .failures = i};
		bool notice = refresh_next(&s, REFRESH_LOST).notice;
		assert_true(notice == (i + 1 == REFRESH_NOTICE_AFTER));
		notices += notice;
	}
	assert_int_equal(notices, 1);
}

static void outcomes_have_names(void **state)
{
	(void)state;
	assert_string_equal(refresh_outcome_name(REFRESH_GRANTED), "success");
	for (int i = 0; i < REFRESH_OUTCOME_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(refresh_outcome_name((enum refresh_outcome)i),
				refresh_outcome_name((enum refresh_outcome)k));
}

/* --- gates --- */

static void one_at_a_time_and_a_pause_for_each_client_id(void **state)
{
	struct refresh_gates g = {0};

	(void)state;
	assert_true(refresh_gate_enter(&g, 1, 1000, false));
	assert_false(refresh_gate_enter(&g, 1, 1000, false));
	assert_false(refresh_gate_enter(&g, 1, 999000, true));
	assert_true(refresh_gate_enter(&g, 2, 1000, false));
	assert_int_equal(g.busy, 2);
	refresh_gate_leave(&g, 1, 5000, 2000);
	assert_int_equal(g.busy, 1);
	assert_false(refresh_gate_enter(&g, 1, 6999, false));
	assert_true(refresh_gate_enter(&g, 1, 6999, true));
	refresh_gate_leave(&g, 1, 7000, 2000);
	assert_true(refresh_gate_enter(&g, 1, 9000, false));
}

static void a_pause_holds_while_other_clients_come_and_go(void **state)
{
	struct refresh_gates g = {0};

	(void)state;
	assert_true(refresh_gate_enter(&g, 77, 0, false));
	refresh_gate_leave(&g, 77, 10, 5000);
	for (uint64_t client = 1000; client < 2000; client++) {
		assert_true(refresh_gate_enter(&g, client, 20, false));
		refresh_gate_leave(&g, client, 20, 0);
	}
	assert_false(refresh_gate_enter(&g, 77, 5009, false));
	assert_true(refresh_gate_enter(&g, 77, 5010, false));
}

static void more_clients_than_gates_wait(void **state)
{
	struct refresh_gates g = {0};

	(void)state;
	for (uint64_t client = 1; client <= REFRESH_GATES_MAX; client++)
		assert_true(refresh_gate_enter(&g, client, 0, false));
	assert_false(refresh_gate_enter(&g, 9999, 0, false));
	refresh_gate_leave(&g, 5, 0, 100);
	assert_false(refresh_gate_enter(&g, 9999, 99, false));
	assert_true(refresh_gate_enter(&g, 9999, 100, false));
	assert_int_equal(g.busy, REFRESH_GATES_MAX);
}

/* After a gate moves to another client, no client may find two gates. */
static void a_client_never_holds_two_gates(void **state)
{
	struct refresh_gates g = {0};
	uint32_t seed = 1;
	bool held[8] = {false};

	(void)state;
	for (int64_t now = 0; now < 200000; now++) {
		seed = seed * 1664525u + 1013904223u;
		uint64_t client = (seed >> 16) % 8;
		if (held[client]) {
			refresh_gate_leave(&g, client, now, (seed >> 8) % 50);
			held[client] = false;
		} else {
			held[client] = refresh_gate_enter(&g, client, now, seed & 1);
		}
		size_t busy = 0;
		for (size_t i = 0; i < 8; i++)
			busy += held[i];
		assert_int_equal(g.busy, busy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_at_60_to_75_percent_of_the_lifetime),
		cmocka_unit_test(due_moves_with_the_generation_only),
		cmocka_unit_test(without_expiry_due_by_age_and_expired_at_once),
		cmocka_unit_test(unknown_outcomes_repeat_the_token_after_1_3_8_s_then_each_minute),
		cmocka_unit_test(unused_tokens_back_off_from_5_s_to_5_min),
		cmocka_unit_test(a_rejection_requires_a_login_at_once),
		cmocka_unit_test(a_grant_without_an_access_token_is_renewed_after_a_doubling_pause),
		cmocka_unit_test(a_day_of_refusals_requires_a_login),
		cmocka_unit_test(outcomes_of_a_replaced_token_are_ignored),
		cmocka_unit_test(one_notice_for_a_row_of_failures),
		cmocka_unit_test(outcomes_have_names),
		cmocka_unit_test(one_at_a_time_and_a_pause_for_each_client_id),
		cmocka_unit_test(a_pause_holds_while_other_clients_come_and_go),
		cmocka_unit_test(more_clients_than_gates_wait),
		cmocka_unit_test(a_client_never_holds_two_gates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
