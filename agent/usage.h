/*
 * Usage: how many requests a tenant, key family, account or pool has used in each window. One row
 * of the state file each; a tenant or family without limits has none. The index lives in memory.
 * All operations are O(1) and allocate nothing.
 *
 * Tenant and key windows count a request once, account windows once per attempt. A count is given
 * back only for a request that was certainly never sent to an upstream: its end record names no
 * server or no connection. A lost record gives nothing back, since the request may have been sent.
 *
 * A row whose check fails is not used, also while the agent runs: a flipped bit is flipped back, else the
 * row is dropped and begins again.
 */
#ifndef RELAY_AGENT_USAGE_H
#define RELAY_AGENT_USAGE_H

#include "agent/idindex.h"
#include "common/window.h"

#include <stdbool.h>
#include <stdint.h>

#define USAGE_SPARE 8	      /* one row in so many */
#define USAGE_SPARE_MAX 16384 /* rows */

struct usages {
	struct statefile_usage *rows; /* of the state file */
	struct idindex index;
	/* Unix time as far as rows are forgotten (step.h); INT64_MAX = now */
	int64_t retention_ms;
	uint32_t sweep;			/* where the next search for a reusable row starts */
	struct statefile_damage damage; /* found since the start */
};

/* `max` (at least `count`): rows that there can ever be. 0 or -ENOMEM. */
int usages_init(struct usages *u, struct statefile_usage *rows, uint32_t count, uint32_t max);
/* There are more rows now, all free: `count` in all. */
void usages_grow(struct usages *u, uint32_t count);
/*
 * Checks the next `looks` rows, and frees those of tenants and families without requests this month. So
 * the file grows only for those that are in use.
 */
void usages_look(struct usages *u, int64_t now_ms, uint32_t looks);
/* Rows that tenants and families may take, of `count`. */
uint32_t usages_for_keys(uint32_t count);
void usages_fini(struct usages *u);

/* NULL when there is none. */
struct statefile_usage *usage_find(const struct usages *u, enum usage_kind kind, uint32_t id);
/*
 * The row; created if missing. When all rows are taken, a row without requests this month is reused;
 * NULL when a short search finds none. Tenants and families leave the last rows (USAGE_SPARE) to
 * accounts and pools, which every request needs.
 */
struct statefile_usage *usage_of(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms);

/* Share of recent failures of an account, in 1/65535. */
void usage_set_ratio(struct statefile_usage *row, uint16_t ratio);

/* The changes below are made in a change that can be undone (undo.h), which seals the row. */

/* NULL rows are ignored. Counts one request in every current window. */
void usage_add(struct statefile_usage *row, const struct window_clock *clock);
/* Takes back what usage_add() counted at `then_ms`, in the windows that the row remembers. */
void usage_give_back(struct statefile_usage *row, int64_t then_ms);

#endif
