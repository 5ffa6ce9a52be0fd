/*
 * Token refresh (C2, DESIGN.md "Credentials"): renews the access tokens of accounts that have a refresh
 * token, before they expire, when the agent says that one was refused, or when a person asks.
 *
 * Refresh tokens are single-use, and losing one reply loses the account. So a token is sent only after
 * the intent is on disk, the raw reply is written down before anything of it is read, and while the
 * outcome is unknown only the same token goes again. One refresh at a time and with a pause between
 * them for each client id.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_H
#define RELAY_ADMIN_UPKEEP_REFRESH_H

#include "admin/upkeep/refresh_plan.h"
#include "admin/upkeep/refresh_waiters.h"
#include "common/errtext.h"

#include <stdint.h>

#define REFRESH_PARALLEL_MAX 16	  /* under way at once, of different client ids */
#define REFRESH_TIMEOUT_MS 170000 /* HAProxy gives up at 180 s; a late reply is better than none */
#define REFRESH_WAIT_MS 25000	  /* longest wait for an outcome */
#define REFRESH_DRAIN_MS 1500	  /* at the end, for replies that are on their way */

struct control;
struct refresh;

/* Starts at once with what the journal holds. NULL: out of memory. */
struct refresh *refresh_new(struct control *c);
/* Starts nothing more and waits, bounded, for the answers that are on their way. */
void refresh_drain(struct refresh *r);
/* What is under way is cut off: its outcome is unknown. NULL is fine. */
void refresh_free(struct refresh *r);

/*
 * Refreshes as soon as possible, whatever the schedule. `ret_word`: "started", "running" (it was under
 * way already) or "waiting" (for another one of the same client id). -ENOENT: not refreshed at all;
 * -EBUSY: not possible now, with the reason.
 */
int refresh_ask(struct refresh *r, int64_t account, const char **ret_word, struct errtext *e);
/* Tells the next outcome for this account, or that there was none in REFRESH_WAIT_MS. 0 or -EAGAIN. */
int refresh_wait(struct refresh *r, int64_t account, refresh_told_fn *told, void *context);

/* Since the start. NULL: 0. */
uint64_t refresh_count(const struct refresh *r, enum refresh_outcome o);

#endif
