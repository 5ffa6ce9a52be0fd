/*
 * How many idle connections HAProxy may have in the pool of a backend. The agent sees neither the pool
 * nor its purge: an answer may have left a connection there, an attempt may have taken one. The count is
 * never below what the pool has, but for a moment in which a record is on its way. So a request that finds
 * none gets a new connection. Rows live in the agent's memory; a forgotten row counts as an empty pool.
 */
#ifndef RELAY_AGENT_POOLED_H
#define RELAY_AGENT_POOLED_H

#include <stdbool.h>
#include <stdint.h>

#define POOLED_ROWS 4096
#define POOLED_MAX 100	     /* `pool-max-conn` of the rendered servers */
#define POOLED_LIFE_MS 10000 /* HAProxy closes an idle connection within 9 s */
#define POOLED_PERIODS 5     /* of POOLED_PERIOD_MS: the life, and the one that has begun */
#define POOLED_PERIOD_MS (POOLED_LIFE_MS / (POOLED_PERIODS - 1))

#define POOLED_PORTS 32

/* One pool: of a configuration, which a reload replaces with its pools, and a backend. */
struct pooled_key {
	uint64_t gen;
	uint32_t backend; /* id */
	bool alt;	  /* each backend has a second one for requests without `alt` */
};

struct pooled_row {
	struct pooled_key key; /* backend 0 = empty */
	uint32_t idle;
	uint32_t answers[POOLED_PERIODS]; /* the present period first */
	int64_t since_ms;		  /* its start */
	int64_t answered_ms;		  /* the last answer; 0 = none */
	bool is_useless; /* an answer came on a new connection although one seemed to be idle */
	uint8_t next_port;
	uint16_t ports[POOLED_PORTS]; /* local ports of the last connections; 0 = none */
};

struct pooled {
	struct pooled_row *rows;
};

/* 0 or -ENOMEM. */
int pooled_init(struct pooled *p);
void pooled_fini(struct pooled *p);

/*
 * An answer has left a connection; `port` is its local one, 0 = unknown. `was_taken`: pooled_take() had
 * found an idle one for its request. If it came on another one, the upstream or HAProxy keeps none: nothing
 * counts then until a connection is seen again.
 */
void pooled_put(
	struct pooled *p, struct pooled_key key, uint16_t port, bool was_taken, int64_t now_ms);
/* An attempt begins. False: there was no idle connection; `p` may be NULL. */
bool pooled_take(struct pooled *p, struct pooled_key key, int64_t now_ms);
/*
 * The same with HTTP/2, where a connection takes requests while others are in progress: an answer came within
 * the life of an idle connection. Takes nothing.
 */
bool pooled_shares(struct pooled *p, struct pooled_key key, int64_t now_ms);
/* An answer came on the connection with this local port; `p` may be NULL. */
bool pooled_knows(struct pooled *p, struct pooled_key key, uint16_t port, int64_t now_ms);

#endif
