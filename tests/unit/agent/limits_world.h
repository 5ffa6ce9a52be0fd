/*
 * A small world with small limits, generated from a seed: tenants, keys, pools and accounts, each
 * with some of the limits. Ids are index + 1.
 */
#ifndef RELAY_TESTS_AGENT_LIMITS_WORLD_H
#define RELAY_TESTS_AGENT_LIMITS_WORLD_H

#include "agent/decide/decide.h"

#define LIMITS_TENANTS 4
#define LIMITS_KEYS 10
#define LIMITS_ACCOUNTS 6
#define LIMITS_POOLS 2
#define LIMITS_TTL_MS 3600000

struct limits_world {
	uint64_t rng;
	struct snapshot_tenant tenants[LIMITS_TENANTS];
	struct snapshot_key keys[LIMITS_KEYS];
	struct snapshot_account accounts[LIMITS_ACCOUNTS];
	struct snapshot_pool pools[LIMITS_POOLS];
	bool has_bound_state[LIMITS_POOLS];  /* by its upstream */
	uint32_t pool_of[LIMITS_ACCOUNTS];   /* index */
	uint64_t first_gen[LIMITS_ACCOUNTS]; /* 1 or 2: generation 1 cannot use the latter */
	uint32_t attempts;
	uint32_t usage_rows; /* enough for all, or a few too few */
	char key_texts[LIMITS_KEYS][RELAYKEY_LEN + 1];
	struct buffer block, base;
	struct snapshot snapshot;
};

void limits_world_init(struct limits_world *w, uint64_t seed);
void limits_world_fini(struct limits_world *w);

/* The first key of a key's chain of rotations. */
uint32_t limits_family(uint32_t key);

/* The next random number; the sequence depends only on its first value. */
uint64_t limits_random(uint64_t *rng);
uint32_t limits_below(uint64_t *rng, uint32_t n);

#endif
