/*
 * Checks of egresses: a request to the echo endpoint ([health] echo_url) through HAProxy and the egress
 * itself, and what was seen there judged (egress_verdict.h). In rounds: all of them once HAProxy
 * answers after the start, again every [health] echo_every, and one or all when somebody asks. A check
 * that could not be made tells nothing about the egress.
 */
#ifndef RELAY_ADMIN_UPKEEP_EGRESS_CHECK_H
#define RELAY_ADMIN_UPKEEP_EGRESS_CHECK_H

#define EGRESS_CHECK_PARALLEL 8 /* requests of one round under way */
#define EGRESS_CHECK_ROUNDS 4	/* rounds under way: the periodic one, and those asked for */
#define EGRESS_CHECK_MS 10000	/* for one request */

struct control;
struct egress_check;
struct request;

/* On `c->loop`, with `c->outbound`. NULL: out of memory. */
struct egress_check *egress_check_new(struct control *c);
/* Before the outbound is freed; who waits is told that the relay stops. NULL is fine. */
void egress_check_free(struct egress_check *k);

/*
 * A round over the egress of that name, or over all when it is NULL; it answers the request, later.
 * 0; -EINVAL, -ENOENT, -EBUSY and others: nothing was begun.
 */
int egress_check_begin(struct egress_check *k, const char *name, struct request *r);

#endif
