/*
 * An answer of the admin API that comes later. A handler of a row that does not `change` defers its
 * request and returns 0; whoever does the work finishes it, once, from control's loop. Commands that
 * come meanwhile are served.
 */
#ifndef RELAY_ADMIN_API_DEFERRED_H
#define RELAY_ADMIN_API_DEFERRED_H

#include "admin/api/request.h"

struct deferred;

/* The worker's side. NULL: out of memory. */
struct deferred *deferred_new(struct request *r);
/* An object, to be filled until it is finished. */
json_object *deferred_answer(struct deferred *d);
/* 0, or a negative errno code with its reason, as a handler would have returned it. Ends `d`. */
void deferred_finish(struct deferred *d, int error, const char *reason);

/* The exchange's side. `wake` is called when it is finished, unless it is so already. */
typedef void deferred_wake_fn(void *context);
void deferred_wait(struct deferred *d, deferred_wake_fn *wake, void *context);
bool deferred_is_done(const struct deferred *d);
/* Status and answer (the caller's from now on) of one that is done. */
unsigned deferred_take(struct deferred *d, json_object **ret_answer);
/* Nobody waits any more; the worker may still finish it. NULL is fine. */
void deferred_release(struct deferred *d);

#endif
