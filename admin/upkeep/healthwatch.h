/*
 * What the agent says of the health of accounts, and control has to keep or to tell:
 *
 *   suspended  an account that it has suspended after repeated refusals is suspended in the store, with a
 *              notice, until an operator resumes it
 *   invalid    an account whose credential is refused or has expired, and that nothing can renew, is
 *              a notice until it has a new one or is taken again
 *
 * Level-triggered: looked at when BOARD_HEALTH_CHANGES has risen, and every few seconds anyway, so
 * that a control process that died in between misses nothing.
 */
#ifndef RELAY_ADMIN_UPKEEP_HEALTHWATCH_H
#define RELAY_ADMIN_UPKEEP_HEALTHWATCH_H

#include "common/buffer.h"

#include <ev.h>
#include <stdint.h>

struct control;

struct healthwatch {
	struct control *control;
	ev_timer timer;
	uint64_t seen;	    /* value of the counter at the last look */
	int64_t looked_ms;  /* when; monotonic, 0 = never */
	struct buffer told; /* ids of accounts whose notice of being invalid was raised */
};

void healthwatch_start(struct healthwatch *w, struct control *c);
void healthwatch_stop(struct healthwatch *w);
/* What the timer does. Errors are logged. */
void healthwatch_poll(struct healthwatch *w, int64_t now_ms);

#endif
