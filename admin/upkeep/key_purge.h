/* Deletes keys that were revoked or have expired 30 days ago, by the time for what deletes old data (common/step.h). */
#ifndef RELAY_ADMIN_UPKEEP_KEY_PURGE_H
#define RELAY_ADMIN_UPKEEP_KEY_PURGE_H

#include "common/errtext.h"

#include <stdint.h>

#define KEY_PURGE_AFTER_MS ((int64_t)30 * 86400 * 1000)
#define KEY_PURGE_MAX 500 /* keys in one step: a few milliseconds */

struct control;

/* One step at the time of control's clock. Errors are logged. */
void key_purge_poll(struct control *c);
/* One step at `now_ms`: one transaction, and none if there is nothing to delete. 0 or negative. */
int key_purge_step(struct control *c, int64_t now_ms, struct errtext *e);

#endif
