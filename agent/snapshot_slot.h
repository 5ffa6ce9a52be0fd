/* The slot that holds the snapshot in force: mapped, checked, swapped whole. */
#ifndef RELAY_AGENT_SNAPSHOT_SLOT_H
#define RELAY_AGENT_SNAPSHOT_SLOT_H

#include "common/snapshot.h"

struct snapshot_slot {
	struct snapshot_map block;
	struct snapshot_map base;
	struct snapshot snapshot;
};

/*
 * Maps and checks; on success the old content is unmapped, so that no decision may be under way.
 * On failure the slot stays as it was: 0 or a negative errno with the reason.
 */
int slot_load(struct snapshot_slot *s, int snapshot_fd, int keybase_fd, struct errtext *e);
void slot_fini(struct snapshot_slot *s);

#endif
