/*
 * The agent's bans: counts bad keys, bans their senders on the board until control takes the bans
 * over.
 */
#ifndef RELAY_AGENT_BANS_H
#define RELAY_AGENT_BANS_H

#include "agent/agent.h"

/* Empty tables, plus the bans that an earlier agent left on the board. 0, -ENOMEM, -EIO. */
int bans_start(struct agent *a);
/* Does nothing for decisions without a bad key. */
void bans_note(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	int64_t now_ms);

#endif
