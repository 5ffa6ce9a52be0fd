/*
 * The healer: compares the leases with HAProxy's requests in progress (common/gauge.h) and releases
 * leases that HAProxy does not have. End records can be lost, and answers can be left unapplied. It
 * only releases, and only an excess that two readings found; it ignores leases that may be too
 * young for the gauge, and leases of processes that the reading says nothing about: those of another
 * HAProxy on the same agent. Leases with the same tenant, key and account are interchangeable. The newest
 * are released first: a lease that remains must not be newer than the request it is kept for, or a
 * later reading that leaves out older processes would release it. Pure.
 */
#ifndef RELAY_AGENT_HEALER_H
#define RELAY_AGENT_HEALER_H

#include "agent/lease.h"
#include "common/gauge.h"

#include <stdbool.h>
#include <stdint.h>

/* Time from our answer to HAProxy's entry in the gauge, with a margin. */
#define HEALER_GRACE_MS 500
/* A lease that no gauge has confirmed ends at this age, for setups without a readable gauge. */
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

#define HEALER_MET 16

struct healer {
	struct healer_table now, before;
	struct statefile_workers *workers; /* the last that whole readings named */
	uint32_t met[HEALER_MET];	   /* the last that asked before a reading named them */
	uint32_t met_next;
	uint32_t asking;	    /* asked last */
	struct healer_found *found; /* leases of triples with an excess */
	uint32_t found_count;
};

/* `leases`: rows of the lease table. `workers` survives the agent, and must outlive `h`. 0 or -ENOMEM. */
int healer_init(struct healer *h, uint32_t leases, struct statefile_workers *workers);
void healer_fini(struct healer *h);

/*
 * A process asks. True, once for each process: no reading has named it. If it ends before one does, its leases are taken
 * for those of another HAProxy, so the reading should come at once.
 */
bool healer_meet(struct healer *h, uint32_t worker);

/*
 * Must end the lease. `is_gone`: HAProxy has none of its tenant, key and account, so this request has ended;
 * otherwise one of them has, and nobody knows which.
 */
typedef void healer_release_fn(void *context, struct statefile_lease *lease, bool is_gone);
struct healer_reading {
	const struct gauge_head *head;
	const struct gauge_row *rows;
	const uint32_t *workers;
};

/*
 * Uses one reading. All end records that were sent before it must have been taken. Returns how many
 * leases were released.
 */
uint32_t healer_compare(struct healer *h, struct leases *l, const struct healer_reading *reading,
	healer_release_fn *release, void *context);
/* Releases leases older than HEALER_AGE_MS that were never confirmed. */
uint32_t healer_expire(struct leases *l, int64_t now_ms, healer_release_fn *release, void *context);

#endif
