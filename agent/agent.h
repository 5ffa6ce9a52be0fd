/* The agent process: its loop, what it decides with, and how its parts find each other. */
#ifndef RELAY_AGENT_AGENT_H
#define RELAY_AGENT_AGENT_H

#include "agent/decide/decide.h"
#include "agent/lease.h"
#include "common/board.h"
#include "common/child.h"
#include "common/snapshot.h"
#include "common/statefile.h"

#include <ev.h>
#include <stdbool.h>

struct spoe_ack;
struct peers;
struct events;
struct snapshot_slot;

struct agent {
	struct ev_loop *loop;
	const struct child_start *start;
	struct board *board;
	struct statefile statefile;
	struct leases leases;
	struct decide_state state;
	struct snapshot_slot *slot;
	const struct snapshot *snapshot; /* in force; NULL = none yet: nothing is allowed */
	uint64_t random;		 /* state of the generator */
	int64_t last_question_ms;	 /* monotonic */
};

/* One question, answered into `ack`, counted. The clock is read here and nowhere below. */
void agent_answer(struct agent *a, const struct decide_request *r, struct spoe_ack *ack);
/* What asks on TCP and reports on UDP must know this; empty = nobody can (no snapshot yet). */
struct slice agent_secret(const struct agent *a);
/* The gauges of a lease that begins or ends. */
void agent_count_lease(struct agent *a, const struct statefile_lease *lease, bool begins);

#endif
