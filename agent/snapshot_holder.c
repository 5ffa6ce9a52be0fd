#include "agent/snapshot_holder.h"

/* A change of the configuration keeps the key base: it stays mapped. */
static int map_base(const struct snapshot_holder *s, int fd, struct snapshot_map *ret,
	bool *ret_is_kept, struct errtext *e)
{
	*ret_is_kept = snapshot_map_is_of(&s->base, fd);
	if (!*ret_is_kept)
		return snapshot_map_open(fd, false, ret, e);
	*ret = s->base;
	return 0;
}

int snapshot_holder_load(
	struct snapshot_holder *s, int snapshot_fd, int keybase_fd, struct errtext *e)
{
	struct snapshot_holder fresh = {0};
	bool base_is_kept = false;
	int error = snapshot_map_open(snapshot_fd, true, &fresh.block, e);

	if (!error)
		error = map_base(s, keybase_fd, &fresh.base, &base_is_kept, e);
	if (!error)
		error = snapshot_open(fresh.block.block, fresh.block.size, fresh.base.block,
			fresh.base.size, &fresh.snapshot, e);
	struct snapshot_holder *gone = error ? &fresh : s;
	if (base_is_kept)
		gone->base = (struct snapshot_map){0};
	snapshot_holder_fini(gone);
	if (!error)
		*s = fresh;
	return error;
}

void snapshot_holder_fini(struct snapshot_holder *s)
{
	snapshot_map_close(&s->block);
	snapshot_map_close(&s->base);
}
