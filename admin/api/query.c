#include "admin/api/query.h"

#include <errno.h>
#include <stdarg.h>

static void bind_all(sqlite3_stmt *st, const char *types, va_list *args)
{
	for (int at = 1; *types; types++, at++) {
		switch (*types) {
		case 'i':
			sqlite3_bind_int64(st, at, va_arg(*args, int64_t));
			break;
		case 's':
			store_bind_slice(st, at, *va_arg(*args, struct slice *));
			break;
		case 'b': {
			struct slice *s = va_arg(*args, struct slice *);
			sqlite3_bind_blob64(st, at, s->n ? s->p : "", s->n, SQLITE_TRANSIENT);
			break;
		}
		default:
			store_bind_text(st, at, va_arg(*args, const char *));
			break;
		}
	}
}

static sqlite3_stmt *prepare(struct request *r, const char *sql, const char *types, va_list *args)
{
	sqlite3_stmt *st = store_statement(r->control->store, sql, &r->error);

	if (st)
		bind_all(st, types, args);
	return st;
}

int query_run(struct request *r, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	sqlite3_stmt *st = prepare(r, sql, types, &args);
	va_end(args);
	return st ? store_run(r->control->store, st, &r->error) : -EIO;
}

int query_number(struct request *r, int64_t *ret, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	sqlite3_stmt *st = prepare(r, sql, types, &args);
	va_end(args);
	if (!st)
		return -EIO;
	int rc = store_step(r->control->store, st, &r->error);
	if (rc == 1)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (rc == 0)
		return -ENOENT;
	return rc < 0 ? rc : 0;
}

int query_names(
	struct request *r, struct buffer *out, int max, const char *sql, const char *types, ...)
{
	va_list args;
	int count = 0;
	int rc;

	va_start(args, types);
	sqlite3_stmt *st = prepare(r, sql, types, &args);
	va_end(args);
	if (!st)
		return -EIO;
	while ((rc = store_step(r->control->store, st, &r->error)) == 1) {
		if (count++ >= max)
			continue;
		buffer_append_str(out, count > 1 ? ", " : "");
		buffer_append_slice(out, store_column(st, 0));
	}
	if (count > max)
		buffer_printf(out, " and %d more", count - max);
	return rc < 0 ? rc : count;
}

static int each_row(struct request *r, sqlite3_stmt *st, query_row_fn *fn, void *context)
{
	int rc;

	while ((rc = store_step(r->control->store, st, &r->error)) == 1) {
		rc = fn(r, st, context);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	return rc;
}

int query_each(
	struct request *r, query_row_fn *fn, void *context, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	sqlite3_stmt *st = prepare(r, sql, types, &args);
	va_end(args);
	return st ? each_row(r, st, fn, context) : -EIO;
}
