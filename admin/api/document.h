/*
 * The configuration as one JSON document: what `export` prints and `apply` takes. One array for each
 * kind of thing, in the order in which they refer to each other; no credentials, no keys.
 */
#ifndef RELAY_ADMIN_API_DOCUMENT_H
#define RELAY_ADMIN_API_DOCUMENT_H

#include "admin/api/noun.h"

#define DOCUMENT_VERSION 1

struct document_kind {
	const char *field; /* of the document; NULL ends the rows */
	const struct noun *noun;
	enum command_id add; /* the row that knows the fields of an item */
	int (*insert)(struct request *r, const char *name, int64_t *ret_id);
	int (*update)(struct request *r, int64_t id);
	/* sets fields that have verbs instead of options; may be NULL */
	int (*finish)(struct request *r, int64_t id);
	const char *const *extra; /* the fields of `finish`, NULL-terminated; may be NULL */
	/* a check that needs all items; may be NULL */
	int (*check)(struct request *r, int64_t id);
};

extern const struct document_kind document_kinds[];

/* An item of the document from what `show` answers: only what can be applied. */
json_object *document_item(const struct document_kind *kind, json_object *shown);
/* False for a built-in thing. */
bool document_has(const struct document_kind *kind, const char *name);

#endif
