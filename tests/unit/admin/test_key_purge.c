/* Keys that ended long ago, and the last use of a key. */
#include "tests/unit/admin/room.h"

#include "admin/store/keyuse.h"
#include "admin/upkeep/key_purge.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define DAY_MS ((int64_t)86400 * 1000)
#define HOUR_MS ((int64_t)3600 * 1000)
#define NOW_MS ((int64_t)1800000000000)

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r, "INSERT INTO tenants (name, created_ms) VALUES ('t', 0)");
	*state = r;
	return 0;
}

/* Times are days before now; 0 = never. */
static void add_key(struct room *r, const char *name, int created, double expired, double revoked)
{
	char sql[400];
	int64_t expires_ms = expired > 0 ? NOW_MS - (int64_t)(expired * (double)DAY_MS) : 0;
	int64_t revoked_ms = revoked > 0 ? NOW_MS - (int64_t)(revoked * (double)DAY_MS) : 0;

	snprintf(sql, sizeof(sql),
		"INSERT INTO keys (tenant_id, name, hash, last4, created_ms, expires_ms, revoked_ms,"
		" version) VALUES (1, '%s', randomblob(32), 'abcd', %" PRId64 ", %" PRId64
		", %" PRId64 ", 1)",
		name, NOW_MS - created * DAY_MS, expires_ms, revoked_ms);
	room_run(r, sql);
}

static void purges(struct room *r, int64_t now_ms, int64_t left)
{
	if (key_purge_step(&r->control, now_ms, &r->e))
		fail_msg("%s", r->e.text);
	assert_int_equal(room_number(r, "SELECT count(*) FROM keys"), left);
}

static bool has_key(struct room *r, const char *name)
{
	char sql[100];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM keys WHERE name = '%s'", name);
	return room_number(r, sql) == 1;
}

static void keys_go_30_days_after_their_end(void **state)
{
	struct room *r = *state;

	add_key(r, "revoked", 60, 0, 30.1);
	add_key(r, "expired", 60, 30.1, 0);
	add_key(r, "revoked late", 60, 50, 29.9);
	add_key(r, "expired late", 60, 29.9, 0);
	add_key(r, "endless", 60, 0, 0);
	add_key(r, "live", 0, -10, 0);
	purges(r, NOW_MS, 4);
	assert_false(has_key(r, "revoked") || has_key(r, "expired"));
	purges(r, NOW_MS, 4);
	purges(r, NOW_MS + DAY_MS, 2);
	assert_true(has_key(r, "endless") && has_key(r, "live"));
}

/* The time for what deletes old data, not the wall clock. */
static void a_wrong_clock_deletes_nothing(void **state)
{
	struct room *r = *state;
	const int64_t now_ms = clock_wall_ms();
	char sql[200];

	snprintf(sql, sizeof(sql),
		"INSERT INTO keys (tenant_id, hash, last4, created_ms, revoked_ms, version)"
		" VALUES (1, x'00', 'abcd', 1, %" PRId64 ", 1)",
		now_ms - 31 * DAY_MS);
	room_run(r, sql);
	r->control.clock.retention.now_ms = now_ms - 2 * DAY_MS;
	key_purge_poll(&r->control);
	assert_int_equal(room_number(r, "SELECT count(*) FROM keys"), 1);
	r->control.clock.retention.now_ms = now_ms;
	key_purge_poll(&r->control);
	assert_int_equal(room_number(r, "SELECT count(*) FROM keys"), 0);
}

static void a_step_is_bounded(void **state)
{
	struct room *r = *state;

	room_run(r,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 700)"
		" INSERT INTO keys (tenant_id, hash, last4, created_ms, revoked_ms, version)"
		" SELECT 1, randomblob(32), 'abcd', 1, 1, 1 FROM n");
	add_key(r, "new", 0, 0, 0);
	purges(r, NOW_MS, 201);
	purges(r, NOW_MS, 1);
}

static void the_last_use_is_known_to_the_hour(void **state)
{
	struct room *r = *state;
	const int64_t hour_ms = NOW_MS - NOW_MS % KEYUSE_STEP_MS;
	const int64_t times[][2] = {
		{hour_ms + 5, hour_ms}, {hour_ms + HOUR_MS - 1, hour_ms},
		{hour_ms + HOUR_MS, hour_ms + HOUR_MS},
		{hour_ms, hour_ms + HOUR_MS}, /* ended later */
		{hour_ms + 50 * DAY_MS, hour_ms + 50 * DAY_MS},
		{hour_ms, hour_ms}, /* the one before was of a wrong clock */
	};

	add_key(r, "k", 0, 0, 0);
	assert_int_equal(keyuse_note(r->control.store, 0, NOW_MS, &r->e), 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		assert_int_equal(keyuse_note(r->control.store, 1, times[i][0], &r->e), 0);
		assert_true(room_number(r, "SELECT used_ms FROM keys") == times[i][1]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_go_30_days_after_their_end),
		TEST(a_wrong_clock_deletes_nothing),
		TEST(a_step_is_bounded),
		TEST(the_last_use_is_known_to_the_hour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
