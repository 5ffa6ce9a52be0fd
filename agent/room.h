/*
 * The waiting room: requests that HAProxy holds until they get a slot or an account. It keeps whole
 * questions, since an answer is a new decision. Bounded, and fair: tenants take turns, and within a
 * tenant the oldest request comes first. Pure; waiting.c decides when to try a request again.
 */
#ifndef RELAY_AGENT_ROOM_H
#define RELAY_AGENT_ROOM_H

#include "agent/request.h"

#include <stdbool.h>
#include <stdint.h>

#define ROOM_WAITERS_MAX 2048	    /* on this node */
#define ROOM_TENANT_WAITERS_MAX 256 /* of one tenant */
/* all texts of one question */
#define ROOM_TEXT_MAX                                                                              \
	(REQUEST_KEY_MAX + REQUEST_STICKY_MAX + REQUEST_METHOD_MAX + REQUEST_PATH_MAX +            \
		REQUEST_LABEL_MAX)
#define ROOM_COUNTS 4096 /* a power of two */

/* Why a request waits. */
enum room_reason {
	ROOM_FOR_TENANT_SLOT,
	ROOM_FOR_KEY_SLOT,
	ROOM_FOR_ACCOUNT,     /* any account of a pool */
	ROOM_FOR_ONE_ACCOUNT, /* its conversation's: requests that can use others need not wait */
	ROOM_FOR_PACE,	      /* its account's pace: other requests need not queue behind it */
	ROOM_REASON_COUNT,
};

/* Where the answer goes: a frame of a connection. */
struct room_seat {
	void *owner;
	uint64_t stream_id;
	uint64_t frame_id;
};

struct waiter {
	struct waiter *next, *previous; /* of its tenant, oldest first; or of the free list */
	struct room_queue *queue;
	struct decide_request request; /* its slices point into `text` */
	struct room_seat seat;
	uint32_t tenant;
	enum room_reason reason;
	uint32_t what;	 /* id of the tenant, key, pool or account */
	int64_t wake_ms; /* Unix time before which nothing can change; 0 = may change at any time */
	int64_t answer_ms; /* Unix time at which it is answered in any case */
	char text[ROOM_TEXT_MAX];
};

struct room_queue {
	struct room_queue *next, *previous; /* order of turns; or the free list */
	struct waiter *first, *last;
	uint32_t tenant;
	uint32_t count;
};

struct room {
	struct waiter *waiters;
	uint64_t *keys; /* by waiter: the first bytes of its id */
	struct room_queue *queues;
	struct waiter *free_waiters;
	struct room_queue *free_queues;
	struct room_queue *first, *last; /* order of turns */
	uint32_t count;
	uint32_t tenants; /* number of queues */
	/* by reason and id; ids that share a counter may wait a moment longer */
	uint16_t waiting_for[ROOM_REASON_COUNT][ROOM_COUNTS];
};

/* 0 or -ENOMEM. */
int room_init(struct room *r);
void room_fini(struct room *r);

/* Whether one more request of this tenant can wait. */
bool room_has_place(const struct room *r, uint32_t tenant);
/* Whether requests already wait for this reason: a new one must queue behind them. */
bool room_has_waiters(const struct room *r, enum room_reason reason, uint32_t what);

/*
 * Copies the request; NULL when the room is full. A tenant's queue is ordered by the start of the
 * wait.
 */
struct waiter *room_add(struct room *r, const struct decide_request *request, uint32_t tenant,
	const struct room_seat *seat);
/* Sets the reason of the wait; at first the tenant's slot. */
void room_set_reason(struct room *r, struct waiter *w, enum room_reason reason, uint32_t what);
void room_remove(struct room *r, struct waiter *w);
/* NULL when the request does not wait. */
struct waiter *room_find(const struct room *r, const uint8_t id[16]);
/* Whether any request of this connection waits. */
bool room_has_owner(const struct room *r, const void *owner);
/* Removes all requests of a connection. */
void room_remove_owner(struct room *r, const void *owner);
/* The wall clock has moved by `step_ms`: all times move with it. */
void room_shift(struct room *r, int64_t step_ms, int64_t now_ms);
/* Moves the first tenant to the end of the order. */
void room_pass_turn(struct room *r);

#endif
