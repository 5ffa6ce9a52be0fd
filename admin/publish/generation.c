#include "admin/publish/generation.h"

#include "admin/publish/generation_slots.h"
#include "admin/publish/url.h"
#include "admin/store/hex.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The (upstream, egress) pairs that accounts use. A node without certificates (of a release that could
 * not use it) is not rendered, so whoever has no other way out is unusable.
 */
#define WANTED                                                                                     \
	"SELECT u.id AS upstream, g.id AS egress FROM ("                                           \
	" SELECT a.upstream_id AS u, x.egress_id AS g FROM accounts a"                             \
	" JOIN account_egresses x ON x.account_id = a.id"                                          \
	" UNION SELECT a.upstream_id, d.id FROM accounts a JOIN egresses d ON d.name = 'direct'"   \
	" WHERE a.id NOT IN (SELECT account_id FROM account_egresses)) p"                          \
	" JOIN upstreams u ON u.id = p.u JOIN egresses g ON g.id = p.g WHERE (g.kind <> 'node' OR g.node_cert <> '')"

enum column {
	COLUMN_UPSTREAM,
	COLUMN_EGRESS,
	COLUMN_UPSTREAM_NAME,
	COLUMN_EGRESS_NAME,
	COLUMN_URL,
	COLUMN_STRIP,
	COLUMN_CA,
	COLUMN_TIMEOUT,
	COLUMN_KIND,
	COLUMN_ADDRESS,
	COLUMN_COUNT,
};

uint64_t generation_current(struct store *s)
{
	char *text = NULL;

	if (store_get_setting(s, "gen", &text, NULL) < 0 || !text)
		return 0;
	uint64_t gen = strtoull(text, NULL, 10);
	free(text);
	return gen;
}

int generation_set_current(struct store *s, uint64_t gen, struct errtext *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)gen);
	return store_set_setting(s, "gen", text, e);
}

/* Of the names too: they are part of the backend's name. */
static void format_fingerprint(sqlite3_stmt *st, struct buffer *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct buffer all = {0};

	for (int i = COLUMN_UPSTREAM_NAME; i < COLUMN_COUNT; i++) {
		struct slice s = store_column(st, i);
		buffer_printf(&all, "%zu:", s.n);
		buffer_append_slice(&all, s);
	}
	SHA256((const uint8_t *)buffer_str(&all), all.len, digest);
	hex_format((struct slice){(const char *)digest, sizeof(digest)}, out);
	buffer_fini(&all);
}

/* 1 = this pair has an open backend with this fingerprint, 0 = it has not. */
static int is_open(struct store *s, sqlite3_stmt *pair, const char *fingerprint, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT 1 FROM backends WHERE upstream_id = ?1 AND egress_id = ?2 AND fingerprint = ?3"
		" AND last_gen IS NULL",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, sqlite3_column_int64(pair, COLUMN_UPSTREAM));
	sqlite3_bind_int64(st, 2, sqlite3_column_int64(pair, COLUMN_EGRESS));
	store_bind_text(st, 3, fingerprint);
	int rc = store_step(s, st, e);
	sqlite3_reset(st);
	return rc;
}

static int close_pair(struct store *s, sqlite3_stmt *pair, uint64_t next, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"UPDATE backends SET last_gen = ?3"
		" WHERE upstream_id = ?1 AND egress_id = ?2 AND last_gen IS NULL",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, sqlite3_column_int64(pair, COLUMN_UPSTREAM));
	sqlite3_bind_int64(st, 2, sqlite3_column_int64(pair, COLUMN_EGRESS));
	sqlite3_bind_int64(st, 3, (int64_t)next - 1);
	return store_run(s, st, e);
}

static int insert_backend(struct store *s, sqlite3_stmt *pair, const struct url *url,
	const char *fingerprint, uint64_t next, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO backends (upstream_id, egress_id, fingerprint, name, prefix, strip, first_gen)"
		" VALUES (?1, ?2, ?3, '', ?4, ?5, ?6)",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, sqlite3_column_int64(pair, COLUMN_UPSTREAM));
	sqlite3_bind_int64(st, 2, sqlite3_column_int64(pair, COLUMN_EGRESS));
	store_bind_text(st, 3, fingerprint);
	store_bind_text(st, 4, url->prefix);
	store_bind_slice(st, 5, store_column(pair, COLUMN_STRIP));
	sqlite3_bind_int64(st, 6, (int64_t)next);
	return store_run(s, st, e);
}

static int name_backend(struct store *s, sqlite3_stmt *pair, struct errtext *e)
{
	struct slice upstream = store_column(pair, COLUMN_UPSTREAM_NAME);
	struct slice egress = store_column(pair, COLUMN_EGRESS_NAME);
	int64_t id = store_last_id(s);
	struct buffer name = {0};
	sqlite3_stmt *st = store_statement(s, "UPDATE backends SET name = ?2 WHERE id = ?1", e);

	if (!st)
		return -EIO;
	buffer_printf(&name, "b%lld-%.*s-%.*s", (long long)id, (int)upstream.n, upstream.p,
		(int)egress.n, egress.p);
	sqlite3_bind_int64(st, 1, id);
	store_bind_slice(st, 2, buffer_slice(&name));
	buffer_fini(&name);
	return store_run(s, st, e);
}

static int open_backend(struct store *s, sqlite3_stmt *pair, const char *fingerprint, uint64_t next,
	struct errtext *e)
{
	struct url url;
	int error = url_parse(store_column(pair, COLUMN_URL), &url, e);

	if (!error)
		error = close_pair(s, pair, next, e);
	if (!error)
		error = insert_backend(s, pair, &url, fingerprint, next, e);
	return error ? error : name_backend(s, pair, e);
}

static int plan_pair(
	struct store *s, sqlite3_stmt *pair, uint64_t next, bool *changed, struct errtext *e)
{
	struct buffer fingerprint = {0};

	format_fingerprint(pair, &fingerprint);
	int rc = is_open(s, pair, buffer_str(&fingerprint), e);
	if (rc == 0) {
		*changed = true;
		rc = open_backend(s, pair, buffer_str(&fingerprint), next, e);
	}
	buffer_fini(&fingerprint);
	return rc < 0 ? rc : 0;
}

static int plan_wanted(struct store *s, uint64_t next, bool *changed, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT w.upstream, w.egress, u.name, g.name, u.url, u.strip, u.ca_pem,"
		" u.first_byte_timeout_ms, g.kind, g.address FROM (" WANTED ") w"
		" JOIN upstreams u ON u.id = w.upstream JOIN egresses g ON g.id = w.egress"
		" ORDER BY w.upstream, w.egress",
		e);
	int rc = -EIO;

	if (!st)
		return rc;
	while ((rc = store_step(s, st, e)) == 1) {
		rc = plan_pair(s, st, next, changed, e);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	return rc;
}

static int close_unwanted(struct store *s, uint64_t next, bool *changed, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"UPDATE backends SET last_gen = ?1 WHERE last_gen IS NULL"
		" AND (upstream_id, egress_id) NOT IN (" WANTED ")",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, (int64_t)next - 1);
	int error = store_run(s, st, e);
	if (!error && store_changed_rows(s) > 0)
		*changed = true;
	return error;
}

int generation_plan(struct store *s, uint64_t next, bool *ret_changed, struct errtext *e)
{
	bool changed = false;
	int error = plan_wanted(s, next, &changed, e);

	if (!error)
		error = close_unwanted(s, next, &changed, e);
	if (!error)
		error = generation_plan_slots(s, next, &changed, e);
	if (!error)
		*ret_changed = changed;
	return error;
}
