/* Holds the snapshot in force: mapped, checked, replaced as a whole. */
#ifndef RELAY_AGENT_SNAPSHOT_HOLDER_H
#define RELAY_AGENT_SNAPSHOT_HOLDER_H

#include "common/snapshot.h"

struct snapshot_holder {
	struct snapshot_map block;
	struct snapshot_map base;
	struct snapshot snapshot;
};

/*
 * Maps and checks; on success the old content is unmapped, so no decision may be in progress. On
 * failure nothing changes. 0, or a negative errno with the reason.
 */
int snapshot_holder_load(
	struct snapshot_holder *s, int snapshot_fd, int keybase_fd, struct errtext *e);
void snapshot_holder_fini(struct snapshot_holder *s);

#endif
