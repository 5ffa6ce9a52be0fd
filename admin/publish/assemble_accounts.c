#include "admin/publish/assemble_parts.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/publish/account_sets.h"
#include "admin/store/credential.h"
#include "common/log.h"
#include "common/num.h"
#include "common/seam.h"

#include <errno.h>

/* The generations that use a set. */
struct gens {
	uint64_t first;
	uint64_t last; /* UINT64_MAX = it is the newest set */
};

/* An account while its row is made. */
struct one_account {
	struct assemble *assemble;
	const struct assemble_upstream *upstream;
	int64_t upstream_id;
	struct snapshot_account row;
	bool is_bad; /* its newest set is malformed */
	struct errtext why;
};

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

static int take_egress(struct assemble *a, int64_t upstream, struct slice number, struct gens gens)
{
	uint64_t egress;

	if (num_parse_u64(number, INT64_MAX, &egress) < 0)
		return errtext_set(a->e, -EBADMSG, "store: a set has a malformed egress");
	int64_t index = idmap_find(&a->egresses, (int64_t)egress);
	if (index < 0)
		return 0; /* an old set: the egress was deleted */
	const struct snapshot_account_egress row = {
		.egress = (uint32_t)index,
		.backends = find_backends(a, upstream, (int64_t)egress),
		.first_gen = gens.first,
		.last_gen = gens.last,
	};
	snapshot_builder_add(a->builder, SNAPSHOT_ACCOUNT_EGRESS, &row);
	return 0;
}

/* In the account's order of preference. */
static int add_egresses(struct assemble *a, int64_t upstream, struct slice list, struct gens gens)
{
	struct slice number;
	int error = 0;

	while (list.n && !error && slice_next(&list, ',', &number))
		error = take_egress(a, upstream, number, gens);
	return error;
}

/* --- headers --- */

static void add_header(struct assemble *a, const struct headerset_row *h, struct gens gens)
{
	char variable[SEAM_HEADER_VAR_SIZE];
	struct snapshot_header row = {.first_gen = gens.first, .last_gen = gens.last};

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
static int collect_headers(struct assemble *a, const struct one_account *x, struct row *set,
	struct headerset *ret, struct errtext *e)
{
	struct headerset own;
	int error = headerset_parse(row_text(set, "upstream_headers"), ret, e);

	if (error)
		return errtext_prefix(e, error, "the upstream's headers are malformed");
	if (row_flag(set, "has_id"))
		error = put_account_id(a, x->row.id, x->upstream->provider, ret, e);
	if (!error)
		error = headerset_parse(row_text(set, "headers"), &own, e);
	return error ? error : headerset_merge(ret, &own, e);
}

static int add_headers(struct assemble *a, const struct one_account *x, struct row *set,
	struct gens gens, struct errtext *e)
{
	struct headerset all = {.count = 0};
	int error = collect_headers(a, x, set, &all, e);

	for (size_t i = 0; i < all.count && !error; i++)
		add_header(a, &all.rows[i], gens);
	return error;
}

/* --- sets --- */

static uint64_t last_of(struct row *set)
{
	return row_is_null(set, "last_gen") ? UINT64_MAX : (uint64_t)row_number(set, "last_gen");
}

/* A set that cannot be used has no egress, so that no generation of it chooses the account. */
static int add_set(struct row *set, void *context)
{
	struct one_account *x = context;
	int64_t first = row_number(set, "first_gen");
	const struct gens gens = {
		first == ACCOUNT_SETS_NEVER ? UINT64_MAX : (uint64_t)first, last_of(set)};
	struct errtext why = {""};

	x->row.first_gen = gens.first;
	if (add_headers(x->assemble, x, set, gens, &why) == 0)
		return add_egresses(x->assemble, x->upstream_id, row_text(set, "egresses"), gens);
	if (gens.last != UINT64_MAX)
		return 0;
	x->is_bad = true;
	x->why = why;
	return 0;
}

/* Newest first. */
static int add_sets(struct assemble *a, struct one_account *x)
{
	struct snapshot_account *row = &x->row;

	row->egresses.first = snapshot_builder_count(a->builder, SNAPSHOT_ACCOUNT_EGRESS);
	row->headers.first = snapshot_builder_count(a->builder, SNAPSHOT_HEADER);
	row->first_gen = UINT64_MAX;
	int error = sql_each(a->store, a->e, add_set, x,
		"SELECT first_gen, last_gen, upstream_headers, headers, has_id, egresses"
		" FROM account_sets WHERE account_id = ?1 ORDER BY first_gen DESC",
		"i", (int64_t)row->id);
	row->egresses.count =
		snapshot_builder_count(a->builder, SNAPSHOT_ACCOUNT_EGRESS) - row->egresses.first;
	row->headers.count =
		snapshot_builder_count(a->builder, SNAPSHOT_HEADER) - row->headers.first;
	return error;
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

/* Without an egress the account cannot be chosen. */
static void refuse(struct one_account *x, struct row *row)
{
	x->row.flags |= SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
	x->row.egresses.count = 0;
	log_event(LOG_LEVEL_ERROR, "account cannot be used",
		LOG_SLICE("account", row_text(row, "name")), LOG_STR("reason", x->why.text));
}

static int add_account(struct row *row, void *context)
{
	struct assemble *a = context;
	const struct assemble_upstream *upstreams =
		(const struct assemble_upstream *)(const void *)a->upstream_rows.data;
	struct one_account x = {.assemble = a,
		.row = read_account(a, row),
		.upstream_id = row_number(row, "upstream_id")};

	if (x.row.upstream >= a->upstream_rows.len / sizeof(*upstreams))
		return errtext_set(a->e, -EBADMSG, "store: account %u has no upstream", x.row.id);
	x.upstream = &upstreams[x.row.upstream];
	int error = add_sets(a, &x);
	if (error)
		return error;
	if (x.is_bad || add_credential(a, x.upstream, &x.row, &x.why) < 0)
		refuse(&x, row);
	idmap_add(&a->accounts, x.row.id);
	snapshot_builder_add(a->builder, SNAPSHOT_ACCOUNT, &x.row);
	return 0;
}

int assemble_accounts(struct assemble *a)
{
	return sql_each(a->store, a->e, add_account, a,
		"SELECT weight, id, suspended, needs_login <> '' AS must_log_in,"
		" source <> 'watch' AND EXISTS (SELECT 1 FROM credentials c"
		"  WHERE c.account_id = accounts.id AND c.field = 'refresh_token') AS refreshable,"
		" epoch, upstream_id, max_consecutive, pace_min_ms, pace_max_ms, name, region,"
		" rpm, rph, concurrency FROM accounts ORDER BY id",
		"");
}
