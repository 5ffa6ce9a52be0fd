/* Which WebSockets end, and why. */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/tunnelwatch.h"
#include "common/clock.h"
#include "haproxy/tunnels.h"

#include <stdio.h>

#define KEYS                                                                                       \
	"INSERT INTO keys (tenant_id, hash, last4, created_ms, expires_ms, revoked_ms, version) VALUES "

static struct tunnelwatch w;

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r,
		"INSERT INTO tenants (name, enabled, created_ms) VALUES ('on', 1, 0), ('off', 0, 0);" KEYS
		"(1, x'01', 'aaaa', 0, 0, 0, 0), (1, x'02', 'aaaa', 0, 0, 5, 0), (1, x'03', 'aaaa', 0, 5, 0, 0),"
		"(1, x'04', 'aaaa', 0, 99999999999999, 0, 0), (2, x'05', 'aaaa', 0, 0, 0, 0)");
	w = (struct tunnelwatch){.control = &r->control};
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	buffer_fini(&w.tunnels);
	buffer_fini(&w.half);
	buffer_fini(&w.ends);
	buffer_fini(&w.before);
	buffer_fini(&w.bans);
	return room_teardown(state);
}

static void add(uint32_t key, const char *client)
{
	struct tunnel t = {.tenant = 1, .key = key, .stream = {.worker = 7}};

	snprintf(t.stream.source, sizeof(t.stream.source), "127.0.0.1:%u", 1000 + key);
	t.has_client = ip_parse(slice_from_str(client), &t.client) == 0;
	buffer_append(&w.tunnels, &t, sizeof(t));
}

/* The reason for which the tunnel of this key ends; TUNNELWATCH_REASON_COUNT = it goes on. */
static uint32_t reason_of(uint32_t key)
{
	const struct tunnel_stream *ends = (const void *)w.ends.data;
	char source[TUNNEL_SOURCE_SIZE];

	snprintf(source, sizeof(source), "127.0.0.1:%u", 1000 + key);
	for (size_t i = 0; i < w.ends.len / sizeof(*ends); i++) {
		if (strcmp(ends[i].source, source) == 0)
			return ends[i].tag;
	}
	return TUNNELWATCH_REASON_COUNT;
}

static void those_end_that_would_be_refused(void **state)
{
	struct room *r = *state;

	room_run(r,
		"INSERT INTO bans (network, source, created_ms, expires_ms) VALUES"
		" ('203.0.113.0/24', 'operator', 0, 0), ('198.51.100.1', 'agent', 0, 5)");
	for (uint32_t key = 1; key <= 6; key++)
		add(key, "192.0.2.1");
	add(4, "203.0.113.9");
	add(1, "198.51.100.1");
	add(1, "-");
	tunnelwatch_judge(&w);
	assert_int_equal(reason_of(1), TUNNELWATCH_REASON_COUNT);
	assert_int_equal(reason_of(2), TUNNELWATCH_KEY);
	assert_int_equal(reason_of(3), TUNNELWATCH_KEY);
	assert_int_equal(reason_of(4), TUNNELWATCH_BAN);
	assert_int_equal(reason_of(5), TUNNELWATCH_TENANT);
	assert_int_equal(reason_of(6), TUNNELWATCH_KEY); /* deleted */
	assert_int_equal(w.ends.len / sizeof(struct tunnel_stream), 5);
	assert_int_equal(tunnelwatch_open(&w), 9);
}

static void a_new_ban_is_seen(void **state)
{
	struct room *r = *state;

	add(1, "203.0.113.9");
	tunnelwatch_judge(&w);
	assert_int_equal(w.ends.len, 0);
	room_run(r,
		"INSERT INTO bans (network, source, created_ms, expires_ms) VALUES"
		" ('203.0.113.9', 'operator', 0, 0)");
	assert_int_equal(store_begin(r->control.store, &r->e), 0);
	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	assert_int_equal(store_commit(r->control.store, &r->e), 0);
	tunnelwatch_judge(&w);
	assert_int_equal(reason_of(1), TUNNELWATCH_BAN);
}

/* A store that does not answer ends nothing. */
static void nothing_ends_without_the_store(void **state)
{
	struct room *r = *state;

	room_run(r, "ALTER TABLE keys RENAME COLUMN revoked_ms TO other_ms");
	add(1, "192.0.2.1");
	tunnelwatch_judge(&w);
	assert_int_equal(w.ends.len, 0);
}

static void many_keys_take_several_readings(void **state)
{
	struct room *r = *state;

	(void)r;
	for (uint32_t key = 9000; key > 0; key--)
		add(key, "-");
	for (int i = 0; i < 3; i++)
		tunnelwatch_judge(&w);
	assert_int_equal(w.ends.len / sizeof(struct tunnel_stream), 9000 - 2);
	assert_int_equal(reason_of(9000), TUNNELWATCH_KEY);
	assert_int_equal(w.after_key, 0);
}

static void add_half(uint64_t session)
{
	struct tunnel_stream one = {.worker = 7, .session = session, .source = "127.0.0.1:1"};

	buffer_append(&w.half, &one, sizeof(one));
}

static void one_that_stays_half_closed_ends(void **state)
{
	(void)state;
	w.looks = true;
	add_half(1);
	add_half(2);
	tunnelwatch_judge(&w);
	assert_int_equal(w.ends.len, 0);
	add_half(2);
	add_half(3);
	tunnelwatch_judge(&w);
	const struct tunnel_stream *ends = (const void *)w.ends.data;
	assert_int_equal(w.ends.len, sizeof(*ends));
	assert_int_equal(ends->session, 2);
	assert_int_equal(ends->tag, TUNNELWATCH_HALF_CLOSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(those_end_that_would_be_refused),
		TEST(a_new_ban_is_seen),
		TEST(nothing_ends_without_the_store),
		TEST(many_keys_take_several_readings),
		TEST(one_that_stays_half_closed_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
