/*
 * Leases: one row of the state file for each admitted request, found by its id. The rows survive a
 * crash; the index and the list of free rows live in memory and are rebuilt from them. All
 * operations are O(1) and allocate nothing.
 */
#ifndef RELAY_AGENT_LEASE_H
#define RELAY_AGENT_LEASE_H

#include "common/board.h"
#include "common/statefile.h"

#include <stdbool.h>
#include <stdint.h>

struct leases {
	struct statefile_lease *rows; /* of the state file */
	uint32_t count;		      /* rows in all */
	uint32_t used;
	uint32_t *index; /* open addressing; row + 1, 0 = empty */
	uint32_t index_mask;
	uint32_t *free_rows; /* a stack */
};

/* Calls `each` for every lease found in the rows. 0 or -ENOMEM. */
typedef void lease_fn(void *context, const struct statefile_lease *lease);
int leases_init(struct leases *l, struct statefile_lease *rows, uint32_t count, lease_fn *each,
	void *context);
void leases_fini(struct leases *l);

/* The wall clock has moved by `step_ms` to `now_ms`: so do all times, and none is in the future. */
void leases_shift(struct leases *l, int64_t step_ms, int64_t now_ms);

/* NULL when there is none. */
struct statefile_lease *lease_find(struct leases *l, const uint8_t id[16]);
/*
 * A new row with this id, state LEASE_FREE: the caller fills it in a change that can be undone (undo.h)
 * and then calls lease_commit(). NULL when all are taken.
 */
struct statefile_lease *lease_new(struct leases *l, const uint8_t id[16]);
void lease_commit(struct statefile_lease *lease);
/* Outside of a change that can be undone, fields of a lease in use are written between these. */
void lease_open(struct statefile_lease *lease);
void lease_seal(struct statefile_lease *lease);
void lease_set_flags(struct statefile_lease *lease, uint32_t flags);
/* HAProxy's gauge shows the request. */
void lease_confirm(struct statefile_lease *lease);
void lease_end(struct leases *l, struct statefile_lease *lease);

/*
 * How an attempt failed. Attempts count from 1; those beyond STATEFILE_ATTEMPTS are not kept. False:
 * it did not fail, as far as is known.
 */
struct lease_failure {
	uint16_t status; /* 0 = not known */
	enum board_evidence class;
	enum board_verdict verdict;
};
bool lease_failure(
	const struct statefile_lease *lease, uint32_t attempt, struct lease_failure *ret);
void lease_note_failure(
	struct statefile_lease *lease, uint32_t attempt, const struct lease_failure *f);
/* The account of an attempt, the present one's too; 0 = unknown, or its egress changed only. */
uint32_t lease_account(const struct statefile_lease *lease, uint32_t attempt);

/* LEASE_SHAPE_* of this shape, a place of provider_shape_at(), and back. */
uint32_t lease_shape_flags(size_t shape);
size_t lease_shape(const struct statefile_lease *lease);

#endif
