/* The journal of refreshes and the effects of outcomes, on a real store. */
#include "tests/unit/admin/room.h"

#include "admin/store/notices.h"
#include "admin/upkeep/refresh_journal.h"
#include "admin/upkeep/refresh_list.h"
#include "admin/upkeep/refresh_settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define T ((int64_t)1800000000000)
#define ROWS "SELECT count(*) FROM refreshes"
#define SENDS "SELECT attempt FROM refreshes"
#define NOTICES "SELECT count(*) FROM notices WHERE acked_ms = 0"
#define GENERATION "SELECT generation FROM credentials WHERE account_id = 1 AND field = "

static void put(struct room *r, enum credential_field field, const char *value)
{
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1, field,
				 slice_from_str(value), 0, &r->e),
		0);
}

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r,
		"INSERT INTO upstreams (name, url, provider, token_url, client_id, created_ms)"
		" VALUES ('codex', 'https://h', 'codex', 'https://t/oauth/token', 'app', 0);"
		"INSERT INTO accounts (name, upstream_id, source, created_ms)"
		" VALUES ('a', 1, 'auth-json', 0)");
	put(r, CREDENTIAL_ACCESS_TOKEN, "at.1");
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
	*state = r;
	return 0;
}

static void intend(struct room *r, int64_t parent)
{
	assert_int_equal(refresh_journal_intend(r->control.store, 1, parent, T, &r->e), 0);
}

static int reply(struct room *r, int64_t parent, unsigned status, const char *body)
{
	const struct refresh_raw raw = {status, slice_from_str(body), "", T, 0};

	return refresh_journal_reply(r->control.store, r->control.vault, 1, parent, &raw, &r->e);
}

static struct refresh_settled settle_with(
	struct room *r, enum refresh_outcome outcome, uint32_t failures)
{
	const struct refresh_account a = {1, "a", failures, 0, 0};
	struct refresh_settled s = {0};

	if (refresh_settle(r->control.store, r->control.vault, &a, outcome, &s, &r->e))
		fail_msg("%s", r->e.text);
	return s;
}

static struct refresh_settled settle(struct room *r, enum refresh_outcome outcome)
{
	return settle_with(r, outcome, 0);
}

static void expect_token(struct room *r, enum credential_field field, const char *value)
{
	struct credential c;

	assert_int_equal(
		credential_get(r->control.store, r->control.vault, 1, field, &c, &r->e), 0);
	assert_string_equal(buffer_str(&c.value), value);
	credential_fini(&c);
}

static void a_granted_reply_is_committed_once(void **state)
{
	struct room *r = *state;
	uint64_t version = store_version(r->control.store);

	intend(r, 1);
	assert_int_equal(
		reply(r, 1, 200,
			"{\"access_token\":\"at.2\",\"refresh_token\":\"rt.2\",\"expires_in\":60}"),
		0);
	struct refresh_settled s = settle(r, REFRESH_LOST);
	assert_int_equal(s.action.step, REFRESH_COMMIT);
	assert_true(s.renewed && s.expires_ms == T + 60000);
	expect_token(r, CREDENTIAL_ACCESS_TOKEN, "at.2");
	expect_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	assert_int_equal(room_number(r, ROWS), 0);
	assert_true(store_version(r->control.store) == version + 1);
	const struct refresh_account a = {1, "a", 0, 0, 0};
	assert_int_equal(
		refresh_settle(r->control.store, r->control.vault, &a, REFRESH_LOST, &s, &r->e),
		-ENOENT);
}

static void fields_that_are_not_given_stay(void **state)
{
	struct room *r = *state;

	put(r, CREDENTIAL_ID_TOKEN, "id.1");
	intend(r, 1);
	reply(r, 1, 200, "{\"access_token\":\"at.2\"}");
	assert_int_equal(settle(r, REFRESH_LOST).action.step, REFRESH_COMMIT);
	expect_token(r, CREDENTIAL_ACCESS_TOKEN, "at.2");
	expect_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
	expect_token(r, CREDENTIAL_ID_TOKEN, "id.1");
	assert_int_equal(room_number(r, GENERATION "'refresh_token'"), 1);
}

static void an_unknown_outcome_keeps_the_intent(void **state)
{
	struct room *r = *state;
	uint64_t version = store_version(r->control.store);

	for (int i = 1; i <= 3; i++) {
		intend(r, 1);
		assert_int_equal(settle(r, REFRESH_LOST).action.step, REFRESH_REPEAT);
		assert_int_equal(room_number(r, SENDS), i);
	}
	assert_true(store_version(r->control.store) == version);
	expect_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
}

static void an_unreadable_reply_leaves_only_the_intent(void **state)
{
	struct room *r = *state;

	intend(r, 1);
	reply(r, 1, 200, "{\"access_token\":\"at.2\",\"refr");
	struct refresh_settled s = settle(r, REFRESH_LOST);
	assert_int_equal(s.outcome, REFRESH_LOST);
	assert_int_equal(s.action.step, REFRESH_REPEAT);
	assert_int_equal(room_number(r, "SELECT count(*) FROM refreshes WHERE reply IS NULL"), 1);
	assert_int_equal(room_number(r, SENDS), 1);
}

static void an_unsent_token_counts_as_unused(void **state)
{
	struct room *r = *state;

	intend(r, 1);
	assert_int_equal(settle(r, REFRESH_NOT_SENT).action.step, REFRESH_RETRY);
	assert_int_equal(room_number(r, ROWS), 0);
	/* After an unknown outcome, that intent stays. */
	intend(r, 1);
	settle(r, REFRESH_LOST);
	intend(r, 1);
	assert_int_equal(room_number(r, SENDS), 2);
	settle(r, REFRESH_NOT_SENT);
	assert_int_equal(room_number(r, SENDS), 1);
	intend(r, 1);
	reply(r, 1, 429, "slow down");
	assert_int_equal(settle(r, REFRESH_LOST).outcome, REFRESH_REFUSED);
	assert_int_equal(room_number(r, "SELECT attempt FROM refreshes WHERE reply IS NULL"), 1);
}

static void a_rejection_needs_a_login_and_says_so_once(void **state)
{
	struct room *r = *state;
	uint64_t version = store_version(r->control.store);

	intend(r, 1);
	reply(r, 1, 401, "{\"error\":{\"code\":\"refresh_token_reused\"}}");
	struct refresh_settled s = settle(r, REFRESH_LOST);
	assert_int_equal(s.action.step, REFRESH_LOGIN);
	assert_string_equal(s.reason, "refresh_token_reused");
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM accounts WHERE"
				 " needs_login = 'refresh_token_reused'"),
		1);
	assert_int_equal(
		room_number(r, NOTICES " AND kind = 'needs_login' AND subject = 'account/a'"), 1);
	assert_int_equal(room_number(r, ROWS), 0);
	assert_true(store_version(r->control.store) == version + 1);
	/* No credential is deleted. */
	expect_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
}

static void a_rejection_of_a_replaced_token_is_ignored(void **state)
{
	struct room *r = *state;

	intend(r, 1);
	reply(r, 1, 400, "{\"error\":\"invalid_grant\"}");
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	assert_int_equal(settle(r, REFRESH_LOST).action.step, REFRESH_FORGET);
	assert_int_equal(room_number(r, ROWS), 0);
	assert_int_equal(room_number(r, NOTICES), 0);
	assert_int_equal(room_number(r, "SELECT count(*) FROM accounts WHERE needs_login = ''"), 1);
}

static void tokens_of_a_replaced_parent_are_not_written(void **state)
{
	struct room *r = *state;

	intend(r, 1);
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.new");
	assert_int_equal(
		reply(r, 1, 200, "{\"access_token\":\"at.old\",\"refresh_token\":\"rt.old\"}"), 0);
	assert_int_equal(settle(r, REFRESH_LOST).action.step, REFRESH_FORGET);
	expect_token(r, CREDENTIAL_ACCESS_TOKEN, "at.1");
	expect_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.new");
}

static void a_reply_for_a_deleted_row_is_ignored(void **state)
{
	struct room *r = *state;

	assert_int_equal(reply(r, 1, 200, "{}"), -ENOENT);
	intend(r, 2);
	assert_int_equal(reply(r, 1, 200, "{}"), -ENOENT);
	assert_int_equal(reply(r, 2, 200, "{}"), 0);
}

static void replies_are_sealed(void **state)
{
	struct room *r = *state;
	struct refresh_row row;

	intend(r, 1);
	reply(r, 1, 200, "{\"access_token\":\"very-secret\"}");
	assert_int_equal(
		room_number(r,
			"SELECT count(*) FROM refreshes WHERE instr(CAST(reply AS TEXT), 'secret')"),
		0);
	assert_int_equal(
		refresh_journal_get(r->control.store, r->control.vault, 1, &row, &r->e), 0);
	assert_string_equal(buffer_str(&row.reply), "{\"access_token\":\"very-secret\"}");
	assert_true(row.has_reply && row.status == 200 && row.sends == 1 && row.parent == 1);
	refresh_row_fini(&row);
	/* A reply sealed by another vault is unreadable. */
	room_run(r, "UPDATE refreshes SET reply = x'00112233'");
	assert_int_equal(settle(r, REFRESH_LOST).action.step, REFRESH_REPEAT);
}

static void repeated_failures_raise_one_notice_and_a_success_ends_it(void **state)
{
	struct room *r = *state;

	for (uint32_t i = 0; i < 20; i++) {
		intend(r, 1);
		settle_with(r, i % 2 ? REFRESH_LOST : REFRESH_NOT_SENT, i);
		assert_int_equal(room_number(r, NOTICES), i + 1 >= REFRESH_NOTICE_AFTER);
	}
	intend(r, 1);
	reply(r, 1, 200, "{\"access_token\":\"at.2\"}");
	settle_with(r, REFRESH_LOST, 20);
	assert_int_equal(room_number(r, NOTICES), 0);
}

/* --- schedule --- */

static struct refresh_item *scan(struct room *r, struct refresh_list *l, int64_t wall_ms)
{
	const struct refresh_clock at = {wall_ms, 1000000};

	if (refresh_list_scan(l, NULL, r->control.store, r->board, at, &r->e))
		fail_msg("%s", r->e.text);
	return refresh_list_find(l, 1);
}

static void set_lifetime(struct room *r, int64_t updated_ms, int64_t expires_ms)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		"UPDATE credentials SET updated_ms = %lld, expires_ms = %lld WHERE field ="
		" 'access_token'",
		(long long)updated_ms, (long long)expires_ms);
	room_run(r, sql);
}

static size_t due(struct refresh_list *l, int64_t now_ms)
{
	size_t n = 0;

	free(refresh_list_due(l, now_ms, &n));
	return n;
}

static void accounts_are_due_by_their_lifetime(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};

	set_lifetime(r, T, T + 1000000);
	struct refresh_item *item = scan(r, &l, T);
	assert_non_null(item);
	assert_in_range(item->wanted_ms, 1000000 + 600000, 1000000 + 750000);
	assert_int_equal(due(&l, item->wanted_ms - 1), 0);
	assert_int_equal(due(&l, item->wanted_ms), 1);
	assert_true(refresh_list_next_ms(&l) == item->wanted_ms);
	item->not_before_ms = item->wanted_ms + 5;
	assert_int_equal(due(&l, item->wanted_ms), 0);
	/* On request, whatever its time, and in the order of the requests. */
	item->asked_ms = 7;
	assert_int_equal(due(&l, 6), 0);
	assert_int_equal(due(&l, 7), 1);
	refresh_list_fini(&l);
}

static void accounts_that_are_not_refreshed_are_not_listed(void **state)
{
	static const char *const changes[][2] = {
		{"UPDATE accounts SET source = 'watch'",
			"UPDATE accounts SET source = 'auth-json'"},
		{"UPDATE accounts SET needs_login = 'x'", "UPDATE accounts SET needs_login = ''"},
		{"UPDATE upstreams SET client_id = ''", "UPDATE upstreams SET client_id = 'app'"},
		{"UPDATE upstreams SET token_url = ''",
			"UPDATE upstreams SET token_url = 'http://x'"},
		{"DELETE FROM credentials WHERE field = 'refresh_token'", "SELECT 1"},
	};
	struct room *r = *state;
	struct refresh_list l = {0};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		assert_non_null(scan(r, &l, T));
		room_run(r, changes[i][0]);
		assert_null(scan(r, &l, T));
		room_run(r, changes[i][1]);
	}
	room_run(r, "UPDATE accounts SET suspended = 1");
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
	assert_non_null(scan(r, &l, T));
	refresh_list_fini(&l);
}

static void an_intent_repeats_after_its_pause_and_a_reply_at_once(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};

	set_lifetime(r, T, 0);
	assert_in_range(scan(r, &l, T)->wanted_ms, 1000000 + 2160000, 1000000 + 2700000);
	/* A clock that was set back by more than the age. */
	assert_true(scan(r, &l, T - 5000000)->wanted_ms == 1000000);
	intend(r, 1);
	struct refresh_item *item = scan(r, &l, T + 400);
	assert_true(item->repeats && item->wanted_ms == 1000000 + 600);
	/* A clock that was set back. */
	assert_true(scan(r, &l, T - 5000000)->wanted_ms == 1000000 + 1000);
	room_run(r, "UPDATE refreshes SET attempt = 3");
	assert_true(scan(r, &l, T)->wanted_ms == 1000000 + 8000);
	reply(r, 1, 200, "{}");
	item = scan(r, &l, T);
	assert_true(item->has_reply && item->wanted_ms == 1000000);
	/* The state of the account does not matter. */
	room_run(r, "UPDATE accounts SET needs_login = 'x'");
	assert_non_null(scan(r, &l, T));
	refresh_list_fini(&l);
}

static void an_intent_of_another_token_does_not_count(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};

	set_lifetime(r, T, T + 1000000);
	intend(r, 1);
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	struct refresh_item *item = scan(r, &l, T);
	assert_false(item->repeats);
	assert_true(item->wanted_ms > 1000000 + 500000);
	intend(r, 2);
	assert_int_equal(room_number(r, SENDS), 1);
	refresh_list_fini(&l);
}

static void a_refused_token_is_renewed_at_once_but_not_repeatedly(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};

	set_lifetime(r, T, T + 1000000);
	assert_true(scan(r, &l, T)->wanted_ms > 1000000);
	board_set(&board_account(r->board, 1)->refused_credential, 1);
	struct refresh_item *item = scan(r, &l, T);
	assert_true(item->wanted_ms == 1000000);
	item->renewed_ms = 1000000 - 1000;
	assert_true(scan(r, &l, T)->wanted_ms == 1000000 - 1000 + REFRESH_REFUSED_PAUSE_MS);
	board_set(&board_account(r->board, 1)->refused_credential, 7);
	assert_true(scan(r, &l, T)->wanted_ms > 1000000 + 500000);
	refresh_list_fini(&l);
}

static void a_new_token_starts_without_failures(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};
	struct refresh_item *item = scan(r, &l, T);

	item->failures = 9;
	item->not_before_ms = INT64_MAX;
	item = scan(r, &l, T);
	assert_int_equal(item->failures, 9);
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	item = scan(r, &l, T);
	assert_true(item->failures == 0 && item->not_before_ms == 0);
	refresh_list_fini(&l);
}

static void items_in_progress_stay_while_others_are_deleted(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};
	char sql[256];

	for (int i = 2; i <= 300; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT INTO accounts (name, upstream_id, source, created_ms)"
			" VALUES ('n%d', 1, 'auth-json', 0);"
			"INSERT INTO credentials (account_id, field, generation, sealed, updated_ms)"
			" VALUES (%d, 'refresh_token', 1, x'00', 0)",
			i, i);
		room_run(r, sql);
	}
	scan(r, &l, T);
	assert_int_equal(l.count, 300);
	struct refresh_item *kept = refresh_list_find(&l, 150);
	kept->unsaved_status = 200;
	room_run(r, "DELETE FROM accounts WHERE id % 3 <> 1");
	scan(r, &l, T);
	assert_int_equal(l.count, 101);
	assert_ptr_equal(refresh_list_find(&l, 150), kept);
	for (int i = 1; i <= 300; i++)
		assert_true((refresh_list_find(&l, i) != NULL) == (i % 3 == 1 || i == 150));
	assert_int_equal(due(&l, INT64_MAX), 100);
	kept->unsaved_status = 0;
	scan(r, &l, T);
	assert_int_equal(l.count, 100);
	refresh_list_fini(&l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_granted_reply_is_committed_once),
		TEST(fields_that_are_not_given_stay),
		TEST(an_unknown_outcome_keeps_the_intent),
		TEST(an_unreadable_reply_leaves_only_the_intent),
		TEST(an_unsent_token_counts_as_unused),
		TEST(a_rejection_needs_a_login_and_says_so_once),
		TEST(a_rejection_of_a_replaced_token_is_ignored),
		TEST(tokens_of_a_replaced_parent_are_not_written),
		TEST(a_reply_for_a_deleted_row_is_ignored),
		TEST(replies_are_sealed),
		TEST(repeated_failures_raise_one_notice_and_a_success_ends_it),
		TEST(accounts_are_due_by_their_lifetime),
		TEST(accounts_that_are_not_refreshed_are_not_listed),
		TEST(an_intent_repeats_after_its_pause_and_a_reply_at_once),
		TEST(an_intent_of_another_token_does_not_count),
		TEST(a_refused_token_is_renewed_at_once_but_not_repeatedly),
		TEST(a_new_token_starts_without_failures),
		TEST(items_in_progress_stay_while_others_are_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
