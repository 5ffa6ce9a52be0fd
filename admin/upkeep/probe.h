/*
 * Active probes: control sends a request to the upstream with the account's credential and egress,
 * through HAProxy, when the result is useful (probe_plan.h). The agent judges the end record of a
 * probe like any other. Control only chooses the time.
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_H
#define RELAY_ADMIN_UPKEEP_PROBE_H

#include "admin/upkeep/probe_plan.h"
#include "common/errtext.h"

#include <stdint.h>

struct control;
struct probe;

/* Runs on `c->loop` with `c->outbound`. NULL: out of memory. */
struct probe *probe_new(struct control *c);
/* Call before the outbound is freed. Waiting callers get -EPIPE. NULL is fine. */
void probe_free(struct probe *p);

/* The result of a probe that a command requested. Valid during the callback. */
struct probe_told {
	const char *name; /* of the account */
	unsigned status;  /* 0 = the upstream did not answer */
	int64_t took_ms;
	const char *reason; /* why the upstream did not answer; NULL = it did */
	const char *result; /* class that the agent counted; NULL = none */
	const char *state;  /* account state in the agent; NULL = unknown */
};

/* `error` is 0, or a negative errno code with its reason; then `told` is NULL. */
typedef void probe_told_fn(
	void *context, int error, const char *reason, const struct probe_told *told);

/*
 * Probes as soon as possible and calls `told` once, perhaps before this function returns. -ENOENT,
 * -EBUSY: the account cannot be probed, and `told` is not called.
 */
int probe_ask(
	struct probe *p, int64_t account, probe_told_fn *told, void *context, struct errtext *e);

/* The probes of an account, as `accounts show` tells them. Times are Unix time, 0 = none. */
struct probe_view {
	const char *obstacle; /* why the account cannot be probed; NULL = it can */
	bool under_way;
	enum probe_reason last_reason; /* of the current probe, or of the last one */
	int64_t last_ms;	       /* its begin */
	unsigned status;	       /* of the last answer; 0 = none */
	int64_t took_ms;
	const char *failure; /* why there was no answer; NULL = there was one, or no probe yet */
	int64_t next_ms;     /* the next probe by the present plan */
	enum probe_reason next_reason;
	bool has_page;	 /* the provider has a usage page for it */
	int64_t page_ms; /* the last answer that was a usage page */
};

/* Only probes since the start of control. False: there is no such account. `p` may be NULL. */
bool probe_show(struct probe *p, int64_t account, struct probe_view *ret);

/* Since the start. NULL gives 0. */
uint64_t probe_count(const struct probe *p, enum probe_reason reason);

#endif
