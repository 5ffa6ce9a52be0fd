/*
 * Token refresh: renews the access tokens of accounts that have a refresh token. Triggers: the
 * expiry comes near, the agent reports a refused token, or a command requests it.
 *
 * Refresh tokens are single-use, and a lost reply loses the account. So the intent is on disk
 * before a token is sent, the raw reply is stored before it is parsed, and while the outcome is
 * unknown only the same token is sent again. Each client id has one refresh at a time, with a pause
 * between two.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_H
#define RELAY_ADMIN_UPKEEP_REFRESH_H

#include "admin/upkeep/refresh_plan.h"
#include "admin/upkeep/refresh_waiters.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFRESH_PARALLEL_MAX 16	  /* concurrent refreshes, each with a different client id */
#define REFRESH_TIMEOUT_MS 170000 /* HAProxy gives up at 180 s; a late reply is better than none */
#define REFRESH_WAIT_MS 25000	  /* longest wait of a caller for an outcome */

struct control;
struct refresh;

/* Starts at once with the rows of the journal. NULL: out of memory. */
struct refresh *refresh_new(struct control *c);
/* Starts no new refresh. True while replies are pending. */
bool refresh_drain(struct refresh *r);
/* Cancels pending refreshes; their outcome is unknown. NULL is fine. */
void refresh_free(struct refresh *r);

/*
 * Refreshes as soon as possible, whatever the schedule. `ret_word`: "started", "running" (already
 * in progress) or "waiting" (for another refresh with the same client id). -ENOENT: the account has
 * no refresh; -EBUSY: not possible now, with the reason.
 */
int refresh_ask(struct refresh *r, int64_t account, const char **ret_word, struct errtext *e);
/* Reports the next outcome for this account, or a timeout after REFRESH_WAIT_MS. 0 or -EAGAIN. */
int refresh_wait(struct refresh *r, int64_t account, refresh_told_fn *told, void *context);

/* Accounts with a reply that the store could not take: it is in memory alone. NULL gives 0. */
size_t refresh_unsaved(const struct refresh *r);
/* Since the start. NULL gives 0. */
uint64_t refresh_count(const struct refresh *r, enum refresh_outcome o);

#endif
