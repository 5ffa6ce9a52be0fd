/*
 * What a change changed, from what to what, for its log line. The subject of a change is read from the
 * store before and after it, inside its transaction: only what an operator sets. Of credentials, files and
 * values of headers a line says that they were replaced, never what they are.
 */
#ifndef RELAY_ADMIN_API_AUDIT_H
#define RELAY_ADMIN_API_AUDIT_H

#include "admin/api/request.h"

#define AUDIT_TEXT_SIZE REQUEST_CHANGED_SIZE

/* The subject of the request as it is now. NULL: there is none, or the change is of many. */
json_object *audit_subject(const struct request *r);
/*
 * "rps: 5 -> 10, pool: a -> b", cut at the size; empty without a difference. NULL is a thing that does not
 * exist: of a new one its values are told, of a deleted one what it had.
 */
void audit_differences(json_object *before, json_object *after, char out[AUDIT_TEXT_SIZE]);
/* The same for the request's subject, and what else the request says that it changed. */
void audit_describe(const struct request *r, json_object *before, json_object *after,
	char out[AUDIT_TEXT_SIZE]);
/*
 * One of many things that a change changed; logged when the change is committed. The objects are as in
 * audit_differences() and stay the caller's.
 */
void audit_note(struct request *r, const char *noun, const char *name, json_object *before,
	json_object *after);
/* The lines of a committed change: what was noted, or its subject with what has changed. */
void audit_log(const struct request *r);

#endif
