/* The agent process: its loop, what it decides with, and how its parts find each other. */
#ifndef RELAY_AGENT_AGENT_H
#define RELAY_AGENT_AGENT_H

#include "agent/badkeys.h"
#include "agent/decide/decide.h"
#include "agent/gone.h"
#include "agent/healer.h"
#include "agent/lease.h"
#include "agent/quiet.h"
#include "common/board.h"
#include "common/child.h"
#include "common/snapshot.h"
#include "common/statefile.h"

#include <ev.h>
#include <stdbool.h>

#define JUDGE_STATUSES 1000

struct spoe_ack;
struct waiting;
struct checks;
struct peers;
struct question;
struct events;
struct snapshot_slot;

struct agent {
	struct ev_loop *loop;
	const struct child_start *start;
	struct board *board;
	struct statefile statefile;
	struct leases leases;
	struct usages usages;
	struct bindings bindings;
	struct undo undo;
	struct healths healths;
	uint8_t unknown_seen[JUDGE_STATUSES / 8]; /* statuses of no known class, told once */
	struct quiet rubbish_quiet;
	struct room room;
	struct healer healer;
	struct gone gone;
	struct peers *peers;
	struct events *events;
	struct waiting *waiting;
	struct checks *checks;
	bool room_is_stale; /* something was released: who waits may be asked again */
	struct decide_state state;
	struct badkeys badkeys;
	struct snapshot_slot *slot;
	const struct snapshot *snapshot; /* in force; NULL = none yet: nothing is allowed */
	uint64_t random;		 /* of this process: mixed into every choice */
	int64_t last_question_ms;	 /* monotonic */
};

/*
 * One question, answered into `ack`, counted. The clock is read here and nowhere below. With a seat it may
 * wait: false then, nothing was written, and it is answered later.
 */
bool agent_answer(struct agent *a, const struct decide_request *r, const struct room_seat *seat,
	struct spoe_ack *ack);
/* `again`: HAProxy took the request back from a server. `repeated`: again2. */
void agent_answer_again(
	struct agent *a, const struct question *q, bool repeated, struct spoe_ack *ack);
void agent_answer_probe(struct agent *a, const struct question *q, struct spoe_ack *ack);
/* `respond`: the head of an answer; nothing is decided by it. */
void agent_hear_head(struct agent *a, const struct question *q, struct spoe_ack *ack);
/* What asks on TCP and reports on UDP must know this; empty = nobody can (no snapshot yet). */
struct slice agent_secret(const struct agent *a);
/* Decides and counts, for a request that waits; `ret` is then answered, or waits on. */
void agent_decide(struct agent *a, const struct decide_request *r, int64_t now_ms,
	struct decide_verdict *ret);
void agent_answer_waiter(struct agent *a, const struct decide_request *r, struct decide_verdict *v,
	int64_t now_ms, struct spoe_ack *ack);
/* Ends a lease: gauges, slots and, when it was certainly never sent on, counts. */
void agent_release(struct agent *a, struct statefile_lease *lease, bool never_sent);
/* The gauges of a lease that begins or ends. */
void agent_count_lease(struct agent *a, const struct statefile_lease *lease, bool begins);

#endif
