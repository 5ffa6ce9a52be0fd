/*
 * Queries of the store. A query is one SQL text with the parameters ?1, ?2, ... and a string of types,
 * one letter for each parameter: t text (NULL binds NULL), i int64_t, s struct slice * as text,
 * b struct slice * as blob. The arguments must stay as they are until the call returns.
 *
 * Columns are read by the name that stands beside them in the SELECT: an expression gets one by AS.
 * Reading a column that the SELECT does not name fails the query.
 *
 * The functions return 0 or a negative errno code with a text in `e` (store.h); `e` may be NULL.
 */
#ifndef RELAY_ADMIN_STORE_SQL_H
#define RELAY_ADMIN_STORE_SQL_H

#include "common/errtext.h"
#include "common/slice.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct row;

/* Runs to the end; rows are ignored. */
int sql_run(struct store *s, struct errtext *e, const char *sql, const char *types, ...);
/* The one column of the first row as a number. -ENOENT without a row, and then without a text. */
int sql_number(
	struct store *s, struct errtext *e, int64_t *ret, const char *sql, const char *types, ...);

/*
 * Called for a row. Must not run the same text again. 0, or a negative code that ends the query and
 * becomes its result: the function fills the text itself.
 */
typedef int sql_row_fn(struct row *row, void *context);
int sql_each(struct store *s, struct errtext *e, sql_row_fn *fn, void *context, const char *sql,
	const char *types, ...);
/* For the first row alone. -ENOENT without a row, and then without a text. */
int sql_one(struct store *s, struct errtext *e, sql_row_fn *fn, void *context, const char *sql,
	const char *types, ...);

/* The same with the arguments in a list. */
int sql_vrun(struct store *s, struct errtext *e, const char *sql, const char *types, va_list *args);
int sql_vnumber(struct store *s, struct errtext *e, int64_t *ret, const char *sql,
	const char *types, va_list *args);
int sql_veach(struct store *s, struct errtext *e, sql_row_fn *fn, void *context, const char *sql,
	const char *types, va_list *args);

/* Columns of a row. NULL reads as 0 and as an empty text. Slices are valid until the function returns. */
int64_t row_number(struct row *row, const char *column);
uint32_t row_u32(struct row *row, const char *column);
bool row_flag(struct row *row, const char *column); /* not 0 */
bool row_is_null(struct row *row, const char *column);
struct slice row_text(struct row *row, const char *column); /* text or blob */
/* The text as a string, cut at the size; returns `out`. */
char *row_copy(struct row *row, const char *column, char *out, size_t size);

#endif
