/*
 * The board: one shared memory block in which the agent counts and keeps its last requests, for
 * control to read. The keeper makes it (a memfd), so that counts survive an agent; the agent is the
 * only writer and stores plainly; control maps it read-only. Nothing is ever sent: a control process
 * that was away reads on where it stopped and counts what the ring has overwritten.
 */
#ifndef RELAY_COMMON_BOARD_H
#define RELAY_COMMON_BOARD_H

#include "common/errtext.h"
#include "common/refusal.h"
#include "common/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_FORMAT 1
#define BOARD_ROWS 4096	    /* labelled rows of each kind: tenants, accounts, upstreams */
#define BOARD_REQUESTS 8192 /* requests in the ring; a power of two */
#define BOARD_FRAME_TYPES 4 /* hello, notify, disconnect, other */
#define BOARD_STATUS_MAX 128
#define BOARD_NAME_SIZE 64

typedef _Atomic uint64_t board_counter;

/* Single counters: id, metric or note */
#define BOARD_COUNTERS(X)                                                                          \
	X(ALLOWED)	    /* relay_decisions_total{action="allow"} */                            \
	X(ANSWERED)	    /* relay_decisions_total{action="answer"} */                           \
	X(REPEATED)	    /* decisions asked again and answered from their lease */              \
	X(SPOP_CONNECTIONS) /* gauge */                                                            \
	X(SPOP_REFUSED)	    /* connections refused: too many, wrong peer */                        \
	X(SPOP_STALLED)	    /* connections closed because the peer did not read */                 \
	X(EVENTS)	    /* end records taken */                                                \
	X(EVENTS_LOST)	    /* dropped by the kernel before we read them */                        \
	X(EVENTS_BAD)	    /* not an end record */                                                \
	X(EVENTS_FORGED)    /* wrong secret or unknown peer */                                     \
	X(EVENTS_UNMATCHED) /* for no lease: repeated, late, or refused requests' own */           \
	X(LEASES)	    /* gauge: requests in progress */                                      \
	X(LEASES_RECLAIMED) /* given up because all places were taken */                           \
	X(BOARD_FULL)	    /* a labelled row had no place */                                      \
	X(SNAPSHOT_VERSION) /* gauge: the snapshot in force */                                     \
	X(SNAPSHOT_REFUSED) /* snapshots that did not pass the check */

enum board_counter_id {
#define X(id) BOARD_##id,
	BOARD_COUNTERS(X)
#undef X
		BOARD_COUNTER_COUNT
};

/* Decision times: upper bounds 1 us, 2, 4, ... 2^15 us, +Inf. */
#define BOARD_DECISION_BUCKETS 17
/* Upstream times (O2), seconds: 0.01 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60 300, +Inf */
#define BOARD_UPSTREAM_BUCKETS 13
extern const double board_upstream_bounds[BOARD_UPSTREAM_BUCKETS - 1]; /* seconds */

struct board_histogram {
	board_counter buckets[BOARD_DECISION_BUCKETS]; /* not cumulative */
	board_counter sum_us;
};

/* A labelled row; `id` (of the store) is written first and never changes; 0 = free. */
struct board_tenant {
	_Atomic uint32_t id;
	uint32_t pad;
	board_counter active;	       /* gauge: requests in progress */
	board_counter status_class[6]; /* index = hundreds; 0 = ended without an answer */
};

struct board_account {
	_Atomic uint32_t id;
	uint32_t pad;
	board_counter active;
	board_counter requests;
};

struct board_upstream {
	_Atomic uint32_t id;
	uint32_t pad;
	struct board_histogram ttfb;
	struct board_histogram duration;
};

/* A finished or refused request, as `relayadm requests list` shows it. */
struct board_request {
	_Atomic uint64_t sequence; /* number of the request + 1; 0 while it is being written */
	uint8_t id[16];
	int64_t started_ms; /* Unix time */
	uint32_t tenant, key, account, egress, upstream;
	int32_t ttfb_ms;     /* -1 = no answer began */
	int32_t duration_ms; /* -1 = unknown */
	uint16_t status;
	uint16_t retries;
	uint64_t bytes_in, bytes_out;
	char termination[4]; /* HAProxy's two letters */
	char code[32];	     /* refusal, empty for none */
	char label[64];	     /* the client's own id, empty for none */
};

struct board {
	char magic[8];
	uint32_t format;
	uint32_t size;
	board_counter counters[BOARD_COUNTER_COUNT];
	board_counter refused[REFUSAL_COUNT];
	board_counter frames[BOARD_FRAME_TYPES];
	board_counter disconnects[BOARD_STATUS_MAX]; /* by SPOP status code */
	struct board_histogram decision;
	struct board_tenant tenants[BOARD_ROWS];
	struct board_account accounts[BOARD_ROWS];
	struct board_upstream upstreams[BOARD_ROWS];
	_Atomic uint64_t written; /* requests ever put in the ring */
	struct board_request requests[BOARD_REQUESTS];
};

/* A memfd with an empty board: descriptor or -errno. */
int board_create(void);
/* NULL with the reason. Unmap with board_unmap(). */
struct board *board_map(int fd, bool writable, struct errtext *e);
void board_unmap(struct board *b);

static inline void board_add(board_counter *c, uint64_t n)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void board_set(board_counter *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline uint64_t board_get(const board_counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void board_observe_decision(struct board *b, uint64_t ns);
void board_observe_upstream(struct board_histogram *h, uint64_t ms);

/* Writer: the row of `id`, made when it is new; NULL (and BOARD_FULL counted) when there is no place. */
struct board_tenant *board_tenant(struct board *b, uint32_t id);
struct board_account *board_account(struct board *b, uint32_t id);
struct board_upstream *board_upstream(struct board *b, uint32_t id);

/* Writer: puts one request in the ring; `sequence` is set here. */
void board_put_request(struct board *b, const struct board_request *r);
/*
 * Reader: copies request number `n` (0-based). 0; -EAGAIN: not written yet; -ENOENT: overwritten.
 */
int board_read_request(const struct board *b, uint64_t n, struct board_request *ret);

#endif
