#include "admin/publish/assemble.h"

#include "admin/publish/assemble_parts.h"
#include "admin/store/resources.h"
#include "common/log.h"
#include "common/num.h"
#include "common/url.h"

#include <errno.h>

/* --- upstreams and egresses --- */

static bool is_probed(const struct provider *p, struct slice path)
{
	return path.n ? !slice_eq_str(path, PROVIDER_PROBE_NONE) : p->probe.path != NULL;
}

static int add_upstream(struct row *row, void *context)
{
	struct assemble *a = context;
	struct assemble_upstream more = {0};
	struct url url;

	more.provider = provider_find(row_text(row, "provider"));
	if (!more.provider)
		return errtext_set(a->e, -EBADMSG, "store: an upstream has an unknown provider");
	int error = url_parse(row_text(row, "url"), &url, a->e);
	if (error)
		return error;
	const struct snapshot_upstream one = {
		.id = row_u32(row, "id"),
		.provider = (uint32_t)provider_index(more.provider),
		.flags = (is_probed(more.provider, row_text(row, "probe_path"))
					 ? SNAPSHOT_UPSTREAM_PROBED
					 : 0) |
			(row_flag(row, "websocket") ? SNAPSHOT_UPSTREAM_WEBSOCKET : 0) |
			(row_flag(row, "http2") ? SNAPSHOT_UPSTREAM_HTTP2 : 0),
		.name = assemble_text(a, row, "name"),
		.prefix = snapshot_builder_text(a->builder, slice_from_str(url.prefix)),
		.strip = assemble_text(a, row, "strip"),
	};
	idmap_add(&a->upstreams, one.id);
	buffer_append(&a->upstream_rows, &more, sizeof(more));
	snapshot_builder_add(a->builder, SNAPSHOT_UPSTREAM, &one);
	return 0;
}

static int add_egress(struct row *row, void *context)
{
	struct assemble *a = context;
	const struct snapshot_egress one = {
		.id = row_u32(row, "id"),
		.name = assemble_text(a, row, "name"),
		.region = assemble_text(a, row, "region"),
		.flags = row_flag(row, "suspended") ? SNAPSHOT_EGRESS_SUSPENDED : 0,
		.epoch = row_u32(row, "epoch"),
	};

	idmap_add(&a->egresses, one.id);
	snapshot_builder_add(a->builder, SNAPSHOT_EGRESS, &one);
	return 0;
}

/* --- backends --- */

static struct assemble_pair *last_pair(struct assemble *a)
{
	if (a->pairs.len < sizeof(struct assemble_pair))
		return NULL;
	return (struct assemble_pair *)(void *)(a->pairs.data + a->pairs.len -
		sizeof(struct assemble_pair));
}

/* Of a backend that every later generation has, too. */
static uint64_t last_generation(struct row *row)
{
	return row_is_null(row, "last_gen") ? UINT64_MAX : (uint64_t)row_number(row, "last_gen");
}

/* The rows are in order of pairs, newest first, so that the backends of a pair are one range. */
static int add_backend(struct row *row, void *context)
{
	struct assemble *a = context;
	struct assemble_pair pair = {
		row_number(row, "upstream_id"), row_number(row, "egress_id"), {0, 0}};
	struct assemble_pair *last = last_pair(a);
	struct snapshot_backend one = {
		.id = row_u32(row, "id"),
		.egress = (uint32_t)idmap_find(&a->egresses, pair.egress),
		.first_gen = (uint64_t)row_number(row, "first_gen"),
		.last_gen = last_generation(row),
		.name = assemble_text(a, row, "name"),
		.prefix = assemble_text(a, row, "prefix"),
		.strip = assemble_text(a, row, "strip"),
	};
	uint32_t index = snapshot_builder_add(a->builder, SNAPSHOT_BACKEND, &one);

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
	{"soft", SNAPSHOT_STICKY_SOFT},
	{"hard", SNAPSHOT_STICKY_HARD},
	{"free", SNAPSHOT_STICKY_FREE},
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

static int add_member(struct row *row, void *context)
{
	struct assemble *a = context;
	uint32_t index = (uint32_t)idmap_find(&a->accounts, row_number(row, "account_id"));

	snapshot_builder_add(a->builder, SNAPSHOT_MEMBER, &index);
	return 0;
}

static int add_members(struct assemble *a, int64_t pool, struct snapshot_range *ret)
{
	ret->first = snapshot_builder_count(a->builder, SNAPSHOT_MEMBER);
	int error = sql_each(a->store, a->e, add_member, a,
		"SELECT account_id FROM pool_members WHERE pool_id = ?1 ORDER BY position", "i",
		pool);
	ret->count = snapshot_builder_count(a->builder, SNAPSHOT_MEMBER) - ret->first;
	return error;
}

/* Several tenants use the pool: as their own one, or by the pool of a key. */
static bool is_shared(struct row *row)
{
	int64_t first = row_number(row, "first_tenant");
	int64_t owner = row_number(row, "first_owner");

	if (first && owner && first != owner)
		return true;
	return row_number(row, "last_tenant") != first || row_number(row, "last_owner") != owner;
}

/* No second tenant uses any account of the pool, or the operator lets them share their resources. */
static bool serves_resources(struct row *row)
{
	return slice_eq_str(row_text(row, "resources"), "shared") ||
		row_number(row, "first") == row_number(row, "last");
}

static int add_pool(struct row *row, void *context)
{
	struct assemble *a = context;
	struct snapshot_pool one = {
		.id = row_u32(row, "id"),
		.name = assemble_text(a, row, "name"),
		.upstream = (uint32_t)idmap_find(&a->upstreams, row_number(row, "upstream_id")),
		.wait_ms = (uint64_t)row_number(row, "wait_ms"),
		.flags = (is_shared(row) ? SNAPSHOT_POOL_SHARED : 0) |
			(serves_resources(row) ? SNAPSHOT_POOL_RESOURCES : 0),
	};
	int error = parse_word(a, "strategy", strategies, row_text(row, "strategy"), &one.strategy);

	if (!error)
		error = parse_word(
			a, "stickiness", stickiness, row_text(row, "sticky"), &one.sticky);
	if (!error)
		error = add_members(a, one.id, &one.members);
	if (!error)
		snapshot_builder_add(a->builder, SNAPSHOT_POOL, &one);
	return error;
}

static int add_resource(struct row *row, void *context)
{
	struct assemble *a = context;
	const struct snapshot_resource one = {
		.family = row_u32(row, "family"),
		.pool = row_u32(row, "pool_id"),
		.account = row_u32(row, "account_id"),
	};

	snapshot_builder_add(a->builder, SNAPSHOT_RESOURCE, &one);
	return 0;
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

static int add_tenant(struct row *row, void *context)
{
	struct assemble *a = context;
	struct snapshot_tenant one = {
		.id = row_u32(row, "id"),
		.name = assemble_text(a, row, "name"),
		.flags = (row_flag(row, "enabled") ? SNAPSHOT_TENANT_ENABLED : 0) |
			(row_flag(row, "shadow") ? SNAPSHOT_TENANT_SHADOW : 0) |
			(row_flag(row, "own") ? SNAPSHOT_TENANT_OWN : 0),
		.pool_id = row_u32(row, "pool_id"),
		.limits = {.rps = row_u32(row, "rps"),
			.rpm = row_u32(row, "rpm"),
			.rph = row_u32(row, "rph"),
			.concurrency = row_u32(row, "concurrency"),
			.daily = row_u32(row, "daily"),
			.monthly = row_u32(row, "monthly")},
	};
	int error = add_networks(a, row_text(row, "allow_ip"), &one.networks);

	if (error)
		return error;
	if (parse_wait(row_text(row, "wait"), &one) < 0)
		return errtext_set(a->e, -EBADMSG, "store: a tenant has a malformed wait");
	snapshot_builder_add(a->builder, SNAPSHOT_TENANT, &one);
	return 0;
}

static int assemble_egresses(struct assemble *a)
{
	int error = sql_each(a->store, a->e, add_upstream, a,
		"SELECT id, name, provider, probe_path, url, strip, websocket, http2 FROM upstreams ORDER BY id",
		"");

	if (!error)
		error = sql_each(a->store, a->e, add_egress, a,
			"SELECT id, name, region, suspended, epoch FROM egresses ORDER BY id", "");
	if (!error)
		error = sql_each(a->store, a->e, add_backend, a,
			"SELECT upstream_id, egress_id, id, first_gen, last_gen, name, prefix, strip"
			" FROM backends ORDER BY upstream_id, egress_id, id DESC",
			"");
	return error;
}

static int assemble_all(struct assemble *a)
{
	int error = assemble_egresses(a);

	if (!error)
		error = assemble_accounts(a);
	if (!error)
		error = sql_each(a->store, a->e, add_pool, a,
			"SELECT id, name, upstream_id, strategy, sticky, wait_ms, resources, first, last,"
			" (SELECT min(id) FROM tenants WHERE pool_id = p.id) AS first_tenant,"
			" (SELECT max(id) FROM tenants WHERE pool_id = p.id) AS last_tenant,"
			" (SELECT min(tenant_id) FROM keys WHERE pool_id = p.id) AS first_owner,"
			" (SELECT max(tenant_id) FROM keys WHERE pool_id = p.id) AS last_owner"
			" FROM pools p LEFT JOIN pool_reach r ON r.pool_id = p.id ORDER BY id",
			"");
	if (!error)
		error = resources_each(a->store, a->e, add_resource, a);
	if (!error)
		error = sql_each(a->store, a->e, add_tenant, a,
			"SELECT id, name, enabled, shadow, own, pool_id, rps, rpm, rph, concurrency,"
			" daily, monthly, allow_ip, wait FROM tenants ORDER BY id",
			"");
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
	return error;
}
