/*
 * Stores the outcome of a refresh in one transaction: new tokens, journal, login-required mark.
 * Uses only the journal, so a restarted control continues where the last one stopped.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_SETTLE_H
#define RELAY_ADMIN_UPKEEP_REFRESH_SETTLE_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/refresh_plan.h"
#include "admin/upkeep/refresh_reply.h"

struct refresh_account {
	int64_t id;
	const char *name;
	uint32_t failures, retries, useless; /* before this outcome, as in struct refresh_state */
};

struct refresh_settled {
	enum refresh_outcome outcome;
	struct refresh_action action;
	char reason[REFRESH_CODE_SIZE]; /* of REFRESH_LOGIN; "" = none */
	struct errtext fault;		/* of the reply; "" = none */
	bool renewed;			/* there is a new access token */
	int64_t expires_ms;		/* of the new access token */
};

/*
 * `outcome` counts if the journal has no reply (REFRESH_LOST, REFRESH_NOT_SENT); a stored reply
 * overrides it. Raises the store's version if the agent needs the change. 0; -ENOENT: no intent, no
 * change; other errors: the store failed, and nothing changed.
 */
int refresh_settle(struct store *s, const struct vault *v, const struct refresh_account *a,
	enum refresh_outcome outcome, struct refresh_settled *ret, struct errtext *e);

#endif
