/*
 * An answer of the admin API that comes later. A handler of a row that does not `change` defers its
 * request and returns 0; request_run() defers every change until it is in force. The code that does the
 * work finishes the answer, once, from control's loop. Commands that come meanwhile are served.
 */
#ifndef RELAY_ADMIN_API_DEFERRED_H
#define RELAY_ADMIN_API_DEFERRED_H

#include "admin/api/request.h"

struct deferred;

/* The worker's side. Takes the answer of the request so far. NULL: out of memory. */
struct deferred *deferred_new(struct request *r);
/* The answer, to be filled until it is finished. */
json_object *deferred_answer(struct deferred *d);
/* Puts another one in its place, and owns it. */
void deferred_put_answer(struct deferred *d, json_object *answer);
/* Moves the answer of an ANSWER_FILE. */
void deferred_put_bytes(struct deferred *d, struct buffer *bytes);
/* 0, or a negative errno code with its reason, as a handler returns it. Ends `d`. */
void deferred_finish(struct deferred *d, int error, const char *reason);

/* The exchange's side. `wake` is called when the answer is finished, unless it is already. */
typedef void deferred_wake_fn(void *context);
void deferred_wait(struct deferred *d, deferred_wake_fn *wake, void *context);
bool deferred_is_done(const struct deferred *d);
/* Status and answer (the caller owns it from now on) of a finished one. */
unsigned deferred_take(struct deferred *d, json_object **ret_answer);
/* What remains of the request: its command, and the bytes of an ANSWER_FILE, which the caller owns then. */
void deferred_take_rest(struct deferred *d, struct request *r);
/* Nobody waits any more; the worker still finishes it. NULL is fine. */
void deferred_release(struct deferred *d);

#endif
