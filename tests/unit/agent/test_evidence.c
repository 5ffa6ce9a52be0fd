/* The promises of evidence.h, line by line. */
#include "agent/evidence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define NOW_MS 1800000000000
#define ACCOUNT 7
#define FAMILY 3
#define HEALTHS 4

static const struct evidence_requester alice = {1, FAMILY};
static const struct evidence_requester bob = {2, FAMILY + 1};
static const struct evidence_requester alices_other_key = {1, FAMILY + 2};
static const struct evidence_brake brake_of_pool = {5, EVIDENCE_BRAKE_MAX_MS};

struct scene {
	struct evidence evidence;
	int64_t now_ms;
};

static int set_up(void **state)
{
	static struct scene s;

	s.now_ms = NOW_MS;
	assert_int_equal(evidence_init(&s.evidence, HEALTHS), 0);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	evidence_fini(&s->evidence);
	return 0;
}

static const uint8_t *id_of(uint32_t n)
{
	static uint8_t id[16];

	memcpy(id, &n, sizeof(n));
	return id;
}

static const struct evidence_row *row_of(const struct scene *s, struct evidence_requester who)
{
	return evidence_find(&s->evidence, who, ACCOUNT);
}

static void fails(struct scene *s, struct evidence_requester who, uint32_t n)
{
	evidence_enter(&s->evidence, who, ACCOUNT, id_of(n), s->now_ms);
	evidence_fail(&s->evidence, who, ACCOUNT, id_of(n), BOARD_EVIDENCE_UNSEEN, brake_of_pool,
		s->now_ms);
}

/* Milliseconds that a new request of `who` has to wait. */
static int64_t waits(const struct scene *s, struct evidence_requester who)
{
	int64_t end = evidence_brake_end(row_of(s, who), id_of(999999), s->now_ms);

	return end ? end - s->now_ms : 0;
}

static struct evidence_account *account(struct scene *s)
{
	return evidence_account(&s->evidence, 0, ACCOUNT, 1);
}

/* --- shun --- */

static void a_shun_doubles_from_five_seconds_to_five_minutes(void **state)
{
	static const int64_t lengths_ms[] = {
		5000, 10000, 20000, 40000, 80000, 160000, 300000, 300000};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(lengths_ms) / sizeof(lengths_ms[0]); i++) {
		assert_false(evidence_shuns(row_of(s, alice), s->now_ms));
		evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
		/* requests that were under way add nothing */
		evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
		assert_true(evidence_shuns(row_of(s, alice), s->now_ms + lengths_ms[i] - 1));
		assert_false(evidence_shuns(row_of(s, bob), s->now_ms));
		s->now_ms += lengths_ms[i];
	}
	/* after a calm time it begins anew */
	s->now_ms += EVIDENCE_SHUN_MAX_MS + 1;
	evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
	assert_false(evidence_shuns(row_of(s, alice), s->now_ms + EVIDENCE_SHUN_MIN_MS));
}

static void a_success_ends_shun_and_brake_of_its_key_only(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 5; n++) {
		fails(s, alice, n);
		fails(s, bob, 100 + n);
	}
	evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
	evidence_succeed(&s->evidence, alice, ACCOUNT);
	assert_null(row_of(s, alice));
	assert_int_equal(waits(s, bob), 4000);
	evidence_succeed(&s->evidence, bob, ACCOUNT);
	assert_int_equal(s->evidence.used, 0);
}

/* --- brake --- */

static void a_brake_begins_at_the_fifth_failure_in_a_row(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 4; n++)
		fails(s, alice, n);
	assert_int_equal(waits(s, alice), 0);
	evidence_succeed(&s->evidence, alice, ACCOUNT);
	for (uint32_t n = 1; n <= 4; n++)
		fails(s, alice, n);
	assert_int_equal(waits(s, alice), 0);
	fails(s, alice, 5);
	assert_int_equal(waits(s, alice), 4000);
	assert_int_equal(waits(s, alices_other_key), 0);
	assert_int_equal(waits(s, bob), 0);
}

static void a_brake_grows_with_each_failed_trial(void **state)
{
	static const int64_t lengths_ms[] = {4000, 8000, 16000, 30000, 30000};
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 5; n++)
		fails(s, alice, n);
	for (uint32_t i = 0; i < sizeof(lengths_ms) / sizeof(lengths_ms[0]); i++) {
		assert_int_equal(waits(s, alice), lengths_ms[i]);
		/* requests that were under way add nothing */
		fails(s, alice, 50);
		assert_int_equal(waits(s, alice), lengths_ms[i]);
		s->now_ms += lengths_ms[i];
		assert_int_equal(waits(s, alice), 0);
		assert_true(evidence_is_trial(row_of(s, alice)));
		fails(s, alice, 100 + i);
	}
}

static void a_brake_is_short_in_a_pool_of_one(void **state)
{
	static const int64_t lengths_ms[] = {4000, 8000, 10000, 10000};
	const struct evidence_brake alone = {1, EVIDENCE_BRAKE_ALONE_MS};
	struct scene *s = *state;

	for (uint32_t i = 0; i < sizeof(lengths_ms) / sizeof(lengths_ms[0]); i++) {
		evidence_enter(&s->evidence, alice, ACCOUNT, id_of(i), s->now_ms);
		evidence_fail(&s->evidence, alice, ACCOUNT, id_of(i), BOARD_EVIDENCE_UNSEEN, alone,
			s->now_ms);
		assert_int_equal(waits(s, alice), lengths_ms[i]);
		s->now_ms += lengths_ms[i];
	}
}

static void one_trial_at_a_time(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 5; n++)
		fails(s, alice, n);
	s->now_ms += 4000;
	evidence_enter(&s->evidence, alice, ACCOUNT, id_of(6), s->now_ms);
	assert_int_equal(waits(s, alice), EVIDENCE_TRIAL_MS);
	/* its repeated question may go */
	assert_int_equal(evidence_brake_end(row_of(s, alice), id_of(6), s->now_ms), 0);
	/* without a result the next one is the trial, at once or after its time */
	evidence_leave(&s->evidence, alice, ACCOUNT, id_of(5), s->now_ms);
	assert_int_equal(waits(s, alice), EVIDENCE_TRIAL_MS);
	evidence_leave(&s->evidence, alice, ACCOUNT, id_of(6), s->now_ms);
	assert_int_equal(waits(s, alice), 0);
	evidence_enter(&s->evidence, alice, ACCOUNT, id_of(7), s->now_ms);
	s->now_ms += EVIDENCE_TRIAL_MS;
	assert_int_equal(waits(s, alice), 0);
	fails(s, alice, 8);
	assert_int_equal(waits(s, alice), 8000);
}

static void a_threshold_of_zero_never_brakes(void **state)
{
	const struct evidence_brake never = {0, EVIDENCE_BRAKE_MAX_MS};
	struct scene *s = *state;

	for (uint32_t n = 0; n < 1000; n++)
		evidence_fail(&s->evidence, alice, ACCOUNT, id_of(n), BOARD_EVIDENCE_UNSEEN, never,
			s->now_ms);
	assert_null(row_of(s, alice));
}

static void a_long_forgotten_brake_is_over(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 5; n++)
		fails(s, alice, n);
	for (int day = 0; day < 100; day++) {
		s->now_ms += 24 * 3600 * (int64_t)1000;
		assert_int_equal(waits(s, alice), 0);
	}
}

static void a_clock_set_back_holds_nobody_for_long(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 5; n++)
		fails(s, alice, n);
	evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
	evidence_settle(&s->evidence, alice, 5, s->now_ms);
	s->now_ms -= 3600000;
	assert_int_equal(waits(s, alice), 0);
	assert_false(evidence_shuns(row_of(s, alice), s->now_ms));
	assert_false(evidence_is_settled(&s->evidence, alice, 5, s->now_ms));
}

/* --- acquittal --- */

static void an_acquittal_takes_back_what_one_request_did(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 4; n++)
		fails(s, alice, n);
	for (uint32_t n = 5; n <= 20; n++) {
		fails(s, alice, n);
		evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
		assert_int_equal(waits(s, alice), 4000);
		evidence_acquit(&s->evidence, alice, ACCOUNT, true, s->now_ms);
		assert_int_equal(waits(s, alice), 0);
		assert_false(evidence_shuns(row_of(s, alice), s->now_ms));
	}
	for (uint32_t n = 0; n < 4; n++)
		evidence_acquit(&s->evidence, alice, ACCOUNT, true, s->now_ms);
	assert_int_equal(s->evidence.used, 0);
	/* a class that does not brake takes back no failure */
	fails(s, alice, 1);
	evidence_acquit(&s->evidence, alice, ACCOUNT, false, s->now_ms);
	assert_int_equal(row_of(s, alice)->failures, 1);
}

static void a_settled_request_is_its_keys_own_and_ends(void **state)
{
	struct scene *s = *state;
	uint32_t models = evidence_request(SLICE_LITERAL("POST"), SLICE_LITERAL("/v1/models"));
	uint32_t others = evidence_request(SLICE_LITERAL("GET"), SLICE_LITERAL("/v1/models"));

	assert_int_not_equal(models, others);
	evidence_settle(&s->evidence, alice, models, s->now_ms);
	assert_true(evidence_is_settled(&s->evidence, alice, models, s->now_ms));
	assert_false(evidence_is_settled(&s->evidence, alice, others, s->now_ms));
	assert_false(evidence_is_settled(&s->evidence, bob, models, s->now_ms));
	assert_false(evidence_is_settled(&s->evidence, alices_other_key, models, s->now_ms));
	assert_false(
		evidence_is_settled(&s->evidence, alice, models, s->now_ms + EVIDENCE_SETTLED_MS));
	evidence_unsettle(&s->evidence, alice, models);
	assert_false(evidence_is_settled(&s->evidence, alice, models, s->now_ms));
	assert_int_equal(s->evidence.used, 0);
}

/* --- witnesses --- */

static void two_keys_of_two_tenants_take_an_account_out(void **state)
{
	struct scene *s = *state;

	assert_false(evidence_testify(account(s), alice, true, s->now_ms));
	assert_false(evidence_testify(account(s), alice, true, s->now_ms));
	assert_false(evidence_testify(account(s), alices_other_key, true, s->now_ms));
	assert_int_equal(evidence_witnesses(account(s), s->now_ms), 1);
	assert_true(evidence_testify(account(s), bob, true, s->now_ms));
	assert_int_equal(evidence_witnesses(account(s), s->now_ms), 2);
}

static void two_keys_of_one_tenant_suffice_in_its_own_pool(void **state)
{
	struct scene *s = *state;

	assert_false(evidence_testify(account(s), alice, false, s->now_ms));
	assert_true(evidence_testify(account(s), alices_other_key, false, s->now_ms));
}

static void a_success_in_between_clears_the_witnesses(void **state)
{
	struct scene *s = *state;

	evidence_testify(account(s), alice, true, s->now_ms);
	evidence_want(account(s), BOARD_EVIDENCE_UNSEEN, s->now_ms);
	evidence_clear(account(s), bob, s->now_ms);
	assert_int_equal(account(s)->wanted_ms, 0);
	assert_int_equal(evidence_witnesses(account(s), s->now_ms), 0);
	assert_false(evidence_testify(account(s), bob, true, s->now_ms));
}

static void a_testimony_counts_for_a_minute(void **state)
{
	struct scene *s = *state;

	evidence_testify(account(s), alice, true, s->now_ms);
	s->now_ms += EVIDENCE_WITNESS_MS + 1;
	assert_false(evidence_testify(account(s), bob, true, s->now_ms));
	s->now_ms += EVIDENCE_WITNESS_MS;
	assert_true(evidence_testify(account(s), alice, true, s->now_ms));
}

static void another_account_in_the_row_begins_anew(void **state)
{
	struct scene *s = *state;

	evidence_testify(account(s), alice, true, s->now_ms);
	assert_int_equal(
		evidence_witnesses(evidence_account(&s->evidence, 0, ACCOUNT + 1, 1), s->now_ms),
		0);
}

static void the_operators_reset_forgets_what_all_keys_met_there(void **state)
{
	struct scene *s = *state;

	evidence_testify(account(s), alice, true, s->now_ms);
	for (uint32_t n = 1; n <= 5; n++) {
		fails(s, alice, n);
		fails(s, bob, n);
	}
	evidence_shun(&s->evidence, bob, ACCOUNT + 1, BOARD_EVIDENCE_UNSEEN, s->now_ms);
	evidence_settle(&s->evidence, alice, 5, s->now_ms);
	const struct evidence_account *a = evidence_account(&s->evidence, 0, ACCOUNT, 2);
	assert_int_equal(evidence_witnesses(a, s->now_ms), 0);
	assert_int_equal(waits(s, alice) + waits(s, bob), 0);
	assert_int_equal(s->evidence.used, 2);
}

/* --- reports --- */

static int64_t rests(struct scene *s, struct evidence_requester who, bool shared, int64_t ms)
{
	int64_t until =
		evidence_rest(&s->evidence, account(s), who, shared, s->now_ms + ms, s->now_ms);

	return until ? until - s->now_ms : 0;
}

static void one_keys_report_is_worth_five_seconds_and_two_the_whole(void **state)
{
	struct scene *s = *state;

	assert_int_equal(rests(s, alice, false, 2000), 2000);
	assert_int_equal(rests(s, alice, false, 20000), 5000);
	assert_int_equal(rests(s, alice, false, 20000), 5000);
	assert_int_equal(rests(s, alices_other_key, false, 20000), 20000);
}

static void in_a_shared_pool_a_tenants_report_counts_once_in_a_while(void **state)
{
	struct scene *s = *state;

	assert_int_equal(rests(s, alice, true, 20000), 5000);
	assert_int_equal(rests(s, alice, true, 20000), 0);
	assert_int_equal(rests(s, alices_other_key, true, 20000), 0);
	assert_int_equal(rests(s, bob, true, 20000), 20000);
	assert_int_equal(rests(s, bob, true, 20000), 0);
	s->now_ms += EVIDENCE_SILENCE_MS;
	assert_int_equal(rests(s, alice, true, 20000), 5000);
}

static void one_keys_report_counts_not_against_anothers_success(void **state)
{
	struct scene *s = *state;

	evidence_clear(account(s), bob, s->now_ms);
	assert_int_equal(rests(s, alice, true, 20000), 0);
	s->now_ms += EVIDENCE_REPORT_MS + 1;
	assert_int_equal(rests(s, alice, true, 20000), 5000);
	evidence_clear(account(s), alice, s->now_ms);
	assert_int_equal(rests(s, bob, true, 20000), 0);
	/* the second tenant's report does */
	assert_int_equal(rests(s, (struct evidence_requester){9, 9}, true, 20000), 20000);
}

static void clients_ask_for_a_new_credential_seldom_while_others_are_served(void **state)
{
	struct scene *s = *state;

	evidence_clear(account(s), bob, s->now_ms);
	assert_true(evidence_renew(account(s), s->now_ms));
	assert_false(evidence_renew(account(s), s->now_ms));
	s->now_ms += EVIDENCE_REPORT_MS + 1;
	assert_true(evidence_renew(account(s), s->now_ms));
	evidence_clear(account(s), bob, s->now_ms + EVIDENCE_RENEWAL_MS);
	assert_true(evidence_renew(account(s), s->now_ms + EVIDENCE_RENEWAL_MS));
}

static void broken_streams_of_two_keys_belong_together_for_ten_seconds(void **state)
{
	struct scene *s = *state;

	assert_false(evidence_break(account(s), alice, s->now_ms));
	assert_false(evidence_break(account(s), alice, s->now_ms));
	assert_true(evidence_break(account(s), bob, s->now_ms + EVIDENCE_BROKEN_MS));
	s->now_ms += 3 * EVIDENCE_BROKEN_MS;
	assert_false(evidence_break(account(s), alice, s->now_ms));
}

/* --- the table --- */

static uint32_t rows_of(const struct scene *s, uint32_t tenant)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < EVIDENCE_ROWS; i++)
		count += s->evidence.rows[i].tenant == tenant;
	return count;
}

static void a_tenant_has_an_eighth_of_the_table_and_leaves_the_others_room(void **state)
{
	struct scene *s = *state;

	for (uint32_t family = 1; family <= 100; family++)
		evidence_shun(&s->evidence, (struct evidence_requester){2, family}, ACCOUNT,
			BOARD_EVIDENCE_UNSEEN, s->now_ms);
	for (uint32_t n = 0; n < 100000; n++)
		evidence_settle(&s->evidence, (struct evidence_requester){1, n}, n + 1, s->now_ms);
	assert_true(rows_of(s, 1) <= EVIDENCE_ROWS / 8);
	assert_true(rows_of(s, 1) > EVIDENCE_ROWS / 10);
	/* the one with most rows of a bucket loses */
	assert_int_equal(rows_of(s, 2), 100);
	assert_int_equal(s->evidence.used, rows_of(s, 1) + rows_of(s, 2));
}

static void nobody_has_no_evidence(void **state)
{
	const struct evidence_requester nobody = {0, 0};
	struct scene *s = *state;

	evidence_shun(&s->evidence, nobody, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
	fails(s, nobody, 1);
	evidence_succeed(&s->evidence, nobody, ACCOUNT);
	evidence_shun(&s->evidence, alice, ACCOUNT, BOARD_EVIDENCE_UNSEEN, s->now_ms);
	evidence_succeed(&s->evidence, nobody, 0);
	assert_int_equal(s->evidence.used, 1);
	assert_null(row_of(s, nobody));
}

static struct evidence_account *only_account(void *context, uint32_t id)
{
	struct scene *s = context;

	return id == ACCOUNT ? account(s) : NULL;
}

static void brakes_in_force_are_counted(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 5; n++) {
		fails(s, alice, n);
		fails(s, bob, n);
	}
	fails(s, alices_other_key, 9);
	evidence_count_brakes(&s->evidence, only_account, s, s->now_ms);
	assert_int_equal(account(s)->brakes, 2);
	evidence_count_brakes(&s->evidence, only_account, s, s->now_ms + 4000);
	assert_int_equal(account(s)->brakes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_shun_doubles_from_five_seconds_to_five_minutes),
		TEST(a_success_ends_shun_and_brake_of_its_key_only),
		TEST(a_brake_begins_at_the_fifth_failure_in_a_row),
		TEST(a_brake_grows_with_each_failed_trial),
		TEST(a_brake_is_short_in_a_pool_of_one),
		TEST(one_trial_at_a_time),
		TEST(a_threshold_of_zero_never_brakes),
		TEST(a_long_forgotten_brake_is_over),
		TEST(a_clock_set_back_holds_nobody_for_long),
		TEST(an_acquittal_takes_back_what_one_request_did),
		TEST(a_settled_request_is_its_keys_own_and_ends),
		TEST(two_keys_of_two_tenants_take_an_account_out),
		TEST(two_keys_of_one_tenant_suffice_in_its_own_pool),
		TEST(a_success_in_between_clears_the_witnesses),
		TEST(a_testimony_counts_for_a_minute),
		TEST(another_account_in_the_row_begins_anew),
		TEST(the_operators_reset_forgets_what_all_keys_met_there),
		TEST(one_keys_report_is_worth_five_seconds_and_two_the_whole),
		TEST(in_a_shared_pool_a_tenants_report_counts_once_in_a_while),
		TEST(one_keys_report_counts_not_against_anothers_success),
		TEST(clients_ask_for_a_new_credential_seldom_while_others_are_served),
		TEST(broken_streams_of_two_keys_belong_together_for_ten_seconds),
		TEST(a_tenant_has_an_eighth_of_the_table_and_leaves_the_others_room),
		TEST(nobody_has_no_evidence),
		TEST(brakes_in_force_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
