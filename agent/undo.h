/*
 * Undo: makes a change of several rows of the state file whole. What is about to change is saved in
 * the file's undo row first; a new agent that finds it set puts everything back, because the change
 * was never answered to anybody. Only for SIGKILL: the order of the agent's own stores is enough.
 */
#ifndef RELAY_AGENT_UNDO_H
#define RELAY_AGENT_UNDO_H

#include "common/statefile.h"

#include <stdbool.h>

struct undo {
	struct statefile_undo *row; /* of the state file */
	struct statefile_usage *usages;
	struct statefile_lease *leases;
};

/* Puts back what a killed agent left half changed; true when there was something. */
bool undo_recover(struct undo *u);
/* Saves at most STATEFILE_UNDO_USAGES usage rows (NULL ones are skipped) and a lease. */
void undo_begin(struct undo *u, struct statefile_usage *const *usages, uint32_t count,
	const struct statefile_lease *lease);
void undo_end(struct undo *u);

#endif
