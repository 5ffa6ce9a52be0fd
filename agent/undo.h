/*
 * Undo: makes a change of several rows of the state file atomic. The old rows are first saved in
 * the file's undo row. A new agent that finds it set restores them, because the change was not
 * answered yet. Protects only against SIGKILL: the order of the agent's stores is enough for that.
 */
#ifndef RELAY_AGENT_UNDO_H
#define RELAY_AGENT_UNDO_H

#include "common/statefile.h"

#include <stdbool.h>

struct undo {
	struct statefile_undo *row; /* of the state file */
	struct statefile_usage *usages;
	struct statefile_lease *leases;
	uint32_t usage_count, lease_count; /* rows; only for undo_recover() */
};

/*
 * Restores what a killed agent left half changed; true if there was anything. A damaged row of undo is
 * added to `damage`.
 */
bool undo_recover(struct undo *u, struct statefile_damage *damage);
/*
 * Saves at most STATEFILE_UNDO_USAGES usage rows (NULL ones are skipped) and a lease. Until undo_end()
 * they need no valid check; then they are sealed.
 */
void undo_begin(struct undo *u, struct statefile_usage *const *usages, uint32_t count,
	const struct statefile_lease *lease);
void undo_end(struct undo *u);

#endif
