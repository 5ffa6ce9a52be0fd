/*
 * The gauge: HAProxy's count of requests in progress, one row per `tenant|key|account`
 * (docs/PROTOCOL.md, the gauge). Control reads it from every HAProxy process and hands it to the
 * agent in a sealed memfd: a head, then the rows.
 */
#ifndef RELAY_COMMON_GAUGE_H
#define RELAY_COMMON_GAUGE_H

#include <stdint.h>

#define GAUGE_ROWS_MAX 262144

struct gauge_row {
	uint32_t tenant, key, account;
	uint32_t count;
};

struct gauge_head {
	int64_t begun_ms; /* Unix time before the first process was asked */
	/*
	 * Decisions made before this time may belong to processes that were not asked, and say nothing;
	 * 0 = every process was asked.
	 */
	int64_t since_ms;
	uint32_t rows;
	uint32_t pad;
};

#endif
