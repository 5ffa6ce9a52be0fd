#include "agent/badkeys.h"

#include "common/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct seen {
	uint64_t hash;
	int64_t at_ms; /* last use */
};

struct badkeys_source {
	struct ip network; /* IPv6: the /64 */
	int64_t used_ms;
	uint32_t count; /* number of keys; 0 = free */
	struct seen keys[BADKEYS_DISTINCT_MAX];
};

struct badkeys_cached {
	uint64_t version;
	char text[RELAYKEY_LEN]; /* a free row starts with a NUL, which no key does */
};

int badkeys_init(struct badkeys *b, const uint8_t seed[SIPHASH_KEY_LEN])
{
	*b = (struct badkeys){
		.sources = calloc(BADKEYS_SOURCES, sizeof(struct badkeys_source)),
		.cache = calloc(BADKEYS_CACHE, sizeof(struct badkeys_cached)),
	};
	memcpy(b->seed, seed, sizeof(b->seed));
	if (b->sources && b->cache)
		return 0;
	badkeys_fini(b);
	return -ENOMEM;
}

void badkeys_fini(struct badkeys *b)
{
	free(b->sources);
	free(b->cache);
	*b = (struct badkeys){.sources = NULL};
}

/* --- sources --- */

struct cidr badkeys_network(const struct ip *ip)
{
	return cidr_of(ip, ip_is_v4(ip) ? 128 : 64);
}

static bool is_source(const struct badkeys_source *s, const struct ip *network)
{
	return s->count && memcmp(&s->network, network, sizeof(*network)) == 0;
}

/* The row of a network; a new one takes a free row, or the least recently used one. */
static struct badkeys_source *source_of(struct badkeys *b, const struct ip *network)
{
	struct slice bytes = {(const char *)network->b, sizeof(network->b)};
	uint64_t set = siphash(b->seed, bytes) % (BADKEYS_SOURCES / BADKEYS_WAYS);
	struct badkeys_source *ways = b->sources + set * BADKEYS_WAYS;
	struct badkeys_source *place = ways;

	for (size_t i = 0; i < BADKEYS_WAYS; i++) {
		if (is_source(&ways[i], network))
			return &ways[i];
		if (place->count && (!ways[i].count || ways[i].used_ms < place->used_ms))
			place = &ways[i];
	}
	place->network = *network;
	place->count = 0;
	return place;
}

/* Also drops keys from the future, after the clock was set back by more than the window. */
static bool is_old(const struct seen *key, int64_t now_ms)
{
	return now_ms - key->at_ms >= BADKEYS_WINDOW_MS || key->at_ms - now_ms >= BADKEYS_WINDOW_MS;
}

static void drop_old(struct badkeys_source *s, int64_t now_ms)
{
	uint32_t i = 0;

	while (i < s->count) {
		if (is_old(&s->keys[i], now_ms))
			s->keys[i] = s->keys[--s->count];
		else
			i++;
	}
}

static void add_key(struct badkeys_source *s, uint64_t hash, int64_t now_ms)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->keys[i].hash != hash)
			continue;
		s->keys[i].at_ms = now_ms;
		return;
	}
	if (s->count < BADKEYS_DISTINCT_MAX)
		s->keys[s->count++] = (struct seen){hash, now_ms};
}

uint32_t badkeys_note(
	struct badkeys *b, const struct ip *ip, struct slice key, int64_t now_ms, uint64_t max)
{
	struct cidr network = badkeys_network(ip);

	if (max == 0)
		return 0;
	struct badkeys_source *s = source_of(b, &network.ip);
	s->used_ms = now_ms;
	drop_old(s, now_ms);
	add_key(s, siphash(b->seed, key), now_ms);
	uint32_t count = s->count;
	if (count < max && count < BADKEYS_DISTINCT_MAX)
		return 0;
	s->count = 0;
	return count;
}

/* --- bans --- */

void badkeys_ban(struct badkeys *b, uint64_t number, const struct cidr *network, int64_t expires_ms)
{
	b->bans[number % BADKEYS_BANS_MAX] = (struct badkeys_ban){number, *network, expires_ms};
	b->bans_end = number + 1;
}

bool badkeys_is_banned(const struct badkeys *b, const struct ip *ip, int64_t now_ms, uint64_t taken)
{
	uint64_t oldest = b->bans_end > BADKEYS_BANS_MAX ? b->bans_end - BADKEYS_BANS_MAX : 0;

	for (uint64_t n = taken > oldest ? taken : oldest; n < b->bans_end; n++) {
		const struct badkeys_ban *ban = &b->bans[n % BADKEYS_BANS_MAX];
		if (ban->number == n && now_ms < ban->expires_ms && cidr_has(&ban->network, ip))
			return true;
	}
	return false;
}

/* --- the clock --- */

static void shift_source(struct badkeys_source *s, int64_t step_ms, int64_t now_ms)
{
	s->used_ms = step_move(s->used_ms, step_ms, now_ms);
	for (uint32_t i = 0; i < s->count; i++)
		s->keys[i].at_ms = step_move(s->keys[i].at_ms, step_ms, now_ms);
}

void badkeys_shift(struct badkeys *b, int64_t step_ms, int64_t now_ms)
{
	for (size_t i = 0; i < BADKEYS_SOURCES; i++) {
		if (b->sources[i].count)
			shift_source(&b->sources[i], step_ms, now_ms);
	}
	for (size_t i = 0; i < BADKEYS_BANS_MAX; i++)
		b->bans[i].expires_ms = step_move(b->bans[i].expires_ms, step_ms, INT64_MAX);
}

/* --- cache --- */

/* A client whose keys collide here only loses the cache's benefit. */
static struct badkeys_cached *place_of(const struct badkeys *b, struct slice key)
{
	return &b->cache[siphash(b->seed, key) % BADKEYS_CACHE];
}

void badkeys_cache(struct badkeys *b, struct slice key, uint64_t version)
{
	if (key.n != RELAYKEY_LEN)
		return;
	struct badkeys_cached *place = place_of(b, key);
	place->version = b->cached_version = version;
	memcpy(place->text, key.p, RELAYKEY_LEN);
}

bool badkeys_is_cached(const struct badkeys *b, struct slice key, uint64_t version)
{
	if (key.n != RELAYKEY_LEN || b->cached_version != version)
		return false;
	const struct badkeys_cached *place = place_of(b, key);
	return place->version == version && memcmp(place->text, key.p, RELAYKEY_LEN) == 0;
}
