/*
 * SIGTERM: the order in which the children end. Pure: the time is an argument.
 *
 * The agent ends with the last request in progress, and control after it, because control saves what the agent
 * reports. Until its turn a child that dies is started again: only an agent takes the end records of streams, and
 * only control answers relayadm. If control dies before it has saved everything, another control process does.
 */
#ifndef RELAY_AGENT_KEEPER_DRAIN_H
#define RELAY_AGENT_KEEPER_DRAIN_H

#include "common/child.h"

#include <stdbool.h>
#include <stdint.h>

#define DRAIN_SAVES_MAX 3 /* control processes that try to save */

/* In this order. */
enum drain_step {
	DRAIN_NONE,
	DRAIN_AGENT,
	DRAIN_CONTROL,
	DRAIN_SAVES, /* control again, which only saves */
	DRAIN_OVER,
};

struct drain {
	enum drain_step step;
	int64_t until_ms;    /* monotonic: requests and refreshes in progress are given up */
	int64_t deadline_ms; /* monotonic: the child of this step is killed */
	uint32_t saves_left;
	bool saved;
	bool is_hasty; /* no child is started again, only to save */
};

/* `can_save`: control has not failed for good. */
void drain_begin(struct drain *d, int64_t now_ms, int64_t patience_ms, bool can_save);
/* Nothing is waited for any more: the caller kills the children. */
void drain_hasten(struct drain *d, int64_t now_ms);
bool drain_is_on(const struct drain *d);
/* How long work in progress may still take. */
int64_t drain_left_ms(const struct drain *d, int64_t now_ms);

/*
 * A child has ended. `done`: it was told to end for the drain, and has finished its work; `hopeless`: a restart cannot
 * help. True: it is not started again.
 */
bool drain_ends(struct drain *d, enum child_role role, bool done, bool hopeless, int64_t now_ms);
/*
 * Goes on to the next step if the child of this one has ended. `agent_due`: it runs or will be started. True: the
 * caller does what the new step says.
 */
bool drain_next(struct drain *d, bool agent_due, bool control_runs, int64_t now_ms);

/* When drain_overdue() is due, monotonic; INT64_MAX = never. */
int64_t drain_deadline(const struct drain *d);
/* True: the child of this step is to be killed. */
bool drain_overdue(struct drain *d, int64_t now_ms);

#endif
