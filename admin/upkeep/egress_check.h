/*
 * Egress checks: a request to the echo endpoint ([health] echo_url) through HAProxy and the egress,
 * and a verdict on the address seen (egress_verdict.h). A round checks all egresses: once HAProxy
 * answers after the start, then every [health] echo_every. A command can start a round for one
 * egress or for all. A check that fails to run gives no verdict.
 */
#ifndef RELAY_ADMIN_UPKEEP_EGRESS_CHECK_H
#define RELAY_ADMIN_UPKEEP_EGRESS_CHECK_H

#include "common/errtext.h"

#define EGRESS_CHECK_PARALLEL 8 /* concurrent requests of a round */
#define EGRESS_CHECK_ROUNDS 4	/* concurrent rounds: the periodic one, and those of commands */
#define EGRESS_CHECK_MS 10000	/* timeout of a request */

struct control;
struct egress_check;

/* Runs on `c->loop` with `c->outbound`. NULL: out of memory. */
struct egress_check *egress_check_new(struct control *c);
/* Call before the outbound is freed. Waiting callers get -EPIPE. NULL is fine. */
void egress_check_free(struct egress_check *k);

/* A row of a round. `result` is "ok", "mismatch" or "error"; other fields are NULL if unknown. */
struct egress_check_row {
	const char *name;
	const char *kind;
	const char *expected;
	const char *seen;
	const char *result;
	const char *reason;
};

/* Called once per row, then once with `row` NULL and `error` 0 or a negative errno code. */
typedef void egress_check_fn(
	void *context, const struct egress_check_row *row, int error, const char *reason);

/*
 * Starts a round over the named egress, or over all if `name` is NULL. The round calls `tell`,
 * perhaps before this function returns. 0; -EINVAL, -ENOENT, -EBUSY or another error: no round
 * started, and `tell` is not called.
 */
int egress_check_begin(struct egress_check *k, const char *name, egress_check_fn *tell,
	void *context, struct errtext *e);

#endif
