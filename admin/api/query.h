/*
 * Queries of handlers, with their arguments bound by a string of types: t text (NULL binds NULL),
 * i int64_t, s a struct slice * as text, b a struct slice * as blob. Errors are told in r->error.
 */
#ifndef RELAY_ADMIN_API_QUERY_H
#define RELAY_ADMIN_API_QUERY_H

#include "admin/api/request.h"
#include "admin/store/store.h"

int query_run(struct request *r, const char *sql, const char *types, ...);
/* First column of the first row as a number. -ENOENT without a row and without a text. */
int query_number(struct request *r, int64_t *ret, const char *sql, const char *types, ...);
/*
 * The first column of all rows as "a, b, c and 4 more" into `out`, `max` of them in words.
 * Returns how many rows there were, or a negative code.
 */
int query_names(
	struct request *r, struct buffer *out, int max, const char *sql, const char *types, ...);

/* Called for each row; must not run the same text again. 0 or a negative code, which ends it. */
typedef int query_row_fn(struct request *r, sqlite3_stmt *row, void *context);
int query_each(struct request *r, query_row_fn *fn, void *context, const char *sql,
	const char *types, ...);

/* --- things with names --- */

/* Turns a row of `select` into fields of `o`. */
typedef void noun_describe_fn(struct request *r, sqlite3_stmt *row, json_object *o);

enum noun_column_type {
	NOUN_NUMBER,
	NOUN_TEXT,
	NOUN_SWITCH,
	NOUN_DURATION,
	NOUN_LIST, /* array of texts, kept comma-separated */
};

struct noun_column {
	const char *field;  /* NULL ends the rows */
	const char *update; /* sets ?1 for the id ?2 */
	enum noun_column_type type;
};

struct noun {
	const char *what;   /* "tenant" */
	const char *find;   /* id of the name ?1 */
	const char *select; /* all columns where ?1 is NULL or the name, in order of names */
	noun_describe_fn *describe;
	const struct noun_column *columns; /* what a body may set without further ado */
};

extern const struct noun noun_tenant, noun_upstream, noun_egress, noun_account, noun_pool;

/* The one in the path: -ENOENT when there is none. */
int noun_subject(struct request *r, const struct noun *n, int64_t *ret_id);
/* One that a body refers to: -EINVAL when there is none. */
int noun_reference(struct request *r, const struct noun *n, const char *name, int64_t *ret_id);
/* 0 when there is none. */
int noun_find(struct request *r, const struct noun *n, const char *name, int64_t *ret_id);
/* Sets all columns that the body has. */
int noun_update(struct request *r, const struct noun *n, int64_t id);
/* All of them as items, or one as an object. -ENOENT when there is none. */
int noun_list(struct request *r, const struct noun *n, json_object *o);
int noun_show(struct request *r, const struct noun *n, const char *name, json_object *o);
/* -EEXIST with "tenant x exists already" for the store's own word. */
int noun_insert_error(struct request *r, const struct noun *n, int error);

/* The body's `region`: empty or in the form of a name. */
int noun_check_region(struct request *r);

/*
 * -EBUSY with "tenant x is in use by <user>s a, b" when the query finds any; ?1 is the id.
 */
int noun_refuse_if_used(
	struct request *r, const struct noun *n, const char *user, const char *sql, int64_t id);

/* Adds `notices_open`, and `notices`: the newest open ones. */
int notices_describe(struct request *r, json_object *o);

/* What `add` and `apply` share; the body has been checked. */
int tenant_insert(struct request *r, const char *name, int64_t *ret_id);
int tenant_update(struct request *r, int64_t id);
int upstream_insert(struct request *r, const char *name, int64_t *ret_id);
int upstream_update(struct request *r, int64_t id);
int egress_insert(struct request *r, const char *name, int64_t *ret_id);
int egress_update(struct request *r, int64_t id);
int account_insert(struct request *r, const char *name, int64_t *ret_id);
int account_update(struct request *r, int64_t id);
int pool_insert(struct request *r, const char *name, int64_t *ret_id);
int pool_update(struct request *r, int64_t id);
/* Resuming one that is not suspended changes nothing. */
int account_suspend(struct request *r, int64_t id, bool suspended, const char *reason);
int tenant_enable(struct request *r, int64_t id, bool enabled);

/* The handlers of all commands. */
#define X(id, handler) request_fn handler;
COMMAND_IDS(X)
#undef X

#endif
