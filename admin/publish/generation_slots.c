#include "admin/publish/generation_slots.h"

#include "admin/publish/generation.h"
#include "admin/publish/headerset.h"
#include "common/provider.h"

#include <errno.h>

struct names {
	char rows[GENERATION_SLOTS_MAX][SEAM_HEADER_NAME_MAX + 1];
	size_t count;
};

static bool has_name(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcasecmp(n->rows[i], name) == 0)
			return true;
	return false;
}

static int add_name(struct names *n, const char *name, struct errtext *e)
{
	if (has_name(n, name))
		return 0;
	if (n->count == GENERATION_SLOTS_MAX)
		return errtext_set(
			e, -E2BIG, "more than %d different extra headers", GENERATION_SLOTS_MAX);
	strncpy(n->rows[n->count], name, SEAM_HEADER_NAME_MAX);
	n->rows[n->count++][SEAM_HEADER_NAME_MAX] = '\0';
	return 0;
}

static int add_headers(struct names *n, struct slice json, struct errtext *e)
{
	struct headerset h;
	int error = headerset_parse(json, &h, e);

	for (size_t i = 0; i < h.count && !error; i++)
		error = add_name(n, h.rows[i].name, e);
	return error;
}

static int add_account_header(struct names *n, struct slice provider, struct errtext *e)
{
	enum provider p;

	if (provider_parse(provider, &p) < 0 || !provider_row(p)->account_header)
		return 0;
	return add_name(n, provider_row(p)->account_header, e);
}

/* Of the upstreams that have an account, and of those accounts. */
static int collect(struct store *s, struct names *n, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT headers, '' FROM upstreams WHERE id IN (SELECT upstream_id FROM accounts)"
		" UNION SELECT headers, '' FROM accounts"
		" UNION SELECT '', u.provider FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"
		" JOIN credentials c ON c.account_id = a.id AND c.field = 'account_id'",
		e);
	int rc = -EIO;

	if (!st)
		return rc;
	while ((rc = store_step(s, st, e)) == 1) {
		rc = add_headers(n, store_column(st, 0), e);
		if (!rc)
			rc = add_account_header(n, store_column(st, 1), e);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	return rc;
}

/* An open slot stays; a closed one opens again, with a first generation of its own. */
static int open_slot(
	struct store *s, const char *name, uint64_t next, bool *changed, struct errtext *e)
{
	char variable[SEAM_HEADER_VAR_SIZE];
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO header_slots (variable, name, first_gen) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (name) DO UPDATE SET first_gen = excluded.first_gen, last_gen = NULL"
		" WHERE last_gen IS NOT NULL",
		e);

	if (!st)
		return -EIO;
	store_bind_text(st, 1, seam_header_var(name, variable));
	store_bind_text(st, 2, name);
	sqlite3_bind_int64(st, 3, (int64_t)next);
	int error = store_run(s, st, e);
	if (error == -EEXIST)
		errtext_set(e, error, "header %s has the same slot as another: rename it", name);
	if (!error && store_changed_rows(s) > 0)
		*changed = true;
	return error;
}

static int close_slot(struct store *s, const char *variable, uint64_t next, struct errtext *e)
{
	sqlite3_stmt *st =
		store_statement(s, "UPDATE header_slots SET last_gen = ?2 WHERE variable = ?1", e);

	if (!st)
		return -EIO;
	store_bind_text(st, 1, variable);
	sqlite3_bind_int64(st, 2, (int64_t)next - 1);
	return store_run(s, st, e);
}

static int close_unwanted(struct store *s, const struct names *wanted, uint64_t next, bool *changed,
	struct errtext *e)
{
	struct names open = {.count = 0};
	sqlite3_stmt *st =
		store_statement(s, "SELECT name FROM header_slots WHERE last_gen IS NULL", e);
	int rc = -EIO;

	if (!st)
		return rc;
	while ((rc = store_step(s, st, e)) == 1) {
		struct slice name = store_column(st, 0);
		char text[SEAM_HEADER_NAME_MAX + 1] = "";
		memcpy(text, name.p, name.n < sizeof(text) ? name.n : sizeof(text) - 1);
		if (!has_name(wanted, text) && add_name(&open, text, NULL) < 0)
			break;
	}
	sqlite3_reset(st);
	for (size_t i = 0; i < open.count && rc >= 0; i++) {
		char variable[SEAM_HEADER_VAR_SIZE];
		*changed = true;
		rc = close_slot(s, seam_header_var(open.rows[i], variable), next, e);
	}
	return rc < 0 ? rc : 0;
}

int generation_plan_slots(struct store *s, uint64_t next, bool *changed, struct errtext *e)
{
	struct names wanted = {.count = 0};
	int error = collect(s, &wanted, e);

	if (!error)
		error = close_unwanted(s, &wanted, next, changed, e);
	for (size_t i = 0; i < wanted.count && !error; i++)
		error = open_slot(s, wanted.rows[i], next, changed, e);
	return error;
}
