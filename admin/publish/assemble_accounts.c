#include "admin/publish/assemble_parts.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/store/credential.h"
#include "common/log.h"
#include "common/seam.h"

#include <errno.h>

enum column {
	COLUMN_ID,
	COLUMN_NAME,
	COLUMN_UPSTREAM,
	COLUMN_WEIGHT,
	COLUMN_REGION,
	COLUMN_RPM,
	COLUMN_RPH,
	COLUMN_CONCURRENCY,
	COLUMN_MAX_CONSECUTIVE,
	COLUMN_PACE_MIN,
	COLUMN_PACE_MAX,
	COLUMN_HEADERS,
	COLUMN_SUSPENDED,
	COLUMN_EPOCH,
	COLUMN_NEEDS_LOGIN,
	COLUMN_REFRESHABLE,
};

#define ACCOUNTS_SQL                                                                                  \
	"SELECT id, name, upstream_id, weight, region, rpm, rph, concurrency, max_consecutive,"       \
	" pace_min_ms, pace_max_ms, headers, suspended, epoch, needs_login <> '',"                    \
	" source <> 'watch' AND EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = accounts.id" \
	"  AND c.field = 'refresh_token') FROM accounts ORDER BY id"

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

static void add_exit(
	struct assemble *a, int64_t upstream, int64_t egress, struct snapshot_range *egresses)
{
	struct snapshot_account_egress row = {
		.egress = (uint32_t)idmap_find(&a->egresses, egress),
		.backends = find_backends(a, upstream, egress),
	};

	snapshot_builder_add(a->builder, SNAPSHOT_ACCOUNT_EGRESS, &row);
	egresses->count++;
}

/* In the account's order of preference; an account that names no egress goes out directly. */
static int add_egresses(
	struct assemble *a, int64_t account, int64_t upstream, struct snapshot_range *ret)
{
	sqlite3_stmt *st = store_statement(a->store,
		"SELECT egress_id FROM account_egresses WHERE account_id = ?1 ORDER BY position",
		a->e);
	int rc = -EIO;

	if (!st)
		return rc;
	ret->first = snapshot_builder_count(a->builder, SNAPSHOT_ACCOUNT_EGRESS);
	sqlite3_bind_int64(st, 1, account);
	while ((rc = store_step(a->store, st, a->e)) == 1)
		add_exit(a, upstream, sqlite3_column_int64(st, 0), ret);
	if (!rc && !ret->count && a->direct)
		add_exit(a, upstream, a->direct, ret);
	return rc;
}

/* --- headers --- */

static const struct assemble_slot *find_slot(const struct assemble *a, const char *name)
{
	const struct assemble_slot *slots =
		(const struct assemble_slot *)(const void *)a->slots.data;

	for (size_t i = 0; i < a->slots.len / sizeof(*slots); i++)
		if (strcasecmp(slots[i].name, name) == 0)
			return &slots[i];
	return NULL;
}

static void add_header(struct assemble *a, const struct headerset_row *h)
{
	const struct assemble_slot *slot = find_slot(a, h->name);
	char variable[SEAM_HEADER_VAR_SIZE];
	/* a slot that was never rendered is known to no generation: the account waits for it */
	struct snapshot_header row = {
		.first_gen = slot ? slot->first_gen : UINT64_MAX,
		.last_gen = slot ? slot->last_gen : UINT64_MAX,
	};

	row.variable = snapshot_builder_text(
		a->builder, slice_from_str(seam_header_var(h->name, variable)));
	row.value = snapshot_builder_text(a->builder, slice_from_str(h->value));
	snapshot_builder_add(a->builder, SNAPSHOT_HEADER, &row);
}

/* The provider's own id of the account, in the header the provider wants it in. */
static int put_account_id(struct assemble *a, int64_t account, enum provider p, struct headerset *h,
	struct errtext *e)
{
	const char *name = provider_row(p)->account_header;
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

/* The upstream's, then the account id, then the account's own: the more special wins. */
static int collect_headers(struct assemble *a, sqlite3_stmt *st, const struct assemble_upstream *u,
	struct headerset *ret, struct errtext *e)
{
	struct headerset own;

	if (u->headers_bad)
		return errtext_set(e, -EINVAL, "the upstream's headers are malformed");
	*ret = u->headers;
	int error = put_account_id(a, sqlite3_column_int64(st, COLUMN_ID), u->provider, ret, e);
	if (!error)
		error = headerset_parse(store_column(st, COLUMN_HEADERS), &own, e);
	return error ? error : headerset_merge(ret, &own, e);
}

static int add_headers(struct assemble *a, sqlite3_stmt *st, const struct assemble_upstream *u,
	struct snapshot_range *ret, struct errtext *e)
{
	struct headerset all = {.count = 0};
	int error = collect_headers(a, st, u, &all, e);

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
	row->auth = (uint32_t)provider_auth(u->provider, buffer_slice(&token.value));
	row->credential = snapshot_builder_text(a->builder, buffer_slice(&token.value));
	credential_fini(&token);
	return 0;
}

static uint32_t flags_of(sqlite3_stmt *st)
{
	return (sqlite3_column_int(st, COLUMN_SUSPENDED) ? SNAPSHOT_ACCOUNT_SUSPENDED : 0) |
		(sqlite3_column_int(st, COLUMN_NEEDS_LOGIN) ? SNAPSHOT_ACCOUNT_NEEDS_LOGIN : 0) |
		(sqlite3_column_int(st, COLUMN_REFRESHABLE) ? SNAPSHOT_ACCOUNT_REFRESHABLE : 0);
}

static struct snapshot_account read_account(struct assemble *a, sqlite3_stmt *st)
{
	uint32_t weight = assemble_u32(st, COLUMN_WEIGHT);

	return (struct snapshot_account){
		.id = assemble_u32(st, COLUMN_ID),
		.flags = flags_of(st),
		.epoch = assemble_u32(st, COLUMN_EPOCH),
		.upstream = (uint32_t)idmap_find(
			&a->upstreams, sqlite3_column_int64(st, COLUMN_UPSTREAM)),
		.weight = weight ? weight : 1,
		.max_consecutive = assemble_u32(st, COLUMN_MAX_CONSECUTIVE),
		.pace_min_ms = assemble_u32(st, COLUMN_PACE_MIN),
		.pace_max_ms = assemble_u32(st, COLUMN_PACE_MAX),
		.name = assemble_text(a, st, COLUMN_NAME),
		.region = assemble_text(a, st, COLUMN_REGION),
		.limits = {.rpm = assemble_u32(st, COLUMN_RPM),
			.rph = assemble_u32(st, COLUMN_RPH),
			.concurrency = assemble_u32(st, COLUMN_CONCURRENCY)},
	};
}

static int add_account(struct assemble *a, sqlite3_stmt *st)
{
	const struct assemble_upstream *upstreams =
		(const struct assemble_upstream *)(const void *)a->upstream_rows.data;
	struct snapshot_account row = read_account(a, st);
	struct errtext why = {""};

	if (row.upstream >= a->upstream_rows.len / sizeof(*upstreams))
		return errtext_set(a->e, -EBADMSG, "store: account %u has no upstream", row.id);
	const struct assemble_upstream *u = &upstreams[row.upstream];
	int bad = add_headers(a, st, u, &row.headers, &why);

	if (!bad)
		bad = add_credential(a, u, &row, &why);
	if (bad) {
		/* without an exit it cannot be chosen, whatever else is true of it */
		row.flags |= SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
		log_event(LOG_LEVEL_ERROR, "account cannot be used",
			LOG_SLICE("account", store_column(st, COLUMN_NAME)),
			LOG_STR("reason", why.text));
	} else {
		int error = add_egresses(
			a, row.id, sqlite3_column_int64(st, COLUMN_UPSTREAM), &row.egresses);
		if (error)
			return error;
	}
	idmap_add(&a->accounts, row.id);
	snapshot_builder_add(a->builder, SNAPSHOT_ACCOUNT, &row);
	return 0;
}

int assemble_accounts(struct assemble *a)
{
	return assemble_each(a, ACCOUNTS_SQL, add_account);
}
