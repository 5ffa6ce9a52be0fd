/* The agent's own bans (T5): notes bad keys, pronounces bans on the board and until control has them. */
#ifndef RELAY_AGENT_BANS_H
#define RELAY_AGENT_BANS_H

#include "agent/agent.h"

/* Empty tables, and the bans that an agent before us has left on the board. 0, -ENOMEM, -EIO. */
int bans_start(struct agent *a);
/* A decision that found a bad key; others are left alone. */
void bans_note(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	int64_t now_ms);

#endif
