/*
 * Queries of a request: the functions of sql.h on the store of control, with the error's text in
 * r->error.
 */
#ifndef RELAY_ADMIN_API_QUERY_H
#define RELAY_ADMIN_API_QUERY_H

#include "admin/api/request.h"
#include "admin/store/sql.h"

/*
 * A long list is read in pages, as steps of `rest` in request.h: each adds rows to the items of the answer. A row
 * that changes meanwhile is listed as it was or as it is, and never twice.
 */
#define QUERY_PAGE_ROWS 64

int query_run(struct request *r, const char *sql, const char *types, ...);
int query_number(struct request *r, int64_t *ret, const char *sql, const char *types, ...);

/* As sql_row_fn. */
typedef int query_row_fn(struct request *r, struct row *row, void *context);
int query_each(struct request *r, query_row_fn *fn, void *context, const char *sql,
	const char *types, ...);

/*
 * Leaves `rest`: steps that run `part` for the id ?1 and at most ?2 rows until it changes none, and then `last`. The
 * texts are literals.
 */
int query_in_parts(struct request *r, const char *part, const char *last, int64_t id);

/*
 * The column `name` of all rows as "a, b, c and 4 more" into `out`, with `max` names. Returns the number
 * of rows, or a negative code.
 */
int query_names(
	struct request *r, struct buffer *out, int max, const char *sql, const char *types, ...);

/* A column as a field of an answer: a text, or null for NULL. */
void answer_column(json_object *o, const char *field, struct row *row, const char *column);

#endif
