#include "agent/snapshot_slot.h"

int slot_load(struct snapshot_slot *s, int snapshot_fd, int keybase_fd, struct errtext *e)
{
	struct snapshot_slot fresh = {0};
	int error = snapshot_map_open(snapshot_fd, &fresh.block, e);

	if (!error)
		error = snapshot_map_open(keybase_fd, &fresh.base, e);
	if (!error)
		error = snapshot_open(fresh.block.block, fresh.block.size, fresh.base.block,
			fresh.base.size, &fresh.snapshot, e);
	if (error) {
		slot_fini(&fresh);
		return error;
	}
	slot_fini(s);
	*s = fresh;
	return 0;
}

void slot_fini(struct snapshot_slot *s)
{
	snapshot_map_close(&s->block);
	snapshot_map_close(&s->base);
}
