/* When a conversation waits for its account, when it moves, and when it is pinned. */
#include "crowd.h"

#include "agent/decide/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID(i) (CROWD_ACCOUNT + 10 * (i)) /* with a gap, so that an account may change its id */

static int set_up(void **state)
{
	static struct crowd crowd;

	crowd_init(&crowd);
	crowd.provider = "codex";
	crowd.sticky = true;
	for (uint32_t i = 0; i < CROWD_ACCOUNTS; i++)
		crowd.accounts[i].row.id = ID(i);
	crowd_build(&crowd);
	*state = &crowd;
	return 0;
}

static int tear_down(void **state)
{
	crowd_fini(*state);
	return 0;
}

static uint32_t index_of(const struct crowd *c)
{
	return (c->v.account->id - CROWD_ACCOUNT) / 10;
}

/* The first request of the conversation, and its answer. */
static uint32_t begin(struct crowd *c)
{
	assert_true(crowd_decide(c, 1));
	assert_false(crowd_answered(c, 1));
	crowd_end(c, 1);
	return index_of(c);
}

/* --- a table of what may happen to the account --- */

static void nothing(struct crowd *c, uint32_t i)
{
	(void)c;
	(void)i;
}

static void opens(struct crowd *c, uint32_t i)
{
	crowd_break_account(c, i);
}

static void rests_30_s(struct crowd *c, uint32_t i)
{
	crowd_say(c, i, RESULT_BURST, c->now_ms + 30000);
}

static void window_of_60_s(struct crowd *c, uint32_t i)
{
	crowd_say(c, i, RESULT_WINDOW, c->now_ms + 60000);
}

static void window_of_61_s(struct crowd *c, uint32_t i)
{
	crowd_say(c, i, RESULT_WINDOW, c->now_ms + 61000);
}

static void is_suspended(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
}

static void needs_login(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.flags = SNAPSHOT_ACCOUNT_NEEDS_LOGIN;
}

static void has_no_credential(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.flags = SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
}

static void is_deleted(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.id++;
}

static void credential_expires(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.expires_ms = c->now_ms;
}

static void credential_is_renewed(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.expires_ms = c->now_ms;
	c->accounts[i].row.flags = SNAPSHOT_ACCOUNT_REFRESHABLE;
}

static void egress_opens(struct crowd *c, uint32_t i)
{
	c->accounts[i].egresses[0] = 1;
	crowd_break_egress(c, 1);
}

static void egress_is_suspended(struct crowd *c, uint32_t i)
{
	c->accounts[i].egresses[0] = 1;
	c->egresses[1].row.flags = SNAPSHOT_EGRESS_SUSPENDED;
}

static void egress_is_new(struct crowd *c, uint32_t i)
{
	c->accounts[i].egresses[0] = 1;
	c->egresses[1].first_gen = 2;
}

static void reaches_its_minute(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.limits.rpm = 1;
}

static void reaches_its_hour(struct crowd *c, uint32_t i)
{
	c->accounts[i].row.limits.rph = 1;
}

struct happening {
	const char *name;
	void (*happens)(struct crowd *c, uint32_t i);
	bool moves; /* in a soft pool of accounts with bound state */
	bool stays_usable;
};

static const struct happening happenings[] = {
	{"nothing", nothing, false, true},
	{"its circuit opens", opens, false, false},
	{"it rests for 30 s", rests_30_s, false, false},
	{"its window ends in 60 s", window_of_60_s, false, false},
	{"its window ends in 61 s", window_of_61_s, true, false},
	{"it is suspended", is_suspended, true, false},
	{"it needs a login", needs_login, true, false},
	{"it has no credential", has_no_credential, true, false},
	{"it is deleted", is_deleted, true, false},
	{"its credential expires", credential_expires, true, false},
	{"its credential is renewed", credential_is_renewed, false, false},
	{"its egress fails", egress_opens, false, false},
	{"its egress is suspended", egress_is_suspended, true, false},
	{"its egress is not known yet", egress_is_new, false, false},
	{"its minute is used up", reaches_its_minute, false, false},
	{"its hour is used up", reaches_its_hour, true, false},
};

struct rule {
	const char *provider;
	uint32_t sticky;    /* enum snapshot_sticky */
	bool always, never; /* it moves, whatever happens */
};

static const struct rule rules[] = {
	{"codex", SNAPSHOT_STICKY_SOFT, false, false},
	{"codex", SNAPSHOT_STICKY_HARD, false, true},
	{"codex", SNAPSHOT_STICKY_FREE, true, false},
	{"generic", SNAPSHOT_STICKY_SOFT, true, false},
	{"generic", SNAPSHOT_STICKY_HARD, false, true},
	{"generic", SNAPSHOT_STICKY_FREE, true, false},
};

static void check(const struct rule *rule, const struct happening *h)
{
	struct crowd *c;
	bool moves = rule->always || (!rule->never && h->moves);

	print_message("%s, sticky %u: %s\n", rule->provider, rule->sticky, h->name);
	set_up((void **)&c);
	c->provider = rule->provider;
	c->pool.sticky = rule->sticky;
	crowd_build(c);
	uint32_t first = begin(c);
	h->happens(c, first);
	crowd_build(c);
	bool allowed = crowd_decide(c, 2);
	assert_int_equal(allowed, h->stays_usable || moves);
	if (h->stays_usable) {
		assert_int_equal(index_of(c), first);
		assert_int_equal(c->v.kept, !rule->always);
		assert_int_equal(c->v.alt, rule->always);
		assert_true(c->v.bound && !c->v.watch);
	} else if (moves) {
		assert_int_not_equal(index_of(c), first);
		assert_true(c->v.moved && c->v.watch && !c->v.kept && c->v.alt);
		/* nothing is bound elsewhere before an answer */
		assert_int_equal(crowd_lease(c, 2)->bound, ID(first));
		assert_true(crowd_answered(c, 2));
		uint32_t second = index_of(c);
		assert_true(crowd_decide(c, 3));
		assert_int_equal(index_of(c), second);
		assert_true(c->v.bound);
	} else {
		assert_int_equal(c->v.bound_to, ID(first));
		assert_int_equal(c->tables.leases.used, 0);
	}
	tear_down((void **)&c);
}

static void a_conversation_waits_moves_or_stays_by_the_rules_of_its_pool(void **state)
{
	struct crowd *c = *state;

	crowd_fini(c);
	for (size_t r = 0; r < sizeof(rules) / sizeof(rules[0]); r++) {
		for (size_t h = 0; h < sizeof(happenings) / sizeof(happenings[0]); h++)
			check(&rules[r], &happenings[h]);
	}
	set_up(state);
}

/* --- further rules --- */

static void the_first_request_may_fail_over_until_an_account_has_answered(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1) && c->v.alt && c->v.watch && !c->v.kept);
	uint32_t first = index_of(c);
	/* a second one of the same moment goes to the same account, and may fail over, too */
	assert_true(crowd_decide(c, 2) && c->v.alt);
	assert_int_equal(index_of(c), first);
	assert_true(crowd_again(c, 1) && c->v.watch);
	uint32_t second = index_of(c);
	crowd_answered(c, 1);
	assert_true(crowd_decide(c, 3) && !c->v.alt && c->v.kept);
	assert_int_equal(index_of(c), second);
	/* the other one was answered later: the conversation stays */
	crowd_answered(c, 2);
	assert_true(crowd_decide(c, 4) && !c->v.alt);
	assert_int_equal(index_of(c), second);
}

static void a_failed_first_request_leaves_nothing_behind(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1));
	uint32_t first = index_of(c);
	crowd_end(c, 1);
	crowd_break_account(c, first);
	/* its client tries again at once and gets another account */
	assert_true(crowd_decide(c, 2) && c->v.alt);
	assert_int_not_equal(index_of(c), first);
}

static void a_bound_request_keeps_its_account_at_a_failed_connection(void **state)
{
	struct crowd *c = *state;

	for (uint32_t i = 0; i < 3; i++) {
		c->accounts[i].egresses[1] = 1;
		c->accounts[i].egress_count = 2;
	}
	crowd_build(c);
	uint32_t first = begin(c);
	assert_true(crowd_decide(c, 2));
	assert_true(crowd_again(c, 2));
	assert_int_equal(index_of(c), first);
	assert_int_equal(crowd_egress(c), 1);
	assert_true(c->v.kept && !c->v.alt);
	assert_true(crowd_again2(c, 2) && c->v.repeated && c->v.kept);
	assert_true(crowd_again(c, 2));
	assert_int_equal(index_of(c), first);
	assert_false(crowd_again(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_UPSTREAM_UNREACHABLE);
}

static void a_repeated_question_is_told_the_same(void **state)
{
	struct crowd *c = *state;

	assert_true(crowd_decide(c, 1) && c->v.alt && !c->v.kept);
	crowd_answered(c, 1);
	assert_true(crowd_decide(c, 1) && c->v.repeated && c->v.alt && !c->v.kept);
	assert_true(crowd_decide(c, 2) && !c->v.alt && c->v.kept);
	crowd_restart(c);
	assert_true(crowd_decide(c, 2) && c->v.repeated && !c->v.alt && c->v.kept);
}

static void round_robin_minds_conversations_with_bound_state(void **state)
{
	struct crowd *c = *state;

	c->pool.strategy = SNAPSHOT_STRATEGY_ROUND_ROBIN;
	crowd_build(c);
	uint32_t first = begin(c);
	for (uint32_t n = 2; n < 8; n++) {
		assert_true(crowd_decide(c, n) && c->v.kept);
		assert_int_equal(index_of(c), first);
	}
	c->pool.sticky = SNAPSHOT_STICKY_FREE;
	crowd_build(c);
	bool moved = false;
	for (uint32_t n = 8; n < 14; n++) {
		assert_true(crowd_decide(c, n) && !c->v.kept && !c->v.watch);
		moved |= index_of(c) != first;
	}
	assert_true(moved);
}

static void foreign_state_pins_a_conversation_to_the_account_before(void **state)
{
	struct crowd *c = *state;
	int64_t end = c->now_ms + 3 * CROWD_TTL_MS;

	uint32_t first = begin(c);
	crowd_say(c, first, RESULT_WINDOW, end);
	assert_true(crowd_decide(c, 2) && c->v.moved);
	assert_true(crowd_foreign(c, 2));
	assert_false(crowd_foreign(c, 2));
	/* its account only, even when it is out for long */
	assert_false(crowd_decide(c, 3));
	assert_true(c->v.pinned);
	assert_int_equal(c->v.bound_to, ID(first));
	assert_int_equal(c->v.refusal, REFUSAL_ACCOUNTS_EXHAUSTED);
	assert_true(c->v.alone && c->v.resets_exact);
	assert_int_equal(c->v.resets_ms, end);
	crowd_answered(c, 2);
	/* its refused requests keep the binding alive */
	while (c->now_ms < end - CROWD_TTL_MS) {
		c->now_ms += CROWD_TTL_MS - 1;
		assert_false(crowd_decide(c, 4));
	}
	c->now_ms = end;
	assert_true(crowd_decide(c, 4) && c->v.kept && !c->v.alt);
	assert_int_equal(index_of(c), first);
	c->pool.sticky = SNAPSHOT_STICKY_FREE;
	crowd_build(c);
	assert_true(crowd_decide(c, 5) && c->v.kept && c->v.pinned);
}

/* Requests without state, such as one for a title, may be answered first. */
static void foreign_state_pins_also_after_an_answer(void **state)
{
	struct crowd *c = *state;

	uint32_t first = begin(c);
	crowd_say(c, first, RESULT_WINDOW, c->now_ms + 3000000);
	assert_true(crowd_decide(c, 2) && c->v.moved);
	assert_true(crowd_answered(c, 2));
	assert_true(crowd_decide(c, 3) && c->v.bound);
	assert_true(crowd_foreign(c, 3));
	assert_false(crowd_decide(c, 4));
	assert_int_equal(c->v.bound_to, ID(first));
}

static void foreign_state_of_unknown_origin_pins_nothing(void **state)
{
	struct crowd *c = *state;

	/* its own account: the upstream is wrong, or another relay had the conversation */
	begin(c);
	assert_true(crowd_decide(c, 2));
	assert_false(crowd_foreign(c, 2));
	/* its account has never answered */
	crowd_fini(c);
	set_up(state);
	assert_true(crowd_decide(c, 3));
	assert_true(crowd_again(c, 3));
	assert_false(crowd_foreign(c, 3));
	/* no conversation */
	c->sticky = false;
	assert_true(crowd_decide(c, 4));
	assert_false(crowd_foreign(c, 4));
}

static void a_waiting_conversation_goes_first_and_delays_no_others(void **state)
{
	struct crowd *c = *state;
	struct room room;

	assert_int_equal(room_init(&room), 0);
	c->tables.state.room = &room;
	c->pool.wait_ms = 10000;
	crowd_build(c);
	uint32_t first = begin(c);
	c->accounts[first].row.limits.concurrency = 1;
	crowd_build(c);
	assert_true(crowd_decide(c, 2));
	assert_false(crowd_decide(c, 3));
	assert_int_equal(c->v.action, DECIDE_WAIT);
	assert_int_equal(c->v.wait_for, ROOM_FOR_ONE_ACCOUNT);
	assert_int_equal(c->v.wait_what, ID(first));
	struct decide_request r = {.gen = 1, .seated = true};
	struct waiter *w = room_add(&room, &r, CROWD_TENANT, &(struct room_seat){NULL, 0, 0});
	assert_non_null(w);
	room_set_reason(&room, w, c->v.wait_for, c->v.wait_what);
	crowd_end(c, 2);
	/* the free slot is for the one that waits; requests without a conversation go elsewhere */
	assert_false(crowd_decide(c, 4));
	c->sticky = false;
	for (uint32_t n = 5; n < 12; n++) {
		assert_true(crowd_decide(c, n));
		assert_int_not_equal(index_of(c), first);
		crowd_end(c, n);
	}
	room_remove(&room, w);
	c->sticky = true;
	assert_true(crowd_decide(c, 12));
	assert_int_equal(index_of(c), first);
	c->tables.state.room = NULL;
	room_fini(&room);
}

/* --- conversations that the body names --- */

#define FIRST "\"input\":[{\"role\":\"user\",\"content\":\"hello\"}"
#define KEY_1 ",\"prompt_cache_key\":\"1\"}"

static bool asks_for_body(struct crowd *c)
{
	static uint32_t n = 1000;

	crowd_build(c);
	if (crowd_decide(c, ++n))
		crowd_end(c, n);
	return c->v.action == DECIDE_BODY;
}

static void the_body_is_asked_for_only_where_it_matters(void **state)
{
	struct crowd *c = *state;

	c->sticky = false;
	assert_false(asks_for_body(c));
	c->body = "{}";
	assert_true(asks_for_body(c));
	c->read = true;
	assert_false(asks_for_body(c));
	c->read = false;
	c->sticky = true;
	assert_false(asks_for_body(c));
	c->sticky = false;
	/* state at an account matters in every pool */
	c->pool.strategy = SNAPSHOT_STRATEGY_ROUND_ROBIN;
	assert_true(asks_for_body(c));
	c->provider = "openai";
	assert_false(asks_for_body(c));
	c->pool.sticky = SNAPSHOT_STICKY_HARD;
	assert_true(asks_for_body(c));
	c->pool.strategy = SNAPSHOT_STRATEGY_STICKY;
	c->pool.sticky = SNAPSHOT_STICKY_SOFT;
	assert_true(asks_for_body(c));
	c->provider = "anthropic"; /* whose models answer elsewhere */
	assert_false(asks_for_body(c));
	c->provider = "openai";
	c->account_count = 1;
	assert_false(asks_for_body(c));
}

/* A client that may not ask learns it before its body is there. */
static void a_question_for_the_body_counts_nothing(void **state)
{
	struct crowd *c = *state;

	c->sticky = false;
	c->body = "{" FIRST "]" KEY_1;
	c->tenant.limits.rph = 1;
	c->tenant.limits.concurrency = 1;
	crowd_build(c);
	for (uint32_t n = 1; n < 9; n++) {
		assert_false(crowd_decide(c, n));
		assert_int_equal(c->v.action, DECIDE_BODY);
		assert_null(crowd_lease(c, n));
	}
	assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), 0);
	assert_int_equal(crowd_in_use(c, USAGE_TENANT, CROWD_TENANT), 0);
	c->read = true;
	assert_true(crowd_decide(c, 1));
	uint32_t first = index_of(c);
	assert_true(crowd_decide(c, 1) && c->v.repeated && index_of(c) == first);
	assert_int_equal(crowd_counted(c, USAGE_TENANT, CROWD_TENANT), 1);
	/* the first question of a request that has its lease is a repeated one, too */
	c->read = false;
	assert_true(crowd_decide(c, 1) && c->v.repeated && index_of(c) == first);
	assert_false(crowd_decide(c, 2));
	assert_int_equal(c->v.refusal, REFUSAL_RATE_LIMITED);
	assert_int_equal(c->v.action, DECIDE_DENY);
	/* what waits has its name first */
	c->tenant.limits.rph = 0;
	crowd_build(c);
	assert_false(crowd_decide(c, 3));
	assert_int_equal(c->v.action, DECIDE_BODY);
	crowd_end(c, 1);
}

static uint32_t turn(struct crowd *c, const char *body)
{
	static uint32_t n = 2000;

	c->body = body;
	assert_true(crowd_decide(c, ++n));
	crowd_answered(c, n);
	crowd_end(c, n);
	return index_of(c);
}

#define NAMED 24 /* the table of bindings has place for some more */

/* It leaves the account only when that account cannot serve. */
static void a_conversation_named_in_the_body_stays(void **state)
{
	struct crowd *c = *state;
	char bodies[NAMED][96];
	uint32_t accounts[NAMED];
	uint32_t seen = 0;

	c->sticky = false;
	c->read = true;
	for (uint32_t i = 0; i < NAMED; i++) {
		snprintf(bodies[i], sizeof(bodies[i]), "{" FIRST "],\"prompt_cache_key\":\"%u\"}",
			i);
		accounts[i] = turn(c, bodies[i]);
		seen |= 1u << accounts[i];
	}
	assert_int_equal(seen, (1u << c->account_count) - 1);
	for (uint32_t i = 0; i < NAMED; i++)
		assert_true(turn(c, bodies[i]) == accounts[i] && c->v.bound);
	/* a header names it before the body does, and a body never says what a header says */
	c->sticky = true;
	assert_true(crowd_decide(c, 1));
	uint64_t by_header = c->v.conversation;
	c->sticky = false;
	for (uint32_t i = 0; i < NAMED; i++) {
		turn(c, bodies[i]);
		assert_true(c->v.conversation && c->v.conversation != by_header);
	}
	c->body = "{}";
	assert_true(crowd_decide(c, 2));
	assert_int_equal(c->v.conversation, 0);
}

/* As it grows, its name leaves the part of the body that is read, and its first message is left. */
static void a_conversation_is_found_by_its_first_message_too(void **state)
{
	struct crowd *c = *state;

	c->sticky = false;
	c->read = true;
	for (uint32_t i = 0; i < NAMED / 2; i++) {
		char whole[128];
		char cut[128];
		snprintf(whole, sizeof(whole),
			"{\"input\":\"hello %u\",\"prompt_cache_key\":\"%u\"}", i, i);
		snprintf(cut, sizeof(cut), "{\"input\":\"hello %u\",\"prompt", i);
		uint32_t account = turn(c, whole);
		assert_int_equal(turn(c, cut), account);
		assert_true(c->v.bound);
		assert_int_equal(turn(c, cut), account);
		assert_int_equal(turn(c, whole), account);
	}
}

/* The same first message in another conversation does not take the place of one that an account has answered. */
static void a_first_message_stays_where_it_was_answered(void **state)
{
	struct crowd *c = *state;
	uint32_t first, second = 0;

	c->sticky = false;
	c->read = true;
	first = turn(c, "{" FIRST "]" KEY_1);
	assert_int_equal(turn(c, "{" FIRST ",{"), first);
	for (uint32_t i = 2; i < 40; i++) {
		char other[128];
		snprintf(other, sizeof(other), "{" FIRST "],\"prompt_cache_key\":\"%u\"}", i);
		second = turn(c, other);
		if (second != first)
			break;
	}
	assert_int_not_equal(second, first);
	assert_int_equal(turn(c, "{" FIRST ",{"), first);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_conversation_waits_moves_or_stays_by_the_rules_of_its_pool),
		TEST(the_first_request_may_fail_over_until_an_account_has_answered),
		TEST(a_failed_first_request_leaves_nothing_behind),
		TEST(a_bound_request_keeps_its_account_at_a_failed_connection),
		TEST(a_repeated_question_is_told_the_same),
		TEST(round_robin_minds_conversations_with_bound_state),
		TEST(foreign_state_pins_a_conversation_to_the_account_before),
		TEST(foreign_state_pins_also_after_an_answer),
		TEST(foreign_state_of_unknown_origin_pins_nothing),
		TEST(a_waiting_conversation_goes_first_and_delays_no_others),
		TEST(the_body_is_asked_for_only_where_it_matters),
		TEST(a_question_for_the_body_counts_nothing),
		TEST(a_conversation_named_in_the_body_stays),
		TEST(a_conversation_is_found_by_its_first_message_too),
		TEST(a_first_message_stays_where_it_was_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
