/*
 * The gauge: HAProxy's count of requests in progress, one row per `tenant|key|account`
 * (docs/PROTOCOL.md, the gauge). Control reads it from every HAProxy process and hands it to the
 * agent in a sealed memfd.
 */
#ifndef RELAY_COMMON_GAUGE_H
#define RELAY_COMMON_GAUGE_H

#include <stdint.h>

#define GAUGE_ROWS_MAX 262144

struct gauge_row {
	uint32_t tenant, key, account;
	uint32_t count;
};

/* Then come the rows, and the workers that were asked: a uint32_t each (gauge_worker). */
struct gauge_head {
	int64_t begun_ms; /* Unix time before the first process was asked */
	uint32_t rows;
	uint32_t workers;
	uint32_t is_whole;   /* these are all workers of this HAProxy: its other ones have ended */
	uint32_t source;     /* hash of the master socket; 0 = there is none */
	uint64_t oldest_gen; /* of these workers; 0 = one has not told its generation */
};

#define GAUGE_WORKERS_MAX 256
#define GAUGE_WORKER_BITS 18

/*
 * The short id of a worker, from the time at which it started, in microseconds: HAProxy's variable
 * SEAM_PROC_WORKER. It tells the processes of one HAProxy from those of another on the same agent. 0 =
 * not known.
 */
static inline uint32_t gauge_worker(uint64_t started_us)
{
	uint32_t id = (uint32_t)(started_us * 0x9e3779b97f4a7c15u >> (64 - GAUGE_WORKER_BITS));

	return started_us == 0 ? 0 : id ? id : 1;
}

#endif
