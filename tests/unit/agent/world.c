#include "world.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t world_random(struct world *w)
{
	w->rng += 0x9e3779b97f4a7c15u;
	return decide_mix(w->rng);
}

uint32_t world_below(struct world *w, uint32_t n)
{
	return (uint32_t)(world_random(w) % n);
}

static struct snapshot_text text(struct snapshot_builder *b, const char *prefix, unsigned n)
{
	char out[64];

	snprintf(out, sizeof(out), "%s%u", prefix, n);
	return snapshot_builder_text(b, slice_from_str(out));
}

static void add_upstreams(struct snapshot_builder *b)
{
	for (uint32_t i = 0; i < WORLD_UPSTREAMS; i++) {
		struct snapshot_upstream row = {.id = i + 1, .name = text(b, "u", i)};
		snapshot_builder_add(b, SNAPSHOT_UPSTREAM, &row);
	}
	for (uint32_t i = 0; i < WORLD_EGRESSES; i++) {
		struct snapshot_egress row = {.id = i + 1, .name = text(b, "e", i)};
		snapshot_builder_add(b, SNAPSHOT_EGRESS, &row);
	}
}

/* Backend u*10+e belongs to (u, e), so that tests can read the pair from its name. */
static void add_backends(struct world *w, struct snapshot_builder *b)
{
	for (uint32_t u = 0; u < WORLD_UPSTREAMS; u++) {
		for (uint32_t e = 0; e < WORLD_EGRESSES; e++) {
			w->first_gen[u][e] = 1 + world_below(w, WORLD_GENS);
			struct snapshot_backend row = {
				.id = u * WORLD_EGRESSES + e + 1,
				.egress = e,
				.first_gen = w->first_gen[u][e],
				.last_gen = UINT64_MAX,
				.name = text(b, "b", u * WORLD_EGRESSES + e),
			};
			snapshot_builder_add(b, SNAPSHOT_BACKEND, &row);
		}
	}
}

static struct snapshot_range add_egresses(const struct world_account *a, struct snapshot_builder *b)
{
	struct snapshot_range range = {
		snapshot_builder_count(b, SNAPSHOT_ACCOUNT_EGRESS), a->egress_count};

	for (uint32_t i = 0; i < a->egress_count; i++) {
		struct snapshot_account_egress row = {
			.egress = a->egresses[i],
			.backends = {a->upstream * WORLD_EGRESSES + a->egresses[i], 1},
			.last_gen = UINT64_MAX,
		};
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT_EGRESS, &row);
	}
	return range;
}

static void add_accounts(struct world *w, struct snapshot_builder *b)
{
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
		struct world_account *a = &w->accounts[i];
		*a = (struct world_account){
			.upstream = world_below(w, WORLD_UPSTREAMS),
			.egresses = {world_below(w, WORLD_EGRESSES),
				world_below(w, WORLD_EGRESSES)},
			.egress_count = 1 + world_below(w, 2),
			.first_gen = 1 + world_below(w, 2),
			.suspended = world_below(w, 10) == 0,
			.bare = world_below(w, 10) == 0,
		};
		struct snapshot_header header = {
			.variable = text(b, "h_", i),
			.value = text(b, "header of a", i),
			.first_gen = a->first_gen,
			.last_gen = UINT64_MAX,
		};
		struct snapshot_account row = {
			.id = i + 1,
			.first_gen = a->first_gen,
			.flags = (a->suspended ? SNAPSHOT_ACCOUNT_SUSPENDED : 0) |
				(a->bare ? SNAPSHOT_ACCOUNT_NO_CREDENTIAL : 0),
			.upstream = a->upstream,
			.weight = 100,
			.name = text(b, "a", i),
			.credential = text(b, "token of a", i),
			.egresses = add_egresses(a, b),
			.headers = {snapshot_builder_add(b, SNAPSHOT_HEADER, &header), 1},
		};
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT, &row);
	}
}

static void add_pools(struct world *w, struct snapshot_builder *b)
{
	for (uint32_t p = 0; p < WORLD_POOLS; p++) {
		w->pool_upstream[p] = p % WORLD_UPSTREAMS;
		struct snapshot_pool row = {
			.id = p + 1,
			.strategy = p % 3,
			.upstream = w->pool_upstream[p],
			.name = text(b, "p", p),
			.members = {.first = snapshot_builder_count(b, SNAPSHOT_MEMBER)},
		};
		for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
			w->member[p][i] =
				w->accounts[i].upstream == w->pool_upstream[p] && world_below(w, 2);
			if (!w->member[p][i])
				continue;
			snapshot_builder_add(b, SNAPSHOT_MEMBER, &i);
			row.members.count++;
		}
		snapshot_builder_add(b, SNAPSHOT_POOL, &row);
	}
}

static void add_tenants(struct world *w, struct snapshot_builder *b)
{
	for (uint32_t t = 0; t < WORLD_TENANTS; t++) {
		w->tenant_enabled[t] = world_below(w, 20) != 0;
		w->tenant_pool[t] = world_below(w, 10) ? world_below(w, WORLD_POOLS) : UINT32_MAX;
		struct snapshot_tenant row = {
			.id = t + 1,
			.flags = w->tenant_enabled[t] ? SNAPSHOT_TENANT_ENABLED : 0,
			.pool_id = w->tenant_pool[t] == UINT32_MAX ? 0 : w->tenant_pool[t] + 1,
			.name = text(b, "t", t),
		};
		snapshot_builder_add(b, SNAPSHOT_TENANT, &row);
	}
}

static void make_keys(struct world *w, const struct snapshot_head *head, struct snapshot_key *rows)
{
	struct relaykey_hasher hasher;

	relaykey_hasher_init(&hasher, head->hash_secret);
	for (uint32_t k = 0; k < WORLD_KEYS; k++) {
		struct world_key *key = &w->keys[k];
		if (relaykey_generate(key->text))
			abort();
		key->tenant = world_below(w, WORLD_TENANTS);
		key->pool = world_below(w, 2) ? world_below(w, WORLD_POOLS) : UINT32_MAX;
		key->revoked = world_below(w, 20) == 0;
		key->expired = world_below(w, 20) == 0;
		rows[k] = (struct snapshot_key){
			.id = k + 1,
			.tenant_id = key->tenant + 1,
			.pool_id = key->pool == UINT32_MAX ? 0 : key->pool + 1,
			.flags = key->revoked ? SNAPSHOT_KEY_REVOKED : 0,
			.expires_ms = key->expired ? WORLD_NOW_MS : 0,
		};
		relaykey_hash(&hasher, slice_from_str(key->text), rows[k].hash);
	}
}

static void build(struct world *w)
{
	struct snapshot_head head = {.flags = SNAPSHOT_SITE_ENABLED, .version = 1, .keybase = 7};
	struct snapshot_key rows[WORLD_KEYS];
	struct snapshot_builder *b = snapshot_builder_new();
	struct buffer log = {0};
	struct errtext e;

	make_keys(w, &head, rows);
	add_upstreams(b);
	add_backends(w, b);
	add_accounts(w, b);
	add_pools(w, b);
	add_tenants(w, b);
	/* half of the keys in the key base, half in the log */
	if (keytable_build(7, rows, WORLD_KEYS / 2, NULL, 0, &w->base) ||
		keytable_build(8, rows + WORLD_KEYS / 2, WORLD_KEYS / 2, NULL, 0, &log))
		abort();
	snapshot_builder_set_keylog(b, buffer_slice(&log));
	if (snapshot_builder_finish(b, &head, &w->block) ||
		snapshot_open(
			w->block.data, w->block.len, w->base.data, w->base.len, &w->snapshot, &e))
		abort();
	snapshot_builder_free(b);
	buffer_fini(&log);
}

struct world *world_new(uint64_t seed, uint32_t lease_rows)
{
	struct world *w = calloc(1, sizeof(*w));

	w->rng = seed;
	build(w);
	tables_init(&w->tables, (struct tables_size){WORLD_USAGES, lease_rows, WORLD_BINDINGS});
	return w;
}

void world_free(struct world *w)
{
	tables_fini(&w->tables);
	buffer_fini(&w->block);
	buffer_fini(&w->base);
	free(w);
}

struct decide_request world_request(struct world *w, const struct world_key *key)
{
	struct decide_request r = {
		.gen = 1 + world_below(w, WORLD_GENS),
		.key_lines = 1,
		.key = slice_from_str(key->text),
		.method = SLICE_LITERAL("POST"),
		.path = SLICE_LITERAL("/v1/responses"),
	};
	for (size_t i = 0; i < sizeof(r.id); i += 8) {
		uint64_t n = world_random(w);
		memcpy(r.id + i, &n, 8);
	}
	return r;
}
