/*
 * Active probes (H5): control asks an account itself, through HAProxy and the account's own way out, when
 * something is to be learned from it (probe_plan.h). What the answer means is the agent's to say: it
 * judges the record of a probe like any other. Control only chooses when.
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_H
#define RELAY_ADMIN_UPKEEP_PROBE_H

#include "admin/api/request.h"
#include "admin/upkeep/probe_plan.h"

#include <stdint.h>

#define PROBE_TIMEOUT_MS 10000 /* for one; a cheap answer that takes longer is none */

struct control;
struct probe;

/* On `c->loop`, with `c->outbound`. NULL: out of memory. */
struct probe *probe_new(struct control *c);
/* Before the outbound is freed; who waits is told that the relay stops. NULL is fine. */
void probe_free(struct probe *p);

/* Probes as soon as possible and answers the request then. -ENOENT, -EBUSY: it cannot be probed. */
int probe_ask(struct probe *p, int64_t account, struct request *r);

/* Since the start. NULL: 0. */
uint64_t probe_count(const struct probe *p, enum probe_reason reason);

#endif
