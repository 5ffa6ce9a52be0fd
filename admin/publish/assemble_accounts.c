#include "admin/publish/assemble_parts.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/store/credential.h"
#include "common/log.h"
#include "common/seam.h"

#include <errno.h>

/* --- egresses --- */

static struct snapshot_range find_backends(
	const struct assemble *a, int64_t upstream, int64_t egress)
{
	const struct assemble_pair *pairs =
		(const struct assemble_pair *)(const void *)a->pairs.data;

	for (size_t i = 0; i < a->pairs.len / sizeof(*pairs); i++)
		if (pairs[i].upstream == upstream && pairs[i].egress == egress)
			return pairs[i].backends;
	return (struct snapshot_range){0, 0};
}

static void add_egress(
	struct assemble *a, int64_t upstream, int64_t egress, struct snapshot_range *egresses)
{
	struct snapshot_account_egress row = {
		.egress = (uint32_t)idmap_find(&a->egresses, egress),
		.backends = find_backends(a, upstream, egress),
	};

	snapshot_builder_add(a->builder, SNAPSHOT_ACCOUNT_EGRESS, &row);
	egresses->count++;
}

struct egress_rows {
	struct assemble *assemble;
	int64_t upstream;
	struct snapshot_range *egresses;
};

static int take_egress(struct row *row, void *context)
{
	const struct egress_rows *x = context;

	add_egress(x->assemble, x->upstream, row_number(row, "egress_id"), x->egresses);
	return 0;
}

/* In the account's order of preference. An account that names no egress uses `direct`. */
static int add_egresses(
	struct assemble *a, int64_t account, int64_t upstream, struct snapshot_range *ret)
{
	struct egress_rows x = {a, upstream, ret};

	ret->first = snapshot_builder_count(a->builder, SNAPSHOT_ACCOUNT_EGRESS);
	int error = sql_each(a->store, a->e, take_egress, &x,
		"SELECT egress_id FROM account_egresses WHERE account_id = ?1 ORDER BY position",
		"i", account);
	if (!error && !ret->count && a->direct)
		add_egress(a, upstream, a->direct, ret);
	return error;
}

/* --- headers --- */

static const struct assemble_extra *find_extra(const struct assemble *a, const char *name)
{
	const struct assemble_extra *extras =
		(const struct assemble_extra *)(const void *)a->extras.data;

	for (size_t i = 0; i < a->extras.len / sizeof(*extras); i++)
		if (strcasecmp(extras[i].name, name) == 0)
			return &extras[i];
	return NULL;
}

static void add_header(struct assemble *a, const struct headerset_row *h)
{
	const struct assemble_extra *extra = find_extra(a, h->name);
	char variable[SEAM_HEADER_VAR_SIZE];
	/* no generation knows an extra header that was never rendered: the account waits for it */
	struct snapshot_header row = {
		.first_gen = extra ? extra->first_gen : UINT64_MAX,
		.last_gen = extra ? extra->last_gen : UINT64_MAX,
	};

	row.variable = snapshot_builder_text(
		a->builder, slice_from_str(seam_header_var(h->name, variable)));
	row.value = snapshot_builder_text(a->builder, slice_from_str(h->value));
	snapshot_builder_add(a->builder, SNAPSHOT_HEADER, &row);
}

/* The provider's id of the account, in the header that the provider expects. */
static int put_account_id(struct assemble *a, int64_t account, const struct provider *p,
	struct headerset *h, struct errtext *e)
{
	const char *name = p->account_header;
	struct credential id;

	if (!name)
		return 0;
	int error = credential_get(a->store, a->vault, account, CREDENTIAL_ACCOUNT_ID, &id, e);
	if (error == -ENOENT)
		return 0;
	if (!error)
		error = headerset_put(h, slice_from_str(name), buffer_slice(&id.value), e);
	credential_fini(&id);
	return error;
}

/* The upstream's headers, then the account id, then the account's own headers: a later one wins. */
static int collect_headers(struct assemble *a, struct row *row, const struct assemble_upstream *u,
	struct headerset *ret, struct errtext *e)
{
	struct headerset own;

	if (u->headers_bad)
		return errtext_set(e, -EINVAL, "the upstream's headers are malformed");
	*ret = u->headers;
	int error = put_account_id(a, row_number(row, "id"), u->provider, ret, e);
	if (!error)
		error = headerset_parse(row_text(row, "headers"), &own, e);
	return error ? error : headerset_merge(ret, &own, e);
}

static int add_headers(struct assemble *a, struct row *row, const struct assemble_upstream *u,
	struct snapshot_range *ret, struct errtext *e)
{
	struct headerset all = {.count = 0};
	int error = collect_headers(a, row, u, &all, e);

	if (error)
		return error;
	ret->first = snapshot_builder_count(a->builder, SNAPSHOT_HEADER);
	ret->count = (uint32_t)all.count;
	for (size_t i = 0; i < all.count; i++)
		add_header(a, &all.rows[i]);
	return 0;
}

/* --- accounts --- */

static int add_credential(struct assemble *a, const struct assemble_upstream *u,
	struct snapshot_account *row, struct errtext *e)
{
	struct credential token;
	int error = credential_get(a->store, a->vault, row->id, CREDENTIAL_ACCESS_TOKEN, &token, e);

	if (error) {
		row->flags |= SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
		return error == -ENOENT ? 0 : error;
	}
	row->expires_ms = token.expires_ms;
	row->credential_generation = (uint64_t)token.generation;
	row->auth = (uint32_t)provider_auth_index(
		provider_auth(u->provider, buffer_slice(&token.value)));
	row->credential = snapshot_builder_text(a->builder, buffer_slice(&token.value));
	credential_fini(&token);
	return 0;
}

static uint32_t flags_of(struct row *row)
{
	return (row_flag(row, "suspended") ? SNAPSHOT_ACCOUNT_SUSPENDED : 0) |
		(row_flag(row, "must_log_in") ? SNAPSHOT_ACCOUNT_NEEDS_LOGIN : 0) |
		(row_flag(row, "refreshable") ? SNAPSHOT_ACCOUNT_REFRESHABLE : 0);
}

static struct snapshot_account read_account(struct assemble *a, struct row *row)
{
	uint32_t weight = row_u32(row, "weight");

	return (struct snapshot_account){
		.id = row_u32(row, "id"),
		.flags = flags_of(row),
		.epoch = row_u32(row, "epoch"),
		.upstream = (uint32_t)idmap_find(&a->upstreams, row_number(row, "upstream_id")),
		.weight = weight ? weight : 1,
		.max_consecutive = row_u32(row, "max_consecutive"),
		.pace_min_ms = row_u32(row, "pace_min_ms"),
		.pace_max_ms = row_u32(row, "pace_max_ms"),
		.name = assemble_text(a, row, "name"),
		.region = assemble_text(a, row, "region"),
		.limits = {.rpm = row_u32(row, "rpm"),
			.rph = row_u32(row, "rph"),
			.concurrency = row_u32(row, "concurrency")},
	};
}

static int add_account(struct row *row, void *context)
{
	struct assemble *a = context;
	const struct assemble_upstream *upstreams =
		(const struct assemble_upstream *)(const void *)a->upstream_rows.data;
	struct snapshot_account one = read_account(a, row);
	struct errtext why = {""};

	if (one.upstream >= a->upstream_rows.len / sizeof(*upstreams))
		return errtext_set(a->e, -EBADMSG, "store: account %u has no upstream", one.id);
	const struct assemble_upstream *u = &upstreams[one.upstream];
	int bad = add_headers(a, row, u, &one.headers, &why);

	if (!bad)
		bad = add_credential(a, u, &one, &why);
	if (bad) {
		/* without an egress the account cannot be chosen */
		one.flags |= SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
		log_event(LOG_LEVEL_ERROR, "account cannot be used",
			LOG_SLICE("account", row_text(row, "name")), LOG_STR("reason", why.text));
	} else {
		int error = add_egresses(a, one.id, row_number(row, "upstream_id"), &one.egresses);
		if (error)
			return error;
	}
	idmap_add(&a->accounts, one.id);
	snapshot_builder_add(a->builder, SNAPSHOT_ACCOUNT, &one);
	return 0;
}

int assemble_accounts(struct assemble *a)
{
	return sql_each(a->store, a->e, add_account, a,
		"SELECT weight, id, suspended, needs_login <> '' AS must_log_in,"
		" source <> 'watch' AND EXISTS (SELECT 1 FROM credentials c"
		"  WHERE c.account_id = accounts.id AND c.field = 'refresh_token') AS refreshable,"
		" epoch, upstream_id, max_consecutive, pace_min_ms, pace_max_ms, name, region,"
		" rpm, rph, concurrency, headers FROM accounts ORDER BY id",
		"");
}
