/*
 * The state file: what the agent must not lose, tables of fixed-size rows in one mapped file.
 * The keeper opens, checks and sizes it; a foreign or corrupt one is renamed to FILE.bad-TIME and a
 * new one takes its place. The agent writes rows with plain stores; control syncs the file.
 *
 * A row is in use when its `state` is not 0. A writer fills a row and stores `state` last, so that a
 * SIGKILL at any moment leaves each row whole or unused.
 */
#ifndef RELAY_COMMON_STATEFILE_H
#define RELAY_COMMON_STATEFILE_H

#include "common/errtext.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define STATEFILE_FORMAT 2
#define STATEFILE_USAGES 131072	  /* tenants, keys, accounts and pools with usage in this month */
#define STATEFILE_LEASES 65536	  /* requests in progress on one node */
#define STATEFILE_BINDINGS 131072 /* conversations */
#define STATEFILE_BINDING_WAYS 8  /* places of one conversation; rows of a bucket */

enum statefile_table {
	STATEFILE_USAGE,  /* limit windows; index in the agent's memory */
	STATEFILE_LEASE,  /* requests in progress; index in the agent's memory */
	STATEFILE_STICKY, /* conversation bindings; a bucket is conversation % (rows / ways) */
	STATEFILE_HEALTH, /* account health; none yet */
	STATEFILE_UNDO,	  /* one row: the change under way */
	STATEFILE_TABLE_COUNT,
};

/* What a row of windows belongs to; ids of the store. */
enum usage_kind {
	USAGE_FREE,
	USAGE_TENANT,
	USAGE_KEY,
	USAGE_ACCOUNT,
	USAGE_POOL, /* no windows: who was taken last */
	USAGE_KIND_COUNT,
};

enum usage_window {
	USAGE_SECOND,
	USAGE_MINUTE,
	USAGE_HOUR,
	USAGE_DAY,
	USAGE_MONTH,
	USAGE_WINDOW_COUNT,
};

struct statefile_window {
	uint32_t number; /* which second, minute, ... since 1970 UTC (see window.h) */
	uint32_t count;	 /* requests admitted in it */
};

struct statefile_usage {
	_Atomic uint32_t state; /* enum usage_kind */
	uint32_t id;
	struct statefile_window windows[USAGE_WINDOW_COUNT];
	uint32_t noticed[2];	/* day and month for which the notice at 80 % was given */
	uint32_t last_account;	/* of a pool: the account taken last by choice, not by binding */
	uint16_t consecutive;	/* of a pool: how often in a row */
	uint16_t failure_ratio; /* of an account: failing results of late, in 1/65535 */
};

enum lease_state {
	LEASE_FREE,
	LEASE_DECIDED,	 /* answered to HAProxy; nothing has confirmed yet that it was applied */
	LEASE_CONFIRMED, /* HAProxy's gauge has shown it */
	LEASE_STATE_COUNT,
};

/* One admitted request, keyed by our own id. */
struct statefile_lease {
	_Atomic uint32_t state; /* enum lease_state */
	uint32_t tenant;	/* ids of the store */
	uint8_t id[16];
	uint32_t key;
	uint32_t account;
	uint32_t egress;
	uint32_t upstream;
	uint32_t backend;
	uint32_t attempt;      /* 1 = first */
	int64_t decided_ms;    /* Unix time */
	uint64_t conversation; /* keyed hash, 0 = none */
};

enum binding_state {
	BINDING_FREE,
	BINDING_HELD,
	BINDING_STATE_COUNT,
};

struct statefile_binding {
	_Atomic uint32_t state; /* enum binding_state */
	uint32_t account;
	uint64_t conversation; /* keyed hash of tenant, pool and conversation */
	int64_t used_ms;       /* Unix time */
};

/*
 * What a decision is about to change, as it was before: windows and lease change together or not at
 * all. Written before the first change, cleared after the last; a new agent that finds it set puts
 * everything back: that decision was never answered.
 */
#define STATEFILE_UNDO_USAGES 4

struct statefile_undo {
	_Atomic uint32_t state; /* 1 = set */
	uint32_t lease;		/* row + 1; 0 = none */
	uint32_t usages;	/* rows saved */
	uint32_t rows[STATEFILE_UNDO_USAGES];
	uint32_t pad;
	struct statefile_usage before[STATEFILE_UNDO_USAGES];
	struct statefile_lease lease_before;
};

struct statefile_head {
	char magic[8];
	uint32_t format;
	uint32_t head_size;
	uint64_t size;
	struct {
		uint64_t offset;
		uint32_t row_size;
		uint32_t rows;
	} tables[STATEFILE_TABLE_COUNT];
	uint32_t crc; /* of all before it */
	uint32_t pad;
};

struct statefile {
	void *block; /* mapped MAP_SHARED */
	size_t size;
};

/*
 * Opens or makes the file, mode 0600, owned by `uid`:`gid` when those are not (uid_t)-1. Takes a lock on it (-EADDRINUSE: another
 * instance runs here). `ret_set_aside` tells that a bad file was renamed, `e` then says why.
 * Returns a descriptor or -errno.
 */
int statefile_open(
	const char *path, unsigned uid, unsigned gid, int *ret_set_aside, struct errtext *e);
int statefile_map(int fd, struct statefile *ret, struct errtext *e);
void statefile_unmap(struct statefile *f);
/* First row of a table; the number of rows in `ret_rows`. */
/* Whether every row is one that an agent could have written; control's reading of a live file passes. */
int statefile_check_rows(const struct statefile *f, struct errtext *e);
void *statefile_table(const struct statefile *f, enum statefile_table t, uint32_t *ret_rows);

#endif
