/*
 * Nouns: the kinds of things that have a name (tenant, upstream, egress, account, pool). A noun's row
 * says how to find, show and change one; the functions serve all nouns.
 */
#ifndef RELAY_ADMIN_API_NOUN_H
#define RELAY_ADMIN_API_NOUN_H

#include "admin/api/query.h"

/*
 * The rows from the name ?1 to the name ?2, ?3 at most, in order of names; NULL is no bound, and every blob is above
 * every text. SQLite finds the rows by index.
 */
#define NOUN_PAGE(name)                                                                            \
	"WHERE " name " >= coalesce(?1, '') AND " name " <= coalesce(?2, x'') ORDER BY " name      \
	" LIMIT ?3"

/* Adds a row of `select` to `o` as fields. */
typedef void noun_describe_fn(struct request *r, struct row *row, json_object *o);

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
	const char *select; /* all columns, with NOUN_PAGE() */
	noun_describe_fn *describe;
	const struct noun_column *columns; /* what a body may set without a further check */
};

extern const struct noun noun_tenant, noun_upstream, noun_egress, noun_account, noun_pool;

/* The id of the thing in the path: -ENOENT when there is none. */
int noun_subject(struct request *r, const struct noun *n, int64_t *ret_id);
/* The id of a thing that a body refers to: -EINVAL when there is none. */
int noun_reference(struct request *r, const struct noun *n, const char *name, int64_t *ret_id);
/* 0 when there is none. */
int noun_find(struct request *r, const struct noun *n, const char *name, int64_t *ret_id);
/* Sets the columns that the body has. */
int noun_update(struct request *r, const struct noun *n, int64_t id);
/* All things as items, or one as an object. -ENOENT when there is none. */
int noun_list(struct request *r, const struct noun *n, json_object *o);
/* The handler of a list: all things into the answer, page by page (query.h). */
int noun_list_pages(struct request *r, const struct noun *n);
int noun_show(struct request *r, const struct noun *n, const char *name, json_object *o);
/* Puts "tenant x exists already" in place of the store's text for -EEXIST. */
int noun_insert_error(struct request *r, const struct noun *n, int error);

/* -EBUSY with "tenant x is in use by <user>s a, b" when the query finds any `name`; ?1 is the id. */
int noun_refuse_if_used(
	struct request *r, const struct noun *n, const char *user, const char *sql, int64_t id);

#endif
