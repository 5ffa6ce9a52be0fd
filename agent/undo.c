#include "agent/undo.h"

#include <string.h>

static void set_state(struct undo *u, uint32_t state)
{
	atomic_store_explicit(&u->row->state, state, memory_order_release);
	/*
	 * the compiler must not move later stores before this one; the processor keeps their order
	 * for another process that maps the page
	 */
	atomic_signal_fence(memory_order_seq_cst);
}

bool undo_recover(struct undo *u)
{
	struct statefile_undo *row = u->row;

	if (atomic_load_explicit(&row->state, memory_order_acquire) == 0)
		return false;
	for (uint32_t i = 0; i < row->usages && i < STATEFILE_UNDO_USAGES; i++)
		memcpy(&u->usages[row->rows[i]], &row->before[i], sizeof(row->before[i]));
	if (row->lease)
		memcpy(&u->leases[row->lease - 1], &row->lease_before, sizeof(row->lease_before));
	set_state(u, 0);
	return true;
}

void undo_begin(struct undo *u, struct statefile_usage *const *usages, uint32_t count,
	const struct statefile_lease *lease)
{
	struct statefile_undo *row = u->row;

	row->usages = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (!usages[i])
			continue;
		row->rows[row->usages] = (uint32_t)(usages[i] - u->usages);
		memcpy(&row->before[row->usages], usages[i], sizeof(*usages[i]));
		row->usages++;
	}
	row->lease = lease ? (uint32_t)(lease - u->leases) + 1 : 0;
	if (lease)
		memcpy(&row->lease_before, lease, sizeof(*lease));
	set_state(u, 1);
}

void undo_end(struct undo *u)
{
	set_state(u, 0);
}
