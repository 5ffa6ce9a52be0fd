/*
 * Usage: how much of its limits a tenant, key, account or pool has used. One row of the state file
 * each, with the counts of its windows; beside it in memory the number of slots it holds, which is
 * rebuilt from the leases. The index lives in memory too. All operations are O(1) and allocate
 * nothing.
 *
 * Tenant and key windows count a request once, account windows once per attempt. A count is given
 * back only for a request that was certainly never sent to an upstream: its end record names no
 * server or no connection. A lost record gives nothing back, since the request may have been sent.
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
	uint32_t sweep; /* where the next search for a reusable row starts */
};

/* 0 or -ENOMEM. No slot is held yet: see usage_enter(). */
int usages_init(struct usages *u, struct statefile_usage *rows, uint32_t count);
void usages_fini(struct usages *u);

/* NULL when there is none. */
struct statefile_usage *usage_find(const struct usages *u, enum usage_kind kind, uint32_t id);
/*
 * The row; created if missing. When all rows are taken, a row without slots and without requests
 * this month is reused; NULL when a short search finds none.
 */
struct statefile_usage *usage_of(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms);

/* Slots. NULL rows are ignored. */
uint32_t usage_in_use(const struct usages *u, const struct statefile_usage *row);
void usage_enter(struct usages *u, const struct statefile_usage *row);
void usage_leave(struct usages *u, const struct statefile_usage *row);

/* Counts one request in every current window. */
void usage_add(struct statefile_usage *row, const struct window_clock *clock);
/* Takes back what usage_add() counted at `then_ms`, in the windows that have not ended since. */
void usage_give_back(struct statefile_usage *row, int64_t then_ms);

#endif
