/*
 * The healer: compares the leases with what HAProxy has in progress (common/gauge.h) and releases what
 * HAProxy has not: end records can be lost, and answers can be left unapplied. Only downwards, and only
 * what was too much in two readings; leases too young to be in the gauge for certain are left alone.
 * Equal triples of tenant, key and account are interchangeable. The newest go first: the lease that
 * stays in for another must not be newer than it, or a later reading that leaves out older processes
 * would release it. Pure.
 */
#ifndef RELAY_AGENT_HEALER_H
#define RELAY_AGENT_HEALER_H

#include "agent/lease.h"
#include "common/gauge.h"

#include <stdint.h>

/* From our answer to HAProxy's entry in the gauge, with room to spare. */
#define HEALER_GRACE_MS 500
/* A decision that no gauge ever confirmed ends then, for those who let us read none. */
#define HEALER_AGE_MS (2 * 3600 * (int64_t)1000)

struct healer_triple {
	uint32_t tenant, key, account;
	uint32_t held;	/* leases old enough to count */
	uint32_t gauge; /* HAProxy's */
	uint32_t release;
};

struct healer_table {
	struct healer_triple *triples; /* open addressing; held 0 = empty */
	uint32_t mask;
};

struct healer_found {
	struct statefile_lease *lease;
};

struct healer {
	struct healer_table now, before;
	struct healer_found *found; /* leases of triples that have too many */
	uint32_t found_count;
};

/* `leases`: rows of the table. 0 or -ENOMEM. */
int healer_init(struct healer *h, uint32_t leases);
void healer_fini(struct healer *h);

/* Must end the lease. */
typedef void healer_release_fn(void *context, struct statefile_lease *lease);
/*
 * One reading. All end records that were sent before it must have been used. Returns how many leases
 * were released.
 */
uint32_t healer_compare(struct healer *h, struct leases *l, const struct gauge_head *head,
	const struct gauge_row *rows, healer_release_fn *release, void *context);
/* Releases what is older than HEALER_AGE_MS and was never confirmed. */
uint32_t healer_expire(struct leases *l, int64_t now_ms, healer_release_fn *release, void *context);

#endif
