#include "agent/lease.h"

#include "common/provider.h"
#include "common/record.h"
#include "common/staterow.h"
#include "common/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void free_row(struct statefile_lease *lease)
{
	atomic_store_explicit(&lease->state, LEASE_FREE, memory_order_release);
	staterow_free(STATEROW(lease));
}

static enum lease_state state_of(const struct statefile_lease *lease)
{
	return (enum lease_state)atomic_load_explicit(&lease->state, memory_order_relaxed);
}

static uint32_t bucket_of(const struct leases *l, const uint8_t id[16])
{
	return record_id_hash(id) & l->index_mask;
}

static void index_insert(struct leases *l, uint32_t row)
{
	uint32_t at = bucket_of(l, l->rows[row].id);

	while (l->index[at])
		at = (at + 1) & l->index_mask;
	l->index[at] = row + 1;
}

static bool index_find(const struct leases *l, const uint8_t id[16], uint32_t *ret_at)
{
	for (uint32_t at = bucket_of(l, id); l->index[at]; at = (at + 1) & l->index_mask) {
		if (memcmp(l->rows[l->index[at] - 1].id, id, 16) == 0) {
			*ret_at = at;
			return true;
		}
	}
	return false;
}

/* Closes the hole: moves back entries that a look-up would no longer reach. No tombstones. */
static void index_remove(struct leases *l, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & l->index_mask; l->index[at];
		at = (at + 1) & l->index_mask) {
		uint32_t home = bucket_of(l, l->rows[l->index[at] - 1].id);
		if (((at - home) & l->index_mask) < ((at - hole) & l->index_mask))
			continue;
		l->index[hole] = l->index[at];
		hole = at;
	}
	l->index[hole] = 0;
}

static void take_over_rows(struct leases *l, lease_fn *each, void *context)
{
	uint32_t at;
	uint32_t free_count = 0;

	for (uint32_t i = l->count; i-- > 0;) {
		struct statefile_lease *row = &l->rows[i];
		bool valid = state_of(row) != LEASE_FREE && !index_find(l, row->id, &at);
		if (!valid) {
			free_row(row);
			l->free_rows[free_count++] = i;
			continue;
		}
		index_insert(l, i);
		l->used++;
		each(context, row);
	}
}

int leases_init(struct leases *l, struct statefile_lease *rows, uint32_t count, lease_fn *each,
	void *context)
{
	uint32_t buckets = 8;

	while (buckets < count * 2)
		buckets *= 2;
	*l = (struct leases){.rows = rows, .count = count, .index_mask = buckets - 1};
	l->index = calloc(buckets, sizeof(*l->index));
	l->free_rows = calloc(count, sizeof(*l->free_rows));
	if (!l->index || !l->free_rows) {
		leases_fini(l);
		return -ENOMEM;
	}
	take_over_rows(l, each, context);
	return 0;
}

void leases_fini(struct leases *l)
{
	free(l->index);
	free(l->free_rows);
	*l = (struct leases){0};
}

struct statefile_lease *lease_find(struct leases *l, const uint8_t id[16])
{
	uint32_t at;

	return index_find(l, id, &at) ? &l->rows[l->index[at] - 1] : NULL;
}

struct statefile_lease *lease_new(struct leases *l, const uint8_t id[16])
{
	if (l->used == l->count)
		return NULL;
	uint32_t row = l->free_rows[l->count - l->used - 1];
	l->used++;
	memcpy(l->rows[row].id, id, 16);
	index_insert(l, row);
	return &l->rows[row];
}

void leases_shift(struct leases *l, int64_t step_ms, int64_t now_ms)
{
	for (uint32_t i = 0; i < l->count && l->used > 0; i++) {
		struct statefile_lease *lease = &l->rows[i];
		if (state_of(lease) == LEASE_FREE)
			continue;
		lease_open(lease);
		lease->decided_ms = step_move(lease->decided_ms, step_ms, now_ms);
		lease->again_ms = step_move(lease->again_ms, step_ms, now_ms);
		lease_seal(lease);
	}
}

void lease_commit(struct statefile_lease *lease)
{
	atomic_store_explicit(&lease->state, LEASE_DECIDED, memory_order_release);
}

/* --- changes of a lease in use --- */

void lease_open(struct statefile_lease *lease)
{
	staterow_open(STATEROW(lease));
}

void lease_seal(struct statefile_lease *lease)
{
	staterow_seal(STATEROW(lease));
}

void lease_confirm(struct statefile_lease *lease)
{
	lease_open(lease);
	atomic_store_explicit(&lease->state, LEASE_CONFIRMED, memory_order_release);
	lease_seal(lease);
}

void lease_set_flags(struct statefile_lease *lease, uint32_t flags)
{
	lease_open(lease);
	lease->flags = flags;
	lease_seal(lease);
}

void lease_end(struct leases *l, struct statefile_lease *lease)
{
	uint32_t at;

	if (!index_find(l, lease->id, &at))
		return;
	index_remove(l, at);
	free_row(lease);
	l->free_rows[l->count - l->used] = (uint32_t)(lease - l->rows);
	l->used--;
}

/* In 16 bits: status, class, verdict. A class is never 0, because a success is no failure. */
#define STATUS_BITS 10
#define CLASS_BITS 4

bool lease_failure(const struct statefile_lease *lease, uint32_t attempt, struct lease_failure *ret)
{
	if (attempt == 0 || attempt > STATEFILE_ATTEMPTS || !lease->failed[attempt - 1])
		return false;
	unsigned bits = lease->failed[attempt - 1];
	unsigned class = bits >> STATUS_BITS & ((1u << CLASS_BITS) - 1);
	ret->status = (uint16_t)(bits & ((1u << STATUS_BITS) - 1));
	ret->class =
		class < BOARD_EVIDENCE_COUNT ? (enum board_evidence) class : BOARD_EVIDENCE_UNSEEN;
	ret->verdict = (enum board_verdict)(bits >> (STATUS_BITS + CLASS_BITS));
	return true;
}

void lease_note_failure(
	struct statefile_lease *lease, uint32_t attempt, const struct lease_failure *f)
{
	unsigned status = f->status < 1u << STATUS_BITS ? f->status : 0;

	if (attempt == 0 || attempt > STATEFILE_ATTEMPTS)
		return;
	lease_open(lease);
	lease->failed[attempt - 1] = (uint16_t)(status | (unsigned)f->class << STATUS_BITS |
		(unsigned)f->verdict << (STATUS_BITS + CLASS_BITS));
	lease_seal(lease);
}

uint32_t lease_account(const struct statefile_lease *lease, uint32_t attempt)
{
	if (attempt == lease->attempt)
		return lease->account;
	return attempt && attempt <= STATEFILE_ATTEMPTS ? lease->tried[attempt - 1] : 0;
}

uint32_t lease_shape_flags(size_t shape)
{
	uint32_t bits = (uint32_t)shape;

	return (bits & 1 ? LEASE_SHAPE_LOW : 0) | (bits >> 1 << 4 & LEASE_SHAPE_HIGH);
}

/* A row that this version does not have was written by a newer one. */
size_t lease_shape(const struct statefile_lease *lease)
{
	uint32_t shape = (lease->flags & LEASE_SHAPE_LOW ? 1 : 0) |
		(lease->flags & LEASE_SHAPE_HIGH) >> 4 << 1;

	return shape < provider_shape_count() ? shape : 0;
}
