/* The agent's handling of bad keys: on the board, in the log, and after a restart. */
#include "agent/bans.h"
#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOW 1800000000000
#define MAX 5
#define BAN_MS 600000

struct scene {
	struct agent agent;
	struct snapshot_head head;
	struct snapshot snapshot;
	struct decide_request request;
	int board_fd;
};

static int setup(void **state)
{
	static struct scene s;
	struct errtext e;

	s = (struct scene){
		.head = {.version = 3, .options = {.bad_keys_max = MAX, .ban_ms = BAN_MS}}};
	s.snapshot.head = &s.head;
	s.agent.snapshot = &s.snapshot;
	s.board_fd = board_create();
	assert_true(s.board_fd >= 0);
	s.agent.board = board_map(s.board_fd, true, &e);
	assert_non_null(s.agent.board);
	assert_int_equal(bans_start(&s.agent), 0);
	s.request.has_src = true;
	assert_int_equal(ip_parse(SLICE_LITERAL("192.0.2.1"), &s.request.src), 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	bans_stop(&s->agent);
	board_unmap(s->agent.board);
	close(s->board_fd);
	return 0;
}

static void send_bad(struct scene *s, unsigned number)
{
	struct decide_verdict v = {.action = DECIDE_DENY, .refusal = REFUSAL_INVALID_API_KEY};
	char text[32];

	snprintf(text, sizeof(text), "sk-%u", number);
	v.bad_key = slice_from_str(text);
	bans_note(&s->agent, &s->request, &v, NOW);
}

static uint64_t counted(const struct scene *s, int counter)
{
	return board_get(&s->agent.board->counters[counter]);
}

static bool is_banned(const struct scene *s)
{
	return badkeys_is_banned(&s->agent.badkeys, &s->request.src, NOW, s->head.bans_taken);
}

static void enough_different_bad_keys_ban_an_address(void **state)
{
	struct scene *s = *state;
	struct board_ban ban;
	char network[CIDR_TEXT_SIZE];

	for (unsigned i = 0; i < 100; i++)
		send_bad(s, i % (MAX - 1));
	assert_false(is_banned(s));
	assert_int_equal(counted(s, BOARD_BANNED), 0);
	send_bad(s, MAX);
	assert_true(is_banned(s));
	assert_int_equal(counted(s, BOARD_BANNED), 1);
	assert_int_equal(board_read_ban(s->agent.board, 0, &ban), 0);
	assert_string_equal(cidr_format(&ban.network, network), "192.0.2.1");
	assert_int_equal(ban.bad_keys, MAX);
	assert_true(ban.expires_ms == NOW + BAN_MS);
	/* control took the ban, and the operator lifted it */
	s->head.bans_taken = 1;
	assert_false(is_banned(s));
}

static void come_from(struct scene *s, const char *address)
{
	assert_int_equal(ip_parse(slice_from_str(address), &s->request.src), 0);
}

static void send_good(struct scene *s, const struct snapshot_tenant *tenant, int64_t now_ms)
{
	const struct decide_verdict v = {.action = DECIDE_ALLOW, .tenant = tenant};

	bans_note(&s->agent, &s->request, &v, now_ms);
}

/* Sends enough bad keys for a ban; returns what the board then has. */
static struct board_ban send_many(struct scene *s)
{
	struct board_ban ban = {.bad_keys = 0};
	uint64_t n = atomic_load(&s->agent.board->bans_written);

	for (unsigned i = 0; i < MAX; i++)
		send_bad(s, i);
	assert_int_equal(board_read_ban(s->agent.board, n, &ban), 0);
	return ban;
}

static void loopback_and_trusted_proxies_are_not_banned(void **state)
{
	static const char *const loopbacks[] = {"127.0.0.1", "127.9.9.9", "::1"};
	struct scene *s = *state;
	struct cidr trusted;

	for (size_t i = 0; i < sizeof(loopbacks) / sizeof(loopbacks[0]); i++) {
		come_from(s, loopbacks[i]);
		const struct board_ban ban = send_many(s);
		assert_int_equal(ban.spared, BOARD_SPARED_LOOPBACK);
		assert_true(ban.expires_ms == 0);
		assert_false(is_banned(s));
	}
	assert_int_equal(cidr_parse(SLICE_LITERAL("10.1.0.0/16"), &trusted), 0);
	s->snapshot.sections[SNAPSHOT_TRUSTED] = &trusted;
	s->snapshot.counts[SNAPSHOT_TRUSTED] = 1;
	come_from(s, "10.1.2.3");
	assert_int_equal(send_many(s).spared, BOARD_SPARED_TRUSTED);
	assert_false(is_banned(s));
	come_from(s, "10.2.2.3");
	assert_int_equal(send_many(s).spared, BOARD_SPARED_NOT);
	assert_true(is_banned(s));
	assert_int_equal(counted(s, BOARD_BANNED), 1);
}

static void an_address_of_several_tenants_is_not_banned(void **state)
{
	const struct snapshot_tenant one = {.id = 1};
	const struct snapshot_tenant other = {.id = 2};
	const struct snapshot_tenant third = {.id = 3};
	struct scene *s = *state;

	send_good(s, &one, NOW - 1000);
	send_good(s, &one, NOW);
	assert_int_equal(send_many(s).spared, BOARD_SPARED_NOT);
	assert_true(is_banned(s));
	come_from(s, "192.0.2.2");
	send_good(s, &one, NOW - 3000);
	send_good(s, &other, NOW - 2000);
	assert_int_equal(send_many(s).spared, BOARD_SPARED_SHARED);
	assert_false(is_banned(s));
	/* IPv6 by /64, and a third tenant in place of the one seen longest ago */
	come_from(s, "2001:db8::1");
	send_good(s, &one, NOW - (int64_t)2 * SHARING_WINDOW_S * 1000);
	send_good(s, &other, NOW - 2000);
	assert_int_equal(send_many(s).spared, BOARD_SPARED_NOT);
	come_from(s, "2001:db8::2");
	send_good(s, &third, NOW);
	assert_int_equal(send_many(s).spared, BOARD_SPARED_SHARED);
}

static void a_new_agent_knows_what_the_old_one_has_banned(void **state)
{
	struct scene *s = *state;

	for (unsigned i = 0; i < MAX; i++)
		send_bad(s, i);
	bans_stop(&s->agent);
	assert_int_equal(bans_start(&s->agent), 0);
	assert_true(is_banned(s));
	s->head.bans_taken = 1;
	assert_false(is_banned(s));
}

static void bans_nobody_if_off_or_without_an_address(void **state)
{
	struct scene *s = *state;

	s->head.options.bad_keys_max = 0;
	for (unsigned i = 0; i < 100; i++)
		send_bad(s, i);
	s->head.options.bad_keys_max = MAX;
	s->request.has_src = false;
	for (unsigned i = 0; i < 100; i++)
		send_bad(s, i);
	assert_int_equal(counted(s, BOARD_BANNED), 0);
}

static void only_keys_that_were_looked_up_go_into_the_cache(void **state)
{
	struct scene *s = *state;
	char key[RELAYKEY_LEN + 1];
	struct decide_verdict v = {.refusal = REFUSAL_INVALID_API_KEY};

	assert_int_equal(relaykey_generate(key), 0);
	v.bad_key = slice_from_str(key);
	bans_note(&s->agent, &s->request, &v, NOW);
	assert_false(badkeys_is_cached(&s->agent.badkeys, v.bad_key, 3));
	v.bad_key_unknown = true;
	bans_note(&s->agent, &s->request, &v, NOW);
	assert_true(badkeys_is_cached(&s->agent.badkeys, v.bad_key, 3));
	assert_int_equal(counted(s, BOARD_BAD_KEY_CACHED), 0);
	v.bad_key_unknown = false;
	v.bad_key_cached = true;
	bans_note(&s->agent, &s->request, &v, NOW);
	assert_int_equal(counted(s, BOARD_BAD_KEY_CACHED), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(enough_different_bad_keys_ban_an_address),
		TEST(loopback_and_trusted_proxies_are_not_banned),
		TEST(an_address_of_several_tenants_is_not_banned),
		TEST(a_new_agent_knows_what_the_old_one_has_banned),
		TEST(bans_nobody_if_off_or_without_an_address),
		TEST(only_keys_that_were_looked_up_go_into_the_cache),
	};
	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
