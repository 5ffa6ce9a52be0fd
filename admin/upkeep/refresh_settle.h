/*
 * What an outcome of a refresh changes in the store, in one transaction: the new tokens, the journal,
 * whether the account needs a login. Works from the journal alone, so that a control that has just
 * started goes on where its predecessor died.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_SETTLE_H
#define RELAY_ADMIN_UPKEEP_REFRESH_SETTLE_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/refresh_plan.h"

struct refresh_account {
	int64_t id;
	const char *name;
	uint32_t failures, retries; /* before this outcome, as in struct refresh_state */
};

struct refresh_settled {
	enum refresh_outcome outcome;
	struct refresh_action action;
	const char *reason; /* of REFRESH_LOGIN; "" = none */
	bool renewed;	    /* the access token is a new one */
	int64_t expires_ms; /* of it */
};

/*
 * `outcome` counts where the journal has no reply (LOST, NOT_SENT); a reply speaks for itself. Raises
 * the store's version when the agent has something to learn. 0; -ENOENT: no intent, nothing to do;
 * negative: the store failed, and all is as before.
 */
int refresh_settle(struct store *s, const struct vault *v, const struct refresh_account *a,
	enum refresh_outcome outcome, struct refresh_settled *ret, struct errtext *e);

#endif
