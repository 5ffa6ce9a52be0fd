#include "admin/store/sql.h"

#include "admin/store/statement.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct row {
	struct statement *statement;
	int next;	     /* where the next column is looked for first */
	const char *missing; /* a column that was asked for and is not there */
};

/* --- arguments --- */

static int bind_one(sqlite3_stmt *st, int at, char type, va_list *args)
{
	const struct slice *s;

	switch (type) {
	case 't':
		return sqlite3_bind_text(st, at, va_arg(*args, const char *), -1, SQLITE_STATIC);
	case 'i':
		return sqlite3_bind_int64(st, at, va_arg(*args, int64_t));
	case 's':
		s = va_arg(*args, const struct slice *);
		return sqlite3_bind_text64(
			st, at, s->n ? s->p : "", s->n, SQLITE_STATIC, SQLITE_UTF8);
	case 'b':
		s = va_arg(*args, const struct slice *);
		return sqlite3_bind_blob64(st, at, s->n ? s->p : "", s->n, SQLITE_STATIC);
	default:
		return SQLITE_MISUSE;
	}
}

static int bind_all(struct statement *st, const char *types, va_list *args, struct errtext *e)
{
	int count = sqlite3_bind_parameter_count(st->st);

	if ((size_t)count != strlen(types))
		return errtext_set(e, -EIO, "store: %d parameters, but \"%s\": %.300s", count,
			types, sqlite3_sql(st->st));
	for (int at = 1; at <= count; at++) {
		int rc = bind_one(st->st, at, types[at - 1], args);
		if (rc != SQLITE_OK)
			return errtext_set(e, rc == SQLITE_NOMEM ? -ENOMEM : -EIO, "store: %s",
				sqlite3_errstr(rc));
	}
	return 0;
}

static int start(struct store *s, struct errtext *e, const char *sql, const char *types,
	va_list *args, struct statement **ret)
{
	struct statement *st = statement_get(s, sql, e);

	if (!st)
		return -EIO;
	int error = bind_all(st, types, args, e);
	if (error)
		statement_end(st);
	else
		*ret = st;
	return error;
}

/* --- running --- */

int sql_vrun(struct store *s, struct errtext *e, const char *sql, const char *types, va_list *args)
{
	struct statement *st;
	int rc = start(s, e, sql, types, args, &st);

	if (rc)
		return rc;
	do
		rc = statement_step(s, st, e);
	while (rc > 0);
	statement_end(st);
	return rc;
}

int sql_vnumber(struct store *s, struct errtext *e, int64_t *ret, const char *sql,
	const char *types, va_list *args)
{
	struct statement *st;
	int rc = start(s, e, sql, types, args, &st);

	if (rc)
		return rc;
	rc = st->columns == 1
		? statement_step(s, st, e)
		: errtext_set(e, -EIO, "store: not one column: %.300s", sqlite3_sql(st->st));
	if (rc == 1)
		*ret = sqlite3_column_int64(st->st, 0);
	statement_end(st);
	return rc < 0 ? rc : rc ? 0 : -ENOENT;
}

static int visit(struct statement *st, sql_row_fn *fn, void *context, struct errtext *e)
{
	struct row row = {.statement = st};
	int rc = fn(&row, context);

	if (row.missing)
		return errtext_set(e, -EIO, "store: no column \"%s\" in: %.300s", row.missing,
			sqlite3_sql(st->st));
	return rc;
}

int sql_veach(struct store *s, struct errtext *e, sql_row_fn *fn, void *context, const char *sql,
	const char *types, va_list *args)
{
	struct statement *st;
	int rc = start(s, e, sql, types, args, &st);

	if (rc)
		return rc;
	while ((rc = statement_step(s, st, e)) == 1) {
		rc = visit(st, fn, context, e);
		if (rc)
			break;
	}
	statement_end(st);
	return rc;
}

static int first_row(struct store *s, struct errtext *e, sql_row_fn *fn, void *context,
	const char *sql, const char *types, va_list *args)
{
	struct statement *st;
	int rc = start(s, e, sql, types, args, &st);

	if (rc)
		return rc;
	rc = statement_step(s, st, e);
	if (rc == 0)
		rc = -ENOENT;
	else if (rc == 1)
		rc = visit(st, fn, context, e);
	statement_end(st);
	return rc;
}

int sql_run(struct store *s, struct errtext *e, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int error = sql_vrun(s, e, sql, types, &args);
	va_end(args);
	return error;
}

int sql_number(
	struct store *s, struct errtext *e, int64_t *ret, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int error = sql_vnumber(s, e, ret, sql, types, &args);
	va_end(args);
	return error;
}

int sql_each(struct store *s, struct errtext *e, sql_row_fn *fn, void *context, const char *sql,
	const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int error = sql_veach(s, e, fn, context, sql, types, &args);
	va_end(args);
	return error;
}

int sql_one(struct store *s, struct errtext *e, sql_row_fn *fn, void *context, const char *sql,
	const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int error = first_row(s, e, fn, context, sql, types, &args);
	va_end(args);
	return error;
}

/* --- columns --- */

/* Columns are mostly read in the order of the SELECT, so the next one is compared first. */
static int find_column(struct row *row, const char *name)
{
	const struct statement *st = row->statement;

	for (int i = 0; i < st->columns; i++) {
		int at = row->next + i < st->columns ? row->next + i : row->next + i - st->columns;
		if (strcmp(st->names[at], name) == 0) {
			row->next = at + 1;
			return at;
		}
	}
	row->missing = name;
	return -1;
}

/* SQLite answers 0, NULL or an empty text for a column that is not there. */

int64_t row_number(struct row *row, const char *column)
{
	return sqlite3_column_int64(row->statement->st, find_column(row, column));
}

uint32_t row_u32(struct row *row, const char *column)
{
	return (uint32_t)row_number(row, column);
}

bool row_flag(struct row *row, const char *column)
{
	return row_number(row, column) != 0;
}

bool row_is_null(struct row *row, const char *column)
{
	return sqlite3_column_type(row->statement->st, find_column(row, column)) == SQLITE_NULL;
}

struct slice row_text(struct row *row, const char *column)
{
	int at = find_column(row, column);
	const void *p = sqlite3_column_blob(row->statement->st, at);
	int n = sqlite3_column_bytes(row->statement->st, at);

	return (struct slice){p ? p : "", p && n > 0 ? (size_t)n : 0};
}

char *row_copy(struct row *row, const char *column, char *out, size_t size)
{
	struct slice text = row_text(row, column);

	snprintf(out, size, "%.*s", (int)text.n, text.p);
	return out;
}
