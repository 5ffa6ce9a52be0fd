#include "common/ban.h"

#include "common/search.h"

#include <string.h>

static int compare(const struct cidr *a, const struct cidr *b)
{
	if (a->bits != b->bits)
		return a->bits < b->bits ? -1 : 1;
	return memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b));
}

int ban_order(const void *a, const void *b)
{
	const struct snapshot_ban *left = a;
	const struct snapshot_ban *right = b;

	return compare(&left->network, &right->network);
}

static bool is_before(const void *row, const void *key)
{
	const struct snapshot_ban *ban = row;

	return compare(&ban->network, key) < 0;
}

/* The first row that is not below `wanted`. */
static uint32_t lower_bound(
	const struct snapshot_ban *bans, uint32_t count, const struct cidr *wanted)
{
	return (uint32_t)search_rows(bans, count, sizeof(*bans), is_before, wanted);
}

static bool is_in_force(const struct snapshot_ban *ban, int64_t now_ms)
{
	return ban->expires_ms == 0 || now_ms < ban->expires_ms;
}

/* One search per prefix length in the list. */
bool bans_cover(
	const struct snapshot_ban *bans, uint32_t count, const struct ip *ip, int64_t now_ms)
{
	while (count) {
		uint8_t bits = bans->network.bits;
		struct cidr wanted = cidr_of(ip, bits);
		struct cidr next = {.bits = (uint8_t)(bits + 1)};
		uint32_t group = lower_bound(bans, count, &next);
		uint32_t at = lower_bound(bans, group, &wanted);
		if (at < group && compare(&bans[at].network, &wanted) == 0 &&
			is_in_force(&bans[at], now_ms))
			return true;
		bans += group;
		count -= group;
	}
	return false;
}
