/*
 * The agent's bans: counts bad keys, bans their senders on the board until control takes the bans
 * over.
 */
#ifndef RELAY_AGENT_BANS_H
#define RELAY_AGENT_BANS_H

#include "agent/agent.h"

/* Empty tables, plus the bans that an earlier agent left on the board. 0, -ENOMEM, -EIO. */
int bans_start(struct agent *a);
void bans_stop(struct agent *a);
/* Counts a bad key; for a good one, only whose it is. */
void bans_note(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	int64_t now_ms);

#endif
