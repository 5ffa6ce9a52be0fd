/* The ban list: by command, and by takeover from the board. */
#include "tests/unit/admin/room.h"

#include "admin/store/banlist.h"
#include "admin/upkeep/bans_takeover.h"
#include "common/ban.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>

#define HOUR_MS 3600000

static bool covers(const struct room_seen *seen, const char *address)
{
	const struct snapshot *s = &seen->snapshot;
	struct ip ip;

	assert_int_equal(ip_parse(slice_from_str(address), &ip), 0);
	return bans_cover(SNAPSHOT_ROWS(s, BAN, struct snapshot_ban), s->counts[SNAPSHOT_BAN], &ip,
		clock_wall_ms());
}

static size_t list(struct room *r, json_object **ret)
{
	assert_int_equal(room_call(r, COMMAND_BANS_LIST, NULL, "{}", ret), 200);
	return json_object_array_length(json_object_object_get(*ret, "items"));
}

static const char *field(json_object *answer, size_t at, const char *name)
{
	json_object *items = json_object_object_get(answer, "items");

	return json_object_get_string(
		json_object_object_get(json_object_array_get_idx(items, at), name));
}

/* --- commands --- */

static void a_ban_applies_when_the_command_returns(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"10.0.0.0/8\"}", &seen);
	assert_true(covers(&seen, "10.9.8.7"));
	assert_false(covers(&seen, "11.0.0.0"));
	room_seen_fini(&seen);
	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"2001:db8::1\"}", &seen);
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 2);
	assert_true(covers(&seen, "2001:db8::1"));
	assert_false(covers(&seen, "2001:db8::2"));
	room_seen_fini(&seen);
	room_change(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"10.0.0.0/8\"}", &seen);
	assert_false(covers(&seen, "10.9.8.7"));
	assert_true(covers(&seen, "2001:db8::1"));
	room_seen_fini(&seen);
}

static void one_network_has_one_ban_in_every_notation(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	json_object *all;

	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"2001:DB8:0::1/128\"}", &seen);
	room_seen_fini(&seen);
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"2001:db8::1\"}", 409,
		"2001:db8::1 is banned already");
	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"192.0.2.1/32\"}", &seen);
	room_seen_fini(&seen);
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"::ffff:192.0.2.1\"}", 409,
		"192.0.2.1 is banned already");
	assert_int_equal(list(r, &all), 2);
	assert_string_equal(field(all, 0, "network"), "192.0.2.1");
	assert_string_equal(field(all, 1, "network"), "2001:db8::1");
	json_object_put(all);
	room_change(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"2001:db8:0:0::1\"}", &seen);
	room_seen_fini(&seen);
	room_refuse(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"2001:db8::1\"}", 404,
		"2001:db8::1 is not banned");
}

static void rejects_an_invalid_network(void **state)
{
	struct room *r = *state;

	room_refuse(r, COMMAND_BANS_ADD, NULL, "{}", 400, "CIDR is missing");
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"\"}", 400,
		"is not an address or network");
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"10.0.0.1/8\"}", 400, "host bits");
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"10.0.0.0/33\"}", 400, "not an");
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"example.org\"}", 400, "not an");
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"10.0.0.1\",\"for\":\"0\"}", 400,
		"for: must be at least 1ms");
	room_refuse(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"nobody\"}", 400, "not an");
}

static void an_expired_ban_has_no_effect(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	json_object *all;

	room_run(r,
		"INSERT INTO bans VALUES ('192.0.2.1', 'old', 'operator', 1, 2),"
		" ('192.0.2.2', 'old', 'agent', 1, 2)");
	assert_int_equal(list(r, &all), 0);
	json_object_put(all);
	room_refuse(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"192.0.2.1\"}", 404, "not banned");
	int64_t before = clock_wall_ms();
	room_change(r, COMMAND_BANS_ADD, NULL,
		"{\"network\":\"192.0.2.1\",\"for\":\"1h\",\"reason\":\"new\"}", &seen);
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 1);
	room_seen_fini(&seen);
	assert_int_equal(room_number(r, "SELECT count(*) FROM bans"), 1);
	int64_t expires = room_number(r, "SELECT expires_ms FROM bans");
	assert_true(expires >= before + HOUR_MS && expires <= clock_wall_ms() + HOUR_MS);
	assert_int_equal(list(r, &all), 1);
	assert_string_equal(field(all, 0, "source"), "operator");
	assert_string_equal(field(all, 0, "reason"), "new");
	assert_non_null(field(all, 0, "expires_at"));
	json_object_put(all);
}

/* The bound is generous: a change of a full list must still be fast. */
static void a_full_list_rejects_bans_and_stays_fast(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r,
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 65535)"
		" INSERT INTO bans SELECT '10.1.' || (i / 256) || '.' || (i % 256), '', 'operator',"
		" 1, 0 FROM n");
	room_refuse(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"192.0.2.1\"}", 409,
		"there are 65536 bans already");
	int64_t start = room_cpu_ns();
	room_change(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"10.1.2.3\"}", &seen);
	int64_t took = room_cpu_ns() - start;
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], BANS_MAX - 1);
	assert_false(covers(&seen, "10.1.2.3"));
	assert_true(covers(&seen, "10.1.2.4"));
	room_seen_fini(&seen);
	print_message("a change among %d bans: %lld us\n", BANS_MAX, (long long)(took / 1000));
	assert_true(took < 1000000000);
}

/* --- takeover --- */

static void put(struct room *r, const char *network, int64_t expires_ms)
{
	struct board_ban ban = {.expires_ms = expires_ms, .bad_keys = 20};

	assert_int_equal(cidr_parse(slice_from_str(network), &ban.network), 0);
	board_put_ban(r->board, &ban);
}

/* Lets control read the board, and the agent take the result. False: no publication. */
static bool poll_bans(struct room *r, struct room_seen *seen)
{
	uint64_t before = store_version(r->control.store);

	room_acknowledge(r, before + 1, 0);
	bans_takeover_poll(&r->control);
	if (store_version(r->control.store) == before)
		return false;
	room_take(r, seen);
	return true;
}

static void a_spared_address_is_a_notice_and_no_ban(void **state)
{
	struct board_ban ban = {.bad_keys = 20, .spared = BOARD_SPARED_SHARED};
	struct room *r = *state;
	struct room_seen seen;

	assert_int_equal(cidr_parse(SLICE_LITERAL("192.0.2.1"), &ban.network), 0);
	board_put_ban(r->board, &ban);
	ban.spared = BOARD_SPARED_COUNT; /* no reason that control knows */
	board_put_ban(r->board, &ban);
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 0);
	assert_true(seen.snapshot.head->bans_taken == 2);
	room_seen_fini(&seen);
	assert_int_equal(room_number(r, "SELECT count(*) FROM bans"), 0);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM notices WHERE kind = 'ban_spared'"
				 " AND subject = 'address/192.0.2.1'"
				 " AND message LIKE '%several tenants use it%'"),
		1);
}

static void bans_of_the_agent_are_taken_over_once(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	json_object *all;

	assert_false(poll_bans(r, &seen));
	put(r, "192.0.2.1", clock_wall_ms() + HOUR_MS);
	put(r, "2001:db8::/64", clock_wall_ms() + HOUR_MS);
	assert_true(poll_bans(r, &seen));
	assert_true(covers(&seen, "192.0.2.1"));
	assert_true(covers(&seen, "2001:db8::ff"));
	assert_int_equal(seen.snapshot.head->bans_taken, 2);
	room_seen_fini(&seen);
	assert_false(poll_bans(r, &seen));
	assert_int_equal(list(r, &all), 2);
	assert_string_equal(field(all, 0, "source"), "agent");
	assert_string_equal(field(all, 0, "reason"), "20 different bad keys within a minute");
	json_object_put(all);
	/* A lifted ban stays lifted: the board entry is not taken again. */
	room_change(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"192.0.2.1\"}", &seen);
	assert_false(covers(&seen, "192.0.2.1"));
	assert_int_equal(seen.snapshot.head->bans_taken, 2);
	room_seen_fini(&seen);
	assert_false(poll_bans(r, &seen));
	put(r, "192.0.2.9", clock_wall_ms() + HOUR_MS);
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 2);
	assert_int_equal(seen.snapshot.head->bans_taken, 3);
	room_seen_fini(&seen);
}

static void an_interrupted_takeover_is_repeated(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	struct room_seen seen;
	uint64_t taken = 9;

	put(r, "192.0.2.1", clock_wall_ms() + HOUR_MS);
	assert_int_equal(store_begin(s, &r->e), 0);
	assert_int_equal(banlist_take(s, r->board, clock_wall_ms(), &r->e), 0);
	assert_int_equal(room_number(r, "SELECT count(*) FROM bans"), 1);
	store_rollback(s);
	assert_int_equal(banlist_taken(s, r->board, &taken, &r->e), 0);
	assert_int_equal(taken, 0);
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 1);
	room_seen_fini(&seen);
}

static void a_new_board_is_read_from_its_start(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	put(r, "192.0.2.1", clock_wall_ms() + HOUR_MS);
	assert_true(poll_bans(r, &seen));
	room_seen_fini(&seen);
	r->board->created_ms++;
	atomic_store(&r->board->bans_written, 0);
	put(r, "192.0.2.2", clock_wall_ms() + HOUR_MS);
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.head->bans_taken, 1);
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 2);
	room_seen_fini(&seen);
}

static void a_ban_is_lifted_before_its_takeover(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	put(r, "192.0.2.1", clock_wall_ms() + HOUR_MS);
	room_change(r, COMMAND_BANS_DEL, NULL, "{\"network\":\"192.0.2.1\"}", &seen);
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 0);
	assert_int_equal(seen.snapshot.head->bans_taken, 1);
	room_seen_fini(&seen);
	assert_false(poll_bans(r, &seen));
}

static void a_takeover_keeps_the_operators_ban(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"192.0.2.1\"}", &seen);
	room_seen_fini(&seen);
	put(r, "192.0.2.1", clock_wall_ms() + HOUR_MS);
	put(r, "192.0.2.2", clock_wall_ms() + HOUR_MS);
	put(r, "192.0.2.2", clock_wall_ms() + 2 * HOUR_MS);
	assert_true(poll_bans(r, &seen));
	room_seen_fini(&seen);
	assert_int_equal(
		room_number(r, "SELECT expires_ms FROM bans WHERE source = 'operator'"), 0);
	assert_int_equal(room_number(r, "SELECT count(*) FROM bans"), 2);
	assert_true(room_number(r, "SELECT expires_ms FROM bans WHERE source = 'agent'") >
		clock_wall_ms() + HOUR_MS);
}

static void invalid_bans_of_the_agent_are_ignored(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	put(r, "192.0.0.0/16", clock_wall_ms() + HOUR_MS);
	put(r, "::/0", clock_wall_ms() + HOUR_MS);
	put(r, "2001:db8::1", clock_wall_ms() + HOUR_MS);
	put(r, "192.0.2.7", clock_wall_ms() - 1);
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], 0);
	assert_int_equal(seen.snapshot.head->bans_taken, 4);
	room_seen_fini(&seen);
}

static void an_overflowing_ring_keeps_the_newest_bans(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	char text[32];

	for (int i = 0; i < BOARD_BANS + 44; i++) {
		snprintf(text, sizeof(text), "10.0.%d.%d", i / 256, i % 256);
		put(r, text, clock_wall_ms() + HOUR_MS);
	}
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], BOARD_BANS);
	assert_int_equal(seen.snapshot.head->bans_taken, BOARD_BANS + 44);
	assert_false(covers(&seen, "10.0.0.43"));
	assert_true(covers(&seen, "10.0.0.44"));
	room_seen_fini(&seen);
}

static void a_full_list_takes_over_no_ban(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r,
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 65535)"
		" INSERT INTO bans SELECT '10.1.' || (i / 256) || '.' || (i % 256), '', 'operator',"
		" 1, 0 FROM n");
	put(r, "192.0.2.1", clock_wall_ms() + HOUR_MS);
	assert_true(poll_bans(r, &seen));
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_BAN], BANS_MAX);
	assert_int_equal(seen.snapshot.head->bans_taken, 1);
	room_seen_fini(&seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ban_applies_when_the_command_returns),
		TEST(one_network_has_one_ban_in_every_notation),
		TEST(rejects_an_invalid_network),
		TEST(an_expired_ban_has_no_effect),
		TEST(a_full_list_rejects_bans_and_stays_fast),
		TEST(bans_of_the_agent_are_taken_over_once),
		TEST(a_spared_address_is_a_notice_and_no_ban),
		TEST(an_interrupted_takeover_is_repeated),
		TEST(a_new_board_is_read_from_its_start),
		TEST(a_ban_is_lifted_before_its_takeover),
		TEST(a_takeover_keeps_the_operators_ban),
		TEST(invalid_bans_of_the_agent_are_ignored),
		TEST(an_overflowing_ring_keeps_the_newest_bans),
		TEST(a_full_list_takes_over_no_ban),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
