/*
 * Which account has the resources of a key family in a pool (agent/decide/conversation.c). The agent's state
 * remembers it for a day; the store, for RESOURCES_LIFE_MS after the last use. It learns it from finished requests.
 */
#ifndef RELAY_ADMIN_STORE_RESOURCES_H
#define RELAY_ADMIN_STORE_RESOURCES_H

#include "admin/store/sql.h"
#include "common/board.h"

#include <stdbool.h>

#define RESOURCES_LIFE_MS ((int64_t)60 * 86400000)
#define RESOURCES_STEP_MS ((int64_t)3600000) /* a use is noted to the hour */
#define RESOURCES_TENANT_MAX 4096	     /* key families of a tenant; the last used stay */

/* A request ended. `*changed` is set to true if the agent must learn of a new account. */
int resources_note(
	struct store *s, const struct board_request *q, bool *changed, struct errtext *e);
/* Calls `each` with `family`, `pool_id` and `account_id`, in this order, of all accounts that are in the pool. */
int resources_each(struct store *s, struct errtext *e, sql_row_fn *each, void *context);
/* Deletes some of those that were not used for RESOURCES_LIFE_MS. */
int resources_prune(struct store *s, int64_t now_ms, struct errtext *e);

#endif
