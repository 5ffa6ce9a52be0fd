/*
 * Finished requests that the history lacks although the relay was stopped or replaced in order, or because it ended
 * without a stop. The state file says so first, since the store may take nothing; the store keeps the newest gap.
 */
#ifndef RELAY_ADMIN_UPKEEP_HISTORYGAP_H
#define RELAY_ADMIN_UPKEEP_HISTORYGAP_H

#include "common/errtext.h"

#include <stdint.h>

struct control;
struct history;
struct store;

/* At the end of control, after the last try to save: logs, counts and notes what no process will save. */
void historygap_note(const struct control *c, struct history *h);
/* At the start, and again until the store takes it: logs and counts the gap that the state file has. */
void historygap_poll(const struct control *c, struct history *h);
/* The Unix time at which the newest gap ends, in ms; 0 = none is known. */
int historygap_read(struct store *s, int64_t *ret_ms, struct errtext *e);

#endif
