/*
 * A change of many parts, such as `apply` of a long document, in steps between the other work of the loop. It is one
 * transaction all the same, on a connection aside (store.h), so all of it is done or nothing.
 *
 * Other commands that change the store wait for its end; commands that read are served, and see the store without it.
 * What control itself writes, such as a refreshed token, never waits: it undoes the transaction, and the change
 * begins again. After BULK_BEGINNINGS it is made at once, so that it comes to an end.
 */
#ifndef RELAY_ADMIN_API_BULK_H
#define RELAY_ADMIN_API_BULK_H

#include "admin/api/request.h"

#define BULK_STEP_NS ((int64_t)5 * 1000000)
#define BULK_BEGINNINGS 4

struct bulk;

struct bulk *bulk_new(struct control *c);
/* Ends the change under way, with -EPIPE, and wakes all who wait. NULL is fine. */
void bulk_free(struct bulk *b);

/*
 * Defers the request, whose handler is called again. Only while no other change is under way. 0, or -ENOMEM with a
 * text: nothing was done.
 */
int bulk_take(struct bulk *b, struct request *r);
bool bulk_is_busy(const struct bulk *b);
/* Calls `wake` once, when the change under way has ended. -ENOMEM: it does not. */
int bulk_wait(struct bulk *b, void (*wake)(void *context), void *context);

#endif
