#include "common/ban.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1800000000000
#define ROWS_MAX 200

static uint64_t rng;

static uint64_t next(void)
{
	rng += 0x9e3779b97f4a7c15u;
	uint64_t x = (rng ^ (rng >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static struct snapshot_ban ban(const char *network, int64_t expires_ms)
{
	struct snapshot_ban row = {.expires_ms = expires_ms};

	assert_int_equal(cidr_parse(slice_from_str(network), &row.network), 0);
	return row;
}

static bool covers(const struct snapshot_ban *bans, uint32_t count, const char *text, int64_t now)
{
	struct ip ip;

	assert_int_equal(ip_parse(slice_from_str(text), &ip), 0);
	return bans_cover(bans, count, &ip, now);
}

static void an_empty_list_covers_nothing(void **state)
{
	(void)state;
	assert_false(covers(NULL, 0, "192.0.2.1", NOW));
}

static void covers_networks_of_both_families(void **state)
{
	struct snapshot_ban bans[] = {
		ban("10.0.0.0/8", 0),
		ban("192.0.2.7", 0),
		ban("2001:db8::/32", 0),
		ban("2001:db9::5", 0),
	};

	(void)state;
	qsort(bans, 4, sizeof(bans[0]), ban_order);
	assert_true(covers(bans, 4, "10.255.255.255", NOW));
	assert_false(covers(bans, 4, "11.0.0.0", NOW));
	assert_true(covers(bans, 4, "192.0.2.7", NOW));
	assert_false(covers(bans, 4, "192.0.2.6", NOW));
	assert_true(covers(bans, 4, "2001:db8:ffff::1", NOW));
	assert_true(covers(bans, 4, "2001:db9::5", NOW));
	assert_false(covers(bans, 4, "2001:db9::4", NOW));
	assert_true(covers(bans, 4, "::ffff:10.0.0.1", NOW));
}

/* An expired ban of the address does not hide that of a network around it. */
static void an_expired_ban_covers_nothing(void **state)
{
	struct snapshot_ban bans[] = {ban("192.0.2.0/24", NOW + 10), ban("192.0.2.1", NOW)};

	(void)state;
	qsort(bans, 2, sizeof(bans[0]), ban_order);
	assert_true(covers(bans, 2, "192.0.2.1", NOW + 9));
	assert_false(covers(bans, 2, "192.0.2.1", NOW + 10));
	bans[1].expires_ms = NOW + 20;
	assert_true(covers(bans, 2, "192.0.2.1", NOW + 10));
	assert_false(covers(bans, 2, "192.0.2.2", NOW + 10));
}

static void everything_can_be_banned(void **state)
{
	struct snapshot_ban bans[] = {ban("0.0.0.0/0", 0)};

	(void)state;
	assert_true(covers(bans, 1, "255.255.255.255", NOW));
	assert_false(covers(bans, 1, "2001:db8::1", NOW));
	bans[0] = ban("::/0", 0);
	assert_true(covers(bans, 1, "2001:db8::1", NOW));
}

/* --- random lists against a search of every row --- */

/* Few distinct bits, so that networks often cover addresses. */
static struct ip random_ip(void)
{
	struct ip ip = {{0}};

	for (size_t i = 0; i < sizeof(ip.b); i++)
		ip.b[i] = (uint8_t)(next() % 4 ? 0 : (next() % 2 ? 0x80 : 1));
	if (next() % 2) {
		memset(ip.b, 0, 10);
		ip.b[10] = ip.b[11] = 0xff;
	}
	return ip;
}

static uint32_t random_list(struct snapshot_ban *out)
{
	uint32_t wanted = (uint32_t)(next() % ROWS_MAX);
	uint32_t kinds = 1 + (uint32_t)(next() % 8);
	uint8_t bits[8];
	uint32_t count = 0;

	for (size_t i = 0; i < 8; i++)
		bits[i] = (uint8_t)(next() % 129);
	for (uint32_t i = 0; i < wanted; i++) {
		struct ip ip = random_ip();
		out[count].network = cidr_of(&ip, bits[next() % kinds]);
		out[count].expires_ms = next() % 3 ? 0 : NOW - 2 + (int64_t)(next() % 5);
		count++;
	}
	qsort(out, count, sizeof(*out), ban_order);
	/* no two rows of a list are equal */
	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (kept == 0 || ban_order(&out[kept - 1], &out[i]) != 0)
			out[kept++] = out[i];
	}
	return kept;
}

static bool covers_slowly(const struct snapshot_ban *bans, uint32_t count, const struct ip *ip)
{
	for (uint32_t i = 0; i < count; i++) {
		if (cidr_has(&bans[i].network, ip) &&
			(bans[i].expires_ms == 0 || NOW < bans[i].expires_ms))
			return true;
	}
	return false;
}

static void agrees_with_a_search_of_every_row(void **state)
{
	static struct snapshot_ban bans[ROWS_MAX];
	uint32_t hits = 0;
	uint32_t misses = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		rng = seed;
		uint32_t count = random_list(bans);
		for (int i = 0; i < 50; i++) {
			struct ip ip = random_ip();
			bool expected = covers_slowly(bans, count, &ip);
			if (bans_cover(bans, count, &ip, NOW) != expected)
				fail_msg("seed %llu, address %d", (unsigned long long)seed, i);
			hits += expected;
			misses += !expected;
		}
	}
	assert_true(hits > 1000 && misses > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_covers_nothing),
		cmocka_unit_test(covers_networks_of_both_families),
		cmocka_unit_test(an_expired_ban_covers_nothing),
		cmocka_unit_test(everything_can_be_banned),
		cmocka_unit_test(agrees_with_a_search_of_every_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
