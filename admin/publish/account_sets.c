#include "admin/publish/account_sets.h"

#include "admin/command/headerset.h"
#include "admin/publish/generation.h"
#include "admin/store/sql.h"
#include "common/buffer.h"
#include "common/provider.h"

#include <errno.h>

/* What each account should have now. An account that names no egress uses `direct`. */
#define WANTED                                                                                     \
	"SELECT a.id, a.upstream_id, u.provider, u.headers AS upstream_headers, a.headers,"        \
	" EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = a.id"                           \
	"  AND c.field = 'account_id') AS has_id,"                                                 \
	" coalesce((SELECT group_concat(egress_id) FROM (SELECT egress_id FROM account_egresses"   \
	"  WHERE account_id = a.id ORDER BY position)),"                                           \
	"  (SELECT CAST(id AS TEXT) FROM egresses WHERE name = 'direct'), '') AS egresses"         \
	" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"

#define IS_SAME                                                                                    \
	"s.upstream_headers = w.upstream_headers AND s.headers = w.headers"                        \
	" AND s.has_id = w.has_id AND s.egresses = w.egresses"

/*
 * The first of the generations that know all egresses ?2 at upstream ?1: each pair has a backend from
 * then on without a gap. A node without certificates is not rendered, and so not waited for.
 */
#define EGRESSES_FIRST                                                                             \
	"SELECT coalesce(max(CASE WHEN EXISTS (SELECT 1 FROM backends o"                           \
	"  WHERE o.upstream_id = ?1 AND o.egress_id = g.id AND o.last_gen IS NULL)"                \
	" THEN (SELECT max(b.first_gen) FROM backends b"                                           \
	"  WHERE b.upstream_id = ?1 AND b.egress_id = g.id AND NOT EXISTS (SELECT 1 FROM backends" \
	"   p WHERE p.upstream_id = ?1 AND p.egress_id = g.id AND p.last_gen = b.first_gen - 1))"  \
	" ELSE ?3 END), 0) AS first"                                                               \
	" FROM json_each('[' || ?2 || ']') j JOIN egresses g ON g.id = j.value"                    \
	" WHERE g.kind <> 'node' OR g.node_cert <> ''"

/* An account whose newest set is another one, or waits for a generation that knows it. */
struct stale {
	int64_t account;
	int64_t before; /* first_gen of the newest set; 0 = there is none */
	bool is_same;
	bool is_exclusive; /* one of its egresses is nobody else's */
	int64_t first;	   /* of the wanted set */
};

struct update {
	struct store *store;
	struct errtext *e;
	struct buffer rows; /* struct stale */
	/*
	 * Exclusive egresses change hands in one generation: an account that waits for its new one still
	 * uses its old one, which another account may have got.
	 */
	int64_t together;
};

/* --- since when it is known --- */

static int later(int64_t first, int64_t *ret)
{
	if (*ret < first)
		*ret = first;
	return 0;
}

static int header_first(const struct update *u, const char *name, int64_t *ret)
{
	int64_t first = ACCOUNT_SETS_NEVER;
	int error = sql_number(u->store, u->e, &first,
		"SELECT first_gen FROM header_slots WHERE name = ?1 AND last_gen IS NULL", "t",
		name);

	return error && error != -ENOENT ? error : later(first, ret);
}

/* A malformed set is never used: the account is then refused when the snapshot is built. */
static int headers_first(const struct update *u, struct slice json, int64_t *ret)
{
	struct headerset h = {.count = 0};
	int error = 0;

	if (headerset_parse(json, &h, NULL) < 0)
		return 0;
	for (size_t i = 0; i < h.count && !error; i++)
		error = header_first(u, h.rows[i].name, ret);
	return error;
}

static int find_first(const struct update *u, struct row *row, int64_t *ret)
{
	const struct provider *p = provider_find(row_text(row, "provider"));
	struct slice egresses = row_text(row, "egresses");
	int64_t first = 0;
	int error = sql_number(u->store, u->e, &first, EGRESSES_FIRST, "isi",
		row_number(row, "upstream_id"), &egresses, ACCOUNT_SETS_NEVER);

	if (!error)
		error = headers_first(u, row_text(row, "upstream_headers"), &first);
	if (!error)
		error = headers_first(u, row_text(row, "headers"), &first);
	if (!error && p && p->account_header && row_flag(row, "has_id"))
		error = header_first(u, p->account_header, &first);
	*ret = first;
	return error;
}

static int take_stale(struct row *row, void *context)
{
	struct update *u = context;
	struct stale one = {
		.account = row_number(row, "id"),
		.before = row_number(row, "first_gen"),
		.is_same = row_flag(row, "is_same"),
		.is_exclusive = row_flag(row, "is_exclusive"),
	};
	int error = find_first(u, row, &one.first);

	if (!error && one.is_exclusive)
		later(one.first, &u->together);
	buffer_append(&u->rows, &one, sizeof(one));
	return error;
}

static int find_stale(struct update *u)
{
	int error = sql_each(u->store, u->e, take_stale, u,
		"SELECT w.*, s.first_gen, " IS_SAME " AS is_same, EXISTS (SELECT 1"
		" FROM json_each('[' || w.egresses || ']') j JOIN egresses g ON g.id = j.value"
		" WHERE g.kind <> 'direct' AND g.shared = 0) AS is_exclusive FROM (" WANTED ") w"
		" LEFT JOIN account_sets s ON s.account_id = w.id AND s.last_gen IS NULL"
		" WHERE s.account_id IS NULL OR s.first_gen > ?1 OR NOT (" IS_SAME ")",
		"i", (int64_t)generation_current(u->store));

	if (!error && buffer_error(&u->rows))
		error = errtext_set(u->e, -ENOMEM, "out of memory");
	return error;
}

/* --- writing --- */

/* Every generation from `first` on uses the wanted set: it knows all of it. */
static int open_set(const struct update *u, const struct stale *one)
{
	int error = sql_run(u->store, u->e,
		"DELETE FROM account_sets WHERE account_id = ?1 AND first_gen >= ?2", "ii",
		one->account, one->first);

	if (!error)
		error = sql_run(u->store, u->e,
			"UPDATE account_sets SET last_gen = ?2 - 1"
			" WHERE account_id = ?1 AND (last_gen IS NULL OR last_gen >= ?2)",
			"ii", one->account, one->first);
	if (!error)
		error = sql_run(u->store, u->e,
			"INSERT INTO account_sets (account_id, first_gen, upstream_headers, has_id,"
			" headers, egresses) SELECT id, ?2, upstream_headers, has_id, headers,"
			" egresses FROM (" WANTED ") WHERE id = ?1",
			"ii", one->account, one->first);
	if (!error)
		error = sql_run(u->store, u->e,
			"DELETE FROM account_sets WHERE account_id = ?1 AND last_gen < ?2", "ii",
			one->account,
			(int64_t)generation_current(u->store) - ACCOUNT_SETS_GENERATIONS);
	return error;
}

static bool needs_writing(const struct update *u, struct stale *one)
{
	if (one->is_exclusive)
		later(u->together, &one->first);
	return !one->is_same || one->first < one->before;
}

static int write_all(struct update *u)
{
	struct stale *rows = (struct stale *)(void *)u->rows.data;
	size_t count = u->rows.len / sizeof(*rows);
	int error = count ? store_begin(u->store, u->e) : 0;

	if (error || !count)
		return error;
	for (size_t i = 0; i < count && !error; i++) {
		if (needs_writing(u, &rows[i]))
			error = open_set(u, &rows[i]);
	}
	if (!error)
		return store_commit(u->store, u->e);
	store_rollback(u->store);
	return error;
}

int account_sets_update(struct store *s, struct errtext *e)
{
	struct update u = {.store = s, .e = e};
	int error = find_stale(&u);

	if (!error)
		error = write_all(&u);
	buffer_fini(&u.rows);
	return error;
}
