/*
 * The list of banned networks in a snapshot, found by address in a few binary searches: rows are
 * sorted by prefix length, then by address.
 */
#ifndef RELAY_COMMON_BAN_H
#define RELAY_COMMON_BAN_H

#include "common/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define BANS_MAX 65536

/* For qsort(). No two rows of a list are equal. */
int ban_order(const void *a, const void *b);
/* Does a ban that has not expired cover the address? Rows in ban_order(). */
bool bans_cover(
	const struct snapshot_ban *bans, uint32_t count, const struct ip *ip, int64_t now_ms);

#endif
