#include "admin/publish/generation_headers.h"

#include "admin/command/headerset.h"
#include "admin/publish/generation.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/provider.h"

#include <errno.h>

struct names {
	char rows[GENERATION_HEADERS_MAX][SEAM_HEADER_NAME_MAX + 1];
	size_t count;
	struct errtext *e;
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
	if (n->count == GENERATION_HEADERS_MAX)
		return errtext_set(
			e, -E2BIG, "more than %d different extra headers", GENERATION_HEADERS_MAX);
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

/* Of an account with an account id; no name is a row of headers. */
static int add_account_header(struct names *n, struct slice name, struct errtext *e)
{
	const struct provider *p = provider_find(name);

	if (!p && name.n)
		return errtext_set(e, -EBADMSG, "store: an upstream has an unknown provider");
	return p && p->account_header ? add_name(n, p->account_header, e) : 0;
}

static int take_headers(struct row *row, void *context)
{
	struct names *n = context;
	int error = add_headers(n, row_text(row, "headers"), n->e);

	return error ? error : add_account_header(n, row_text(row, "provider"), n->e);
}

/* Of the upstreams that have an account, and of those accounts. */
static int collect(struct store *s, struct names *n)
{
	return sql_each(s, n->e, take_headers, n,
		"SELECT headers, '' AS provider FROM upstreams"
		" WHERE id IN (SELECT upstream_id FROM accounts)"
		" UNION SELECT headers, '' FROM accounts"
		" UNION SELECT '', u.provider FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"
		" JOIN credentials c ON c.account_id = a.id AND c.field = 'account_id'",
		"");
}

/* An open header stays open; a closed one opens again with a new first generation. */
static int open_header(
	struct store *s, const char *name, uint64_t next, bool *changed, struct errtext *e)
{
	char variable[SEAM_HEADER_VAR_SIZE];
	int error = sql_run(s, e,
		"INSERT INTO header_slots (variable, name, first_gen) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (name) DO UPDATE SET first_gen = excluded.first_gen, last_gen = NULL"
		" WHERE last_gen IS NOT NULL",
		"tti", seam_header_var(name, variable), name, (int64_t)next);

	if (error == -EEXIST)
		errtext_set(
			e, error, "header %s has the same variable as another: rename it", name);
	if (!error && store_changed_rows(s) > 0)
		*changed = true;
	return error;
}

static int close_header(struct store *s, const char *name, uint64_t next, struct errtext *e)
{
	char variable[SEAM_HEADER_VAR_SIZE];

	return sql_run(s, e, "UPDATE header_slots SET last_gen = ?2 WHERE variable = ?1", "ti",
		seam_header_var(name, variable), (int64_t)next - 1);
}

struct open_headers {
	const struct names *wanted;
	struct names unwanted;
};

static int take_unwanted(struct row *row, void *context)
{
	struct open_headers *o = context;
	char name[SEAM_HEADER_NAME_MAX + 1];

	row_copy(row, "name", name, sizeof(name));
	return has_name(o->wanted, name) ? 0 : add_name(&o->unwanted, name, NULL);
}

/* At most GENERATION_HEADERS_MAX at once; the next generation closes the others. */
static int close_unwanted(struct store *s, const struct names *wanted, uint64_t next, bool *changed,
	struct errtext *e)
{
	struct open_headers o = {.wanted = wanted};
	int error = sql_each(s, e, take_unwanted, &o,
		"SELECT name FROM header_slots WHERE last_gen IS NULL", "");

	if (error == -E2BIG)
		error = 0;
	for (size_t i = 0; i < o.unwanted.count && !error; i++) {
		*changed = true;
		error = close_header(s, o.unwanted.rows[i], next, e);
	}
	return error;
}

int generation_plan_headers(struct store *s, uint64_t next, bool *changed, struct errtext *e)
{
	struct names wanted = {.e = e};
	int error = collect(s, &wanted);

	if (!error)
		error = close_unwanted(s, &wanted, next, changed, e);
	for (size_t i = 0; i < wanted.count && !error; i++)
		error = open_header(s, wanted.rows[i], next, changed, e);
	return error;
}
