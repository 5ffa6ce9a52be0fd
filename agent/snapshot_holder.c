#include "agent/snapshot_holder.h"

int snapshot_holder_load(
	struct snapshot_holder *s, int snapshot_fd, int keybase_fd, struct errtext *e)
{
	struct snapshot_holder fresh = {0};
	int error = snapshot_map_open(snapshot_fd, &fresh.block, e);

	if (!error)
		error = snapshot_map_open(keybase_fd, &fresh.base, e);
	if (!error)
		error = snapshot_open(fresh.block.block, fresh.block.size, fresh.base.block,
			fresh.base.size, &fresh.snapshot, e);
	if (error) {
		snapshot_holder_fini(&fresh);
		return error;
	}
	snapshot_holder_fini(s);
	*s = fresh;
	return 0;
}

void snapshot_holder_fini(struct snapshot_holder *s)
{
	snapshot_map_close(&s->block);
	snapshot_map_close(&s->base);
}
