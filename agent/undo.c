#include "agent/undo.h"

#include "common/staterow.h"

#include <stddef.h>
#include <string.h>

#define HEADER offsetof(struct statefile_undo, before)

static void set_state(struct undo *u, uint32_t state)
{
	atomic_store_explicit(&u->row->state, state, memory_order_release);
	/*
	 * the compiler must not move later stores before this one; the processor keeps their order
	 * for another process that maps the page
	 */
	atomic_signal_fence(memory_order_seq_cst);
}

/* A saved row that is damaged is not restored: the check of the row itself decides about it. */
static void restore_usage(struct undo *u, uint32_t i)
{
	const struct statefile_usage *before = &u->row->before[i];

	if (u->row->rows[i] < u->usage_count && staterow_is_sound(STATEROW(before)))
		memcpy(&u->usages[u->row->rows[i]], before, sizeof(*before));
}

static void restore_lease(struct undo *u)
{
	const struct statefile_lease *before = &u->row->lease_before;

	if (u->row->lease <= u->lease_count &&
		((!before->state && !before->check) || staterow_is_sound(STATEROW(before))))
		memcpy(&u->leases[u->row->lease - 1], before, sizeof(*before));
}

bool undo_recover(struct undo *u, struct statefile_damage *damage)
{
	struct statefile_undo *row = u->row;
	bool is_set = row->check != 0;
	bool is_sound = is_set && row->check == undo_sum(row);

	damage->dropped[STATEFILE_UNDO] += is_set && !is_sound;
	for (uint32_t i = 0; is_sound && i < row->usages && i < STATEFILE_UNDO_USAGES; i++)
		restore_usage(u, i);
	if (is_sound && row->lease)
		restore_lease(u);
	set_state(u, 0);
	staterow_free(row, HEADER);
	return is_sound;
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
	staterow_put_check(row, HEADER, undo_sum(row));
	set_state(u, 1);
}

static void seal_lease(struct statefile_lease *lease)
{
	if (lease->state)
		staterow_seal(STATEROW(lease));
	else
		staterow_free(STATEROW(lease));
}

void undo_end(struct undo *u)
{
	const struct statefile_undo *row = u->row;

	for (uint32_t i = 0; i < row->usages; i++)
		staterow_seal(STATEROW(&u->usages[row->rows[i]]));
	if (row->lease)
		seal_lease(&u->leases[row->lease - 1]);
	set_state(u, 0);
	staterow_free(u->row, HEADER);
}
