#include "agent/decide/decide.h"

#include <math.h>

static bool knows(uint64_t gen, uint64_t first, uint64_t last)
{
	return gen >= first && gen <= last;
}

/* An account goes out with all of its headers or not at all. */
static bool headers_known(const struct snapshot *s, const struct snapshot_account *a, uint64_t gen)
{
	const struct snapshot_header *h =
		SNAPSHOT_ROWS(s, HEADER, struct snapshot_header) + a->headers.first;

	for (uint32_t i = 0; i < a->headers.count; i++) {
		if (!knows(gen, h[i].first_gen, h[i].last_gen))
			return false;
	}
	return true;
}

/* The first of its own exits for which the asking HAProxy has a backend; never another account's. */
static const struct snapshot_backend *find_backend(
	const struct snapshot *s, const struct snapshot_account *a, uint64_t gen)
{
	const struct snapshot_exit *exits = SNAPSHOT_ROWS(s, EXIT, struct snapshot_exit);
	const struct snapshot_backend *backends =
		SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend);

	for (uint32_t i = 0; i < a->exits.count; i++) {
		struct snapshot_range range = exits[a->exits.first + i].backends;
		for (uint32_t n = 0; n < range.count; n++) {
			const struct snapshot_backend *b = &backends[range.first + n];
			if (knows(gen, b->first_gen, b->last_gen))
				return b;
		}
	}
	return NULL;
}

static const struct snapshot_backend *usable(
	const struct decide_context *c, const struct snapshot_account *a)
{
	uint32_t unusable = SNAPSHOT_ACCOUNT_SUSPENDED | SNAPSHOT_ACCOUNT_NO_CREDENTIAL;

	if (a->flags & unusable || (a->expires_ms && a->expires_ms <= c->now_ms) ||
		a->upstream != c->verdict->pool->upstream ||
		!headers_known(c->snapshot, a, c->request->gen))
		return NULL;
	return find_backend(c->snapshot, a, c->request->gen);
}

/* FNV-1a over the conversation's id, spread; 0 means that there is none. */
static uint64_t conversation_of(const struct decide_request *r)
{
	uint64_t hash = 14695981039346656037u;

	if (r->sticky.n == 0)
		return 0;
	for (size_t i = 0; i < r->sticky.n; i++)
		hash = (hash ^ (uint8_t)r->sticky.p[i]) * 1099511628211u;
	return decide_mix(hash) | 1;
}

/* Weighted rendezvous hashing: the lowest of -ln(u)/weight wins, and only its own losses move. */
static double rendezvous_cost(uint64_t seed, const struct snapshot_account *a)
{
	uint64_t bits = decide_mix(seed ^ decide_mix(a->id)) >> 11;
	double u = ((double)bits + 0.5) * 0x1p-53;

	return -log(u) / (double)a->weight;
}

static double load_cost(const struct decide_context *c, const struct snapshot_account *a)
{
	uint64_t active = c->state->load(c->state->load_context, a->id);

	return (double)(active + 1) / (double)a->weight;
}

static double turn_cost(const struct snapshot_range *members, uint64_t turn, uint32_t at)
{
	return (double)((at + members->count - turn % members->count) % members->count);
}

static double cost_of(const struct decide_context *c, const struct snapshot_account *a, uint32_t at,
	uint64_t conversation)
{
	const struct snapshot_pool *pool = c->verdict->pool;

	if (conversation)
		return rendezvous_cost(conversation, a);
	switch ((enum snapshot_strategy)pool->strategy) {
	case SNAPSHOT_STRATEGY_LEAST_LOADED:
		return load_cost(c, a) + rendezvous_cost(c->random, a) * 1e-9;
	case SNAPSHOT_STRATEGY_ROUND_ROBIN:
		return turn_cost(&pool->members, c->state->turn, at);
	case SNAPSHOT_STRATEGY_STICKY:
		break;
	}
	return rendezvous_cost(c->random, a);
}

/* Whom the request has already: HAProxy asks again when an agent died in mid-question. */
static uint32_t bound_account(const struct decide_context *c)
{
	const struct statefile_lease *lease = c->verdict->lease;

	return lease ? lease->account : 0;
}

static void choose(struct decide_context *c, uint64_t conversation)
{
	struct decide_verdict *v = c->verdict;
	const struct snapshot_account *accounts =
		SNAPSHOT_ROWS(c->snapshot, ACCOUNT, struct snapshot_account);
	const uint32_t *members =
		SNAPSHOT_ROWS(c->snapshot, MEMBER, uint32_t) + v->pool->members.first;
	uint32_t bound = bound_account(c);
	double best = INFINITY;

	for (uint32_t i = 0; i < v->pool->members.count; i++) {
		const struct snapshot_account *a = &accounts[members[i]];
		if (bound && a->id != bound)
			continue;
		double cost = cost_of(c, a, i, conversation);
		if (cost >= best)
			continue;
		const struct snapshot_backend *backend = usable(c, a);
		if (!backend)
			continue;
		best = cost;
		v->account = a;
		v->backend = backend;
	}
}

/* --strip comes off on a segment's boundary only: /v1 is not a part of /v1beta. */
static void rewrite_path(const struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct slice strip = snapshot_text(c->snapshot, v->backend->strip);
	struct slice rest = c->request->path;

	v->path_prefix = snapshot_text(c->snapshot, v->backend->prefix);
	if (strip.n && slice_has_prefix(rest, strip) &&
		(rest.n == strip.n || rest.p[strip.n] == '/'))
		rest = slice_skip(rest, strip.n);
	v->path_changed = v->path_prefix.n || rest.n != c->request->path.n;
	if (rest.n == 0)
		rest = SLICE_LITERAL("/");
	v->path_rest = rest;
}

enum refusal decide_account(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct statefile_lease *lease = lease_find(c->state->leases, c->request->id);

	/* an id is ours and random; the same one from another key is no repetition */
	if (lease && lease->key != v->key->id)
		return REFUSAL_BAD_REQUEST;
	v->lease = lease;
	v->repeated = lease != NULL;
	choose(c, conversation_of(c->request));
	c->state->turn++;
	if (!v->account)
		return REFUSAL_NO_ACCOUNT;
	rewrite_path(c);
	return REFUSAL_NONE;
}
