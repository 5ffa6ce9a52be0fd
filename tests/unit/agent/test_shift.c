/*
 * A step of the clock: what is out stays out for the rest of its time, and what counts for some time
 * counts for the rest of it. Each table is asked the same before the step and after it.
 */
#include "agent/badkeys.h"
#include "agent/binding.h"
#include "agent/budget.h"
#include "agent/evidence.h"
#include "agent/gone.h"
#include "agent/health.h"
#include "agent/lease.h"
#include "agent/room.h"
#include "agent/sharing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1796000000000)
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define ACCOUNT 7

static const int64_t steps[] = {
	1000, -1000, HOUR_MS, -HOUR_MS, DAY_MS, -2 * DAY_MS, 60 * DAY_MS, -60 * DAY_MS};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static const struct health_subject account = {.kind = HEALTH_ACCOUNT, .id = ACCOUNT};
static const struct snapshot_options rules = {
	.health_threshold = 1, .health_recovery_ms = 30000, .health_half_open = 1};
static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8};
static const struct evidence_requester who = {3, 4};

/* --- health --- */

static void assert_same_look(const struct health_look *a, const struct health_look *b, int64_t step)
{
	assert_int_equal(a->standing, b->standing);
	assert_int_equal(a->trial, b->trial);
	assert_int_equal(a->watch, b->watch);
	assert_true(b->until_ms == (a->until_ms ? a->until_ms + step : 0));
}

/* Each of the reasons that take an account out, alone. */
static void put_out(struct statefile_health *row, int reason)
{
	const struct result window = {.class = RESULT_WINDOW, .until_ms = NOW_MS + 5 * HOUR_MS};
	const struct health_event event = {id, row->generation, 0, &window};

	if (reason == 0)
		health_convict(row, &rules, NOW_MS);
	else if (reason == 1)
		health_rest(row, row->generation, NOW_MS + 9000);
	else if (reason == 2)
		health_answer(row, &account, &event, false, NOW_MS);
	else
		health_avoid(row, row->generation, NOW_MS, 5);
}

static void what_is_out_stays_out_for_the_rest_of_its_time(void **state)
{
	static const int64_t later_ms[] = {0, 500, 8999, 29999, 30000, HOUR_MS, 6 * HOUR_MS};

	(void)state;
	for (size_t i = 0; i < STEPS * 4; i++) {
		struct statefile_health rows[2] = {{.state = HEALTH_FREE}};
		struct healths h;
		int64_t step = steps[i / 4];
		assert_int_equal(healths_init(&h, rows, 2), 0);
		struct statefile_health *row = health_of(&h, &account, NOW_MS);
		put_out(row, (int)(i % 4));
		struct statefile_health before;
		memcpy(&before, row, sizeof(before));
		healths_shift(&h, step, NOW_MS + step);
		for (size_t n = 0; n < sizeof(later_ms) / sizeof(later_ms[0]); n++) {
			int64_t then = NOW_MS + later_ms[n];
			struct health_look a = health_look(&before, &account, &rules, then);
			struct health_look b = health_look(row, &account, &rules, then + step);
			assert_same_look(&a, &b, step);
		}
		healths_fini(&h);
	}
}

static void a_permit_is_held_for_a_minute_at_most(void **state)
{
	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct statefile_health rows[2] = {{.state = HEALTH_FREE}};
		struct healths h;
		int64_t now = NOW_MS + 31000;
		assert_int_equal(healths_init(&h, rows, 2), 0);
		struct statefile_health *row = health_of(&h, &account, NOW_MS);
		health_convict(row, &rules, NOW_MS);
		health_enter(row, &rules, id, now);
		assert_false(health_look(row, &account, &rules, now).trial);
		now += steps[i];
		healths_shift(&h, steps[i], now);
		assert_false(health_look(row, &account, &rules, now + HEALTH_PERMIT_MS - 1).trial);
		assert_true(health_look(row, &account, &rules, now + HEALTH_PERMIT_MS).trial);
		healths_fini(&h);
	}
}

/* Whatever a file says. */
static void no_end_of_a_file_is_later_than_its_longest_length(void **state)
{
	struct statefile_health rows[1] = {{.state = HEALTH_FREE}};
	struct healths h;

	(void)state;
	assert_int_equal(healths_init(&h, rows, 1), 0);
	struct statefile_health *row = health_of(&h, &account, NOW_MS);
	row->open_until_ms = row->window_until_ms = row->used_until_ms = INT64_MAX;
	row->cool_until_ms = row->last_used_ms = row->last_success_ms = INT64_MAX;
	row->cool_class = RESULT_AUTH;
	row->permits[0].until_ms = INT64_MAX;
	row->permits[1].until_ms = INT64_MIN;
	healths_shift(&h, 0, NOW_MS);
	assert_true(row->open_until_ms <= NOW_MS + 32 * DAY_MS);
	assert_true(row->window_until_ms <= NOW_MS + 32 * DAY_MS);
	assert_true(row->used_until_ms <= NOW_MS + 32 * DAY_MS);
	assert_true(row->cool_until_ms <= NOW_MS + HEALTH_LADDER_LONG_MS);
	assert_true(row->last_used_ms <= NOW_MS && row->last_success_ms <= NOW_MS);
	assert_true(row->permits[0].until_ms <= NOW_MS + HEALTH_PERMIT_MS);
	assert_true(row->permits[1].until_ms <= NOW_MS + HEALTH_PERMIT_MS);
	healths_fini(&h);
}

/* --- conversations and leases --- */

static void a_conversation_is_bound_for_its_time_to_live(void **state)
{
	static struct statefile_binding rows[STATEFILE_BINDING_WAYS];

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct bindings b;
		struct binding_key key = {77, 3, NOW_MS, HOUR_MS};
		memset(rows, 0, sizeof(rows));
		bindings_init(&b, rows, STATEFILE_BINDING_WAYS);
		binding_pin(&b, &key, ACCOUNT);
		bindings_shift(&b, steps[i], NOW_MS + steps[i]);
		key.now_ms = NOW_MS + steps[i] + HOUR_MS - 1;
		struct binding found = binding_find(&b, &key);
		assert_int_equal(found.account, ACCOUNT);
		assert_true(found.answered && found.pinned);
		key.now_ms++;
		assert_int_equal(binding_find(&b, &key).account, 0);
	}
}

static void count_nothing(void *context, const struct statefile_lease *lease)
{
	(void)context;
	(void)lease;
}

static void a_lease_keeps_its_age_and_its_windows(void **state)
{
	static struct statefile_lease rows[4];

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct leases l;
		memset(rows, 0, sizeof(rows));
		assert_int_equal(leases_init(&l, rows, 4, count_nothing, NULL), 0);
		struct statefile_lease *lease = lease_new(&l, id);
		lease->decided_ms = lease->counted_ms = NOW_MS - 5000;
		lease->again_ms = lease->attempted_ms = NOW_MS - 2000;
		lease_commit(lease);
		leases_shift(&l, steps[i], NOW_MS + steps[i]);
		assert_true(lease->decided_ms == NOW_MS + steps[i] - 5000);
		assert_true(lease->again_ms == NOW_MS + steps[i] - 2000);
		assert_true(lease_counted_ms(lease) == NOW_MS - 5000);
		assert_true(lease_attempted_ms(lease) == NOW_MS - 2000);
		leases_fini(&l);
	}
}

/* --- what is in the agent's memory --- */

static void shuns_brakes_and_silence_last_as_long_as_before(void **state)
{
	const struct evidence_brake brake = {1, EVIDENCE_BRAKE_MAX_MS};

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct evidence e;
		int64_t now = NOW_MS + steps[i];
		assert_int_equal(evidence_init(&e, 4), 0);
		evidence_shun(&e, who, ACCOUNT, BOARD_EVIDENCE_BROKEN, NOW_MS);
		evidence_fail(&e, who, ACCOUNT, id, BOARD_EVIDENCE_BROKEN, brake, NOW_MS);
		evidence_settle(&e, who, 9, NOW_MS);
		const struct evidence_row *row = evidence_find(&e, who, ACCOUNT);
		int64_t end = evidence_brake_end(row, (const uint8_t[16]){9}, NOW_MS);
		assert_true(end > NOW_MS);
		evidence_shift(&e, steps[i], now);
		assert_true(evidence_shuns(row, now + EVIDENCE_SHUN_MIN_MS - 1));
		assert_false(evidence_shuns(row, now + EVIDENCE_SHUN_MIN_MS));
		assert_true(evidence_brake_end(row, (const uint8_t[16]){9}, now) == end + steps[i]);
		assert_true(evidence_is_settled(&e, who, 9, now + EVIDENCE_SETTLED_MS - 1));
		assert_false(evidence_is_settled(&e, who, 9, now + EVIDENCE_SETTLED_MS));
		evidence_fini(&e);
	}
}

static void witnesses_and_probes_keep_their_age(void **state)
{
	const struct evidence_requester other = {5, 6};

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct evidence e;
		int64_t now = NOW_MS + steps[i];
		assert_int_equal(evidence_init(&e, 4), 0);
		struct evidence_account *a = evidence_account(&e, 1, ACCOUNT, 1);
		evidence_want(a, BOARD_EVIDENCE_BROKEN, NOW_MS - 700);
		assert_false(evidence_testify(a, who, false, NOW_MS));
		evidence_shift(&e, steps[i], now);
		assert_true(a->wanted_ms == now - 700);
		assert_int_equal(evidence_witnesses(a, now + EVIDENCE_WITNESS_MS), 1);
		assert_int_equal(evidence_witnesses(a, now + EVIDENCE_WITNESS_MS + 1), 0);
		assert_true(evidence_testify(a, other, false, now + EVIDENCE_WITNESS_MS));
		evidence_fini(&e);
	}
}

static void bans_and_bad_keys_last_as_long_as_before(void **state)
{
	const uint8_t seed[SIPHASH_KEY_LEN] = {1};
	struct ip ip;

	(void)state;
	assert_int_equal(ip_parse(SLICE_LITERAL("192.0.2.1"), &ip), 0);
	for (size_t i = 0; i < STEPS; i++) {
		static struct badkeys b;
		struct cidr network = badkeys_network(&ip);
		int64_t now = NOW_MS + steps[i];
		assert_int_equal(badkeys_init(&b, seed), 0);
		badkeys_ban(&b, 0, &network, NOW_MS + 600000);
		assert_int_equal(badkeys_note(&b, &ip, SLICE_LITERAL("one"), NOW_MS, 2), 0);
		badkeys_shift(&b, steps[i], now);
		assert_true(badkeys_is_banned(&b, &ip, now + 599999, 0));
		assert_false(badkeys_is_banned(&b, &ip, now + 600000, 0));
		assert_int_equal(
			badkeys_note(&b, &ip, SLICE_LITERAL("two"), now + BADKEYS_WINDOW_MS - 1, 2),
			2);
		badkeys_fini(&b);
	}
}

static void a_shared_address_is_one_for_an_hour(void **state)
{
	const uint8_t seed[SIPHASH_KEY_LEN] = {1};
	struct ip ip;

	(void)state;
	assert_int_equal(ip_parse(SLICE_LITERAL("192.0.2.1"), &ip), 0);
	for (size_t i = 0; i < STEPS; i++) {
		struct sharing s;
		struct cidr network = badkeys_network(&ip);
		int64_t now = NOW_MS + steps[i];
		assert_int_equal(sharing_init(&s, seed), 0);
		sharing_note(&s, &network, 1, NOW_MS);
		sharing_note(&s, &network, 2, NOW_MS);
		sharing_shift(&s, steps[i], now);
		assert_true(sharing_is_shared(&s, &network, now + HOUR_MS - 1000));
		assert_false(sharing_is_shared(&s, &network, now + HOUR_MS + 2000));
		sharing_fini(&s);
	}
}

static void a_budget_is_credited_for_real_time_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct budgets b;
		assert_int_equal(budgets_init(&b), 0);
		struct budget *budget = budget_of(&b, 1);
		budget_credit(budget, 5, NOW_MS);
		budget->level = 0;
		budgets_shift(&b, steps[i], NOW_MS + steps[i]);
		budget_credit(budget_of(&b, 1), 5, NOW_MS + steps[i] + 200);
		assert_true(budget_of(&b, 1)->level == BUDGET_UNIT);
		budgets_fini(&b);
	}
}

static void a_request_that_has_gone_is_known_for_ten_seconds(void **state)
{
	static struct gone g;

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		int64_t now = NOW_MS + steps[i];
		memset(&g, 0, sizeof(g));
		gone_add(&g, id, NOW_MS);
		gone_shift(&g, steps[i], now);
		assert_true(gone_has(&g, id, now + GONE_MS - 1));
		assert_false(gone_has(&g, id, now + GONE_MS));
	}
}

static void a_wait_goes_on(void **state)
{
	const struct decide_request request = {.since_ms = NOW_MS - 300};
	const struct room_seat seat = {.stream_id = 1, .frame_id = 1};

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		struct room r;
		int64_t now = NOW_MS + steps[i];
		assert_int_equal(room_init(&r), 0);
		struct waiter *w = room_add(&r, &request, 1, &seat);
		w->wake_ms = NOW_MS + 40;
		w->answer_ms = NOW_MS + 30000;
		room_shift(&r, steps[i], now);
		assert_true(w->request.since_ms == now - 300);
		assert_true(w->wake_ms == now + 40);
		assert_true(w->answer_ms == now + 30000);
		room_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_out_stays_out_for_the_rest_of_its_time),
		cmocka_unit_test(a_permit_is_held_for_a_minute_at_most),
		cmocka_unit_test(no_end_of_a_file_is_later_than_its_longest_length),
		cmocka_unit_test(a_conversation_is_bound_for_its_time_to_live),
		cmocka_unit_test(a_lease_keeps_its_age_and_its_windows),
		cmocka_unit_test(shuns_brakes_and_silence_last_as_long_as_before),
		cmocka_unit_test(witnesses_and_probes_keep_their_age),
		cmocka_unit_test(bans_and_bad_keys_last_as_long_as_before),
		cmocka_unit_test(a_shared_address_is_one_for_an_hour),
		cmocka_unit_test(a_budget_is_credited_for_real_time_only),
		cmocka_unit_test(a_request_that_has_gone_is_known_for_ten_seconds),
		cmocka_unit_test(a_wait_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
