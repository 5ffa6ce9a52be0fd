/*
 * Bad keys and their senders. Three small tables of fixed size, pure: time is an argument.
 *
 * - Sources: how many different bad keys came from an address within the last minute. Clients repeat
 *   one bad key and offices share an address, so only different keys count. IPv6 counts by /64. Among
 *   BADKEYS_WAYS sources that hash alike, the least recently used one is replaced.
 * - Bans that the agent has made and control has not taken over yet.
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

#define BADKEYS_SOURCES 4096 /* addresses watched at once */
#define BADKEYS_WAYS 8
#define BADKEYS_DISTINCT_MAX CONFIG_BAD_KEYS_MAX /* different keys of one address */
#define BADKEYS_WINDOW_MS 60000
#define BADKEYS_CACHE 4096
#define BADKEYS_BANS_MAX BOARD_BANS

struct badkeys_source;
struct badkeys_cached;

struct badkeys_ban {
	uint64_t number; /* number of the ban on the board */
	struct cidr network;
	int64_t expires_ms;
};

struct badkeys {
	uint8_t seed[SIPHASH_KEY_LEN];
	struct badkeys_source *sources;
	struct badkeys_cached *cache;
	uint64_t
		cached_version; /* of the newest row; an ordinary request has no other to look for */
	struct badkeys_ban bans[BADKEYS_BANS_MAX]; /* by number, modulo their count */
	uint64_t bans_end;			   /* number of the newest + 1 */
};

/* 0 or -ENOMEM. */
int badkeys_init(struct badkeys *b, const uint8_t seed[SIPHASH_KEY_LEN]);
void badkeys_fini(struct badkeys *b);

/* The network under which an address is counted: the address itself, or its IPv6 /64. */
struct cidr badkeys_network(const struct ip *ip);
/*
 * Notes a bad key of any form. Once its source has sent `max` different ones within the minute,
 * returns their number and forgets them; else 0. `max` 0 = never.
 */
uint32_t badkeys_note(
	struct badkeys *b, const struct ip *ip, struct slice key, int64_t now_ms, uint64_t max);

/*
 * `number` is that of the ban on the board. The ban holds until the snapshot has taken it or it
 * expires.
 */
void badkeys_ban(
	struct badkeys *b, uint64_t number, const struct cidr *network, int64_t expires_ms);
/* Whether a ban with a number from `taken` on covers the address. */
bool badkeys_is_banned(
	const struct badkeys *b, const struct ip *ip, int64_t now_ms, uint64_t taken);

/* The wall clock has moved by `step_ms`: all times move with it. */
void badkeys_shift(struct badkeys *b, int64_t step_ms, int64_t now_ms);

/* Adds a well-formed key that this version of the snapshot does not have. */
void badkeys_cache(struct badkeys *b, struct slice key, uint64_t version);
/* True only for exactly this text, added under exactly this version. */
bool badkeys_is_cached(const struct badkeys *b, struct slice key, uint64_t version);

#endif
