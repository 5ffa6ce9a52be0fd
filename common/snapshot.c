#include "common/snapshot.h"

#include "common/provider.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "common/ban.h"
#include "common/search.h"
#include "common/snapshot_layout.h"

static const size_t row_sizes[SNAPSHOT_SECTION_COUNT] = {
#define X(id, type) sizeof(type),
	SNAPSHOT_SECTIONS(X)
#undef X
};

size_t snapshot_row_size(enum snapshot_section section)
{
	return row_sizes[section];
}

static int bad(struct errtext *e, const char *what)
{
	errtext_set(e, -EBADMSG, "snapshot: %s", what);
	return -EBADMSG;
}

/* --- key tables --- */

static bool range_fits(struct snapshot_range r, uint32_t count)
{
	return r.first <= count && r.count <= count - r.first;
}

static bool is_power_of_two(uint32_t n)
{
	return n && (n & (n - 1)) == 0;
}

static bool part_fits(uint64_t offset, uint64_t rows, size_t row_size, size_t size)
{
	return offset % 8 == 0 && offset <= size && rows <= (size - offset) / row_size;
}

static bool keytable_parts_fit(const struct keytable_head *h, size_t size)
{
	return h->size == size &&
		part_fits(h->keys_offset, h->count, sizeof(struct snapshot_key), size) &&
		part_fits(h->buckets_offset, h->buckets, sizeof(uint32_t), size) &&
		part_fits(h->networks_offset, h->networks, sizeof(struct cidr), size) &&
		is_power_of_two(h->buckets) && h->count < h->buckets;
}

/* Every row, for a small table. */
static bool keytable_rows_valid(const struct keytable *t)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i <= t->bucket_mask; i++) {
		if (t->buckets[i] > t->count)
			return false;
		used += t->buckets[i] != 0;
	}
	for (uint32_t i = 0; i < t->count; i++) {
		if (!range_fits(t->keys[i].networks, t->network_count))
			return false;
	}
	return used <= t->bucket_mask;
}

int keytable_open(const void *block, size_t size, struct keytable *ret, struct errtext *e)
{
	const struct keytable_head *h = block;
	const char *base = block;

	if (size < sizeof(*h) || (uintptr_t)block % 8 || memcmp(h->magic, KEYTABLE_MAGIC, 8) != 0 ||
		h->format != SNAPSHOT_FORMAT)
		return bad(e, "not a key table of this version");
	if (!keytable_parts_fit(h, size))
		return bad(e, "a part of the key table lies outside");
	struct keytable t = {
		.keys = (const void *)(base + h->keys_offset),
		.buckets = (const void *)(base + h->buckets_offset),
		.networks = (const void *)(base + h->networks_offset),
		.count = h->count,
		.bucket_mask = h->buckets - 1,
		.network_count = h->networks,
		.id = h->id,
	};
	*ret = t;
	return 0;
}

/* Fail closed: a damaged row is no key. A damaged table may have no empty bucket: the walk is bounded. */
static const struct snapshot_key *keytable_find(
	const struct keytable *t, const uint8_t hash[RELAYKEY_HASH_LEN])
{
	uint32_t at = keytable_bucket(hash) & t->bucket_mask;

	for (uint32_t n = 0; n <= t->bucket_mask; n++, at = (at + 1) & t->bucket_mask) {
		uint32_t bucket = t->buckets[at];
		if (bucket == 0 || bucket > t->count)
			return NULL;
		const struct snapshot_key *key = &t->keys[bucket - 1];
		/* hashes under a secret: the time of a comparison tells nothing about a key */
		if (memcmp(key->hash, hash, RELAYKEY_HASH_LEN) == 0)
			return range_fits(key->networks, t->network_count) ? key : NULL;
	}
	return NULL;
}

const struct snapshot_key *snapshot_key(const struct snapshot *s,
	const uint8_t hash[RELAYKEY_HASH_LEN], const struct keytable **ret_table)
{
	const struct snapshot_key *key = keytable_find(&s->log, hash);

	*ret_table = &s->log;
	if (!key) {
		key = keytable_find(&s->base, hash);
		*ret_table = &s->base;
	}
	return key;
}

/* --- the checks of every reference --- */

#define ROWS(s, SECTION, type) SNAPSHOT_ROWS(s, SECTION, type)

static bool text_fits(const struct snapshot *s, struct snapshot_text t)
{
	uint32_t size = s->counts[SNAPSHOT_TEXT];

	return t.offset <= size && t.len <= size - t.offset;
}

static bool in_section(const struct snapshot *s, struct snapshot_range r, enum snapshot_section in)
{
	return range_fits(r, s->counts[in]);
}

static bool tenants_valid(const struct snapshot *s)
{
	const struct snapshot_tenant *t = ROWS(s, TENANT, struct snapshot_tenant);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_TENANT]; i++) {
		if (!text_fits(s, t[i].name) || !in_section(s, t[i].networks, SNAPSHOT_NETWORK) ||
			t[i].wait > SNAPSHOT_WAIT_FOREVER || (i && t[i].id <= t[i - 1].id))
			return false;
	}
	return true;
}

static bool pools_valid(const struct snapshot *s)
{
	const struct snapshot_pool *p = ROWS(s, POOL, struct snapshot_pool);
	const uint32_t *members = ROWS(s, MEMBER, uint32_t);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_POOL]; i++) {
		if (!text_fits(s, p[i].name) || !in_section(s, p[i].members, SNAPSHOT_MEMBER) ||
			p[i].upstream >= s->counts[SNAPSHOT_UPSTREAM] ||
			p[i].strategy > SNAPSHOT_STRATEGY_ROUND_ROBIN ||
			p[i].sticky > SNAPSHOT_STICKY_FREE || (i && p[i].id <= p[i - 1].id))
			return false;
	}
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_MEMBER]; i++) {
		if (members[i] >= s->counts[SNAPSHOT_ACCOUNT])
			return false;
	}
	return true;
}

static bool accounts_valid(const struct snapshot *s)
{
	const struct snapshot_account *a = ROWS(s, ACCOUNT, struct snapshot_account);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_ACCOUNT]; i++) {
		if (!text_fits(s, a[i].name) || !text_fits(s, a[i].region) ||
			!text_fits(s, a[i].credential) || a[i].weight == 0 ||
			a[i].auth >= provider_auth_count() || (i && a[i].id <= a[i - 1].id) ||
			!in_section(s, a[i].egresses, SNAPSHOT_ACCOUNT_EGRESS) ||
			!in_section(s, a[i].headers, SNAPSHOT_HEADER) ||
			a[i].upstream >= s->counts[SNAPSHOT_UPSTREAM])
			return false;
	}
	return true;
}

static bool account_egresses_valid(const struct snapshot *s)
{
	const struct snapshot_account_egress *x =
		ROWS(s, ACCOUNT_EGRESS, struct snapshot_account_egress);
	const struct snapshot_backend *b = ROWS(s, BACKEND, struct snapshot_backend);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_ACCOUNT_EGRESS]; i++) {
		if (x[i].egress >= s->counts[SNAPSHOT_EGRESS] ||
			!in_section(s, x[i].backends, SNAPSHOT_BACKEND))
			return false;
		/* fail closed: a backend of another egress would be another account's IP */
		for (uint32_t k = 0; k < x[i].backends.count; k++) {
			if (b[x[i].backends.first + k].egress != x[i].egress)
				return false;
		}
	}
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_BACKEND]; i++) {
		if (!text_fits(s, b[i].name) || !text_fits(s, b[i].prefix) ||
			!text_fits(s, b[i].strip) || b[i].egress >= s->counts[SNAPSHOT_EGRESS])
			return false;
	}
	return true;
}

static bool names_valid(const struct snapshot *s)
{
	const struct snapshot_header *h = ROWS(s, HEADER, struct snapshot_header);
	const struct snapshot_egress *g = ROWS(s, EGRESS, struct snapshot_egress);
	const struct snapshot_upstream *u = ROWS(s, UPSTREAM, struct snapshot_upstream);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_HEADER]; i++) {
		if (!text_fits(s, h[i].variable) || !text_fits(s, h[i].value))
			return false;
	}
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_EGRESS]; i++) {
		if (!text_fits(s, g[i].name) || !text_fits(s, g[i].region))
			return false;
	}
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_UPSTREAM]; i++) {
		if (!text_fits(s, u[i].name) || !text_fits(s, u[i].prefix) ||
			!text_fits(s, u[i].strip) || u[i].provider >= provider_count())
			return false;
	}
	return true;
}

static bool request_headers_valid(const struct snapshot *s)
{
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_TRUSTED]; i++) {
		if (ROWS(s, TRUSTED, struct cidr)[i].bits > 128)
			return false;
	}
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_STICKY]; i++) {
		if (!text_fits(s, ROWS(s, STICKY, struct snapshot_text)[i]))
			return false;
	}
	return true;
}

static bool bans_valid(const struct snapshot *s)
{
	const struct snapshot_ban *b = ROWS(s, BAN, struct snapshot_ban);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_BAN]; i++) {
		if (b[i].network.bits > 128 || (i && ban_order(&b[i - 1], &b[i]) >= 0))
			return false;
	}
	return true;
}

static bool resource_before(const void *row, const void *key)
{
	const struct snapshot_resource *a = row;
	const struct snapshot_resource *b = key;

	return a->family < b->family || (a->family == b->family && a->pool < b->pool);
}

static bool resources_valid(const struct snapshot *s)
{
	const struct snapshot_resource *r = ROWS(s, RESOURCE, struct snapshot_resource);

	for (uint32_t i = 1; i < s->counts[SNAPSHOT_RESOURCE]; i++) {
		if (!resource_before(&r[i - 1], &r[i]))
			return false;
	}
	return true;
}

static int open_sections(const char *block, size_t size, struct snapshot *s, struct errtext *e)
{
	const struct snapshot_head *h = s->head;

	for (size_t i = 0; i < SNAPSHOT_SECTION_COUNT; i++) {
		if (h->sections[i].count > UINT32_MAX ||
			!part_fits(h->sections[i].offset, h->sections[i].count, row_sizes[i], size))
			return bad(e, "a section lies outside the block");
		s->sections[i] = block + h->sections[i].offset;
		s->counts[i] = (uint32_t)h->sections[i].count;
	}
	return 0;
}

/* A separate key: hashes of conversations reveal nothing about hashes of relay keys. */
static void derive_conversation_key(struct snapshot *s)
{
	uint8_t hash[RELAYKEY_HASH_LEN];

	relaykey_hash(&s->hasher, SLICE_LITERAL("conversations"), hash);
	memcpy(s->conversation_key, hash, sizeof(s->conversation_key));
}

int snapshot_open(const void *block, size_t size, const void *base, size_t base_size,
	struct snapshot *ret, struct errtext *e)
{
	const struct snapshot_head *h = block;
	struct snapshot s = {.head = h};

	if (size < sizeof(*h) || (uintptr_t)block % 8 || memcmp(h->magic, SNAPSHOT_MAGIC, 8) != 0 ||
		h->format != SNAPSHOT_FORMAT || h->size != size)
		return bad(e, "not a snapshot of this version");
	if (!memchr(h->secret, '\0', sizeof(h->secret)) ||
		!memchr(h->node_id, '\0', sizeof(h->node_id)) ||
		!memchr(h->region, '\0', sizeof(h->region)))
		return bad(e, "a text of the head has no end");
	int error = open_sections(block, size, &s, e);
	if (error)
		return error;
	error = keytable_open(s.sections[SNAPSHOT_KEYLOG], s.counts[SNAPSHOT_KEYLOG], &s.log, e);
	/* a damaged row of the log must not bring back an older row of its key */
	if (!error && !keytable_rows_valid(&s.log))
		error = bad(e, "a row of the key log points outside");
	if (!error)
		error = keytable_open(base, base_size, &s.base, e);
	if (error)
		return error;
	if (s.base.id != h->keybase)
		return bad(e, "the key base is another one");
	if (!tenants_valid(&s) || !pools_valid(&s) || !accounts_valid(&s) ||
		!account_egresses_valid(&s) || !names_valid(&s) || !bans_valid(&s) ||
		!resources_valid(&s) || !request_headers_valid(&s))
		return bad(e, "a row points outside its section");
	relaykey_hasher_init(&s.hasher, h->hash_secret);
	derive_conversation_key(&s);
	*ret = s;
	return 0;
}

struct slice snapshot_text(const struct snapshot *s, struct snapshot_text t)
{
	return (struct slice){ROWS(s, TEXT, char) + t.offset, t.len};
}

const struct snapshot_tenant *snapshot_tenant(const struct snapshot *s, uint32_t id)
{
	return search_id(ROWS(s, TENANT, struct snapshot_tenant), s->counts[SNAPSHOT_TENANT],
		sizeof(struct snapshot_tenant), id);
}

const struct snapshot_pool *snapshot_pool(const struct snapshot *s, uint32_t id)
{
	return search_id(ROWS(s, POOL, struct snapshot_pool), s->counts[SNAPSHOT_POOL],
		sizeof(struct snapshot_pool), id);
}

const struct snapshot_account *snapshot_account_by_id(const struct snapshot *s, uint32_t id)
{
	return search_id(ROWS(s, ACCOUNT, struct snapshot_account), s->counts[SNAPSHOT_ACCOUNT],
		sizeof(struct snapshot_account), id);
}

uint32_t snapshot_resource(const struct snapshot *s, uint32_t family, uint32_t pool)
{
	const struct snapshot_resource *rows = ROWS(s, RESOURCE, struct snapshot_resource);
	const struct snapshot_resource key = {.family = family, .pool = pool};
	uint32_t count = s->counts[SNAPSHOT_RESOURCE];
	size_t at = search_rows(rows, count, sizeof(*rows), resource_before, &key);

	return at < count && !resource_before(&key, &rows[at]) ? rows[at].account : 0;
}
