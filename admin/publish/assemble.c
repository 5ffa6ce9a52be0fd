#include "admin/publish/assemble.h"

#include "admin/publish/assemble_parts.h"
#include "common/log.h"
#include "common/num.h"
#include "common/search.h"

#include <errno.h>

void idmap_add(struct idmap *m, int64_t id)
{
	buffer_append(&m->ids, &id, sizeof(id));
}

static bool is_before(const void *row, const void *key)
{
	return *(const int64_t *)row < *(const int64_t *)key;
}

int64_t idmap_find(const struct idmap *m, int64_t id)
{
	const int64_t *ids = (const int64_t *)(const void *)m->ids.data;
	size_t count = m->ids.len / sizeof(*ids);
	size_t at = search_rows(ids, count, sizeof(*ids), is_before, &id);

	return at < count && ids[at] == id ? (int64_t)at : -1;
}

struct snapshot_text assemble_text(struct assemble *a, sqlite3_stmt *st, int column)
{
	return snapshot_builder_text(a->builder, store_column(st, column));
}

uint32_t assemble_u32(sqlite3_stmt *st, int column)
{
	return (uint32_t)sqlite3_column_int64(st, column);
}

int assemble_each(struct assemble *a, const char *sql, assemble_row_fn *row)
{
	sqlite3_stmt *st = store_statement(a->store, sql, a->e);
	int rc = -EIO;

	if (!st)
		return rc;
	while ((rc = store_step(a->store, st, a->e)) == 1) {
		rc = row(a, st);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	return rc;
}

/* --- upstreams and egresses --- */

static int add_upstream(struct assemble *a, sqlite3_stmt *st)
{
	struct assemble_upstream more = {0};
	struct errtext why;

	if (provider_parse(store_column(st, 2), &more.provider) < 0)
		return errtext_set(a->e, -EBADMSG, "store: an upstream has an unknown provider");
	more.headers_bad = headerset_parse(store_column(st, 3), &more.headers, &why) < 0;
	if (more.headers_bad)
		log_event(LOG_LEVEL_WARNING, "upstream cannot be used",
			LOG_SLICE("upstream", store_column(st, 1)), LOG_STR("reason", why.text));
	const struct snapshot_upstream row = {
		.id = assemble_u32(st, 0),
		.provider = (uint32_t)more.provider,
		.name = assemble_text(a, st, 1),
	};
	idmap_add(&a->upstreams, row.id);
	buffer_append(&a->upstream_rows, &more, sizeof(more));
	snapshot_builder_add(a->builder, SNAPSHOT_UPSTREAM, &row);
	return 0;
}

static int add_egress(struct assemble *a, sqlite3_stmt *st)
{
	const struct snapshot_egress row = {
		.id = assemble_u32(st, 0),
		.name = assemble_text(a, st, 1),
		.region = assemble_text(a, st, 2),
		.flags = sqlite3_column_int(st, 3) ? SNAPSHOT_EGRESS_SUSPENDED : 0,
		.epoch = assemble_u32(st, 4),
	};

	idmap_add(&a->egresses, row.id);
	if (slice_eq_str(store_column(st, 1), "direct"))
		a->direct = row.id;
	snapshot_builder_add(a->builder, SNAPSHOT_EGRESS, &row);
	return 0;
}

/* --- backends and header slots --- */

static struct assemble_pair *last_pair(struct assemble *a)
{
	if (a->pairs.len < sizeof(struct assemble_pair))
		return NULL;
	return (struct assemble_pair *)(void *)(a->pairs.data + a->pairs.len -
		sizeof(struct assemble_pair));
}

/* Rows come by pair, newest first, so that the backends of a pair are one range. */
static int add_backend(struct assemble *a, sqlite3_stmt *st)
{
	struct assemble_pair pair = {
		sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), {0, 0}};
	struct assemble_pair *last = last_pair(a);
	bool open = sqlite3_column_type(st, 7) == SQLITE_NULL;
	struct snapshot_backend row = {
		.id = assemble_u32(st, 2),
		.egress = (uint32_t)idmap_find(&a->egresses, pair.egress),
		.first_gen = (uint64_t)sqlite3_column_int64(st, 6),
		.last_gen = open ? UINT64_MAX : (uint64_t)sqlite3_column_int64(st, 7),
		.name = assemble_text(a, st, 3),
		.prefix = assemble_text(a, st, 4),
		.strip = assemble_text(a, st, 5),
	};
	uint32_t index = snapshot_builder_add(a->builder, SNAPSHOT_BACKEND, &row);

	if (!last || last->upstream != pair.upstream || last->egress != pair.egress) {
		pair.backends.first = index;
		buffer_append(&a->pairs, &pair, sizeof(pair));
		last = last_pair(a);
	}
	if (!last)
		return errtext_set(a->e, -ENOMEM, "snapshot: out of memory");
	last->backends.count++;
	return 0;
}

static int add_slot(struct assemble *a, sqlite3_stmt *st)
{
	struct slice name = store_column(st, 0);
	bool open = sqlite3_column_type(st, 2) == SQLITE_NULL;
	struct assemble_slot slot = {
		.first_gen = (uint64_t)sqlite3_column_int64(st, 1),
		.last_gen = open ? UINT64_MAX : (uint64_t)sqlite3_column_int64(st, 2),
	};

	if (name.n >= sizeof(slot.name))
		return errtext_set(a->e, -EBADMSG, "store: a header name is too long");
	memcpy(slot.name, name.p, name.n);
	buffer_append(&a->slots, &slot, sizeof(slot));
	return 0;
}

/* --- pools and tenants --- */

struct word {
	const char *name;
	uint32_t value;
};

static const struct word strategies[] = {
	{"sticky", SNAPSHOT_STRATEGY_STICKY},
	{"least-loaded", SNAPSHOT_STRATEGY_LEAST_LOADED},
	{"round-robin", SNAPSHOT_STRATEGY_ROUND_ROBIN},
	{NULL, 0},
};

static const struct word stickiness[] = {
	{"soft", 0},
	{"hard", 1},
	{NULL, 0},
};

static int parse_word(struct assemble *a, const char *what, const struct word *words,
	struct slice name, uint32_t *ret)
{
	for (; words->name; words++) {
		if (!slice_eq_str(name, words->name))
			continue;
		*ret = words->value;
		return 0;
	}
	return errtext_set(a->e, -EBADMSG, "store: a pool has the unknown %s \"%.*s\"", what,
		(int)slice_cut(name, 100).n, name.p);
}

static int add_members(struct assemble *a, int64_t pool, struct snapshot_range *ret)
{
	sqlite3_stmt *st = store_statement(a->store,
		"SELECT account_id FROM pool_members WHERE pool_id = ?1 ORDER BY position", a->e);
	int rc = -EIO;

	if (!st)
		return rc;
	ret->first = snapshot_builder_count(a->builder, SNAPSHOT_MEMBER);
	sqlite3_bind_int64(st, 1, pool);
	while ((rc = store_step(a->store, st, a->e)) == 1) {
		uint32_t index = (uint32_t)idmap_find(&a->accounts, sqlite3_column_int64(st, 0));
		snapshot_builder_add(a->builder, SNAPSHOT_MEMBER, &index);
		ret->count++;
	}
	return rc;
}

static int add_pool(struct assemble *a, sqlite3_stmt *st)
{
	struct snapshot_pool row = {
		.id = assemble_u32(st, 0),
		.name = assemble_text(a, st, 1),
		.upstream = (uint32_t)idmap_find(&a->upstreams, sqlite3_column_int64(st, 2)),
		.wait_ms = (uint64_t)sqlite3_column_int64(st, 5),
	};
	int error = parse_word(a, "strategy", strategies, store_column(st, 3), &row.strategy);

	if (!error)
		error = parse_word(a, "stickiness", stickiness, store_column(st, 4), &row.hard);
	if (!error)
		error = add_members(a, row.id, &row.members);
	if (!error)
		snapshot_builder_add(a->builder, SNAPSHOT_POOL, &row);
	return error;
}

static int add_networks(struct assemble *a, struct slice text, struct snapshot_range *ret)
{
	struct cidr nets[CIDR_LIST_MAX];
	size_t n;

	if (cidr_parse_list(text, nets, CIDR_LIST_MAX, &n) < 0)
		return errtext_set(a->e, -EBADMSG, "store: a tenant has a malformed allow list");
	ret->first = snapshot_builder_count(a->builder, SNAPSHOT_NETWORK);
	ret->count = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		snapshot_builder_add(a->builder, SNAPSHOT_NETWORK, &nets[i]);
	return 0;
}

static int parse_wait(struct slice text, struct snapshot_tenant *ret)
{
	if (slice_eq_str(text, "refuse"))
		ret->wait = SNAPSHOT_WAIT_REFUSE;
	else if (slice_eq_str(text, "forever"))
		ret->wait = SNAPSHOT_WAIT_FOREVER;
	else if (num_parse_u64(text, INT64_MAX, &ret->wait_ms) == 0)
		ret->wait = SNAPSHOT_WAIT_BOUNDED;
	else
		return -EBADMSG;
	return 0;
}

static int add_tenant(struct assemble *a, sqlite3_stmt *st)
{
	struct snapshot_tenant row = {
		.id = assemble_u32(st, 0),
		.name = assemble_text(a, st, 1),
		.flags = (sqlite3_column_int(st, 2) ? SNAPSHOT_TENANT_ENABLED : 0) |
			(sqlite3_column_int(st, 3) ? SNAPSHOT_TENANT_SHADOW : 0) |
			(sqlite3_column_int(st, 13) ? SNAPSHOT_TENANT_OWN : 0),
		.pool_id = assemble_u32(st, 4),
		.limits = {.rps = assemble_u32(st, 7),
			.rpm = assemble_u32(st, 8),
			.rph = assemble_u32(st, 9),
			.concurrency = assemble_u32(st, 10),
			.daily = assemble_u32(st, 11),
			.monthly = assemble_u32(st, 12)},
	};
	int error = add_networks(a, store_column(st, 5), &row.networks);

	if (error)
		return error;
	if (parse_wait(store_column(st, 6), &row) < 0)
		return errtext_set(a->e, -EBADMSG, "store: a tenant has a malformed wait");
	snapshot_builder_add(a->builder, SNAPSHOT_TENANT, &row);
	return 0;
}

static int assemble_all(struct assemble *a)
{
	int error = assemble_each(
		a, "SELECT id, name, provider, headers FROM upstreams ORDER BY id", add_upstream);

	if (!error)
		error = assemble_each(a,
			"SELECT id, name, region, suspended, epoch FROM egresses ORDER BY id",
			add_egress);
	if (!error)
		error = assemble_each(a,
			"SELECT upstream_id, egress_id, id, name, prefix, strip, first_gen, last_gen"
			" FROM backends ORDER BY upstream_id, egress_id, id DESC",
			add_backend);
	if (!error)
		error = assemble_each(
			a, "SELECT name, first_gen, last_gen FROM header_slots", add_slot);
	if (!error)
		error = assemble_accounts(a);
	if (!error)
		error = assemble_each(a,
			"SELECT id, name, upstream_id, strategy, sticky, wait_ms FROM pools ORDER BY id",
			add_pool);
	if (!error)
		error = assemble_each(a,
			"SELECT id, name, enabled, shadow, pool_id, allow_ip, wait, rps, rpm, rph,"
			" concurrency, daily, monthly, own FROM tenants ORDER BY id",
			add_tenant);
	if (!error)
		error = assemble_bans(a);
	return error;
}

int assemble_snapshot(
	struct store *s, const struct vault *v, struct snapshot_builder *b, struct errtext *e)
{
	struct assemble a = {.store = s, .vault = v, .builder = b, .e = e};
	int error = assemble_all(&a);

	buffer_fini(&a.upstreams.ids);
	buffer_fini(&a.egresses.ids);
	buffer_fini(&a.accounts.ids);
	buffer_fini(&a.upstream_rows);
	buffer_fini(&a.pairs);
	buffer_fini(&a.slots);
	return error;
}
