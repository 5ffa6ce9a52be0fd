/*
 * A world for decisions: tenants, keys, accounts, egresses and generations, generated from a seed.
 */
#ifndef RELAY_TESTS_AGENT_WORLD_H
#define RELAY_TESTS_AGENT_WORLD_H

#include "tables.h"

#define WORLD_TENANTS 100
#define WORLD_KEYS 300
#define WORLD_ACCOUNTS 50
#define WORLD_EGRESSES 10
#define WORLD_UPSTREAMS 3
#define WORLD_POOLS 12
#define WORLD_GENS 5 /* 1..5 */
#define WORLD_USAGES 1024
#define WORLD_BINDINGS 65536 /* more than any test has conversations */
#define WORLD_NOW_MS 1800000000000

struct world_key {
	char text[RELAYKEY_LEN + 1];
	uint32_t tenant; /* index */
	uint32_t pool;	 /* index, or UINT32_MAX = the tenant's */
	bool revoked, expired;
};

struct world_account {
	uint32_t upstream;
	uint32_t egresses[2];
	uint32_t egress_count;
	uint64_t first_gen;   /* of the account */
	bool suspended, bare; /* bare: no credential */
};

struct world {
	uint64_t rng;
	struct world_key keys[WORLD_KEYS];
	struct world_account accounts[WORLD_ACCOUNTS];
	bool tenant_enabled[WORLD_TENANTS];
	uint32_t tenant_pool[WORLD_TENANTS]; /* index, or UINT32_MAX */
	uint32_t pool_upstream[WORLD_POOLS];
	bool member[WORLD_POOLS][WORLD_ACCOUNTS];
	/* generations in which (upstream, egress) has a backend */
	uint64_t first_gen[WORLD_UPSTREAMS][WORLD_EGRESSES];
	struct buffer block, base;
	struct snapshot snapshot;
	struct tables tables;
};

uint64_t world_random(struct world *w);
uint32_t world_below(struct world *w, uint32_t n);
struct world *world_new(uint64_t seed, uint32_t lease_rows);
void world_free(struct world *w);

/* Ids in the snapshot are index + 1. */
struct decide_request world_request(struct world *w, const struct world_key *key);

#endif
