/* Control and a clock that is set: bans, the notice, what is kept, what is deleted. */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/clockwatch.h"
#include "common/board.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define NEAR_MS 60000 /* the test itself takes some time */

/* As if the clock had been set by so much since the last look. */
static void set_clock(struct room *r, int64_t step_ms)
{
	r->control.clock.watch.offset_ms -= step_ms;
	clockwatch_poll(&r->control);
}

static void assert_near(int64_t a, int64_t b)
{
	assert_true(a > b - NEAR_MS && a < b + NEAR_MS);
}

static int64_t expiry(struct room *r, const char *network)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT expires_ms FROM bans WHERE network = '%s'", network);
	return room_number(r, sql);
}

static void add_bans(struct room *r)
{
	struct room_seen seen;

	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"192.0.2.1\",\"for\":\"2h\"}", &seen);
	room_seen_fini(&seen);
	room_change(r, COMMAND_BANS_ADD, NULL, "{\"network\":\"192.0.2.2\"}", &seen);
	room_seen_fini(&seen);
}

static void a_ban_lasts_as_long_as_before(void **state)
{
	static const int64_t steps[] = {HOUR_MS, -HOUR_MS, 60 * DAY_MS, -2 * DAY_MS};
	struct room *r = *state;

	add_bans(r);
	int64_t before = expiry(r, "192.0.2.1");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		set_clock(r, steps[i]);
		assert_near(expiry(r, "192.0.2.1"), before + steps[i]);
		assert_int_equal(expiry(r, "192.0.2.2"), 0);
		set_clock(r, -steps[i]);
		assert_near(expiry(r, "192.0.2.1"), before);
	}
}

static void no_ban_of_the_agent_is_longer_than_it_may_be(void **state)
{
	struct room *r = *state;
	char sql[256];

	r->control.config.ban_ms = 600000;
	snprintf(sql, sizeof(sql),
		"INSERT INTO bans (network, reason, source, created_ms, expires_ms)"
		" VALUES ('192.0.2.3', '', 'agent', 1, %lld)",
		(long long)(clock_wall_ms() + 2 * DAY_MS));
	room_run(r, sql);
	set_clock(r, -HOUR_MS);
	assert_near(expiry(r, "192.0.2.3"), clock_wall_ms() + 600000);
}

static void a_step_is_published(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	add_bans(r);
	set_clock(r, DAY_MS);
	room_take(r, &seen);
	const struct snapshot *s = &seen.snapshot;
	const struct snapshot_ban *bans = SNAPSHOT_ROWS(s, BAN, struct snapshot_ban);
	assert_int_equal(s->counts[SNAPSHOT_BAN], 2);
	assert_near(bans[0].expires_ms, clock_wall_ms() + DAY_MS + 2 * HOUR_MS);
	room_acknowledge(r, seen.version, 0);
	room_settle(r);
	room_seen_fini(&seen);
}

static void one_notice_tells_of_all_steps(void **state)
{
	struct room *r = *state;

	set_clock(r, HOUR_MS);
	set_clock(r, -HOUR_MS);
	clockwatch_poll(&r->control);
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices"), 1);
	assert_int_equal(room_number(r,
				 "SELECT count FROM notices WHERE kind = 'clock_step' AND message"
				 " LIKE 'the clock of this machine was set back by 3600 s%'"),
		2);
	assert_int_equal(clockwatch_steps(&r->control), 2);
	int64_t at_ms;
	assert_near(clockwatch_last(&r->control, &at_ms), -HOUR_MS);
	assert_near(at_ms, clock_wall_ms());
}

static void what_the_agent_has_seen_counts_too(void **state)
{
	struct room *r = *state;
	int64_t at_ms;

	set_clock(r, HOUR_MS);
	board_set(&r->board->counters[BOARD_CLOCK_STEPS], 3);
	board_set(&r->board->counters[BOARD_CLOCK_STEP_MS], (uint64_t)-DAY_MS);
	board_set(&r->board->counters[BOARD_CLOCK_STEP_AT_MS], 77);
	assert_int_equal(clockwatch_steps(&r->control), 3);
	assert_true(clockwatch_last(&r->control, &at_ms) == -DAY_MS);
	assert_int_equal(at_ms, 77);
}

/* As if the clock had been set while no control process ran. */
static void a_step_between_two_processes_is_seen_by_the_second(void **state)
{
	struct room *r = *state;
	char *text = NULL;
	long long offset, wall, retention;
	char boot[40], changed[128];

	add_bans(r);
	int64_t before = expiry(r, "192.0.2.1");
	assert_int_equal(store_get_setting(r->control.store, "clock", &text, &r->e), 0);
	assert_int_equal(sscanf(text, "%39s %lld %lld %lld", boot, &offset, &wall, &retention), 4);
	free(text);
	snprintf(changed, sizeof(changed), "%s %lld %lld %lld", boot, offset - DAY_MS, wall,
		retention);
	assert_int_equal(store_set_setting(r->control.store, "clock", changed, &r->e), 0);
	r->control.clock = (struct control_clock){.steps = 0};
	clockwatch_start(&r->control);
	assert_near(expiry(r, "192.0.2.1"), before + DAY_MS);
	assert_int_equal(clockwatch_steps(&r->control), 1);
	r->control.clock = (struct control_clock){.steps = 0};
	clockwatch_start(&r->control);
	assert_near(expiry(r, "192.0.2.1"), before + DAY_MS);
	assert_int_equal(clockwatch_steps(&r->control), 0);
}

static void a_malformed_setting_tells_nothing(void **state)
{
	static const char *const texts[] = {"", " ", "1 2 3 4", "x", "a b c d e",
		"00000000000000000000000000000000 1 x 1", "0 0 0 0 0 0 0"};
	struct room *r = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(store_set_setting(r->control.store, "clock", texts[i], &r->e), 0);
		r->control.clock = (struct control_clock){.steps = 0};
		clockwatch_start(&r->control);
		assert_int_equal(clockwatch_steps(&r->control), 0);
	}
}

/* --- requests of the past --- */

static void add_requests(struct room *r, int64_t started_ms, int count)
{
	char sql[400];

	snprintf(sql, sizeof(sql),
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
		" INSERT INTO requests (id, started_ms, tenant_id, key_id, account_id, egress_id,"
		" upstream_id, ttfb_ms, duration_ms, status, retries, bytes_in, bytes_out,"
		" termination, code, label) SELECT randomblob(16), %lld, 1, 1, 1, 1, 1, 1, 1, 200,"
		" 0, 1, 1, '--', '', '' FROM n",
		count, (long long)started_ms);
	room_run(r, sql);
}

static int64_t prune_all(struct room *r)
{
	bool more = true;

	while (more)
		assert_int_equal(history_step(&r->history, &more, &r->e), 0);
	return room_number(r, "SELECT count(*) FROM requests");
}

static void a_step_deletes_no_requests(void **state)
{
	static const int64_t steps[] = {60 * DAY_MS, -2 * DAY_MS, -60 * DAY_MS};
	struct room *r = *state;
	int64_t now = clock_wall_ms();

	r->history.retention = &r->control.clock.retention;
	add_requests(r, now - 29 * DAY_MS, 10);
	add_requests(r, now - HOUR_MS, 10);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct step_retention *t = &r->control.clock.retention;
		struct clock_pair pair = clock_pair();
		pair.wall_ms += steps[i];
		step_retention_start(t, now, clock_pair());
		step_retention_ms(t, pair);
		assert_int_equal(prune_all(r), 20);
	}
	step_retention_start(&r->control.clock.retention, 0, clock_pair());
	assert_int_equal(prune_all(r), 20);
}

/* Rows of a clock that was ahead do not stop the deletion of those after them. */
static void rows_of_the_future_go_with_those_that_ended_after_them(void **state)
{
	struct room *r = *state;
	int64_t now = clock_wall_ms();

	add_requests(r, now + 60 * DAY_MS, 10);
	add_requests(r, now - 31 * DAY_MS, 10);
	add_requests(r, now + 60 * DAY_MS, 3);
	add_requests(r, now - HOUR_MS, 5);
	assert_int_equal(prune_all(r), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_ban_lasts_as_long_as_before, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			no_ban_of_the_agent_is_longer_than_it_may_be, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(a_step_is_published, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			one_notice_tells_of_all_steps, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			what_the_agent_has_seen_counts_too, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(a_step_between_two_processes_is_seen_by_the_second,
			room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			a_malformed_setting_tells_nothing, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			a_step_deletes_no_requests, room_setup, room_teardown),
		cmocka_unit_test_setup_teardown(
			rows_of_the_future_go_with_those_that_ended_after_them, room_setup,
			room_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
