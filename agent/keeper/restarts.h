/* How often and why the children were restarted: the program that replaces this one goes on counting (handover.h). */
#ifndef RELAY_AGENT_KEEPER_RESTARTS_H
#define RELAY_AGENT_KEEPER_RESTARTS_H

#include "agent/keeper/child.h"
#include "agent/keeper/handover.h"
#include "agent/keeper/inherited.h"

/* Passes the counts. Without memory for them, the next program begins anew. */
void restarts_hand_over(const struct child children[CHILD_ROLE_COUNT], struct handover *h);
/* Takes the counts of the keeper before, if their format is ours; else `children` stays as it was. */
void restarts_take(struct inherited *i, struct child children[CHILD_ROLE_COUNT]);

#endif
