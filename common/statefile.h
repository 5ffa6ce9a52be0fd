/*
 * The state file: what the agent must not lose, four tables of fixed-size rows in one mapped file.
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

#define STATEFILE_FORMAT 1
#define STATEFILE_LEASES 65536 /* requests in progress on one node */

enum statefile_table {
	STATEFILE_WINDOW, /* limit windows; none yet */
	STATEFILE_LEASE,
	STATEFILE_STICKY, /* conversation bindings; none yet */
	STATEFILE_HEALTH, /* account health; none yet */
	STATEFILE_TABLE_COUNT,
};

enum lease_state {
	LEASE_FREE,
	LEASE_DECIDED, /* answered to HAProxy; nothing has confirmed yet that it was applied */
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
void *statefile_table(const struct statefile *f, enum statefile_table t, uint32_t *ret_rows);

#endif
