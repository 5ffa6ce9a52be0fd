#include "admin/publish/generation.h"

#include "admin/publish/generation_headers.h"
#include "admin/store/hex.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/url.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The (upstream, egress) pairs that accounts use. A node without certificates (from a release that could
 * not use nodes) is not rendered, so an account that has no other egress is unusable.
 */
#define WANTED                                                                                     \
	"SELECT u.id AS upstream, g.id AS egress FROM ("                                           \
	" SELECT a.upstream_id AS u, x.egress_id AS g FROM accounts a"                             \
	" JOIN account_egresses x ON x.account_id = a.id"                                          \
	" UNION SELECT a.upstream_id, d.id FROM accounts a JOIN egresses d ON d.name = 'direct'"   \
	" WHERE a.id NOT IN (SELECT account_id FROM account_egresses)) p"                          \
	" JOIN upstreams u ON u.id = p.u JOIN egresses g ON g.id = p.g WHERE (g.kind <> 'node' OR g.node_cert <> '')"

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

/* One (upstream, egress) pair that accounts use, as its row says. */
struct pair {
	struct row *row;
	int64_t upstream, egress;
};

struct plan {
	struct store *store;
	uint64_t next;
	bool changed;
	struct errtext *e;
};

/* All that is rendered of a pair. The names are part of the backend's name. */
static void format_fingerprint(const struct pair *pair, struct buffer *out)
{
	static const char *const columns[] = {"upstream_name", "egress_name", "url", "strip",
		"ca_pem", "first_byte_timeout_ms", "kind", "address"};
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct buffer all = {0};

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		struct slice s = row_text(pair->row, columns[i]);
		buffer_printf(&all, "%zu:", s.n);
		buffer_append_slice(&all, s);
	}
	/* not if it is off: backends of earlier releases stay */
	if (row_flag(pair->row, "websocket"))
		buffer_append_str(&all, "websocket");
	if (row_flag(pair->row, "http2"))
		buffer_append_str(&all, "http2");
	SHA256((const uint8_t *)buffer_str(&all), all.len, digest);
	hex_format((struct slice){(const char *)digest, sizeof(digest)}, out);
	buffer_fini(&all);
}

/* Whether this pair has an open backend with this fingerprint. */
static int is_open(
	const struct plan *p, const struct pair *pair, const char *fingerprint, bool *ret)
{
	int64_t count = 0;
	int error = sql_number(p->store, p->e, &count,
		"SELECT count(*) FROM backends WHERE upstream_id = ?1 AND egress_id = ?2"
		" AND fingerprint = ?3 AND last_gen IS NULL",
		"iit", pair->upstream, pair->egress, fingerprint);

	if (!error)
		*ret = count > 0;
	return error;
}

static int close_pair(const struct plan *p, const struct pair *pair)
{
	return sql_run(p->store, p->e,
		"UPDATE backends SET last_gen = ?3"
		" WHERE upstream_id = ?1 AND egress_id = ?2 AND last_gen IS NULL",
		"iii", pair->upstream, pair->egress, (int64_t)p->next - 1);
}

static int insert_backend(const struct plan *p, const struct pair *pair, const struct url *url,
	const char *fingerprint)
{
	struct slice strip = row_text(pair->row, "strip");

	return sql_run(p->store, p->e,
		"INSERT INTO backends (upstream_id, egress_id, fingerprint, name, prefix, strip, first_gen)"
		" VALUES (?1, ?2, ?3, '', ?4, ?5, ?6)",
		"iittsi", pair->upstream, pair->egress, fingerprint, url->prefix, &strip,
		(int64_t)p->next);
}

static int name_backend(const struct plan *p, const struct pair *pair)
{
	struct slice upstream = row_text(pair->row, "upstream_name");
	struct slice egress = row_text(pair->row, "egress_name");
	int64_t id = store_last_id(p->store);
	struct buffer name = {0};

	buffer_printf(&name, "b%lld-%.*s-%.*s", (long long)id, (int)upstream.n, upstream.p,
		(int)egress.n, egress.p);
	int error = sql_run(p->store, p->e, "UPDATE backends SET name = ?2 WHERE id = ?1", "it", id,
		buffer_str(&name));
	buffer_fini(&name);
	return error;
}

static int open_backend(const struct plan *p, const struct pair *pair, const char *fingerprint)
{
	struct url url;
	int error = url_parse(row_text(pair->row, "url"), &url, p->e);

	if (!error)
		error = close_pair(p, pair);
	if (!error)
		error = insert_backend(p, pair, &url, fingerprint);
	return error ? error : name_backend(p, pair);
}

static int plan_pair(struct row *row, void *context)
{
	struct plan *p = context;
	const struct pair pair = {row, row_number(row, "upstream"), row_number(row, "egress")};
	struct buffer fingerprint = {0};
	bool open = false;

	format_fingerprint(&pair, &fingerprint);
	int error = is_open(p, &pair, buffer_str(&fingerprint), &open);
	if (!error && !open) {
		p->changed = true;
		error = open_backend(p, &pair, buffer_str(&fingerprint));
	}
	buffer_fini(&fingerprint);
	return error;
}

static int plan_wanted(struct plan *p)
{
	return sql_each(p->store, p->e, plan_pair, p,
		"SELECT w.upstream, w.egress, u.name AS upstream_name, g.name AS egress_name, u.url,"
		" u.strip, u.ca_pem, u.first_byte_timeout_ms, u.websocket, u.http2, g.kind, g.address FROM (" WANTED
		") w"
		" JOIN upstreams u ON u.id = w.upstream JOIN egresses g ON g.id = w.egress"
		" ORDER BY w.upstream, w.egress",
		"");
}

static int close_unwanted(struct plan *p)
{
	int error = sql_run(p->store, p->e,
		"UPDATE backends SET last_gen = ?1 WHERE last_gen IS NULL"
		" AND (upstream_id, egress_id) NOT IN (" WANTED ")",
		"i", (int64_t)p->next - 1);

	if (!error && store_changed_rows(p->store) > 0)
		p->changed = true;
	return error;
}

int generation_plan(struct store *s, uint64_t next, bool *ret_changed, struct errtext *e)
{
	struct plan p = {.store = s, .next = next, .e = e};
	int error = plan_wanted(&p);

	if (!error)
		error = close_unwanted(&p);
	if (!error)
		error = generation_plan_headers(s, next, &p.changed, e);
	if (!error)
		*ret_changed = p.changed;
	return error;
}
