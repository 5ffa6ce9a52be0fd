/*
 * The state file: the state that must survive the agent, as tables of fixed-size rows in one mapped
 * file. The keeper opens and sizes it. It converts a file of another format, and renames a foreign one to
 * FILE.bad-TIME and makes a new one. The agent writes rows with plain stores; control syncs the file.
 *
 * A row is in use if its `state` is not 0. A writer fills a row and stores `state` last, so that a
 * SIGKILL at any moment leaves each row complete or unused. `check` is of all before it (staterow.h).
 */
#ifndef RELAY_COMMON_STATEFILE_H
#define RELAY_COMMON_STATEFILE_H

#include "common/errtext.h"
#include "common/gauge.h"
#include "common/step.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A format gives rows more fields, at the end, in the place of `spare`; a field that is 0 is one that the
 * writer did not know. So each build can convert the files of all others from STATEFILE_OLDEST on:
 * every row keeps the fields that both formats have.
 */
#define STATEFILE_FORMAT 4
#define STATEFILE_OLDEST 3
/* Tenants, families, accounts and pools with counts of this month. The file grows by as many at its end. */
#define STATEFILE_USAGES 131072
#define STATEFILE_USAGES_MAX (8 * STATEFILE_USAGES)
#define STATEFILE_USAGES_AHEAD 81920 /* with fewer free rows, the file grows */
#define STATEFILE_LEASES 65536	     /* requests in progress on one node */
#define STATEFILE_BINDINGS 131072    /* conversations */
#define STATEFILE_BINDING_WAYS 8     /* possible rows of one conversation; rows of a bucket */
#define STATEFILE_HEALTHS 16384	     /* accounts and backends whose health is known */
#define STATEFILE_PERMITS 4	     /* trials of a half-open circuit at once, at most */
#define STATEFILE_ATTEMPTS 4	     /* of one request, at most */

enum statefile_table {
	STATEFILE_USAGE,  /* limit windows; index in the agent's memory */
	STATEFILE_LEASE,  /* requests in progress; index in the agent's memory */
	STATEFILE_STICKY, /* conversation bindings; a bucket is conversation % (rows / ways) */
	STATEFILE_HEALTH, /* of accounts and backends; index in the agent's memory */
	STATEFILE_UNDO,	  /* one row: the change in progress */
	STATEFILE_TABLE_COUNT,
};

/* The owner of a row of windows; ids of the store. */
enum usage_kind {
	USAGE_FREE,
	USAGE_TENANT,
	USAGE_KEY,
	USAGE_ACCOUNT,
	USAGE_POOL, /* no windows: the account chosen last */
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

#define STATEFILE_EARLIER 7 /* windows that a row remembers beside the last ones (window.h) */

struct statefile_usage {
	_Atomic uint32_t state; /* enum usage_kind */
	uint32_t id;
	struct statefile_window windows[USAGE_WINDOW_COUNT]; /* counted in last */
	uint32_t noticed[2];	/* day and month for which the notice at 80 % was given */
	uint32_t last_account;	/* of a pool: the account chosen last, not by a binding */
	uint16_t consecutive;	/* of a pool: its uses in a row */
	uint16_t failure_ratio; /* of an account: share of recent failures, in 1/65535 */
	struct statefile_window earlier[STATEFILE_EARLIER]; /* counted in before */
	uint8_t spare[4];
	uint32_t check;
};

enum lease_state {
	LEASE_FREE,
	LEASE_DECIDED,	 /* sent to HAProxy, not yet confirmed */
	LEASE_CONFIRMED, /* HAProxy's gauge has shown it */
	LEASE_STATE_COUNT,
};

#define LEASE_HARD 1u	   /* its conversation must not leave this account */
#define LEASE_ALT 2u	   /* HAProxy was told that another account could take over */
#define LEASE_SHAPE_LOW 4u /* shape of its errors: lowest bit of its index (provider_shape_at) */
#define LEASE_UNSENT 8u	   /* its only attempt had no connection */
#define LEASE_SHAPE_HIGH 0xf0u	      /* the other bits of that index */
#define LEASE_TENANT_UNCOUNTED 0x100u /* had no limits: there is nothing to give back */
#define LEASE_KEY_UNCOUNTED 0x200u
#define LEASE_UNSETTLED 0x400u /* its conversation is not bound to this account until it answers */
#define LEASE_FRESH 0x800u     /* its second attempt was its first one, sent again */
#define LEASE_REUSED 0x1000u /* its first attempt may have got a connection that was used before */
#define LEASE_RESOURCE 0x2000u /* it uses resources of its account */

/* The upper bits of the flags: HAProxy's process, gauge_worker(); 0 = not known */
#define LEASE_WORKER_SHIFT (32 - GAUGE_WORKER_BITS)
#define LEASE_FLAGS_MASK (((uint32_t)1 << LEASE_WORKER_SHIFT) - 1)

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
	uint32_t pool;
	uint32_t flags;			    /* LEASE_*, and the worker */
	uint32_t tried[STATEFILE_ATTEMPTS]; /* accounts of the attempts before this one; 0 = none */
	int64_t again_ms; /* Unix time at which this attempt began; 0 = it is the first */
	uint32_t account_generation; /* of the circuits, when this attempt was allowed */
	uint32_t backend_generation;
	uint32_t credential; /* its generation */
	uint32_t family;     /* of the key; 0 = written by an older version: the key itself */
	uint16_t failed[STATEFILE_ATTEMPTS]; /* how each attempt failed (lease.h); 0 = it did not */
	uint32_t request; /* hash of method and path; 0 = written by an older version */
	uint32_t bound;	  /* account that the conversation was bound to; 0 = none */
	/* Times that name the windows in which it counts: as the clock said then, whatever was set since. */
	int64_t counted_ms;   /* its first attempt; 0 = decided_ms: written by an older version */
	int64_t attempted_ms; /* its last attempt, of the account; 0 = likewise */
	uint8_t spare[44];
	uint32_t check;
};

static inline uint32_t lease_worker(const struct statefile_lease *lease)
{
	return lease->flags >> LEASE_WORKER_SHIFT;
}

/* A time in the windows in which the request counts. */
static inline int64_t lease_counted_ms(const struct statefile_lease *lease)
{
	return lease->counted_ms ? lease->counted_ms : lease->decided_ms;
}

/* A time in the windows of the account in which its last attempt counts. */
static inline int64_t lease_attempted_ms(const struct statefile_lease *lease)
{
	if (lease->attempted_ms)
		return lease->attempted_ms;
	return lease->attempt > 1 ? lease->again_ms : lease->decided_ms;
}

/* The key family whose windows and slots it uses. */
static inline uint32_t lease_family(const struct statefile_lease *lease)
{
	return lease->family ? lease->family : lease->key;
}

enum binding_state {
	BINDING_FREE,
	BINDING_HELD,
	BINDING_PINNED, /* it never moves: another account could not read its state */
	BINDING_STATE_COUNT,
};

/* Parts of `state`: the state, and the lower half of the id of the account before; 0 = none. */
#define BINDING_STATE_MASK 0xffffu
#define BINDING_BEFORE_SHIFT 16
/* Parts of `used`: Unix time in milliseconds, a flag, and a hash of the tenant. */
#define BINDING_TIME_MASK (((uint64_t)1 << 47) - 1)
#define BINDING_UNANSWERED ((uint64_t)1 << 47) /* the account has not answered yet */
#define BINDING_TENANT_SHIFT 48
#define BINDING_TENANT_BITS 15

/* A row of an earlier version has only a state and a time: it counts as answered. */
struct statefile_binding {
	_Atomic uint32_t state; /* enum binding_state, and more */
	uint32_t account;
	uint64_t conversation; /* keyed hash of tenant, pool and conversation */
	uint64_t used;	       /* last use, and more */
	uint8_t spare[4];
	uint32_t check;
};

enum health_kind {
	HEALTH_FREE,
	HEALTH_ACCOUNT,
	HEALTH_BACKEND, /* one upstream through one egress */
	HEALTH_KIND_COUNT,
};

enum circuit {
	CIRCUIT_CLOSED,
	CIRCUIT_HALF_OPEN,
	CIRCUIT_OPEN,
	CIRCUIT_COUNT,
};

/* A permit for a trial in a half-open circuit. It expires, so a trial that never ends blocks nothing. */
struct statefile_permit {
	uint8_t id[16];	  /* of the request */
	int64_t until_ms; /* Unix time; 0 = free */
};

/* A credential may be unable to be probed, although it serves clients. */
enum health_refusal {
	HEALTH_REFUSAL_COUNTS,
	HEALTH_REFUSAL_SEEN,	/* a probe was refused since the last one that succeeded */
	HEALTH_REFUSAL_IGNORED, /* and clients were served after it */
};

/* All times are Unix time in milliseconds; 0 = none. */
struct statefile_health {
	_Atomic uint32_t state; /* enum health_kind */
	uint32_t id;
	uint32_t
		epoch; /* of the operator's last reset; another one in the snapshot clears the row */
	uint32_t generation; /* of the circuit: rises with every change of its state */
	uint8_t circuit;     /* enum circuit */
	uint8_t cool_class;  /* enum result_class: reason of the cool-down */
	uint8_t suspended;   /* by the ladder */
	uint8_t refusal;     /* enum health_refusal: what refused probes mean */
	uint16_t failures;   /* in a row, of those that the breaker counts */
	uint16_t rungs;	     /* in a row, of those that the ladder counts */
	uint16_t bursts;     /* in a row */
	uint16_t suspects;   /* attempts in a row without a known result */
	uint16_t used; /* of the upstream's own limits, in 1/65535; counts until used_until_ms */
	uint16_t pad2;
	uint64_t
		refused_credential; /* generation of the credential that was last refused (401); 0 = none since a success */
	int64_t open_until_ms;
	int64_t cool_until_ms;
	int64_t window_until_ms;
	int64_t used_until_ms;
	int64_t last_used_ms;
	int64_t last_success_ms;
	struct statefile_permit permits[STATEFILE_PERMITS];
	uint8_t spare[4];
	uint32_t check;
};

/*
 * The old values of the rows that a decision changes: windows and lease change together or not at all.
 * Written before the first change, cleared after the last. A new agent that finds it set restores the
 * old values, because the decision was never sent. The saved rows have their own checks.
 */
#define STATEFILE_UNDO_USAGES 4

struct statefile_undo {
	_Atomic uint32_t state; /* 1 = set */
	uint32_t lease;		/* row + 1; 0 = none */
	uint32_t usages;	/* rows saved */
	uint32_t rows[STATEFILE_UNDO_USAGES];
	uint32_t check;
	struct statefile_usage before[STATEFILE_UNDO_USAGES];
	struct statefile_lease lease_before;
};

/* Of a row that is set, whatever its state is: the check is stored before it, and cleared after it. */
uint32_t undo_sum(const struct statefile_undo *u);

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

/* What happened to the file before it could be used. */
enum statefile_event {
	STATEFILE_OPENED,
	STATEFILE_MADE,
	STATEFILE_CONVERTED, /* it was of another format */
	STATEFILE_SET_ASIDE, /* renamed, and a new one made */
};

/* What the last agent knew of the time; behind the head. All zeros: nothing is known. */
#define STATEFILE_CLOCK_AT 2048

struct statefile_clock {
	struct step_past past;
	int64_t retention_ms; /* step_retention_ms() */
	uint32_t check;	      /* CRC-32 of all before it; else nothing is known */
	uint32_t pad;
};

/*
 * The processes that control's readings of HAProxy have named last (gauge_worker); behind the clock. Each
 * number is written as a whole, so no crash leaves more than one missing.
 */
#define STATEFILE_WORKERS_AT 3072
#define STATEFILE_WORKERS 64

struct statefile_workers {
	uint32_t source;		 /* gauge_head.source of these readings */
	uint32_t next;			 /* place that is overwritten next */
	uint32_t ids[STATEFILE_WORKERS]; /* 0 = none */
};

/* Whether the relay was stopped, and what the history lacks of it; behind the workers. All zeros: nothing is known. */
#define STATEFILE_RUN_AT 3584

enum statefile_run_state {
	STATEFILE_RUN_UNKNOWN, /* the last program did not write it */
	STATEFILE_RUN_ON,
	STATEFILE_RUN_STOPPED, /* control has saved what there was, or noted what it could not */
};

struct statefile_run {
	uint32_t state;
	uint32_t pad;
	int64_t gap_ms;	   /* Unix time; until then finished requests may lack a row; 0 = none */
	uint64_t gap_rows; /* so many do; 0 = nobody knows */
};

/* Mapped MAP_SHARED. The rows of usage are one table, although the file has them in several parts. */
struct statefile {
	void *block;	      /* head and usage; NULL = not mapped */
	char *rest;	      /* the other tables */
	uint32_t usage_parts; /* mapped, of STATEFILE_USAGES rows each */
};

/*
 * Opens, makes or converts the file, mode 0600, owned by `uid`:`gid` unless those are (uid_t)-1. Locks it
 * (-EADDRINUSE: another instance runs here). For STATEFILE_CONVERTED and STATEFILE_SET_ASIDE `e` says
 * what was done and why. A file that cannot be converted, as on a full disk, stays as it was. Returns a
 * descriptor or -errno.
 */
int statefile_open(const char *path, unsigned uid, unsigned gid, enum statefile_event *ret_event,
	struct errtext *e);
/*
 * Whether the disk has room for the file that statefile_open() would convert this one into: 0 or -ENOSPC. Another
 * instance may run with the file; it is only read.
 */
int statefile_try(const char *path, struct errtext *e);
int statefile_map(int fd, struct statefile *ret, struct errtext *e);
/*
 * Gives the file STATEFILE_USAGES more rows of usage. No process sees them before its statefile_follow().
 * 0, -EFBIG at STATEFILE_USAGES_MAX, or -errno (-ENOSPC).
 */
int statefile_grow(int fd);
/* Maps the rows that the file has more than at the last call; those that are mapped stay where they are. */
int statefile_follow(struct statefile *f, int fd);
void statefile_unmap(struct statefile *f);
/* Rows that were damaged, by table. */
struct statefile_damage {
	uint32_t mended[STATEFILE_TABLE_COUNT];	 /* a flipped bit was flipped back */
	uint32_t dropped[STATEFILE_TABLE_COUNT]; /* more was wrong */
};

#define STATEFILE_MENDS 256 /* rows for which the wrong bit is searched, at most */

/*
 * Checks all rows, when no other process writes and no change is in progress: seals open rows, mends or
 * drops damaged ones and adds them to `damage`. Later, every row in use has a valid check.
 */
void statefile_check_rows(const struct statefile *f, struct statefile_damage *damage);
/* "usage", "leases", "bindings", "health" or "undo" */
const char *statefile_table_name(enum statefile_table t);
/* The relay runs with the file. If the last run was not stopped, a gap is noted. 0 or -errno. */
int statefile_begin(int fd);
/* It is stopped, or another program goes on. Waits for the disk. */
int statefile_end(int fd);
struct statefile_run *statefile_run(const struct statefile *f);
struct statefile_clock *statefile_clock(const struct statefile *f);
struct statefile_workers *statefile_workers(const struct statefile *f);
/* First row of a table; the number of rows in `ret_rows`. */
void *statefile_table(const struct statefile *f, enum statefile_table t, uint32_t *ret_rows);

#endif
