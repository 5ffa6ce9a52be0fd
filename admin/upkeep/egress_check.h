/*
 * Checks of egresses: a request to the echo endpoint ([health] echo_url) through HAProxy and the egress
 * itself, and what was seen there judged (egress_verdict.h). In rounds: all of them once HAProxy
 * answers after the start, again every [health] echo_every, and one or all when somebody asks. A check
 * that could not be made tells nothing about the egress.
 */
#ifndef RELAY_ADMIN_UPKEEP_EGRESS_CHECK_H
#define RELAY_ADMIN_UPKEEP_EGRESS_CHECK_H

#include "common/errtext.h"

#define EGRESS_CHECK_PARALLEL 8 /* requests of one round under way */
#define EGRESS_CHECK_ROUNDS 4	/* rounds under way: the periodic one, and those asked for */
#define EGRESS_CHECK_MS 10000	/* for one request */

struct control;
struct egress_check;

/* On `c->loop`, with `c->outbound`. NULL: out of memory. */
struct egress_check *egress_check_new(struct control *c);
/* Before the outbound is freed; callers that wait are told that the relay stops. NULL is fine. */
void egress_check_free(struct egress_check *k);

/* One row of a round. `result` is "ok", "mismatch" or "error"; the others are NULL where unknown. */
struct egress_check_row {
	const char *name;
	const char *kind;
	const char *expected;
	const char *seen;
	const char *result;
	const char *reason;
};

/* The rows come one by one, then the end with `row` NULL and `error` 0 or a negative errno code. */
typedef void egress_check_fn(
	void *context, const struct egress_check_row *row, int error, const char *reason);

/*
 * A round over the egress of that name, or over all when it is NULL; `tell` is called at its end,
 * perhaps before this returns. 0; -EINVAL, -ENOENT, -EBUSY and others: nothing was begun, and `tell`
 * is not called.
 */
int egress_check_begin(struct egress_check *k, const char *name, egress_check_fn *tell,
	void *context, struct errtext *e);

#endif
