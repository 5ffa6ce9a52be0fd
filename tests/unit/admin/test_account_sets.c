/* Which headers and egresses the generations use: the newest set of which they know everything. */
#include "tests/unit/admin/room.h"

#include "admin/publish/account_sets.h"
#include "admin/publish/generation.h"

#include <stdio.h>

#define BASE                                                                                       \
	"INSERT INTO upstreams (name, url, provider, created_ms)"                                  \
	" VALUES ('chat', 'https://chat.example', 'codex', 0);"                                    \
	"INSERT INTO egresses (name, kind, address, created_ms)"                                   \
	" VALUES ('east', 'source', '127.0.0.9', 0), ('west', 'source', '127.0.0.8', 0),"          \
	" ('far', 'node', '127.0.0.1:9', 0);"                                                      \
	"INSERT INTO accounts (name, upstream_id, source, headers, created_ms)"                    \
	" VALUES ('a', 1, 'token', '{\"X-One\":\"1\"}', 0);"                                       \
	"INSERT INTO account_egresses VALUES (1, 2, 0)"

static void update(struct room *r)
{
	if (account_sets_update(r->control.store, &r->e) < 0)
		fail_msg("%s", r->e.text);
}

/* Runs the statements, makes a generation if one is needed, and brings the sets in line. */
static void change(struct room *r, const char *sql)
{
	struct store *s = r->control.store;
	bool changed = false;
	uint64_t next = generation_current(s) + 1;

	room_run(r, sql);
	assert_int_equal(store_begin(s, &r->e), 0);
	assert_int_equal(generation_plan(s, next, &changed, &r->e), 0);
	if (changed)
		assert_int_equal(generation_set_current(s, next, &r->e), 0);
	assert_int_equal(store_commit(s, &r->e), 0);
	update(r);
}

static void set_headers(struct room *r, const char *headers)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "UPDATE accounts SET headers = '%s'", headers);
	change(r, sql);
}

/* Whether account 1 has exactly these headers and egresses in the generation. */
static void assert_set(struct room *r, int gen, const char *headers, const char *egresses)
{
	char sql[400];

	snprintf(sql, sizeof(sql),
		"SELECT count(*) FROM account_sets WHERE account_id = 1 AND %d BETWEEN first_gen AND"
		" coalesce(last_gen, 999) AND headers = '%s' AND egresses = '%s'",
		gen, headers, egresses);
	if (room_number(r, sql) != 1)
		fail_msg("generation %d lacks %s %s", gen, headers, egresses);
}

static int64_t count_sets(struct room *r)
{
	return room_number(r, "SELECT count(*) FROM account_sets");
}

static void a_new_header_begins_with_its_generation(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	assert_int_equal(generation_current(r->control.store), 1);
	set_headers(r, "{\"X-One\":\"2\",\"X-Two\":\"2\"}");
	assert_int_equal(generation_current(r->control.store), 2);
	assert_set(r, 1, "{\"X-One\":\"1\"}", "2");
	assert_set(r, 2, "{\"X-One\":\"2\",\"X-Two\":\"2\"}", "2");
}

static void what_haproxy_knows_already_is_in_force_at_once(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	set_headers(r, "{\"X-One\":\"new\"}");
	assert_int_equal(generation_current(r->control.store), 1);
	assert_set(r, 1, "{\"X-One\":\"new\"}", "2");
	assert_int_equal(count_sets(r), 1);
	/* taking away needs nothing that HAProxy does not know */
	set_headers(r, "{}");
	assert_int_equal(generation_current(r->control.store), 2);
	assert_set(r, 1, "{}", "2");
	assert_set(r, 2, "{}", "2");
}

static void a_replaced_egress_stays_until_its_successor_is_known(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	change(r, "UPDATE account_egresses SET egress_id = 3");
	assert_set(r, 1, "{\"X-One\":\"1\"}", "2");
	assert_set(r, 2, "{\"X-One\":\"1\"}", "3");
	/* no old generation keeps what is no longer wanted, once it knows all that is */
	change(r, "UPDATE account_egresses SET egress_id = 2");
	assert_set(r, 3, "{\"X-One\":\"1\"}", "2");
	assert_set(r, 2, "{\"X-One\":\"1\"}", "3");
	/* a node that is not rendered is not waited for */
	change(r, "INSERT INTO account_egresses VALUES (1, 4, 1)");
	assert_set(r, 3, "{\"X-One\":\"1\"}", "2,4");
}

/* Otherwise two accounts would be seen from one address until HAProxy has loaded the third one. */
static void exclusive_egresses_change_hands_in_one_generation(void **state)
{
	struct room *r = *state;

	change(r,
		BASE ";"
		     "INSERT INTO accounts (name, upstream_id, source, created_ms)"
		     " VALUES ('b', 1, 'token', 0);"
		     "INSERT INTO egresses (name, kind, address, created_ms)"
		     " VALUES ('new', 'source', '127.0.0.7', 0);"
		     "INSERT INTO account_egresses VALUES (2, 3, 0)");
	change(r,
		"UPDATE account_egresses SET egress_id = 5 WHERE account_id = 1;"
		"UPDATE account_egresses SET egress_id = 2 WHERE account_id = 2");
	assert_set(r, 1, "{\"X-One\":\"1\"}", "2");
	assert_int_equal(room_number(r,
				 "SELECT first_gen FROM account_sets WHERE account_id = 2"
				 " AND egresses = '2'"),
		2);
	/* what both know already is exchanged at once */
	change(r,
		"UPDATE account_egresses SET egress_id = 2 WHERE account_id = 1;"
		"UPDATE account_egresses SET egress_id = 5 WHERE account_id = 2");
	assert_set(r, 2, "{\"X-One\":\"1\"}", "2");
}

static void another_url_of_the_upstream_changes_no_set(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	change(r, "UPDATE upstreams SET url = 'https://chat.example/v2'");
	assert_int_equal(generation_current(r->control.store), 2);
	assert_int_equal(count_sets(r), 1);
	/* both generations have a backend for the pair, and know the header */
	set_headers(r, "{\"X-One\":\"2\"}");
	assert_set(r, 1, "{\"X-One\":\"2\"}", "2");
}

static void what_was_never_rendered_waits(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	/* the rendering fails, so there is no generation that knows it */
	room_run(r, "UPDATE accounts SET headers = '{\"X-Two\":\"2\"}'");
	update(r);
	assert_set(r, 1, "{\"X-One\":\"1\"}", "2");
	assert_set(r, 50, "{\"X-One\":\"1\"}", "2");
	/* the next one succeeds */
	change(r, "UPDATE accounts SET weight = 2");
	assert_set(r, 1, "{\"X-One\":\"1\"}", "2");
	assert_set(r, 2, "{\"X-Two\":\"2\"}", "2");
	assert_int_equal(count_sets(r), 2);
}

static void headers_of_upstream_and_account_id_are_part_of_it(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	change(r, "UPDATE upstreams SET headers = '{\"X-Up\":\"1\"}'");
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM account_sets WHERE first_gen = 2"
				 " AND upstream_headers = '{\"X-Up\":\"1\"}'"),
		1);
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCOUNT_ID, SLICE_LITERAL("acct-1"), 0, &r->e),
		0);
	change(r, "UPDATE accounts SET weight = 2");
	assert_int_equal(room_number(r, "SELECT has_id FROM account_sets WHERE first_gen = 3"), 1);
	assert_int_equal(room_number(r, "SELECT has_id FROM account_sets WHERE first_gen = 2"), 0);
}

/* Every generation has exactly one set, whatever the changes were. */
static void sets_follow_each_other_without_a_gap(void **state)
{
	struct room *r = *state;
	char sql[256];

	change(r, BASE);
	for (int i = 0; i < 60; i++) {
		snprintf(sql, sizeof(sql),
			"UPDATE accounts SET headers = '{\"X-N%d\":\"%d\"}';"
			"UPDATE account_egresses SET egress_id = %d",
			i * 7 % 5, i, 2 + i % 3 % 2);
		change(r, sql);
		for (int gen = 1; gen <= (int)generation_current(r->control.store); gen++) {
			snprintf(sql, sizeof(sql),
				"SELECT count(*) FROM account_sets WHERE %d BETWEEN first_gen AND"
				" coalesce(last_gen, 999)",
				gen);
			assert_int_equal(room_number(r, sql), 1);
		}
	}
	assert_true(generation_current(r->control.store) > 40);
}

static void sets_of_long_ago_are_forgotten(void **state)
{
	struct room *r = *state;

	change(r, BASE);
	set_headers(r, "{\"X-Two\":\"2\"}");
	assert_int_equal(count_sets(r), 2);
	assert_int_equal(generation_set_current(r->control.store, 300, &r->e), 0);
	set_headers(r, "{\"X-Three\":\"3\"}");
	assert_int_equal(room_number(r, "SELECT min(first_gen) FROM account_sets"), 2);
	room_run(r, "DELETE FROM account_egresses; DELETE FROM accounts");
	assert_int_equal(count_sets(r), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_header_begins_with_its_generation),
		TEST(what_haproxy_knows_already_is_in_force_at_once),
		TEST(a_replaced_egress_stays_until_its_successor_is_known),
		TEST(exclusive_egresses_change_hands_in_one_generation),
		TEST(another_url_of_the_upstream_changes_no_set),
		TEST(what_was_never_rendered_waits),
		TEST(headers_of_upstream_and_account_id_are_part_of_it),
		TEST(sets_follow_each_other_without_a_gap),
		TEST(sets_of_long_ago_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
