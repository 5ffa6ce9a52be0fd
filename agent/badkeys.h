/*
 * Bad keys and who sends them (T5). Three small tables of fixed size, pure: time is an argument.
 *
 * - Sources: how many different bad keys came from an address within the last minute. Clients repeat
 *   one bad key and offices share an address, so only different keys count. IPv6 counts by /64. Of
 *   BADKEYS_WAYS sources that meet in one place the longest unused one gives way.
 * - Bans that the agent has pronounced itself and that control has not taken over yet.
 * - Keys that were looked up and not found, by their text, for one version of the snapshot.
 */
#ifndef RELAY_AGENT_BADKEYS_H
#define RELAY_AGENT_BADKEYS_H

#include "common/board.h"
#include "common/config.h"
#include "common/ip.h"
#include "common/relaykey.h"
#include "common/siphash.h"

#include <stdbool.h>
#include <stdint.h>

#define BADKEYS_SOURCES 4096 /* addresses watched at a time */
#define BADKEYS_WAYS 8
#define BADKEYS_DISTINCT_MAX CONFIG_BAD_KEYS_MAX /* different keys of one address */
#define BADKEYS_WINDOW_MS 60000
#define BADKEYS_CACHE 4096
#define BADKEYS_BANS_MAX BOARD_BANS

struct badkeys_source;
struct badkeys_cached;

struct badkeys_ban {
	uint64_t number; /* of the board's ban */
	struct cidr network;
	int64_t expires_ms;
};

struct badkeys {
	uint8_t seed[SIPHASH_KEY_LEN];
	struct badkeys_source *sources;
	struct badkeys_cached *cache;
	struct badkeys_ban bans[BADKEYS_BANS_MAX]; /* by number, modulo their count */
	uint64_t bans_end;			   /* number of the newest, + 1 */
};

/* 0 or -ENOMEM. */
int badkeys_init(struct badkeys *b, const uint8_t seed[SIPHASH_KEY_LEN]);
void badkeys_fini(struct badkeys *b);

/* The network that an address is counted as: itself, or its IPv6 /64. */
struct cidr badkeys_network(const struct ip *ip);
/*
 * Notes a bad key of any form. Returns how many different ones its source has sent within the minute
 * when `max` (0 = never) are reached, and begins anew; else 0.
 */
uint32_t badkeys_note(
	struct badkeys *b, const struct ip *ip, struct slice key, int64_t now_ms, uint64_t max);

/* `number` is the ban's on the board. It holds until the snapshot has taken it or it expires. */
void badkeys_ban(
	struct badkeys *b, uint64_t number, const struct cidr *network, int64_t expires_ms);
/* Whether a ban from number `taken` on covers the address. */
bool badkeys_is_banned(
	const struct badkeys *b, const struct ip *ip, int64_t now_ms, uint64_t taken);

/* A well-formed key that is not in this version of the snapshot. */
void badkeys_cache(struct badkeys *b, struct slice key, uint64_t version);
/* True only for the very text that was put in under this very version. */
bool badkeys_is_cached(const struct badkeys *b, struct slice key, uint64_t version);

#endif
