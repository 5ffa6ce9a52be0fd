/*
 * Usage: what a tenant, a key, an account or a pool has used of its limits. One row of the state file
 * each, with the counts of its windows; and in memory beside it how many slots it holds, which is made
 * anew from the leases. The index lives in memory too. All operations are O(1) and allocate nothing.
 *
 * Tenant and key windows count a request once, account windows once per attempt. Given back is only
 * what certainly never left for an upstream: no server in its end record, or no connection. A lost
 * record gives nothing back, since the request may have been sent.
 */
#ifndef RELAY_AGENT_USAGE_H
#define RELAY_AGENT_USAGE_H

#include "agent/idindex.h"
#include "common/window.h"

#include <stdbool.h>
#include <stdint.h>

struct usages {
	struct statefile_usage *rows; /* of the state file */
	uint32_t *in_use;	      /* slots, by row */
	struct idindex index;
	uint32_t sweep; /* where the search for a forgotten row goes on */
};

/* 0 or -ENOMEM. No slot is held yet: see usage_enter(). */
int usages_init(struct usages *u, struct statefile_usage *rows, uint32_t count);
void usages_fini(struct usages *u);

/* NULL when there is none. */
struct statefile_usage *usage_find(const struct usages *u, enum usage_kind kind, uint32_t id);
/*
 * The row, made when there is none. When all are taken, one without slots and of another month is
 * forgotten for it; NULL when no such row is found soon.
 */
struct statefile_usage *usage_of(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms);

/* Slots. Rows may be NULL: nothing is held then. */
uint32_t usage_in_use(const struct usages *u, const struct statefile_usage *row);
void usage_enter(struct usages *u, const struct statefile_usage *row);
void usage_leave(struct usages *u, const struct statefile_usage *row);

/* One request in every window of the moment. */
void usage_add(struct statefile_usage *row, const struct window_clock *clock);
/* Takes back what usage_add() did at `then_ms`, in the windows that have not ended since. */
void usage_give_back(struct statefile_usage *row, int64_t then_ms);

#endif
