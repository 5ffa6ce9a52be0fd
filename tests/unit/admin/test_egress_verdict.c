/* Effects of an egress check: on the store, the notices and the agent's snapshot. */
#include "tests/unit/admin/room.h"

#include "admin/store/notices.h"
#include "admin/upkeep/egress_verdict.h"

#include <errno.h>
#include <stdio.h>

#define EGRESSES                                                                                   \
	"INSERT INTO upstreams (name, url, provider, headers, created_ms)"                         \
	" VALUES ('u', 'https://u.example', 'openai', '{}', 0);"                                   \
	"INSERT INTO egresses (name, kind, address, created_ms) VALUES"                            \
	" ('near', 'source', '192.0.2.1', 0), ('far', 'socks4', '192.0.2.9:1080', 0),"             \
	" ('other', 'socks4', '192.0.2.8:1080', 0);"                                               \
	"INSERT INTO accounts (name, upstream_id, source, created_ms)"                             \
	" VALUES ('a', 1, 'token', 0), ('b', 1, 'token', 0);"                                      \
	"INSERT INTO account_egresses (account_id, egress_id, position)"                           \
	" SELECT 1, id, 0 FROM egresses WHERE name = 'far' UNION"                                  \
	" SELECT 2, id, 0 FROM egresses WHERE name = 'other'"

static int read_subject(struct row *row, void *context)
{
	egress_subject_read(row, context);
	return 0;
}

static void subject_of(struct room *r, const char *name, struct egress_subject *ret)
{
	int error = sql_one(r->control.store, &r->e, read_subject, ret,
		"SELECT " EGRESS_SUBJECT " FROM egresses WHERE name = ?1", "t", name);

	assert_int_equal(error, 0);
}

/* Reports an address seen by a check of the egress. Returns whether it matches. */
static bool check(struct room *r, const char *name, const char *seen, bool on_demand)
{
	struct egress_subject subject;
	struct egress_verdict v;
	struct ip ip;

	subject_of(r, name, &subject);
	assert_int_equal(ip_parse(slice_from_str(seen), &ip), 0);
	assert_int_equal(egress_verdict_find(r->control.store, &subject, &ip, &v, &r->e), 0);
	room_acknowledge(r, store_version(r->control.store) + 1, 0);
	if (egress_verdict_keep(&r->control, &subject, &v, on_demand, &r->e))
		fail_msg("%s", r->e.text);
	return v.matches;
}

static bool is_suspended(struct room *r, const char *name)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT suspended FROM egresses WHERE name = '%s'", name);
	return room_number(r, sql) == 1;
}

static void a_source_must_show_its_address(void **state)
{
	struct room *r = *state;

	room_run(r, EGRESSES);
	assert_true(check(r, "near", "192.0.2.1", false));
	assert_true(check(r, "near", "::ffff:192.0.2.1", false));
	assert_false(is_suspended(r, "near"));
	assert_false(check(r, "near", "192.0.2.2", false));
	assert_true(is_suspended(r, "near"));
	assert_int_equal(
		room_number(r,
			"SELECT suspend_reason = 'egress check: 192.0.2.2 was seen in place of "
			"192.0.2.1' FROM egresses WHERE name = 'near'"),
		1);
}

static void the_first_address_seen_is_expected(void **state)
{
	struct room *r = *state;

	room_run(r, EGRESSES);
	assert_true(check(r, "far", "203.0.113.1", false));
	assert_true(check(r, "far", "203.0.113.1", false));
	assert_false(check(r, "far", "203.0.113.2", false));
	/* Repetition does not change the verdict. */
	assert_false(check(r, "far", "203.0.113.2", false));
	assert_int_equal(
		room_number(r, "SELECT seen_ip = '203.0.113.1' FROM egresses WHERE name = 'far'"),
		1);
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices WHERE acked_ms = 0"), 1);
	assert_int_equal(room_number(r, "SELECT count FROM notices"), 2);
}

static void a_suspension_is_published_once(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, EGRESSES);
	uint64_t version = store_version(r->control.store);
	check(r, "far", "203.0.113.1", false);
	assert_true(store_version(r->control.store) == version);
	check(r, "far", "203.0.113.2", false);
	assert_true(store_version(r->control.store) == version + 1);
	room_take(r, &seen);
	const struct snapshot_egress *rows =
		SNAPSHOT_ROWS(&seen.snapshot, EGRESS, struct snapshot_egress);
	size_t suspended = 0;
	for (uint32_t i = 0; i < seen.snapshot.counts[SNAPSHOT_EGRESS]; i++) {
		if (rows[i].flags & SNAPSHOT_EGRESS_SUSPENDED) {
			assert_true(
				slice_eq_str(snapshot_text(&seen.snapshot, rows[i].name), "far"));
			suspended++;
		}
	}
	assert_int_equal(suspended, 1);
	room_seen_fini(&seen);
	check(r, "far", "203.0.113.2", false);
	assert_true(store_version(r->control.store) == version + 1);
}

static void only_a_requested_check_lifts_a_suspension(void **state)
{
	struct room *r = *state;

	room_run(r, EGRESSES);
	check(r, "far", "203.0.113.1", false);
	check(r, "far", "203.0.113.2", true);
	assert_true(check(r, "far", "203.0.113.1", false));
	assert_true(is_suspended(r, "far"));
	assert_true(check(r, "far", "203.0.113.1", true));
	assert_false(is_suspended(r, "far"));
	assert_int_equal(room_number(r, "SELECT epoch FROM egresses WHERE name = 'far'"), 1);
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices WHERE acked_ms = 0"), 0);
}

static void an_operators_suspension_stays(void **state)
{
	struct room *r = *state;

	room_run(r, EGRESSES);
	room_run(
		r, "UPDATE egresses SET suspended = 1, suspend_reason = 'mine' WHERE name = 'far'");
	assert_true(check(r, "far", "203.0.113.1", true));
	assert_true(is_suspended(r, "far"));
}

static void two_accounts_may_not_show_one_address(void **state)
{
	struct room *r = *state;

	room_run(r, EGRESSES);
	assert_true(check(r, "far", "203.0.113.1", false));
	assert_false(check(r, "other", "203.0.113.1", false));
	assert_false(is_suspended(r, "far"));
	assert_true(is_suspended(r, "other"));
	/* A suspended egress does not conflict with the other one. */
	assert_true(check(r, "far", "203.0.113.1", false));
}

static void one_account_or_a_shared_egress_may_repeat_an_address(void **state)
{
	struct room *r = *state;

	room_run(r, EGRESSES);
	room_run(r, "UPDATE account_egresses SET account_id = 1");
	assert_true(check(r, "far", "203.0.113.1", false));
	assert_true(check(r, "other", "203.0.113.1", false));
	room_run(r,
		"UPDATE account_egresses SET account_id = 2 WHERE egress_id ="
		" (SELECT id FROM egresses WHERE name = 'other');"
		"UPDATE egresses SET shared = 1");
	assert_true(check(r, "other", "203.0.113.1", false));
}

static void an_egress_changed_during_the_check_is_ignored(void **state)
{
	struct room *r = *state;
	struct egress_subject subject;
	struct egress_verdict v;
	struct ip ip;

	room_run(r, EGRESSES);
	subject_of(r, "near", &subject);
	assert_int_equal(ip_parse(SLICE_LITERAL("192.0.2.7"), &ip), 0);
	assert_int_equal(egress_verdict_find(r->control.store, &subject, &ip, &v, &r->e), 0);
	room_run(r, "UPDATE egresses SET address = '192.0.2.7' WHERE name = 'near'");
	assert_int_equal(egress_verdict_keep(&r->control, &subject, &v, false, &r->e), -EBUSY);
	assert_false(is_suspended(r, "near"));
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_source_must_show_its_address, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			the_first_address_seen_is_expected, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			a_suspension_is_published_once, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			only_a_requested_check_lifts_a_suspension, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			an_operators_suspension_stays, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			two_accounts_may_not_show_one_address, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			one_account_or_a_shared_egress_may_repeat_an_address, room_setup,
			room_teardown),
		cmocka_unit_test_setup_teardown(
			an_egress_changed_during_the_check_is_ignored, room_setup, room_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
