#include "agent/badkeys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define NOW 1800000000000
#define MAX 20

static int setup(void **state)
{
	static struct badkeys b;
	static const uint8_t seed[SIPHASH_KEY_LEN] = {7};

	*state = &b;
	return badkeys_init(&b, seed);
}

static int teardown(void **state)
{
	badkeys_fini(*state);
	return 0;
}

static struct ip address(const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(slice_from_str(text), &ip), 0);
	return ip;
}

static uint32_t note(struct badkeys *b, const char *from, unsigned key, int64_t at_ms)
{
	struct ip ip = address(from);
	char text[32];

	snprintf(text, sizeof(text), "rk_bad%u", key);
	return badkeys_note(b, &ip, slice_from_str(text), at_ms, MAX);
}

static void counts_different_keys_only(void **state)
{
	struct badkeys *b = *state;

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(note(b, "192.0.2.1", 0, NOW + i), 0);
	for (unsigned i = 1; i < MAX - 1; i++)
		assert_int_equal(note(b, "192.0.2.1", i, NOW + 1000), 0);
	assert_int_equal(note(b, "192.0.2.1", 5, NOW + 1000), 0);
	assert_int_equal(note(b, "192.0.2.1", MAX, NOW + 1000), MAX);
	/* and the count starts again */
	assert_int_equal(note(b, "192.0.2.1", MAX + 1, NOW + 1000), 0);
}

static void each_address_has_a_separate_count(void **state)
{
	struct badkeys *b = *state;

	for (unsigned i = 0; i < MAX - 1; i++) {
		assert_int_equal(note(b, "192.0.2.1", i, NOW), 0);
		assert_int_equal(note(b, "192.0.2.2", i, NOW), 0);
	}
	assert_int_equal(note(b, "192.0.2.2", MAX, NOW), MAX);
	assert_int_equal(note(b, "192.0.2.1", 0, NOW), 0);
}

static void ipv6_counts_by_its_64(void **state)
{
	struct badkeys *b = *state;
	char from[64];
	char text[CIDR_TEXT_SIZE];

	for (unsigned i = 0; i < MAX - 1; i++) {
		snprintf(from, sizeof(from), "2001:db8:0:1::%x", i + 1);
		assert_int_equal(note(b, from, i, NOW), 0);
	}
	assert_int_equal(note(b, "2001:db8:0:2::1", MAX, NOW), 0);
	assert_int_equal(note(b, "2001:db8:0:1:ffff::1", MAX, NOW), MAX);
	struct ip ip = address("2001:db8:0:1:ffff::1");
	struct cidr net = badkeys_network(&ip);
	assert_string_equal(cidr_format(&net, text), "2001:db8:0:1::/64");
	ip = address("192.0.2.1");
	net = badkeys_network(&ip);
	assert_string_equal(cidr_format(&net, text), "192.0.2.1");
}

static void a_key_counts_for_a_minute_after_its_last_use(void **state)
{
	struct badkeys *b = *state;

	for (unsigned i = 0; i < MAX - 1; i++)
		assert_int_equal(note(b, "192.0.2.1", i, NOW), 0);
	/* the first key is used again, the others are forgotten */
	assert_int_equal(note(b, "192.0.2.1", 0, NOW + 59999), 0);
	assert_int_equal(note(b, "192.0.2.1", 100, NOW + 60000), 0);
	for (unsigned i = 101; i < 100 + MAX - 2; i++)
		assert_int_equal(note(b, "192.0.2.1", i, NOW + 60000), 0);
	assert_int_equal(note(b, "192.0.2.1", 200, NOW + 60000), MAX);
}

/* One more than the limit, but never twenty within a minute: a slow sender is not banned. */
static void a_slow_sender_is_never_banned(void **state)
{
	struct badkeys *b = *state;
	int64_t step = BADKEYS_WINDOW_MS / (MAX - 1);

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(note(b, "192.0.2.1", i, NOW + (step + 1) * i), 0);
}

static void a_clock_set_back_forgets_all_keys(void **state)
{
	struct badkeys *b = *state;

	for (unsigned i = 0; i < MAX - 1; i++)
		assert_int_equal(note(b, "192.0.2.1", i, NOW), 0);
	assert_int_equal(note(b, "192.0.2.1", 50, NOW - 3600000), 0);
	assert_int_equal(note(b, "192.0.2.1", 51, NOW - 3600000), 0);
}

static void the_limit_is_the_callers(void **state)
{
	struct badkeys *b = *state;
	struct ip ip = address("192.0.2.1");

	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(
			badkeys_note(b, &ip, (struct slice){(char *)&i, sizeof(i)}, NOW, 0), 0);
	assert_int_equal(badkeys_note(b, &ip, SLICE_LITERAL("x"), NOW, 1), 1);
	/* the table keeps no more different keys than this */
	for (unsigned i = 0; i < BADKEYS_DISTINCT_MAX - 1; i++)
		assert_int_equal(
			badkeys_note(b, &ip, (struct slice){(char *)&i, sizeof(i)}, NOW, 1000), 0);
	assert_int_equal(badkeys_note(b, &ip, SLICE_LITERAL("x"), NOW, 1000), BADKEYS_DISTINCT_MAX);
}

static void a_flood_of_addresses_does_not_hide_an_active_sender(void **state)
{
	struct badkeys *b = *state;
	uint32_t reached = 0;
	char from[32];

	for (unsigned i = 0; i < MAX; i++) {
		for (unsigned j = 0; j < BADKEYS_SOURCES / 4; j++) {
			snprintf(from, sizeof(from), "10.%u.%u.%u", i, j >> 8, j & 255);
			note(b, from, 0, NOW + i * 10);
		}
		reached = note(b, "192.0.2.1", i, NOW + i * 10 + 5);
	}
	assert_int_equal(reached, MAX);
}

/* --- bans --- */

static void ban(struct badkeys *b, uint64_t number, const char *text, int64_t expires_ms)
{
	struct cidr net;

	assert_int_equal(cidr_parse(slice_from_str(text), &net), 0);
	badkeys_ban(b, number, &net, expires_ms);
}

static bool is_banned(const struct badkeys *b, const char *text, int64_t now_ms, uint64_t taken)
{
	struct ip ip = address(text);

	return badkeys_is_banned(b, &ip, now_ms, taken);
}

static void a_ban_holds_until_the_snapshot_has_it_or_it_expires(void **state)
{
	struct badkeys *b = *state;

	assert_false(is_banned(b, "192.0.2.1", NOW, 0));
	ban(b, 0, "192.0.2.1", NOW + 1000);
	ban(b, 1, "2001:db8::/64", NOW + 2000);
	assert_true(is_banned(b, "192.0.2.1", NOW, 0));
	assert_false(is_banned(b, "192.0.2.2", NOW, 0));
	assert_true(is_banned(b, "2001:db8::ffff", NOW, 0));
	assert_true(is_banned(b, "192.0.2.1", NOW + 999, 0));
	assert_false(is_banned(b, "192.0.2.1", NOW + 1000, 0));
	/* the snapshot takes the first ban, then both */
	assert_false(is_banned(b, "192.0.2.1", NOW, 1));
	assert_true(is_banned(b, "2001:db8::1", NOW, 1));
	assert_false(is_banned(b, "2001:db8::1", NOW, 2));
	assert_false(is_banned(b, "2001:db8::1", NOW, 1000));
}

static void the_newest_bans_are_kept(void **state)
{
	struct badkeys *b = *state;
	char text[32];

	for (unsigned i = 0; i < BADKEYS_BANS_MAX + 10; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", i >> 8, i & 255);
		ban(b, 5 + i, text, NOW + 1000);
	}
	assert_false(is_banned(b, "10.0.0.9", NOW, 0));
	assert_true(is_banned(b, "10.0.0.10", NOW, 0));
	assert_true(is_banned(b, "10.0.1.9", NOW, 0));
}

/* --- cache --- */

static void a_cached_key_matches_by_whole_text_and_version(void **state)
{
	struct badkeys *b = *state;
	char key[RELAYKEY_LEN + 1];
	char other[RELAYKEY_LEN + 1];

	assert_int_equal(relaykey_generate(key), 0);
	assert_false(badkeys_is_cached(b, slice_from_str(key), 3));
	badkeys_cache(b, slice_from_str(key), 3);
	assert_true(badkeys_is_cached(b, slice_from_str(key), 3));
	assert_false(badkeys_is_cached(b, slice_from_str(key), 2));
	assert_false(badkeys_is_cached(b, slice_from_str(key), 4));
	for (size_t i = 0; i < RELAYKEY_LEN; i++) {
		memcpy(other, key, sizeof(other));
		other[i] = other[i] == 'a' ? 'b' : 'a';
		assert_false(badkeys_is_cached(b, slice_from_str(other), 3));
	}
	assert_false(badkeys_is_cached(b, (struct slice){key, RELAYKEY_LEN - 1}, 3));
	assert_false(badkeys_is_cached(b, (struct slice){NULL, 0}, 3));
	badkeys_cache(b, SLICE_LITERAL("short"), 3);
	assert_false(badkeys_is_cached(b, SLICE_LITERAL("short"), 3));
}

/* More keys than rows: every hit is a key that was added. */
static void a_full_cache_has_no_false_hit(void **state)
{
	struct badkeys *b = *state;
	char good[200][RELAYKEY_LEN + 1];
	char key[RELAYKEY_LEN + 1];

	for (size_t i = 0; i < 200; i++)
		assert_int_equal(relaykey_generate(good[i]), 0);
	for (size_t i = 0; i < BADKEYS_CACHE * 4; i++) {
		assert_int_equal(relaykey_generate(key), 0);
		badkeys_cache(b, slice_from_str(key), 1);
		assert_true(badkeys_is_cached(b, slice_from_str(key), 1));
	}
	for (size_t i = 0; i < 200; i++)
		assert_false(badkeys_is_cached(b, slice_from_str(good[i]), 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_different_keys_only),
		TEST(each_address_has_a_separate_count),
		TEST(ipv6_counts_by_its_64),
		TEST(a_key_counts_for_a_minute_after_its_last_use),
		TEST(a_slow_sender_is_never_banned),
		TEST(a_clock_set_back_forgets_all_keys),
		TEST(the_limit_is_the_callers),
		TEST(a_flood_of_addresses_does_not_hide_an_active_sender),
		TEST(a_ban_holds_until_the_snapshot_has_it_or_it_expires),
		TEST(the_newest_bans_are_kept),
		TEST(a_cached_key_matches_by_whole_text_and_version),
		TEST(a_full_cache_has_no_false_hit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
