/*
 * The choice of an egress, accounts that are out, and probes: what is tried when something is down, and what
 * is not.
 */
#include "agent/message.h"
#include "crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define MINUTE_MS ((int64_t)60000)

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

/* Account `i` gets these egresses, in this order. */
static void set_egresses(struct crowd *c, uint32_t i, uint32_t count, uint32_t a, uint32_t b)
{
	c->accounts[i].egresses[0] = a;
	c->accounts[i].egresses[1] = b;
	c->accounts[i].egress_count = count;
}

static int64_t budget_left(struct crowd *c)
{
	return budget_of(&c->tables.budgets, CROWD_TENANT)->level;
}

/* Of account `i`, in the last decision. */
static enum board_reason reason_of(const struct crowd *c, uint32_t i)
{
	const struct board_why *why = &c->v.why;

	for (uint32_t n = 0; n < why->candidate_count; n++) {
		if (why->candidates[n].account == CROWD_ACCOUNT + i)
			return (enum board_reason)why->candidates[n].reason;
	}
	return BOARD_REASON_NONE;
}

static void assert_message(const struct crowd *c, const char *words)
{
	char out[MESSAGE_SIZE];

	message_format(&c->snapshot, &c->v, c->now_ms, out);
	assert_string_equal(out, words);
}

/* --- choice of the egress --- */

static void takes_the_first_healthy_egress(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	set_egresses(c, 0, 2, 1, 0);
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_int_equal(crowd_egress(c), 1);
	crowd_break_egress(c, 1);
	assert_true(crowd_decide(c, 2));
	assert_int_equal(crowd_egress(c), 0);
	crowd_break_egress(c, 0);
	assert_false(crowd_decide(c, 3)); /* the third egress is not one of the account's */
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
}

static void prefers_the_region_of_the_node(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	set_egresses(c, 0, 2, 0, 1);
	strcpy(c->head.region, "eu");
	c->egresses[0].region = "us";
	c->egresses[1].region = "eu";
	c->egresses[2].region = "eu";
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_int_equal(crowd_egress(c), 1);
	crowd_break_egress(c, 1);
	assert_true(crowd_decide(c, 2));
	assert_int_equal(crowd_egress(c), 0);
}

static void a_suspended_egress_is_never_taken(void **state)
{
	struct crowd *c = *state;

	set_egresses(c, 0, 2, 0, 1);
	set_egresses(c, 1, 1, 0, 0);
	c->account_count = 2;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	uint32_t first = crowd_account(c);
	uint32_t egress = crowd_egress(c);
	c->egresses[0].row.flags = SNAPSHOT_EGRESS_SUSPENDED;
	crowd_build(c);
	assert_int_equal(egress, 0);
	for (uint32_t n = 2; n < 50; n++) {
		assert_true(crowd_decide(c, n));
		assert_int_equal(crowd_account(c), 0);
		assert_int_equal(crowd_egress(c), 1);
		crowd_end(c, n);
	}
	assert_true(crowd_probe(c, 60, 0));
	assert_int_equal(crowd_egress(c), 1);
	assert_false(crowd_probe(c, 61, 1));
	/* admitted requests do not use it either */
	assert_int_equal(crowd_decide(c, 1), first == 0);
	assert_true(c->v.action != DECIDE_ALLOW || crowd_egress(c) == 1);
}

static void a_reset_by_the_operator_makes_an_egress_usable(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	crowd_build(c);
	crowd_break_egress(c, 0);
	assert_false(crowd_decide(c, 1));
	c->egresses[0].row.epoch++;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
}

static void a_repeated_question_keeps_its_egress(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	set_egresses(c, 0, 2, 0, 1);
	crowd_build(c);
	crowd_break_egress(c, 0);
	int64_t back_ms = c->now_ms + (int64_t)c->head.options.health_recovery_ms;
	assert_true(crowd_decide(c, 1));
	assert_int_equal(crowd_egress(c), 1);
	crowd_restart(c);
	assert_true(crowd_decide(c, 1));
	assert_int_equal(crowd_egress(c), 1);
	c->now_ms = back_ms;
	assert_true(crowd_decide(c, 1));
	assert_int_equal(crowd_egress(c), 1);
	assert_true(crowd_decide(c, 2));
	assert_int_equal(crowd_egress(c), 0);
}

static void reports_the_egress_that_comes_back_first(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	set_egresses(c, 0, 2, 0, 1);
	crowd_build(c);
	crowd_break_egress(c, 0);
	int64_t first_ms = c->now_ms + (int64_t)c->head.options.health_recovery_ms;
	c->now_ms += 5000;
	crowd_break_egress(c, 1);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.resets_ms, first_ms);
	c->egresses[0].row.flags = SNAPSHOT_EGRESS_SUSPENDED;
	crowd_build(c);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.resets_ms, first_ms + 5000);
}

/* --- cause of a failed attempt --- */

static void a_failed_shared_egress_does_not_exclude_its_accounts(void **state)
{
	struct crowd *c = *state;

	crowd_build(c);
	assert_true(crowd_decide(c, 1) && c->v.alt);
	assert_true(crowd_again(c, 1));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_ANSWER);
	assert_int_equal(c->v.failed.backend, CROWD_BACKEND);
	assert_int_equal(crowd_egress(c), 0);
}

/* Without an alternative, HAProxy only takes back a request whose connection failed. */
static void without_alternative_the_connection_failed(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	c->accounts[0].row.limits.concurrency = 1;
	c->accounts[0].row.limits.rph = 1;
	set_egresses(c, 0, 2, 0, 1);
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(c->v.alt);
	assert_true(crowd_again(c, 1));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_CONNECT);
	assert_int_equal(crowd_account(c), 0);
	assert_int_equal(crowd_egress(c), 1);
	/* an attempt that was never sent counts once, and holds one slot */
	assert_int_equal(crowd_counted(c, USAGE_ACCOUNT, CROWD_ACCOUNT), 1);
	assert_int_equal(crowd_in_use(c, USAGE_ACCOUNT, CROWD_ACCOUNT), 1);
	crowd_restart(c);
	assert_true(crowd_again2(c, 1));
	assert_true(c->v.repeated);
	assert_int_equal(crowd_egress(c), 1);
}

static void without_another_egress_the_upstream_is_unreachable(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_CONNECT);
	/* HAProxy has a backend for it, and the pool is not to blame */
	assert_int_equal(reason_of(c, 0), BOARD_REASON_EGRESS_FAILED);
	assert_message(c, "The upstream could not be reached");
	assert_true(c->v.resets_ms == 0 && !c->v.resets_exact);
	crowd_end(c, 1);
	assert_int_equal(crowd_in_use(c, USAGE_ACCOUNT, CROWD_ACCOUNT), 0);
}

static void an_egress_known_to_be_down_is_the_cause(void **state)
{
	struct crowd *c = *state;

	set_egresses(c, 0, 2, 0, 1);
	set_egresses(c, 1, 2, 0, 1);
	set_egresses(c, 2, 2, 0, 1);
	c->head.options.health_retry_per_second = 1;
	crowd_build(c);
	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(crowd_decide(c, n) && c->v.alt);
		assert_int_equal(crowd_egress(c), 0);
	}
	crowd_break_egress(c, 0);
	int64_t level = budget_left(c);
	assert_true(crowd_again(c, 1));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_EGRESS);
	assert_int_equal(crowd_egress(c), 1);
	assert_int_equal(budget_left(c), level);
	c->egresses[1].row.flags = SNAPSHOT_EGRESS_SUSPENDED;
	crowd_build(c);
	assert_false(crowd_again(c, 2));
	assert_int_equal(c->v.failed.cause, DECIDE_CAUSE_EGRESS);
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
	assert_int_equal(reason_of(c, 0), BOARD_REASON_EGRESS);
	assert_message(c, "The upstream could not be reached");
}

/* Others that are out for hours do not tell how long a connection fails. */
static void a_connection_that_fails_has_not_the_end_of_others(void **state)
{
	struct crowd *c = *state;

	c->account_count = 2;
	set_egresses(c, 1, 1, 1, 1);
	crowd_build(c);
	crowd_say(c, 1, RESULT_WINDOW, c->now_ms + 60 * MINUTE_MS);
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_again(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
	assert_int_equal(reason_of(c, 0), BOARD_REASON_EGRESS_FAILED);
	assert_int_equal(reason_of(c, 1), BOARD_REASON_WINDOW);
	assert_message(c, "The upstream could not be reached");
	assert_int_equal(c->v.resets_ms, 0);
}

/* --- accounts that are out --- */

static void break_all(struct crowd *c)
{
	for (uint32_t i = 0; i < c->account_count; i++)
		crowd_break_account(c, i);
}

static void with_all_circuits_open_the_client_is_told_when_the_first_ends(void **state)
{
	struct crowd *c = *state;
	int64_t recovery = 0;

	for (c->account_count = 1; c->account_count <= 3; c->account_count++) {
		for (uint32_t i = 0; i < c->account_count; i++)
			c->accounts[i].row.epoch++;
		crowd_build(c);
		recovery = (int64_t)c->head.options.health_recovery_ms;
		break_all(c);
		for (uint32_t n = 1; n <= 100; n++) {
			assert_false(crowd_decide(c, n));
			assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
			assert_int_equal(c->v.resets_ms, c->now_ms + recovery);
		}
	}
}

static void accounts_that_rest_get_no_request(void **state)
{
	static const enum result_class classes[] = {
		RESULT_DENIED, RESULT_AUTH, RESULT_WINDOW, RESULT_BURST};
	struct crowd *c = *state;

	c->account_count = 2;
	for (uint32_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++) {
		for (uint32_t i = 0; i < 2; i++) {
			c->accounts[i].row.epoch++;
			c->accounts[i].row.flags = k == 1 ? SNAPSHOT_ACCOUNT_REFRESHABLE : 0;
		}
		crowd_build(c);
		for (uint32_t i = 0; i < 2; i++)
			crowd_say(c, i, classes[k], c->now_ms + MINUTE_MS);
		assert_false(crowd_decide(c, k + 1));
	}
}

static void a_suspended_account_gets_no_request(void **state)
{
	struct crowd *c = *state;

	c->account_count = 2;
	crowd_build(c);
	for (uint32_t i = 0; i < HEALTH_LADDER_SUSPENDED; i++)
		crowd_say(c, 0, RESULT_DENIED, 0);
	c->accounts[1].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	crowd_build(c);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
}

static void waits_for_the_account_that_comes_back_first(void **state)
{
	struct crowd *c = *state;

	c->account_count = 2;
	crowd_build(c);
	crowd_say(c, 0, RESULT_WINDOW, c->now_ms + 60 * MINUTE_MS);
	crowd_break_account(c, 1);
	assert_false(crowd_decide(c, 1));
	assert_int_equal(c->v.resets_ms, c->now_ms + (int64_t)c->head.options.health_recovery_ms);
}

/* --- half-open --- */

static void a_half_open_account_gets_one_trial(void **state)
{
	struct crowd *c = *state;

	c->account_count = 1;
	crowd_build(c);
	crowd_break_account(c, 0);
	c->now_ms += (int64_t)c->head.options.health_recovery_ms;
	assert_true(crowd_decide(c, 1));
	assert_true(c->v.watch);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
	crowd_say(c, 0, RESULT_SUCCESS, 0);
	assert_true(crowd_decide(c, 2));
	assert_false(c->v.watch);
}

/* --- probes --- */

static void a_probe_holds_nothing_and_counts_nothing(void **state)
{
	struct crowd *c = *state;

	crowd_build(c);
	assert_true(crowd_probe(c, 1, 2));
	assert_int_equal(crowd_account(c), 2);
	assert_true(c->v.mark.is_probe);
	assert_false(c->v.alt);
	assert_int_equal(c->tables.leases.used, 0);
	assert_int_equal(crowd_counted(c, USAGE_ACCOUNT, CROWD_ACCOUNT + 2), 0);
	assert_false(crowd_probe(c, 2, CROWD_ACCOUNTS));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
}

static void a_probe_is_the_trial_of_a_half_open_circuit(void **state)
{
	struct crowd *c = *state;

	c->probed = true;
	crowd_build(c);
	crowd_break_account(c, 0);
	c->now_ms += (int64_t)c->head.options.health_recovery_ms;
	for (uint32_t n = 3; n < 50; n++) {
		assert_true(crowd_decide(c, n));
		assert_int_not_equal(crowd_account(c), 0);
		crowd_end(c, n);
	}
	assert_true(crowd_probe(c, 1, 0));
	assert_int_equal(crowd_account_health(c, 0)->circuit, CIRCUIT_HALF_OPEN);
	crowd_say(c, 0, RESULT_SUCCESS, 0);
	for (uint32_t n = 50; crowd_account(c) != 0; n++) {
		assert_true(n < 200 && crowd_decide(c, n));
		crowd_end(c, n);
	}
}

static void an_account_that_is_out_is_probed_before_the_end(void **state)
{
	struct crowd *c = *state;

	crowd_build(c);
	crowd_break_account(c, 0);
	crowd_say(c, 0, RESULT_WINDOW, c->now_ms + 60 * MINUTE_MS);
	assert_true(crowd_probe(c, 1, 0));
	assert_int_equal(crowd_account_health(c, 0)->circuit, CIRCUIT_OPEN);
	crowd_break_egress(c, 0);
	assert_false(crowd_probe(c, 2, 1));
	assert_int_equal(c->v.refusal, REFUSAL_CIRCUIT_OPEN);
}

static void a_probe_may_use_an_account_that_requests_may_not(void **state)
{
	struct crowd *c = *state;

	c->accounts[0].row.expires_ms = c->now_ms;
	c->accounts[1].row.limits.concurrency = 1;
	crowd_build(c);
	assert_true(crowd_probe(c, 1, 0));
	crowd_say(c, 1, RESULT_WINDOW, c->now_ms + MINUTE_MS);
	assert_true(crowd_probe(c, 2, 1));
	crowd_say(c, 2, RESULT_DENIED, 0);
	crowd_say(c, 2, RESULT_DENIED, 0);
	assert_true(crowd_probe(c, 3, 2));
	c->accounts[2].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	crowd_build(c);
	assert_false(crowd_probe(c, 4, 2));
	assert_int_equal(c->v.refusal, REFUSAL_NO_ACCOUNT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_the_first_healthy_egress),
		TEST(prefers_the_region_of_the_node),
		TEST(a_suspended_egress_is_never_taken),
		TEST(a_reset_by_the_operator_makes_an_egress_usable),
		TEST(a_repeated_question_keeps_its_egress),
		TEST(reports_the_egress_that_comes_back_first),
		TEST(a_failed_shared_egress_does_not_exclude_its_accounts),
		TEST(without_alternative_the_connection_failed),
		TEST(without_another_egress_the_upstream_is_unreachable),
		TEST(an_egress_known_to_be_down_is_the_cause),
		TEST(a_connection_that_fails_has_not_the_end_of_others),
		TEST(with_all_circuits_open_the_client_is_told_when_the_first_ends),
		TEST(accounts_that_rest_get_no_request),
		TEST(a_suspended_account_gets_no_request),
		TEST(waits_for_the_account_that_comes_back_first),
		TEST(a_half_open_account_gets_one_trial),
		TEST(a_probe_holds_nothing_and_counts_nothing),
		TEST(a_probe_is_the_trial_of_a_half_open_circuit),
		TEST(an_account_that_is_out_is_probed_before_the_end),
		TEST(a_probe_may_use_an_account_that_requests_may_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
