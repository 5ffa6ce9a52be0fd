/*
 * Reads which requests HAProxy has in progress: the stick table `relay-track` of every worker, old
 * ones too (docs/PROTOCOL.md, the gauge). Blocking; each question has a time limit.
 */
#ifndef RELAY_HAPROXY_GAUGE_H
#define RELAY_HAPROXY_GAUGE_H

#include "common/buffer.h"
#include "common/errtext.h"
#include "common/gauge.h"
#include "common/slice.h"

#include <stdint.h>

/*
 * Appends a struct gauge_head, its rows and its workers (common/gauge.h) to `out`. Without a master
 * socket (NULL or empty) it asks only the worker behind the admin socket, and is not whole. 0; -EAGAIN if a worker started or ended meanwhile: ask again later; other negative codes with
 * the reason.
 */
int gauge_read(const char *admin_socket, const char *master_socket, int timeout_ms,
	struct buffer *out, struct errtext *e);

/* PIDs of all workers of a master, old and new. Their number, or a negative code with the reason. */
int gauge_list_workers(const char *master, int timeout_ms, uint64_t ret_pids[GAUGE_WORKERS_MAX],
	struct errtext *e);

/* --- pure --- */

/*
 * Appends the rows of an answer to `show table`. Skips lines that are not rows. Returns the number of
 * rows, or -EPROTO (not an answer to `show table`), -EAGAIN (cut short), -E2BIG, -ENOMEM.
 */
int gauge_parse_table(struct slice answer, struct buffer *out);
/* PIDs of all workers, old and new, in an answer to `show proc`. Their number, or -EPROTO, -EAGAIN, -E2BIG. */
int gauge_parse_workers(struct slice answer, uint64_t ret_pids[GAUGE_WORKERS_MAX]);

#endif
