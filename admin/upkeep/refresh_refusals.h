/*
 * Refusals of a refresh token that would be the same tomorrow, such as `invalid_client` (table
 * `refresh_refusals`). Time counts only between two of them, and not more than
 * REFRESH_REFUSAL_STEP_MS at once: neither a jump of the clock nor an outage makes a day.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_REFUSALS_H
#define RELAY_ADMIN_UPKEEP_REFRESH_REFUSALS_H

#include "admin/store/store.h"

#include <stdint.h>

/* SQL, of an account `a`: it may be refreshed, if only on request (its token is not used up). */
#define REFRESH_REFUSALS_ALLOW                                                                     \
	"(a.needs_login = '' OR EXISTS"                                                            \
	" (SELECT 1 FROM refresh_refusals x WHERE x.account_id = a.id))"

struct refresh_refusals {
	int64_t since_ms;  /* the first one, Unix time */
	int64_t lasted_ms; /* as counted */
	int64_t answers;
};

/* Counts one at `at_ms`; those of an older token are forgotten. All functions write. */
int refresh_refusals_note(struct store *s, int64_t account, int64_t parent, int64_t at_ms,
	struct refresh_refusals *ret, struct errtext *e);
int refresh_refusals_clear(struct store *s, int64_t account, struct errtext *e);

#endif
