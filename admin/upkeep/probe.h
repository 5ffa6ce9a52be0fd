/*
 * Active probes (H5): control asks an account itself, through HAProxy and the account's own way out, when
 * something is to be learned from it (probe_plan.h). What the answer means is the agent's to say: it
 * judges the record of a probe like any other. Control only chooses when.
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_H
#define RELAY_ADMIN_UPKEEP_PROBE_H

#include "admin/upkeep/probe_plan.h"
#include "common/errtext.h"

#include <stdint.h>

#define PROBE_TIMEOUT_MS 10000 /* for one; a cheap answer that takes longer is none */

struct control;
struct probe;

/* On `c->loop`, with `c->outbound`. NULL: out of memory. */
struct probe *probe_new(struct control *c);
/* Before the outbound is freed; callers that wait are told that the relay stops. NULL is fine. */
void probe_free(struct probe *p);

/* What a probe that somebody asked for has shown. Valid during the callback. */
struct probe_told {
	const char *name; /* of the account */
	unsigned status;  /* 0 = the upstream did not answer */
	int64_t took_ms;
	const char *reason; /* why there is no answer; NULL = there is one */
	const char *result; /* the class that the agent has counted; NULL = none */
	const char *state;  /* of the account, as the agent sees it; NULL = the agent has none */
};

/* `error` is 0, or a negative errno code with its reason; `told` is NULL then. */
typedef void probe_told_fn(
	void *context, int error, const char *reason, const struct probe_told *told);

/*
 * Probes as soon as possible and calls `told` once, perhaps before it returns. -ENOENT, -EBUSY: the
 * account cannot be probed, and `told` is not called.
 */
int probe_ask(
	struct probe *p, int64_t account, probe_told_fn *told, void *context, struct errtext *e);

/* Since the start. NULL: 0. */
uint64_t probe_count(const struct probe *p, enum probe_reason reason);

#endif
