/* Accounts of resources: learnt from finished requests, told to the agent, forgotten; and which pools serve them. */
#include "tests/unit/admin/room.h"

#include "admin/store/resources.h"
#include "admin/upkeep/resources_upkeep.h"
#include "common/clock.h"

#include <stdio.h>

#define COUNT "SELECT count(*) FROM resource_bindings"
#define ACCOUNT_OF "SELECT account_id FROM resource_bindings WHERE family = "
#define MINUTE_MS 60000
#define DAY_MS ((int64_t)86400000)

/* Pools 1 (accounts 1, 2) and 2 (accounts 2, 3); keys 1 and 2 of one family, key 3 of the other tenant. */
#define WORLD                                                                                      \
	"INSERT INTO upstreams (name, url, strip, provider, created_ms)"                           \
	" VALUES ('u', 'https://h/api', '/v1', 'openai', 0);"                                      \
	"INSERT INTO accounts (name, upstream_id, source, created_ms)"                             \
	" VALUES ('a', 1, 'token', 0), ('b', 1, 'token', 0), ('c', 1, 'token', 0);"                \
	"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('p', 1, 0), ('q', 1, 0);"       \
	"INSERT INTO pool_members (pool_id, account_id, position)"                                 \
	" VALUES (1, 1, 0), (1, 2, 1), (2, 3, 0);"                                                 \
	"INSERT INTO tenants (name, pool_id, created_ms) VALUES ('acme', 1, 0), ('zeta', 2, 0);"   \
	"INSERT INTO keys (tenant_id, hash, last4, created_ms, version, family)"                   \
	" VALUES (1, randomblob(32), 'abcd', 0, 1, 0), (1, randomblob(32), 'abcd', 0, 1, 1),"      \
	" (2, randomblob(32), 'abcd', 0, 1, 0)"

static struct board_request request(uint32_t key, uint32_t account)
{
	return (struct board_request){.tenant = 1,
		.key = key,
		.pool = 1,
		.account = account,
		.status = 200,
		.started_ms = clock_wall_ms(),
		.resources = 1};
}

static bool note(struct room *r, const struct board_request *q)
{
	bool changed = false;

	if (resources_note(r->control.store, q, &changed, &r->e))
		fail_msg("%s", r->e.text);
	return changed;
}

static bool note_one(struct room *r, uint32_t key, uint32_t account)
{
	struct board_request q = request(key, account);

	return note(r, &q);
}

static void a_family_has_one_account_in_a_pool(void **state)
{
	struct room *r = *state;

	room_run(r, WORLD);
	assert_true(note_one(r, 1, 1));
	assert_false(note_one(r, 1, 1));
	assert_false(note_one(r, 2, 1));
	assert_int_equal(room_number(r, COUNT), 1);
	assert_true(note_one(r, 2, 2));
	assert_int_equal(room_number(r, COUNT), 1);
	assert_int_equal(room_number(r, ACCOUNT_OF "1"), 2);
	assert_true(note_one(r, 3, 2));
	assert_int_equal(
		room_number(r, "SELECT tenant_id FROM resource_bindings WHERE family = 3"), 2);
}

static void only_a_success_binds(void **state)
{
	struct room *r = *state;
	static const uint16_t statuses[] = {0, 199, 300, 404, 503};
	struct board_request q = request(1, 1);

	room_run(r, WORLD);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		q.status = statuses[i];
		assert_false(note(r, &q));
	}
	q = request(1, 1);
	q.resources = 0;
	assert_false(note(r, &q));
	/* what is gone meanwhile */
	assert_false(note_one(r, 77, 1));
	assert_false(note_one(r, 1, 77));
	q = request(1, 1);
	q.pool = 77;
	assert_false(note(r, &q));
	assert_int_equal(room_number(r, COUNT), 0);
}

static void a_use_is_noted_to_the_hour_and_lasts_60_days(void **state)
{
	struct room *r = *state;
	struct board_request q = request(1, 1);
	int64_t start = q.started_ms;

	room_run(r, WORLD);
	assert_true(note(r, &q));
	q.started_ms = start + 30 * DAY_MS;
	assert_false(note(r, &q));
	assert_int_equal(resources_prune(r->control.store, start + 89 * DAY_MS, &r->e), 0);
	assert_int_equal(room_number(r, COUNT), 1);
	/* the clock was wrong */
	q.started_ms = start;
	note(r, &q);
	assert_true(room_number(r, "SELECT used_ms FROM resource_bindings") <= start);
	assert_int_equal(resources_prune(r->control.store, start + 61 * DAY_MS, &r->e), 0);
	assert_int_equal(room_number(r, COUNT), 0);
}

static void a_tenant_has_so_many_and_loses_its_oldest(void **state)
{
	struct room *r = *state;

	room_run(r, WORLD);
	room_run(r,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096)"
		" INSERT INTO resource_bindings SELECT 1000 + i, 1, 1, 1, i FROM n");
	room_run(r, "INSERT INTO resource_bindings VALUES (9, 1, 2, 1, 1)");
	assert_true(note_one(r, 1, 1));
	assert_int_equal(room_number(r, COUNT " WHERE tenant_id = 1"), RESOURCES_TENANT_MAX);
	assert_int_equal(room_number(r, COUNT " WHERE family = 1001"), 0);
	assert_int_equal(room_number(r, COUNT " WHERE family IN (1, 1002)"), 2);
	assert_int_equal(room_number(r, COUNT " WHERE tenant_id = 2"), 1);
}

static void the_agent_learns_of_it_once(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	struct board_request q = request(2, 2);
	bool more = false;

	room_run(r, WORLD);
	board_put_request(r->board, &q);
	assert_int_equal(history_step(&r->history, &more, &r->e), 0);
	assert_true(r->history.resources_changed);
	resources_upkeep_poll(&r->control, &r->history);
	room_take(r, &seen);
	assert_int_equal(snapshot_resource(&seen.snapshot, 1, 1), 2);
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_RESOURCE], 1);
	const struct snapshot_upstream *u =
		SNAPSHOT_ROWS(&seen.snapshot, UPSTREAM, struct snapshot_upstream);
	assert_true(slice_eq_str(snapshot_text(&seen.snapshot, u->prefix), "/api"));
	assert_true(slice_eq_str(snapshot_text(&seen.snapshot, u->strip), "/v1"));
	uint64_t version = seen.version;
	room_seen_fini(&seen);
	assert_false(r->history.resources_changed);
	resources_upkeep_poll(&r->control, &r->history);
	assert_int_equal(store_version(r->control.store), version);
}

/* --- pools --- */

static uint32_t served(struct room *r)
{
	struct room_seen seen;
	uint32_t bits = 0;

	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	if (publish_build(r->control.publish, &r->e) < 0)
		fail_msg("%s", r->e.text);
	publish_send(r->control.publish);
	room_take(r, &seen);
	for (uint32_t id = 1; id <= 2; id++)
		bits |= snapshot_pool(&seen.snapshot, id)->flags & SNAPSHOT_POOL_RESOURCES ? id : 0;
	room_seen_fini(&seen);
	/* commands show the same */
	assert_int_equal(bits,
		room_number(r,
			"SELECT sum(p.id * (p.resources = 'shared' OR r.first IS r.last))"
			" FROM pools p LEFT JOIN pool_reach r ON r.pool_id = p.id WHERE p.id <= 2"));
	return bits;
}

static void a_pool_serves_them_if_its_accounts_serve_one_tenant(void **state)
{
	struct room *r = *state;

	room_run(r, WORLD);
	assert_int_equal(served(r), 3);
	/* a key of the other tenant, dead or alive, makes a tenant of the pool */
	room_run(r, "UPDATE keys SET pool_id = 1, revoked_ms = 1 WHERE id = 3");
	assert_int_equal(served(r), 2);
	room_run(r, "UPDATE keys SET pool_id = NULL");
	assert_int_equal(served(r), 3);
	/* an account of both pools */
	room_run(r, "INSERT INTO pool_members (pool_id, account_id, position) VALUES (2, 2, 1)");
	assert_int_equal(served(r), 0);
	room_run(r, "UPDATE pools SET resources = 'shared' WHERE id = 1");
	assert_int_equal(served(r), 1);
	room_run(r, "UPDATE tenants SET pool_id = NULL WHERE id = 2");
	assert_int_equal(served(r), 3);
	/* what a tenant has left behind */
	room_run(r,
		"UPDATE pools SET resources = 'exclusive';"
		"INSERT INTO resource_bindings VALUES (3, 2, 2, 2, 1)");
	assert_int_equal(served(r), 0);
	room_run(r, "DELETE FROM pool_members WHERE account_id = 2");
	assert_int_equal(served(r), 3);
	room_run(r, "DELETE FROM pool_members");
	assert_int_equal(served(r), 3);
}

static void one_that_left_the_pool_is_not_told(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, WORLD);
	assert_true(note_one(r, 1, 2));
	room_run(r, "DELETE FROM pool_members WHERE account_id = 2");
	room_change(r, COMMAND_POOLS_SET, "p", "{\"wait\":\"2s\"}", &seen);
	assert_int_equal(seen.snapshot.counts[SNAPSHOT_RESOURCE], 0);
	room_seen_fini(&seen);
	room_run(r, "DELETE FROM accounts WHERE id = 2");
	assert_int_equal(room_number(r, COUNT), 0);
}

static void many_pools_are_looked_at_quickly(void **state)
{
	struct room *r = *state;

	room_run(r, WORLD);
	room_run(r,
		"WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 3009)"
		" INSERT INTO pools (id, name, upstream_id, created_ms) SELECT i, 'p' || i, 1, 0 FROM n;"
		"WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 3009)"
		" INSERT INTO accounts (id, name, upstream_id, source, created_ms)"
		" SELECT i, 'a' || i, 1, 'token', 0 FROM n;"
		"INSERT INTO pool_members SELECT id, id, 0 FROM pools WHERE id >= 10;"
		"INSERT INTO tenants (name, pool_id, created_ms) SELECT 't' || id, id, 0 FROM pools"
		" WHERE id >= 10");
	int64_t began = room_cpu_ns();
	served(r);
	assert_true(room_cpu_ns() - began < (int64_t)5000 * 1000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_family_has_one_account_in_a_pool),
		TEST(only_a_success_binds),
		TEST(a_use_is_noted_to_the_hour_and_lasts_60_days),
		TEST(a_tenant_has_so_many_and_loses_its_oldest),
		TEST(the_agent_learns_of_it_once),
		TEST(a_pool_serves_them_if_its_accounts_serve_one_tenant),
		TEST(one_that_left_the_pool_is_not_told),
		TEST(many_pools_are_looked_at_quickly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
