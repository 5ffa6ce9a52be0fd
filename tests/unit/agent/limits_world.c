#include "limits_world.h"

#include "common/provider.h"

#include <stdlib.h>
#include <string.h>

uint64_t limits_random(uint64_t *rng)
{
	*rng += 0x9e3779b97f4a7c15u;
	return decide_mix(*rng);
}

uint32_t limits_below(uint64_t *rng, uint32_t n)
{
	return (uint32_t)(limits_random(rng) >> 32) % n;
}

uint32_t limits_family(uint32_t key)
{
	static const uint32_t firsts[LIMITS_KEYS] = {0, 1, 2, 3, 4, 1, 6, 7, 0, 1};

	return firsts[key];
}

static uint32_t some_limit(struct limits_world *w, uint32_t most, uint32_t in)
{
	return limits_below(&w->rng, in) ? 0 : 1 + limits_below(&w->rng, most);
}

/*
 * One limit in `in`. Tenants have far more room than their keys; otherwise no key limit would be
 * reached.
 */
static struct snapshot_limits some_limits(struct limits_world *w, uint32_t scale, uint32_t in)
{
	return (struct snapshot_limits){
		.rps = some_limit(w, 3 * scale, in),
		.rpm = some_limit(w, 6 * scale, in),
		.rph = some_limit(w, 30 * scale, in),
		.daily = some_limit(w, 60 * scale, in),
		.monthly = some_limit(w, 200 * scale, in),
		.concurrency = some_limit(w, 3 * scale, 2),
	};
}

static void add_tenants(struct limits_world *w, struct snapshot_builder *b)
{
	for (uint32_t i = 0; i < LIMITS_TENANTS; i++) {
		bool shadow = limits_below(&w->rng, 5) == 0;
		w->tenants[i] = (struct snapshot_tenant){
			.id = i + 1,
			.flags = SNAPSHOT_TENANT_ENABLED | (shadow ? SNAPSHOT_TENANT_SHADOW : 0),
			.pool_id = i % LIMITS_POOLS + 1,
			.limits = some_limits(w, 3, 4),
		};
		snapshot_builder_add(b, SNAPSHOT_TENANT, &w->tenants[i]);
	}
}

static void add_accounts(struct limits_world *w, struct snapshot_builder *b)
{
	struct snapshot_egress egress = {.id = 1};

	for (uint32_t p = 0; p < LIMITS_POOLS; p++) {
		const char *provider = w->has_bound_state[p] ? "codex" : "generic";
		struct snapshot_upstream upstream = {.id = p + 1,
			.provider =
				(uint32_t)provider_index(provider_find(slice_from_str(provider)))};
		snapshot_builder_add(b, SNAPSHOT_UPSTREAM, &upstream);
	}
	snapshot_builder_add(b, SNAPSHOT_EGRESS, &egress);
	for (uint32_t i = 0; i < LIMITS_ACCOUNTS; i++) {
		struct snapshot_account_egress choice = {
			.egress = 0, .backends = {i, 1}, .last_gen = UINT64_MAX};
		w->first_gen[i] = 1 + (limits_below(&w->rng, 6) == 0);
		struct snapshot_backend backend = {
			.id = i + 1, .first_gen = w->first_gen[i], .last_gen = UINT64_MAX};
		backend.name = snapshot_builder_text(b, SLICE_LITERAL("b"));
		w->accounts[i] = (struct snapshot_account){
			.id = i + 1,
			.upstream = i / (LIMITS_ACCOUNTS / LIMITS_POOLS),
			.weight = 1 + limits_below(&w->rng, 1000),
			.max_consecutive = some_limit(w, 3, 2),
			.egresses = {i, 1},
			.limits = some_limits(w, 4, 5),
		};
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT_EGRESS, &choice);
		snapshot_builder_add(b, SNAPSHOT_BACKEND, &backend);
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT, &w->accounts[i]);
	}
}

static void add_pools(struct limits_world *w, struct snapshot_builder *b)
{
	for (uint32_t p = 0; p < LIMITS_POOLS; p++) {
		struct snapshot_pool *pool = &w->pools[p];
		*pool = (struct snapshot_pool){
			.id = p + 1,
			.strategy = limits_below(&w->rng, 3),
			.sticky = limits_below(&w->rng, 3),
			.upstream = p,
			.members = {p * LIMITS_ACCOUNTS / LIMITS_POOLS,
				LIMITS_ACCOUNTS / LIMITS_POOLS},
		};
		for (uint32_t i = 0; i < pool->members.count; i++) {
			uint32_t account = pool->members.first + i;
			w->pool_of[account] = p;
			snapshot_builder_add(b, SNAPSHOT_MEMBER, &account);
		}
		snapshot_builder_add(b, SNAPSHOT_POOL, pool);
	}
}

static void make_keys(struct limits_world *w, const struct snapshot_head *head)
{
	struct relaykey_hasher hasher;

	relaykey_hasher_init(&hasher, head->hash_secret);
	for (uint32_t i = 0; i < LIMITS_KEYS; i++) {
		if (relaykey_generate(w->key_texts[i]))
			abort();
		w->keys[i] = (struct snapshot_key){
			.id = i + 1,
			.tenant_id = i % LIMITS_TENANTS + 1,
			.pool_id = limits_below(&w->rng, LIMITS_POOLS + 1),
			.limits = some_limits(w, 1, 5),
		};
		/* a rotation keeps tenant and limits */
		if (limits_family(i) != i) {
			w->keys[i].family = limits_family(i) + 1;
			w->keys[i].limits = w->keys[limits_family(i)].limits;
		}
		relaykey_hash(&hasher, slice_from_str(w->key_texts[i]), w->keys[i].hash);
	}
}

void limits_world_init(struct limits_world *w, uint64_t seed)
{
	struct snapshot_head head = {.flags = SNAPSHOT_SITE_ENABLED, .version = 1, .keybase = 7};
	struct snapshot_builder *b = snapshot_builder_new();
	struct buffer log = {0};
	struct errtext e;

	*w = (struct limits_world){.rng = seed};
	w->attempts = 1 + limits_below(&w->rng, STATEFILE_ATTEMPTS);
	head.options = (struct snapshot_options){.sticky_ttl_ms = LIMITS_TTL_MS,
		.health_half_open = 1,
		.health_attempts = w->attempts,
		.health_retry_percent = limits_below(&w->rng, 50),
		.health_retry_per_second = limits_below(&w->rng, 4)};
	w->usage_rows = limits_below(&w->rng, 2) ? 64 : 12 + limits_below(&w->rng, 10);
	for (uint32_t p = 0; p < LIMITS_POOLS; p++)
		w->has_bound_state[p] = limits_below(&w->rng, 2);
	add_tenants(w, b);
	add_accounts(w, b);
	add_pools(w, b);
	make_keys(w, &head);
	if (keytable_build(7, w->keys, LIMITS_KEYS, NULL, 0, &w->base) ||
		keytable_build(8, NULL, 0, NULL, 0, &log))
		abort();
	snapshot_builder_set_keylog(b, buffer_slice(&log));
	if (snapshot_builder_finish(b, &head, &w->block) ||
		snapshot_open(
			w->block.data, w->block.len, w->base.data, w->base.len, &w->snapshot, &e))
		abort();
	snapshot_builder_free(b);
	buffer_fini(&log);
}

void limits_world_fini(struct limits_world *w)
{
	buffer_fini(&w->block);
	buffer_fini(&w->base);
}
