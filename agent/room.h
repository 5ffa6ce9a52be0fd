/*
 * The waiting room: requests that HAProxy holds until there is a slot for them (HAPROXY.md 29). Their
 * questions are kept whole, since an answer is a new decision. Bounded in number; fair: tenants take
 * turns, and within a tenant the oldest comes first. Pure: who is asked again, and when, is waiting.c.
 */
#ifndef RELAY_AGENT_ROOM_H
#define RELAY_AGENT_ROOM_H

#include "agent/request.h"

#include <stdbool.h>
#include <stdint.h>

#define ROOM_WAITERS_MAX 2048	    /* on this node */
#define ROOM_TENANT_WAITERS_MAX 256 /* of one tenant */
#define ROOM_TEXT_MAX 1824	    /* all texts of one question; their bounds in seam.h together */
#define ROOM_COUNTS 4096	    /* a power of two */

/* What a request waits for. */
enum room_reason {
	ROOM_FOR_TENANT_SLOT,
	ROOM_FOR_KEY_SLOT,
	ROOM_FOR_ACCOUNT, /* any of a pool's */
	ROOM_FOR_PACE,	  /* its account's pace: nobody has to wait behind it */
	ROOM_REASON_COUNT,
};

/* Who is answered: a frame of a connection. */
struct room_seat {
	void *owner;
	uint64_t stream_id;
	uint64_t frame_id;
};

struct waiter {
	struct waiter *next, *previous; /* of its tenant, oldest first; or of the free ones */
	struct room_queue *queue;
	struct decide_request request; /* its slices point into `text` */
	struct room_seat seat;
	uint32_t tenant;
	enum room_reason reason;
	uint32_t what;	   /* id of that tenant, key or pool */
	int64_t wake_ms;   /* Unix time before which nothing can change; 0 = at any time */
	int64_t answer_ms; /* Unix time at which it is answered in any case */
	char text[ROOM_TEXT_MAX];
};

struct room_queue {
	struct room_queue *next, *previous; /* turns; or the free ones */
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
	struct room_queue *first, *last; /* whose turn it is */
	uint32_t count;
	uint32_t tenants; /* queues */
	/* by reason and id; ids that share a place wait a moment more */
	uint16_t waiting_for[ROOM_REASON_COUNT][ROOM_COUNTS];
};

/* 0 or -ENOMEM. */
int room_init(struct room *r);
void room_fini(struct room *r);

/* Whether one more request of this tenant could wait. */
bool room_has_place(const struct room *r, uint32_t tenant);
/* Whether others wait for that already: who comes now must wait behind them. */
bool room_has_waiters(const struct room *r, enum room_reason reason, uint32_t what);

/* Copies the request; NULL when there is no place. The longest waiting comes first in its tenant's queue. */
struct waiter *room_add(struct room *r, const struct decide_request *request, uint32_t tenant,
	const struct room_seat *seat);
/* What it waits for now; at first its tenant's slot. */
void room_set_reason(struct room *r, struct waiter *w, enum room_reason reason, uint32_t what);
void room_remove(struct room *r, struct waiter *w);
/* NULL when it does not wait. */
struct waiter *room_find(const struct room *r, const uint8_t id[16]);
/* Removes all that a connection would have answered. */
void room_remove_owner(struct room *r, const void *owner);
/* The tenant whose turn it is goes to the end of the row. */
void room_pass_turn(struct room *r);

#endif
