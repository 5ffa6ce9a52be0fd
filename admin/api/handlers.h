/* The handlers of all commands, and the parts of handlers that other handlers use. */
#ifndef RELAY_ADMIN_API_HANDLERS_H
#define RELAY_ADMIN_API_HANDLERS_H

#include "admin/api/noun.h"

#define X(id, handler) request_fn handler;
COMMAND_IDS(X)
#undef X

/* Adds `notices_open` and `notices`: the newest open notices. */
int notices_describe(struct request *r, json_object *o);

/* `add` and `apply` share these; the body has been checked. */
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
/* Resuming an account that is not suspended changes nothing. */
int account_suspend(struct request *r, int64_t id, bool suspended, const char *reason);
int tenant_enable(struct request *r, int64_t id, bool enabled);

/* One key, or one ban by its text in the store, into the answer. -ENOENT when there is none. */
int token_show(struct request *r, int64_t id);
int ban_show(struct request *r, const char *network);

#endif
