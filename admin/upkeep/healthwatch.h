/*
 * Account health from the agent that control stores or reports:
 *
 *   suspended  The agent suspended the account after refused probes. The store keeps the
 *              suspension, with a notice, until an operator resumes the account.
 *   invalid    The credential is refused or expired, and cannot be renewed. The notice lasts until
 *              the account has a new credential or is accepted again.
 *
 * Level-triggered: control reads the board when BOARD_HEALTH_CHANGES has risen, and also every few
 * seconds. So a restart of control misses nothing.
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
	int64_t looked_ms;  /* monotonic; 0 = never */
	struct buffer told; /* ids of accounts with a raised notice of kind invalid */
};

void healthwatch_start(struct healthwatch *w, struct control *c);
void healthwatch_stop(struct healthwatch *w);
/* Timer callback. Errors are logged. */
void healthwatch_poll(struct healthwatch *w, int64_t now_ms);

#endif
