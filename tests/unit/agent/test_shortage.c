/* What a client is told when no account of its pool can serve: every row of the table in docs/LIMITS.md. */
#include "agent/decide/shortage.h"

#include "agent/message.h"
#include "crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS CROWD_NOW_MS
#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* A member of the pool: the reason of its candidate, and its end in ms from now; 0 = unknown. */
struct member {
	enum board_reason reason;
	int64_t end;
};

#define R(reason, end)                                                                             \
	{                                                                                          \
		BOARD_REASON_##reason, (end)                                                       \
	}

/* `retry_after` 0: none; `resets` in ms from now, 0: null. */
static const struct row {
	struct member members[3];
	enum refusal refusal;
	const char *type;
	int64_t retry_after;
	int64_t resets;
	bool retryable;
} rows[] = {
	/* only persons end it */
	{{R(SUSPENDED, 0)}, REFUSAL_NO_ACCOUNT, "overloaded_error", 0, 0, false},
	{{R(LOGIN, 0), R(NO_CREDENTIAL, 0), R(EGRESS_SUSPENDED, 0)}, REFUSAL_NO_ACCOUNT,
		"overloaded_error", 0, 0, false},
	{{R(EXPIRED, 0), R(UPSTREAM, 0)}, REFUSAL_NO_ACCOUNT, "overloaded_error", 0, 0, false},
	/* a limit or a window ends first, within a minute */
	{{R(MINUTE, 1500)}, REFUSAL_ACCOUNTS_LIMITED, "rate_limit_error", 2, 1500, true},
	{{R(SLOTS, 0)}, REFUSAL_ACCOUNTS_LIMITED, "rate_limit_error", 1, 0, true},
	{{R(BURST, 7 * SECOND), R(SUSPENDED, 0)}, REFUSAL_ACCOUNTS_LIMITED, "rate_limit_error", 7,
		7 * SECOND, true},
	{{R(WINDOW, MINUTE), R(CIRCUIT, MINUTE + 1)}, REFUSAL_ACCOUNTS_LIMITED, "rate_limit_error",
		60, MINUTE, true},
	{{R(HOUR, 59 * SECOND), R(REFUSED, 5 * MINUTE)}, REFUSAL_ACCOUNTS_LIMITED,
		"rate_limit_error", 59, 59 * SECOND, true},
	{{R(WINDOW, 2 * HOUR), R(SLOTS, 0)}, REFUSAL_ACCOUNTS_LIMITED, "rate_limit_error", 1, 0,
		true},
	/* a circuit or a brake ends first, within a minute */
	{{R(CIRCUIT, 1)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 1, 1, true},
	{{R(CIRCUIT, 30 * SECOND)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 10, 30 * SECOND,
		true},
	{{R(CIRCUIT, MINUTE), R(MINUTE, MINUTE + 1)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 10,
		MINUTE, true},
	{{R(COOLING, 2500), R(WINDOW, 2 * HOUR)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 3, 2500,
		true},
	{{R(HEADER, 0), R(BACKEND, 0)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 5, 0, true},
	{{R(HALF_OPEN, 0)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 5, 0, true},
	{{R(REFRESH, 40 * SECOND)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 10, 40 * SECOND,
		true},
	{{R(RENEWAL, 0), R(SUSPENDED, 0)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 5, 0, true},
	{{R(EGRESS, 8 * SECOND)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 8, 8 * SECOND, true},
	{{R(REFUSED, 20 * SECOND)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 10, 20 * SECOND,
		true},
	{{R(BRAKED, 16 * SECOND), R(MINUTE, 17 * SECOND)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error",
		10, 16 * SECOND, true},
	{{R(TRIED, 0), R(SUSPENDED, 0)}, REFUSAL_CIRCUIT_OPEN, "overloaded_error", 5, 0, true},
	/* later, with a window */
	{{R(WINDOW, MINUTE + 1)}, REFUSAL_ACCOUNTS_EXHAUSTED, "usage_limit_reached", 61, MINUTE + 1,
		false},
	{{R(WINDOW, 7 * 24 * HOUR), R(HOUR, 2 * HOUR), R(SUSPENDED, 0)}, REFUSAL_ACCOUNTS_EXHAUSTED,
		"usage_limit_reached", 7200, 2 * HOUR, false},
	{{R(REFUSED, 5 * MINUTE), R(WINDOW, 2 * HOUR)}, REFUSAL_ACCOUNTS_EXHAUSTED,
		"usage_limit_reached", 300, 5 * MINUTE, false},
	/* later, without one */
	{{R(REFUSED, 5 * MINUTE)}, REFUSAL_NO_ACCOUNT, "overloaded_error", 0, 5 * MINUTE, false},
	{{R(CIRCUIT, 2 * MINUTE), R(LOGIN, 0)}, REFUSAL_NO_ACCOUNT, "overloaded_error", 0,
		2 * MINUTE, false},
};

static void check_row(const struct row *row, const size_t order[3])
{
	struct shortage s = {.exact = false};

	for (size_t i = 0; i < 3; i++) {
		const struct member *m = &row->members[order[i]];
		if (m->reason != BOARD_REASON_NONE)
			shortage_note(&s, shortage_cause(m->reason), m->end ? NOW_MS + m->end : 0,
				NOW_MS);
	}
	enum refusal refusal = shortage_refusal(&s, NOW_MS);
	assert_string_equal(refusal_row(refusal)->code, refusal_row(row->refusal)->code);
	int64_t end = s.exact ? s.end_ms : 0;
	struct refusal_told told = refusal_tell(refusal, end, s.exact, NOW_MS);
	assert_string_equal(told.type, row->type);
	assert_int_equal(told.retry_after, row->retry_after);
	assert_int_equal(told.resets_at, row->resets ? (NOW_MS + row->resets + 999) / 1000 : 0);
	assert_int_equal(told.retryable, row->retryable);
}

static void every_row_in_every_order(void **state)
{
	static const size_t orders[][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t n = 0; n < sizeof(orders) / sizeof(orders[0]); n++)
			check_row(&rows[i], orders[n]);
	}
}

static void a_reason_that_keeps_an_account_out_has_a_cause(void **state)
{
	static const enum board_reason usable[] = {BOARD_REASON_NONE, BOARD_REASON_TAKEN,
		BOARD_REASON_BOUND, BOARD_REASON_OUTSCORED, BOARD_REASON_NOT_BOUND,
		BOARD_REASON_REGION, BOARD_REASON_CONSECUTIVE, BOARD_REASON_SHUNNED,
		BOARD_REASON_PACED, BOARD_REASON_USAGE};

	(void)state;
	for (int r = 0; r < BOARD_REASON_COUNT; r++) {
		bool expected = true;
		for (size_t i = 0; i < sizeof(usable) / sizeof(usable[0]); i++)
			expected &= (enum board_reason)r != usable[i];
		assert_int_equal(shortage_cause((enum board_reason)r) != SHORTAGE_NONE, expected);
	}
	assert_int_equal(shortage_cause(BOARD_REASON_COUNT), SHORTAGE_NONE);
}

/* Any members: the answer follows from the earliest end alone, and never promises a time that has passed. */
static void the_earliest_end_decides(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct shortage s = {.exact = false};
		int64_t earliest = INT64_MAX;
		bool window = false;
		for (int i = 0; i < 4; i++) {
			seed = decide_mix(seed + 1);
			enum shortage_cause cause =
				(enum shortage_cause)(1 + seed % (SHORTAGE_CAUSE_COUNT - 1));
			int64_t end = NOW_MS + 1 + (int64_t)(seed >> 32) % (2 * MINUTE);
			shortage_note(&s, cause, end, NOW_MS);
			if (cause != SHORTAGE_PERSON && end < earliest)
				earliest = end;
			window |= cause == SHORTAGE_WINDOW;
		}
		enum refusal r = shortage_refusal(&s, NOW_MS);
		bool soon = earliest <= NOW_MS + MINUTE;
		struct refusal_told told = refusal_tell(r, s.exact ? s.end_ms : 0, s.exact, NOW_MS);
		assert_int_equal(s.first == SHORTAGE_NONE, earliest == INT64_MAX);
		assert_int_equal(told.retryable, soon);
		assert_int_equal(
			r == REFUSAL_ACCOUNTS_EXHAUSTED, !soon && window && earliest != INT64_MAX);
		if (earliest != INT64_MAX)
			assert_int_equal(told.resets_at, (earliest + 999) / 1000);
		assert_true(told.retry_after >= 0 && (!soon || told.retry_after >= 1));
	}
}

/* --- in a decision --- */

static struct refusal_told told(const struct crowd *c)
{
	return refusal_tell(c->v.refusal, c->v.resets_ms, c->v.resets_exact, c->now_ms);
}

static const char *message(const struct crowd *c)
{
	static char text[MESSAGE_SIZE];

	message_format(&c->snapshot, &c->v, c->now_ms, text);
	return text;
}

static void a_pool_in_windows_is_exhausted(void **state)
{
	struct crowd *c = *state;

	c->accounts[2].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	crowd_build(c);
	crowd_say(c, 0, RESULT_WINDOW, c->now_ms + 3 * HOUR);
	crowd_say(c, 1, RESULT_WINDOW, c->now_ms + 2 * HOUR);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_EXHAUSTED);
	assert_int_equal(told(c).resets_at, (c->now_ms + 2 * HOUR) / 1000);
	assert_string_equal(
		message(c), "pool main: all accounts are at their limits or out until 10:00 UTC");
	c->now_ms += 2 * HOUR - 500;
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_LIMITED);
	assert_true(told(c).retryable && told(c).retry_after == 1);
	c->now_ms += 500;
	assert_true(crowd_decide(c, 1));
}

static void an_hour_of_its_own_is_a_window_and_a_minute_is_not(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	c->accounts[0].row.limits.rph = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_EXHAUSTED);
	c->accounts[0].row.limits.rph = 0;
	c->accounts[0].row.limits.rpm = 1;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_LIMITED);
	assert_string_equal(
		message(c), "pool main: all accounts are at their limits until 08:01:00 UTC");
	c->accounts[0].row.limits.rpm = 0;
	c->accounts[0].row.limits.concurrency = 1;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_LIMITED);
	assert_true(told(c).retry_after == 1 && told(c).resets_at == 0);
	assert_string_equal(message(c), "pool main: all accounts are at their limits");
}

static void what_only_a_person_ends_says_so(void **state)
{
	struct crowd *c = *state;

	c->accounts[0].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	c->accounts[1].row.flags = SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
	c->accounts[2].row.expires_ms = c->now_ms;
	crowd_build(c);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
	assert_true(!told(c).retryable && told(c).retry_after == 0 && told(c).resets_at == 0);
	assert_string_equal(
		message(c), "pool main: no account can be used; only the operator can end this");
	/* control renews this one */
	c->accounts[2].row.flags = SNAPSHOT_ACCOUNT_REFRESHABLE;
	crowd_build(c);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
	assert_true(told(c).retryable);
}

static void a_suspended_egress_needs_a_person_and_one_that_is_down_does_not(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	c->egresses[0].row.flags = SNAPSHOT_EGRESS_SUSPENDED;
	crowd_build(c);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
	c->accounts[0].egresses[1] = 1;
	c->accounts[0].egress_count = 2;
	crowd_build(c);
	crowd_break_egress(c, 1);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
}

static void a_conversation_that_stays_looks_at_its_account_alone(void **state)
{
	struct crowd *c = *state;

	c->hard = true;
	c->pool.sticky = SNAPSHOT_STICKY_HARD;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	crowd_say(c, crowd_account(c), RESULT_WINDOW, c->now_ms + 2 * HOUR);
	crowd_end(c, 1);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_EXHAUSTED);
	assert_string_equal(message(c),
		"pool main: the account of this conversation is at its limits until 10:00 UTC; "
		"start a new session to go on now");
	c->hard = false;
	assert_true(crowd_decide(c, 3));
}

/* --- messages --- */

static void clients_of_gemini_read_the_seconds(void **state)
{
	struct crowd *c = *state;

	c->provider = "gemini";
	c->path = "/v1beta/models/m:generateContent";
	c->tenant.limits.daily = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_decide(c, 2));
	assert_string_equal(message(c),
		"tenant team-a: 1 request a day, used up until 2027-01-16 00:00 UTC."
		" Please retry in 57600s");
}

static void a_limit_names_its_owner_and_its_window(void **state)
{
	struct crowd *c = *state;

	c->tenant.limits.daily = 1;
	c->key.limits.rpm = c->key.limits.rph = 1000; /* what has no limits is not counted */
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_QUOTA_EXCEEDED);
	assert_string_equal(
		message(c), "tenant team-a: 1 request a day, used up until 2027-01-16 00:00 UTC");
	assert_string_equal(told(c).type, "usage_limit_reached");
	assert_false(told(c).retryable);
	c->tenant.limits.daily = 0;
	c->key.limits.rpm = 1;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_string_equal(message(c), "key 5: 1 request a minute, used up until 08:01:00 UTC");
	assert_true(told(c).retryable);
	c->key.limits.rpm = 1000;
	c->key.limits.rph = 1;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_RATE_LIMITED);
	assert_string_equal(message(c), "key 5: 1 request an hour, used up until 09:00 UTC");
	assert_string_equal(told(c).type, "usage_limit_reached");
	assert_false(told(c).retryable);
	c->key.limits.rph = 0;
	c->tenant.limits.concurrency = 1;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_string_equal(message(c), "tenant team-a: 1 concurrent request, all in use");
	assert_true(told(c).retry_after == 1 && told(c).resets_at == 0 && told(c).retryable);
}

static void a_message_is_bounded_and_plain(void **state)
{
	static char longest[1000];
	struct crowd *c = *state;

	memset(longest, 'n', sizeof(longest) - 1);
	c->pool_name = c->tenant_name = longest;
	c->tenant.limits.daily = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_decide(c, 2));
	assert_in_range(strlen(message(c)), 64, MESSAGE_SIZE - 1);
	c->tenant.limits.daily = 0;
	c->head.flags = 0;
	crowd_build(c);
	assert_false(crowd_decide(c, 2));
	assert_string_equal(message(c), refusal_row(REFUSAL_SITE_DISABLED)->message);
}

static int set_up(void **state)
{
	struct crowd *c = malloc(sizeof(*c));

	if (!c)
		return -1;
	crowd_init(c);
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	crowd_fini(*state);
	free(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_in_every_order),
		cmocka_unit_test(a_reason_that_keeps_an_account_out_has_a_cause),
		cmocka_unit_test(the_earliest_end_decides),
		TEST(a_pool_in_windows_is_exhausted),
		TEST(an_hour_of_its_own_is_a_window_and_a_minute_is_not),
		TEST(what_only_a_person_ends_says_so),
		TEST(a_suspended_egress_needs_a_person_and_one_that_is_down_does_not),
		TEST(a_conversation_that_stays_looks_at_its_account_alone),
		TEST(clients_of_gemini_read_the_seconds),
		TEST(a_limit_names_its_owner_and_its_window),
		TEST(a_message_is_bounded_and_plain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
