#include "tests/unit/admin/room.h"

#include "admin/publish/generation.h"

#include <errno.h>
#include <stdio.h>

#define BASE                                                                                       \
	"INSERT INTO upstreams (name, url, provider, headers, created_ms)"                         \
	" VALUES ('chat', 'https://chat.example/api', 'codex', '{\"X-One\":\"1\"}', 0),"           \
	" ('idle', 'https://idle.example', 'openai', '{\"X-Idle\":\"1\"}', 0);"                    \
	"INSERT INTO egresses (name, kind, address, created_ms)"                                   \
	" VALUES ('east', 'source', '127.0.0.9', 0), ('far', 'node', '127.0.0.1:9', 0);"           \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES ('a', 1, 'token', 0)"

#define OPEN "SELECT count(*) FROM backends WHERE last_gen IS NULL"

/* Plans and takes the next generation; returns whether there was a change. */
static bool plan(struct room *r)
{
	struct store *s = r->control.store;
	bool changed = false;
	uint64_t next = generation_current(s) + 1;

	assert_int_equal(store_begin(s, &r->e), 0);
	if (generation_plan(s, next, &changed, &r->e) < 0)
		fail_msg("%s", r->e.text);
	if (changed)
		assert_int_equal(generation_set_current(s, next, &r->e), 0);
	assert_int_equal(store_commit(s, &r->e), 0);
	return changed;
}

static void only_used_pairs_have_backends(void **state)
{
	struct room *r = *state;

	room_run(r, BASE);
	assert_true(plan(r));
	assert_int_equal(generation_current(r->control.store), 1);
	assert_int_equal(room_number(r, OPEN), 1);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM backends WHERE name = 'b1-chat-direct'"
				 " AND prefix = '/api' AND first_gen = 1"),
		1);
	assert_false(plan(r));
	/* An egress without its node is not rendered. */
	room_run(r, "INSERT INTO account_egresses VALUES (1, 3, 1)");
	assert_true(plan(r));
	assert_int_equal(room_number(r, OPEN), 0);
}

static void a_change_adds_a_backend_and_keeps_the_old_one(void **state)
{
	struct room *r = *state;

	room_run(r, BASE);
	plan(r);
	static const char *const changes[] = {
		"UPDATE upstreams SET url = 'https://chat.example/v2' WHERE id = 1",
		"UPDATE upstreams SET strip = '/v1' WHERE id = 1",
		"UPDATE upstreams SET ca_pem = 'x' WHERE id = 1",
		"UPDATE upstreams SET first_byte_timeout_ms = 5 WHERE id = 1",
		"UPDATE upstreams SET websocket = 1 WHERE id = 1",
		"UPDATE upstreams SET http2 = 1 WHERE id = 1",
	};
	for (size_t i = 0; i < 6; i++) {
		room_run(r, changes[i]);
		assert_true(plan(r));
		assert_false(plan(r));
		assert_int_equal(room_number(r, OPEN), 1);
		assert_int_equal(
			room_number(r, "SELECT first_gen FROM backends WHERE last_gen IS NULL"),
			(int64_t)i + 2);
	}
	/* Each backend ends in the generation in which the next one starts. */
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM backends WHERE last_gen = first_gen"), 6);
	assert_int_equal(room_number(r, "SELECT max(id) FROM backends"), 7);
	/* Fields that are not rendered change nothing. */
	room_run(r, "UPDATE upstreams SET token_url = 'https://t.example' WHERE id = 1");
	assert_false(plan(r));
}

static void every_old_generation_keeps_its_backend(void **state)
{
	struct room *r = *state;
	char sql[160];

	room_run(r, BASE);
	room_run(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	plan(r);
	for (int i = 2; i <= 50; i++) {
		snprintf(sql, sizeof(sql),
			"UPDATE egresses SET address = '127.0.1.%d' WHERE id = 2", i);
		room_run(r, sql);
		assert_true(plan(r));
	}
	for (int gen = 1; gen <= 50; gen++) {
		snprintf(sql, sizeof(sql),
			"SELECT count(*) FROM backends WHERE %d BETWEEN first_gen AND coalesce(last_gen,"
			" 999999)",
			gen);
		assert_int_equal(room_number(r, sql), 1);
	}
}

static void a_pair_that_comes_back_is_a_new_backend(void **state)
{
	struct room *r = *state;

	room_run(r, BASE);
	plan(r);
	room_run(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	plan(r);
	room_run(r, "DELETE FROM account_egresses");
	plan(r);
	assert_int_equal(room_number(r, "SELECT count(*) FROM backends WHERE egress_id = 1"), 2);
	assert_int_equal(
		room_number(r, "SELECT first_gen FROM backends WHERE last_gen IS NULL"), 3);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM backends WHERE egress_id = 1 AND"
				 " first_gen = 1 AND last_gen = 1"),
		1);
}

static void header_slots_follow_the_accounts(void **state)
{
	struct room *r = *state;

	room_run(r, BASE);
	plan(r);
	/* the idle upstream has no account */
	assert_int_equal(room_number(r, "SELECT count(*) FROM header_slots"), 1);
	room_run(r, "UPDATE accounts SET headers = '{\"x-ONE\":\"2\"}'");
	assert_false(plan(r));
	room_run(r, "UPDATE accounts SET headers = '{\"x-two\":\"2\"}'");
	assert_true(plan(r));
	assert_int_equal(
		room_number(r, "SELECT first_gen FROM header_slots WHERE name = 'X-Two'"), 2);
	room_run(r, "UPDATE accounts SET headers = '{}'");
	assert_true(plan(r));
	assert_int_equal(
		room_number(r, "SELECT last_gen FROM header_slots WHERE name = 'x-two'"), 2);
	/* A slot that returns is known from the new generation on. */
	room_run(r, "UPDATE accounts SET headers = '{\"X-Two\":\"3\"}'");
	assert_true(plan(r));
	assert_int_equal(room_number(r,
				 "SELECT first_gen FROM header_slots WHERE name = 'x-two'"
				 " AND last_gen IS NULL"),
		4);
}

static void the_account_id_has_a_slot_if_the_provider_requires_it(void **state)
{
	struct room *r = *state;

	room_run(r, BASE);
	plan(r);
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCOUNT_ID, SLICE_LITERAL("acct-1"), 0, &r->e),
		0);
	assert_true(plan(r));
	assert_int_equal(
		room_number(
			r, "SELECT count(*) FROM header_slots WHERE name = 'chatgpt-account-id'"),
		1);
}

static void too_many_header_names_are_an_error(void **state)
{
	struct room *r = *state;
	char sql[256];
	bool changed;

	room_run(r, BASE);
	for (int i = 0; i <= GENERATION_HEADERS_MAX; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT INTO accounts (name, upstream_id, source, headers,"
			" created_ms) VALUES ('a%d', 1, 'token', '{\"X-N%d\":\"v\"}', 0)",
			i, i);
		room_run(r, sql);
	}
	assert_int_equal(store_begin(r->control.store, &r->e), 0);
	assert_int_equal(generation_plan(r->control.store, 1, &changed, &r->e), -E2BIG);
	store_rollback(r->control.store);
	assert_int_equal(room_number(r, "SELECT count(*) FROM header_slots"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_used_pairs_have_backends),
		TEST(a_change_adds_a_backend_and_keeps_the_old_one),
		TEST(every_old_generation_keeps_its_backend),
		TEST(a_pair_that_comes_back_is_a_new_backend),
		TEST(header_slots_follow_the_accounts),
		TEST(the_account_id_has_a_slot_if_the_provider_requires_it),
		TEST(too_many_header_names_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
