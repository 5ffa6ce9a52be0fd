#include "admin/api/query.h"

#include "admin/store/store.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

#define PART_ROWS 100

int query_run(struct request *r, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int error = sql_vrun(r->control->store, &r->error, sql, types, &args);
	va_end(args);
	return error;
}

int query_number(struct request *r, int64_t *ret, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int error = sql_vnumber(r->control->store, &r->error, ret, sql, types, &args);
	va_end(args);
	return error;
}

struct visit {
	struct request *request;
	query_row_fn *fn;
	void *context;
};

static int visit_row(struct row *row, void *context)
{
	const struct visit *v = context;

	return v->fn(v->request, row, v->context);
}

int query_each(
	struct request *r, query_row_fn *fn, void *context, const char *sql, const char *types, ...)
{
	struct visit v = {r, fn, context};
	va_list args;

	va_start(args, types);
	int error = sql_veach(r->control->store, &r->error, visit_row, &v, sql, types, &args);
	va_end(args);
	return error;
}

struct parts {
	const char *part, *last;
	int64_t id;
};

static int run_part(struct request *r, void *state)
{
	const struct parts *p = state;
	int error = query_run(r, p->part, "ii", p->id, (int64_t)PART_ROWS);

	if (!error && store_changed_rows(r->control->store) > 0)
		return 1;
	return error ? error : query_run(r, p->last, "i", p->id);
}

int query_in_parts(struct request *r, const char *part, const char *last, int64_t id)
{
	struct parts *p = malloc(sizeof(*p));

	if (!p)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	*p = (struct parts){part, last, id};
	r->rest = (struct request_rest){run_part, free, p};
	return 0;
}

struct names {
	struct buffer *out;
	int count, max;
};

static int add_name(struct row *row, void *context)
{
	struct names *n = context;

	if (n->count++ >= n->max)
		return 0;
	buffer_append_str(n->out, n->count > 1 ? ", " : "");
	buffer_append_slice(n->out, row_text(row, "name"));
	return 0;
}

int query_names(
	struct request *r, struct buffer *out, int max, const char *sql, const char *types, ...)
{
	struct names n = {.out = out, .max = max};
	va_list args;

	va_start(args, types);
	int error = sql_veach(r->control->store, &r->error, add_name, &n, sql, types, &args);
	va_end(args);
	if (n.count > max)
		buffer_printf(out, " and %d more", n.count - max);
	return error ? error : n.count;
}

void answer_column(json_object *o, const char *field, struct row *row, const char *column)
{
	if (row_is_null(row, column))
		answer_text(o, field, NULL);
	else
		answer_slice(o, field, row_text(row, column));
}
